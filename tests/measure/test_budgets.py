"""Term budgets close, for every scheme; and on fields where the answer is known they give it."""

from typing import get_args

import pytest
import torch
from torch import nn

from flowlib.fields import Grid
from flowlib.flow import Constant, Flow, Increment, PerStep
from flowlib.flow.trajectory import Kind
from flowlib.measure.budgets import attention_of, budget, by_head, by_token, kernel_of
from flowlib.measure.defects import defects
from flowlib.models import FlowConfig, FlowLM, from_torch, shipped
from flowlib.operators import (
    Affine,
    Attention,
    LiteralLocal,
    Local,
    Moments,
    Neighbourhood,
    NonNegative,
    Past,
    PreNorm,
    Pull,
    Rotary,
    Sphere,
    Term,
    UnitLength,
)


class Rain(Term):
    """The same velocity everywhere."""

    def __init__(self, *velocity):
        super().__init__()
        self.velocity = torch.tensor(velocity, dtype=torch.float64)

    def forward(self, u):
        return self.velocity.expand_as(u)


def flow_of(constraint, scheme="lie", **how):
    torch.manual_seed(0)
    flow = Flow([Attention(8, 2), Local(8, 16, "tanh")], constraint, scheme, PerStep(2), **how)
    for p in flow.parameters():
        nn.init.normal_(p, std=0.4)
    return flow.double()


def start(dtype=torch.float64):
    torch.manual_seed(1)
    return Moments().project(torch.randn(3, 5, 8, dtype=dtype))


MOVING = dict(mean=lambda t: 0.1 * t, std=lambda t: 1 + 0.2 * t)
WAYS = [
    dict(scheme=scheme, substep=substep, tangent=tangent)
    for scheme in ("lie", "strang", "additive", "symmetrised")
    for substep, tangent in (("euler", False), ("midpoint", False), ("heun", True))
]


@pytest.mark.claim("C9.1")
@pytest.mark.parametrize("how", WAYS, ids=lambda how: "-".join(map(str, how.values())))
@torch.no_grad()
def test_budgets_sum_to_the_whole_in_every_scheme(measured, how):
    valid = torch.arange(5) < torch.tensor([[5], [4], [3]])
    for constraint in (Moments(), Moments(**MOVING), Sphere(2.0)):
        flow, u0 = flow_of(constraint, **how), constraint.project(start(), 0.0)
        account, final = budget(flow, u0, 3, mask=valid), flow(u0, 3, mask=valid).final
        measured.at_most("largest miss of a budget's sum, float64", (account.final - final).abs().max(), 1e-12)
        r = torch.randn(8, 2, dtype=torch.float64)
        along = account.along(r)
        measured.at_most("largest miss of a budget's sum, float64", (along.final - final @ r).abs().max(), 1e-12)


@pytest.mark.claim("C9.1")
@pytest.mark.parametrize("heads", [False, True], ids=["terms", "heads"])
@torch.no_grad()
def test_budgets_of_a_trained_model_sum_to_its_logits(measured, heads):
    model = FlowLM.load(shipped("tiny"))
    u0 = model.trajectory("the value of the argum").fields[0]
    account = budget(model.flow, u0, heads=heads).along(model.embed.weight.T)
    logits = model.read_out(model.flow(u0).final).double()
    miss = (account.final - logits).abs().max() / logits.abs().max()
    measured.at_most("miss of a logit's budget, float32, relative to the largest logit", miss, 1e-6)
    assert account.moved.shape == ((28 if heads else 16), 22, 256)


@torch.no_grad()
def test_watching_changes_no_bit_and_sees_every_step():
    for how in WAYS:
        flow, u0, seen = flow_of(Moments(), **how), start(), []
        watched = flow(u0, 3, watch=seen.append)
        assert torch.equal(watched.fields, flow(u0, 3).fields)
        assert [one.step for one in seen] == sorted(one.step for one in seen) and seen[-1].step == 2
        assert all(isinstance(one, Increment) for one in seen)
        u = u0
        for n, step in enumerate(flow.maps(u0, 3)):
            u = step(u)
            assert torch.equal(u, watched.fields[n + 1])


