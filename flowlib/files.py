"""Files: written whole or not at all, in the place of nothing but our own; tensors as safetensors, which is no code."""

import errno
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

Write = Callable[[Path], object]  # fills the file of that name, which is a new one

NO_MODES = {errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}  # said by FUSE, exFAT, SMB
NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
HELD = {5, 32, 33}  # Windows: access denied, in use, locked; a scanner or a browser looks at the file for a moment
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds


# Tensors and texts


def write_tensors(tensors: Mapping[str, Tensor], new: Path, metadata: dict[str, str] | None = None) -> None:
    """Fill a new safetensors file. Raises: OSError with the system's number, as a full disk has."""
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, new, metadata)
    except SafetensorError as error:  # it tells the system's number in words only
        number = re.search(r"(?:os error|code:) (\d+)", str(error))
        raise OSError(int(number[1]), str(error), str(new)) if number else error from None
    set_mode(new, 0o644)  # safetensors makes it private; a class has to read it
    if metadata and len(metadata) > 1:
        _sort_metadata(new)


def _sort_metadata(file: Path) -> None:
    """Put what a safetensors file says of itself into order: it is written in a random one, and equal models shall be
    equal files."""
    with file.open("r+b") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= length:  # as it is, unless texts were escaped in another way
            opened.seek(8)
            opened.write(text.ljust(length))


def write_text(text: str, new: Path) -> None:
    """Fill a new UTF-8 file; lines end alike on every system."""
    new.write_text(text, "utf-8", newline="\n")


def save_tensors(tensors: Mapping[str, Tensor], file: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file whole. Raises: OSError with the system's number, as a full disk has."""
    replace_file(file, lambda new: write_tensors(tensors, new, metadata))


def save_text(text: str, file: Path) -> None:
    """Write a UTF-8 file whole, and the folder that it is in, if there is none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, lambda new: write_text(text, new))


def load_tensors(file: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises: FileNotFoundError, or ValueError where it is truncated or something else."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; give the folder of a saved model, such as runs/tiny/best")
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as e:
        raise ValueError(f"{file} is not a whole safetensors file ({e}); copy or train it again") from None


def load_metadata(file: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing, where it is none."""
    try:
        with safe_open(file, "pt") as opened:
            return opened.metadata() or {}
    except (SafetensorError, OSError, ValueError):
        return {}


# Whole, or not there


def as_path(value: object, name: str) -> Path:
    """Raises: TypeError for what names no file or folder."""
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise TypeError(f"{name} must be a path, such as 'runs/tiny/best', got {value!r:.80}")
    return Path(value)


def replace_file(file: Path, write: Write) -> None:
    """Let `write` make a new file beside `file`, flush it, and rename it: a kill leaves the old one or the new one."""
    new = _name_aside(file)
    try:
        write(new)
        flush(new)
        rename(new, file)
    finally:
        new.unlink(missing_ok=True)


def write_into(folder: Path, files: Mapping[str, Write], is_ours: Callable[[Path], bool], seal: str = "") -> None:
    """Write files into a folder, which is made if there is none; whatever else lies in it stays.

    All are written aside first, then each takes its name, in this order: a kill before leaves the old ones, and one in
    between leaves an `unfinished` one, until somebody writes there again.
    seal: the name of one, which comes last, and whose older version goes first: while it is there, all belong together.
    Raises: FileExistsError as `check_place` does.
    """
    check_place(folder, files, is_ours)
    folder.mkdir(parents=True, exist_ok=True)
    asides = {folder / name: _name_aside(folder / name) for name in files}
    try:
        for write, aside in zip(files.values(), asides.values()):
            write(aside)
            flush(aside)
    except BaseException:
        for aside in asides.values():
            aside.unlink(missing_ok=True)
        raise
    if seal:
        (folder / seal).unlink(missing_ok=True)
    for file in sorted(asides, key=lambda file: file.name == seal):
        rename(asides[file], file)
    for file in asides:
        for left in unfinished(file):  # by a kill, some time before
            left.unlink(missing_ok=True)


def check_place(folder: Path, names: Iterable[str], is_ours: Callable[[Path], bool]) -> None:
    """Whether files of these names can be written into a folder (also through a link to one), and nobody misses any.

    Raises: FileExistsError where the folder's name, or a file's, is that of something that is not ours.
    """
    for place in (folder, *folder.parents):
        if place.is_dir():
            break
        if os.path.lexists(place):
            kind = "a link that leads to no folder" if place.is_symlink() else "a file"
            which = "it" if place == folder else place
            raise FileExistsError(f"{folder} must be a folder, or new, but {which} is {kind}; give another name")
    for file in (folder / name for name in names):
        if os.path.lexists(file) and (file.is_symlink() or not file.is_file() or not is_ours(file)):
            raise FileExistsError(
                f"{file} is in the way, and flowlib did not write it for this; move it, or give another folder"
            )


def replace_folder(folder: str | Path, write: Callable[[Path], None], owned: Collection[str] = ()) -> Path:
    """Let `write` fill a new folder beside `folder`, then put it in place; an older one stays until then.

    owned: the names of the files that may go with the older one; whatever else lies in it is copied into the new one.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        write(new)
        for file in new.iterdir():
            flush(file)
        set_mode(new, 0o755)
        if folder.exists():
            _copy_strangers(folder, new, owned)
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
            rename(folder, old / folder.name)
            rename(new, folder)
            shutil.rmtree(old)
        else:
            rename(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


def remove_owned(folder: Path, owned: Collection[str]) -> None:
    """Delete the files of these names, and what a kill left of them, in a folder and those in it; then, if nothing else
    is in it, the folder. What somebody else put there stays."""
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.is_symlink():
            remove_owned(inner, owned)
        elif inner.name in owned or any(_is_aside(inner.name, name) for name in owned):
            inner.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def unfinished(file: Path) -> list[Path]:
    """The files that were to get this one's name when their writer was killed."""
    return [other for other in file.parent.glob(f".{file.name}.*") if _is_aside(other.name, file.name)]


def rename(old: Path, new: Path) -> None:
    """Give a file or folder its name; a file takes the place of an older one, a folder of none.

    Raises: OSError; where Windows says that somebody holds the file, after it was tried again for three seconds.
    """
    move = os.rename if old.is_dir() else os.replace
    for pause in PAUSES:
        try:
            return move(old, new)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in HELD:
                raise
        time.sleep(pause)
    return move(old, new)


def set_mode(path: Path, mode: int) -> None:
    """Say who may read; some file systems have no way to."""
    try:
        path.chmod(mode)
    except OSError as error:
        if error.errno not in NO_MODES:
            raise


def flush(file: Path) -> None:
    """Ask the system to put the file on disk before it is renamed; some file systems have no way to."""
    with open(file, "rb+") as f:
        try:
            os.fsync(f.fileno())
        except OSError as error:
            if error.errno not in NO_SYNC:
                raise


def _name_aside(file: Path) -> Path:
    return file.with_name(f".{file.name}.{os.getpid()}")


def _is_aside(name: str, of: str) -> bool:
    return re.fullmatch(rf"\.{re.escape(of)}\.\d+", name) is not None


def _copy_strangers(folder: Path, new: Path, owned: Collection[str]) -> None:
    """What lies in a folder and is not ours, into the one that takes its place."""
    for inner in folder.iterdir():
        if inner.name in owned or (new / inner.name).exists():
            continue
        if inner.is_dir() and not inner.is_symlink():
            shutil.copytree(inner, new / inner.name, symlinks=True)
        else:
            shutil.copy2(inner, new / inner.name, follow_symlinks=False)
