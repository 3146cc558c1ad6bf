"""A term: what the right-hand side of the equation is a sum of, and what a flow has to know of it.

u_t ∈ Σ_i A_i(u, t) − N_S(t)(u):        a Term is one A_i.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from flowlib.arguments import check_floats, describe

Causal = Literal[False, True, "volterra"]


class Term(nn.Module):
    """A vector field u ↦ A(u), (…, token, feature) → the same; with `is_substep`, a map (u, h) ↦ Φ(h) u.

    What a `Flow` takes. A term of your own derives from it, writes `forward`, and sets what differs from the defaults:

        class Drift(Term):
            def forward(self, u):
                return -u

    The attributes may stand on the class, or be set in `__init__` where they depend on how a term was made.
    """

    sees_other_tokens: bool = False
    """Does A(u)(x) depend on u elsewhere? Then a flow calls forward(u, weights=…, mask=…): `weights` are the relative
    logarithms of the token grid's quadrature weights (`relative_log`), `mask` is bool (…, query, key), True = may
    attend; either may be None. A causal term is also given `past=` (a `Slot`) where a flow is called with a past."""

    needs_points: bool = False
    """Does it need to know where the tokens are? Then forward gets points=…, (token, dims), too, and the flow has to be
    called with a Grid."""

    is_substep: bool = False
    """Is it a whole substep, forward(u, h) = Φ(h) u, and no velocity? Such a flow has no continuous limit Δt → 0."""

    causal: Causal = False
    """Whom does a token hear? False: all tokens. True: itself and those before it. "volterra": the same, its own cell
    counted half."""

    answers_last: bool = False
    """Does forward take last=, and give A(u) of so many tokens alone, the last ones? A flow asks for them where no more
    is wanted of a step."""

    called: str = ""
    """What a budget calls it ("attention", "feed-forward"); by default the name of its class."""


class Wrapper(Term):
    """A term made of another one, `term`: what a flow has to know of it is what it has to know of the one inside.

    Raises: TypeError where what is inside is no Term, ValueError where it is a whole substep.
    """

    def __init__(self, term: Term):
        super().__init__()
        check_term(term, type(self).__name__)
        if term.is_substep:
            raise ValueError(
                f"{type(self).__name__} is made of a vector field u ↦ A(u), and {type(term).__name__} is a whole "
                "substep; give it to the flow as it is"
            )
        self.term = term

    @staticmethod
    def _of_inside(name: str) -> Any:
        return property(lambda self: getattr(self.term, name))

    sees_other_tokens = _of_inside("sees_other_tokens")
    needs_points = _of_inside("needs_points")
    causal = _of_inside("causal")


def last_of(u: Tensor, tokens: int | None) -> Tensor:
    """u (…, token, feature) at so many of its tokens, the last ones; at all of them, without a number."""
    return u if tokens is None else u[..., -tokens:, :]


def check_term(module: object, whose: str) -> None:
    """Raises: TypeError where the module is no Term, saying what to do."""
    if not isinstance(module, Term):
        raise TypeError(
            f"{whose} takes terms, and {type(module).__name__} is none; derive its class from flowlib.operators.Term, "
            "and set sees_other_tokens = True there if it looks at other tokens"
        )


def check_fit(u: Tensor, width: int, weight: Tensor | None, whose: str, axes: int = 1) -> None:
    """Raises: TypeError for a field that is no tensor, ValueError for one of another width, dtype or device than the
    term's parameters. (Under autocast the dtypes may differ; without a weight they are not looked at.)"""
    if (
        isinstance(u, Tensor)
        and u.ndim >= axes
        and u.shape[-1] == width
        and (weight is None or (u.dtype == weight.dtype and u.device == weight.device))
    ):
        return
    field = "u (a flow's u0)"
    check_floats(u, field, "a field of floats (…, token, feature)")
    if u.ndim < axes or u.shape[-1] != width:
        raise ValueError(f"{field} must be (…, token, feature) with the {width} features of {whose}, got {describe(u)}")
    if weight is None:
        return
    if u.device != weight.device:
        raise ValueError(
            f"{field} must be where the parameters are: it is on {u.device}, those of {whose} on {weight.device}; "
            f"try u0.to({weight.device.type!r})"
        )
    if not torch.is_autocast_enabled(u.device.type):
        raise ValueError(
            f"{field} must have the dtype of the parameters: it is {u.dtype}, those of {whose} are {weight.dtype}; "
            f"try u0.to({weight.dtype}), or flow.to({u.dtype})"
        )
