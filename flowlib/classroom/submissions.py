"""What lies in a folder of submissions: which notebook of a student is for which assignment, and what is refused.

A student is named by a folder or a file. That name becomes a folder of the gradebook's, so it must be a plain one.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flowlib.classroom.names import DOUBLE, NOTEBOOK, check_name, find_mistake, is_named, read_flat, read_folder

NO_STUDENTS = ("__MACOSX",)  # where macOS's archives keep the second halves of files


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
        return known or read_folder(self.folder.name) is not None

    @property
    def files(self) -> Path | None:
        """The student's own folder, where there is a notebook in it."""
        return self.folder if self.own and self.notebook is not None else None


def find_submissions(folder: Path, names: list[str]) -> list[Submission]:
    """What lies in a folder: STUDENT/ASSIGNMENT/*.ipynb (nbgrader's layout), or STUDENT.ipynb for one assignment.

    Raises: FileNotFoundError where there is nothing; ValueError where a flat folder meets several assignments.
    """
    found, refused = sort_submissions(folder, names)
    if not found:
        said = "".join(f"; {show(place)}: {why}" for place, why in [*refused, *list_mistakes(folder)])
        raise FileNotFoundError(
            f"{folder} holds no submissions: neither STUDENT/ASSIGNMENT/*.ipynb nor STUDENT.ipynb{said}"
        )
    return found


def list_mistakes(folder: Path) -> list[tuple[Path, str]]:
    """Files in a folder, and in students' folders, that somebody may have meant for notebooks; and what is wrong."""
    places = [folder, *(place for place in list_folders(folder) if not place.is_symlink())]
    files = [file for place in places for file in sorted(place.iterdir()) if file.is_file()]
    return [(file, why) for file in files if (why := find_mistake(file.name))]


def sort_submissions(folder: Path, names: list[str]) -> tuple[list[Submission], list[tuple[Path, str]]]:
    """The submissions in a folder, and each thing in it that would be one and is refused, with the reason.

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
            refused.append((place, str(error)))
    for one in take_mistaken(folder, names, flat):
        found.setdefault((one.student, one.assignment), one)
    return list(found.values()), refused


def take_mistaken(folder: Path, names: list[str], flat: list[Path]) -> Iterator[Submission]:
    """Students of whom there is nothing but an archive, or a file with a wrong ending: graded as blank, and told.

    Among folders of students an archive is hardly one student's: it is the whole class's.
    """
    for file, _ in list_mistakes(folder) if len(names) == 1 else ():
        place = file.parent
        if place != folder or flat:
            student = read_flat(file.name) if place == folder else read_folder(place.name) or place.name
            with suppress(ValueError):  # no name of a student
                yield Submission(student, names[0], place, None)


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
    return Submission(read_flat(place.name), names[0], place.parent, place)


def take_moodle(place: Path, names: list[str]) -> Submission:
    """The submission in a folder of Moodle's. Raises: ValueError where it is not known for which assignment."""
    if len(names) != 1:
        raise ValueError("Moodle's folders do not say of which assignment they are; give --assignment NAME")
    return Submission(read_folder(place.name), names[0], place, *choose(list_notebooks(place), names[0]))


def choose_notebook(place: Path) -> Submission:
    """What is graded of a folder STUDENT/ASSIGNMENT: the notebook of that name, or else the first one."""
    notebook, others = choose(list_notebooks(place), place.name)
    return Submission(place.parent.name, place.name, place, notebook, others)


def choose(files: list[Path], assignment: str) -> tuple[Path | None, tuple[str, ...]]:
    """The notebook that has the assignment's name, maybe with a browser's number, or else the first one; the others.

    There are none where a notebook has the very name.
    """
    exact = [file for file in files if file.name == f"{assignment}.ipynb"]
    first = [*exact, *(file for file in files if is_named(file.name, assignment)), *files, None][0]
    return first, () if exact else tuple(file.name for file in files if file != first)


def list_places(folder: Path, names: list[str]) -> Iterator[Path]:
    """The folders STUDENT/ASSIGNMENT; a link to a student's folder as well, which is refused later."""
    for student in list_folders(folder):
        yield from (place for place in list_folders(student) if place.name in names)


def list_moodle(folder: Path) -> list[Path]:
    """The folders in this one that Moodle made of students' files."""
    return [place for place in list_folders(folder) if read_folder(place.name)]


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
