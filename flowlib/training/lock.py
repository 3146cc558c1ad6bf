"""One process at a time trains in a run folder: the operating system holds a lock for it, and frees it with its end."""

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flowlib.files import save_text

if TYPE_CHECKING:
    from accelerate import Accelerator

LOCK, TRAINER = "lock", "trainer.json"
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}  # a file system without them


@contextmanager
def hold(run: Path, accelerator: "Accelerator") -> Iterator[None]:
    """Train in `run` alone; of several processes the first holds it for all. Raises: BlockingIOError (in each)."""
    from accelerate.utils import broadcast_object_list

    with ExitStack() as stack:
        said = [_take(run, stack) if accelerator.is_main_process else ""]
        (refusal,) = broadcast_object_list(said)
        if refusal:
            raise BlockingIOError(refusal)
        yield


def _take(run: Path, stack: ExitStack) -> str:
    """Take the lock until the stack is left; or say who has it."""
    from filelock import FileLock, Timeout

    run.mkdir(parents=True, exist_ok=True)
    for file in (run / LOCK, run / TRAINER):
        if os.path.lexists(file) and not _is_ours(file):
            return f"{file} is in the way, and flowlib did not write it; move it, or give a new run another name"
    try:
        stack.enter_context(FileLock(run / LOCK, timeout=0))
    except Timeout:
        return f"{_find_trainer(run)} trains in {run}; wait for its end, or stop it, or give a new run another name"
    except (NotImplementedError, OSError) as error:  # older filelocks say the first where they can do nothing
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
    who = {"process": os.getpid(), "machine": platform.node(), "since": datetime.now().isoformat(" ", "seconds")}
    save_text(json.dumps(who) + "\n", run / TRAINER)
    return ""


def _is_ours(file: Path) -> bool:
    """A lock is empty; trainer.json says who trains, and nothing else."""
    if file.is_symlink() or not file.is_file():
        return False
    return file.stat().st_size == 0 if file.name == LOCK else _read_trainer(file.parent) is not None


def _find_trainer(run: Path) -> str:
    who = _read_trainer(run)
    if who is None:  # it has only just begun
        return "another process"
    return f"process {who['process']} on {who['machine']}, since {who['since']},"


def _read_trainer(run: Path) -> dict | None:
    try:
        who = json.loads((run / TRAINER).read_text("utf-8"))
        return who if set(who) == {"process", "machine", "since"} else None
    except (OSError, ValueError, TypeError):
        return None
