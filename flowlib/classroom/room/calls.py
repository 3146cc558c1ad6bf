"""Calls of the kernel that a student's program is not given: those that keep memory which no limit counts.

Shared memory of System V (shmget) stays when no process has it open, so no process is asked for it; its message queues
and semaphores are the kernel's own memory. Nothing that a notebook needs uses them: torch and multiprocessing take
/dev/shm. A filter (seccomp) answers as a kernel does that was built without them. It cannot be taken off again, and
what the program starts has it, too.
"""

import ctypes
import errno
import platform
import struct
import sys

MACHINES = {  # of each: the number by which the filter knows it, that of seccomp(2), those of shmget, semget, msgget
    "x86_64": (0xC000003E, 317, (29, 64, 68)),
    "aarch64": (0xC00000B7, 277, (194, 190, 186)),
}
FOREIGN = 0x40000000  # from here on x86_64 has the numbers of another convention (x32)
LOAD, EQUAL, ABOVE, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.ENOSYS
NO_NEW_PRIVILEGES, SET_FILTER, ALL_THREADS = 38, 1, 1


def make_filter(machine: int, refused: tuple[int, ...]) -> bytes:
    """The filter's program: whoever asks by another machine's numbers, or for one of these, is refused."""
    last = len(refused) + 3  # instructions between the second one and REFUSE
    words = [(LOAD, 0, 0, 4), (EQUAL, 0, last, machine), (LOAD, 0, 0, 0), (ABOVE, last - 2, 0, FOREIGN)]
    words += [(EQUAL, len(refused) - i, 0, number) for i, number in enumerate(refused)]
    words += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    return b"".join(struct.pack("HBBI", *word) for word in words)


def refuse_calls() -> bool:
    """From here on this process has no such calls; False where this kernel takes no filter (macOS, another machine)."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        return False
    machine, seccomp, refused = MACHINES[platform.machine()]
    program = ctypes.create_string_buffer(made := make_filter(machine, refused), len(made))
    described = ctypes.create_string_buffer(struct.pack("H6xP", len(made) // 8, ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return libc.syscall(seccomp, SET_FILTER, ALL_THREADS, described) == 0
