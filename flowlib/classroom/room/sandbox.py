"""A process that sees nothing but Python, flowlib and an empty folder: where a student's program runs.

Bubblewrap makes it (bwrap, a small tool that Flatpak is built on): own namespaces for files, processes and network, so
that there is no network, no way to the answer key, the gradebook or other submissions, and no process but its own.
The kernel's limits bound memory, file sizes and the number of processes; the grader's clock bounds the time.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from flowlib.classroom.room import docker, student
from flowlib.classroom.room.bubblewrap import bubblewrap, environment, list_folders, list_plain
from flowlib.classroom.room.cgroup import scope
from flowlib.classroom.room.memory import count_files, resident, share

WINDOWS = (
    "grading needs Linux or macOS: on Windows, install flowlib in WSL2 (wsl --install) and run it there, with "
    "bubblewrap or with --sandbox docker (a container for each student)"
)
NEEDED = ("torch", "IPython", "matplotlib_inline", "flowlib")
LOOK = "import sys; from importlib.util import find_spec; print(', '.join(n for n in sys.argv[1:] if not find_spec(n)))"


class NoSandbox(OSError):
    """This machine cannot keep a student's program away from the rest of it."""


class TookTooMuch(RuntimeError):
    """The student's processes together took more memory than they may, or became too many."""


@dataclass(frozen=True)
class Limits:
    """What one student's program may take."""

    seconds: float = 120.0
    """Time for a whole submission, without that in which its program waits for a core."""
    call_seconds: float = 20.0
    """The same for one cell, or for one call of one of its functions."""
    megabytes: int = 1200
    """Memory, all of its processes together."""
    processes: int = 64
    """Processes and threads at a time."""
    file_megabytes: int = 50
    """The largest file."""

    def __post_init__(self):
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} must be above 0, and finite; got {value}")


class Sandbox:
    """A running student's side; `stdin` and `stdout` are the line to it. A context manager: it ends with the block.

    files: a folder whose contents are seen in the working folder. isolate: the name of an image makes it a container
    of Docker's; False runs an ordinary process, in a folder of its own with copies of the files.
    Raises: NoSandbox where bubblewrap is missing or may not make namespaces.
    """

    def __init__(self, limits: Limits, files: Path | None = None, *, isolate: bool | str = True):
        self.limits, self.checked = limits, 0.0
        self.container = f"flowlib-{uuid4().hex}" if isinstance(isolate, str) else ""
        self.folder = None if isolate else copy_files(files)
        most = [limits.megabytes << 20, limits.file_megabytes << 20, limits.processes, int(2 * limits.seconds) + 5]
        python = "python" if self.container else sys.executable
        command = [python, "-P", "-s", "-m", student.__name__, *map(str, most)]
        self.process = subprocess.Popen(
            [*(self._walls(files, isolate) if isolate else ()), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=None if self.container else environment(),
            bufsize=0,
            start_new_session=True,
            cwd=self.folder,
        )

    def _walls(self, files: Path | None, isolate: bool | str) -> list[str]:
        """What stands before the command; the control group has a little more, so that our own words come first."""
        most = self.limits.megabytes
        if isinstance(isolate, str):
            return docker.docker(isolate, self.container, files, most, self.limits.processes)
        return [*scope(most + most // 8, 2 * self.limits.processes), *bubblewrap(files, most)]

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """End every process in it."""
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.kill()
        self.process.wait()
        if self.container:
            docker.kill(self.container)
        self.process.stdin.close()
        self.process.stdout.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def find_program(self) -> int:
        """The process behind the walls; to be asked before a student's code runs in it, and has children of its own."""
        import psutil

        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        return family[-1].pid if family else self.process.pid

    def watch(self) -> None:
        """Called again and again by who waits for it. Raises: TookTooMuch."""
        import psutil

        if time.monotonic() < self.checked + 0.2:
            return
        self.checked = time.monotonic()
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        if len(family) > self.limits.processes:  # the kernel's own limit does not hold for root
            raise TookTooMuch(f"it started more than {self.limits.processes} processes")
        files, most = count_files(family) if self.folder is None else 0, self.limits.megabytes << 20
        if files + sum(map(resident, family)) > most:  # pages in common counted again and again
            total = files + sum(map(share, family))
            if total > most:
                raise TookTooMuch(
                    f"its {len(family)} processes took {total >> 20} MB together, {files >> 20} MB of it as files in "
                    f"memory; allowed are {self.limits.megabytes}"
                )


def find_obstacle() -> str | None:
    """Why there is no sandbox here, or None where there is one, in which Python finds what it needs."""
    if platform.system() == "Windows":
        return WINDOWS
    if platform.system() != "Linux":
        return "bubblewrap, which keeps students' programs apart, is there on Linux only"
    if shutil.which("bwrap") is None:
        return "bubblewrap (the command bwrap) is not installed; on Debian and Ubuntu: apt-get install bubblewrap"
    look = [*bubblewrap(None), sys.executable, "-P", "-s", "-c", LOOK, *NEEDED]
    tried = subprocess.run(look, capture_output=True, text=True, env=environment())
    if tried.returncode:
        return f"bubblewrap cannot make a sandbox here: {' '.join(tried.stderr.split())[-300:]}"
    if tried.stdout.strip():
        return (
            f"in the sandbox Python does not find {tried.stdout.strip()}: they lie outside of {sys.prefix}; install "
            "flowlib into an environment of its own (python -m venv), and grade with that"
        )
    return None


def require_system() -> None:
    """Raises: NoSandbox on Windows, where grading runs in no way."""
    if platform.system() == "Windows":
        raise NoSandbox(WINDOWS)


def require(isolate: bool | str = True) -> None:
    """Raises: NoSandbox, which says why, and what to do instead."""
    if isinstance(isolate, str):
        if why := docker.find_obstacle(isolate, ["-P", "-s", "-c", LOOK, *NEEDED]):
            raise NoSandbox(why)
    elif isolate and (why := find_obstacle()):
        raise NoSandbox(f"{why}. Or grade in containers: flowlib grade … --sandbox docker, after\n  {docker.BUILD}")


def copy_files(files: Path | None) -> Path:
    """A new folder with copies of them, so that the program has no way to what lies around the originals by '..'."""
    folder = Path(tempfile.mkdtemp(prefix="classroom-"))
    for file in list_plain(files):
        shutil.copyfile(file, folder / file.name)
    for other in list_folders(files):
        shutil.copytree(other, folder / other.name, symlinks=True, ignore=find_links)
    return folder


def find_links(folder: str, names: list[str]) -> list[str]:
    """Those of the names that are links, or neither files nor folders."""
    paths = {name: Path(folder, name) for name in names}
    return [name for name, path in paths.items() if path.is_symlink() or not (path.is_file() or path.is_dir())]
