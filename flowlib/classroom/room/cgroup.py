"""A control group for one student's processes, where systemd makes one: the kernel then counts all that they take."""

import os
import shutil
import subprocess
from functools import cache


def scope(megabytes: int, processes: int) -> list[str]:
    """The words before a command that put it into a scope of its own; none where this machine makes no scopes."""
    manager = ["--user"] if os.getuid() else []
    words = ["systemd-run", *manager, "--scope", "--quiet", "--collect"]
    for limit in (f"MemoryMax={megabytes}M", "MemorySwapMax=0", f"TasksMax={processes}"):
        words += ["--property", limit]
    words += ["--"]
    return words if makes_scopes(tuple(words)) else []


@cache
def makes_scopes(words: tuple[str, ...]) -> bool:
    """Tried with a command that does nothing."""
    if not shutil.which("systemd-run"):
        return False
    try:
        return subprocess.run([*words, "true"], capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
