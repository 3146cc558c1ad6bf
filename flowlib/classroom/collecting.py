"""A learning platform's zip of a class, sorted into STUDENT/ASSIGNMENT/ as nbgrader has it.

Whose a file is, the platform's name of it says (`names`); of others ada/x.ipynb, ada/ASSIGNMENT/x.ipynb or ada.ipynb.
"""

import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

from flowlib.classroom.archives import BROKEN, MOST_CLASS, Member, list_members, open_zip, unpack, write_member
from flowlib.classroom.names import NOTEBOOK, HandIn, check_name, is_late, read_name, rename_notebook


def collect(archive: Path, out: Path, assignment: str, *, replace: bool = False) -> tuple[list[str], list[str]]:
    """Unpack into out/STUDENT/ASSIGNMENT; the students, and a sentence on all that was left out or is odd.

    replace: take what is there already away, for a later download of the same task.
    Raises: ValueError where the archive is none, leads out of itself, or is too large.
    """
    said: list[str] = []
    done: list[str] = []
    with open_zip(archive) as opened:
        members = list_members(opened, MOST_CLASS)
        for student, files in sort_members(members, assignment, said).items():
            try:
                put(opened, files, out / student / assignment, replace=replace, said=said)
                done.append(student)
            except BROKEN as error:
                said.append(f"NOT COLLECTED: {student}: {error}")
    return done, said


def sort_members(members: list[Member], assignment: str, said: list[str]) -> dict[str, dict[str, Member]]:
    """The files of each student, of the latest attempt; what is nobody's gets a sentence."""
    attempts: dict[str, dict[str, dict[str, Member]]] = defaultdict(lambda: defaultdict(dict))
    top = find_class(members, assignment)
    said += [f"all of it lies in {top}, which is taken for the class's folder"] if top else []
    for member in members:
        path = "/".join(member.parts[1:] if top else member.parts)
        try:
            student, attempt, file = name_student(path, assignment)
            check_name(student)
        except ValueError as error:
            said.append(f"NOT COLLECTED: {path!a}: {error}")
            continue
        if is_late(path):
            said.append(f"{student}: Canvas says that {file} is late")
        if file:
            attempts[student][attempt][file] = member
    return {student: tries[max(tries)] for student, tries in sorted(attempts.items())}


def find_class(members: list[Member], assignment: str) -> str:
    """The folder of a whole class, where all that there is lies in one: zipped again, say; "" where there is none."""
    tops = {member.parts[0] if len(member.parts) > 1 else "" for member in members}
    if len(tops) != 1 or read_name("/".join(members[0].parts)):
        return ""
    below = [member.parts[1:] for member in members]
    if any(read_name("/".join(parts)) for parts in below):
        return tops.pop()
    students = {parts[0] for parts in below if len(parts) > 1 and NOTEBOOK.search(parts[-1])}
    return tops.pop() if len(students) > 1 and assignment not in students else ""


def name_student(path: str, assignment: str) -> HandIn:
    """Whose file it is. Raises: ValueError where the path says nothing of it."""
    if told := read_name(path):
        return told
    student, *rest = path.split("/")
    rest = rest[1:] if rest[:1] == [assignment] else rest
    if rest:
        return student, "", rename_notebook("/".join(rest))
    if NOTEBOOK.search(student):
        return NOTEBOOK.sub("", student), "", f"{assignment}.ipynb"
    raise ValueError("says of no student whose it is, as Moodle's, Canvas's, Blackboard's names and STUDENT/FILE do")


def put(opened, files: dict[str, Member], place: Path, *, replace: bool, said: list[str]) -> None:
    """Write a student's files, zips among them unpacked, aside first; then into place. Raises: ValueError."""
    if place.exists() and not replace:
        raise ValueError(f"{place} is there already; --replace puts the new files in its place")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".collected-") as aside:
        made = Path(aside, place.name)
        for file, member in files.items():
            write_member(opened, member, made / file)
        for archive in sorted(made.rglob("*.zip")):
            unpack_own(archive, made, said, place.parent.name)
        lift(made)
        if place.exists():
            place.rename(Path(aside, "before"))
        made.rename(place)


def unpack_own(archive: Path, made: Path, said: list[str], student: str) -> None:
    """A zip that a student handed in: what is in it, beside the other files; a single folder in it is no folder."""
    try:
        with tempfile.TemporaryDirectory(dir=made) as aside:
            unpack(archive, Path(aside, "in"))
            top = find_top(Path(aside, "in"))
            for one in sorted(top.iterdir()):
                if (made / rename_notebook(one.name)).exists():
                    raise ValueError(f"{one.name} is in it and beside it")
            for one in sorted(top.iterdir()):
                shutil.move(one, made / rename_notebook(one.name))
        archive.unlink()
        said.append(f"{student}: {archive.name} was unpacked")
    except BROKEN as error:
        said.append(f"{student}: {archive.name} was not unpacked: {error}")


def lift(made: Path) -> None:
    """Where all that there is lies in a folder, and in one in it, take it out of there."""
    top = find_top(made)
    if top != made:
        aside = made.with_name("lifted")
        top.rename(aside)
        shutil.rmtree(made)
        aside.rename(made)


def find_top(folder: Path) -> Path:
    """The folder itself, or the one folder that is all there is in it."""
    found = list(folder.iterdir()) if folder.is_dir() else []
    return find_top(found[0]) if len(found) == 1 and found[0].is_dir() else folder
