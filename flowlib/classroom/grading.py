"""A grading run: every submission repaired and graded, each in a process of its own, then handed to nbgrader."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flowlib.classroom.apart import Ended, run_apart
from flowlib.classroom.cells import REFUSED, is_test, worth
from flowlib.classroom.course import Course, hush_log
from flowlib.classroom.earlier import read_earlier
from flowlib.classroom.grader import grade
from flowlib.classroom.handing import hand_over_all
from flowlib.classroom.journal import Journal
from flowlib.classroom.repair import Unreadable, read, repair
from flowlib.classroom.results import Outcome, Result
from flowlib.classroom.room.clock import SLOWEST
from flowlib.classroom.room.sandbox import Limits, require
from flowlib.classroom.safe import make_safe, presentable
from flowlib.classroom.submissions import Submission, find_submissions
from flowlib.classroom.tables import plain
from flowlib.classroom.unread import tell_beside, tell_unopened
from flowlib.cores import count_cores

OVERHEAD = 300.0  # seconds for Python to start anew, for reading and repair, on a busy machine
Settings = tuple[Limits, bool | str, int, bool]  # limits, isolate, seed, whether each student has one of their own
GRADER_MEGABYTES = 3000  # what the grader may take for one submission, beside the student's program


def grade_all(
    course: Course,
    folder: Path,
    *,
    names: list[str] | None = None,
    limits: Limits | None = None,
    isolate: bool | str = True,
    seed: int = 0,
    own_seeds: bool = False,
    workers: int | None = None,
    feedback: bool = True,
    progress: Callable[[], object] = lambda: None,
) -> list[Result]:
    """Grade every submission in `folder`, a worker for each core; then hand all to nbgrader, one by one.

    Raises: NoSandbox, FileNotFoundError, ValueError (an assignment that is not released, a folder of the course's own).
    """
    course.check_apart(folder)
    require(isolate)
    names = names or course.assignments()
    for name in names:
        if not course.notebook("release", name).is_file():
            raise ValueError(f"{name} has not been released; make it with: flowlib release {name}")
    waiting = find_submissions(folder, names)
    with hush_log():
        for name in sorted({one.assignment for one in waiting}):  # first, for it may fail, and grading takes long
            course.register(name)
    settings = limits or Limits(), isolate, seed, own_seeds
    journal = Journal(course, settings)
    outcomes = grade_side_by_side(course, waiting, settings, workers or count_cores(), progress, journal)
    hand_over_all(course, outcomes, feedback=feedback)
    journal.close()
    return [outcomes[one][0] for one in waiting]


def grade_side_by_side(
    course: Course,
    waiting: list[Submission],
    settings: Settings,
    workers: int,
    progress: Callable[[], object],
    journal: Journal,
) -> dict[Submission, Outcome]:
    """The outcome of each submission, so many at a time; what the journal has is not graded again."""

    def work(one: Submission) -> Outcome:
        try:
            outcome = journal.read(one) or grade_apart(course, one, settings)
            journal.write(one, outcome)
            return outcome
        finally:
            progress()

    pool = ThreadPoolExecutor(workers)  # they only wait: the work is done in processes
    try:
        return dict(zip(waiting, pool.map(work, waiting), strict=True))
    finally:
        pool.shutdown(cancel_futures=True)


def grade_apart(course: Course, one: Submission, settings: Settings) -> Outcome:
    """Grade a submission in a process of its own. What goes wrong there costs the others nothing, and is noted."""
    limits = settings[0]
    try:
        return run_apart(
            grade_submission,
            (course, one, *settings),
            seconds=SLOWEST * limits.seconds + OVERHEAD,
            cpu_seconds=2 * limits.seconds + OVERHEAD,
            megabytes=limits.megabytes + GRADER_MEGABYTES,
        )
    except (Ended, OSError) as error:  # no process, no pipe: the machine has run out of something
        return Result(one.student, one.assignment, notes=[f"NOT GRADED: {error}; look at the file by hand"]), ""


def grade_submission(
    course: Course, one: Submission, limits: Limits, isolate: bool | str, seed: int, own_seeds: bool = False
) -> Outcome:
    """Repair and grade one submission. It writes nothing."""
    import nbformat

    source = nbformat.read(course.notebook("source", one.assignment), as_version=4)
    release = nbformat.read(course.notebook("release", one.assignment), as_version=4)
    book, notes, refused = repair_submission(one, source, release, read_earlier(course, one.assignment))
    graded = grade(book, limits, one.files, isolate=isolate, seed=make_seed(seed, one.student) if own_seeds else seed)
    make_safe(graded.notebook, source.cells)
    graded.notebook.metadata[REFUSED] = [plain(presentable(sentence)) for sentence in refused]
    by_hand = sum(worth(cell) for cell in source.cells if not is_test(cell))
    result = Result(one.student, one.assignment, graded.points, graded.most, by_hand, notes + graded.notes)
    return result, nbformat.writes(graded.notebook)


def make_seed(seed: int, student: str) -> int:
    """A seed of the student's own: the same for the same two, and no other's."""
    return int.from_bytes(hashlib.sha256(f"{seed} {student}".encode("utf-8", "replace")).digest()[:4], "big") >> 1


def repair_submission(one: Submission, source, release, earlier=()):
    """The notebook to grade, a blank one where there is none that can be read; a sentence on all that was odd.

    And a sentence for the student on each file that was not looked at.
    """
    refused = tell_unopened(one)
    notes = [*refused, *tell_beside(one)]
    if one.others:
        several = (
            f"of several notebooks {one.notebook.name} was graded, and not {', '.join(one.others)}: "
            f"none is named {one.assignment}.ipynb"
        )
        notes, refused = [several, *notes], [*refused, several]
    try:
        if one.notebook is None:
            raise Unreadable("there is no notebook in the folder")
        book, mended = repair(read(one.notebook), source, release, earlier)
    except Unreadable as error:
        book, mended = repair(release, source, release)[0], [f"graded as blank: {error}"]
        refused.append(f"{one.notebook.name if one.notebook else one.assignment}: {error}")
    return book, notes + mended, refused
