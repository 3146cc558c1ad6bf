"""Checks that answer with a sentence that teaches.

    close(my_attend(q, k, v), attend(q, k, v), what="my_attend", topic="attention", inputs=(q, k, v))

A difference is traced to its cause where there is one to name: the shape, a known misconception, a sign, a
transposition, a factor, a shift. Imports torch only, so that a grader can use it without a notebook.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from flowlib.checks.misconceptions import MISCONCEPTIONS, Misconception


class CheckFailed(AssertionError):
    """A check that did not hold. A notebook shows its sentence alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"✗ {self}"]


def close(
    yours,
    reference,
    *,
    tol: float = 1e-6,
    what: str = "the result",
    topic: str | None = None,
    inputs: tuple = (),
) -> None:
    """max |yours − reference| <= tol · max(1, max |reference|), or a sentence that says what went wrong.

    `topic` and `inputs` let the check compare with the registered wrong ways of that topic: each is called as
    wrong(*inputs). Prints one line where the check holds.

    Raises: CheckFailed, an AssertionError; ValueError for an unknown topic.
    """
    if topic is not None and topic not in MISCONCEPTIONS:
        raise ValueError(f"unknown topic {topic!r}; known: {', '.join(sorted(MISCONCEPTIONS)) or 'none'}")
    mine, right = as_tensor(yours, what), as_tensor(reference, "the reference")
    said = explain(mine, right, tol, topic, inputs)
    if said and near(mine, right, max(tol, SINGLE)) and is_coarse(yours):
        said = f"it agrees to {SINGLE:.0e}, and more is not to be had: {COARSE}"
    if said:
        raise CheckFailed(f"{what}: {said}")
    confirm(f"{what} agrees with the reference to {tol:.0e}")


SINGLE = 1e-5  # what is left of a sum in single precision
COARSE = (
    "your numbers are in single precision, seven digits, where the given ones have sixteen. torch.zeros(...) makes "
    "such numbers: write torch.zeros(..., dtype=torch.float64), or make new tensors from a given one, z.new_zeros(...)"
)


