"""The flow: orders under a constraint, padding, moving constraints, the literal reading's missing limit, bad input."""

import math

import pytest
import torch
from torch import nn
from torchdiffeq import odeint

from flowlib.fields import Grid
from flowlib.flow import Constant, Flow, PerStep, PiecewiseLinear
from flowlib.flow.splitting import Scheme
from flowlib.measure import errors_against, order
from flowlib.models import from_torch
from flowlib.operators import Affine, Attention, Local, Moments, NonNegative, Sphere, project_moments

STEPS = [64, 128, 256, 512]


def terms(d=8, spread=0.3, activation="tanh"):
    torch.manual_seed(0)
    pattern = [Attention(d, 2).double(), Local(d, 16, activation).double()]
    for p in (p for term in pattern for p in term.parameters()):
        nn.init.normal_(p, std=spread)
    return pattern


def start(constraint=None, d=8):
    torch.manual_seed(1)
    u = project_moments(torch.randn(5, d, dtype=torch.float64))
    return u if constraint is None else constraint.project(u, 0.0)


@torch.no_grad()
def measured_order(flow, u0, steps=STEPS):
    """Against torchdiffeq's solution of the equation that small steps should tend to."""
    times = torch.tensor([0.0, flow.horizon], dtype=torch.float64)
    reference = odeint(lambda t, u: flow.velocity(u, t.item()), u0, times, method="dopri8", rtol=1e-11, atol=1e-12)[-1]
    return order(errors_against(reference, lambda n: flow(u0, n, save="final").final, steps), steps)


@pytest.mark.claim("C6.3")
@pytest.mark.parametrize(
    "scheme, substep, expected",
    [
        ("lie", "euler", 1),
        ("strang", "euler", 1),
        ("strang", "midpoint", 2),
        ("strang", "heun", 2),
        ("additive", "euler", 1),
        ("symmetrised", "midpoint", 2),
    ],
)
def test_order_without_a_constraint(measured, scheme, substep, expected):
    flow = Flow(terms(), None, scheme, Constant(), substep=substep, horizon=1.0)
    measured.near(f"order, {scheme}, {substep}", measured_order(flow, start()), expected, within=0.06)


KEPT = {False: "projected", True: "tangent"}
STRANG = [
    ("strang", "euler", False, 1),
    ("strang", "midpoint", False, 1),  # the projection after each substep costs Strang its second order
    ("strang", "midpoint", True, 2),  # and the tangent velocity gives it back
    ("strang", "heun", True, 2),
    ("strang", "euler", True, 1),
]
OTHERS = [("lie", "euler", False, 1), ("additive", "midpoint", True, 1), ("symmetrised", "midpoint", True, 2)]


@pytest.mark.claim("C6.5")
@pytest.mark.parametrize(
    "constraint, scheme, substep, tangent, expected",
    [(Moments(), *case) for case in STRANG + OTHERS] + [(Sphere(math.sqrt(8)), *case) for case in STRANG],
)
def test_order_under_a_constraint(measured, constraint, scheme, substep, tangent, expected):
    flow = Flow(terms(), constraint, scheme, substep=substep, tangent=tangent, horizon=1.0)
    what = f"order, {scheme}, {substep}, {KEPT[tangent]}, {type(constraint).__name__}"
    measured.near(what, measured_order(flow, start(constraint)), expected, within=0.06)
    measured.at_most("defect after four steps", constraint.defect(flow(start(constraint), 4).final).max(), 1e-12)


@pytest.mark.claim("C6.5")
@pytest.mark.parametrize(
    "substep, tangent, expected",
    [("euler", False, 1), ("midpoint", False, 1), ("midpoint", True, 2), ("euler", True, 1)],
)
def test_order_under_a_moving_constraint(measured, substep, tangent, expected):
    moving = Moments(mean=lambda t: 0.3 * t * t, std=lambda t: 1 + 0.5 * t)
    flow = Flow(terms(), moving, "strang", substep=substep, tangent=tangent, horizon=1.0)
    what = f"order, strang, {substep}, {KEPT[tangent]}, moving Moments"
    measured.near(what, measured_order(flow, start(moving)), expected, within=0.06)
    trajectory = flow(start(moving), 8)
    for t, u in zip(trajectory.times.tolist(), trajectory.fields):
        assert moving.defect(u, t).max() < 1e-12


@pytest.mark.parametrize("scheme, substep, expected", [("lie", "euler", 1), ("strang", "midpoint", 2)])
def test_order_with_parameters_that_change_with_depth(scheme, substep, expected):
    flow = Flow(terms(), Moments(), scheme, PiecewiseLinear(2), substep=substep, tangent=True)
    assert measured_order(flow, start()) == pytest.approx(expected, abs=0.06)


