"""How many processors this process may use: what it is bound to, and what its container gives it."""

import math
import os
from pathlib import Path


def count_cores() -> int:
    """The least of the machine's cores, the process's affinity and the quota of its control groups."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(here, read_quota())))


def read_quota(root: Path = Path("/")) -> float:
    """The cores that the control group of this process, and those above it, give; infinite where they set no limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return math.inf
    quota = math.inf
    for line in lines:  # number:controllers:path; version 2 has the number 0 and names no controllers
        _number, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        base = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        if not controllers or "cpu" in controllers.split(","):
            group = base / path.strip("/")
            groups = [group, *group.parents][: len(group.relative_to(base).parts) + 1]
            quota = min(quota, *(read_limit(one) for one in groups))
    return quota


def read_limit(group: Path) -> float:
    """A quota over a period, in microseconds: "150000 100000" is one core and a half; "max …" and −1 are no limit.

    Version 2 of control groups writes both into cpu.max, version 1 each into a file.
    """
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            quota, period = " ".join((group / name).read_text("utf-8") for name in names).split()
            return int(quota) / int(period) if int(quota) > 0 else math.inf
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return math.inf
