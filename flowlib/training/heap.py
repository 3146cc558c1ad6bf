"""Memory that is freed stays with the process, to be taken again."""

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt, in glibc's malloc.h
MiB = 2**20


def keep_heap() -> bool:
    """Keep glibc from giving freed memory back to the system, for the rest of this process; whether it could be told.

    A step of training takes and frees the same few hundred megabytes again and again. By default glibc maps each large
    block anew, and trims what lies free: each page of it is then faulted in and zeroed in every step. Where malloc is
    another one (macOS, Windows, musl), nothing is done. The numbers that are computed stay the same.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 32 * MiB, TOP_PAD: 64 * MiB}  # 32: the most that all take
    return all([mallopt(name, value) == 1 for name, value in settings.items()])
