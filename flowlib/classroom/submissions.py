"""What lies in a folder of submissions: which notebook of a student is for which assignment, and what is refused.

A student is named by a folder or a file. That name becomes a folder of the gradebook's, so it must be a plain one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

FORBIDDEN = '/\\*?[]<>"|='  # a path, a pattern of nbgrader's, a page's tag, a spreadsheet's formula
FORMULAS = ("+", "-", "@")  # one begins so, too
UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # line ends, other control characters, bytes that are no text
DOUBLE = "._"  # macOS's second half of a file, in its archives
MOODLE = re.compile(r"(.+)_(\d+)_assignsubmission_file_?")  # Name_ID_assignsubmission_file
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")
NOTEBOOK = re.compile(r"\.ipynb(\.(txt|json))?( ?\(\d+\))?$", re.IGNORECASE)  # whatever a browser made of the name
NO_STUDENTS = ("__MACOSX",)  # where those archives keep them


@dataclass(frozen=True)
class Submission:
    """What one student handed in for one assignment; `notebook` is None where the file is missing.

    others: notebooks that lie beside it, where none has the assignment's name.
    Raises: ValueError where the student's name cannot be the name of a folder.
    """

    student: str
    assignment: str
    folder: Path
    notebook: Path | None
    others: tuple[str, ...] = ()

    def __post_init__(self):
        check_name(self.student)

    @property
    def own(self) -> bool:
        """Whether all that lies in the folder is this student's; not where notebooks lie among those of others."""
        known = self.folder.name == self.assignment and self.folder.parent.name == self.student
        return known or MOODLE.fullmatch(self.folder.name) is not None

    @property
    def files(self) -> Path | None:
        """The student's own folder, where there is a notebook in it."""
        return self.folder if self.own and self.notebook is not None else None


def check_name(name: str) -> None:
    """Raises: ValueError where a student cannot be called so."""
    odd = sorted({letter for letter in name if letter in FORBIDDEN or category(letter) in UNSEEN})
    why = (
        "is empty" if not name
        else "begins with a dot" if name.startswith(".")
        else f"begins with {name[0]!a}" if name.startswith(FORMULAS)
        else "begins or ends with a blank" if name != name.strip()
        else f"has {', '.join(map(ascii, odd))} in it" if odd
        else ""
    )  # fmt: skip
    if why:
        raise ValueError(f"a student's name must be a plain one, such as ada, and {name!a} {why}; rename the file")


def find_submissions(folder: Path, names: list[str]) -> list[Submission]:
    """What lies in a folder: STUDENT/ASSIGNMENT/*.ipynb (nbgrader's layout), or STUDENT.ipynb for one assignment.

    Raises: FileNotFoundError where there is nothing; ValueError where a flat folder meets several assignments.
    """
    found, refused = sort_submissions(folder, names)
    if not found:
        refused += find_unread(folder, names)
        said = "".join(f"; {sentence}" for sentence in refused)
        raise FileNotFoundError(
            f"{folder} holds no submissions: neither STUDENT/ASSIGNMENT/*.ipynb nor STUDENT.ipynb{said}"
        )
    return found


def find_refused(folder: Path, names: list[str]) -> list[str]:
    """A sentence for each file or folder that looks like a submission, and is not graded."""
    return [*sort_submissions(folder, names)[1], *find_unread(folder, names)]


def sort_submissions(folder: Path, names: list[str]) -> tuple[list[Submission], list[str]]:
    """The submissions in a folder, and a sentence for each thing in it that would be one and is refused.

    Raises: FileNotFoundError where it is no folder; ValueError where a flat folder meets several assignments.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give the one with the submissions")
    flat = list_files(folder)
    if flat and len(names) != 1:
        raise ValueError(f"{folder} holds notebooks of students, but of which assignment? Give --assignment NAME")
    found: dict[tuple[str, str], Submission] = {}
    refused = []
    for place in [*list_places(folder, names), *list_moodle(folder), *flat]:
        try:
            one = take(place, names)
            if first := found.get((one.student, one.assignment)):
                raise ValueError(
                    f"{one.student} has handed in {first.notebook or first.folder} as well; keep one of them"
                )
            found[one.student, one.assignment] = one
        except ValueError as error:
            refused.append(f"{show(place)}: {error}")
    return list(found.values()), refused


def show(path: Path) -> str:
    """The path on one line, whatever is in it."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def take(place: Path, names: list[str]) -> Submission:
    """The submission in a folder STUDENT/ASSIGNMENT, or in a file STUDENT.ipynb. Raises: ValueError for a link."""
    for path in (place.parent, place) if place.name in names else (place,):
        if path.is_symlink():
            raise ValueError(f"{path.name} is a link, and leads elsewhere; put there what was handed in")
    if place.name in names:
        return choose_notebook(place)
    if place.is_dir():
        return take_moodle(place, names)
    return Submission(NOTEBOOK.sub("", place.name), names[0], place.parent, place)


