"""Chapter 06: what its claims need beyond the tests of the library. A layer against its own refined flow."""

import math

import pytest
import torch
from torch import nn

from flowlib.flow import Flow
from flowlib.measure import order
from flowlib.models import FlowLM, from_torch, shipped
from flowlib.operators import Moments, project_moments

FINE = 128  # steps per layer; the error left is about 1/FINE of that of one step


@torch.no_grad()
def missed(flow, u0, steps):
    """The distance to the refined flow after each number of steps, in units of the way that the flow goes."""
    river = flow(u0, FINE, save="final").final
    return [((flow(u0, n, save="final").final - river).norm() / (river - u0).norm()).item() for n in steps]


@pytest.mark.claim("C6.7")
def test_a_trained_layer_is_far_from_its_refined_flow(measured):
    model = FlowLM.load(shipped("tiny")).double()
    with torch.no_grad():
        fields = model.trajectory("the value of the argument is returned as a list").fields
    for u0, terms in zip(fields, model.flow.depth.layers):
        layer = Flow(list(terms), Moments(eps=1e-5), horizon=1.0)
        gaps = missed(layer, u0, [1, 4, 8])
        measured.between("ρ of a trained layer, one step", gaps[0], 1 / 3, 0.6)
        measured.near("order of ρ in the steps per layer", order(gaps[1:], [4, 8]), 1, within=0.2)


@pytest.mark.claim("C6.7")
@pytest.mark.parametrize("gain, low, high", [(0.25, 0.0, 0.03), (1.0, 0.1, 0.3), (2.0, 0.5, 1.0)])
def test_a_random_layer_is_close_to_its_flow_where_its_matrices_are_small(measured, gain, low, high):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 128, 0.0, batch_first=True, dtype=torch.float64).eval()
    u0 = project_moments(torch.randn(16, 32, dtype=torch.float64))
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(gain if p.ndim == 2 else 1.0)
    measured.between(f"ρ of a random layer, gain {gain:g}", missed(from_torch(layer), u0, [1])[0], low, high)


@pytest.mark.claim("C6.6")
@torch.no_grad()
def test_the_literal_reading_collapses_onto_the_largest_feature(measured):
    """Refined, the literal substeps leave one feature at √(d−1), the largest, and all others at −1/√(d−1)."""
    torch.manual_seed(0)
    d = 8
    layer = nn.TransformerEncoderLayer(d, 2, 32, 0.0, batch_first=True, dtype=torch.float64).eval()
    u0 = project_moments(torch.randn(5, d, dtype=torch.float64))
    end = from_torch(layer, "literal")(u0, 2048, save="final").final
    high, low = u0.new_tensor([math.sqrt(d - 1), -1 / math.sqrt(d - 1)])
    spike = torch.where(nn.functional.one_hot(u0.argmax(-1), d) == 1, high, low)
    measured.at_most("literal, 2,048 steps: distance from the spike", (end - spike).abs().max(), 0.01)
    local = from_torch(layer, "local")(u0, 256, save="final").final
    assert (local - u0).norm() < (spike - u0).norm() / 2
