"""What a measure is given, looked at once and before anything is computed: what must hold, what came, what to try.

A measure often ends in an eigenvalue or a singular value. Those routines answer NaN with a bare error, or end the
process, so `finite` stands before every one of them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.arguments import describe
from flowlib.flow.equation import Flow


def check_tensor(z: object, name: str, shape: str = "", dims: Sequence[int] = (), real: bool = True) -> None:
    """Raises: TypeError for what is no tensor of real floats; ValueError for a number of axes that is not in `dims`."""
    if not isinstance(z, Tensor) or (real and not z.is_floating_point()):
        example = "torch.tensor(…, dtype=torch.float64)"
        raise TypeError(f"{name} must be a tensor of floats {shape}, got {describe(z)}; try {example}")
    if dims and z.ndim not in dims:
        raise ValueError(f"{name} must be {shape}, got shape {tuple(z.shape)}")


def finite(z: Tensor, name: str) -> Tensor:
    """z itself. Raises: ValueError where it holds NaN or infinity, saying where."""
    if not (good := torch.isfinite(z)).all():
        where = tuple((~good).nonzero()[0].tolist())
        raise ValueError(f"{name} must be finite, but entry {list(where)} is {z[where].item()}; look at what made it")
    return z


def check_field(u: object, name: str = "u", shape: str = "(…, token, feature)", least: int = 2) -> None:
    """Raises: TypeError, ValueError for what is no finite field with at least so many axes."""
    check_tensor(u, name, shape)
    assert isinstance(u, Tensor)
    if u.ndim < least or not u.numel():
        raise ValueError(f"{name} must be {shape} and not empty, got shape {tuple(u.shape)}")
    finite(u, name)


def number(x: Any, name: str) -> float:
    """x as a float. Raises: TypeError for what is no one number; ValueError for NaN or infinity."""
    one = isinstance(x, Tensor) and x.numel() == 1 and not x.is_complex()
    if not one and (isinstance(x, bool | str | Tensor) or not hasattr(x, "__float__")):
        raise TypeError(f"{name} must be a number, got {describe(x)}")
    try:
        value = float(x)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {describe(x)}") from None
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    return value


def check_positive(x: Any, name: str) -> None:
    """Raises: TypeError for what is no number; ValueError for one that is not positive and finite."""
    if number(x, name) <= 0:
        raise ValueError(f"{name} must be > 0, got {x}")


def check_callable(call: object, name: str, what: str) -> None:
    """Raises: TypeError for what cannot be called, or is a tensor's or a flow's stand-in for it."""
    if not callable(call):
        raise TypeError(f"{name} must be {what}, got {describe(call)}")


def check_flow(flow: object, u0: object = None) -> None:
    """Raises: TypeError for what is no Flow, or for a start that is no tensor. What else is wrong the flow says."""
    if not isinstance(flow, Flow):
        has_one = isinstance(getattr(flow, "flow", None), Flow)
        hint = "it has one inside: give model.flow, and for u0 the first field of its trajectory" if has_one else ""
        raise TypeError(f"flow must be a flowlib.flow.Flow, got {describe(flow)}" + (f"; {hint}" if hint else ""))
    if u0 is not None:
        check_tensor(u0, "u0", "(…, token, feature)")


def check_repeatable(flow: nn.Module) -> None:
    """Raises: ValueError for a flow that drops numbers at random: two runs of it differ by chance."""
    if found := find_dropout(flow):
        raise ValueError(
            f"this measure needs a flow that does the same each time, but {found} drops numbers at random in training; "
            "call flow.eval() first"
        )


def find_dropout(module: nn.Module) -> str:
    """The first part that drops numbers at random while in training mode, by its class; "" where none does."""
    for part in module.modules():
        share = part.p if isinstance(part, nn.modules.dropout._DropoutNd) else getattr(part, "dropout", 0.0)
        if part.training and isinstance(share, int | float) and share > 0:
            return type(part).__name__
    return ""


def same_shape(velocity: Callable[[Tensor], Tensor], u: Tensor, name: str = "velocity") -> Callable[[Tensor], Tensor]:
    """The velocity, which says in words where it answers with something else than a field like u.

    Raises: TypeError for what is no function, or is a flow; when called, ValueError for another shape.
    """
    check_callable(velocity, name, "a function u ↦ f(u) of tensors")
    if isinstance(velocity, Flow):
        raise TypeError(f"{name} must be a function u ↦ f(u), got a flow; try lambda u: flow.velocity(u, 0.0)")

    def call(x: Tensor) -> Tensor:
        found = velocity(x)
        if not isinstance(found, Tensor) or found.shape != x.shape:
            raise ValueError(f"{name} must map {tuple(x.shape)} to the same shape, got {describe(found)}")
        return found

    return call
