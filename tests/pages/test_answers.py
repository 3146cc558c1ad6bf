"""A reader of the book or of a page meets a question first; its answer lies in a closed <details>, without scripts."""

import re
from html import unescape

import nbformat
import pytest

from flowlib.authoring.course import Stamp
from flowlib.authoring.tidy import tidy
from flowlib.pages.book import build
from flowlib.pages.page import PageExporter

QUESTION = 'predict_number(\n    "How many?",\n    answer=2,\n    id="Q1.1",\n)'
ASKED = "**Predict.** How many?\n\n<details><summary>Show the answer</summary>\n\n**told_in_fold**\n\n</details>"
LINE = f"**Open:** <!-- links -->{Stamp().line('chapters/01_a.ipynb')}<!-- /links -->"
PROSE = "<details><summary>After you have chosen: the reason</summary>\n\nIt is *told_in_prose*.\n\n</details>"


def make_chapter():
    """A question and five cells after it: an output, an output with its source, text, and two that answer nothing."""

    def code(source, shown, *tags, **jupyter):
        metadata = {"tags": list(tags)} | ({"jupyter": jupyter} if jupyter else {})
        return nbformat.v4.new_code_cell(
            source, metadata=metadata, outputs=[nbformat.v4.new_output("stream", name="stdout", text=shown)]
        )

    question = nbformat.v4.new_code_cell(QUESTION)
    question.outputs = [nbformat.v4.new_output("display_data", {"text/markdown": ASKED})]
    cells = [
        nbformat.v4.new_markdown_cell(f"# 01 · A\n\n{LINE}\n\nwords"),
        question,
        code("seen_source = 1", "told_by_output", "answer:Q1.1"),
        code("told_by_source = 1", "told_by_both", "answer:Q1.1", source_hidden=True),
        code("told_without_output = 1", "", "answer:Q1.1", source_hidden=True),
        nbformat.v4.new_markdown_cell(PROSE, metadata={"tags": ["answer:Q1.1"]}),
        code("plain = 1", "plain_output"),
        code("hidden_source = 1", "figure_output", source_hidden=True),
    ]
    cells[4].outputs = []
    made = nbformat.v4.new_notebook(cells=cells)
    tidy(made)
    return made


def split_folds(html: str) -> tuple[str, list[str]]:
    """What is seen, and what lies in closed folds: of each its summary and all else."""
    folds = re.findall(r"<details(?![^>]* open)[^>]*>.*?</details>", html, re.DOTALL)
    seen = re.sub(r"<details(?![^>]* open)[^>]*>.*?</details>", "", html, flags=re.DOTALL)
    summaries = " ".join(found for fold in folds for found in re.findall(r"<summary.*?</summary>", fold, re.DOTALL))
    return unescape(re.sub(r"<[^>]+>", "", seen + summaries)), folds


def check(html: str, folds: int) -> None:
    article = re.search(r"<(article|main)\b.*</\1>", html, re.DOTALL)[0]
    seen, found = split_folds(article)
    assert "Open:" in seen and "course map" in seen and "Shift+Enter" not in article  # nothing runs here
    assert "told" not in seen.replace("told_without", "") and "told_without" not in seen
    assert len(found) == folds and "hidden_source" not in article
    assert all(word in seen for word in ("seen_source", "plain", "plain_output", "figure_output"))
    assert all(word in article for word in ("told_by_output", "told_by_both", "told_by_source", "told_in_prose"))
    assert seen.count("After Q1.1: show what comes out") == folds - 2


def test_a_page_folds_what_answers():
    html, _ = PageExporter().from_notebook_node(make_chapter())
    check(html, folds=5)
    assert "<script" not in html


def test_the_book_folds_what_answers(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "README.md").write_text("# T\n\nwords\n\n## Chapters\n\nwords\n", "utf-8")
    nbformat.write(make_chapter(), tmp_path / "chapters" / "01_a.ipynb")
    build(tmp_path, tmp_path / "book")
    html = (tmp_path / "book/chapters/01_a.html").read_text("utf-8")
    check(html, folds=5)
    assert "aria-label" not in "".join(re.findall("<summary[^>]*>", html))  # it would be read in the place of the words


@pytest.mark.parametrize("kept", ["outputs_hidden", "source_hidden"])
def test_what_is_folded_in_jupyterlab_is_kept_when_the_notebook_is_stored_again(kept):
    made = make_chapter()
    tidy(made)
    assert made.cells[3].metadata["jupyter"][kept]
