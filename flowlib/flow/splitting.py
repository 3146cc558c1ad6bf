"""Operator splitting: the order in which substeps are taken. Knows no operator.

An equation u_t = A_1(u) + … + A_n(u) is advanced by Δt from the substeps Φ_i(h), each of which advances u by h under
A_i alone. A scheme says which substeps, in which order, with which share of Δt:

    u  ↦  u + Σ_p c_p ( Φ_{i_k}(a_k Δt) ∘ … ∘ Φ_{i_1}(a_1 Δt) u − u )        over the paths p of the scheme.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from flowlib.arguments import Number, Whole, check_type, check_whole, describe


class Vector(Protocol):
    """What can be added, subtracted and stretched: a tensor, an array, a number."""

    def __add__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...


Field = TypeVar("Field", bound=Vector)
Substep = Callable[[Field, float], Field]  # (u, h) ↦ Φ(h) u
Path = tuple[float, tuple[tuple[int, float], ...]]  # c, ((i_1, a_1), …, (i_k, a_k)) in the order they are taken


@dataclass(frozen=True)
class Scheme:
    """A splitting scheme as a table: paths(n) for n substeps.

    order: p in error = O(Δt^p) for smooth substeps that are themselves of order ≥ p. Euler substeps stay
    of order 1 in every average of paths each of which gives each term the share 1, as Strang does: A'A gets a
    coefficient below ½ from them. Paths that do not (C6.8), or a negative weight, can do better.
    Raises: TypeError or ValueError for a name, order or paths of another kind; `check` looks at the paths themselves.
    Source: Strang, SIAM J. Numer. Anal. 5 (1968); Hairer, Lubich, Wanner, Geometric Numerical Integration, II.5.
    """

    name: str
    order: int
    paths: Callable[[int], list[Path]]

    def __post_init__(self) -> None:
        check_type(self.name, "name", str, "a word")
        check_whole(self.order, "order", 0)
        if not callable(self.paths):
            raise TypeError(f"paths must be a function, n ↦ the paths for n substeps, got {describe(self.paths)}")

    def __repr__(self) -> str:
        return f"Scheme({self.name!r}, order {self.order})"

    def __str__(self) -> str:
        return self.name

    def check(self, n: int) -> None:
        """Raises: ValueError where the paths for n substeps are none, saying which."""
        paths = self.paths(n)
        if not isinstance(paths, list | tuple) or not paths:
            raise ValueError(f"paths({n}) must be a list of at least one path, got {describe(paths)}")
        for path in paths:
            if not _is_path(path, n):
                raise ValueError(
                    f"each of paths({n}) must be (weight, ((term, share), …)) with finite numbers and terms from 0 to "
                    f"{n - 1}, but scheme {self.name!r} has {path!r}"
                )

    def step(self, substeps: Sequence[Substep], u: Field, dt: float) -> Field:
        """One step of length dt. Error: O(dt^(order+1)) for one step, O(dt^order) at a fixed time."""
        ends = []
        for coefficient, path in self.paths(len(substeps)):
            v = u
            for i, share in path:
                v = substeps[i](v, share * dt)
            ends.append((coefficient, v))
        if len(ends) == 1 and ends[0][0] == 1:
            return ends[0][1]
        return u + sum(coefficient * (v - u) for coefficient, v in ends)

    def table(self, names: Sequence[str]) -> str:
        """The scheme as one reads it: a line for each substep, in order."""
        lines = [f"{self.name}, order {self.order}"]
        for coefficient, path in self.paths(len(names)):
            lines += (
                [f"  path with weight {coefficient:g}:"] if coefficient != 1 or len(self.paths(len(names))) > 1 else []
            )
            lines += [
                f"  {m:2d}  u ← Φ_{names[i]}({'' if a == 1 else f'{a:g} '}Δt) u" for m, (i, a) in enumerate(path, 1)
            ]
        return "\n".join(lines)


def _is_path(path: object, n: int) -> bool:
    """Is it (c, ((i_1, a_1), …)) with finite c and a_k, and 0 ≤ i_k < n?"""

    def finite(x: object) -> bool:
        return isinstance(x, Number) and not isinstance(x, bool) and math.isfinite(x)

    if not isinstance(path, tuple | list) or len(path) != 2 or not isinstance(path[1], tuple | list):
        return False
    pairs = [pair for pair in path[1] if isinstance(pair, tuple | list) and len(pair) == 2]
    good = [isinstance(i, Whole) and 0 <= i < n and finite(a) for i, a in pairs]
    return finite(path[0]) and len(pairs) == len(path[1]) and all(good)


def _lie(n: int) -> list[Path]:
    return [(1.0, tuple((i, 1.0) for i in range(n)))]


def _strang(n: int) -> list[Path]:
    there = tuple((i, 0.5) for i in range(n - 1))
    return [(1.0, (*there, (n - 1, 1.0), *reversed(there)))]


def _additive(n: int) -> list[Path]:
    return [(1.0, ((i, 1.0),)) for i in range(n)]


def _symmetrised(n: int) -> list[Path]:
    forward = tuple((i, 1.0) for i in range(n))
    return [(0.5, forward), (0.5, tuple(reversed(forward)))]


SCHEMES: dict[str, Scheme] = {
    "lie": Scheme("lie", 1, _lie),  # one after the other: the Transformer
    "strang": Scheme("strang", 2, _strang),  # half steps there, one whole, half steps back: Macaron
    "additive": Scheme("additive", 1, _additive),  # all from the same u, increments added: parallel attention and FFN
    "symmetrised": Scheme("symmetrised", 2, _symmetrised),  # the mean of Lie there and Lie back
}


def get_scheme(scheme: str | Scheme) -> Scheme:
    """A scheme by its name, or the scheme itself.

    Raises: ValueError for an unknown name, listing the known ones; TypeError for what is neither.
    """
    if isinstance(scheme, Scheme):
        return scheme
    if not isinstance(scheme, str):
        raise TypeError(f"scheme must be a name or a Scheme, got {describe(scheme)}; known: {', '.join(SCHEMES)}")
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}; known: {', '.join(SCHEMES)}, or give a Scheme of your own")
    return SCHEMES[scheme]


def euler(velocity: Callable[[Field], Field], u: Field, h: float) -> Field:
    """u + h f(u). Error: O(h) at a fixed time."""
    return move(u, velocity(u), h)


def move(u: Field, v: Field, h: float) -> Field:
    """u + h v: a straight way at the velocity v. Error: exact (round-off)."""
    return u + (v if h == 1 else h * v)  # a whole step of a discrete network saves a pass over the field


def midpoint(velocity: Callable[[Field], Field], u: Field, h: float) -> Field:
    """u + h f(u + ½ h f(u)). Error: O(h²) at a fixed time."""
    return u + h * velocity(u + h / 2 * velocity(u))


def heun(velocity: Callable[[Field], Field], u: Field, h: float) -> Field:
    """u + ½ h (f(u) + f(u + h f(u))). Error: O(h²) at a fixed time."""
    here = velocity(u)
    return u + h / 2 * (here + velocity(u + h * here))


def rk4(velocity: Callable[[Field], Field], u: Field, h: float) -> Field:
    """u + h/6 (k_1 + 2 k_2 + 2 k_3 + k_4), the classical Runge–Kutta step. Error: O(h⁴) at a fixed time.

    For one term, or for reference solutions: the schemes of this file are of order 2 at most for two terms.
    """
    k1 = velocity(u)
    k2 = velocity(u + h / 2 * k1)
    k3 = velocity(u + h / 2 * k2)
    return u + h / 6 * (k1 + 2 * (k2 + k3) + velocity(u + h * k3))


INTEGRATORS = {"euler": euler, "midpoint": midpoint, "heun": heun, "rk4": rk4}


@dataclass(frozen=True)
class PaperSubstep:
    """A row of the paper's splitting: u^{n+m/M}, which part of the equation it takes, and its formula at Δt = 1."""

    m: int
    part: str
    name: str
    formula: str

    def __str__(self) -> str:
        return f"{self.m:2d}  {self.part:4s} {self.name:22s} {self.formula}"


