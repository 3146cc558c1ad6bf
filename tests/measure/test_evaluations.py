"""The work of a scheme: counted as it is done, against a solution that another library finds too."""

import pytest
import torch
from torch import nn
from torchdiffeq import odeint

from flowlib.flow import Flow, PerStep, PiecewiseLinear
from flowlib.measure.evaluations import compare_work, error, evaluations, solution, work
from flowlib.operators import Attention, LiteralLocal, Local, Moments


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
    with pytest.raises(ValueError, match="no limit"):
        solution(Flow([LiteralLocal([8, 16, 8]).double()]), u0)