def test_recomputing_in_training_does_not_tell_twice():
    flow, seen = flow_of(None), []
    flow.recompute = True
    flow(start().requires_grad_(), 2, watch=seen.append).final.sum().backward()
    assert len(seen) == 4


def test_a_known_answer_rain_against_a_wall():
    """Two rains on u ≥ 0: what each moved and what the wall took back, by hand."""
    flow = Flow([Rain(1.0, -2.0), Rain(0.5, 0.5)], NonNegative(), depth=Constant(2))
    account = budget(flow, torch.tensor([[0.0, 3.0]], dtype=torch.float64))
    expected = [  # u: (0, 3) → (1, 1) → (1.5, 1.5) → (2.5, −0.5 → 0) → (3, 0.5)
        (0, "rain", [1.0, -2.0]), (0, "rain", [0.5, 0.5]),
        (1, "rain", [1.0, -2.0]), (1, "projection", [0.0, 0.5]), (1, "rain", [0.5, 0.5]),
    ]  # fmt: skip
    assert [(s, n, m[0].tolist()) for s, n, m in zip(account.steps, account.names, account.moved)] == expected
    assert account.table()[0, "rain"][0].tolist() == [1.5, -1.5]
    assert account.by_name()["projection"][0].tolist() == [0.0, 0.5]
    shares = account.shares()[:, 0]
    assert shares.sum().item() == pytest.approx(1) and shares[0].item() == pytest.approx((3 + 5) / (9 + 6.25))


def test_side_by_side_each_term_counts_with_its_share():
    flow = Flow([Rain(1.0, 0.0), Rain(0.0, 1.0)], None, "symmetrised")
    account = budget(flow, torch.zeros(1, 2, dtype=torch.float64))
    assert account.by_name()["rain"][0].tolist() == [1.0, 1.0]
    assert [m[0].tolist() for m in account.moved] == [[0.5, 0.0], [0.0, 0.5], [0.0, 0.5], [0.5, 0.0]]


@torch.no_grad()
def test_heads_and_heard_tokens_sum_to_the_term():
    for model in (FlowLM(FlowConfig(width=16, heads=4, layers=2, norm=norm, bias=True)) for norm in ("post", "pre")):
        torch.manual_seed(0)
        for p in model.parameters():
            nn.init.normal_(p, std=0.3)
        seen, r = [], torch.randn(16, dtype=torch.float64)
        model = model.double()
        model.flow(model.initial_field(torch.arange(7)), 3, watch=seen.append)
        told = [one for one in seen if attention_of(one) is not None]
        assert len(told) == 3
        for one in told:
            bias = one.dt * attention_of(one).out.bias
            moved = one.moved - one.before - bias
            assert (one.dt * by_head(one).sum(-3) - moved).abs().max() < 1e-13
            assert (by_token(one, r).sum((-3, -1)) - moved @ r).abs().max() < 1e-13
            assert (by_token(one, r).triu(1) == 0).all()  # causal: nobody pushes from ahead
        with pytest.raises(ValueError, match="this substep is 'feed-forward'"):
            by_head(seen[1])


PLACES = Grid.product(Grid.graded(2), Grid.uniform(3))
RIGHT = torch.ones(6, 6, dtype=torch.bool).triu().mT
VALID = torch.arange(6) < torch.tensor([[6], [4]])


def near(dim):
    neighbourhood = Neighbourhood(dim, 0.25)
    nn.init.normal_(neighbourhood.share, std=0.3)
    return neighbourhood


