"""Pushes, effects and kernels over many texts, against the same by hand; and how two lists of numbers agree."""

import pytest
import torch

from flowlib.flow import Flow
from flowlib.measure.ablation import effect_of_tokens
from flowlib.measure.readings import (
    attention_to_tokens,
    correlation,
    effects_of_terms,
    effects_of_tokens,
    pushes_of_terms,
    rank_correlation,
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
