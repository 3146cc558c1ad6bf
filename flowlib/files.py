"""Tensors on disk: safetensors only, so that loading never runs code; whole files and folders, or none."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor


def save_tensors(tensors: Mapping[str, Tensor], file: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file whole. Raises: OSError with the system's number, as a full disk has."""

    def write(new: Path) -> None:
        try:
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, new, metadata)
        except SafetensorError as error:  # it tells the system's number in words only
            number = re.search(r"(?:os error|code:) (\d+)", str(error))
            raise OSError(int(number[1]), str(error), str(file)) if number else error from None
        new.chmod(0o644)  # safetensors makes it private; a class has to read it

    replace_file(file, write)


def save_text(text: str, file: Path) -> None:
    """Write a UTF-8 file whole, and the folder that it is in, if there is none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, lambda new: new.write_text(text, "utf-8"))


def load_tensors(file: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises: FileNotFoundError, or ValueError where it is truncated or something else."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; give the folder of a saved model, such as runs/tiny/best")
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as e:
        raise ValueError(f"{file} is not a whole safetensors file ({e}); copy or train it again") from None


def replace_file(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a new file beside `file`, flush it, and rename it: a kill leaves the old one or the new one."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        write(new)
        flush(new)
        os.replace(new, file)
    finally:
        new.unlink(missing_ok=True)


def replace_folder(folder: str | Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a new folder beside `folder`, then put it in place; an older one stays until then."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        write(new)
        for file in new.iterdir():
            flush(file)
        new.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
            os.replace(folder, old / folder.name)
            os.replace(new, folder)
            shutil.rmtree(old)
        else:
            os.replace(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


def flush(file: Path) -> None:
    """Ask the system to put the file on disk before it is renamed."""
    with open(file, "rb+") as f:
        os.fsync(f.fileno())
