"""Values as JSON, and back: numbers, texts, lists, tuples, dictionaries and tensors are copied, functions stay.

What comes from the other side is believed in nothing: kinds and dtypes are those of a list, a tensor has as many bytes
as its shape says, and that is looked at before a byte is allocated.
"""

import base64
import binascii
import importlib
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import torch

COPIED = {("flowlib.fields", "Grid")}  # dataclasses of tensors that travel as what they are
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
    )
}
MOST_SIDES = 16  # of a tensor
MOST_LENGTH = 1 << 31  # of one of them
MOST_POWER = 400  # of ten, in a Decimal


class Unsound(ValueError):
    """What came is no value that `pack` makes."""


def pack(value: Any, keep: Callable[[Any], dict]) -> Any:
    """A value as JSON; keep(function) says what goes for one. Raises: TypeError for what can't be copied or called."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, complex):
        return {"$": "complex", "of": [value.real, value.imag]}
    if isinstance(value, Fraction):
        return {"$": "fraction", "of": [value.numerator, value.denominator]}
    if isinstance(value, Decimal):
        return {"$": "decimal", "of": str(value)}
    if isinstance(value, torch.Tensor):
        return pack_tensor(value)
    if isinstance(value, list):
        return [pack(v, keep) for v in value]
    if isinstance(value, tuple):
        return {"$": "tuple", "of": [pack(v, keep) for v in value]}
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {"$": "dict", "of": {k: pack(v, keep) for k, v in value.items()}}
    if is_dataclass(value) and (type(value).__module__, type(value).__name__) in COPIED:
        parts = {f.name: pack(getattr(value, f.name), keep) for f in fields(value)}
        return {"$": "dataclass", "name": [type(value).__module__, type(value).__name__], "of": parts}
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a number of NumPy's
        return pack(value.item(), keep)
    if type(value).__module__ == "numpy":
        return pack(torch.as_tensor(value), keep)
    if callable(value):
        return keep(value)
    raise TypeError(f"a {type(value).__name__} cannot be handed over; a number, text, tensor, list or function can")


def pack_tensor(value: torch.Tensor) -> dict:
    name = str(value.dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise TypeError(f"a tensor of {value.dtype} cannot be handed over; one of torch.float32 can: x.float()")
    flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    raw = flat.flatten().view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return {"$": "tensor", "dtype": name, "shape": list(flat.shape), "of": base64.b64encode(raw).decode()}


def unpack(value: Any, remote: Callable[[int, str], Any]) -> Any:
    """The inverse of `pack`; remote(handle, name) stands for a function. Raises: Unsound."""
    try:
        return _unpack(value, remote)
    except Unsound:
        raise
    except Exception as error:  # RecursionError is one, too; and whatever a dataclass says to its parts
        raise Unsound(f"a value came that cannot be read: {type(error).__name__}: {str(error)[:200]}") from None


def _unpack(value: Any, remote: Callable[[int, str], Any]) -> Any:
    if isinstance(value, list):
        return [_unpack(v, remote) for v in value]
    if not isinstance(value, dict):
        return value
    kind, of = value.get("$"), value.get("of")
    if kind == "complex":
        real, imaginary = map(number, of)
        return complex(real, imaginary)
    if kind == "fraction":
        above, below = map(whole, of)
        return Fraction(above, below)
    if kind == "decimal":
        return unpack_decimal(of)
    if kind == "tensor":
        return unpack_tensor(value["dtype"], value["shape"], of)
    if kind == "tuple" and isinstance(of, list):
        return tuple(_unpack(v, remote) for v in of)
    if kind == "dict":
        return {k: _unpack(v, remote) for k, v in of.items()}
    if kind == "dataclass" and tuple(value["name"]) in COPIED:
        module, name = value["name"]
        return getattr(importlib.import_module(module), name)(**{k: _unpack(v, remote) for k, v in of.items()})
    if kind == "function":
        return remote(whole(value["handle"]), str(value["name"])[:100])
    raise Unsound(f"a value came of a kind that there is not: {str(kind)[:100]!a}")


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unsound(f"where a number must stand, there is a {type(value).__name__}")
    return float(value)


def whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unsound(f"where a whole number must stand, there is a {type(value).__name__}")
    return value


def unpack_decimal(text: Any) -> Decimal:
    made = Decimal(text if isinstance(text, str) and len(text) <= MOST_POWER else "no number")
    if made.is_finite() and made and abs(made.adjusted()) > MOST_POWER:
        raise Unsound(f"a Decimal must be below 10^{MOST_POWER}, and not smaller than its inverse")
    return made


def unpack_tensor(dtype: Any, shape: Any, text: Any) -> torch.Tensor:
    """A tensor, after dtype, shape and length were found to agree."""
    if dtype not in DTYPES:
        raise Unsound(f"a tensor must be of one of {', '.join(DTYPES)}; a tensor of {str(dtype)[:100]!a} came")
    if not isinstance(shape, list) or not isinstance(text, str) or len(shape) > MOST_SIDES:
        raise Unsound(f"a tensor must have a shape of at most {MOST_SIDES} numbers, and a text of its bytes")
    if not all(0 <= whole(n) <= MOST_LENGTH for n in shape) or math.prod(n for n in shape if n) > MOST_LENGTH:
        raise Unsound(f"a tensor came of the shape {shape}, which none can have here")
    kind = DTYPES[dtype]
    size = math.prod(shape) * kind.itemsize
    if len(text) != 4 * -(-size // 3):
        raise Unsound(f"a tensor of the shape {shape} and {dtype} has {size} bytes; a text of {len(text)} letters came")
    try:
        raw = bytearray(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise Unsound(f"the bytes of a tensor cannot be read: {error}") from None
    if len(raw) != size:
        raise Unsound(f"a tensor of the shape {shape} and {dtype} has {size} bytes; {len(raw)} came")
    if not raw:
        return torch.empty(shape, dtype=kind)
    if kind is torch.bool:  # a byte that is neither 0 nor 1 is no truth value
        return (torch.frombuffer(raw, dtype=torch.uint8) != 0).reshape(shape)
    return torch.frombuffer(raw, dtype=kind).reshape(shape)
