"""What a cell's tags say: nbval compares it, or it answers a question and is folded until the reader has chosen."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from flowlib.authoring.notebooks import CHECKED, is_checked, is_cover, read
from flowlib.authoring.rules import check_answers, check_marked_outputs
from flowlib.authoring.tidy import tidy, tidy_stored
from flowlib.cli import main

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("*.ipynb"))
FOLD = "<details><summary>After you have chosen: the reason</summary>\n\nIt is **two**.\n\n</details>"
QUESTION = 'predict_number(\n    "How many?",\n    answer=2,\n    id="Q4.2",\n)'


def code(source, *tags, output="", **jupyter):
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)} | ({"jupyter": jupyter} if jupyter else {}))
    cell.execution_count = 1 if output else None
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)] if output else []
    return cell


def markdown(source, *tags):
    return nbformat.v4.new_markdown_cell(source, metadata={"tags": list(tags)})


def notebook(*cells):
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "P"}})
    made.cells = list(cells)
    return made


# ------------------------------------------------------------------------------------------------ compared by nbval


def test_the_comment_becomes_a_tag_once():
    made = notebook(code("# NBVAL_CHECK_OUTPUT\nprint(1)", output="1\n"), code("x = 1"))
    assert is_checked(made.cells[0]) and "a comment that a reader sees" in " ".join(check_marked_outputs(made))
    assert tidy_stored(made) and not tidy_stored(made)
    assert (made.cells[0].source, made.cells[0].metadata.tags) == ("print(1)", [CHECKED])
    assert is_checked(made.cells[0]) and not is_checked(made.cells[1]) and not list(check_marked_outputs(made))


def test_the_command_tidies_without_running(tmp_path, capsys):
    path = tmp_path / "04_a.ipynb"
    nbformat.write(notebook(markdown("# 04 · A"), code("# NBVAL_CHECK_OUTPUT\nprint(1)", output="1\n")), path)
    assert main(["notebooks", "--tidy", str(path)]) == 0 and "brought into its form" in capsys.readouterr().out
    assert read(path).cells[1].source == "print(1)" and read(path).cells[1].execution_count == 1
    assert main(["notebooks", "--tidy", str(path)]) == 0 and "as it was" in capsys.readouterr().out
    assert main(["notebooks", "--tidy", "--dry", str(path)]) == 2


@pytest.mark.parametrize(("stored", "passes"), [("1\n", True), ("2\n", False)])
def test_nbval_compares_what_is_tagged(tmp_path, stored, passes):
    """Whether it is folded or not."""
    made = notebook(code("print(1)", CHECKED, output=stored), code("print(1)", CHECKED, "answer:Q4.2", output=stored))
    made.cells[1].execution_count = 2
    tidy(made)
    assert len(made.cells[1].outputs) == 2
    nbformat.write(made, tmp_path / "a.ipynb")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rN",
        "-p",
        "no:cacheprovider",
        "--nbval-lax",
        "--nbval-current-env",
    ]
    ran = subprocess.run([*command, "a.ipynb"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (ran.returncode == 0) == passes and (ran.stdout.count("Cell outputs differ") == 2) != passes, ran.stdout


# ------------------------------------------------------------------------------------------------ answers, folded


def sound():
    """A question, and below it what answers it."""
    shown = code("print(2)", "answer:Q4.2", output="2\n", outputs_hidden=True)
    return notebook(code(QUESTION), shown, markdown(FOLD, "answer:Q4.2"))


def test_a_folded_answer_after_its_question_breaks_no_rule():
    assert list(check_answers(sound())) == []


def test_what_comes_out_of_a_tagged_cell_is_folded_when_it_is_stored():
    made = notebook(code(QUESTION), code("print(2)", "answer:Q4.2"), code("x = 1"))
    tidy(made)
    question, shown, other = (cell.metadata.get("jupyter", {}) for cell in made.cells)
    assert question == {"source_hidden": True} and shown == {"outputs_hidden": True} and other == {}
    made.cells[1].metadata["jupyter"]["source_hidden"] = True
    tidy(made)
    assert made.cells[1].metadata["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
    assert made.cells[1].metadata["tags"] == ["answer:Q4.2"]


def test_the_words_of_a_picture_are_folded_with_it():
    made = notebook(code(QUESTION), code('show(\n    fig, "A flat line")', "answer:Q4.2"), code("show(fig)"))
    tidy(made)
    assert made.cells[1].metadata["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
    assert "jupyter" not in made.cells[2].metadata


def test_an_empty_output_keeps_jupyterlab_from_showing_a_line_of_the_answer():
    made = sound()
    for _ in range(2):
        tidy(made)
        covered, shown = made.cells[1].outputs
        assert is_cover(covered) and shown.text == "2\n"
    nbformat.validate(made)
    made.cells[1].metadata["tags"] = []
    tidy(made)
    assert [output.text for output in made.cells[1].outputs] == ["2\n"]


def reverse(cells):
    cells[:2] = [cells[1], cells[0]]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda cells: cells[1].metadata.update(tags=["answer:Q4.3"]), "answer:Q4.3, which this chapter does not ask"),
        (reverse, "cell 0 answers Q4.2, and stands before it"),
        (lambda cells: cells[1].metadata.update(jupyter={}), "its output is not folded"),
        (lambda cells: cells[1].update(source='show(fig, "A flat line, which tells it all")'), "on its first line"),
        (lambda cells: cells[2].update(source="It is two."), "must stand in <details>"),
        (lambda cells: cells[2].update(source=FOLD.replace("\n\n", "\n")), "must stand in <details>"),
        (lambda cells: cells[2].update(source=FOLD.replace("details>", "details open>", 1)), "must stand in <details>"),
        (lambda cells: cells[2].update(source=FOLD.replace("It is", "## It is")), "a heading inside of <details>"),
    ],
)
def test_each_rule_finds_what_shows_an_answer_too_early(spoil, said):
    made = sound()
    spoil(made.cells)
    assert any(said in sentence for sentence in check_answers(made)), list(check_answers(made))


def test_chapters_fold_what_answers_their_questions():
    for path in CHAPTERS:
        assert list(check_answers(read(path))) == [], path.name
