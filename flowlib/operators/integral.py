"""∫ γ v dx̃ by quadrature, through torch's fused kernel: how the weights of a grid enter a softmax.

    Σ_j w_j e^{s_ij} v_j / Σ_j w_j e^{s_ij}  =  softmax_j(s_ij + log w_j) · v_j.

Adding a number to the scores is all that the fused kernel needs, so weights cost no slow path.
"""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from flowlib.arguments import can_read, check_reals
from flowlib.fields import Grid
from flowlib.operators.term import Causal

MARK = "_is_relative_log"


def integrate(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_weights: Tensor | None = None,
    *,
    causal: Causal = False,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    ride: Literal["mask", "feature"] | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """`attend` without its checks: log_weights (…, key) as from `relative_log`, shapes as there.

    dropout: the share of the kernel's entries that is put to zero, the others growing by 1/(1 − dropout).

    How the weights ride through the fused kernel was chosen by measurement (`ride` overrides it): on a CPU as an
    additive mask ("mask": 1.0 to 1.2 times the unweighted time, against 1.1 to 1.5 for the other, but for long
    causal rows). Elsewhere as one more feature ("feature"), since the flash kernel takes no additive mask.
    """
    scale = 1 / (temperature * math.sqrt(q.shape[-1]))
    if log_weights is None and mask is None and causal != "volterra":
        return F.scaled_dot_product_attention(q, k, v, None, dropout, bool(causal), scale=scale)
    options: dict[str, Any] = dict(scale=scale, dropout_p=dropout)
    unattended = None
    if mask is not None:
        if causal is not False:
            mask = mask & lower_triangle(q.shape[-2], q.device)
        unattended = ~mask.any(-1, keepdim=True)  # such a row becomes zeros, never 0/0
        mask = mask | unattended
    plain_causal = causal is not False and mask is None
    if causal == "volterra":
        bias = _volterra(log_weights, q)  # (…, query, key), −∞ above the diagonal
        if mask is not None:  # an unattended row keeps one entry, so that its softmax is a number
            bias = bias.masked_fill(~mask, -math.inf)
        out = _sdpa(q, k, v, bias, **options)
    elif log_weights is None:
        out = _sdpa(q, k, v, mask, **options)
    elif (ride or ("mask" if q.device.type == "cpu" else "feature")) == "feature":
        q, k, v_wide = _weights_as_feature(q, k, v, log_weights, scale)
        out = _sdpa(q, k, v_wide, mask, **options, is_causal=plain_causal)[..., : v.shape[-1]]
    else:
        bias = log_weights.unsqueeze(-2)  # (…, 1, key)
        if plain_causal:
            mask = lower_triangle(q.shape[-2], q.device)
        if mask is not None:
            bias = bias.masked_fill(~mask, -math.inf)
        out = _sdpa(q, k, v, bias, **options)
    return out if unattended is None else out.masked_fill(unattended, 0.0)


def integrate_far(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_weights: Tensor | None = None,
    *,
    causal: Causal = False,
    mask: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """`integrate` where a score is no finite number of this precision: s_ij = S_i r_ij, with |r_ij| ≤ d.

    The largest score is taken off before S_i is put on, so that γ = exp(S_i (r_ij − max_j r_ij)) / Σ_j … is finite.
    Error: that of `integrate`. It takes a pass for each part of the formula, and the memory of γ.
    """
    dtype, (q, k, v) = q.dtype, (z.to(torch.promote_types(z.dtype, torch.float32)) for z in (q, k, v))
    bias = q.new_zeros(1, 1) if log_weights is None else log_weights.to(q).unsqueeze(-2)
    if causal == "volterra":
        bias = _volterra(log_weights, q).to(q)
    elif causal:
        bias = bias.masked_fill(~lower_triangle(q.shape[-2], q.device), -math.inf)
    if mask is not None:
        bias = bias.masked_fill(~mask, -math.inf)
    largest = [z.detach().abs().amax(axes, keepdim=True) for z, axes in ((q, (-1,)), (k, (-2, -1)))]
    a, b = (torch.where(z > 0, z, 1.0) for z in largest)
    range_of = torch.finfo(q.dtype)
    S = (a.double() * b.double() / (temperature * math.sqrt(q.shape[-1]))).clamp(range_of.tiny, range_of.max / 4).to(q)
    r = ((q / a) @ (k / b).mT).masked_fill(bias.isneginf(), -math.inf)
    gamma = (S * (r - r.amax(-1, keepdim=True).nan_to_num(neginf=0.0)) + bias).exp()  # relative weights: no overflow
    total = gamma.sum(-1, keepdim=True)
    return (gamma / torch.where(total > 0, total, 1.0) @ v).to(dtype)


def relative_log(weights: Tensor | Grid | None, n: int, causal: Causal = False) -> Tensor | None:
    """log w_j minus its mean over j: what has to be added to the scores, or None where there is nothing to add.

    Centred, because the unit of the weights cancels and small numbers survive bf16. Equal weights cancel, and are left
    out where nobody asks for their gradient; under causal="volterra" they do not cancel, and stay.
    Raises: TypeError for what is no tensor and no grid; ValueError for a last axis that is not n long, or weights that
            are not positive and finite.
    """
    if weights is None:
        return None
    weights = weights.weights if isinstance(weights, Grid) else weights
    check_reals(weights, "weights", "a tensor of positive numbers (…, key), or a Grid")
    if weights.ndim == 0 or weights.shape[-1] != n:
        raise ValueError(f"one weight per key token: {n} keys, but weights have shape {tuple(weights.shape)}")
    if can_read(weights):
        if not (torch.isfinite(weights) & (weights > 0)).all():
            raise ValueError(
                f"quadrature weights must be positive and finite, the smallest here is {weights.min():g}; "
                "to leave a token out use mask="
            )
        if causal != "volterra" and not _has_gradient(weights) and (weights == weights[..., :1]).all():
            return None
    log = weights.log()
    return _mark(log - log.mean(-1, keepdim=True))


def as_relative_log(weights: Tensor | Grid | None, n: int, causal: Causal = False) -> Tensor | None:
    """`relative_log` of weights or a Grid; what is a relative logarithm already stays.

    A flow takes the logarithm once for all its steps, and marks it. Of a tensor without that mark the values tell:
    weights are positive, and a centred logarithm never is throughout. Where they may not be read it is a logarithm.
    Raises: as `relative_log`.
    """
    if weights is None or isinstance(weights, Grid):
        return relative_log(weights, n, causal)
    if torch.compiler.is_compiling() or getattr(weights, MARK, False) or not can_read(weights):
        return weights
    return relative_log(weights, n, causal) if bool((weights > 0).all()) else weights


def _mark(log: Tensor) -> Tensor:
    if not torch.compiler.is_compiling():
        setattr(log, MARK, True)
    return log


def _has_gradient(weights: Tensor) -> bool:
    """Does anyone ask how the result depends on the weights, backwards or forwards?"""
    return weights.requires_grad or unpack_dual(weights).tangent is not None


def lower_triangle(n: int, device: torch.device) -> Tensor:
    """True where a token is the query's own or one before it, (n, n)."""
    return torch.ones(n, n, dtype=torch.bool, device=device).tril()


def _sdpa(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, **options: Any) -> Tensor:
    """torch's fused kernel; an additive bias stays in float32 on a CPU, where that costs nothing in bf16.

    A CPU's flash kernel takes a bias or mask of 2 axes or of as many as q has; with others torch takes a slow one.
    """
    if bias is not None and 2 < bias.ndim < q.ndim:
        bias = bias[(None,) * (q.ndim - bias.ndim)]
    if bias is not None and bias.is_floating_point():
        half_on_cpu = q.device.type == "cpu" and q.dtype in (torch.bfloat16, torch.float16)
        bias = bias.to(torch.float32 if half_on_cpu else q.dtype).expand(*bias.shape[:-2], q.shape[-2], k.shape[-2])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, **options)


def _volterra(log_weights: Tensor | None, q: Tensor) -> Tensor:
    """log of the weights that integrate from the first token up to the query, (…, query, key)."""
    n = q.shape[-2]
    dtype = torch.promote_types(q.dtype, torch.float32)
    half = math.log(0.5)
    own = torch.full((n,), half, dtype=dtype, device=q.device)  # half of the query's own cell lies before it
    if log_weights is None:
        log_weights = torch.zeros(n, dtype=dtype, device=q.device)
        log_weights[0] = half
    elif n > 1:  # a last weight below ¾ of its neighbour's is a trapezoid's end: already half a cell
        halved = (log_weights[..., -1:] - log_weights[..., -2:-1]) < math.log(0.75)
        own = torch.cat([own[:-1].expand(*log_weights.shape[:-1], -1), torch.where(halved, 0.0, own[-1:])], -1)
    rows = log_weights.to(dtype).unsqueeze(-2).expand(*log_weights.shape[:-1], n, n)
    rows = rows + torch.diag_embed(own)
    return rows.masked_fill(~lower_triangle(n, q.device), -math.inf)


def _weights_as_feature(
    q: Tensor, k: Tensor, v: Tensor, log_weights: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """q' = [q, 1/scale], k' = [k, log w], v' = [v, 0]: the scores q'·k'·scale gain log w.

    In half precision log w rides as a high and a low part, so that it keeps 16 bits instead of 8.
    """
    log_weights = log_weights.to(torch.promote_types(k.dtype, torch.float32))
    parts = [log_weights.to(k.dtype)]
    if k.dtype in (torch.bfloat16, torch.float16):
        parts.append((log_weights - parts[0].to(log_weights.dtype)).to(k.dtype))
    extra = torch.stack(parts, -1).expand(*k.shape[:-1], len(parts))
    tau = torch.full_like(q[..., :1], 1 / scale).expand(*q.shape[:-1], len(parts))
    return (
        torch.cat([q, tau], -1),
        torch.cat([k, extra], -1),
        F.pad(v, (0, max(0, len(parts) + q.shape[-1] - v.shape[-1]))),
    )
