"""A course folder: assignments from their source to the students, and back with grades.

    exercises/source/NAME/NAME.ipynb      with solutions and hidden tests, nbgrader's format
             /release/NAME/NAME.ipynb     what students get: generated, never edited
             /gradebook.db                nbgrader's gradebook: its formgrader opens it as it is
             /autograded, /feedback       graded notebooks, and pages for the students

nbgrader generates releases, keeps the gradebook, and writes feedback. Only the running of students' programs is ours.
"""

import csv
import io
import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from flowlib.classroom.grader import Graded, grade
from flowlib.classroom.repair import Unreadable, blank, read, repair
from flowlib.classroom.room.sandbox import Limits, require

GRADED = ".graded"  # repaired and executed notebooks, as nbgrader is given them
REGISTERED = ".registered"
SKIP = ("Execute", "ClearOutput", "DeduplicateIds", "OverwriteKernelspec", "IgnorePattern", "ClearMetadataPreprocessor")


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


@dataclass
class Result:
    """What a submission got: points of the automatic tests, what a person still has to grade, and what happened."""

    student: str
    assignment: str
    points: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    by_hand: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def score(self) -> float:
        return sum(self.points.values())


@dataclass(frozen=True)
class Course:
    """The folder of a course. Raises: FileNotFoundError where it has no source/."""

    root: Path

    def __post_init__(self):
        if not (self.root / "source").is_dir():
            raise FileNotFoundError(f"{self.root / 'source'} is missing; give a course's folder, such as exercises")

    def assignments(self) -> list[str]:
        return sorted(f.parent.name for f in (self.root / "source").glob("*/*.ipynb") if f.stem == f.parent.name)

    def notebook(self, kind: str, name: str) -> Path:
        return self.root / kind / name / f"{name}.ipynb"

    def known(self, kind: str, name: str) -> Path:
        """The notebook of an assignment that is there. Raises: ValueError, with the names of those that are."""
        if name not in self.assignments():
            raise ValueError(f"unknown assignment {name!r}; known: {', '.join(self.assignments()) or 'none'}")
        return self.notebook(kind, name)

    def api(self):
        """nbgrader's interface to this course, without the steps that we have done."""
        from nbgrader.apps import NbGraderAPI
        from nbgrader.converters import Autograde
        from nbgrader.preprocessors import ClearHiddenTests
        from traitlets.config import Config

        from flowlib.classroom.grades import Grades

        scripts = str(Path(sys.executable).parent)  # nbgrader asks the shell for alembic, which lies beside this Python
        if scripts not in os.environ["PATH"].split(os.pathsep):
            os.environ["PATH"] = scripts + os.pathsep + os.environ["PATH"]
        config = Config()
        config.CourseDirectory.root = str(self.root.resolve())
        config.CourseDirectory.submitted_directory = GRADED
        keep = lambda steps: [step for step in steps if step.__name__ not in SKIP]
        config.Autograde.sanitize_preprocessors = keep(Autograde.sanitize_preprocessors.default())
        config.Autograde.autograde_preprocessors = keep(Autograde.autograde_preprocessors.default())
        config.ClearSolutions.code_stub = {"python": "# your code here\nraise NotImplementedError"}
        config.ClearSolutions.text_stub = "*Your answer here.*"
        config.GenerateFeedback.exporter_class = "flowlib.classroom.feedback.FeedbackExporter"
        config.GenerateFeedback.preprocessors = [Grades, ClearHiddenTests]
        return NbGraderAPI(config=config)

    def release(self, name: str) -> Path:
        """Make release/NAME from source/NAME. Raises: ValueError with what nbgrader says."""
        made = self.known("release", name)
        self._generate(self.api(), name)
        return made

    def register(self, name: str) -> None:
        """Tell the gradebook of an assignment, its tasks and points, and leave release/ as it is."""
        api = self.api()
        api.coursedir.release_directory = REGISTERED
        self._generate(api, name)
        shutil.rmtree(self.root / REGISTERED)

    def feedback(self, name: str) -> list[Path]:
        """Write the pages for all students of an assignment, with what the gradebook says by now; where they lie.

        Raises: ValueError with what nbgrader says.
        """
        with _quiet():
            done = self.api().generate_feedback(name, force=True)
        if not done["success"]:
            raise ValueError(f"nbgrader cannot write feedback for {name}; has it been graded?\n{_last(done)}")
        return sorted((self.root / "feedback").glob(f"*/{name}/*.html"))

    def _generate(self, api, name: str) -> None:
        done = api.generate_assignment(name, force=True, create=True)
        if not done["success"]:
            raise ValueError(f"nbgrader cannot release {name}:\n{done.get('log') or done.get('error')}")


