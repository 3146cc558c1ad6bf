"""Parameters in terraces, and steps that are fitted to them."""

import pytest
import torch
from torch import nn

from flowlib.flow import Flow, PiecewiseLinear, Terraced
from flowlib.measure import order
from flowlib.models import FlowConfig, FlowLM, Vocabulary
from flowlib.models.wide import widen_flow
from flowlib.operators import Attention, Local, Moments, Past, PreNorm

TEXT = "the river flows, and the river remembers"


def model(depth="terraced", layers=8, **changes):
    torch.manual_seed(0)
    shape = dict(vocabulary=Vocabulary.characters(TEXT), context=16, width=16, heads=2)
    lm = FlowLM(FlowConfig(depth=depth, layers=layers, **shape, **changes)).double().eval()
    for p in lm.flow.parameters():
        nn.init.normal_(p, std=0.3)
    return lm


def flow_of(depth):
    torch.manual_seed(0)
    pattern = [Attention(8, 2).double(), PreNorm(Local(8, 16, "tanh"), Moments()).double()]
    return Flow(pattern, Moments(), "lie", depth)


def theta(depth, s):
    return torch.cat([p.flatten() for term in depth([s])[0] for p in term.parameters()])


@pytest.mark.parametrize(
    ("steps", "lengths"),
    [
        (8, [1] * 8),
        (4, [2] * 4),
        (6, [1, 1, 1, 1, 2, 2]),
        (5, [1, 1, 2, 2, 2]),
        (3, [2, 3, 3]),
        (1, [8]),
        (16, [0.5] * 16),
        (12, [0.5] * 8 + [1] * 4),
        (9, [0.5, 0.5] + [1] * 7),
        (20, [1 / 3] * 12 + [0.5] * 8),
    ],
)
def test_a_step_is_a_number_of_layers_or_an_equal_part_of_one(steps, lengths):
    flow = flow_of(Terraced(8))
    u0 = torch.randn(5, 8, dtype=torch.float64)
    times = flow(u0, steps).times
    torch.testing.assert_close(times.diff(), torch.tensor(lengths, dtype=torch.float64), rtol=0, atol=1e-12)
    assert times[0] == 0 and times[-1] == pytest.approx(8, abs=1e-12)
    assert flow(u0, steps, save="final").times[-1] == times[-1]


def test_any_other_depth_takes_equal_steps():
    flow = flow_of(PiecewiseLinear(8, 8, middles=True))
    assert flow(torch.randn(5, 8, dtype=torch.float64), 6).times.tolist() == [n * (8 / 6) for n in range(7)]


def test_halves_and_quarters_of_a_layer_have_its_parameters_as_they_are():
    depth = flow_of(Terraced(4)).depth
    for parts in (1, 2, 4):
        layers = depth(depth.middles(4 * parts))
        assert [layer[0] is depth.terms(n // parts)[0] for n, layer in enumerate(layers)] == [True] * (4 * parts)
    ramp = depth([0.25])[0][0]  # on the border between two layers: their mean
    torch.testing.assert_close(ramp.qkv.weight, (depth.terms(0)[0].qkv.weight + depth.terms(1)[0].qkv.weight) / 2)


def test_the_parameters_are_continuous_in_the_depth():
    depth = flow_of(Terraced(4)).depth
    grid = torch.linspace(0, 1, 4001).tolist()
    thetas = torch.stack([theta(depth, s) for s in grid])
    jump = (theta(depth, 0.4) - theta(depth, 0.6)).abs().max()
    assert thetas.diff(dim=0).abs().max() < 0.03 * jump  # 16 lengths of a layer's quarter on 4000 points: 1/250 each
    assert torch.equal(thetas[500], thetas[400]) and not torch.equal(thetas[1000], thetas[900])


def test_it_is_the_discrete_network_in_as_many_steps_as_layers_and_in_twice_as_many():
    """The same bits: a terrace is a layer, and half of it the same layer at half the step."""
    terraced, discrete, straight = model(), model("per_step"), model("elastic")
    tokens = torch.randint(0, len(terraced.config.vocabulary), (2, 9))
    for steps in (8, 16, 32):
        assert torch.equal(terraced(tokens, steps), discrete(tokens, steps))
    assert torch.equal(terraced(tokens, 4), straight(tokens, 4)) and not torch.equal(
        terraced(tokens, 16), straight(tokens, 16)
    )
    assert torch.equal(model(layers=1)(tokens, 3), model("per_step", layers=1)(tokens, 3))


def test_refined_it_converges_to_its_own_equation():
    flow = flow_of(Terraced(4))
    u0 = torch.randn(5, 8, dtype=torch.float64)
    river = flow(u0, 4096, save="final").final
    steps = [64, 128, 256]
    errors = [(flow(u0, n, save="final").final - river).norm().item() for n in steps]
    assert order(errors, steps) == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize("steps", [6, 8, 12])
def test_maps_watched_steps_a_past_and_another_dtype_take_the_same_steps(steps):
    lm = model()
    tokens = torch.randint(0, len(lm.config.vocabulary), (1, 9))
    u0 = lm.initial_field(tokens)
    fields, seen, u = lm.flow(u0, steps).fields, [], u0
    for step, after in zip(lm.flow.maps(u0, steps), fields[1:], strict=True):
        u = step(u)
        assert torch.equal(u, after)
    assert torch.equal(lm.flow(u0, steps, watch=seen.append).final, u)
    lengths = [one.dt for one in seen if one.kind == "term"][::2]
    torch.testing.assert_close(torch.tensor(lengths), torch.tensor(lm.flow.depth.times(steps, 8.0)[1]))
    past = Past()
    lm.flow(u0[:, :5], steps, past=past)
    torch.testing.assert_close(lm.flow(u0[:, 5:], steps, past=past).final, u[:, 5:], rtol=0, atol=1e-12)
    narrow = model().float()
    wide = widen_flow(narrow.flow, torch.float64)
    assert torch.equal(wide(u0, steps).times, lm.flow(u0, steps).times)


def test_it_writes_in_a_number_of_steps_that_is_fitted():
    lm = model()
    text = lm.generate("the r", 12, temperature=0, steps=6)
    assert text == lm.generate("the r", 12, temperature=0, steps=6, keep_past=False)
    tokens = lm.config.vocabulary.encode(text)
    assert tokens[-1] == lm(tokens[None, :-1], 6)[0, -1].argmax()


def test_its_layers_are_its_knots():
    with pytest.raises(ValueError, match="knots must be ≥ 1, and belong to depth elastic or piecewise_linear"):
        FlowConfig(depth="terraced", knots=3)
    with pytest.raises(ValueError, match="only elastic and piecewise_linear parameters have knots to double"):
        model().double_knots()