@pytest.mark.claim("C6.6")
def test_the_literal_reading_has_no_continuous_limit(measured):
    """S1 ∩ S2 is empty at σ1 = 0, so the sieve and layer norm push u back and forth: the path grows with the steps."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, dtype=torch.float64).eval()
    paths = {}
    for reading in ("literal", "local"):
        flow = from_torch(layer, reading)
        lengths = []
        for n in STEPS:
            fields, length = flow(start(), n).fields, 0.0
            for u, h in zip(fields[:-1], [1 / n] * n):
                length += path_of_substeps(flow, u, h)
            lengths.append(length)
        paths[reading] = -order(lengths, STEPS)
    measured.near("length of the way ~ N^p, literal: p", paths["literal"], 1, within=0.1)
    measured.near("length of the way ~ N^p, local: p", paths["local"], 0, within=0.1)
    with pytest.raises(ValueError, match="no continuous limit"):
        from_torch(layer, "literal").velocity(start(), 0.0)


@torch.no_grad()
def path_of_substeps(flow, u, h):
    """The way u goes in one step, substep by substep, the sieve's own substeps included."""
    length = 0.0
    for term, constraint in zip(flow.depth([0.5])[0], flow.constraints):
        if term.is_substep:
            v = u
            for j, linear in enumerate(term.maps):
                same = nn.functional.pad(v, (0, linear.out_features - linear.in_features))
                moved = same + h * (linear(v) - same)
                moved = moved.relu() if j + 1 < len(term.maps) else moved
                length += (moved - same).norm().item()
                v = moved
            w = (u + v) / 2
        else:
            w = u + h * term(u)
        length += (w - u).norm().item()
        u = w if isinstance(constraint, nn.Identity) else constraint.project(w)
        length += (u - w).norm().item()
    return length


@pytest.mark.claim("C0.3")
@torch.no_grad()
def test_the_order_of_the_terms_fades_with_the_step(measured):
    """Attention first or local first: the ends differ by O(Δt)."""
    there = Flow(terms(), Moments(), horizon=1.0)
    back = Flow(terms()[::-1], Moments(), horizon=1.0)
    for ours, theirs in zip(there.depth.layers[0], reversed(back.depth.layers[0])):
        theirs.load_state_dict(ours.state_dict())
    apart = [(there(start(), n).final - back(start(), n).final).norm().item() for n in STEPS]
    measured.at_least("distance of the two orders, 64 steps", apart[0], 1e-4)
    measured.near("order in Δt of that distance", order(apart, STEPS), 1, within=0.06)


def test_padding_does_not_leak():
    flow = Flow(terms(), Moments(), "lie", PerStep(3))
    u = torch.randn(2, 6, 8, dtype=torch.float64)
    valid = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    padded = u.clone()
    padded[0, 4:] = 7.0  # constant tokens, which layer norm cannot place: they are nobody's business
    ours = flow(padded, mask=valid).final
    assert torch.isfinite(ours).all()
    torch.testing.assert_close(ours[0, :4], flow(u[0, :4]).final)
    torch.testing.assert_close(ours[1], flow(u[1]).final)
    torch.testing.assert_close(flow(padded, mask=valid[:, None, :] & valid[:, :, None]).final, ours)


def test_weights_of_the_token_grid_reach_attention():
    """Refine a graded token grid: with weights the field at the old places stays, without it drifts off."""

    def field(x):
        return torch.stack([(k * x).sin() + 1 / k for k in range(1, 9)], -1)

    flow = Flow(terms(), Moments(), "lie", PerStep(2))
    probe = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)

    def at_probe(n, weighted):
        grid = Grid.graded(n, 3.0)
        points = torch.cat([grid.x, probe])
        tiny = torch.full((3,), 1e-12, dtype=torch.float64)  # the probes listen, and are hardly heard
        weights = torch.cat([grid.weights, tiny]) if weighted else torch.cat([torch.ones(n), tiny]).double()
        return flow(field(points), weights=weights).final[-3:]

    exact = at_probe(2048, True)
    sizes = [32, 64, 128]
    assert order([(at_probe(n, True) - exact).abs().max() for n in sizes], sizes) >= 1.9
    assert (at_probe(128, False) - exact).abs().max() > 0.01
    torch.testing.assert_close(flow(start(), weights=Grid.uniform(5)).final, flow(start()).final)


def test_trajectory():
    flow = Flow(terms(), Moments(), "strang", PerStep(3))
    u0 = start()
    trajectory = flow(u0)
    assert trajectory.fields.shape == (4, 5, 8) and torch.equal(trajectory.fields[0], u0)
    assert trajectory.times.tolist() == [0, 1, 2, 3] and torch.equal(trajectory.final, trajectory.fields[-1])
    short = flow(u0, 6, save="final")
    assert short.fields.shape == (1, 5, 8) and short.times.tolist() == [3.0]
    assert len(flow(u0, 6)) == 7
    torch.testing.assert_close(short.final, flow(u0, 6).final)