ATTENTIONS = {
    "plain": lambda: Attention(12, 3),
    "no bias": lambda: Attention(12, 3, bias=False),
    "dropout": lambda: Attention(12, 3, dropout=0.3),
    "near": lambda: Attention(12, 3, near=near(12)),
    "near and dropout": lambda: Attention(12, 3, near=near(12), dropout=0.2),
    "volterra": lambda: Attention(12, 3, causal="volterra", temperature=0.5),
    "wide heads": lambda: Attention(12, 3, head_dim=8, prepare=Rotary(8)),
    "unit length": lambda: Attention(12, 2, prepare=UnitLength(2, 6)),
    "pre-norm": lambda: PreNorm(Attention(12, 3, dropout=0.3), Moments(eps=1e-5), Affine(12)),
}
HEARING = {
    "all": {},
    "weights": dict(weights=PLACES),
    "weights for each": dict(weights=torch.rand(2, 6, generator=torch.Generator().manual_seed(0)).double() + 0.1),
    "mask": dict(weights=PLACES, mask=RIGHT),
    "valid": dict(weights=PLACES, mask=VALID),
    "steps": dict(weights=PLACES, steps=5),
}


@pytest.mark.parametrize("make", ATTENTIONS.values(), ids=ATTENTIONS)
@pytest.mark.parametrize("scheme", ["lie", "symmetrised"])
@torch.no_grad()
def test_heads_sum_to_the_result_whatever_attention_does(make, scheme):
    """In training, too: what was dropped has a row of its own."""
    torch.manual_seed(0)
    local = Local(12, dropout=0.1)
    flow = Flow([make(), local], Moments(eps=1e-5), scheme, PerStep(2)).double().train()
    u0 = torch.randn(2, 6, 12, dtype=torch.float64)
    for name, how in HEARING.items():
        if any(term.needs_points for term in flow.terms) and not isinstance(how.get("weights"), Grid):
            continue
        torch.manual_seed(1)
        account = budget(flow, u0, **how, heads=True)
        torch.manual_seed(1)
        final = flow(u0, **how).final
        assert (account.final - final).abs().max() < 1e-12 * final.abs().max(), name
        flow.eval()
        seen = []
        flow(u0, **how, watch=seen.append)
        one = next(one for one in seen if attention_of(one) is not None)
        bias, r = attention_of(one).out.bias, torch.randn(12, dtype=torch.float64)
        velocity = (one.moved - one.before) / one.dt - (0 if bias is None else bias)
        assert (by_head(one).sum(-3) - velocity).abs().max() < 1e-12, name
        pushed = one.share * one.dt * velocity @ r
        assert (by_token(one, r).sum((-3, -1)) - pushed).abs().max() < 1e-12, name
        flow.train()


def test_dropout_has_a_row_only_where_something_is_dropped():
    names = lambda flow: set(budget(flow, torch.randn(5, 12), heads=True).names)
    flow = Flow([Attention(12, 3, dropout=0.3)], Moments())
    assert names(flow.train()) - names(flow.eval()) == {"dropout"}
    assert names(flow.train()) == {"head 1", "head 2", "head 3", "bias", "dropout", "projection"}


class Doubled(Attention):
    """Attention that does more than its heads say."""

    def forward(self, u, **context):
        return 2 * super().forward(u, **context)


class Bent(Attention):
    """Attention that does a little more than its heads say."""

    def forward(self, u, **context):
        return (1 + 1e-4) * super().forward(u, **context)


def test_heads_that_do_not_sum_are_refused():
    u0, r = torch.randn(5, 8), torch.randn(8)
    flow = Flow([Doubled(8, 2)], Moments())
    with pytest.raises(ValueError, match="must add up to what Doubled moved in step 0, and miss it by"):
        budget(flow, u0, heads=True)
    assert budget(flow, u0).names == ["doubled", "projection"]
    with pytest.raises(ValueError, match="and miss it by"):
        budget(Flow([Bent(8, 2)]).double(), u0.double(), heads=True)
    plain, seen = Flow([Attention(8, 2)], Moments()), []
    plain.by("lie", substep="midpoint")(u0, watch=seen.append)
    with pytest.raises(ValueError, match="must add up to what Attention moved"):
        by_token(seen[0], r)
    seen.clear()
    causal, past = Flow([Attention(8, 2, causal=True)], Moments()), Past()
    causal(u0, past=past)
    causal(u0[-1:], past=past, watch=seen.append)
    with pytest.raises(ValueError, match="this substep heard a past"):
        by_head(seen[0])


