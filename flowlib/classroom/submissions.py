"""What lies in a folder of submissions: which notebook of a student is for which assignment."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Submission:
    """What one student handed in for one assignment; `notebook` is None where the file is missing.

    others: notebooks that lie beside it, where none has the assignment's name.
    """

    student: str
    assignment: str
    folder: Path
    notebook: Path | None
    others: tuple[str, ...] = ()


def find_submissions(folder: Path, names: list[str]) -> list[Submission]:
    """What lies in a folder: STUDENT/ASSIGNMENT/*.ipynb (nbgrader's layout), or STUDENT.ipynb for one assignment.

    Raises: FileNotFoundError where there is nothing; ValueError where a flat folder meets several assignments.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give the one with the submissions")
    places = (place for student in list_folders(folder) for place in list_folders(student))
    found = [choose_notebook(place) for place in places if place.name in names]
    flat = list_notebooks(folder)
    if flat and len(names) != 1:
        raise ValueError(f"{folder} holds notebooks of students, but of which assignment? Give --assignment NAME")
    found += [Submission(file.stem, names[0], file.parent, file) for file in flat]
    if not found:
        raise FileNotFoundError(f"{folder} holds no submissions: neither STUDENT/ASSIGNMENT/*.ipynb nor STUDENT.ipynb")
    return found


def choose_notebook(place: Path) -> Submission:
    """What is graded of a folder STUDENT/ASSIGNMENT: the notebook of that name, or else the first one."""
    files = list_notebooks(place)
    exact = [file for file in files if file.stem == place.name]
    others = () if exact else tuple(file.name for file in files[1:])
    return Submission(place.parent.name, place.name, place, (exact or files or [None])[0], others)


def find_strays(folder: Path, names: list[str]) -> list[Path]:
    """Folders with notebooks in students' folders that are no assignment: a misspelt name."""
    places = (place for student in list_folders(folder) for place in list_folders(student))
    return [place for place in places if place.name not in names and any(place.glob("*.ipynb"))]


def list_folders(folder: Path) -> list[Path]:
    """The folders in this one, sorted, without hidden ones."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def list_notebooks(folder: Path) -> list[Path]:
    """The notebooks in this folder, sorted; a link leads elsewhere, and does not count."""
    return sorted(p for p in folder.glob("*.ipynb") if p.is_file() and not p.is_symlink())
