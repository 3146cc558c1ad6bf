"""What a term that sees other tokens is told of them: prepared once for a whole flow, and checked before."""

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor

from flowlib.fields import Grid
from flowlib.operators.attention import check_attended, check_finite, relative_log
from flowlib.operators.past import Slot
from flowlib.operators.term import Causal, Term

Save = Literal["all", "final"]
Context = dict[str, Tensor | None]  # a plain one, for torch.compile follows no TypedDict with keys that may be missing


def prepare_context(
    u0: Tensor, mask: Tensor | None, weights: Tensor | Grid | None, needs_points: bool = False
) -> Context:
    """The context of a flow from u0: weights (…, token), as relative logarithms; mask (…, query, key), bool; points
    (token, dims) where they are needed.

    Raises: ValueError for weights or a mask that do not fit, and missing points.
    """
    context: Context = dict(weights=relative_log(weights, u0.shape[-2]), mask=mask_of_pairs(mask, u0))
    if needs_points:
        context["points"] = points_of(weights)
    return context


def evaluate(term: Term, u: Tensor, context: Context, slots: Iterator[Slot] | None = None) -> Tensor:
    """A(u): only a term that sees other tokens is told of them, and takes the next slot of a past, if there is one."""
    if not term.sees_other_tokens:
        return term(u)
    return term(u, **context) if slots is None else term(u, **context, past=next(slots))


def check_field(u0: Tensor) -> None:
    """Raises: ValueError for a u0 that is no field of floats."""
    if u0.ndim < 2 or not u0.is_floating_point():
        raise ValueError(f"u0 must be a float field (…, token, feature), got {u0.dtype} of shape {tuple(u0.shape)}")


def check_steps(steps: int, save: Save) -> None:
    """Raises: ValueError for a number of steps that is not a whole one ≥ 1, and an unknown word for `save`."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps must be a whole number ≥ 1, got {steps!r}")
    if save not in get_args(Save):
        raise ValueError(f"save must be {' or '.join(map(repr, get_args(Save)))}, got {save!r}")


def check_values(u0: Tensor, mask: Tensor | None, causal: Causal) -> None:
    """Raises: ValueError for NaN or infinity in u0, and for a token with nothing to attend to (a GPU waits)."""
    check_finite(u0, "u0")
    tokens = u0.shape[-2]
    check_attended(mask_of_pairs(mask, u0), causal, tokens, tokens)


def check_past(terms: list[Term], mask: Tensor | None, weights: Tensor | Grid | None) -> None:
    """Raises: ValueError where the past would not stay as it was."""
    if mask is not None or weights is not None:
        raise ValueError("a past is kept without mask and weights; leave them out, or flow all tokens again")
    kernels = [term.causal for term in terms if term.sees_other_tokens]
    if not kernels or any(causal is not True for causal in kernels):
        raise ValueError("a past stays as it was only under a causal kernel (causal=True); flow all tokens again")


def mask_of_pairs(mask: Tensor | None, u0: Tensor) -> Tensor | None:
    """A mask of valid tokens (…, token) as one of pairs (…, query, key)."""
    if mask is None:
        return None
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool (True = valid, may attend), got {mask.dtype}; try mask.bool()")
    tokens = u0.shape[-2]
    if mask.shape == u0.shape[:-1] or mask.shape == (tokens,):
        return mask.unsqueeze(-1) & mask.unsqueeze(-2)
    try:
        torch.broadcast_shapes(mask.shape, (*u0.shape[:-1], tokens))
    except RuntimeError:
        raise ValueError(
            f"mask must be (…, token) = {tuple(u0.shape[:-1])} or broadcast to (…, query, key) = "
            f"{(*u0.shape[:-1], tokens)}, got {tuple(mask.shape)}"
        ) from None
    return mask


def points_of(grid: Tensor | Grid | None) -> Tensor:
    """Where the tokens are. Raises: ValueError where no grid says it."""
    if not isinstance(grid, Grid):
        raise ValueError(
            "this flow looks at neighbours, so it needs to know where the tokens are: give weights=Grid(…), "
            f"got {type(grid).__name__}"
        )
    return grid.points
