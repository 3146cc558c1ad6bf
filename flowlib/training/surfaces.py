"""Surfaces in space with known area elements, and points scattered on them.

A surface is a map X(s, t) of the unit square into space, or several such pieces. A small cell ds dt becomes a piece of
area |X_s × X_t| ds dt: that is the weight of the point in it. The derivatives are taken by torch, exactly.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flowlib.fields import Grid

Piece = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]  # (s, t) ↦ (x, y, z)
Density = Callable[[Tensor], Tensor]  # points (n, 3) ↦ (n,) > 0
TURN = 2 * math.pi


@dataclass(frozen=True)
class Surface:
    """Pieces X(s, t), 0 ≤ s, t ≤ 1, and the area they have together where a formula gives it."""

    name: str
    pieces: tuple[Piece, ...]
    area: float | None = None

    def at(self, s: Tensor, t: Tensor, piece: int = 0) -> tuple[Tensor, Tensor]:
        """Points X (n, 3) and area elements |X_s × X_t| (n,), at parameters s, t (n,). Error: exact."""
        with torch.enable_grad():  # each point depends on its own s and t alone: the derivative of a sum is the point's
            s, t = (z.detach().requires_grad_() for z in (s, t))
            place = self.pieces[piece](s, t)
            slopes = [torch.autograd.grad(c.sum(), (s, t), retain_graph=True, materialize_grads=True) for c in place]
        along_s, along_t = (torch.stack(along, -1) for along in zip(*slopes))
        return torch.stack(place, -1).detach(), torch.linalg.cross(along_s, along_t).norm(dim=-1).detach()

    def grid(self, n: int) -> Grid:
        """The middles of n × n equal parameter cells on each piece; weights |X_s × X_t| / n².

        Σ w → area. Error: O(n⁻²) (midpoint rule); faster where a piece closes on itself, as a torus does.
        """
        cells = Grid.product(Grid.uniform(n), Grid.uniform(n))
        s, t = cells.points.T
        found = [self.at(s, t, piece) for piece in range(len(self.pieces))]
        return Grid(torch.cat([x for x, _ in found]), torch.cat([area * cells.weights for _, area in found]))

    def scatter(self, n: int, generator: torch.Generator, density: Density | None = None, tries: int = 8) -> Grid:
        """n points, drawn with a probability ∝ `density` per area (default: evenly); each stands for area / density.

        tries · n candidates are placed, one in each cell of a parameter grid. Their chances p_i ∝ area element × cell ×
        density are laid end to end, and n equal steps taken along them (systematic sampling): candidate i is expected
        n p_i times, and has the weight area element × cell / (n p_i). So every sum Σ w f is right in the mean.
        Error: O(1/n) for a smooth density, as measured (independent points: O(n^-½)).
        Raises: ValueError for n < 2, or a density that is not positive and finite.
        """
        if n < 2:
            raise ValueError(f"a surface needs at least 2 points, got {n}")
        x, area = self._candidates(tries * n, generator)
        rho = torch.ones_like(area) if density is None else density(x)
        if not (torch.isfinite(rho) & (rho > 0)).all():
            raise ValueError(f"a density must be positive and finite everywhere, its smallest value is {rho.min():g}")
        upto = (area * rho).cumsum(0)  # n equal steps along it, from a random start
        at = (torch.arange(n) + torch.rand((), dtype=torch.float64, generator=generator)) * upto[-1] / n
        drawn = torch.searchsorted(upto, at).clamp(max=len(x) - 1)
        return Grid(x[drawn], upto[-1] / (n * rho[drawn]))

    def _candidates(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """About n points, one at random in each cell of a parameter grid, with the areas of their cells."""
        side = max(1, math.ceil(math.sqrt(n / len(self.pieces))))
        corners = torch.cartesian_prod(*[torch.arange(side, dtype=torch.float64)] * 2)
        found = []
        for piece in range(len(self.pieces)):
            place = (corners + torch.rand(corners.shape, dtype=torch.float64, generator=generator)) / side
            s, t = place.T
            found.append(self.at(s, t, piece))
        return torch.cat([x for x, _ in found]), torch.cat([area for _, area in found]) / side**2


def sphere(r: float = 1.0) -> Surface:
    piece = _turn_around(lambda h: r * torch.sin(h), lambda h: r * torch.cos(h), math.pi)
    return Surface("sphere", (piece,), 2 * TURN * r * r)


def ellipsoid(a: float, b: float, c: float) -> Surface:
    """Half-axes a, b, c. The area has a formula in elementary functions where a = b < c."""

    def piece(s, t):
        h, turn = math.pi * s, TURN * t
        return a * h.sin() * turn.cos(), b * h.sin() * turn.sin(), c * h.cos()

    area = None
    if a == b < c:
        e = math.sqrt(1 - (a / c) ** 2)
        area = TURN * a * a * (1 + c / (a * e) * math.asin(e))
    return Surface("ellipsoid", (piece,), area)


def torus(R: float, r: float) -> Surface:
    """The circle of radius r, turned around an axis at the distance R."""
    piece = _turn_around(lambda h: R + r * torch.cos(h), lambda h: r * torch.sin(h), TURN)
    return Surface("torus", (piece,), TURN * R * TURN * r)


def cylinder(r: float, height: float) -> Surface:
    """A can, with bottom and lid."""
    wall = _turn_around(lambda h: r + 0 * h, lambda h: h - height / 2, height)
    end = lambda z: _turn_around(lambda h: h, lambda h: z + 0 * h, r)
    return Surface("cylinder", (wall, end(-height / 2), end(height / 2)), TURN * r * height + TURN * r * r)


def cone(r: float, height: float) -> Surface:
    """With its base."""
    slope = _turn_around(lambda h: r * h, lambda h: height * (1 - h), 1.0)
    base = _turn_around(lambda h: h, lambda h: 0 * h, r)
    return Surface("cone", (slope, base), math.pi * r * (r + math.hypot(r, height)))


def box(a: float, b: float, c: float) -> Surface:
    """Six sides, of the lengths a, b, c."""
    sides = []
    for i, half in enumerate((a / 2, b / 2, c / 2)):
        for sign in (-1, 1):

            def piece(s, t, i=i, at=sign * half):
                flat = iter((s - 0.5, t - 0.5))
                lengths = (a, b, c)
                return tuple(at + 0 * s if j == i else lengths[j] * next(flat) for j in range(3))

            sides.append(piece)
    return Surface("box", tuple(sides), 2 * (a * b + b * c + c * a))


def klein_bottle(R: float, r: float = 1.0) -> Surface:
    """The figure-eight immersion: an eight of size r, turned once around the axis while it makes half a turn itself."""

    def piece(s, t):
        u, v = TURN * s, TURN * t
        w = R + r * ((u / 2).cos() * v.sin() - (u / 2).sin() * (2 * v).sin())
        return w * u.cos(), w * u.sin(), r * ((u / 2).sin() * v.sin() + (u / 2).cos() * (2 * v).sin())

    return Surface("Klein bottle", (piece,))


def moebius_strip(R: float, width: float) -> Surface:
    def piece(s, t):
        u, v = TURN * s, width * (t - 0.5)
        w = R + v * (u / 2).cos()
        return w * u.cos(), w * u.sin(), v * (u / 2).sin()

    return Surface("Möbius strip", (piece,))


def _turn_around(distance: Callable[[Tensor], Tensor], height: Callable[[Tensor], Tensor], length: float) -> Piece:
    """A surface of revolution: the curve (distance, height)(h), 0 ≤ h ≤ length, turned around the z axis."""

    def piece(s, t):
        h, turn = length * s, TURN * t
        return distance(h) * turn.cos(), distance(h) * turn.sin(), height(h)

    return piece


def _draw_between(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=generator).item()


FAMILIES: dict[str, Callable[[torch.Generator], Surface]] = {  # proportions are drawn; size does not matter
    "sphere": lambda g: sphere(),
    "ellipsoid": lambda g: ellipsoid(_draw_between(g, 0.35, 0.6), _draw_between(g, 0.6, 0.8), 1.0),
    "torus": lambda g: torus(1.0, _draw_between(g, 0.25, 0.6)),
    "cylinder": lambda g: cylinder(0.5, _draw_between(g, 0.8, 2.0)),
    "cone": lambda g: cone(0.6, _draw_between(g, 0.8, 1.8)),
    "box": lambda g: box(1.0, _draw_between(g, 0.6, 1.0), _draw_between(g, 0.6, 1.0)),
    "Klein bottle": lambda g: klein_bottle(_draw_between(g, 2.0, 3.0)),
    "Möbius strip": lambda g: moebius_strip(1.0, _draw_between(g, 0.6, 1.2)),
}


def rotations(n: int, generator: torch.Generator) -> Tensor:
    """Rotations of space (n, 3, 3), evenly distributed: the Q of matrices of normal numbers."""
    q, r = torch.linalg.qr(torch.randn(n, 3, 3, dtype=torch.float64, generator=generator))
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    return q * torch.linalg.det(q).sign()[:, None, None]  # without reflections


def tilted(bias: float, generator: torch.Generator) -> Density:
    """exp(bias · n·x / max|x|) for a random direction n: e^{2 bias} times as dense on one side as on the other."""
    n = torch.nn.functional.normalize(torch.randn(3, dtype=torch.float64, generator=generator), dim=0)
    return lambda x: (bias * (x - x.mean(0)) @ n / (x - x.mean(0)).norm(dim=-1).max()).exp()


def cloud(name: str, n: int, generator: torch.Generator, bias: float = 0.0) -> Grid:
    """n points on a surface of that family, of random proportions, turned at random and of random size.

    bias: how unevenly (`tilted`); with 0 they are drawn evenly, so that all weights are equal.
    """
    g = FAMILIES[name](generator).scatter(n, generator, tilted(bias, generator) if bias else None)
    size = _draw_between(generator, 0.5, 2.0)
    return Grid(size * g.points @ rotations(1, generator)[0], size**2 * g.weights)


def clouds(count: int, n: int, seed: int, bias: float = 0.0) -> tuple[Tensor, Tensor]:
    """As many of every family: (cloud, point, 4), coordinates and weight in float32; and the classes (cloud,).

    Raises: ValueError where there would be none of some family.
    """
    if count < len(FAMILIES):
        raise ValueError(f"at least one surface of each of the {len(FAMILIES)} families is needed, got {count}")
    generator = torch.Generator().manual_seed(seed)
    classes = torch.arange(count) % len(FAMILIES)
    names = list(FAMILIES)
    grids = [cloud(names[k], n, generator, bias) for k in classes]
    packed = torch.stack([torch.cat([g.points, g.weights[:, None]], -1) for g in grids])
    return packed.float(), classes
