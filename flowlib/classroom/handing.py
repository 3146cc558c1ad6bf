"""What was graded, handed to nbgrader: the gradebook, the notebook with the files beside it, the student's page."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flowlib.classroom.course import GRADED, Course, find_reason, hush_log
from flowlib.classroom.marks import keep_marks, read_marks
from flowlib.classroom.results import Outcome, Result
from flowlib.classroom.submissions import Submission
from flowlib.classroom.unread import STAMP
from flowlib.files import save_text

LATER = timedelta(minutes=2)  # so much later than its stamp a file may have been written
SHOWN = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".py", ".txt", ".csv", ".json")  # no page that runs a script
MOST_FILES, MOST_BYTES = 100, 50 << 20  # of what lies beside a notebook


def hand_over_all(course: Course, outcomes: dict[Submission, Outcome], *, feedback: bool) -> None:
    """Give what was graded to nbgrader; what goes wrong there is noted in the results."""
    with hush_log():
        for one, (result, text) in outcomes.items():
            if text:
                try:
                    hand_over(course, one, result, text, feedback=feedback)
                except (Exception, SystemExit) as error:  # one student's files; the others' grades are not lost by it
                    result.notes.append(f"NOT IN THE GRADEBOOK: {error}")


def hand_over(course: Course, one: Submission, result: Result, text: str, *, feedback: bool) -> None:
    """Give a graded notebook to nbgrader: gradebook, autograded copy, feedback page."""
    place = course.root / GRADED / one.student / one.assignment
    if place.resolve() != course.root.resolve() / GRADED / one.student / one.assignment:
        raise ValueError(f"a link leads from {place} to {place.resolve()}; take it away, and grade again")
    shutil.rmtree(place, ignore_errors=True)
    save_text(text, place / f"{one.assignment}.ipynb")
    result.notes += copy_beside(one.files, place) + put_stamp(one, place)
    before = read_marks(course, one.student, one.assignment)
    done = course.api().autograde(one.assignment, one.student, force=True, create=True)
    if not done["success"]:
        result.notes.append(f"nbgrader: {find_reason(done)}")
        return
    keep_marks(course, one.student, one.assignment, before)
    result.notes += note_penalty(course, one)
    if feedback:
        try:
            course.feedback(one.assignment, one.student)
        except ValueError as error:
            result.notes.append(str(error))


def copy_beside(files: Path | None, place: Path) -> list[str]:
    """Copy what lies beside a notebook, pictures say, to where a person grades; a sentence if that is too much."""
    found = sorted(files.rglob("*")) if files else []
    found = [one for one in found if one.suffix.lower() in SHOWN and one.name != STAMP and is_plain(one, files)]
    if len(found) > MOST_FILES or sum(one.stat().st_size for one in found) > MOST_BYTES:
        return [f"what lies beside the notebook is more than {MOST_FILES} files or {MOST_BYTES >> 20} MB: not shown"]
    for one in found:
        made = place / one.relative_to(files)
        made.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one, made)
    return []


def is_plain(file: Path, top: Path) -> bool:
    """A file that lies there itself: no link is on the way to it, nor anything hidden."""
    way = [file, *(folder for folder in file.parents if folder.is_relative_to(top) and folder != top)]
    return file.is_file() and not any(one.is_symlink() or one.name.startswith((".", "__")) for one in way)


def put_stamp(one: Submission, place: Path) -> list[str]:
    """When it was handed in, for nbgrader's due dates; a sentence where what the stamp says is not believed.

    A student may write the stamp. So it counts unless the notebook itself was written later.
    """
    stamp = one.folder / STAMP
    if one.files is None or stamp.is_symlink() or not stamp.is_file():
        return []
    said, written = read_stamp(stamp), None
    if one.notebook is not None:
        written = datetime.fromtimestamp(one.notebook.stat().st_mtime, UTC)
    if said is None:
        return [f"{STAMP} says no time that can be read: taken as handed in in time"]
    late = written is not None and written > said + LATER
    save_text(f"{written if late else said:%Y-%m-%d %H:%M:%S.%f %Z}", place / STAMP)
    if not late:
        return []
    return [
        f"{STAMP} says {said:%Y-%m-%d %H:%M %Z}, but the notebook was written {written:%Y-%m-%d %H:%M %Z}, and that "
        "counts (if it was only copied then, copy with its times: cp -p)"
    ]


def read_stamp(stamp: Path) -> datetime | None:
    """The time in a file of nbgrader's, None where there is none that can be read."""
    from nbgrader.utils import parse_utc

    try:
        return parse_utc(stamp.read_text("utf-8")[:100].strip()).replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def note_penalty(course: Course, one: Submission) -> list[str]:
    """A sentence where nbgrader took points for being late."""
    with course.api().gradebook as book:
        found = book.find_submission(one.assignment, one.student)
        hours, lost = found.total_seconds_late / 3600, found.late_submission_penalty or 0.0
    return [f"handed in {hours:.1f} h late: {lost:g} points less in the gradebook"] if hours > 0 else []
