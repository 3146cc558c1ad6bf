"""Pushes, effects and kernels over many texts, against the same by hand; and how two lists of numbers agree."""

import pytest
import torch
from scipy.stats import spearmanr

from flowlib.flow import Constant, Flow
from flowlib.measure.ablation import effect_of_tokens, silence_tokens, without
from flowlib.measure.readings import (
    attention_to_tokens,
    correlation,
    effects_of_terms,
    effects_of_tokens,
    pushes_of_terms,
    rank_correlation,
    ranks,
)
from flowlib.operators import Attention, Local, Moments


@pytest.fixture(scope="module")
def reading():
    """A small flow with two steps, three texts of five tokens, and a read-out for each."""
    torch.manual_seed(0)
    flow = Flow([Attention(8, 2), Local(8, 16)], Moments(), horizon=2.0, steps=2).double()
    return flow, torch.randn(3, 5, 8, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)


@torch.no_grad()
def test_pushes_and_effects_are_what_the_terms_add_and_what_is_missing_without_them(reading):
    flow, u0, r = reading
    last = lambda u: u[..., -1, :]
    pushes, effects = pushes_of_terms(flow, u0, r, last), effects_of_terms(flow, u0, r, last)
    assert pushes.shape == effects.shape == (4, 3)
    ends = []
    for silent in (None, 0, 1, 2, 3):
        u = u0
        for k, term in enumerate(list(flow.depth.layers[0]) * 2):
            push = 0 * u if k == silent else term(u)
            if silent is None:
                torch.testing.assert_close(pushes[k], (push[:, -1] * r).sum(-1), rtol=0, atol=1e-12)
            u = Moments().project(u + push)
        ends.append((u[:, -1] * r).sum(-1))
    for k, effect in enumerate(effects):
        torch.testing.assert_close(effect, ends[0] - ends[k + 1], rtol=0, atol=1e-12)


@torch.no_grad()
def test_tokens_are_heard_by_one_or_by_all(reading):
    flow, u0, r = reading
    by_all, by_last = attention_to_tokens(flow, u0, None), attention_to_tokens(flow, u0)
    for gamma in (by_all, by_last):
        torch.testing.assert_close(gamma.sum(-1), torch.ones(3, dtype=torch.float64))
    assert not torch.allclose(by_all, by_last)
    each = torch.stack([attention_to_tokens(flow, u0, at) for at in range(5)])
    torch.testing.assert_close(each.mean(0), by_all)
    assert torch.equal(effects_of_tokens(flow, u0, r)[1], effect_of_tokens(flow, u0[1], r[1]))


def test_ranks_correlate_as_spearman_says():
    a = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    b = torch.tensor([[10.0, 20.0, 25.0, 99.0], [4.0, 3.0, 1.0, 2.0]])
    assert rank_correlation(a, b).tolist() == pytest.approx([1.0, -0.8])
    assert correlation(a[0], 3 - 2 * a[0]) == pytest.approx(-1)


def test_equal_numbers_share_their_rank():
    a, b = torch.tensor([1.0, 2.0, 2.0, 4.0]), torch.tensor([0.0, 0.0, 1.0, 3.0])
    assert ranks(a).tolist() == [0, 1.5, 1.5, 3]
    assert rank_correlation(a, b).item() == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(a, torch.ones(4)).isnan()


@torch.no_grad()
def test_what_comes_after_the_last_step_pushes_nothing(reading):
    flow, u0, r = reading
    last = lambda u: u[..., -1, :]
    pushes = pushes_of_terms(flow, u0, r, last)
    flow = flow.by("lie")
    flow.readout = torch.nn.LayerNorm(8).double()
    assert torch.equal(pushes_of_terms(flow, u0, r, last), pushes)


def test_a_silent_token_is_heard_by_itself_alone():
    masks = silence_tokens(3, torch.tensor([1]))
    assert masks.tolist() == [[[True, False, True], [True, True, True], [True, False, True]]]
    assert torch.equal(silence_tokens(3)[1], masks[0])


@torch.no_grad()
def test_two_terms_are_silenced_one_after_the_other(reading):
    flow, u0, _ = reading
    both = without(without(flow, 0, 0), 1, 1)
    u = u0
    for silent in (0, 1):
        u = Moments().project(Moments().project(u) if silent == 0 else Moments().project(u + flow.terms[0](u)))
        u = Moments().project(u + flow.terms[1](u)) if silent == 0 else u
    torch.testing.assert_close(both(u0).final, u, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="silent in step 0 of 2"):
        without(without(flow, 0, 0), 1, 0, steps=3)(u0, 3)


class OneList(Constant):
    """Parameters that answer with one and the same list for every step."""

    def forward(self, depths):
        return [self.terms(0)] * len(depths)


@torch.no_grad()
def test_a_term_is_silent_in_its_step_alone_even_where_the_steps_share_a_list():
    torch.manual_seed(0)
    flow = Flow([Attention(8, 2), Local(8)], Moments(), depth=OneList(3)).double()
    u = u0 = torch.randn(5, 8, dtype=torch.float64)
    for n in range(3):
        for k, term in enumerate(flow.terms):
            u = Moments().project(u if (n, k) == (1, 0) else u + term(u))
    torch.testing.assert_close(without(flow, 1, 0)(u0).final, u, rtol=0, atol=1e-12)


@torch.no_grad()
def test_the_effect_of_a_token_is_what_is_missing_without_it(reading):
    flow, u0, r = reading
    whole, effects = flow(u0[0]).final, effect_of_tokens(flow, u0[0], r[0], at=None)
    for token in range(5):
        alone = torch.ones(5, 5, dtype=torch.bool)
        alone[:, token] = torch.arange(5) == token
        missing = flow(u0[0], mask=alone).final
        torch.testing.assert_close(effects[token], ((whole - missing).mean(0) @ r[0]), rtol=0, atol=1e-12)