def test_parameters_of_very_many_steps_are_made_some_at_a_time(monkeypatch):
    flow = Flow(terms(), Moments(), "lie", PiecewiseLinear(3, 2))
    whole = flow(start(), 10).fields
    monkeypatch.setattr("flowlib.flow.equation.AT_ONCE", 4)
    asked = []
    flow.depth.register_forward_pre_hook(lambda _, depths: asked.append(len(depths[0])))
    assert torch.equal(flow(start(), 10).fields, whole) and asked == [4, 4, 2]


def test_gradients_reach_every_parameter():
    for depth in (Constant(2), PerStep(2), PiecewiseLinear(3)):
        flow = Flow(terms(), Moments(), "lie", depth)
        flow(start()).final[:, 0].sum().backward()
        assert all(
            p.grad is not None and p.grad.abs().sum() > 0 for p in flow.depth.layers[0][1].parameters() if p.ndim > 1
        )


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f: f(start() * float("nan")), r"u0 must be finite, but u0\[0, 0\] is nan"),
        (lambda f: f(start().index_fill(0, torch.tensor([1]), float("inf"))), r"u0\[1, 0\] is inf"),
        (lambda f: f(start(), 0), "steps must be a whole number ≥ 1, got 0"),
        (lambda f: f(start(), -2), "steps must be a whole number ≥ 1, got -2"),
        (lambda f: f(start(), save="last"), "save must be one of 'all', 'final', got"),
        (lambda f: f(start()[0]), "float field"),
        (lambda f: f(torch.zeros(5, 8, dtype=torch.long)), "float field"),
        (lambda f: f(start(), mask=torch.ones(5)), "mask must be bool"),
        (lambda f: f(start(), mask=torch.ones(4, dtype=torch.bool)), r"mask must broadcast to \(…, token\), or to"),
        (lambda f: f(start(), mask=torch.arange(5)[:, None].expand(5, 5) > 0), "query 0 .* nothing to attend to"),
        (lambda f: f(start(), weights=torch.ones(4)), "one weight per key token"),
        (lambda f: f(start(), weights=torch.tensor([1.0, 1, 1, 1, 0])), "positive and finite"),
        (lambda f: Flow(terms(), scheme="leapfrog"), "unknown scheme 'leapfrog'; known: lie"),
        (lambda f: Flow(terms(), substep="rk8"), "substep must be one of 'euler', .*, got 'rk8'"),
        (lambda f: Flow(terms(), [Moments()]), "2 terms, 1 constraints"),
        (lambda f: Flow([]), "at least one term"),
        (lambda f: Flow(terms(), horizon=0.0), "horizon must be > 0"),
        (lambda f: Flow(terms(), tangent=True), "one and the same constraint"),
        (lambda f: Flow(terms(), [Moments(), NonNegative()]).velocity(start(), 0.0), "several"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(Flow(terms(), Moments()))


def test_affine_substeps_keep_the_limit():
    """Learned scale and shift as a velocity: the refined flow of an encoder layer converges, at order 1."""
    torch.manual_seed(0)
    attention, local = terms()
    affine = Affine(8).double()
    nn.init.normal_(affine.scale, 1.0, 0.2)
    nn.init.normal_(affine.shift, 0.0, 0.2)
    s1 = Moments()
    flow = Flow([attention, affine, local], [s1, None, s1], "lie", horizon=1.0)
    assert measured_order(flow, start()) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(
    "constraint", [None, Moments(eps=1e-5), Sphere(2.0, 1e-3), Moments(lambda t: t, lambda t: 1 + t)]
)
@pytest.mark.parametrize("steps", [3, 5])
def test_the_short_way_of_lie_and_euler_gives_the_bits_of_the_long_one(constraint, steps):
    """Nobody watches: a plain loop. Watched, or as a scheme of another name with the same path: the general one."""
    flow = Flow([*terms(), Affine(8).double()], constraint, "lie", PiecewiseLinear(3, 3))
    u0, told = start(), []
    short = flow(u0, steps)
    assert torch.equal(short.fields, flow(u0, steps, watch=told.append).fields) and len(told) == 3 * steps
    same = Scheme("one after the other", 1, lambda n: [(1.0, tuple((i, 1.0) for i in range(n)))])
    assert torch.equal(short.fields, flow.by(same)(u0, steps).fields)
    gradients = []
    for way in (flow, flow.by(same)):
        flow.zero_grad()
        way(u0, steps).final.square().sum().backward()
        gradients.append([p.grad.clone() for p in flow.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients))
