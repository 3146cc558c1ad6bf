"""Every limit of the rules for chapters, on both of its sides."""

import pytest
from nbformat import from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from flowlib.authoring import rules
from flowlib.authoring.course import Stamp


def say(rule, *cells, **metadata) -> list[str]:
    """What a rule says of a notebook of these cells."""
    named = [from_dict({**cell, "id": f"cell-{i}"}) for i, cell in enumerate(cells)]
    return list(rule(new_notebook(cells=named, metadata=metadata)))


def code(lines: int) -> str:
    return "x = 1\n\n" * lines  # empty lines do not count


@pytest.mark.parametrize(("cells", "good"), [(29, False), (30, True), (60, True), (61, False)])
def test_cells_of_a_chapter(cells, good):
    setup = new_code_cell(Stamp().setup())  # it does not count
    made = [new_markdown_cell("text") if i % 3 else new_code_cell("x") for i in range(cells)]
    said = say(rules.check_proportions, setup, *made)
    assert said == ([] if good else [f"a chapter has 30 to 60 cells, this one {cells}"])


@pytest.mark.parametrize(("prose", "good"), [(11, False), (12, True), (35, True), (36, False)])
def test_cells_of_prose_to_ten_of_code(prose, good):
    question = new_code_cell("predict(\n)")
    made = [*[new_markdown_cell("text")] * prose, *[new_code_cell("x")] * 10, *[question] * 12]
    said = [sentence for sentence in say(rules.check_proportions, *made) if "cells of prose" in sentence]
    assert said == (
        [] if good else [f"about two cells of prose to one of code: between (1.2, 3.5), here {prose / 10:.2f}"]
    )


@pytest.mark.parametrize(("lines", "good"), [(15, True), (16, False)])
def test_lines_of_code(lines, good):
    said = say(rules.check_code, new_code_cell(code(lines)))
    assert said == ([] if good else [f"cell 0 has {lines} lines of code: at most 15, one class 25"])


@pytest.mark.parametrize(("lines", "good"), [(16, True), (25, True), (26, False)])
def test_lines_of_the_one_class(lines, good):
    long = new_code_cell("class A:\n" + "    x = 1\n" * (lines - 1))
    assert bool(say(rules.check_code, long)) is not good
    short = new_code_cell("class B:\n" + "    x = 1\n" * 14)  # 15 lines: any cell may have them
    assert bool(say(rules.check_code, short, long, short)) is not good
    assert say(rules.check_code, long, long)  # a second long one never


@pytest.mark.parametrize(("width", "good"), [(110, True), (111, False)])
def test_width_of_a_line(width, good):
    said = say(rules.check_code, new_code_cell("a\n" + "x" * width + "\nb"))
    assert said == ([] if good else [f"cell 0 has a line of {width} characters, at most 110 fit the page"])


@pytest.mark.parametrize(
    ("seconds", "peak", "said"),
    [
        (60, 1200, []),
        (61, 1200, ["it must run in 60 s, it took 61"]),
        (60, 1201, ["it must need at most 1200 MB, it took 1201"]),
    ],
)
def test_time_and_memory(seconds, peak, said):
    assert say(rules.check_budget, flowlib={"measured": {"seconds": seconds, "peak_mb": peak}}) == said


@pytest.mark.parametrize(("size", "good"), [(1_500_000, True), (1_500_001, False)])
def test_size_of_the_file(tmp_path, size, good):
    (tmp_path / "x.ipynb").write_bytes(b" " * size)
    said = rules.find_violations(new_notebook(), tmp_path / "x.ipynb")
    assert any("the file must have at most 1.5 MB" in sentence for sentence in said) is not good


def test_time_of_all_chapters():
    assert rules.ALL_SECONDS == 300


@pytest.mark.parametrize(("letters", "good"), [(40, True), (39, False)])
def test_words_for_a_picture(letters, good):
    alt = "a" * letters
    shown = new_output("display_data", {"image/png": ""}, metadata={"image/png": {"alt": alt}})
    assert bool(say(rules.check_pictures, new_code_cell("x", outputs=[shown]))) is not good
    assert bool(say(rules.check_pictures, new_markdown_cell(f"![{alt}](a.png)"))) is not good


@pytest.mark.parametrize(("questions", "good"), [(5, True), (4, False)])
def test_questions_of_a_chapter(questions, good):
    asked = [new_code_cell(f"predict(\n    id='Q4.{n}',\n)") for n in range(questions)]
    asked[-1].source += "\nprogress()"
    said = say(rules.check_questions, new_markdown_cell("# 04 · Title"), *asked)
    assert said == ([] if good else [f"a chapter asks at least 5 questions, this one {questions}"])


@pytest.mark.parametrize(("objectives", "good"), [(2, True), (1, False)])
def test_objectives_of_a_chapter(objectives, good):
    head = "# 04\n\nObjectives\n\n" + "".join(f"- see (Q4.{n})\n" for n in range(objectives))
    asked = [new_code_cell(f"predict(\n    id='Q4.{n}',\n)") for n in range(objectives)]
    assert bool(say(rules.check_objectives, new_markdown_cell(head), *asked)) is not good


@pytest.mark.parametrize(("before", "good"), [(2, True), (3, False)])
def test_the_opening_is_three_cells_of_prose(before, good):
    opening = "Objectives, prerequisites, **Reading time:** about 50 minutes. "
    opening += "<!-- measured -->Runs in 1 s, x<!-- /measured -->"
    said = say(rules.check_header, *[new_markdown_cell("# T")] * before, new_markdown_cell(opening))
    assert bool(said) is not good


@pytest.mark.parametrize(("after", "good"), [(9, True), (10, False)])
def test_the_ending_is_ten_cells(after, good):
    closing = new_markdown_cell("## Summary\n\n## Exercises\n\n## References")
    assert bool(say(rules.check_ending, closing, *[new_code_cell("x")] * after)) is not good
