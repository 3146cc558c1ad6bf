"""Zip files of strangers, unpacked: nothing leaves the folder, and its size is known before it is written."""

import os
import stat
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MOST_FILES = 20_000
MOST_CLASS = 8 << 30  # bytes of a class's zip, unpacked
MOST_STUDENT = 200 << 20  # of one student's
BROKEN = (ValueError, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError)  # what unpacking may raise
SUPERFLUOUS = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints")


@dataclass(frozen=True)
class Member:
    """A file in an archive: the parts of its path, none of which leads elsewhere."""

    parts: tuple[str, ...]
    info: zipfile.ZipInfo


def list_members(opened: zipfile.ZipFile, most: int) -> list[Member]:
    """The files in it, without what systems add. Raises: ValueError where one leads out, or they are too much."""
    found = [info for info in opened.infolist() if not info.is_dir()]
    size = sum(info.file_size for info in found)
    if len(found) > MOST_FILES or size > most:
        raise ValueError(
            f"must hold at most {MOST_FILES} files and {most >> 20} MB, and holds {len(found)} and {size >> 20} MB; "
            "ask for the notebook alone"
        )
    return [Member(check_path(info), info) for info in found if not is_superfluous(info.filename)]


def is_superfluous(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part in SUPERFLUOUS for part in parts) or Path(name).name.startswith("._")


def check_path(info: zipfile.ZipInfo) -> tuple[str, ...]:
    """The parts of a member's path. Raises: ValueError."""
    path, name = PurePosixPath(info.filename), info.filename
    why = (
        "leads out of the archive" if path.is_absolute() or ".." in path.parts or not path.parts
        else "has a backslash, a colon or a control character in it" if not name.isprintable() or {*name} & {*"\\:"}
        else "is a link" if stat.S_ISLNK(info.external_attr >> 16)
        else "is encrypted" if info.flag_bits & 1
        else ""
    )  # fmt: skip
    if why:
        raise ValueError(f"{name[:100]!a} in it {why}")
    return path.parts


def write_member(opened: zipfile.ZipFile, member: Member, file: Path) -> None:
    """Unpack one file, with the time that the archive says. Raises: ValueError where it is larger than it said."""
    file.parent.mkdir(parents=True, exist_ok=True)
    left = member.info.file_size
    with opened.open(member.info) as source, open(file, "xb") as target:
        while part := source.read(1 << 20):
            left -= len(part)
            if left < 0:
                raise ValueError(f"{member.info.filename[:100]!a} in it is larger than the archive says")
            target.write(part)
    with suppress(ValueError, OverflowError, OSError):  # a date that there is not
        seconds = time.mktime((*member.info.date_time, 0, 0, -1))
        os.utime(file, (seconds, seconds))


def unpack(archive: Path, folder: Path, most: int = MOST_STUDENT) -> list[Path]:
    """Unpack a zip into a folder; the files. Raises: ValueError, and then nothing is written."""
    with open_zip(archive) as opened:
        members = list_members(opened, most)
        places = [folder.joinpath(*member.parts) for member in members]
        if len(set(places)) < len(places):
            raise ValueError("holds two files of one name")
        for member, place in zip(members, places, strict=True):
            write_member(opened, member, place)
    return places


def open_zip(archive: Path) -> zipfile.ZipFile:
    """Raises: ValueError where it is no zip, or a broken one."""
    try:
        return zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{archive.name} is no zip that can be read ({error}); download it again") from None
