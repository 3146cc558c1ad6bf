"""The claims of chapter 02: what a quadrature rule can and cannot do, and how much of it holds for features."""

import math

import pytest
import torch

from flowlib.fields import Grid
from flowlib.measure import order
from flowlib.models import FlowLM, shipped

SIZES = [16, 32, 64, 128, 256]
INTEGRAL = 2 + (1 - math.cos(5)) / 5


def river(x):
    return 2 + torch.sin(5 * x)


@pytest.fixture(scope="module")
def model():
    return FlowLM.load(shipped("tiny"))


@pytest.mark.claim("C2.1")
def test_the_trapezoidal_error_is_minus_twice_the_midpoint_error(measured):
    for n in SIZES:  # n cells of the same width for both
        midpoint = Grid.uniform(n).integrate(river) - INTEGRAL
        trapezoid = Grid.uniform(n + 1, "trapezoid").integrate(river) - INTEGRAL
        measured.near(f"trapezoid / midpoint error, {n} cells", trapezoid / midpoint, -2, within=20 / n**2)


@pytest.mark.claim("C2.8")
@pytest.mark.parametrize("rule", ["midpoint", "trapezoid"])
def test_a_periodic_field_has_no_order_and_an_infinite_slope_has_less_than_two(measured, rule):
    def grid(n):
        return Grid.uniform(n + (rule == "trapezoid"), rule)

    def wave(x):
        return torch.exp(torch.sin(2 * math.pi * x))

    truth = Grid.gauss(80).integrate(wave)
    errors = [(grid(n).integrate(wave) - truth).abs() for n in (4, 8, 12)]
    measured.at_most(f"periodic, {rule}: error with 12 gauges", errors[2], 1e-11)
    measured.at_least(f"periodic, {rule}: order from 4 to 8 gauges", order(errors[:2], [4, 8]), 10)
    root = [(grid(n).integrate(torch.sqrt) - 2 / 3).abs() for n in (256, 512, 1024, 2048)]
    measured.near(f"order on the root, {rule}", order(root, [256, 512, 1024, 2048]), 1.5, within=0.06)


@pytest.mark.claim("C2.8")
def test_cells_that_narrow_towards_it_bring_order_two_back(measured):
    root = [(Grid.graded(n, 2.0).integrate(torch.sqrt) - 2 / 3).abs() for n in SIZES]
    measured.near("order on the root, graded", order(root, SIZES), 2, within=0.1)


@pytest.mark.claim("C2.2")
def test_both_ends_counted_whole_is_of_order_one(measured):
    grids = [Grid.uniform(n, "trapezoid") for n in SIZES]
    errors = [(river(g.x).mean() - INTEGRAL).abs() for g in grids]
    measured.near("order, mean of readings, both ends", order(errors, SIZES), 1, within=0.05)
    for g in grids:
        rule, ends = g.integrate(river), (river(g.x[0]) + river(g.x[-1])) / 2
        gap = (river(g.x).mean() - rule - (ends - rule) / len(g)).abs()
        measured.at_most("mean of readings against the formula", gap, 1e-12)


@pytest.mark.claim("C2.3")
def test_the_mean_of_readings_on_a_graded_grid_goes_elsewhere(measured):
    means = torch.stack([river(Grid.graded(n, 2.0).x).mean() for n in SIZES])
    over_gauges = Grid.gauss(60).integrate(lambda z: river(z**2))
    elsewhere, here = ((means - place).abs() for place in (over_gauges, INTEGRAL))
    elsewhere, here = ((means - place).abs() for place in (over_gauges, INTEGRAL))
    measured.at_least("order, to the mean over gauges", order(elsewhere, SIZES), 1.4)  # it does converge, …
    measured.near("order, to the integral", order(here, SIZES), 0, within=0.02)  # … but not to the integral
    measured.at_least("mean over gauges against integral", (over_gauges - INTEGRAL).abs(), 0.1)


@pytest.mark.claim("C2.4")
@pytest.mark.parametrize("make", [Grid.gauss, Grid.uniform, Grid.graded], ids=["gauss", "midpoint", "graded"])
@pytest.mark.parametrize("roughness, expected", [("kink", 2), ("jump", 1)])
def test_a_rough_field_takes_the_advantage_away(measured, make, roughness, expected):
    c = torch.linspace(0.2, 0.8, 61, dtype=torch.float64)[:, None]
    if roughness == "kink":
        field, integral = lambda x: (x - c).abs(), (c**2 + (1 - c) ** 2)[:, 0] / 2
    else:
        field, integral = lambda x: (x > c).double(), 1 - c[:, 0]
    errors = [(make(n).integrate(field) - integral).square().mean().sqrt() for n in SIZES]
    measured.near(f"order, {make.__name__}, {roughness}", order(errors, SIZES), expected, within=0.1)


