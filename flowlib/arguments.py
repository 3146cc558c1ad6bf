"""What an argument has to be, said in words where it is not: what must hold, what came, what to try.

The rooms call these where a reader's call comes in, once. Types, shapes and dtypes cost nothing to look at; values make
a GPU wait, so they are read only where `can_read` says so.
"""

import math
import operator
from collections.abc import Sequence
from types import UnionType
from typing import Any, get_args, get_origin

import numpy as np
import torch
from torch import Tensor

Whole = int | np.integer
Number = int | float | np.integer | np.floating


def can_read(*tensors: Tensor | None) -> bool:
    """May the values be read here? Not while a step is compiled, nor inside torch.func (vmap, jvp), nor on meta."""
    if torch.compiler.is_compiling():
        return False
    for z in tensors:
        if z is not None and (z.is_meta or torch._C._functorch.is_functorch_wrapped_tensor(z)):
            return False
    return True


def describe(value: object) -> str:
    """A value in a few words: a tensor by its dtype and shape, never by its entries."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {value.shape}"
    if value is None or isinstance(value, str | bool | Number):
        return repr(value)
    if isinstance(value, list | tuple | dict | set):
        return f"a {type(value).__name__} of {len(value)}"
    return getattr(value, "__name__", type(value).__name__)


def check_tensor(value: object, name: str, what: str = "a tensor") -> None:
    """Raises: TypeError for what is no tensor, with the way to make one."""
    if not isinstance(value, Tensor):
        way = {np.ndarray: f"; try torch.from_numpy({name})", list: f"; try torch.tensor({name})"}
        raise TypeError(f"{name} must be {what}, got {describe(value)}{way.get(type(value), '')}")


def check_floats(value: object, name: str, what: str = "a tensor of floats") -> None:
    """Raises: TypeError for what is no tensor, ValueError for one that holds no floats."""
    check_tensor(value, name, what)
    if isinstance(value, Tensor) and not value.is_floating_point():
        raise ValueError(f"{name} must be {what}, got {describe(value)}; try {name}.double() or {name}.float()")


def check_reals(value: object, name: str, what: str = "a tensor of real numbers") -> None:
    """Raises: TypeError for what is no tensor, ValueError for one of truth values or complex numbers."""
    check_tensor(value, name, what)
    if isinstance(value, Tensor) and (value.dtype == torch.bool or value.is_complex()):
        raise ValueError(f"{name} must be {what}, got {describe(value)}")


def check_bools(value: object, name: str, what: str) -> None:
    """Raises: TypeError for what is no tensor, ValueError for one that does not hold True and False."""
    check_tensor(value, name, f"a tensor of bool ({what})")
    if isinstance(value, Tensor) and value.dtype != torch.bool:
        raise ValueError(f"{name} must be bool ({what}), got {describe(value)}; try {name}.bool()")


def check_device(value: Tensor, name: str, like: Tensor, other: str) -> None:
    """Raises: ValueError where two tensors that meet lie on different devices."""
    if value.device != like.device:
        raise ValueError(
            f"{name} must be where {other} is: {name} is on {value.device}, {other} on {like.device}; "
            f"try {name}.to({like.device.type!r})"
        )


def check_whole(value: Any, name: str, least: int = 1, most: int | None = None) -> None:
    """A tensor of one whole number counts as one.

    Raises: TypeError or ValueError for what is no whole number ≥ least (and ≤ most).
    """
    span = f"a whole number ≥ {least}" if most is None else f"a whole number from {least} to {most}"
    try:
        whole = operator.index(value)
    except (TypeError, RuntimeError):  # the second is a tensor's of many numbers
        whole = None
    if whole is None or isinstance(value, bool):
        kind = ValueError if isinstance(value, Number) else TypeError
        raise kind(f"{name} must be {span}, got {describe(value)}")
    if whole < least or (most is not None and whole > most):
        raise ValueError(f"{name} must be {span}, got {whole}")


def check_number(value: object, name: str, rule: str = "finite") -> None:
    """rule: "finite", "> 0" or "≥ 0" (and finite), or "in [0, 1)".

    Raises: TypeError for what is no number, ValueError for one that breaks the rule.
    """
    if isinstance(value, bool) or not isinstance(value, Number):
        raise TypeError(f"{name} must be a number ({rule}), got {describe(value)}")
    holds = {"finite": True, "> 0": value > 0, "≥ 0": value >= 0, "in [0, 1)": 0 <= value < 1}[rule]
    if not (math.isfinite(value) and holds):
        raise ValueError(f"{name} must be {rule}{'' if rule == 'finite' else ' and finite'}, got {value}")


def check_choice(value: object, name: str, choices: Sequence[Any], more: str = "") -> None:
    """Raises: ValueError for what is none of the choices, listing them. True is not 1 here."""
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return
    known = ", ".join(map(repr, choices))
    raise ValueError(f"{name} must be one of {known}{more}, got {describe(value)}")


def check_flag(value: object, name: str) -> None:
    """Raises: TypeError for what is neither True nor False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {describe(value)}")


def check_type(value: object, name: str, kind: type | tuple[type, ...], what: str) -> None:
    """Raises: TypeError for what is not of this kind; `what` says it in words."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {what}, got {describe(value)}")


def check_broadcast(value: Tensor, name: str, shape: Sequence[int], what: str) -> None:
    """Raises: ValueError where the tensor cannot be broadcast to the shape without making it larger."""
    size, fits = tuple(value.shape), tuple(shape)
    tail = size[len(size) - len(fits) :] if len(size) > len(fits) else size
    ones = all(n == 1 for n in size[: len(size) - len(tail)])
    if not ones or any(n not in (1, m) for n, m in zip(tail[::-1], fits[::-1])):
        raise ValueError(f"{name} must broadcast to {what} = {fits}, got {size}")


def is_a(kind: Any, value: Any) -> bool:
    """Whether a setting is of its kind: a whole number is a number, and a truth value is no number."""
    if get_origin(kind) is UnionType:
        return any(is_a(one, value) for one in get_args(kind))
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))


def say_kind(kind: Any) -> str:
    """What a setting must be, in words."""
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "a word", type(None): "None"}
    return " or ".join(words.get(one, getattr(one, "__name__", str(one))) for one in get_args(kind) or (kind,))
