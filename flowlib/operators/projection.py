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

from flowlib.operators.constraint import Constraint

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

    Error: exact (round-off).
    Raises: ValueError where v is not finite, σ2 ≤ 0, ε < 0, there are fewer than 2 features, and, with ε = 0,
            where a token is constant over y: every point of the token's circle in S1 is then equally near.
    Source: arXiv:2510.03989, term II; Ba, Kiros, Hinton, arXiv:1607.06450, for layer norm.
    """
    _check_moments(v, std, eps, weights)
    out = _moments(v, mean, std, eps, weights)
    if not torch.compiler.is_compiling():
        _check_finite(v)
        if eps == 0 and (lost := _find_constant(v, weights)).any():
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
    if not torch.compiler.is_compiling():
        _check_finite(v)
    return F.relu(v)


def project_sphere(v: Tensor, radius: float | Tensor = 1.0, eps: float = 0.0) -> Tensor:
    """P(v) = r v / √(|v|² + ε): with ε = 0 the nearest point of the sphere |u| = r, over the last axis.

    v (…, feature). RMS norm with its own ε_rms is r = √d and ε = d·ε_rms.
    Error: exact (round-off).
    Raises: ValueError where v is not finite, r ≤ 0, ε < 0, and, with ε = 0, where a token is zero: every point of the
            sphere is then equally near.
    Source: Zhang, Sennrich, arXiv:1910.07467, for RMS norm.
    """
    _check_positive(radius, "radius")
    _check_eps(eps)
    if not torch.compiler.is_compiling():
        _check_finite(v)
        if eps == 0 and (lost := (v == 0).all(-1)).any():
            raise ValueError(
                f"token {lost.nonzero()[0].tolist()} is zero, so every point of the sphere is equally near; "
                "give eps > 0: such a token then stays at zero"
            )
    return _sphere(v, radius, eps)


class Moments(Constraint):
    """S1(σ1(t), σ2(t)) = {u : mean over y = σ1, variance over y = σ2²}; mean and std are numbers or functions of t.

    The tangent space at u is {v : ∫ v dy = 0, ∫ (u − σ1) v dy = 0}. A moving S1 carries its points along with
    u_t = σ1' + (σ2'/σ2)(u − σ1), whose exact flow is  u ↦ σ1(t1) + σ2(t1)/σ2(t0) · (u − σ1(t0)).
    eps: as in `project_moments`; layer norm as torch computes it is Moments(eps=1e-5).
    """

    weights: Tensor | None

    def __init__(self, mean: Profile = 0.0, std: Profile = 1.0, eps: float = 0.0, weights: Tensor | None = None):
        super().__init__()
        _check_eps(eps)
        if not callable(std):
            _check_positive(std, "std")
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
        return _moments(v, *self.at(t), self.eps, self.weights)

    def tangent(self, u: Tensor, v: Tensor, t: float = 0.0) -> Tensor:
        dtype, u, v = u.dtype, _widen(u), _widen(v)
        spread = u - _mean(u, self.weights)
        v = v - _mean(v, self.weights)
        variance = _mean(spread * spread, self.weights)
        along = _mean(spread * v, self.weights) / torch.where(variance > 0, variance, 1.0)
        return (v - along * spread).to(dtype)

    def defect(self, u: Tensor, t: float = 0.0) -> Tensor:
        mean, std = self.at(t)
        m = _mean(u, self.weights)
        s = _mean((u - m) ** 2, self.weights).sqrt()
        return torch.hypot(m - mean, s - std).squeeze(-1)

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
        return f"mean={self.mean}, std={self.std}, eps={self.eps}"


class NonNegative(Constraint):
    """S2 = {u ≥ 0}, a convex cone; its projection is ReLU. Tangent cone: any v where u > 0, v ≥ 0 where u = 0."""

    def project(self, v: Tensor, t: float = 0.0) -> Tensor:
        return F.relu(v)

    def tangent(self, u: Tensor, v: Tensor, t: float = 0.0) -> Tensor:
        return torch.where(u > 0, v, F.relu(v))

    def defect(self, u: Tensor, t: float = 0.0) -> Tensor:
        return F.relu(-u).norm(dim=-1)


class Sphere(Constraint):
    """{u : |u| = r} over y; RMS norm is r = √d. Tangent space at u: {v : ∫ u v dy = 0}."""

    def __init__(self, radius: float = 1.0, eps: float = 0.0):
        super().__init__()
        _check_positive(radius, "radius")
        _check_eps(eps)
        self.radius, self.eps = radius, eps

    def project(self, v: Tensor, t: float = 0.0) -> Tensor:
        return _sphere(v, self.radius, self.eps)

    def tangent(self, u: Tensor, v: Tensor, t: float = 0.0) -> Tensor:
        dtype, u, v = u.dtype, _widen(u), _widen(v)
        square = u.square().sum(-1, keepdim=True)
        return (v - (u * v).sum(-1, keepdim=True) / torch.where(square > 0, square, 1.0) * u).to(dtype)

    def defect(self, u: Tensor, t: float = 0.0) -> Tensor:
        return (u.norm(dim=-1) - self.radius).abs()

    def extra_repr(self) -> str:
        return f"radius={self.radius}, eps={self.eps}"


def _mean(v: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return v.mean(-1, keepdim=True)
    return (v * weights).sum(-1, keepdim=True) / weights.sum()


def _widen(v: Tensor) -> Tensor:
    """Half precision is too coarse to take a mean and a spread in: float32 then, and anything else as it is."""
    return v.float() if v.dtype in (torch.float16, torch.bfloat16) else v


def _moments(v: Tensor, mean: float | Tensor, std: float | Tensor, eps: float, weights: Tensor | None) -> Tensor:
    v, dtype = _widen(v), v.dtype
    if v.dtype != dtype:
        return _moments(v, mean, std, eps, weights).to(dtype)
    if eps > 0 and weights is None:  # torch's fused layer norm, with the same rounding
        if isinstance(mean, float) and isinstance(std, float):  # level and spread in the same pass over the field
            scale, shift = (v.new_full(v.shape[-1:], number) for number in (std, mean))
            return F.layer_norm(v, v.shape[-1:], scale, shift, eps)
        return mean + std * F.layer_norm(v, v.shape[-1:], eps=eps)
    spread = v - _mean(v, weights)
    variance = _mean(spread * spread, weights) + eps
    positive = torch.where(
        variance > 0, variance, 1.0
    )  # a constant token goes to its mean, and its gradient is a number
    return mean + std * spread / positive.sqrt()


def _sphere(v: Tensor, radius: float | Tensor, eps: float) -> Tensor:
    v, dtype = _widen(v), v.dtype
    if v.dtype != dtype:
        return _sphere(v, radius, eps).to(dtype)
    square = v.square().sum(-1, keepdim=True) + eps
    return radius * v / torch.where(square > 0, square, 1.0).sqrt()


def _find_constant(v: Tensor, weights: Tensor | None) -> Tensor:
    """Tokens whose spread over y is nothing but round-off, (…,)."""
    spread = (v - _mean(v, weights)).abs().amax(-1)
    return spread <= 4 * torch.finfo(v.dtype).eps * v.abs().amax(-1)


def _check_moments(v: Tensor, std: float | Tensor, eps: float, weights: Tensor | None) -> None:
    if v.ndim < 1 or v.shape[-1] < 2:
        raise ValueError(f"mean and spread need v (…, feature) with at least 2 features, got {tuple(v.shape)}")
    if weights is not None and weights.shape != v.shape[-1:]:
        raise ValueError(
            f"one weight per feature: {v.shape[-1]} features, but weights have shape {tuple(weights.shape)}"
        )
    if weights is not None:
        _check_positive(weights, "every weight")
    _check_positive(std, "std")
    _check_eps(eps)


def _check_finite(v: Tensor) -> None:
    if not torch.isfinite(v).all():
        where = (~torch.isfinite(v)).nonzero()[0].tolist()
        raise ValueError(
            f"a projection needs a finite field, but v{where} is {v[tuple(where)]:g}; look at what made it"
        )


def _check_positive(value: float | Tensor, what: str) -> None:
    if torch.compiler.is_compiling():
        return
    if not bool((torch.as_tensor(value) > 0).all()):
        raise ValueError(f"{what} must be > 0, got {value}")


def _check_eps(eps: float) -> None:
    if not eps >= 0:
        raise ValueError(f"eps must be ≥ 0 (0 is the exact projection), got {eps}")
