"""Generation that keeps keys and values writes the same text as generation that does not."""

import pytest
import torch
from torch import nn

from flowlib.flow import SCHEMES, Flow, PerStep, depth
from flowlib.models import FlowConfig, FlowLM, Vocabulary
from flowlib.operators import Attention, Local, Moments, Past

TEXT = "the river flows, and the river remembers"
FORMS = [
    *(dict(scheme=name) for name in SCHEMES),
    dict(norm="pre"),
    dict(norm="sphere"),
    dict(norm="pre", scheme="additive", bias=True),
    dict(scheme="strang", substep="midpoint", tangent=True),
    dict(scheme="symmetrised", substep="heun", norm="sphere", tangent=True, first="local"),
    dict(depth="piecewise_linear", knots=2),
    dict(depth="constant"),
]


def model(**changes):
    torch.manual_seed(0)
    config = dict(vocabulary=Vocabulary.characters(TEXT), context=16, width=16, heads=2, layers=2) | changes
    lm = FlowLM(FlowConfig(**config)).double().eval()
    for p in lm.parameters():
        nn.init.normal_(p, std=0.3)
    return lm


@pytest.mark.parametrize("form", FORMS, ids=str)
@torch.no_grad()
def test_past_tokens_need_not_flow_again(form):
    """Token by token, in pieces, and all at once: the same last field, at any number of steps."""
    lm = model(**form)
    tokens = torch.randint(0, len(lm.config.vocabulary), (2, 12))
    for steps in (2, 5):
        whole = lm.flow(lm.initial_field(tokens), steps, save="final").final
        past, ends = Past(), []
        for start, stop in [(0, 5), (5, 6), (6, 7), (7, 12)]:
            assert past.tokens == start
            u = lm.initial_field(tokens[:, start:stop], start)
            ends.append(lm.flow(u, steps, save="final", past=past).final)
        torch.testing.assert_close(torch.cat(ends, 1), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("how", [dict(temperature=0.0), dict(temperature=0.9, top_k=5, seed=3)], ids=str)
def test_the_text_is_the_same(form, how):
    """Also past the context of 16 tokens, where the window slides and nothing can be kept."""
    lm = model(**form)
    assert lm.generate("the river", 24, **how) == lm.generate("the river", 24, keep_past=False, **how)
    assert lm.generate("the", 8, steps=3, **how) == lm.generate("the", 8, steps=3, keep_past=False, **how)
    assert lm.generate(TEXT, 3, **how) == lm.generate(TEXT, 3, keep_past=False, **how)  # too long at once


def test_only_the_newest_token_flows(monkeypatch):
    lm, seen = model(), []
    local = lm.flow.depth.layers[0][1]
    monkeypatch.setattr(local, "forward", lambda u: seen.append(u.shape[-2]) or torch.zeros_like(u))
    lm.generate("the river", 10, seed=0)
    assert seen == [9, 1, 1, 1, 1, 1, 1, 1, 16, 16]


def small(**options):
    return Flow([Attention(8, 2, **options), Local(8, 8)], Moments(), depth=PerStep(2))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda u: small()(u, past=Past()), "only under a causal kernel"),
        (lambda u: small(causal="volterra")(u, past=Past()), "only under a causal kernel"),
        (lambda u: Flow([Local(8, 8)])(u, past=Past()), "only under a causal kernel"),
        (lambda u: small(causal=True)(u, mask=torch.ones(5).bool(), past=Past()), "without mask and weights"),
        (lambda u: small(causal=True)(u, weights=torch.rand(5) + 1, past=Past()), "without mask and weights"),
        (lambda u: [small(causal=True)(u, n, past=p) for p in [Past()] for n in (2, 3)], "flowed in 2 steps"),
    ],
)
def test_where_the_past_would_change_it_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.randn(5, 8))


@torch.no_grad()
def test_every_evaluation_of_a_kernel_has_a_slot():
    """Strang with midpoint substeps evaluates attention four times in a step, and the local term has no slot."""
    flow = small(causal=True).by("strang", substep="midpoint")
    past = Past()
    for tokens in (3, 2, 1):
        flow(torch.randn(tokens, 8), 5, past=past)
    assert len(past.slots) == 4 * 5
    assert all(slot.tokens == past.tokens == 6 and slot.k.shape == slot.v.shape == (2, 6, 4) for slot in past.slots)
    assert past.slot(3) is past.slots[3] and past.slot(20).tokens == 0


@pytest.mark.parametrize("form", FORMS, ids=str)
@torch.no_grad()
def test_the_last_tokens_alone_are_the_end_of_all(form):
    lm = model(**form)
    u0 = lm.initial_field(torch.randint(0, len(lm.config.vocabulary), (2, 12)))
    for steps, last in ((1, 1), (2, 3), (5, 12)):
        whole = lm.flow(u0, steps, save="final").final
        told = []
        for watch in (None, told.append):
            part = lm.flow(u0, steps, save="final", last=last, watch=watch).final
            torch.testing.assert_close(part, whole[:, -last:], rtol=0, atol=1e-12)
        assert torch.equal(told[-1].after[:, -last:], part)


def test_in_the_last_step_the_others_are_heard_and_go_no_further(monkeypatch):
    lm, seen = model(), []
    local = Local.forward
    monkeypatch.setattr(Local, "forward", lambda self, u: seen.append(u.shape[-2]) or local(self, u))
    lm.flow(torch.randn(1, 9, 16, dtype=torch.float64), 3, save="final", last=2)
    assert seen == [9, 9, 2]
    for last, save, message in ((0, "final", "last must be a whole number ≥ 1"), (1, "all", 'give save="final"')):
        with pytest.raises(ValueError, match=message):
            lm.flow(torch.randn(1, 9, 16, dtype=torch.float64), 3, save=save, last=last)


def test_parameters_between_knots_are_made_once_for_a_text(monkeypatch):
    lm, made = model(depth="elastic", layers=4), []
    between = depth.between
    monkeypatch.setattr(depth, "between", lambda *which: made.append(which) or between(*which))
    lm.generate("the river", 5, steps=8, seed=0)
    first = len(made)
    made.clear()
    lm.generate("the river", 30, steps=8, seed=0)
    assert len(made) == first > 0 and type(lm.flow.depth) is depth.PiecewiseLinear
    with pytest.raises(ValueError, match="made for 8 steps, and not for 4"):
        depth.Ready(lm.flow.depth, 8).check_steps(4)
    with pytest.raises(ValueError, match="steps must be a whole number ≥ 1"):
        lm.generate("the river", 5, steps=0)


def test_without_a_seed_torchs_own_generator_says_and_goes_on_as_it_was():
    lm, written = model(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        written.append((lm.generate("the river", 30), lm.generate("the river", 30), torch.rand(1).item()))
    assert written[0] == written[1] != written[2] and written[0][0] != written[0][1]
