"""The command that makes a room: what a student's program sees, all of it read-only but three small folders.

Bubblewrap lays it out from nothing: Python, flowlib and the student's own files; /proc, /dev and the root itself cannot
be written to, also where root grades: /proc/sys would be the machine's own.
"""

import importlib.util
import os
import site
import sys
from pathlib import Path

ROOM = "/room"  # the working folder, in the sandbox
WRITABLE = ("/tmp", ROOM, "/dev/shm")  # in memory, each of a size that is given
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/sbin", "/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives")
NAMESPACES = (
    *("bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
    *("--hostname", "classroom", "--cap-drop", "ALL"),
)


def bubblewrap(files: Path | None, megabytes: int = 1200) -> list[str]:
    """bwrap and its options; megabytes: the most that the writable folders take together."""
    packages = [sys.prefix, sys.base_prefix, *site.getsitepackages(), *find_sites(), *map(str, package_folders())]
    options = [*NAMESPACES, "--proc", "/proc", "--dev", "/dev"]
    for path in WRITABLE:
        options += ["--size", str((megabytes << 20) // len(WRITABLE)), "--tmpfs", path]
    for path in dict.fromkeys([*SYSTEM, *packages]):
        options += ["--ro-bind-try", path, path]
    for path in [*list_plain(files), *list_folders(files)]:
        options += ["--ro-bind", str(path), f"{ROOM}/{path.name}"]
    for path in ("/proc", "/dev", "/"):
        options += ["--remount-ro", path]
    return [*options, "--chdir", ROOM, "--setenv", "HOME", "/tmp", "--"]


def list_plain(files: Path | None) -> list[Path]:
    """The files that lie in a folder itself; a link leads elsewhere."""
    return [file for file in sorted(files.iterdir()) if file.is_file() and not file.is_symlink()] if files else []


def list_folders(files: Path | None) -> list[Path]:
    """The folders in it, pictures/ say; links in them lead nowhere in the sandbox."""
    found = sorted(files.iterdir()) if files else []
    return [one for one in found if one.is_dir() and not one.is_symlink() and not one.name.startswith((".", "__"))]


def package_folders() -> list[Path]:
    """Where flowlib itself lies, and nothing beside it: in a checkout its neighbours are the answer key."""
    spec = importlib.util.find_spec("flowlib")
    return [Path(folder) for folder in spec.submodule_search_locations]


def find_sites() -> list[str]:
    """Folders of packages outside of the environment: the user's own, those on PYTHONPATH or named in a .pth file.

    No other folder of Python's path is shown: a checkout, or a home, has what is not for students.
    """
    named = [folder for folder in sys.path if Path(folder).name in ("site-packages", "dist-packages")]
    return [folder for folder in dict.fromkeys(named) if Path(folder).is_dir()]


def environment() -> dict[str, str]:
    """The few variables that a Python needs; none of the teacher's own."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "PYTHONPATH": os.pathsep.join([*(str(folder.parent) for folder in package_folders()), *find_sites()]),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "IPYTHONDIR": "/tmp/ipython",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "FLOWLIB_PROGRESS": "off",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
