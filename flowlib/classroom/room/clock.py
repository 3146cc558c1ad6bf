"""A student's seconds: the clock's, without those in which the student's program stood waiting for a core.

On a busy machine honest work takes long by the wall clock. Linux counts for each process how long it was ready to run
and had no core (the run delay, second number of /proc/PID/schedstat). Who sleeps, or waits for anything else, is not
ready, and gets no time for it. Where there is no such file, the seconds are the wall clock's.
"""

import time
from collections.abc import Callable
from pathlib import Path

SLOWEST = 6.0  # one of its seconds lasts at most so many: a program can make itself wait, with children that never rest


class Clock:
    """Goes at most as fast as the wall clock, and at least 1/slowest as fast, whatever the process does."""

    def __init__(
        self,
        slowest: float = SLOWEST,
        *,
        wall: Callable[[], float] = lambda: time.monotonic(),
        processes: Path = Path("/proc"),
    ):
        self.slowest, self.wall, self.processes = slowest, wall, processes
        self.seconds = self.seen = wall()
        self.file, self.delay, self.owed = processes / "none", 0.0, 0.0

    def follow(self, pid: int) -> None:
        """From here on the waiting of this process's main thread does not count: it runs the student's cells."""
        self.now()
        self.file = self.processes / str(pid) / "schedstat"
        self.delay, self.owed = self._read() or 0.0, 0.0

    def now(self) -> float:
        """Seconds on this clock. The kernel tells of a wait when it is over, so what it tells late is given late."""
        wall, delay = self.wall(), self._read()
        if delay is not None:
            self.owed += max(0.0, delay - self.delay)
            self.delay = delay
        passed = wall - self.seen
        given = min(self.owed, passed * (1 - 1 / self.slowest))
        self.owed -= given
        self.seconds += passed - given
        self.seen = wall
        return self.seconds

    def _read(self) -> float | None:
        """Seconds that the process has waited for a core; None where that cannot be read."""
        try:
            return int(self.file.read_text("ascii").split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return None
