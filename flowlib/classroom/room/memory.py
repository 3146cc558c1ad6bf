"""What a family of processes takes of a machine's memory: their own, and the files that they keep in it."""

import os
import stat
from contextlib import suppress

from flowlib.classroom.room.bubblewrap import WRITABLE


def resident(process) -> int:
    """Bytes of memory, those in common with other processes too."""
    import psutil

    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def share(process) -> int:
    """Bytes of memory, of those in common with others a fair share."""
    import psutil

    try:
        return process.memory_full_info().pss
    except psutil.Error:
        return 0


def count_files(family) -> int:
    """Bytes of files in memory: what fills the writable folders of their sandbox, and files that have no name."""
    return max((count_folders(one.pid) for one in family), default=0) + count_nameless(family)


def count_folders(pid: int) -> int:
    """Bytes in the folders in memory that a process sees; 0 where it may not be looked at, or has gone."""
    total = 0
    for path in WRITABLE:
        with suppress(OSError):
            seen = os.statvfs(f"/proc/{pid}/root{path}")
            if os.stat(f"/proc/{pid}/root{path}").st_dev != os.stat(path if os.path.isdir(path) else "/").st_dev:
                total += (seen.f_blocks - seen.f_bfree) * seen.f_frsize
    return total


def count_nameless(family) -> int:
    """Bytes of files that are open and in no folder (memfd_create, or deleted), each once."""
    found = {}
    for process in family:
        with suppress(OSError):
            for opened in os.scandir(f"/proc/{process.pid}/fd"):
                with suppress(OSError):
                    seen = os.stat(opened.path)
                    if stat.S_ISREG(seen.st_mode) and not seen.st_nlink:
                        found[seen.st_dev, seen.st_ino] = seen.st_blocks * 512
    return sum(found.values())
