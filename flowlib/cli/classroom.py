"""Commands for a class: release, grade, feedback, otter."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flowlib.authoring.course import DISTRIBUTION, read_stamp, root_of, say_where
from flowlib.cli.parsing import check_target

if TYPE_CHECKING:
    from flowlib.classroom.course import Course
    from flowlib.classroom.results import Result
    from flowlib.classroom.unread import Unread

EXERCISES = Path("exercises")


def release(names: tuple[str, ...] = (), /, course: Path = EXERCISES) -> None:
    """Make what students get of an assignment, without solutions.

    It is release/NAME, from source/NAME, with solutions and hidden tests taken out.

    Args:
        names: Assignments; without a name, all of the course.
        course: The folder of the course.
    """
    book = open_course(course)
    for name in names or book.assignments():
        print(book.release(name))
        if foreign := book.find_foreign(name):
            print(f"  beside it, and not from source/{name}: {', '.join(file.as_posix() for file in foreign)}")


def open_course(folder: Path) -> "Course":
    """Raises: FileNotFoundError where it is no course's folder, with a word on where one is had."""
    from flowlib.classroom.course import Course

    if folder == EXERCISES and not folder.is_dir():
        raise FileNotFoundError(f"there are no {folder} here; {say_where()}, or give a course's folder with --course")
    return Course(folder)


def grade(
    submissions: Path,
    /,
    out: Path,
    course: Path = EXERCISES,
    assignment: str | None = None,
    seconds: float = 120.0,
    call_seconds: float = 20.0,
    megabytes: int = 1200,
    seed: int = 0,
    workers: int = 0,
    own_seeds: bool = False,
    sandbox: Literal["bubblewrap", "docker", "none"] = "bubblewrap",
    image: str = "flowlib-room",
    trust_students: bool = False,
) -> int:
    """Grade what students handed in, each in a sandbox.

    It writes a table of grades, and gives everything to nbgrader's gradebook. Interrupted, the same command goes on
    where it was. Exit code 1 if a submission could not be graded, or lies in a folder that is no assignment; it says
    which.

    Args:
        submissions: STUDENT/ASSIGNMENT/*.ipynb as nbgrader collects them, or STUDENT.ipynb with --assignment.
        out: The table of grades, CSV; details of every test go beside it, as JSON.
        course: The folder of the course.
        assignment: Grade this one only.
        seconds: Time for a whole notebook; on Linux, waiting for a core does not count.
        call_seconds: The same for a cell, or a call of a student's function.
        megabytes: Memory for all processes of one student.
        seed: Draws the numbers in the tests; another one for another class.
        workers: Students graded at a time; 0: as many as there are cores.
        own_seeds: Draw other numbers for each student, from the seed and the student's name.
        sandbox: docker makes a container for each student; none runs their programs as you, with --trust-students.
        image: For --sandbox docker: the image, made with exercises/Dockerfile.
        trust_students: Their programs may read the answer key and write whatever you may: for --sandbox none.
    """
    from flowlib.classroom.room.sandbox import Limits, require_system
    from flowlib.classroom.unread import find_unread

    require_system()
    if sandbox == "none" and not trust_students:
        raise ValueError(
            "--sandbox none lets students' programs read the answer key and write others' work, as you can; in a "
            "container that is thrown away say so with --trust-students, or else leave --sandbox out"
        )
    if workers < 0:
        raise ValueError(f"--workers must be 0, for as many as there are cores, or more; got {workers}")
    limits = Limits(seconds, call_seconds, megabytes)
    check_tables(out)
    book = open_course(course)
    warn_root()
    names = [book.find("source", assignment).stem] if assignment else book.assignments()
    kinds = {"bubblewrap": True, "docker": image, "none": False}
    settings = {"limits": limits, "seed": seed, "own_seeds": own_seeds, "isolate": kinds[sandbox]}
    results = grade_with_bar(book, submissions, names, workers=workers or None, **settings)
    return report(results, out, find_unread(submissions, names, book.assignments()))


def warn_root() -> None:
    """A word to who grades as root: a hole in the sandbox would then be one in the whole machine."""
    if getattr(os, "geteuid", lambda: 1)() == 0:
        print("flowlib grade: you grade as root; a user of its own, without rights, is safer", file=sys.stderr)


