"""What a kernel γ says of itself: how many tokens are heard, and how far away.

A row of γ is a density over the tokens that are heard, p_j = γ(x_i, x_j) w_j with Σ_j p_j = 1. All kernels here are
p, (…, query, key), as `Attention.kernel` gives them.
"""

import torch
from torch import Tensor

from flowlib.fields import Grid
from flowlib.flow.equation import Flow, Increment
from flowlib.measure.budgets import attention_of, kernel_of


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

    Error: exact. Raises: ValueError where the flow has no attention.
    """
    found: list[Tensor] = []

    def watch(one: Increment) -> None:
        if attention_of(one) is not None:
            found.append(kernel_of(one))

    flow(u0, steps, mask=mask, valid=valid, weights=weights, save="final", watch=watch)
    if not found:
        raise ValueError("this flow has no attention, so it has no kernel")
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
    n = ((p > 0) if allowed is None else allowed.expand_as(p)).sum(-1)
    return entropy(p, weights) / n.to(p).log().where(n > 1, torch.nan)


def reach(p: Tensor, points: Tensor | Grid | None = None) -> Tensor:
    """Σ_j p_j |x_i − x_j|: the mean distance over which a token hears, (…, query, key) → (…, query).

    points: (token,), (token, dim) or a Grid, and the unit is theirs; without them, positions in the text: tokens.
    Error: exact; on a grid, that of its quadrature. Raises: ValueError for other shapes, rows that do not sum to 1.
    """
    _check_rows(p)
    n = p.shape[-1]
    if points is None:
        points = torch.arange(n)
    points = (points.points if isinstance(points, Grid) else points).to(p)
    points = points[:, None] if points.ndim == 1 else points
    if p.shape[-2] != n or len(points) != n:
        raise ValueError(f"a reach needs a place for each of the {n} tokens, got {len(points)} and p {tuple(p.shape)}")
    return (p * (points[:, None] - points[None]).norm(dim=-1)).sum(-1)


def _weights(weights: Tensor | Grid, p: Tensor) -> Tensor:
    w = (weights.weights if isinstance(weights, Grid) else weights).to(p)
    if w.shape[-1] != p.shape[-1]:
        raise ValueError(f"one weight for each of the {p.shape[-1]} keys, got shape {tuple(w.shape)}")
    return w.unsqueeze(-2)


def _check_rows(p: Tensor) -> None:
    worst = (p.sum(-1) - 1).abs().max().item()
    if not worst < 1e-3:
        raise ValueError(
            f"each row of a kernel must sum to 1 (∫ γ dx̃ = 1), here one misses it by {worst:.1g}; "
            "leave padded tokens out"
        )
