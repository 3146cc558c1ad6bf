"""One course as a lecturer has it: a due date, a late student, points by hand, a second run, the platform's table."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom.course import Course
from flowlib.classroom.handing import hand_over
from flowlib.classroom.results import Result
from flowlib.classroom.submissions import Submission
from flowlib.cli import main

EXERCISES = Path(__file__).parents[2] / "exercises"
NAME = "01_a_step_that_remembers"
LATE = """
from nbgrader.plugins import BasePlugin


class TwoPointsADay(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return min(score, 2 * -(-total_seconds_late // 86400))


c = get_config()
c.AssignLatePenalties.plugin_class = TwoPointsADay
"""
MOODLE = "Identifier,Full name,Grade\r\nParticipant 7,Ada,\r\nParticipant 8,Bob,\r\n"


def make_course(root: Path) -> Course:
    for kind in ("source", "release"):
        shutil.copytree(EXERCISES / kind / NAME, root / kind / NAME)
    (root / "nbgrader_config.py").write_text(LATE)
    return Course(root)


def hand_in(course: Course, text: str) -> Result:
    place = course.root / "submitted" / "Ada_7" / NAME
    place.mkdir(parents=True, exist_ok=True)
    (place / "x.ipynb").write_text(text, "utf-8")
    (place / "timestamp.txt").write_text("2100-01-02 13:00:00 UTC")  # after the file, as nbgrader's own is
    result = Result("Ada_7", NAME)
    hand_over(course, Submission("Ada_7", NAME, place, place / "x.ipynb"), result, text, feedback=False)
    return result


def look(course: Course, work):
    with course.api().gradebook as book:
        done = work(book, book.find_submission(NAME, "Ada_7"))
        book.db.commit()
    return done


def mark(book, submission) -> None:
    for grade in submission.notebooks[0].grades:
        if grade.name in ("derive", "explain"):
            grade.manual_score, grade.needs_manual_grade = 3.0, False


def read(book, submission):
    waits = sorted(one.name for one in submission.notebooks[0].grades if one.needs_manual_grade)
    return submission.score, submission.late_submission_penalty, waits, book.find_assignment(NAME).duedate


def test_a_course_from_the_due_date_to_the_platforms_table(tmp_path, capsys):
    course = make_course(tmp_path)
    course.register(NAME)
    with course.api().gradebook as book:
        book.add_student("Ada_7", first_name="Ada", last_name="Lovelace")
        book.update_or_create_assignment(NAME, duedate=datetime(2100, 1, 1, 12, tzinfo=UTC))
    text = course.notebook("source", NAME).read_text("utf-8")
    assert hand_in(course, text).notes == ["handed in 25.0 h late: 4 points less in the gradebook"]
    look(course, mark)
    hand_in(course, text)
    score, penalty, waits, due = look(course, read)
    assert (score, penalty, waits) == (18.0, 4.0, []) and due.year == 2100
    (tmp_path / "moodle.csv").write_text(MOODLE, newline="")
    asked = ["points", str(tmp_path / "moodle.csv"), "--assignment", NAME, "--course", str(course.root)]
    assert main([*asked, "--out", str(tmp_path / "filled.csv")]) == 0
    assert (tmp_path / "filled.csv").read_bytes() == MOODLE.replace("Ada,\r", "Ada,14\r").encode()
    asked_too = ["moderate", NAME, "--course", str(course.root), "--out", str(tmp_path / "sample.csv")]
    assert main(asked_too) == 0
    assert (tmp_path / "sample.csv").read_text("utf-8").splitlines()[1:] == ["Ada_7,Ada Lovelace,14"]
    hand_in(course, text.replace("The step is $u_{n+1}=", "One step: $u_{n+1}="))
    assert look(course, read)[2] == ["derive"]
    assert main([*asked, "--out", str(tmp_path / "again.csv")]) == 0
    assert "left out, to be graded by hand first (or --unfinished): Ada_7 (Ada Lovelace)" in capsys.readouterr().out
