"""Schemes keep the order that they declare; parameters in depth are what they say."""

import pytest
import torch
from torch import nn

from flowlib.flow import SCHEMES, Constant, PerStep, PiecewiseLinear, Scheme, paper_substeps
from flowlib.flow.splitting import INTEGRATORS, get_scheme
from flowlib.measure import order
from flowlib.operators import Local

STEPS = [16, 32, 64, 128]


def matrices():
    torch.manual_seed(0)
    return torch.randn(3, 4, 4, dtype=torch.float64) / 2


@pytest.mark.claim("C6.1")
@pytest.mark.parametrize("name", SCHEMES)
def test_order_with_exact_substeps(measured, name):
    """u' = (A + B + C) u with each substep solved exactly: what is left is the scheme's own error."""
    mats, u0 = matrices(), torch.ones(4, dtype=torch.float64)
    exact = torch.linalg.matrix_exp(mats.sum(0)) @ u0
    errors = []
    for n in STEPS:
        substeps = [lambda u, h, a=a: torch.linalg.matrix_exp(h * a) @ u for a in mats]
        u = u0
        for _ in range(n):
            u = SCHEMES[name].step(substeps, u, 1 / n)
        errors.append((u - exact).abs().max())
    measured.near(f"order, {name}", order(errors, STEPS), SCHEMES[name].order, within=0.06)


@pytest.mark.parametrize("name, expected", [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)])
def test_order_of_integrators(name, expected):
    errors = []
    for n in STEPS:
        u = torch.tensor(1.0, dtype=torch.float64)
        for _ in range(n):
            u = INTEGRATORS[name](lambda v: -(v**2), u, 1 / n)
        errors.append((u - 0.5).abs())
    assert order(errors, STEPS) == pytest.approx(expected, abs=0.06)


@pytest.mark.claim("C6.3")
def test_macaron_is_strang_with_euler_substeps_and_first_order(measured):
    """½ FFN, attention, ½ FFN: the symmetric order does not help substeps that are Euler steps."""
    mats, u0 = matrices()[:2], torch.ones(4, dtype=torch.float64)
    exact = torch.linalg.matrix_exp(mats.sum(0)) @ u0
    for integrator, expected in (("euler", 1), ("midpoint", 2)):
        errors = []
        for n in (64, 128, 256, 512):
            substeps = [lambda u, h, a=a, f=INTEGRATORS[integrator]: f(lambda v: a @ v, u, h) for a in mats]
            u = u0
            for _ in range(n):
                u = SCHEMES["strang"].step(substeps, u, 1 / n)
            errors.append((u - exact).abs().max())
        found = order(errors, (64, 128, 256, 512))
        measured.near(f"order, two matrices, strang, {integrator}", found, expected, within=0.06)


def test_a_scheme_is_a_table():
    said = []
    substeps = [lambda u, h, i=i: said.append((i, h)) or u for i in range(3)]
    SCHEMES["strang"].step(substeps, 0.0, 1.0)
    assert said == [(0, 0.5), (1, 0.5), (2, 1.0), (1, 0.5), (0, 0.5)]
    table = SCHEMES["strang"].table(["attention", "local"])
    assert table.splitlines() == [
        "strang, order 2",
        "   1  u ← Φ_attention(0.5 Δt) u",
        "   2  u ← Φ_local(Δt) u",
        "   3  u ← Φ_attention(0.5 Δt) u",
    ]
    assert "weight 0.5" in SCHEMES["symmetrised"].table(["a", "b"])


def test_own_scheme():
    backwards = Scheme("backwards", 1, lambda n: [(1.0, tuple((i, 1.0) for i in reversed(range(n))))])
    assert get_scheme(backwards) is backwards
    assert backwards.step([lambda u, h: u + "a", lambda u, h: u + "b"], "", 1.0) == "ba"


@pytest.mark.parametrize("J", [1, 2, 5])
def test_the_papers_substeps(J):
    rows = paper_substeps(J)
    assert [r.m for r in rows] == list(range(1, 4 + J + 1))
    assert [r.part for r in rows] == ["I", "II", *["III"] * J, "", "II"]
    projected = [("P_S2" in r.formula) for r in rows if r.part == "III"]
    assert projected == [True] * (J - 1) + [False]  # the last linear substep is not projected
    assert "½" in rows[-2].formula and str(rows[0]).startswith(" 1  I")


# ---- depth ----


def weights_at(depth, depths):
    return [layer[0] for layer in depth(depths)]


def test_constant_shares_one_set():
    depth = Constant(3).attach([nn.Linear(2, 2)])
    layers = weights_at(depth, [0.1, 0.5, 0.9])
    assert depth.steps == 3 and layers[0] is layers[1] is layers[2]


def test_per_step_changes_at_whole_depths():
    depth = PerStep(3).attach([nn.Linear(2, 2)])
    assert [depth.layers[0][0], depth.layers[1][0], depth.layers[2][0]] == weights_at(depth, [1 / 6, 1 / 2, 5 / 6])
    fine = weights_at(depth, [(n + 0.5) / 6 for n in range(6)])
    assert [fine[2 * k] is fine[2 * k + 1] for k in range(3)] == [True] * 3
    assert not torch.equal(depth.layers[0][0].weight, depth.layers[1][0].weight)


def test_piecewise_linear_interpolates_and_learns():
    depth = PiecewiseLinear(3).attach([Local(2, 3)])
    first, middle, last = (layer[0].up.weight for layer in depth.layers)
    quarter, half = (term.up.weight for term in weights_at(depth, [0.25, 0.5]))
    torch.testing.assert_close(quarter, (first + middle) / 2)
    torch.testing.assert_close(half, middle)
    quarter.sum().backward()
    assert (first.grad == 0.5).all() and last.grad is None
    assert depth.steps == 2 and PiecewiseLinear(1).steps == 1


def test_a_depth_belongs_to_one_flow():
    depth = PerStep(2).attach([nn.Linear(2, 2)])
    with pytest.raises(ValueError, match="already belongs to a flow"):
        depth.attach([nn.Linear(2, 2)])


@pytest.mark.parametrize("make", [lambda: PerStep(0), lambda: PiecewiseLinear(-1), lambda: Constant(1.5)])
def test_counts_are_checked(make):
    with pytest.raises(ValueError, match="whole number ≥ 1"):
        make()


def test_unknown_scheme_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown scheme 'rk4'; known: lie, strang, additive, symmetrised"):
        get_scheme("rk4")


@pytest.mark.parametrize(
    "errors, steps, message",
    [([1.0], [2], "at least 2"), ([1.0, 0.0], [2, 4], "positive and finite"), ([1.0, 2.0], [4, 4], "different ones")],
)
def test_order_refuses_what_has_no_slope(errors, steps, message):
    with pytest.raises(ValueError, match=message):
        order(errors, steps)


def test_order_of_a_pure_power():
    assert order([2.0 * n**-1.5 for n in STEPS], STEPS) == pytest.approx(1.5)