@torch.no_grad()
def test_attention_inside_of_a_pull_has_a_kernel_but_no_heads():
    torch.manual_seed(0)
    attention = Attention(8, 2)
    flow, u0, seen = Flow([Pull(attention, Sphere(), 8)], Sphere()).eval(), start(torch.float32), []
    flow(u0, watch=seen.append)
    torch.testing.assert_close(kernel_of(seen[0]), flow.terms[0].term.kernel(u0))
    with pytest.raises(ValueError, match="this substep is 'pull'"):
        by_head(seen[0])
    assert budget(flow, u0, heads=True).names == ["pull", "projection"]


@torch.no_grad()
def test_in_half_precision_heads_are_told_apart_as_well():
    flow = Flow([Attention(8, 2), Local(8)], Moments(eps=1e-5)).eval()
    for dtype in (torch.bfloat16, torch.float32):
        u0 = start(torch.float32).to(dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
            model = flow.to(dtype)
            assert (budget(model, u0, heads=True).final - model(u0).final.double()).abs().max() < 0.1


@torch.no_grad()
def test_a_last_norm_has_a_row_of_its_own():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
    flow = from_torch(nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)).double().eval()
    account = budget(flow, start(), heads=True)
    assert account.names[-1] == "readout" and "bias" in account.names and "projection" not in account.names
    assert (account.final - flow(start()).final).abs().max() < 1e-12


def test_the_literal_reading_has_a_budget_too():
    flow = Flow([LiteralLocal([8, 16, 8]).double()], Moments())
    account = budget(flow, start())
    assert account.names == ["feed-forward", "projection"]
    assert (account.final - flow(start()).final).abs().max() < 1e-12


def test_defects_of_a_trajectory():
    on, off = flow_of(Moments()), flow_of(None)
    assert defects(Moments(), on(start(), 3)).max() < 1e-14
    found = defects(Moments(), off(start(), 3))
    assert found.shape == (4, 3, 5) and found[0].max() < 1e-14 and found[-1].min() > 1e-3
    eps = Moments(eps=1e-5)
    miss = defects(eps, flow_of(eps)(start(), 3))[-1]
    assert 1e-7 < miss.min() and miss.max() < 1e-5  # ½ε/s², with a spread s of about 1 before the projection


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="heads can be told apart in Euler substeps.*midpoint.*leave heads=True out"):
        budget(flow_of(Moments(), substep="midpoint"), start(), heads=True)
    with pytest.raises(ValueError, match="with 8 features, got"):
        budget(flow_of(None), start()).along(torch.zeros(7))


@torch.no_grad()
def test_an_increment_says_its_kind():
    """Two paths of two terms on a set that moves: it carries u twice, and projects the mean of the paths."""
    seen, flow = [], flow_of(Moments(**MOVING), "symmetrised", substep="midpoint", tangent=True)
    flow.readout = nn.Linear(8, 8).double()
    final = flow(start(), 2, watch=seen.append).final
    step = ["carry", *["term"] * 4, "projection", "carry"]
    assert [one.kind for one in seen] == [*step, *step, "readout"] and set(step) | {"readout"} == set(get_args(Kind))
    for one in seen:
        assert (one.term is None) == (one.kind in ("carry", "projection")) == (one.before is one.moved)
        assert (one.context is None) == (one.kind != "term")
    assert seen[-1].term is flow.readout and seen[-1].after is final and seen[-1].step == 2


def test_defects_are_those_of_the_set_at_its_time():
    S = Moments(**MOVING)
    flow = flow_of(S)
    assert defects(S, flow(S.project(start(), 0.0), 3)).max() < 1e-14
    assert defects(Moments(), flow(S.project(start(), 0.0), 3))[-1].min() > 0.1
