"""The nearest point, in numbers: means, spreads and lengths over the last axis, whose squares do not overflow.

What `projection` is made of; no value is looked at here inside a flow.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from flowlib.arguments import can_read, check_floats, describe


def power_of_two(v: Tensor) -> Tensor:
    """The power of two next below max|v| over the last axis (1 where that is 0), (…, 1).

    v divided by it has the same digits, and squares that neither overflow nor vanish.
    """
    largest = v.detach().abs().amax(-1, keepdim=True)
    return torch.where(largest > 0, largest / (2 * torch.frexp(largest).mantissa), 1.0)


def to_unit(v: Tensor) -> Tensor:
    """v with its largest entry between 1 and 2 over the last axis (0 stays 0)."""
    return v / power_of_two(v)


def length(v: Tensor) -> Tensor:
    """|v| over the last axis, (…,)."""
    size = power_of_two(v)
    return (size * (v / size).norm(dim=-1, keepdim=True)).squeeze(-1)


def scale_of_squares(v: Tensor, eps: float) -> Tensor | None:
    """By what v has to be divided so that its squares do not overflow, although eps > 0; mostly nothing: None."""
    v = widen(v)
    if eps == 0 or not v.numel() or v.abs().amax() < math.sqrt(torch.finfo(v.dtype).max / v.shape[-1]) / 4:
        return None
    return power_of_two(v).clamp(min=1.0)


def mean_of(v: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return v.mean(-1, keepdim=True)
    if weights.shape != v.shape[-1:]:
        raise ValueError(f"weights must be one for each of the {v.shape[-1]} features, got {describe(weights)}")
    return (v * weights).sum(-1, keepdim=True) / weights.sum()


def widen(v: Tensor) -> Tensor:
    """Half precision is too coarse to take a mean and a spread in: float32 then, and anything else as it is."""
    if isinstance(v, Tensor) and v.dtype in (torch.float32, torch.float64):
        return v
    check_floats(v, "v", "a field of floats (…, feature)")
    return v.float() if v.dtype in (torch.float16, torch.bfloat16) else v


def nearest_moments(
    v: Tensor,
    mean: float | Tensor,
    std: float | Tensor,
    eps: float,
    weights: Tensor | None,
    scale: Tensor | None = None,
) -> Tensor:
    """σ1 + σ2 (v − m) / √(s² + ε), see `project_moments`; scale: by what v is to be divided before it is squared."""
    wide = widen(v)
    if wide is not v:
        return nearest_moments(wide, mean, std, eps, weights, scale).to(v.dtype)
    if eps > 0 and weights is None and scale is None:  # torch's fused layer norm, with the same rounding
        axes = v.shape[-1:]
        if isinstance(mean, float) and isinstance(std, float):  # level and spread in the same pass over the field
            shift = None if mean == 0 else v.new_full(axes, mean)
            return F.layer_norm(v, axes, v.new_full(axes, std), shift, eps)  # without a gain: slower
        return mean + std * F.layer_norm(v, axes, eps=eps)
    if eps == 0:
        spread, variance = spread_of(v, weights)
    else:
        s = power_of_two(v).clamp(min=1.0) if scale is None else scale
        spread = v / s - mean_of(v / s, weights)
        variance = mean_of(spread * spread, weights) + eps / s / s
    positive = torch.where(variance > 0, variance, 1.0)  # a constant token goes to its mean; its gradient is a number
    return mean + std * spread / positive.sqrt()


def nearest_on_sphere(v: Tensor, radius: float | Tensor, eps: float, scale: Tensor | None = None) -> Tensor:
    """r v / √(|v|² + ε), see `project_sphere`; scale as in `nearest_moments`."""
    v, dtype = widen(v), v.dtype
    if v.dtype != dtype:
        return nearest_on_sphere(v, radius, eps, scale).to(dtype)
    if eps == 0:
        v, square = ray_of(v)
    elif scale is None:
        return v * (radius * torch.rsqrt(v.square().sum(-1, keepdim=True) + eps))  # one pass over the field
    else:
        v = v / scale
        square = v.square().sum(-1, keepdim=True) + eps / scale / scale
    return radius * v / torch.where(square > 0, square, 1.0).sqrt()


def spread_of(v: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """(v − m)/s and its mean square, (…, 1): s = 1, or a power of two where the square would be no number."""
    spread = v - mean_of(v, weights)
    variance = mean_of(spread * spread, weights)
    if _are_ordinary(variance):
        return spread, variance
    spread = to_unit(v)
    spread = spread - mean_of(spread, weights)
    return spread, mean_of(spread * spread, weights)


def ray_of(v: Tensor) -> tuple[Tensor, Tensor]:
    """v/s and its square |v/s|², (…, 1), with s as in `spread_of`."""
    square = v.square().sum(-1, keepdim=True)
    if _are_ordinary(square):
        return v, square
    v = to_unit(v)
    return v, v.square().sum(-1, keepdim=True)


def _are_ordinary(squares: Tensor) -> bool:
    """Did no square overflow or vanish? Only a CPU is asked, outside of what is compiled: elsewhere it is not known.

    Nothing but time depends on the answer: a power of two changes no digit.
    """
    if squares.device.type != "cpu" or not squares.numel() or not can_read(squares):
        return False
    info = torch.finfo(squares.dtype)
    least, most = torch.aminmax(squares.detach())
    return info.tiny / info.eps < least.item() and most.item() < math.inf


def find_constant(v: Tensor, weights: Tensor | None) -> Tensor:
    """Tokens whose spread over y is nothing but round-off, (…,)."""
    unit = to_unit(widen(v))
    spread = (unit - mean_of(unit, weights)).abs().amax(-1)
    return spread <= 4 * torch.finfo(v.dtype).eps * unit.abs().amax(-1)
