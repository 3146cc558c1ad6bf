"""Answers that go wrong as students go wrong: nearly each must be told what is wrong with it."""

import contextlib
import importlib.util
import io
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import torch

from flowlib.checks.compare import CheckFailed
from flowlib.checks.exercises import Exercise

spec = importlib.util.spec_from_file_location("table", Path(__file__).parent / "wrong" / "table.py")
table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)

ASSIGNMENTS = sorted(path.name[:2] for path in table.SOURCE.iterdir() if path.is_dir())
NAMED = 0.85  # the share of wrong answers whose message names what is wrong
BESIDE = 0.03  # the share of those that only the grader may find
FEWEST = 60


@cache
def heard(number: str) -> list:
    """Each wrong answer of an assignment, and what is said of it."""
    torch.manual_seed(0)
    sheet = table.Sheet(number)
    return [(answer, sheet.ask(answer)) for answer in table.answers(number, sheet)]


@pytest.mark.parametrize("number", ASSIGNMENTS)
def test_messages_name_what_is_wrong(number):
    all_of_them = heard(number)
    missed = [
        (answer.cell, answer.misconception, said.message) for answer, said in all_of_them if not said.names(answer)
    ]
    assert len(all_of_them) >= FEWEST
    assert len(missed) <= (1 - NAMED) * len(all_of_them), missed


@pytest.mark.parametrize("number", ASSIGNMENTS)
def test_no_error_of_python_reaches_the_student(number):
    raw = [
        (answer.misconception, said.message) for answer, said in heard(number) if said.kind not in ("", "CheckFailed")
    ]
    assert not raw


@pytest.mark.parametrize("number", ASSIGNMENTS)
def test_what_the_grader_finds_the_student_has_seen(number):
    beside = [(answer.misconception, said.message) for answer, said in heard(number) if said.hidden or not said.message]
    assert len(beside) <= BESIDE * len(heard(number)), beside


@pytest.mark.parametrize("number", ASSIGNMENTS)
def test_nothing_is_ticked_off_above_a_failure(number):
    told = [(answer, said) for answer, said in heard(number) if said.message and not said.hidden]
    assert not [answer.misconception for answer, said in told if "✓" in said.above]


@pytest.mark.parametrize("number", ASSIGNMENTS)
def test_right_answers_pass_whatever_is_drawn(number):
    sheet = table.Sheet(number)
    for sheet.names["SEED"] in range(3):
        for cell, solution in sheet.solutions.items():
            said = sheet.ask(table.Answer(cell, solution, "nothing", "nothing"))
            assert not said.message, (cell, said)


def tasks(number: str) -> dict[str, Exercise]:
    (path,) = (p for p in table.SOURCE.iterdir() if p.name.startswith(number))
    module = import_module(f"flowlib.checks.assignments.a{path.name}")
    return {name: task for name, task in vars(module).items() if isinstance(task, Exercise)}


@pytest.mark.parametrize("number", ASSIGNMENTS)
def test_every_wrong_way_is_met_with_its_own_sentence(number):
    """None is hidden behind another that says something else of the same numbers, and none is taken for right."""
    silent = [
        (name, known.name)
        for name, task in tasks(number).items()
        for known in task.wrongs
        if not any(own_sentence(task, known, seed) for seed in range(6))
    ]
    assert not silent


def own_sentence(task: Exercise, known, seed: int) -> bool:
    """Whether the wrong way, given as an answer, is met with its sentence."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            task.examine(known.wrong, seed)
    except CheckFailed as failure:
        return str(failure).startswith(known.sentence)
    return False
