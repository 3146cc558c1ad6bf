"""What models are given: one small layer that says what must hold, what came, and what to try."""

from typing import Any

import torch
from torch import Tensor

from flowlib.arguments import check_tensor

WHOLE = (torch.int64, torch.int32)  # what an embedding can look up


def check_tokens(tokens: Any, known: int, name: str = "tokens", look: bool = True) -> None:
    """Raises: TypeError for what is no tensor, ValueError for what are no numbers of tokens.

    look: at the values, too; never in a compiled step, and not where a GPU would have to wait.
    """
    check_tensor(tokens, name, "a tensor (…, token) of whole numbers")
    if tokens.dtype not in WHOLE:
        raise ValueError(f"{name} must be whole numbers (int64), got {tokens.dtype}; try {name}.long()")
    if tokens.ndim < 1 or not tokens.shape[-1]:
        raise ValueError(f"{name} must be (…, token), at least one, got the shape {tuple(tokens.shape)}")
    if look and not torch.compiler.is_compiling() and tokens.numel():
        found = torch.aminmax(tokens)
        low, high = found.min.item(), found.max.item()
        if low < 0 or high >= known:
            raise ValueError(
                f"{name} must be in 0 … {known - 1}, got {low} … {high}; encode with the model's vocabulary"
            )


def check_floats(values: Any, name: str, shape: str, like: Tensor) -> None:
    """Floats in the number format and on the device of a model's parameters, but that autocast changes the format.

    Raises: TypeError for what is no tensor, ValueError for other numbers.
    """
    check_tensor(values, name, f"a tensor {shape}")
    if not values.is_floating_point():
        raise ValueError(
            f"{name} must be floats {shape}, got {values.dtype} of shape {tuple(values.shape)}; try {name}.float()"
        )
    if values.device.type != like.device.type:
        raise ValueError(f"{name} must be where the model is, on {like.device}; got {values.device}; try {name}.to(…)")
    if values.dtype != like.dtype and not torch.is_autocast_enabled(like.device.type):
        raise ValueError(
            f"{name} must be {like.dtype}, as the model's parameters are, got {values.dtype}; try "
            f"{name}.to({like.dtype})"
        )


def check_targets(targets: Any, scores: Tensor, look: bool = True) -> None:
    """Classes (or tokens), one for each row of scores; −100 is left out of the loss.

    Raises: TypeError for what is no tensor, ValueError for what does not fit.
    """
    check_tensor(targets, "targets", f"a tensor {tuple(scores.shape[:-1])} of whole numbers")
    if targets.dtype != torch.int64 or targets.shape != scores.shape[:-1]:
        raise ValueError(
            f"targets must be whole numbers (int64) of shape {tuple(scores.shape[:-1])}, got {targets.dtype} of shape "
            f"{tuple(targets.shape)}"
        )
    if look and not torch.compiler.is_compiling() and targets.numel():
        odd = targets[((targets < 0) | (targets >= scores.shape[-1])) & (targets != -100)]
        if len(odd):
            raise ValueError(f"targets must be in 0 … {scores.shape[-1] - 1}, got {odd[0]}")


def check_text(value: Any, name: str) -> None:
    """Raises: TypeError for what is no text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text, got {type(value).__name__}")
