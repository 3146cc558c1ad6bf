"""Term II: constraints, and the projections that keep a field on them.

A constraint set S enters the equation as u_t ∈ f − N_S(u), with N_S the (proximal) normal cone: whatever part of
the velocity f points out of S is taken away. In a splitting scheme that substep is the projection onto S,
the nearest point of S (`Constraint` says what else it offers).

Three sets:    Moments     S1(σ1, σ2) = {u : mean over y = σ1, variance over y = σ2²}      (layer norm)
               NonNegative S2 = {u ≥ 0}                                                    (ReLU)
               Sphere      {u : |u| = r}                                                   (RMS norm)
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from flowlib.arguments import can_read, check_device, check_floats, check_number, check_reals, describe
from flowlib.operators.constraint import Constraint
from flowlib.operators.nearest import (
    find_constant,
    length,
    mean_of,
    nearest_moments,
    nearest_on_sphere,
    power_of_two,
    ray_of,
    scale_of_squares,
    spread_of,
    widen,
)

Profile = float | Tensor | Callable[[float], float | Tensor]  # a number, or a function of the depth t


def project_moments(
    v: Tensor,
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    eps: float = 0.0,
    weights: Tensor | None = None,
) -> Tensor:
    """P(v) = σ1 + σ2 (v − m) / √(s² + ε),   m = mean of v over y, s² = its variance (divided by n, not n−1).

    v (…, feature); mean σ1 and std σ2 broadcast against v's tokens (…, 1) and carry the unit of v; weights (feature,)
    are quadrature weights over y, for fields on an uneven feature grid.
    With ε = 0 this is the nearest point of S1(σ1, σ2), in the (weighted) Euclidean distance. With ε > 0 the result
    has the spread σ2·s/√(s²+ε) instead: that is layer norm, close to the projection where s² ≫ ε.
    S1 is not convex, so this is not non-expansive: nearby v are pulled apart by up to σ2/s.

    Error: exact (round-off), for every finite v: one whose squares overflow, or vanish, is scaled first.
    Raises: TypeError for a v that is no tensor; ValueError where v is not finite, σ2 ≤ 0, ε < 0, there are fewer than 2
            features, and, with ε = 0, where a token is constant over y: every point of the token's circle in S1 is then
            equally near.
    Source: arXiv:2510.03989, term II; Ba, Kiros, Hinton, arXiv:1607.06450, for layer norm.
    """
    _check_moments(v, mean, std, eps, weights)
    reading = can_read(v, weights)
    out = nearest_moments(v, mean, std, eps, weights, scale=scale_of_squares(v, eps) if reading else None)
    if reading:
        _check_finite(v)
        if eps == 0 and (lost := find_constant(v, weights)).any():
            where = f"token {lost.nonzero()[0].tolist()}" if v.ndim > 1 else "the token"
            raise ValueError(
                f"{where} is constant over its features, so the nearest point of S1 is not unique; "
                "add a perturbation, or give eps > 0: such a token then goes to its mean"
            )
    return out


def project_nonnegative(v: Tensor) -> Tensor:
    """P(v) = max(v, 0): the nearest point of the convex cone S2 = {u ≥ 0}, which is ReLU.

    v of any shape. Error: exact. Raises: ValueError where v is not finite. Source: arXiv:2510.03989 (∂I_S2).
    """
    check_reals(v, "v")
    if can_read(v):
        _check_finite(v)
    return F.relu(v)


def project_sphere(v: Tensor, radius: float | Tensor = 1.0, eps: float = 0.0) -> Tensor:
    """P(v) = r v / √(|v|² + ε): with ε = 0 the nearest point of the sphere |u| = r, over the last axis.

    v (…, feature). RMS norm with its own ε_rms is r = √d and ε = d·ε_rms.
    Error: exact (round-off), for every finite v: one whose squares overflow, or vanish, is scaled first.
    Raises: TypeError for a v that is no tensor; ValueError where v is not finite, r ≤ 0, ε < 0, and, with ε = 0, where
            a token is zero: every point of the sphere is then equally near.
    Source: Zhang, Sennrich, arXiv:1910.07467, for RMS norm.
    """
    check_floats(v, "v", "a field of floats (…, feature)")
    if not v.ndim or not v.shape[-1]:
        raise ValueError(f"v must be (…, feature) with at least 1 feature, got {describe(v)}")
    _check_positive(radius, "radius")
    check_number(eps, "eps", "≥ 0")
    if not can_read(v):
        return nearest_on_sphere(v, radius, eps)
    _check_finite(v)
    if eps == 0:
        if (lost := (v == 0).all(-1)).any():
            raise ValueError(
                f"token {lost.nonzero()[0].tolist()} is zero, so every point of the sphere is equally near; "
                "give eps > 0: such a token then stays at zero"
            )
    return nearest_on_sphere(v, radius, eps, scale=scale_of_squares(v, eps))


class Moments(Constraint):
    """S1(σ1(t), σ2(t)) = {u : mean over y = σ1, variance over y = σ2²}; mean and std are numbers or functions of t.

    The tangent space at u is {v : ∫ v dy = 0, ∫ (u − σ1) v dy = 0}. A moving S1 carries its points along with
    u_t = σ1' + (σ2'/σ2)(u − σ1), whose exact flow is  u ↦ σ1(t1) + σ2(t1)/σ2(t0) · (u − σ1(t0)).
    eps: as in `project_moments`; layer norm as torch computes it is Moments(eps=1e-5), and like torch's it is NaN
    where squares overflow. With eps = 0 every finite field is projected.
    Raises: ValueError for a std ≤ 0, an eps < 0, a mean that is not finite, and weights that are not (feature,),
            positive and finite.
    """

    weights: Tensor | None

    def __init__(self, mean: Profile = 0.0, std: Profile = 1.0, eps: float = 0.0, weights: Tensor | None = None):
        super().__init__()
        check_number(eps, "eps", "≥ 0")
        if not callable(std):
            _check_positive(std, "std")
        if not callable(mean):
            _check_level(mean)
        if weights is not None:
            _check_weights(weights)
        self.mean, self.std, self.eps = mean, std, eps
        self.moving = callable(mean) or callable(std)
        self.register_buffer("weights", weights, persistent=False)

    def at(self, t: float) -> tuple[float | Tensor, float | Tensor]:
        """(σ1(t), σ2(t))."""
        std = self.std(t) if callable(self.std) else self.std
        if callable(self.std):
            _check_positive(std, f"std at t = {t:g}")
        return (self.mean(t) if callable(self.mean) else self.mean), std

    def project(self, v: Tensor, t: float = 0.0) -> Tensor:
        return nearest_moments(v, *self.at(t), self.eps, self.weights)

    def tangent(self, u: Tensor, v: Tensor, t: float = 0.0) -> Tensor:
        dtype, u, v = u.dtype, widen(u), widen(v)
        spread, variance = spread_of(u, self.weights)
        v = v - mean_of(v, self.weights)
        along = mean_of(spread * v, self.weights) / torch.where(variance > 0, variance, 1.0)
        return (v - along * spread).to(dtype)

    def defect(self, u: Tensor, t: float = 0.0) -> Tensor:
        mean, std = self.at(t)
        size = power_of_two(u)
        m = mean_of(u / size, self.weights)
        s = mean_of((u / size - m) ** 2, self.weights).sqrt()
        return torch.hypot(size * m - mean, size * s - std).squeeze(-1)

    def carry(self, u: Tensor, t0: float, t1: float) -> Tensor:
        if not self.moving:
            return u
        (mean0, std0), (mean1, std1) = self.at(t0), self.at(t1)
        return mean1 + std1 / std0 * (u - mean0)

    def velocity(self, u: Tensor, t: float) -> Tensor:
        if not self.moving:
            return torch.zeros_like(u)
        now = torch.tensor(float(t), dtype=u.dtype, device=u.device)
        rate = lambda f: torch.func.jacrev(lambda s: torch.as_tensor(f(s)))(now) if callable(f) else 0.0
        mean, std = self.at(t)
        return rate(self.mean) + rate(self.std) / std * (u - mean)

    def extra_repr(self) -> str:
        more = "" if self.weights is None else f", weights={describe(self.weights)}"
        return f"mean={_in_words(self.mean)}, std={_in_words(self.std)}, eps={self.eps}{more}"


class NonNegative(Constraint):
    """S2 = {u ≥ 0}, a convex cone; its projection is ReLU. Tangent cone: any v where u > 0, v ≥ 0 where u = 0."""

    def project(self, v: Tensor, t: float = 0.0) -> Tensor:
        check_reals(v, "v", "a field of real numbers (…, feature)")
        return F.relu(v)

    def tangent(self, u: Tensor, v: Tensor, t: float = 0.0) -> Tensor:
        return torch.where(u > 0, v, F.relu(v))

    def defect(self, u: Tensor, t: float = 0.0) -> Tensor:
        return length(F.relu(-u))


class Sphere(Constraint):
    """{u : |u| = r} over y; RMS norm is r = √d. Tangent space at u: {v : ∫ u v dy = 0}.

    eps: as in `project_sphere`; with eps > 0 it is RMS norm as it is commonly computed, which is 0 where squares
    overflow. With eps = 0 every finite field but 0 is projected.
    Raises: ValueError for a radius ≤ 0, an eps < 0.
    """

    def __init__(self, radius: float = 1.0, eps: float = 0.0):
        super().__init__()
        _check_positive(radius, "radius")
        check_number(eps, "eps", "≥ 0")
        self.radius, self.eps = radius, eps

    def project(self, v: Tensor, t: float = 0.0) -> Tensor:
        return nearest_on_sphere(v, self.radius, self.eps)

    def tangent(self, u: Tensor, v: Tensor, t: float = 0.0) -> Tensor:
        dtype, (u, square), v = u.dtype, ray_of(widen(u)), widen(v)
        return (v - (u * v).sum(-1, keepdim=True) / torch.where(square > 0, square, 1.0) * u).to(dtype)

    def defect(self, u: Tensor, t: float = 0.0) -> Tensor:
        return (length(u) - self.radius).abs()

    def extra_repr(self) -> str:
        return f"radius={_in_words(self.radius)}, eps={self.eps}"


def _check_moments(v: Tensor, mean: float | Tensor, std: float | Tensor, eps: float, weights: Tensor | None) -> None:
    check_floats(v, "v", "a field of floats (…, feature)")
    if v.ndim < 1 or v.shape[-1] < 2:
        raise ValueError(f"mean and spread need v (…, feature) with at least 2 features, got {tuple(v.shape)}")
    if weights is not None:
        _check_weights(weights)
        check_device(weights, "weights", v, "v")
        if weights.shape != v.shape[-1:]:
            raise ValueError(
                f"one weight per feature: {v.shape[-1]} features, but weights have shape {tuple(weights.shape)}"
            )
    _check_level(mean)
    _check_positive(std, "std")
    check_number(eps, "eps", "≥ 0")


def _check_finite(v: Tensor) -> None:
    if not torch.isfinite(v).all():
        where = (~torch.isfinite(v)).nonzero()[0].tolist()
        raise ValueError(
            f"a projection needs a finite field, but v{where} is {v[tuple(where)]:g}; look at what made it"
        )


def _check_weights(weights: Tensor) -> None:
    check_reals(weights, "weights", "a tensor of positive numbers (feature,)")
    if weights.ndim != 1:
        raise ValueError(f"weights must be (feature,), one for each feature, got {describe(weights)}")
    _check_positive(weights, "every weight in weights")


def _check_level(mean: float | Tensor) -> None:
    if not isinstance(mean, Tensor):
        check_number(mean, "mean")
    elif can_read(mean) and not torch.isfinite(mean).all():
        raise ValueError(f"mean must be finite, got {describe(mean)} with NaN or infinity in it")


def _check_positive(value: float | Tensor, what: str) -> None:
    if not isinstance(value, Tensor):
        return check_number(value, what, "> 0")
    if can_read(value) and not ((value > 0) & torch.isfinite(value)).all():
        raise ValueError(f"{what} must be > 0 and finite, the smallest is {value.min():g}")


def _in_words(value: Profile) -> str:
    """A setting for a repr: a number, a function's name, a tensor's shape."""
    return str(value) if isinstance(value, int | float) else describe(value)