def is_coarse(value) -> bool:
    """Whether a tensor has fewer digits than float64."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.dtype != torch.float64


def confirm(sentence: str) -> None:
    """Say that a check holds; a console that lacks the tick gets a word in its place."""
    try:
        print(f"✓ {sentence}")
    except UnicodeEncodeError:
        print(f"ok: {sentence}".encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding))


def as_tensor(value, what: str) -> Tensor:
    """The value in float64 on the CPU, without gradient. Raises: CheckFailed where it is no tensor and no number."""
    if value is None or value is Ellipsis:
        raise CheckFailed(f"{what}: there is nothing here yet. Does your function return its result?")
    try:
        wide = None if isinstance(value, Tensor) else torch.float64  # a Python number has all of its digits
        return torch.as_tensor(value, dtype=wide).detach().cpu().to(torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise CheckFailed(f"{what}: a tensor or a number must come here, got {type(value).__name__}") from None


def near(a: Tensor, b: Tensor, tol: float) -> bool:
    """|a − b| <= tol · max(1, max |b|) in every entry, with b finite: nothing is near to an infinity."""
    size = max(1.0, b.abs().max().item()) if b.numel() else 1.0
    return a.shape == b.shape and bool(b.isfinite().all()) and bool((a - b).abs().le(tol * size).all())


def explain(mine: Tensor, right: Tensor, tol: float, topic: str | None = None, inputs: tuple = ()) -> str:
    """What is wrong with `mine`, in a sentence; "" where nothing is."""
    if mine.shape != right.shape:
        return explain_shape(mine, right, tol)
    if not mine.isfinite().all():
        where = first_index(~mine.isfinite())
        return f"the entry {where} is {mine[where].item()}. Was a number divided by 0, or a whole row masked?"
    if near(mine, right, tol):
        return ""
    for known in MISCONCEPTIONS.get(topic or "", {}).values():
        if agrees(known, mine, inputs, tol):
            return known.sentence
    return explain_numbers(mine, right, tol)


def agrees(known: Misconception, mine: Tensor, inputs: Sequence, tol: float) -> bool | None:
    """Whether `mine` is what the wrong way makes of the inputs; None where the wrong way does not work for them."""
    try:
        wrong = as_tensor(known.wrong(*inputs), known.name)
    except Exception:  # a wrong way need not work for every input, and then explains nothing
        return None
    return near(mine, wrong, tol)


def explain_shape(mine: Tensor, right: Tensor, tol: float) -> str:
    """The sentence for another shape: transposed, an axis in the wrong place, or one that is gone."""
    came, must = tuple(mine.shape), tuple(right.shape)
    said = f"the shape must be {must}, got {came}"
    if mine.ndim >= 2 and mine.mT.shape == right.shape:
        same = near(mine.mT.contiguous(), right, tol)
        return said + (
            ". It is the transposed answer: swap the last two axes" if same else ": rows and columns are swapped"
        )
    if mine.numel() == right.numel():
        return said + ": the number of entries is right, so an axis is in the wrong place, or one is too many"
    if mine.ndim < right.ndim:
        return said + ": an axis is gone. Was it summed or averaged away? keepdim=True keeps it"
    return said + ". Write the shape of every tensor beside the line that makes it"


def explain_numbers(mine: Tensor, right: Tensor, tol: float) -> str:
    """The sentence for the right shape with wrong numbers: sign, transposition, factor, shift, or where."""
    if near(-mine, right, tol):
        return "every sign is the other way round. Look for a minus that is missing or one too many"
    if mine.ndim >= 2 and near(mine.mT, right, tol):
        return "this is the transposed answer: rows and columns are swapped"
    factor = common_factor(mine, right, tol)
    if factor is not None:
        return f"every entry is {factor:.4g} times what it must be{name_factor(factor, right)}"
    shift = (mine - right).mean().item()
    if near(mine - shift, right, tol):
        return f"every entry is off by the same {shift:.4g}. Was something not subtracted, or subtracted twice?"
    for axis in range(mine.ndim):
        if mine.shape[axis] > 1 and near(mine.flip(axis), right, tol):
            return f"axis {axis} runs backwards"
    gap = (mine - right).abs()
    where = first_index(gap == gap.max())
    wrong = (gap > tol * max(1.0, right.abs().max().item())).sum().item()
    at = f" at {where}" if mine.ndim else ""
    return (
        f"{wrong} of {mine.numel()} entries differ; the largest difference is {gap.max().item():.3g}{at}, "
        f"where {mine[where].item():.6g} came and {right[where].item():.6g} must stand"
    )


def common_factor(mine: Tensor, right: Tensor, tol: float) -> float | None:
    """c with mine = c · right, where there is one and right is not all zero."""
    total = (right * right).sum()
    if mine.numel() < 2 or total == 0:
        return None
    factor = ((mine * right).sum() / total).item()
    if factor == 0 or not near(mine / factor, right, tol):
        return None
    return factor


def name_factor(factor: float, right: Tensor) -> str:
    """Where a factor comes from, if the sizes at hand say so."""
    for axis in range(right.ndim):
        n = right.shape[axis]
        if n < 2:
            continue
        for value, name in ((n, f"{n}"), (1 / n, f"1/{n}"), (n**0.5, f"√{n}"), (n**-0.5, f"1/√{n}")):
            if abs(factor / value - 1) < 1e-9:
                return f", and axis {axis} has {n} entries. Is {name} a factor too many, or a sum a mean?"
    return ". Which constant of the formula is missing, or stands there twice?"


def first_index(mask: Tensor) -> tuple[int, ...]:
    """The index of the first entry that is True."""
    return tuple(mask.nonzero()[0].tolist()) if mask.ndim else ()


@contextmanager
def fails(*kinds: type[Exception]) -> Iterator[None]:
    """The block must raise: the error is printed, and the notebook goes on. For what is broken on purpose.

    Raises: CheckFailed where nothing was raised.
    """
    try:
        yield
    except Exception as error:
        if kinds and not isinstance(error, kinds):
            raise
        print(f"{type(error).__name__}: {error}")
    else:
        raise CheckFailed("this was meant to fail, and did not")