def check_tables(out: Path) -> None:
    """Raises: ValueError where grades would be written over something else, or each table over the other."""
    if out.suffix in (".json", ".ipynb"):
        raise ValueError(f"--out is the table of grades, such as grades.csv, and may not be called {out.name}")
    check_target(out, "--out", "grades.csv", "student,assignment,score,")
    check_target(out.with_suffix(".json"), "--out", "grades.csv", '"by_hand": ')


def grade_with_bar(book: "Course", folder: Path, names: list[str], **settings) -> list["Result"]:
    from tqdm import tqdm

    from flowlib.classroom.grading import grade_all
    from flowlib.classroom.submissions import find_submissions

    with tqdm(total=len(find_submissions(folder, names)), unit="submission", disable=None) as bar:
        return grade_all(book, folder, names=names, progress=bar.update, **settings)


def report(results: list["Result"], out: Path, unread: list["Unread"]) -> int:
    """Write the tables, and say what a teacher must know; 1 where something was not graded."""
    from flowlib.classroom.results import Result
    from flowlib.classroom.tables import grades_csv, grades_json, plain
    from flowlib.files import save_text

    told = [(f"NOT GRADED: {one}" if one.meant else f"not looked at: {one}", one) for one in unread]
    rows = [*results, *(Result(one.student, "", notes=[sentence]) for sentence, one in told)]
    save_text(grades_csv(rows), out)
    save_text(grades_json(rows), out.with_suffix(".json"))
    print(f"{len(results)} submissions graded: {out}; every test: {out.with_suffix('.json')}")
    for result in results:
        if result.notes:
            print(f"  {plain(result.student)}, {result.assignment}: {plain('; '.join(result.notes))}")
    for sentence, _ in told:
        print(f"  {plain(sentence)}")
    return 1 if any(one.meant for one in unread) or any(not result.points for result in results) else 0


def feedback(names: tuple[str, ...] = (), /, course: Path = EXERCISES) -> None:
    """Write pages of feedback for students, after grading by hand.

    A page for every student: points and comments from the gradebook, beside each task. The pages need no network and
    run nothing. They lie in feedback/STUDENT/NAME/NAME.html, as nbgrader has it.

    Args:
        names: Assignments; without a name, all that were graded.
        course: The folder of the course.
    """
    book = open_course(course)
    graded = {folder.name for folder in (book.root / "autograded").glob("*/*")}
    for name in names:
        book.find("source", name)
    asked = names or sorted(graded & set(book.assignments()))
    if not asked:
        raise ValueError(f"nothing has been graded in {book.root}; first: flowlib grade SUBMISSIONS --out grades.csv")
    for name in asked:
        pages = book.feedback(name)
        print(f"{name}: {len(pages)} pages in {book.root / 'feedback'}")


def otter(
    name: str,
    /,
    out: Path = Path("build/otter"),
    course: Path = EXERCISES,
    requirements: tuple[str, ...] = (),
) -> None:
    """Write an assignment for otter-grader and Gradescope.

    It is otter-grader's master notebook, made from the assignment's source; classes on Colab use it as well.

    Args:
        name: The assignment.
        out: The folder that it goes to.
        course: The folder of the course.
        requirements: What the grading image installs; without it, your copy, from the address that links stamped.
    """
    source = open_course(course).find("source", name)
    from nbformat import writes

    from flowlib.authoring.notebooks import read
    from flowlib.classroom.otter import make_master
    from flowlib.files import save_text

    asked = list(requirements) or [find_requirement(course)]
    made = out / f"{name}.ipynb"
    check_target(made, "--out", f"{name}.ipynb", "# ASSIGNMENT CONFIG")
    save_text(writes(make_master(read(source), asked)) + "\n", made)
    print(f"{made}\nthen, with otter-grader: otter assign {made} {out / 'dist'}")


def find_requirement(course: Path) -> str:
    """What pip installs this copy of the course by: its name would not do, for it is to be this very copy.

    Raises: ValueError where the copy's address is not stamped.
    """
    address = read_stamp(root_of(course.resolve())).address
    if not address:
        raise ValueError(
            "the grading image must know where flowlib comes from: stamp the address with flowlib links OWNER/NAME, "
            f"or give --requirements '{DISTRIBUTION}[notebook] @ https://…'"
        )
    return f"{DISTRIBUTION}[notebook] @ {address}"