def folders(folder: Path) -> list[Path]:
    """The folders in this one, sorted, without hidden ones."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def submissions(folder: Path, names: list[str]) -> list[Submission]:
    """What lies in a folder: STUDENT/ASSIGNMENT/*.ipynb (nbgrader's layout), or STUDENT.ipynb for one assignment.

    Raises: FileNotFoundError where there is nothing; ValueError where a flat folder meets several assignments.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give the one with the submissions")
    found = []
    for student in folders(folder):
        for place in (p for p in folders(student) if p.name in names):
            files = sorted(p for p in place.glob("*.ipynb") if p.is_file() and not p.is_symlink())
            exact = [f for f in files if f.stem == place.name]
            others = () if exact else tuple(f.name for f in files[1:])
            found.append(Submission(student.name, place.name, place, (exact or files or [None])[0], others))
    flat = sorted(p for p in folder.glob("*.ipynb") if p.is_file() and not p.is_symlink())
    if flat and len(names) != 1:
        raise ValueError(f"{folder} holds notebooks of students, but of which assignment? Give --assignment NAME")
    found += [Submission(f.stem, names[0], f.parent, f) for f in flat]
    if not found:
        raise FileNotFoundError(f"{folder} holds no submissions: neither STUDENT/ASSIGNMENT/*.ipynb nor STUDENT.ipynb")
    return found


def strays(folder: Path, names: list[str]) -> list[Path]:
    """Folders with notebooks in students' folders that are no assignment: a misspelt name."""
    places = (place for student in folders(folder) for place in folders(student))
    return [place for place in places if place.name not in names and any(place.glob("*.ipynb"))]


def run(course: Course, one: Submission, limits: Limits, isolate: bool, seed: int) -> tuple[Result, str]:
    """Repair and grade one submission: its result, and the graded notebook as text. It writes nothing."""
    import nbformat

    source = nbformat.read(course.notebook("source", one.assignment), as_version=4)
    release = nbformat.read(course.notebook("release", one.assignment), as_version=4)
    notes: list[str] = []
    try:
        if one.notebook is None:
            raise Unreadable("there is no notebook in the folder")
        book, notes = repair(read(one.notebook), source, release)
    except Unreadable as error:
        book, notes = repair(blank(release), source, release)[0], [f"graded as blank: {error}"]
    if one.others:
        notes.insert(
            0,
            f"of several notebooks {one.notebook.name} was graded, and not {', '.join(one.others)}: "
            f"none is named {one.assignment}.ipynb",
        )
    files = one.folder if one.notebook is not None and one.folder.name == one.assignment else None
    graded: Graded = grade(book, limits, files, isolate=isolate, seed=seed)
    by_hand = sum(
        float(c.metadata.nbgrader.get("points") or 0)
        for c in source.cells
        if c.metadata.get("nbgrader", {}).get("points") and not _automatic(c)
    )
    result = Result(one.student, one.assignment, graded.points, graded.most, by_hand, notes + graded.notes)
    return result, nbformat.writes(graded.notebook)


def grade_all(
    course: Course,
    folder: Path,
    *,
    names: list[str] | None = None,
    limits: Limits | None = None,
    isolate: bool = True,
    seed: int = 0,
    workers: int | None = None,
    feedback: bool = True,
    progress: Callable[[], object] = lambda: None,
) -> list[Result]:
    """Grade every submission in `folder`, a worker for each core; then hand all to nbgrader, one by one.

    Raises: NoSandbox, FileNotFoundError, ValueError (an assignment that is not released).
    """
    limits = limits or Limits()
    if isolate:
        require()
    names = names or course.assignments()
    for name in names:
        if not course.notebook("release", name).is_file():
            raise ValueError(f"{name} has not been released; make it with: flowlib release {name}")
    waiting = submissions(folder, names)
    results: dict[Submission, tuple[Result, str]] = {}
    for cores in (workers or os.cpu_count(), 1):  # where a worker dies, all that were in hand are taken up once more
        todo = [one for one in waiting if one not in results or not results[one][1]]
        with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
            tasks = {pool.submit(run, course, one, limits, isolate, seed): one for one in todo}
            for task in as_completed(tasks):
                one = tasks[task]
                try:
                    results[one] = task.result()
                    progress()
                except Exception as error:  # of ours: no student may be lost through it, and the teacher must know
                    results[one] = Result(one.student, one.assignment, notes=[f"NOT GRADED: {error!r}"]), ""
    with _quiet():
        for name in sorted({one.assignment for one in waiting}):
            course.register(name)
        for one in waiting:
            hand_over(course, one, *results[one], feedback=feedback)
    return [results[one][0] for one in waiting]


def hand_over(course: Course, one: Submission, result: Result, text: str, *, feedback: bool) -> None:
    """Give a graded notebook to nbgrader: gradebook, autograded copy, feedback page."""
    if not text:
        return
    place = course.root / GRADED / one.student / one.assignment
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / f"{one.assignment}.ipynb").write_text(text, "utf-8")
    stamp = one.folder / "timestamp.txt"
    if stamp.is_file():
        shutil.copyfile(stamp, place / "timestamp.txt")
    api = course.api()
    done = api.autograde(one.assignment, one.student, force=True, create=True)
    if done["success"] and feedback:
        done = api.generate_feedback(one.assignment, one.student, force=True)
    if not done["success"]:
        result.notes.append(f"nbgrader: {_last(done)}")


def table(results: list[Result]) -> str:
    """The grades as CSV: a line for each submission, the same for the same submissions."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["student", "assignment", "score", "of", "to grade by hand", "tests passed", "what happened"])
    for r in sorted(results, key=lambda r: (r.assignment, r.student)):
        passed = f"{sum(p > 0 for p in r.points.values())} of {len(r.points)}"
        rows.writerow(
            [
                _plain(r.student),
                r.assignment,
                f"{r.score:g}",
                f"{sum(r.most.values()):g}",
                f"{r.by_hand:g}",
                passed,
                _plain("; ".join(r.notes)),
            ]
        )
    return out.getvalue()


def details(results: list[Result]) -> str:
    """Every test of every submission, as JSON."""
    return json.dumps([{**r.__dict__, "score": r.score} for r in results], indent=1, ensure_ascii=False) + "\n"


def _automatic(cell) -> bool:
    mark = cell.metadata.get("nbgrader", {})
    return cell.cell_type == "code" and bool(mark.get("grade")) and not mark.get("solution")


def _plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula, on one line."""
    text = " ".join(text.split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _last(done: dict) -> str:
    """The last line of what nbgrader reports."""
    return ((done.get("error") or done.get("log") or "").strip().splitlines() or ["no reason given"])[-1]


@contextmanager
def _quiet() -> Iterator[None]:
    """nbgrader reports every step on the log; what matters comes back as a result."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of SQLAlchemy's, on nbgrader's way with sessions
            yield
    finally:
        logging.disable(before)
