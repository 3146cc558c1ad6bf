"""Entropy and reach of kernels whose answer is known, and of a flow's own."""

import math

import pytest
import torch

from flowlib.fields import Grid
from flowlib.flow import Flow
from flowlib.measure.kernels import entropy, evenness, heard_tokens, kernels_of, reach
from flowlib.models import FlowLM, shipped
from flowlib.operators import Attention, Local, Moments

UNIFORM = torch.full((5, 5), 0.2, dtype=torch.float64)


def test_entropy_lies_between_one_token_and_all():
    assert entropy(torch.eye(5)).tolist() == [0.0] * 5
    assert entropy(UNIFORM).tolist() == pytest.approx([math.log(5)] * 5)
    assert heard_tokens(UNIFORM).tolist() == pytest.approx([5] * 5)
    assert heard_tokens(torch.tensor([[0.5, 0.25, 0.25, 0.0]])).item() == pytest.approx(2 * math.sqrt(2))


def test_under_a_causal_kernel_evenness_counts_what_may_be_heard():
    causal = torch.ones(4, 4).tril()
    even = evenness(causal / causal.sum(-1, keepdim=True))
    assert even[0].isnan() and even[1:].tolist() == pytest.approx([1, 1, 1])
    allowed = torch.ones(5, 5, dtype=torch.bool)
    assert evenness(torch.eye(5), allowed=allowed).tolist() == [0.0] * 5


def test_weights_are_respected():
    """A constant γ on a graded grid hears all alike, although p is not constant; without weights it looks peaked."""
    grid = Grid.graded(64, 3.0)
    attention = Attention(4, bias=False).double()
    torch.nn.init.zeros_(attention.qkv.weight)
    u = torch.randn(64, 4, dtype=torch.float64)
    p = kernels_of(Flow([attention]), u, weights=grid)[0, 0]
    assert evenness(p, grid).tolist() == pytest.approx([1.0] * 64)
    assert (entropy(p) < math.log(64) - 0.3).all()
    assert reach(p, grid)[0].item() == pytest.approx(0.5, abs=1e-3)  # ∫ |x̃ − 0| dx̃
    middle = (grid.x - 0.5).abs().argmin()
    assert reach(p, grid)[middle].item() == pytest.approx(0.25, abs=1e-3)


def test_reach_in_tokens_and_in_space():
    shift = torch.roll(torch.eye(6), 2, 1)[:4]
    shift = torch.cat([shift, torch.eye(6)[4:]])
    assert reach(shift).tolist() == [2, 2, 2, 2, 0, 0]
    square = Grid.product(Grid.uniform(2), Grid.uniform(2))  # the four points (¼ or ¾, ¼ or ¾)
    p = torch.zeros(4, 4, dtype=torch.float64)
    p[:, 3] = 1.0
    assert reach(p, square).tolist() == pytest.approx([math.sqrt(0.5), 0.5, 0.5, 0.0])


@torch.no_grad()
def test_kernels_along_a_flow_are_those_of_its_substeps():
    model = FlowLM.load(shipped("tiny"))
    trajectory = model.trajectory("the value")
    found = kernels_of(model.flow, trajectory.fields[0])
    assert found.shape == (4, 4, 9, 9)
    for p, u, layer in zip(found, trajectory.fields, model.flow.depth.layers):
        assert torch.equal(p, layer[0].kernel(u))


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="this flow has no attention"):
        kernels_of(Flow([Local(4)], Moments()), torch.randn(3, 4))
    with pytest.raises(ValueError, match="each row of a kernel must sum to 1"):
        entropy(2 * UNIFORM)
    with pytest.raises(ValueError, match="one weight for each of the 5 keys"):
        entropy(UNIFORM, torch.ones(4))
    with pytest.raises(ValueError, match="a place for each of the 5 tokens, got 4"):
        reach(UNIFORM, torch.arange(4.0))


def test_rows_that_all_but_sum_to_one_are_no_kernel():
    with pytest.raises(ValueError, match="must sum to 1"):
        entropy(1.01 * UNIFORM)
    assert evenness(torch.full((2, 2), 0.5)).tolist() == pytest.approx([1, 1])  # two tokens have a choice
