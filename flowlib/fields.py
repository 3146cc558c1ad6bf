"""Grids: where a field u(x, y) lives, and how it is integrated.

A grid is a set of points with quadrature weights. A sum over tokens becomes an integral over the token
domain as soon as each token carries the length (area, volume) that it stands for:

    ∫ f(x) dx  ≈  Σ_i w_i f(x_i),      Σ_i w_i = measure of the domain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowlib.arguments import (
    can_read,
    check_device,
    check_number,
    check_reals,
    check_tensor,
    check_type,
    check_whole,
    describe,
)

Rule = Literal["midpoint", "trapezoid"]
Domain = tuple[float, float]


@dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """Points x_i and weights w_i of a quadrature rule, Σ_i w_i f(x_i) ≈ ∫ f dx.

    points: (n, dim), weights: (n,), both finite and every weight positive; weights carry the unit of dx. Whole numbers
    become floats.
    Error: that of the rule which made the grid (each constructor says its order).
    Raises: TypeError for what is no tensor; ValueError where shapes disagree or a weight is not a positive finite
            number.
    """

    points: Float[Tensor, "n dim"]
    weights: Float[Tensor, " n"]

    def __post_init__(self) -> None:
        for name in ("points", "weights"):
            object.__setattr__(self, name, _as_floats(getattr(self, name), name))
        if self.points.ndim != 2 or self.weights.shape != self.points.shape[:1] or not len(self.weights):
            raise ValueError(
                f"a grid needs points (n, dim) and weights (n,) with n ≥ 1, got {tuple(self.points.shape)} and "
                f"{tuple(self.weights.shape)}; for points on a line use points[:, None]"
            )
        check_device(self.weights, "weights", self.points, "points")
        if not can_read(self.points, self.weights):
            return
        if not torch.isfinite(self.points).all():
            raise ValueError("points must be finite, every one of them; got NaN or infinity")
        if not (torch.isfinite(self.weights) & (self.weights > 0)).all():
            raise ValueError(
                f"quadrature weights must be positive and finite, the smallest here is {self.weights.min():g}; "
                "drop the points that stand for nothing"
            )

    @staticmethod
    def uniform(n: int, rule: Rule = "midpoint", domain: Domain = (0.0, 1.0)) -> "Grid":
        """n equally spaced points on [a, b], h = (b−a)/n (midpoint) or (b−a)/(n−1) (trapezoid).

        midpoint:  x_i = a + (i + ½)h, w_i = h.        trapezoid:  x_i = a + ih, w_i = h, ends h/2.
        Error: O(h²) for both rules.
        Raises: ValueError for an unknown rule, an empty domain, n < 1 (midpoint) or n < 2 (trapezoid).
        """
        a, b = _interval(domain)
        if rule == "midpoint":
            _check_least(n, 1, "Grid.uniform")
            h = (b - a) / n
            return Grid(_column(a + (torch.arange(n, dtype=torch.float64) + 0.5) * h), _fill(n, h))
        if rule == "trapezoid":
            _check_least(n, 2, "Grid.uniform(rule='trapezoid')")
            weights = _fill(n, (b - a) / (n - 1))
            weights[[0, -1]] /= 2
            return Grid(_column(torch.linspace(a, b, n, dtype=torch.float64)), weights)
        raise ValueError(
            f"unknown rule {rule!r}; known: {', '.join(map(repr, get_args(Rule)))} (and Grid.gauss, Grid.graded)"
        )

    @staticmethod
    def gauss(n: int, domain: Domain = (0.0, 1.0)) -> "Grid":
        """Gauss–Legendre: the n roots of the Legendre polynomial P_n, carried to [a, b].

        Error: exact for polynomials of degree ≤ 2n−1; faster than any power of 1/n on an analytic field.
        """
        _check_least(n, 1, "Grid.gauss")
        a, b = _interval(domain)
        x, w = (torch.from_numpy(z) for z in np.polynomial.legendre.leggauss(n))
        return Grid(_column(a + (b - a) * (x + 1) / 2), w * (b - a) / 2)

    @staticmethod
    def graded(n: int, power: float = 2.0, domain: Domain = (0.0, 1.0)) -> "Grid":
        """Cells between the edges a + (b−a)(i/n)^power: small near a, wide near b. power = 1 is uniform.

        points: the midpoints of the cells; weights: the widths of the cells. Error: O(n⁻²) (midpoint rule).
        Raises: ValueError for power < 1.
        """
        _check_least(n, 1, "Grid.graded")
        check_number(power, "power")
        if not power >= 1:
            raise ValueError(f"Grid.graded needs power ≥ 1 (1 is the uniform grid), got {power}")
        a, b = _interval(domain)
        edges = a + (b - a) * torch.linspace(0, 1, n + 1, dtype=torch.float64) ** power
        return Grid(_column((edges[1:] + edges[:-1]) / 2), edges.diff())

    @staticmethod
    def product(*grids: "Grid") -> "Grid":
        """The grid of all combinations: points (x, y, …), weights w_x · w_y · …; the last one runs fastest.

        Error: that of the coarsest factor.
        """
        if not grids:
            raise ValueError("Grid.product needs at least one grid, got none")
        result = grids[0]
        for g in grids:
            check_type(g, "each grid", Grid, "a Grid")
        for g in grids[1:]:
            left, right = result.points, g.points
            points = torch.cat([left.repeat_interleave(len(g), 0), right.repeat(len(result), 1)], -1)
            result = Grid(points, torch.outer(result.weights, g.weights).flatten())
        return result

    @staticmethod
    def scattered(points: Tensor, weights: Tensor | None = None, measure: float = 1.0) -> "Grid":
        """Points anywhere, (n,) or (n, dim). Without weights each point stands for measure/n.

        Error: O(n^-½) for independent uniform points and equal weights (Monte Carlo).
        """
        points = _as_floats(points, "points")
        points = points[:, None] if points.ndim == 1 else points
        check_number(measure, "measure", "> 0")
        if weights is None:
            n = len(points) if points.ndim else 0
            weights = points.new_full((n,), measure / max(n, 1))
        return Grid(points, weights)

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def dim(self) -> int:
        return self.points.shape[-1]

    @property
    def x(self) -> Tensor:
        """The points of a grid on a line as a vector (n,)."""
        if self.dim != 1:
            raise ValueError(f"grid.x is for grids on a line, this one has dim {self.dim}; use grid.points")
        return self.points[:, 0]

    @property
    def measure(self) -> float:
        """Σ_i w_i: the length (area, volume) of the domain."""
        return self.weights.sum().item()

    def __repr__(self) -> str:
        measure = f", measure {self.measure:g}" if can_read(self.weights) else ""
        return f"Grid({len(self)} points, dim {self.dim}{measure}, {describe(self.weights).split()[0]})"

    def to(self, *args: Any, **kwargs: Any) -> "Grid":
        """The same grid with another dtype or on another device."""
        return Grid(self.points.to(*args, **kwargs), self.weights.to(*args, **kwargs))

    def integrate(self, values: Tensor | Callable[[Tensor], Tensor], dim: int = -1) -> Tensor:
        """Σ_i w_i f(x_i) ≈ ∫ f dx over the axis `dim` of `values`, or of a function of the points.

        A function gets x (n,) on a line and points (n, dim) elsewhere, and returns (n,) or (…, n). The integral has the
        values' dtype; that of whole numbers and truth values has the weights'. Half precision is summed in float32.
        Raises: TypeError for values that are no tensor; ValueError where that axis is not as long as the grid.
        """
        if callable(values):
            values = values(self.x if self.dim == 1 else self.points)
        check_tensor(values, "values", "a tensor, or a function that returns one (torch.full_like(x, 3) is a constant)")
        check_type(dim, "dim", int, "the number of an axis")
        if not -values.ndim <= dim < values.ndim:
            raise ValueError(f"dim must be an axis of the values, which are {describe(values)}; got {dim}")
        if values.shape[dim] != len(self):
            raise ValueError(
                f"the grid has {len(self)} points but axis {dim} of the values has {values.shape[dim]} "
                f"(shape {tuple(values.shape)}); name the token axis with dim="
            )
        wide = _widest(values.dtype, self.weights.dtype)
        total = (values.movedim(dim, -1).to(wide) * self.weights.to(values.device, wide)).sum(-1)
        return total.to(values.dtype) if values.is_floating_point() or values.is_complex() else total


def _interval(domain: Domain) -> Domain:
    if not isinstance(domain, tuple | list) or len(domain) != 2:
        raise TypeError(f"domain must be (a, b), two numbers, got {describe(domain)}")
    a, b = domain
    check_number(a, "domain[0]")
    check_number(b, "domain[1]")
    if not a < b:
        raise ValueError(f"a domain is (a, b) with a < b, both finite; got {domain}")
    return a, b


def _check_least(n: int, least: int, what: str) -> None:
    check_whole(n, f"{what}'s number of points n", least)


def _as_floats(z: Tensor, name: str) -> Tensor:
    """Floats as they are; whole numbers as float64."""
    check_reals(z, name)
    return z if z.is_floating_point() else z.double()


def _widest(values: torch.dtype, weights: torch.dtype) -> torch.dtype:
    """What an integral is summed in: the values' own precision, but neither whole numbers nor half precision."""
    if values.is_complex:
        return torch.promote_types(values, torch.complex64)
    return torch.promote_types(values if values.is_floating_point else weights, torch.float32)


def _column(x: Tensor) -> Tensor:
    return x[:, None]


def _fill(n: int, value: float) -> Tensor:
    return torch.full((n,), value, dtype=torch.float64)
