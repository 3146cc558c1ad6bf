"""What a reader is told of an error in their own code, and of an argument that it has changed."""

import inspect
import linecache
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowlib.checks.compare import CheckFailed

LIBRARIES = (str(Path(__file__).parents[2] / "flowlib"), str(Path(torch.__file__).parents[1]))
LIKELY = {  # a part of Python's message → what it mostly means
    "not defined": "Is it spelt as where it was made, and did that cell run?",
    "referenced before assignment": "It has no value yet in this turn: give it one before the loop.",
    "not associated with a value": "It has no value yet in this turn: give it one before the loop.",
    "must match the size": "Two tensors do not fit: print their shapes. After a sum or a mean, keepdim=True keeps the "
    "axis, and x[:, None] makes one.",
    "cannot be multiplied": "The inner sizes of a matrix product must agree: print both shapes. Is one transposed?",
    "size mismatch": "The inner sizes of a matrix product must agree: print both shapes. Is one transposed?",
    "inconsistent tensor size": "The two must be equally long: print both shapes.",
    "shape mismatch": "Two tensors do not fit: print their shapes.",
    "out of bounds": "An index is too large: n entries are numbered 0 to n − 1.",
    "out of range": "An index is too large: n entries are numbered 0 to n − 1.",
    "same dtype": "One is float32 and the other float64: take dtype=torch.float64 everywhere.",
    "scalar type": "One is float32 and the other float64: take dtype=torch.float64 everywhere.",
    "NoneType": "Something is None: does a function that you call lack its return?",
    "missing": "A function is called with too few arguments: look at its first line.",
    "positional argument": "A function is called with other arguments than its first line has.",
    "not callable": "What stands before the bracket is no function. Is a * missing, or was a name given away?",
    "does not require grad": "The function returns numbers and no derivatives: take difference quotients.",
    "must come to rest at": "`rests` says False at the shortest step. Is the comparison the wrong way round? True "
    "means that the result has become smaller.",
    "does not break": "`rests` says True at the longest step: does the search reach far enough?",
    "division by zero": "What is divided by is 0 here.",
    "only one element": "One number is needed here, and there are several: .item() takes one.",
    "can be converted to": "One number is needed here, and there are several: .item() takes one.",
    "has no attribute": "It is of another kind than you think: print type(…). A list or a number is no tensor.",
    "truth value of": "if and while need one value: use torch.where for each entry, or .all() and .any().",
    "is ambiguous": "if and while need one value: use torch.where for each entry, or .all() and .any().",
    "unsupported operand": "The two are of kinds that do not go together: print type(…) of both. A list is no tensor.",
    "can't multiply sequence": "A list times a number repeats it: make it a tensor first.",
}


@contextmanager
def in_words(what: str) -> Iterator[None]:
    """What goes wrong in the block is told in words, with the line of the reader's code. Raises: CheckFailed."""
    try:
        yield
    except (CheckFailed, NotImplementedError):
        raise
    except Exception as error:
        if type(error).__module__.startswith("flowlib.classroom"):  # the grader knows what its own errors mean
            raise
        raise CheckFailed(f"{what}: {tell(error)}") from error


def tell(error: Exception) -> str:
    """Where the reader's code failed, what Python says, and what that mostly means."""
    said = " ".join(str(error).split())
    said = f"{said[:200]}…" if len(said) > 200 else said
    line = line_of(error)
    if not line:
        return f"the check cannot use what your answer returned ({said}). Look at its shape and at its kind."
    likely = next((hint for part, hint in LIKELY.items() if part in said), "")
    if isinstance(error, KeyError):
        said, likely = f"there is no entry {said}", "Look at how the keys are spelt."
    return f"your code stops {line}: {said.rstrip('.')}. {likely}".rstrip()


def line_of(error: Exception) -> str:
    """The last line of the traceback that is no library's: "in line 3, `…`", or "" where there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(LIBRARIES) and "contextlib" not in frame.filename]
    own = [frame for frame in own if frame.name != "<module>"]
    if not own:
        return ""
    text = (own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno or 0)).strip()
    return f"in line {own[-1].lineno} of its cell" + (f", `{text}`" if text else "")


def copy_of(value: Any) -> Any:
    """A tensor or a list of its own; anything else as it is."""
    if isinstance(value, Tensor):
        return value.clone()
    return list(value) if isinstance(value, list) else value


def refuse_changes(answer: Callable, before: Sequence, after: Sequence) -> None:
    """Raises: CheckFailed where a tensor or a list is no longer what it was."""
    for place, (old, new) in enumerate(zip(before, after)):
        if same(old, new):
            continue
        name = name_of_argument(answer, place)
        how = f"{name} += … and {name}[…] = … write into it: write {name} = {name} + …, or begin with {name}.clone()"
        if isinstance(old, list):
            how = f"{name}.reverse() and {name}.pop() write into it: work on a copy, list({name})"
        raise CheckFailed(
            f"your function changes its argument {name} in place, and whoever calls it loses theirs. {how}"
        )


def same(old: Any, new: Any) -> bool:
    """Whether a tensor or a list is as it was."""
    if isinstance(old, Tensor):
        return old.shape == new.shape and torch.equal(old.nan_to_num(), new.nan_to_num())
    if isinstance(old, list):
        return len(old) == len(new) and all(a is b for a, b in zip(old, new))
    return True


def name_of_argument(answer: Callable, place: int) -> str:
    """What the function calls the argument at that place."""
    try:
        return list(inspect.signature(answer).parameters)[place]
    except (TypeError, ValueError, IndexError):
        return "u"
