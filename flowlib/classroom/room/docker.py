"""The room as a container, where there is no bubblewrap: on macOS, on Windows' WSL2, on servers that have Docker alone.

Each student's program has a container of its own, without network, rights or a file that it could write but in memory.
What it sees of the course is the library, read-only: neither the answer key nor the gradebook is in it.
"""

import os
import shutil
import subprocess
from pathlib import Path

from flowlib.classroom.room.bubblewrap import ROOM, environment, list_folders, list_plain, package_folders

IMAGE = "flowlib-room"
BUILD = f"docker build --tag {IMAGE} --file exercises/Dockerfile ."
GET = "https://docs.docker.com/get-docker/"
LIBRARY = "/course"  # where the container sees flowlib


def docker(image: str, name: str, files: Path | None, megabytes: int, processes: int) -> list[str]:
    """docker run and its options; a command of the image comes after it."""
    user = str(60_000 + os.getpid() % 5_000)  # nobody's, and hardly that of the container beside it
    third = megabytes // 3
    words = [
        *("docker", "run", "--rm", "--interactive", "--name", name, "--network", "none", "--read-only"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", f"{user}:{user}"),
        *("--memory", f"{megabytes}m", "--memory-swap", f"{megabytes}m", "--pids-limit", str(processes)),
        *("--shm-size", f"{third}m", "--tmpfs", f"/tmp:rw,size={third}m,mode=1777"),
        *("--tmpfs", f"{ROOM}:rw,size={third}m,mode=1777", "--workdir", ROOM),
    ]
    for folder in package_folders():
        words += ["--mount", bind(folder, f"{LIBRARY}/{folder.name}")]
    for path in [*list_plain(files), *list_folders(files)]:
        words += ["--mount", bind(path, f"{ROOM}/{path.name}")]
    for variable, value in (environment() | {"PYTHONPATH": LIBRARY}).items():
        if variable != "PATH":  # the image has its own
            words += ["--env", f"{variable}={value}"]
    return [*words, image]


def bind(source: Path, target: str) -> str:
    """A read-only mount, as docker reads it: a row of CSV."""
    parts = ("type=bind", f"source={source}", f"target={target}", "readonly")
    return ",".join('"' + part.replace('"', '""') + '"' if {*part} & set('",') else part for part in parts)


def kill(name: str) -> None:
    """End a container; one that has ended already is no news."""
    subprocess.run(["docker", "kill", name], capture_output=True, timeout=60)


def find_obstacle(image: str, look: list[str]) -> str | None:
    """Why no container can be made here, None where one can.

    look: arguments of Python's; it prints the packages that are missing in the image.
    """
    if shutil.which("docker") is None:
        return f"Docker (the command docker) is not installed; install it ({GET}), then: {BUILD}"
    seen = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True)
    said = " ".join(seen.stderr.split())[-200:]
    if seen.returncode and "daemon" in said:
        return f"Docker does not answer ({said}); start it, as a user who may use it: docker version says more"
    if seen.returncode:
        return f"Docker has no image {image} ({said}); make it with: {BUILD}"
    command = [*docker(image, f"flowlib-look-{os.getpid()}", None, 1200, 64), "python", *look]
    tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode or tried.stdout.strip():
        missing = tried.stdout.strip() or " ".join(tried.stderr.split())[-200:]
        return f"in a container of {image} Python does not find what it needs ({missing}); make it anew with: {BUILD}"
    return None
