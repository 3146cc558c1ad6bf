"""The one shallow copy: what is set on a twin is not set on the flow it was made of, and their parameters are one."""

import copy

import pytest
import torch
from torch import nn

from flowlib.flow import Constant, Flow, PerStep, PiecewiseLinear
from flowlib.flow.depth import between
from flowlib.flow.twin import twin
from flowlib.measure import budget, evaluations, exponents, kernels_of, without
from flowlib.measure.ablation import effect_of_tokens
from flowlib.operators import Attention, Local, Moments


def flow_of(depth=None, **how):
    torch.manual_seed(0)
    return Flow([Attention(4, 2), Local(4, 8)], Moments(eps=1e-5), depth=depth or PerStep(3), **how).double()


def start():
    torch.manual_seed(1)
    return Moments().project(torch.randn(2, 5, 4, dtype=torch.float64))


MAKERS = {
    "twin": twin,
    "by": lambda flow: flow.by("strang", tangent=True),
    "without": lambda flow: without(flow, 1, 0),
    "between": lambda flow: between(flow, flow, 0.5),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_is_set_on_one_is_not_set_on_the_other(make):
    flow = flow_of()
    before, state, ends = dict(flow.__dict__), list(flow.state_dict()), flow(start()).final
    tables = {name: dict(table) for name, table in before.items() if isinstance(table, dict)}
    other = make(flow)
    other.readout = nn.Linear(4, 7).double()
    other.weight = nn.Parameter(torch.ones(3))
    other.register_buffer("number", torch.ones(1))
    other.horizon, other.steps, other.checks, other.note = 9.0, 7, False, "mine"
    other.register_forward_hook(lambda *_: 1 / 0)
    other.register_forward_pre_hook(lambda *_: 1 / 0)
    assert list(flow.state_dict()) == state and torch.equal(flow(start()).final, ends)
    assert {name: flow.__dict__[name] for name in before if name not in tables} == {
        name: value for name, value in before.items() if name not in tables
    }
    assert {name: flow.__dict__[name] for name in tables} == tables and flow.__dict__.keys() == before.keys()
    flow.extra = nn.Linear(2, 2)
    assert not hasattr(other, "extra")


@pytest.mark.parametrize("name", ["twin", "by", "without"])
def test_parameters_are_shared(name):
    flow = flow_of()
    other = MAKERS[name](flow)
    assert other.state_dict().keys() == flow.state_dict().keys()
    assert all(mine is theirs for mine, theirs in zip(other.parameters(), flow.parameters()))
    other(start()).final.sum().backward()
    assert flow.depth.layers[0][1].up.weight.grad is not None


def test_hooks_stay_with_the_module_they_were_given_to():
    local, heard = Local(4), []
    local.register_forward_hook(lambda *_: heard.append("both"))
    other = twin(local)
    local.register_forward_hook(lambda *_: heard.append("first"))
    other(torch.zeros(1, 4))
    assert heard == ["both"]
    local(torch.zeros(1, 4))
    assert heard == ["both", "both", "first"]


def test_a_twin_can_be_copied_and_moved():
    flow = flow_of()
    for make in MAKERS.values():
        other = copy.deepcopy(make(flow).requires_grad_(False)).float()
        assert other(start().float()).final.dtype == torch.float32
    assert next(flow.parameters()).dtype == torch.float64


def test_a_term_between_two_knots_is_made_of_both():
    depth = PiecewiseLinear(2, 2)
    flow = flow_of(depth)
    own = flow.depth([0.25])[0][1]
    first, second = depth.terms(0)[1], depth.terms(1)[1]
    torch.testing.assert_close(own.up.weight, 0.75 * first.up.weight + 0.25 * second.up.weight)
    own.dropout, own.up.bias = 0.5, None
    assert first.dropout == 0 and first.up.bias is not None


MEASURES = {
    "budget": lambda flow, u0: budget(flow, u0),
    "kernels_of": lambda flow, u0: kernels_of(flow, u0, 5),
    "exponents": lambda flow, u0: exponents(flow, u0[0], 2, 5),
    "effect_of_tokens": lambda flow, u0: effect_of_tokens(flow, u0[0], torch.ones(4, dtype=torch.float64)),
    "without": lambda flow, u0: without(flow, 1, 1, steps=6)(u0),
    "solution": lambda flow, u0: evaluations.solution(flow, u0, 1e-2),
    "compare_work": lambda flow, u0: evaluations.compare_work(flow, u0, 0.1),
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_a_measure_leaves_its_callers_flow_as_it_was(measure):
    flow = flow_of()
    before = {name: dict(value) if isinstance(value, dict) else value for name, value in flow.__dict__.items()}
    state = {name: tensor.clone() for name, tensor in flow.state_dict().items()}
    measure(flow, start())
    assert flow.__dict__ == before
    assert flow.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in flow.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("depth", [PerStep(2), Constant(2), PiecewiseLinear(2, 2, middles=True)])
def test_a_flow_without_a_term_lacks_it_for_a_stretch_of_depth(depth):
    flow = flow_of(depth)
    whole, silent = flow(start()), without(flow, 0, 0)
    assert not torch.equal(silent(start()).final, whole.final)
    seen = []
    silent(start(), 4, watch=seen.append)
    assert [type(one.term).__name__ for one in seen] == ["Silent", "Local"] * 2 + ["Attention", "Local"] * 2
    again = without(flow, 0, 0, steps=4)
    assert again.steps == 4 and not torch.equal(again(start()).final, flow(start(), 4).final)
    free = flow.velocity(start(), 0.2) - silent.velocity(start(), 0.2)
    assert free.abs().max() > 1e-3
    assert torch.equal(flow.velocity(start(), 1.7), silent.velocity(start(), 1.7))
    assert torch.equal(flow(start()).final, whole.final)


@pytest.mark.parametrize("steps", [1, 3, 5, 129])
def test_a_stretch_that_is_no_whole_number_of_steps_is_refused(steps):
    silent = without(flow_of(PerStep(2)), 1, 0)
    for call in (silent, silent.maps):
        with pytest.raises(ValueError, match=f"silent in step 1 of 2, .* give without.*steps={steps}"):
            call(start(), steps)


@pytest.mark.parametrize(
    ("step", "index", "steps"),
    [(0.5, 0, None), (0, 0.0, None), (True, 0, None), (2, 0, None), (0, 2, None), (0, 0, 1.5)],
)
def test_a_step_that_is_none_is_refused(step, index, steps):
    with pytest.raises(ValueError, match="there are steps 0 to .* give whole numbers"):
        without(flow_of(PerStep(2)), step, index, steps)
