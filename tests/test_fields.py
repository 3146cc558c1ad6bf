"""Grids integrate, at the order that they promise."""

import math

import pytest
import torch

from flowlib.fields import Grid
from flowlib.measure import order


def smooth(x):
    return torch.exp(torch.sin(3 * x))


EXACT = Grid.gauss(80).integrate(smooth)
SIZES = [20, 40, 80, 160, 320]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: Grid.uniform(n), marks=pytest.mark.claim("C2.1")),
        pytest.param(lambda n: Grid.uniform(n, "trapezoid"), marks=pytest.mark.claim("C2.1")),
        pytest.param(lambda n: Grid.graded(n, 2.0), marks=pytest.mark.claim("C2.3")),
        pytest.param(lambda n: Grid.graded(n, 3.0), marks=pytest.mark.claim("C2.3")),
    ],
    ids=["midpoint", "trapezoid", "graded 2", "graded 3"],
)
def test_order_two(measured, request, make):
    errors = [(make(n).integrate(smooth) - EXACT).abs() for n in SIZES]
    measured.near(f"order, {request.node.callspec.id}", order(errors, SIZES), 2, within=0.1)


@pytest.mark.claim("C2.4")
def test_sixteen_gauss_points_beat_ten_thousand_uniform_ones(measured):
    uniform = (Grid.uniform(10_000).integrate(smooth) - EXACT).abs()
    gauss = (Grid.gauss(16).integrate(smooth) - EXACT).abs()
    measured.at_most("error, 16 Gauss against 10,000 midpoints", gauss / uniform, 1)


def test_gauss_is_exact_for_polynomials():
    for n in (1, 2, 5):
        x_power = Grid.gauss(n, (0.0, 2.0)).integrate(lambda x, p=2 * n - 1: x**p)
        assert x_power == pytest.approx(2 ** (2 * n) / (2 * n), rel=1e-13)


@pytest.mark.claim("C2.5")
def test_scattered_points_are_monte_carlo(measured):
    torch.manual_seed(0)
    sizes = [100, 400, 1600, 6400]
    rms = []
    for n in sizes:
        runs = torch.stack([Grid.scattered(torch.rand(n, dtype=torch.float64)).integrate(smooth) for _ in range(400)])
        rms.append((runs - EXACT).square().mean().sqrt())
    measured.near("order, independent random points on a line", order(rms, sizes), 0.5, within=0.1)


def test_weights_sum_to_the_measure():
    for grid in (
        Grid.uniform(7, domain=(1, 3)),
        Grid.uniform(7, "trapezoid", (1, 3)),
        Grid.gauss(7, (1, 3)),
        Grid.graded(7, 3, (1, 3)),
    ):
        assert grid.measure == pytest.approx(2, rel=1e-14)
        assert len(grid) == 7 and grid.dim == 1 and grid.points.shape == (7, 1)
    assert Grid.scattered(torch.rand(9, 3), measure=4 * math.pi).measure == pytest.approx(4 * math.pi)


def test_product_integrates_a_plane():
    grid = Grid.product(Grid.gauss(6), Grid.gauss(7, (0, 2)))
    assert grid.points.shape == (42, 2)
    value = grid.integrate(lambda p: p[:, 0] ** 2 * p[:, 1])
    assert value == pytest.approx(1 / 3 * 2, rel=1e-13)
    assert (grid.points[:7, 0] == grid.points[0, 0]).all()  # the last factor runs fastest


def test_integrates_a_field_over_its_token_axis():
    grid = Grid.gauss(20)
    field = torch.stack([grid.x, grid.x**2], -1)  # (token, feature)
    torch.testing.assert_close(grid.integrate(field, dim=0), torch.tensor([1 / 2, 1 / 3], dtype=torch.float64))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Grid(torch.zeros(3, 1), torch.tensor([1.0, 0.0, 1.0])), "must be positive"),
        (lambda: Grid(torch.zeros(3, 1), torch.tensor([1.0, -1.0, 1.0])), "must be positive"),
        (lambda: Grid(torch.tensor([[0.0], [float("nan")]]), torch.ones(2)), "must be finite"),
        (lambda: Grid.uniform(0), "n must be a whole number ≥ 1"),
        (lambda: Grid.uniform(1, "trapezoid"), "n must be a whole number ≥ 2"),
        (lambda: Grid.uniform(4, domain=(1, 1)), "a < b"),
        (lambda: Grid.graded(4, 0.5), "power ≥ 1"),
        (lambda: Grid.scattered(torch.rand(4), measure=0.0), "measure must be > 0 and finite"),
        (lambda: Grid.product(), "at least one grid"),
        (lambda: Grid.uniform(4).integrate(torch.zeros(5)), "the grid has 4 points"),
        (lambda: Grid.product(Grid.gauss(2), Grid.gauss(2)).x, "use grid.points"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.no_shape_check
def test_shapes_that_do_not_agree():
    with pytest.raises(ValueError, match=r"points \(n, dim\) and weights \(n,\)"):
        Grid(torch.zeros(3), torch.ones(3))
    with pytest.raises(ValueError, match=r"got \(3, 1\) and \(4,\)"):
        Grid(torch.zeros(3, 1), torch.ones(4))


@pytest.mark.no_shape_check
def test_an_unknown_rule_is_named():
    with pytest.raises(ValueError, match="known: 'midpoint', 'trapezoid'"):
        Grid.uniform(4, "simpson")


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.float16, torch.bfloat16, torch.float32])
def test_an_integral_does_not_round_its_weights_to_the_values(dtype):
    grid, ones = Grid.uniform(3000), torch.ones(3000).to(dtype)
    ours = grid.integrate(ones)
    assert ours.item() == pytest.approx(1, rel=1e-3 if dtype.itemsize == 2 else 1e-6)
    assert ours.dtype == (dtype if dtype.is_floating_point else torch.float64)


def test_integrals_of_whole_numbers_truth_values_and_complex_fields():
    grid = Grid.uniform(8)
    assert grid.integrate(torch.full((8,), 3)).item() == 3
    assert grid.integrate(grid.x > 0.5).item() == 0.5
    assert grid.integrate(lambda x: (10 * x).long()).item() == ((10 * grid.x).long() * 0.125).sum().item()
    turning = grid.integrate(lambda x: torch.exp(2j * math.pi * x).to(torch.complex64))
    assert turning.dtype == torch.complex64 and abs(turning.item()) < 1e-6


@pytest.mark.no_shape_check
def test_whole_numbers_make_a_grid_of_floats():
    grid = Grid.scattered(torch.tensor([0, 1, 2, 5]), measure=2.0)
    assert grid.points.dtype == torch.float64 and grid.weights.tolist() == [0.5] * 4
    assert Grid(torch.arange(3)[:, None], torch.tensor([1, 2, 1])).measure == 4


def test_a_grid_says_its_settings_and_prints_no_tensors():
    assert repr(Grid.gauss(5, (0, 2))) == "Grid(5 points, dim 1, measure 2, float64)"
