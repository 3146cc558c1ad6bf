"""What a term that sees other tokens is told of them: prepared once for a whole flow, and checked before."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

from torch import Tensor, nn

from flowlib.arguments import (
    can_read,
    check_bools,
    check_broadcast,
    check_choice,
    check_device,
    check_floats,
    check_type,
    check_whole,
    describe,
)
from flowlib.fields import Grid
from flowlib.operators.attention import check_attended, check_finite, relative_log
from flowlib.operators.constraint import Constraint, check_constraint
from flowlib.operators.past import Past, Slot
from flowlib.operators.term import Causal, Term, check_term, last_of

Save = Literal["all", "final"]
Context = dict[str, Tensor | None]  # a plain one, for torch.compile follows no TypedDict with keys that may be missing


def prepare_context(u0: Tensor, pairs: Tensor | None, weights: Tensor | Grid | None, terms: list[Term]) -> Context:
    """The context of a flow from u0: weights (…, token), as relative logarithms; mask (…, query, key), as from
    `find_pairs`; points (token, dims) where a term needs them.

    Raises: TypeError or ValueError for weights that do not fit, and missing points.
    """
    context: Context = dict(weights=None, mask=pairs)
    if weights is not None:
        check_weights(weights, u0)
        kernels = [term.causal for term in terms if term.sees_other_tokens]
        causal: Causal = "volterra" if "volterra" in kernels else False  # there, equal weights do not cancel
        context["weights"] = relative_log(weights, u0.shape[-2], causal)
    if any(term.needs_points for term in terms):
        context["points"] = points_of(weights)
    return context


def evaluate(
    term: Term, u: Tensor, context: Context, slots: Iterator[Slot] | None = None, last: int | None = None
) -> Tensor:
    """A(u), of the `last` tokens or of all: only a term that sees other tokens is told of them, and takes the next slot
    of a past, if there is one."""
    if not term.sees_other_tokens:
        return term(last_of(u, last))
    more: dict[str, Any] = {} if slots is None else dict(past=next(slots))
    if last is None or not term.answers_last:
        return last_of(term(u, **context, **more), last)
    return term(u, **context, **more, last=last)


def check_field(u0: Tensor) -> None:
    """Raises: TypeError or ValueError for a u0 that is no field of floats."""
    check_floats(u0, "u0", "a float field (…, token, feature)")
    if u0.ndim < 2 or 0 in u0.shape[-2:]:
        raise ValueError(
            f"u0 must be a float field (…, token, feature) with at least one of each, got {describe(u0)}; "
            "a single token is u0[None]"
        )


def check_steps(steps: int, save: Save) -> None:
    """Raises: ValueError for a number of steps that is not a whole one ≥ 1, and an unknown word for `save`."""
    check_whole(steps, "steps")
    check_choice(save, "save", get_args(Save))


def check_last(last: int | None, save: Save) -> None:
    """Raises: ValueError for a number of last tokens that is not a whole one ≥ 1, or where all fields are wanted."""
    if last is not None:
        check_whole(last, "last")
        if save != "final":
            raise ValueError(f'last is for the final field alone: give save="final", got save={save!r}')


def check_values(u0: Tensor, pairs: Tensor | None, terms: list[Term]) -> None:
    """Raises: ValueError for NaN or infinity in u0, and for a token with nothing to attend to (a GPU waits)."""
    if can_read(u0):
        check_finite(u0, "u0")
    if pairs is not None and can_read(pairs):
        causal = any(term.causal for term in terms)
        check_attended(pairs, causal, u0.shape[-2], u0.shape[-2])


def check_weights(weights: Tensor | Grid, u0: Tensor) -> None:
    """Raises: ValueError for weights on another device, or of a shape that is not (…, token). `relative_log` says the
    rest."""
    z = weights.weights if isinstance(weights, Grid) else weights
    if isinstance(z, Tensor):
        check_device(z, "weights", u0, "u0")
        if z.ndim and z.shape[-1] == u0.shape[-2]:
            check_broadcast(z, "weights", u0.shape[:-1], "(…, token)")


def check_past(past: Past, terms: list[Term], mask: Tensor | None, weights: Tensor | Grid | None) -> None:
    """Raises: TypeError for what is no past, ValueError where it would not stay as it was."""
    check_type(past, "past", Past, "a flowlib.operators.Past, or None")
    if mask is not None or weights is not None:
        raise ValueError("a past is kept without mask and weights; leave them out, or flow all tokens again")
    kernels = [term.causal for term in terms if term.sees_other_tokens]
    if not kernels or any(causal is not True for causal in kernels):
        raise ValueError("a past stays as it was only under a causal kernel (causal=True); flow all tokens again")


def find_pairs(mask: Tensor | None, valid: Tensor | None, u0: Tensor) -> Tensor | None:
    """Who may hear whom, (…, query, key), bool, or None: the pairs of `mask`, between the tokens of `valid`.

    A mask of shape (…, token) is taken for valid where it can be nothing else.
    Raises: TypeError or ValueError for what is not bool or does not fit, and for a mask that could be either.
    """
    if mask is None and valid is None:
        return None
    if mask is not None:
        check_bools(mask, "mask", "True = may attend")
        check_device(mask, "mask", u0, "u0")
        if valid is None and _is_valid(mask, u0):
            mask, valid = None, mask
    pairs, shape = None, (*u0.shape[:-1], u0.shape[-2])
    if mask is not None:
        pairs = _without_ones(mask, "mask", shape, "(…, token), or to (…, query, key)")
    if valid is None:
        return pairs
    check_bools(valid, "valid", "True = a token, False = padding")
    check_device(valid, "valid", u0, "u0")
    valid = _without_ones(valid, "valid", u0.shape[:-1], "(…, token)")
    if valid.shape[-1:] != u0.shape[-2:-1]:
        raise ValueError(f"valid must say it of each of the {u0.shape[-2]} tokens, got {describe(valid)}")
    both = valid.unsqueeze(-1) & valid.unsqueeze(-2)
    return both if pairs is None else both & pairs


def _is_valid(mask: Tensor, u0: Tensor) -> bool:
    """Can a mask be nothing but (…, token)? Raises: ValueError where it could be (…, query, key) as well."""
    shape, (*lead, tokens) = tuple(mask.shape), u0.shape[:-1]
    if shape == (tokens,):
        return True
    if len(shape) < 2 or len(shape) > len(lead) + 1 or shape[-1] != tokens or not _fits(shape[:-1], lead):
        return False
    exact = shape == (*lead, tokens)
    if exact and (tokens == 1 or shape[-2] == 1):  # of one token it means the same; one row for a batch of one
        return True
    if shape[-2] in (1, tokens) and _fits(shape[:-2], lead):
        raise ValueError(
            f"mask of shape {shape} could be (…, token) or (…, query, key), with u0 {tuple(u0.shape)}: give padding as "
            "valid= (True = a token), and pairs as mask=mask[None] (True = may attend)"
        )
    return True


def _fits(shape: Sequence[int], larger: Sequence[int]) -> bool:
    """Does one shape broadcast to the other?"""
    return len(shape) <= len(larger) and all(n in (1, m) for n, m in zip(shape[::-1], larger[::-1]))


def _without_ones(z: Tensor, name: str, shape: Sequence[int], what: str) -> Tensor:
    """z, which broadcasts to the shape, without axes of length 1 that the shape does not have."""
    check_broadcast(z, name, shape, what)
    return z.reshape(z.shape[max(0, z.ndim - len(shape)) :])


def points_of(grid: Tensor | Grid | None) -> Tensor:
    """Where the tokens are. Raises: ValueError where no grid says it."""
    if not isinstance(grid, Grid):
        raise ValueError(
            "this flow looks at neighbours, so it needs to know where the tokens are: give weights=Grid(…), "
            f"got {type(grid).__name__}"
        )
    return grid.points


def one_each(
    terms: Sequence[Term], constraints: Constraint | None | Sequence[Constraint | None]
) -> Sequence[Constraint | None]:
    """A constraint (or None) for each of the terms. Raises: as `Flow` does."""
    check_type(terms, "terms", (list, tuple, nn.ModuleList), "a list of terms ([Attention(…), Local(…)])")
    if not len(terms):
        raise ValueError("a flow needs at least one term, got none")
    if constraints is None or isinstance(constraints, nn.Module):
        constraints = [constraints] * len(terms)
    check_type(constraints, "constraints", (list, tuple), "None, one constraint, or a list of one for each term")
    if len(constraints) != len(terms):
        raise ValueError(
            f"one constraint for all terms or one for each: {len(terms)} terms, {len(constraints)} constraints"
        )
    for term, constraint in zip(terms, constraints):
        check_term(term, "a flow")
        if constraint is not None:
            check_constraint(constraint, "a flow")
    return constraints
