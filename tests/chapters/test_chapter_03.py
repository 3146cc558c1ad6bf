"""Chapter 03: over which grids the half weights of a Volterra operator restore order 2, and over which they cannot."""

import pytest
import torch

from flowlib.fields import Grid
from flowlib.measure import order
from flowlib.operators import attend

SIZES = [32, 64, 128, 256]
FIELDS = {  # Q, K, V as functions of x
    "waves": (
        lambda x: torch.stack([torch.sin(3 * x), torch.cos(2 * x)], -1),
        lambda x: torch.stack([torch.cos(x), x], -1),
        lambda x: (torch.sin(5 * x) + x)[:, None],
    ),
    "powers": (
        lambda x: torch.stack([x, 1 - x, x**2], -1),
        lambda x: torch.stack([torch.exp(-x), x**2, torch.sin(4 * x)], -1),
        lambda x: torch.stack([torch.exp(x), torch.cos(7 * x)], -1),
    ),
}
GRIDS = {
    "trapezoid": lambda n: Grid.uniform(n, "trapezoid"),
    "trapezoid on [0, 2]": lambda n: Grid.uniform(n, "trapezoid", (0.0, 2.0)),
    "graded, power 2": lambda n: Grid.graded(n, 2.0),
    "graded, power 3": lambda n: Grid.graded(n, 3.0),
    "Gauss": Grid.gauss,
}


def exact(field, x):
    """∫ over [0, x_i] by Gauss's rule on that interval; at x = 0 there is nothing but V(0) to hear."""
    Q, K, V = field
    pasts = [(end[None], Grid.gauss(40, (0.0, end.item()))) for end in x if end > 0]
    rows = [attend(Q(end), K(g.x), V(g.x), g.weights) for end, g in pasts]
    return torch.cat([V(x[:1]), *rows] if len(rows) < len(x) else rows)


def order_of(field, grid, causal, weighted=True):
    Q, K, V = field
    errors = []
    for g in map(grid, SIZES):
        heard = attend(Q(g.x), K(g.x), V(g.x), g.weights if weighted else None, causal=causal)
        errors.append((heard - exact(field, g.x)).abs().max())
    return order(errors, SIZES)


@pytest.mark.claim("C3.6")
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("name", GRIDS)
def test_with_the_grids_weights_half_the_own_token_restores_order_two(measured, name, field):
    grid = GRIDS[name]
    measured.near("order, half the own token, grid's weights", order_of(field, grid, "volterra"), 2, within=0.1)
    measured.near("order, all counted whole, grid's weights", order_of(field, grid, True), 1, within=0.15)


@pytest.mark.claim("C3.6")
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_without_weights_only_equally_spaced_tokens_converge(measured, field):
    for name in ("trapezoid", "trapezoid on [0, 2]"):
        found = order_of(field, GRIDS[name], "volterra", weighted=False)
        measured.near("order, half at both ends, trapezoid without weights", found, 2, within=0.1)
    for causal in (True, "volterra"):
        found = order_of(field, GRIDS["graded, power 2"], causal, weighted=False)
        measured.near("order, graded without weights", found, 0, within=0.1)


@pytest.mark.claim("C3.6")
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_the_first_of_the_midpoints_hears_itself_alone(measured, field):
    """It stands half a cell from the start, and V there misses the mean of V up to there by O(h)."""
    found = order_of(field, Grid.uniform, "volterra")
    measured.near("order of the largest error, midpoints", found, 1, within=0.1)
    first = [
        (attend(*(f(g.x) for f in field), g.weights, causal="volterra") - exact(field, g.x))[0].abs().max()
        for g in map(Grid.uniform, SIZES)
    ]
    measured.near("order at the first listener, midpoints", order(first, SIZES), 1, within=0.1)
