"""What a program takes: its peak memory while a block runs."""

import re
import threading
from pathlib import Path


class PeakMemory:
    """The largest resident memory of a process and its children, while the block runs; `peak` in bytes.

    Error: sampled every 50 ms; on Linux the process's own high-water mark closes the gaps.
    """

    def __init__(self, pid: int, interval: float = 0.05):
        import psutil

        self.process, self.interval, self.peak = psutil.Process(pid), interval, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.peak = max(self.peak, read_high_water(self.process.pid))

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.peak = max(self.peak, resident_bytes(self.process))
            self._stop.wait(self.interval)


def resident_bytes(process) -> int:
    """Of a process and its children, now."""
    import psutil

    total = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_info().rss
    except psutil.NoSuchProcess:  # a child that ended while being counted
        pass
    return total


def read_high_water(pid: int) -> int:
    """The peak resident memory that Linux keeps of a process; 0 elsewhere."""
    status = Path(f"/proc/{pid}/status")
    line = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(line[1]) * 1024 if line else 0