def paper_substeps(J: int = 2) -> list[PaperSubstep]:
    """The M = 4 + J substeps whose Lie splitting with Δt = 1 is the encoder layer of Vaswani et al. (J linear maps).

    Substep m takes u^{m−1} (short for u^{n+(m−1)/M}) to u^m. Learned scale and shift after layer norm are a further,
    affine substep after m = 2 and m = M, and no part of S1.
    Raises: ValueError for J < 1. Source: arXiv:2510.03989.
    """
    check_whole(J, "J (the feed-forward network's number of linear maps)")
    rows = [
        PaperSubstep(1, "I", "attention and skip", "u^1 = u^0 + ⟨γ(u^0), V⟩_Ωx"),
        PaperSubstep(2, "II", "layer norm", "u^2 = P_S1(u^1)"),
    ]
    for j in range(1, J + 1):
        inner = f"u^{j + 1} + ⟨W_{j}, u^{j + 1}⟩_Ωy + b_{j}"
        last = j == J
        formula = f"u^{j + 2} = {inner}" if last else f"u^{j + 2} = P_S2({inner})"
        rows.append(PaperSubstep(j + 2, "III", "linear" if last else "linear, ReLU", formula))
    rows.append(PaperSubstep(J + 3, "", "averaged skip", f"u^{J + 3} = ½ (u^{J + 2} + u^2)"))
    rows.append(PaperSubstep(J + 4, "II", "layer norm", f"u^{J + 4} = P_S1(u^{J + 3})"))
    return rows