def take_moodle(place: Path, names: list[str]) -> Submission:
    """The submission in a folder of Moodle's. Raises: ValueError where it is not known for which assignment."""
    if len(names) != 1:
        raise ValueError("Moodle's folders do not say of which assignment they are; give --assignment NAME")
    files = list_notebooks(place)
    student = "_".join(MOODLE.fullmatch(place.name).groups())
    return Submission(student, names[0], place, (files or [None])[0], tuple(file.name for file in files[1:]))


def find_unread(folder: Path, names: list[str]) -> list[str]:
    """A sentence for each file at which nobody looks, in the folder and in students' folders: a zip, a renamed one."""
    places = [folder, *list_folders(folder), *list_places(folder, names), *list_moodle(folder)]
    files = [file for place in dict.fromkeys(places) for file in sorted(place.iterdir()) if file.is_file()]
    loose = [
        file
        for student in list_folders(folder)
        if not MOODLE.fullmatch(student.name) and not student.name.startswith(".")
        for file in list_notebooks(student)
    ]
    return [
        *(f"{show(file)}: {why}" for file in files if (why := find_mistake(file.name))),
        *(
            f"{show(file)}: lies in no assignment's folder; put it into {show(file.parent / names[0])}"
            for file in loose
        ),
    ]


def find_mistake(name: str) -> str:
    """Why a file is no notebook although somebody may have meant it to be one; "" where nobody has."""
    end = name.lower()
    if name.startswith(DOUBLE):
        return ""
    if end.endswith(ARCHIVES):
        return "is an archive; unpack it (flowlib collect does, with a class's zip), and grade what is in it"
    if ".ipynb" in end and not NOTEBOOK.search(name):
        return "must end in .ipynb to be taken for a notebook; rename it"
    return ""


def find_unopened(one: Submission) -> list[str]:
    """A sentence for the student on each file of theirs at which nobody looks, and what to hand in instead."""
    files = sorted(one.folder.iterdir()) if one.own else []
    return [
        f"{file.name} was not opened; hand in the notebook itself, {one.assignment}.ipynb"
        for file in files
        if file.is_file() and find_mistake(file.name)
    ]


def choose_notebook(place: Path) -> Submission:
    """What is graded of a folder STUDENT/ASSIGNMENT: the notebook of that name, or else the first one."""
    files = list_notebooks(place)
    exact = [file for file in files if file.name == f"{place.name}.ipynb"]
    others = () if exact else tuple(file.name for file in files[1:])
    return Submission(place.parent.name, place.name, place, (exact or files or [None])[0], others)


def list_places(folder: Path, names: list[str]) -> Iterator[Path]:
    """The folders STUDENT/ASSIGNMENT; a link to a student's folder as well, which is refused later."""
    for student in list_folders(folder):
        yield from (place for place in list_folders(student) if place.name in names)


def list_moodle(folder: Path) -> list[Path]:
    """The folders in this one that Moodle made of students' files."""
    return [place for place in list_folders(folder) if MOODLE.fullmatch(place.name)]


def find_strays(folder: Path, names: list[str]) -> list[Path]:
    """Folders with notebooks in students' folders that are no assignment: a misspelt name."""
    places = (place for student in list_folders(folder) for place in list_folders(student))
    return [
        place
        for place in places
        if place.name not in names and not place.name.startswith(".") and any(list_notebooks(place))
    ]


def list_folders(folder: Path) -> list[Path]:
    """The folders in this one, sorted, without what an archive of macOS brings along."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and p.name not in NO_STUDENTS)


def list_files(folder: Path) -> list[Path]:
    """The notebooks in a flat folder, sorted, hidden ones last, links too."""
    files = (p for p in folder.iterdir() if NOTEBOOK.search(p.name) and is_file_or_link(p))
    return sorted(files, key=lambda p: (p.name.startswith("."), p.name))


def list_notebooks(folder: Path) -> list[Path]:
    """The notebooks in this folder, sorted; a link leads elsewhere, and does not count."""
    return [p for p in list_files(folder) if not p.is_symlink()]


def is_file_or_link(path: Path) -> bool:
    return (path.is_file() or path.is_symlink()) and not path.name.startswith(DOUBLE)
