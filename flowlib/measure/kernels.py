"""What a kernel γ says of itself: how many tokens are heard, and how far away.

A row of γ is a density over the tokens that are heard, p_j = γ(x_i, x_j) w_j with Σ_j p_j = 1. All kernels here are
p, (…, query, key), as `Attention.kernel` gives them.
"""

import torch
from torch import Tensor

from flowlib.arguments import describe
from flowlib.fields import Grid
from flowlib.flow.equation import Flow, Increment
from flowlib.measure.budgets import attention_inside, kernel_of
from flowlib.measure.inputs import check_flow, check_tensor


@torch.no_grad()
def kernels_of(
    flow: Flow,
    u0: Tensor,
    steps: int | None = None,
    *,
    mask: Tensor | None = None,
    valid: Tensor | None = None,
    weights: Tensor | Grid | None = None,
) -> Tensor:
    """The kernel at the start of each attention substep on the way of flow(u0): (substep, …, head, query, key).

    It is γ itself, before any dropout, of the fields that this run came by.
    Error: exact. Raises: ValueError where the flow has no attention, or attention with different numbers of heads.
    """
    check_flow(flow, u0)
    found: list[Tensor] = []

    def watch(one: Increment) -> None:
        if attention_inside(one) is not None:
            found.append(kernel_of(one))

    flow(u0, steps, mask=mask, valid=valid, weights=weights, save="final", watch=watch)
    if not found:
        raise ValueError("this flow has no attention, so it has no kernel")
    if len(heads := {p.shape[-3] for p in found}) > 1:
        raise ValueError(
            f"all kernels must have as many heads, got {sorted(heads)}; take each with watch= and kernel_of"
        )
    return torch.stack(found)


def entropy(p: Tensor, weights: Tensor | Grid | None = None) -> Tensor:
    """H = −Σ_j p_j log(p_j / ŵ_j) in nats, ŵ = w / mean w:  (…, query, key) → (…, query).

    0 where one token alone is heard, log n where all n are heard alike (γ constant, whatever the weights are).
    weights: quadrature weights (…, key), or a Grid; p must have been made with them. Error: exact.
    Raises: ValueError where a row of p does not sum to 1.
    """
    _check_rows(p)
    if weights is None:
        return torch.special.entr(p).sum(-1)
    w = _weights(weights, p)
    return torch.special.entr(p).sum(-1) + (p * (w / w.mean(-1, keepdim=True)).log()).sum(-1)


def heard_tokens(p: Tensor, weights: Tensor | Grid | None = None) -> Tensor:
    """e^H: the effective number of tokens that are heard, from 1 to n. (…, query, key) → (…, query)."""
    return entropy(p, weights).exp()


def evenness(p: Tensor, weights: Tensor | Grid | None = None, allowed: Tensor | None = None) -> Tensor:
    """H / log n, n the number of tokens that may be heard: 1 where all of them are heard alike. (…, query).

    allowed: bool (…, query, key); without it, those with p > 0. Where only one token may be heard it is NaN.
    """
    H = entropy(p, weights)
    n = ((p > 0) if allowed is None else _allowed(allowed, p)).sum(-1)
    return H / n.to(p).log().where(n > 1, torch.nan)


def reach(p: Tensor, points: Tensor | Grid | None = None) -> Tensor:
    """Σ_j p_j |x_i − x_j|: the mean distance over which a token hears, (…, query, key) → (…, query).

    points: (token,), (token, dim) or a Grid, and the unit is theirs; without them, positions in the text: tokens.
    Error: exact; on a grid, that of its quadrature. Raises: ValueError for other shapes, rows that do not sum to 1.
    """
    _check_rows(p)
    n = p.shape[-1]
    if points is None:
        points = torch.arange(n)
    points = points.points if isinstance(points, Grid) else points
    check_tensor(points, "points", "(token,), (token, dim), or a Grid", (1, 2), real=False)
    points = points.to(p)
    points = points[:, None] if points.ndim == 1 else points
    if p.shape[-2] != n or len(points) != n:
        raise ValueError(f"a reach needs a place for each of the {n} tokens, got {len(points)} and p {tuple(p.shape)}")
    return (p * (points[:, None] - points[None]).norm(dim=-1)).sum(-1)


def _allowed(allowed: Tensor, p: Tensor) -> Tensor:
    """`allowed` for every row of p."""
    if not isinstance(allowed, Tensor) or allowed.dtype != torch.bool:
        raise TypeError(f"allowed must be a bool tensor (…, query, key), got {describe(allowed)}")
    try:
        return allowed.expand_as(p)
    except RuntimeError:
        raise ValueError(f"allowed must broadcast to p's shape {tuple(p.shape)}, got {tuple(allowed.shape)}") from None


def _weights(weights: Tensor | Grid, p: Tensor) -> Tensor:
    w = weights.weights if isinstance(weights, Grid) else weights
    check_tensor(w, "weights", "(…, key), or a Grid")
    w = w.to(p)
    if w.ndim == 0 or w.shape[-1] != p.shape[-1]:
        raise ValueError(f"one weight for each of the {p.shape[-1]} keys, got shape {tuple(w.shape)}")
    if not (w > 0).all():
        raise ValueError(f"weights must be positive, the smallest here is {w.min():g}; leave the token out of p")
    return w.unsqueeze(-2)


def _check_rows(p: Tensor) -> None:
    check_tensor(p, "p", "(…, query, key)")
    if p.ndim < 2 or not p.numel():
        raise ValueError(f"p must be (…, query, key) and not empty, got shape {tuple(p.shape)}")
    if (p < 0).any():
        raise ValueError(
            f"a kernel is never negative, the smallest entry here is {p.min():.1g}; give it, not its scores"
        )
    worst = (p.sum(-1) - 1).abs().max().item()
    if not worst < 1e-3:
        raise ValueError(
            f"each row of a kernel must sum to 1 (∫ γ dx̃ = 1), here one misses it by {worst:.1g}; "
            "leave padded tokens out"
        )
