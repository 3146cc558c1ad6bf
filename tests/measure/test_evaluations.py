"""The work of a scheme: counted as it is done, against a solution that another library finds too."""

import math

import pytest
import torch
from torch import nn
from torchdiffeq import odeint

from flowlib.flow import Constant, Flow, PerStep, PiecewiseLinear
from flowlib.measure.evaluations import compare_work, error, evaluations, solution, work
from flowlib.operators import Attention, LiteralLocal, Local, Moments, Term


def flow_of(depth, constraint=None, spread=0.3):
    torch.manual_seed(0)
    flow = Flow([Attention(8, 2), Local(8, 16, "tanh")], Moments() if constraint is None else constraint, depth=depth)
    for p in flow.parameters():
        nn.init.normal_(p, std=spread)
    return flow.double()


def start():
    torch.manual_seed(1)
    return Moments().project(torch.randn(5, 8, dtype=torch.float64))


WAYS = [("lie", "euler", 2), ("strang", "midpoint", 6), ("additive", "heun", 4), ("lie", "rk4", 8)]


@pytest.mark.parametrize("scheme, substep, each", WAYS)
def test_evaluations_are_what_is_called(scheme, substep, each):
    flow, calls = flow_of(PerStep(2)).by(scheme, substep=substep), []
    for layer in flow.depth.layers:
        for term in layer:
            term.register_forward_hook(lambda *_: calls.append(1))
    flow(start(), 4)
    assert len(calls) == evaluations(flow, 4) == 4 * each


@pytest.mark.parametrize("depth", [lambda: PerStep(2), lambda: PiecewiseLinear(3, 2)], ids=["per_step", "linear"])
@torch.no_grad()
def test_the_solution_is_torchdiffeqs(depth):
    """Piece by piece, since per-step parameters jump between two steps."""
    flow, u0 = flow_of(depth()), start()
    u = u0
    for k in range(2):
        times = torch.tensor([k + 1e-9, k + 1 - 1e-9], dtype=torch.float64)
        u = odeint(lambda t, v: flow.velocity(v, t.item()), u, times, method="dopri8", rtol=1e-7, atol=1e-8)[-1]
    assert error(solution(flow, u0, 1e-4), u) < 1e-5  # the last change is 1e-4 or less, and Richardson improves on it


def test_tangent_strang_needs_a_quarter_of_lies_work_or_less():
    flow, u0 = flow_of(PerStep(2)), start()
    lie, plain, tangent = compare_work(flow, u0)
    assert (lie.scheme, plain.scheme, tangent.scheme) == ("lie, euler", "strang, midpoint", "tangent strang, midpoint")
    for found in (lie, plain, tangent):
        assert found.error <= 1e-3 and found.steps % 2 == 0
    assert tangent.evaluations <= lie.evaluations / 4
    reference = solution(flow, u0, 1e-5)
    fewer = flow.by("strang", substep="midpoint", tangent=True)(u0, tangent.steps - 2, save="final").final
    assert error(fewer, reference) > 0.97e-3  # there is no cheaper one to speak of


def test_where_it_cannot_be_told_it_says_so():
    flow, u0 = flow_of(PerStep(2)), start()
    with pytest.raises(ValueError, match="still changes by"):
        solution(flow, u0, 1e-12, most=8)
    with pytest.raises(ValueError, match="is left after"):
        work(flow, u0, solution(flow, u0, 1e-4), 1e-6, most=64)
    with pytest.raises(ValueError, match="no continuous limit"):
        solution(Flow([LiteralLocal([8, 16, 8]).double()]), u0)


@pytest.mark.parametrize("tolerance", [1e-2, 2e-3])
@torch.no_grad()
def test_the_fewest_steps_are_found_with_few_tries(tolerance):
    """Doubling, then a power law: not one try for every number of steps in between."""
    flow, u0 = flow_of(PerStep(2)), start()
    reference, tries = solution(flow, u0, 1e-5), []
    flow.register_forward_hook(lambda *_: tries.append(1))
    found = work(flow, u0, reference, tolerance)
    assert len(tries) <= math.log2(found.steps) + 5
    one_less = error(flow(u0, found.steps - 2, save="final").final, reference)
    assert found.error <= tolerance and (found.error >= 0.97 * tolerance or one_less > tolerance)


@torch.no_grad()
def test_a_reference_that_is_met_exactly_and_a_flow_that_blows_up_end_the_search():
    flow, u0 = flow_of(PerStep(2)), start()
    assert work(flow, u0, flow(u0, 8, save="final").final, 1e-12).error == 0
    stiff = Flow([Stiff()], None, depth=Constant(2), horizon=2.0)
    found = work(stiff, 1e3 * u0, solution(stiff, 1e3 * u0, 1e-3), 1e-2)
    assert found.steps > 10 and found.error <= 1e-2


class Stiff(Term):
    """u_t = −u³: with few steps Euler blows up to infinity and NaN."""

    def forward(self, u):
        return -(u**3) / 1e4


def test_most_is_the_last_number_of_steps_that_is_tried():
    flow, u0 = flow_of(PerStep(2)), start()
    reference = solution(flow, u0, 1e-5)
    found = work(flow, u0, reference, 1e-2)
    power = 2 ** math.ceil(math.log2(found.steps))
    assert work(flow, u0, reference, 1e-2, most=power).steps == found.steps
    with pytest.raises(ValueError, match="is left after"):
        work(flow, u0, reference, 1e-2, most=power - 1)
