"""What lies in a folder of submissions and is not graded: no file of it goes unmentioned."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from flowlib.classroom.archives import SUPERFLUOUS
from flowlib.classroom.names import DOUBLE, NOTEBOOK, find_mistake, read_flat
from flowlib.classroom.submissions import Submission, show, sort_submissions

STAMP = "timestamp.txt"  # nbgrader's exchange writes it, as the student
SYSTEMS = (*SUPERFLUOUS, STAMP, ".git", ".github", ".gitignore", ".gitattributes", ".ipynb_checkpoints", "__pycache__")
MOST_FILES = 1000  # of one student's that are looked at
MOST_NAMES = 5  # that one sentence says


@dataclass(frozen=True)
class Unread:
    """A file or folder that is not graded, and why; meant: somebody may have meant it for a submission."""

    student: str
    place: Path
    why: str
    meant: bool = True

    def __str__(self) -> str:
        return f"{show(self.place)}: {self.why}"


def find_unread(folder: Path, names: list[str], known: list[str] | None = None) -> list[Unread]:
    """All that lies in the folder, and is neither graded nor among the files of a student who is.

    names: the assignments that are graded; known: all that the course has.
    """
    found, refused = sort_submissions(folder, names)
    others = {*(known or names)} - {*names}
    taken = {one.notebook for one in found} | {place for place, _ in refused}
    taken |= {place.parent for place, _ in refused if place.parent.is_symlink()}
    own = {one.folder for one in found if one.own}
    made = [Unread(whose(place, folder), place, why) for place, why in refused]
    strays = {}
    for file in walk(folder):
        parts = file.relative_to(folder).parts
        if taken & {file, *file.parents} or others & {*parts[:-1]}:
            continue
        if len(parts) > 2 and parts[1] not in names and not own & {*file.parents}:
            strays[folder / parts[0] / parts[1]] = parts[0]
        elif one := judge(file, folder, names, own):
            made.append(one)
    return made + [tell_stray(student, place, known or names) for place, student in strays.items()]


def judge(file: Path, folder: Path, names: list[str], own: set[Path]) -> Unread | None:
    """A word on one file; None where the line of its student has it."""
    why, student = find_mistake(file.name), whose(file, folder)
    if why:
        return Unread(student, file, why)
    if own & {*file.parents}:
        return None
    if file.is_symlink():
        return Unread(student, file, "is a link, and leads elsewhere; put there what was handed in")
    if NOTEBOOK.search(file.name):
        place = file.parent / (names[0] if len(names) == 1 else "ASSIGNMENT")
        return Unread(student, file, f"lies in no assignment's folder; put it into {show(place)}")
    return Unread(student, file, "is no notebook", meant=False)


def tell_stray(student: str, place: Path, known: list[str]) -> Unread:
    """A word on a folder of a student's that is no assignment's: a misspelt name, if there are notebooks in it."""
    meant = any(NOTEBOOK.search(file.name) or find_mistake(file.name) for file in islice(walk(place), MOST_FILES))
    return Unread(student, place, f"is no assignment of the course; known: {', '.join(known)}", meant)


def whose(place: Path, folder: Path) -> str:
    """The student who a file or folder may be of."""
    first, *rest = place.relative_to(folder).parts
    return first if rest or place.is_dir() else read_flat(first)


def walk(folder: Path) -> Iterator[Path]:
    """The files in a folder and below, and the links, sorted; without what systems add, and what is hidden by one."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SYSTEMS)
        yield from (Path(place, name) for name in folders if Path(place, name).is_symlink())
        yield from (Path(place, name) for name in sorted(files) if name not in SYSTEMS and not name.startswith(DOUBLE))


def list_beside(one: Submission) -> tuple[list[str], list[str]]:
    """What a student handed in beside the notebook: what the program has with it, and what nobody opens."""
    if not one.own:
        files = [file for file in sorted(one.folder.iterdir()) if file.is_file() and find_mistake(file.name)]
        if one.folder.name == one.student:
            return [], [file.name for file in files]
        return [], [file.name for file in files if read_flat(file.name) == one.student]
    seen, unopened = [], []
    for file in islice(walk(one.folder), MOST_FILES):
        name = file.relative_to(one.folder).as_posix()
        if file != one.notebook and name not in one.others:
            (unopened if is_unopened(file, one) else seen).append(name)
    return seen, unopened


def is_unopened(file: Path, one: Submission) -> bool:
    """Whether it is meant to be graded and is not, or is not even in the room."""
    parts = file.relative_to(one.folder).parts
    inside = len(parts) > 1 and (NOTEBOOK.search(file.name) or parts[0].startswith((".", "__")))
    return bool(one.notebook is None or file.is_symlink() or inside or find_mistake(file.name))


def tell_unopened(one: Submission) -> list[str]:
    """A sentence for the student, and the teacher, on the files at which nobody looks, and what to hand in instead."""
    unopened = list_beside(one)[1]
    if not unopened:
        return []
    verb = "was" if len(unopened) == 1 else "were"
    return [f"{name_few(unopened)} {verb} not opened; hand in the notebook itself, {one.assignment}.ipynb"]


def tell_beside(one: Submission) -> list[str]:
    """A sentence for the teacher on what else there is."""
    seen = list_beside(one)[0]
    return [f"beside the notebook: {name_few(seen)}"] if seen else []


def name_few(names: list[str]) -> str:
    """The first of them, on one line."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(name if name.isprintable() else ascii(name) for name in names[:MOST_NAMES]) + more
