"""What lies in a folder of submissions: which notebook is graded, and what is no submission."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom.course import Course
from flowlib.classroom.grading import grade_submission
from flowlib.classroom.room.sandbox import Limits
from flowlib.classroom.submissions import find_strays, find_submissions
from flowlib.cli import main

COURSE = Course(Path(__file__).parents[2] / "exercises")
NAME = "03_another_kernel"


def handed_in(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(COURSE.notebook("release", NAME), folder / file)


def test_of_several_notebooks_one_is_graded_and_the_table_says_which(tmp_path):
    handed_in(tmp_path, f"ada/{NAME}/a_draft.ipynb", f"ada/{NAME}/final.ipynb")
    (one,) = find_submissions(tmp_path, [NAME])
    assert one.notebook.name == "a_draft.ipynb" and one.others == ("final.ipynb",)
    result, _ = grade_submission(COURSE, one, Limits(), isolate=False, seed=0)
    assert "of several notebooks a_draft.ipynb was graded, and not final.ipynb" in result.notes[0]


def test_the_assignments_own_name_wins(tmp_path):
    handed_in(tmp_path, f"ada/{NAME}/a_draft.ipynb", f"ada/{NAME}/{NAME}.ipynb")
    (one,) = find_submissions(tmp_path, [NAME])
    assert one.notebook.name == f"{NAME}.ipynb" and not one.others


def test_a_misspelt_folder_is_found(tmp_path):
    handed_in(tmp_path, f"ada/{NAME}/x.ipynb", "bob/3_another_kernel/x.ipynb", "cyd/.hidden/x.ipynb")
    (tmp_path / "dan" / "notes").mkdir(parents=True)
    assert find_strays(tmp_path, COURSE.assignments()) == [tmp_path / "bob" / "3_another_kernel"]


def test_the_command_refuses_a_folder_for_the_table_before_it_grades(tmp_path, capsys):
    handed_in(tmp_path, f"ada/{NAME}/x.ipynb")
    assert main(["grade", str(tmp_path), "--out", str(tmp_path), "--course", str(COURSE.root)]) == 2
    assert "--out must be a file, such as grades.csv" in capsys.readouterr().err


def test_feedback_knows_the_assignments(capsys):
    assert main(["feedback", "nope", "--course", str(COURSE.root)]) == 2
    assert "unknown assignment 'nope'; known: " in capsys.readouterr().err
