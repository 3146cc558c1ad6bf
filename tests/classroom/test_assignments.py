"""Every assignment: the source passes in full, the release fails where the student has to write and nowhere else,
other right answers score full, and wrong ones are caught by the message meant for them.
"""

import importlib.util
import io
import json
import shutil
from contextlib import redirect_stdout
from copy import deepcopy
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

import nbformat
import torch

from flowlib.checks.exercises import Exercise
from flowlib.classroom.cells import is_test
from flowlib.classroom.course import Course
from flowlib.classroom.grader import grade
from flowlib.classroom.room.sandbox import Limits

ROOT = Path(__file__).parents[2]
COURSE = Course(ROOT / "exercises")
LIMITS = Limits(seconds=200, call_seconds=60)
CAUGHT = 0.98


def answers(name: str):
    file = Path(__file__).parent / "answers" / f"a{name}.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_answers(name: str, given: dict[str, str]):
    """The source with other answers in some of its cells."""
    book = nbformat.read(COURSE.notebook("source", name), as_version=4)
    for cell in book.cells:
        cell.source = given.get(cell.id, cell.source)
    assert set(given) <= {cell.id for cell in book.cells}, "an answer names a cell that is not there"
    return book


def graded(book):
    """Graded here, without the sandbox: what these tests run was written by us."""
    return grade(book, LIMITS, isolate=False)


@pytest.mark.parametrize("name", COURSE.assignments())
def test_the_source_passes_in_full(name):
    result = graded(with_answers(name, {}))
    assert result.points == result.most and not result.notes
    failing = [c.id for c in result.notebook.cells if c.cell_type == "code" and errors(c)]
    assert not failing


def errors(cell) -> list:
    return [o for o in cell.outputs if o.output_type == "error"]


@pytest.mark.parametrize("name", COURSE.assignments())
def test_a_blank_scores_nothing_and_fails_where_the_student_writes(name):
    source = nbformat.read(COURSE.notebook("source", name), as_version=4)
    release = nbformat.read(COURSE.notebook("release", name), as_version=4)
    result = graded(deepcopy(release))
    assert sum(result.points.values()) == 0
    answers = {c.id for c in source.cells if c.cell_type == "code" and c.metadata.nbgrader.get("solution")}
    tests = {c.id for c in source.cells if is_test(c)}
    failing = {c.id for c in result.notebook.cells if c.cell_type == "code" and errors(c)}
    assert tests <= failing <= tests | answers  # a stub inside of a function fails when the test calls it


@pytest.mark.parametrize("name", COURSE.assignments())
def test_the_release_is_what_the_source_generates(name, tmp_path):
    shutil.copytree(ROOT / "exercises" / "source" / name, tmp_path / "source" / name)
    made = Course(tmp_path).release(name)
    stored = COURSE.notebook("release", name)
    assert json.loads(made.read_text("utf-8")) == json.loads(stored.read_text("utf-8")), (
        f"exercises/release/{name} is out of date; write it with: flowlib release {name}"
    )
    text = stored.read_text("utf-8")
    for word in ("BEGIN SOLUTION", "HIDDEN TESTS", "Rubric"):
        assert word not in text


@pytest.mark.parametrize("name", COURSE.assignments())
def test_other_right_answers_score_full(name):
    assert len(answers(name).RIGHT) >= 2
    for given in answers(name).RIGHT:
        result = graded(with_answers(name, given))
        assert result.points == result.most, {c.id: errors(c) for c in result.notebook.cells if is_test(c)}


def said_by(book, test: str, seed: int = 0) -> str:
    """What a test says of the answers, run as a student runs it: all in one Python, up to that test; other tests, which
    leave nothing behind, are left out. The seed draws its numbers, so that a second run of this test is the same."""
    names: dict = {"__name__": "notebook"}
    for cell in book.cells:
        if cell.cell_type != "code" or (is_test(cell) and cell.id != test):
            continue
        try:
            exec(compile(cell.source, cell.id, "exec"), names)
        except Exception as error:
            if cell.id == test:
                return str(error)
        if cell.id == test:
            return ""
        if "SEED" in names:
            names["SEED"] = seed
    raise AssertionError(f"there is no cell {test}")


@cache
def heard_by(name: str) -> dict[str, str]:
    """What each wrong answer of an assignment is met with."""
    wrong = answers(name).WRONG
    return {
        title: said_by(with_answers(name, {cell: answer}), test) for title, (cell, answer, test, _) in wrong.items()
    }


@pytest.mark.parametrize("name", COURSE.assignments())
def test_wrong_answers_meet_their_message(name):
    wrong, heard = answers(name).WRONG, heard_by(name)
    assert len(wrong) >= 8
    missed = [(title, heard[title]) for title, (*_, said) in wrong.items() if said not in heard[title]]
    assert len(missed) <= (1 - CAUGHT) * len(wrong), missed


@pytest.mark.parametrize("name", COURSE.assignments())
def test_every_law_meets_an_answer_or_a_wrong_way(name):
    """A wrong way that is known is met before a law, so a law's own sentence may be for others (what every wrong way is
    met with is in tests/checks)."""
    checks = import_module(f"flowlib.checks.assignments.a{name}")
    tasks = {key: task for key, task in vars(checks).items() if isinstance(task, Exercise)}
    known = [(key, task, law) for key, task in tasks.items() for law in task.laws]
    heard = heard_by(name).values()
    silent = [
        (key, law.name)
        for key, task, law in known
        if not any(said.startswith(law.sentence) for said in heard) and not any(is_broken(law, w) for w in task.wrongs)
    ]
    assert known and not silent, f"write an answer to {name} that each of these meets: {silent}"


def is_broken(law, known) -> bool:
    """Whether an answer that is wrong in this way breaks the law; one that cannot be asked for it does not."""
    try:
        with redirect_stdout(io.StringIO()):
            return law.holds(known.wrong, torch.Generator().manual_seed(0)) is not True
    except Exception:
        return False
