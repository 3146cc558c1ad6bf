"""What every check has: fresh numbers that a seed repeats, three hints, a solution after an attempt."""

from importlib import import_module
from pathlib import Path

import pytest
import torch

from flowlib.checks.compare import CheckFailed
from flowlib.checks.exercises import DRAWS, Exercise, draw, solution

ROOT = Path(__file__).parents[2]
MODULES = [
    import_module(f"flowlib.checks.assignments.{file.stem}")
    for file in sorted((ROOT / "flowlib/checks/assignments").glob("a[0-9]*.py"))
]
TASKS = [task for module in MODULES for task in vars(module).values() if isinstance(task, Exercise)]


def exercise(**more) -> Exercise:
    return Exercise("3.2", inputs=lambda generator: (draw(generator, 2),), hints=("one", "two", "three"), **more)


def test_a_seed_repeats_the_numbers_and_a_failure_names_it():
    seen = []
    task = exercise()

    @task.wrong
    def doubled(x):
        """Twice
        too much."""
        return 2 * x

    for seed in (5, 5, None):
        with pytest.raises(CheckFailed, match=r"Twice too much\. \(seed \d+\)"):
            task.check(lambda x: seen.append(x) or 2 * x, seed)
    assert torch.equal(seen[0], seen[DRAWS]) and not torch.equal(seen[0], seen[2 * DRAWS])


def test_an_answer_that_writes_into_its_argument_is_told_so():
    task, given = exercise(), []

    @task.wrong
    def zero(x):
        """Nothing is zero."""
        given.append(x.clone())
        return torch.zeros(2)

    with pytest.raises(CheckFailed, match=r"changes its argument x in place.*x = x \+ …"):
        task.check(lambda x: x.add_(1), seed=0)
    task.check(lambda x: x + 1, seed=0)
    assert torch.equal(given[0], task.inputs(torch.Generator().manual_seed(0))[0])


def test_an_error_in_the_answer_is_told_in_words_with_its_line():
    def answer(x):
        return x + torch.zeros(len(x) + 1)

    task = exercise()
    task.law(law_of_the_shape)
    with pytest.raises(
        CheckFailed, match=r"your code stops in line \d+ of its cell, `return x \+ torch.*print their shapes"
    ):
        task.check(answer, seed=0)


def law_of_the_shape(answer, generator):
    """The shape must stay."""
    return answer(torch.zeros(2)).shape == (2,)


def test_a_right_answer_that_a_wrong_way_agrees_with_by_chance_passes():
    """The first of two is the largest in half of all draws: in two of them in a row now and then."""
    task = exercise()

    @task.wrong
    def first(x):
        """You took the first, not the largest."""
        return x[0]

    for seed in range(40):
        task.check(lambda x: x.max(), seed)
        with pytest.raises(CheckFailed, match="not the largest"):
            task.check(lambda x: x[0], seed)


def test_something_else_than_a_function_is_refused():
    with pytest.raises(CheckFailed, match="a function must come here, got float"):
        exercise().check(3.0)


def test_hints_come_one_after_the_other(capsys):
    task = exercise()
    for _ in range(4):
        task.hint()
    task.hint(2)
    said = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()]
    assert said == ["one", "two", "three", "three", "two"]


def test_the_solution_is_shown_after_an_attempt(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(ROOT / "exercises" / "release")
    task = exercise(cell="near-attend")
    with pytest.raises(CheckFailed, match="first an attempt"):
        task.reveal()

    @task.law
    def positive(answer, generator):
        """Anything above 0."""
        return answer(1.0) > 0

    with pytest.raises(NotImplementedError):
        task.check(not_written, seed=0)
    with pytest.raises(CheckFailed, match="first an attempt"):
        task.reveal()  # what is not written yet is no attempt
    task.check(lambda x: x, seed=0)
    task.reveal()
    said = capsys.readouterr().out
    assert "The weights are the measure" in said and "BEGIN SOLUTION" not in said
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="your teacher keeps"):
        task.reveal()


def not_written(x):
    raise NotImplementedError


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_has_hints_and_a_solution_to_reveal(task, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert len(set(task.hints)) == 3 and all(len(hint) > 20 for hint in task.hints)
    assert "#" in solution(task.name, task.cell), "a solution begins with why it is one, as a comment"


def test_a_name_is_taken_once():
    task = exercise()
    task.wrong_numbers(not_halved=(1.0, "Halve it."))
    with pytest.raises(ValueError, match="3.2 has 'not halved' already"):

        @task.wrong
        def not_halved(x):
            """Halve it."""

    with pytest.raises(ValueError, match="3.2 has 'not halved' already"):
        task.law(not_halved_law())
    assert len(task.wrongs) == 1 and not task.laws


def not_halved_law():
    def not_halved(answer, generator):
        """It must be half."""

    return not_halved


def test_a_wrong_way_or_a_law_without_a_sentence_is_refused():
    task = exercise()
    for register in (task.wrong, task.law):
        with pytest.raises(ValueError, match="not_written needs a docstring"):
            register(not_written)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_every_wrong_way_and_law_is_a_function_of_its_own_name(module):
    for task in (each for each in vars(module).values() if isinstance(each, Exercise)):
        given = [*(known.wrong for known in task.wrongs), *(law.holds for law in task.laws)]
        for function in (one for one in given if "<" not in one.__qualname__):  # the others are rows of a table
            assert vars(module).get(function.__name__) is function, f"{module.__name__}: {function.__qualname__}"


def test_a_right_answer_in_single_precision_is_told_so():
    from flowlib.checks.assignments import a03_another_kernel as a03

    def near_attend(q, k, v, weights, scale=1.0):
        kernel = weights / (1 + (torch.cdist(q, k) / scale) ** 2)
        collected = torch.zeros(*q.shape[:-1], v.shape[-1])  # float32, as torch makes it
        collected[:] = kernel @ v / kernel.sum(-1, keepdim=True)
        return collected

    with pytest.raises(CheckFailed, match="single precision, seven digits"):
        a03.attend.check(near_attend, seed=0)