@pytest.mark.claim("C2.4")
@pytest.mark.parametrize("make", [Grid.gauss, Grid.uniform], ids=["gauss", "midpoint"])
def test_a_kink_has_order_two_in_the_mean_over_places_and_any_slope_at_one(measured, make):
    for low, high, count in ((0.2, 0.8, 600), (0.1, 0.9, 200), (0.3, 0.5, 97)):
        c = torch.linspace(low, high, count, dtype=torch.float64)[:, None]
        grids = [make(n) for n in SIZES]
        integral = (c**2 + (1 - c) ** 2)[:, 0] / 2
        missed = torch.stack([(g.integrate(lambda x: (x - c).abs()) - integral).abs() for g in grids])  # noqa: B023
        together = order(missed.square().mean(1).sqrt(), SIZES)
        measured.near(f"order, {make.__name__}, kink, over other places", together, 2, within=0.1)
        slopes = [order(e, SIZES) for e in missed.T if e.min() > 0]
        measured.between(f"smallest order, {make.__name__}, kink at one place", min(slopes), -1, 1.2)
        measured.at_least(f"largest order, {make.__name__}, kink at one place", max(slopes), 2.7)


SMOOTH = {
    "waves": (lambda x: torch.sin(5 * x), (1 - math.cos(5)) / 5),
    "a decay": (lambda x: torch.exp(-3 * x), (1 - math.exp(-3)) / 3),
    "a bell": (lambda x: 1 / (1 + x**2), math.pi / 4),
    "many waves": (lambda x: torch.cos(20 * x), math.sin(20) / 20),
}


@pytest.mark.claim("C2.4")
@pytest.mark.parametrize("name", SMOOTH)
def test_sixteen_gauss_points_beat_ten_thousand_midpoints_where_they_see_the_waves(measured, name):
    field, integral = SMOOTH[name]
    few, many = ((g.integrate(field) - integral).abs() for g in (Grid.gauss(16), Grid.uniform(10_000)))
    measured.at_most("error, 16 Gauss against 10,000 midpoints", few / many, 1)


@pytest.mark.claim("C2.4")
def test_sixteen_gauss_points_do_not_see_waves_that_they_cannot_resolve(measured):
    field, integral = lambda x: torch.sin(60 * x), (1 - math.cos(60)) / 60
    few, many = ((g.integrate(field) - integral).abs() for g in (Grid.gauss(16), Grid.uniform(10_000)))
    measured.at_least("the same with ten waves in the interval", few / many, 1000)


def heap(points):
    return torch.exp(-points.square().sum(-1))


ONE_AXIS = math.sqrt(math.pi) / 2 * math.erf(1)  # ∫ exp(−x²) dx over [0, 1]


@pytest.mark.claim("C2.5")
@pytest.mark.parametrize("dim", [1, 2, 3, 6])
def test_dimension_slows_a_product_grid_and_not_chance(measured, dim):
    counts = [m**6 for m in (2, 3, 4, 5)]  # whole roots in every one of these dimensions
    generator = torch.Generator().manual_seed(dim)
    grids = [Grid.product(*[Grid.uniform(round(n ** (1 / dim)))] * dim) for n in counts]
    assert [len(g) for g in grids] == counts
    product = [(g.weights @ heap(g.points) - ONE_AXIS**dim).abs() for g in grids]
    measured.near(f"order, product grid, {dim}-D", order(product, counts), 2 / dim, within=0.03)
    means = [heap(torch.rand(300, n, dim, generator=generator, dtype=torch.float64)).mean(-1) for n in counts]
    chance = [(m - ONE_AXIS**dim).square().mean().sqrt() for m in means]
    measured.near(f"order, random points, {dim}-D", order(chance, counts), 0.5, within=0.05)


@pytest.mark.claim("C2.6")
@pytest.mark.parametrize("make", [Grid.uniform, Grid.graded], ids=["uniform", "graded"])
def test_a_linear_layer_is_an_integral_over_the_features(measured, make):
    probes = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]

    def matrix(eta):
        return torch.exp(-6 * (probes - eta) ** 2) * torch.cos(3 * probes + eta)

    def feature(y):
        return torch.sin(5 * y) + y

    exact = Grid.gauss(60).integrate(lambda eta: matrix(eta) * feature(eta))
    grids = [make(n) for n in SIZES]
    errors = [(g.integrate(lambda eta: matrix(eta) * feature(eta)) - exact).abs().max() for g in grids]
    measured.near("order, with weights", order(errors, SIZES), 2, within=0.1)
    plain = torch.stack([(matrix(g.x) @ feature(g.x)).norm() for g in grids])
    measured.near("power of the width, without weights", order(1 / plain, SIZES), 1, within=0.05)


@pytest.mark.claim("C2.7")
def test_hidden_features_have_no_order(measured, model):
    shuffle = torch.randperm(512, generator=torch.Generator().manual_seed(0))
    u = torch.randn(10, 128, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for _, feed in model.flow.depth.layers:
        local = feed.double()
        rows = torch.nn.functional.normalize(local.up.weight.detach(), dim=-1)
        cosines = rows @ rows.T
        any_two = cosines[~torch.eye(512, dtype=torch.bool)].mean()
        measured.near("cosine of neighbours − of any two", cosines.diagonal(1).mean() - any_two, 0, within=0.03)
        before = local(u)
        with torch.no_grad():
            local.up.weight[:] = local.up.weight[shuffle]
            local.down.weight[:] = local.down.weight[:, shuffle]
        measured.at_most("gap, hidden features shuffled", (local(u) - before).abs().max(), 1e-12)
