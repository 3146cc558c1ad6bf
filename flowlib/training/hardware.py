"""What the device can do for a step: bfloat16, a compiled program; and what is said when it can do no more."""

import errno
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from flowlib.training.checkpoints import newest_checkpoint
from flowlib.training.config import Training

Forward = Callable[..., torch.Tensor]  # a model, perhaps wrapped or compiled: inputs, steps ↦ scores


def in_bfloat16(config: Training, device: torch.device) -> bool:
    """Whether products are to be taken in bfloat16. Raises: ValueError for a GPU that has none."""
    able = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    if config.precision == "bf16" and not able:
        raise ValueError(f"{torch.cuda.get_device_name(device)} has no bfloat16; give precision='no' (--precision no)")
    return config.precision == "bf16" or (config.precision == "auto" and device.type == "cuda" and able)


def to_compile(config: Training, device: torch.device) -> bool:
    """Whether a step is to go through torch.compile."""
    return config.compile == "yes" or (config.compile == "auto" and device.type == "cuda")


def try_to_compile(model: Forward, trial: Callable[[Forward], object], agree: Callable[[bool], bool]) -> Forward:
    """torch.compile(model), tried out by `trial`; or, with a warning, the model itself where that does not work.

    trial: takes one step without an update; what is compiled is compiled then, and nothing else later.
    agree: whether something holds in every process: all of them compile, or none.
    """
    program = torch.compile(model, dynamic=False)
    failure = None
    try:
        trial(program)
    except Exception as error:  # whatever a compiler, a driver or torch may raise
        if out_of_memory(error):
            raise
        failure = error
    if agree(failure is None):
        return program
    why = f"{type(failure).__name__}: {_first_line(failure)}" if failure else "another process failed to"
    warnings.warn(
        f"torch.compile does not work here ({why}); training goes on without it, slower and otherwise the same. "
        "It needs a C++ compiler on a CPU and triton on a GPU; compile='no' (--compile no) ends this message",
        RuntimeWarning,
        stacklevel=2,
    )
    return model


def out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python found no more memory; on a CPU torch says so in words only."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


@contextmanager
def explain_failures(run: Path, share: int) -> Iterator[None]:
    """What a machine may run out of, said with what to try and what is left. share: windows worked on at once.

    Raises: MemoryError, OSError (a full disk), PermissionError, FileNotFoundError, in the place of what came.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise MemoryError(f"{_advise_on_memory(error, share)}; {_say_what_is_left(run)}") from error
    except OSError as error:
        kind, advice = _advise_on_files(error, run)
        if kind is None:
            raise
        raise kind(f"{advice}; {_say_what_is_left(run)}") from error


def _advise_on_memory(error: BaseException, share: int) -> str:
    fewer = f"a micro_batch below {share} (--micro-batch {share // 2}: the same updates), " if share > 1 else ""
    return (
        f"out of memory ({_first_line(error)}); give {fewer}recompute=True (--recompute), precision='bf16', "
        "or a smaller model or context"
    )


def _advise_on_files(error: OSError, run: Path) -> tuple[type[OSError] | None, str]:
    """The kind of error that a failure of the file system becomes, and what to try; None: it stays as it is."""
    where = error.filename or run
    if error.errno in FULL:
        return OSError, (
            f"the disk is full: {where} could not be written; free some space (a checkpoint takes three times the "
            "size of the model, and up to three lie side by side), then go on"
        )
    if error.errno in CLOSED:
        return PermissionError, (
            f"{where} cannot be written ({error.strerror}); make {run.parent} a folder that you may write to, "
            "or give another one (--runs)"
        )
    if error.errno == errno.ENOENT:
        return FileNotFoundError, (
            f"{where} was deleted or moved while this run was working in it; leave {run} in its place until the run "
            "ends, and start again"
        )
    return None, ""


def _say_what_is_left(run: Path) -> str:
    try:
        last = newest_checkpoint(run)
    except OSError:
        last = None
    if last is None:
        return f"no checkpoint lies in {run} yet"
    return f"{last} is whole: resume=True (--resume) goes on from there"


def _first_line(error: BaseException | None) -> str:
    """What an error says first, cut where it is long."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    first = lines[0] if not lines[0].endswith(":") else " ".join(lines[:2])
    return first[:200]
