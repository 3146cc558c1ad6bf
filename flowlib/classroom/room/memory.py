"""What a family of processes takes of a machine's memory: their own, and the files that they keep in it."""

import os
import stat
from contextlib import suppress

from flowlib.classroom.room.bubblewrap import WRITABLE

SOCKET, PIPE = 425_984, 1 << 20  # bytes that Linux lets one keep: twice net.core.wmem_max, and fs.pipe-max-size


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
    """Bytes of files in memory: what fills the writable folders of their sandbox, and what is open and has no name."""
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
    """Bytes of what is open and in no folder, each once: files (memfd_create, or deleted), and pipes and sockets as if
    they were full, for what is in them is the kernel's memory and no process's."""
    found = {}
    for process in family:
        with suppress(OSError):
            for opened in os.scandir(f"/proc/{process.pid}/fd"):
                with suppress(OSError):
                    seen = os.stat(opened.path)
                    found[seen.st_dev, seen.st_ino] = _most_bytes(seen)
    return sum(found.values())


def _most_bytes(seen: os.stat_result) -> int:
    if stat.S_ISSOCK(seen.st_mode):
        return SOCKET
    if stat.S_ISFIFO(seen.st_mode):
        return PIPE
    return seen.st_blocks * 512 if stat.S_ISREG(seen.st_mode) and not seen.st_nlink else 0
