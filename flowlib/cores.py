"""How many processors this process may use: what it is bound to, and what its container gives it."""

import math
import os
from pathlib import Path


def count_cores() -> int:
    """The least of the machine's cores, the process's affinity and the quota of its control group (version 2)."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(here, read_quota())))


def read_quota(root: Path = Path("/")) -> float:
    """The cores that the control group of this process, and those above it, give; infinite where they set no limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return math.inf
    base = root / "sys/fs/cgroup"
    path = next((line[3:] for line in lines if line.startswith("0::")), "/").strip("/")
    group = base / path
    groups = [group, *group.parents][: len(group.relative_to(base).parts) + 1]
    return min((read_limit(one / "cpu.max") for one in groups), default=math.inf)


def read_limit(file: Path) -> float:
    """cpu.max holds a quota and a period, in microseconds: "150000 100000" is one core and a half, "max …" no limit."""
    try:
        quota, period = file.read_text("utf-8").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
