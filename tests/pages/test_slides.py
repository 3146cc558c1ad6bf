"""A chapter's deck: its figures, claims and questions, each question before its answer, and nothing from elsewhere."""

import re
from pathlib import Path

import pytest

pytest.importorskip("math_core", reason="needs math-core: pip install -e '.[pages]'")

from flowlib.authoring.notebooks import CLAIM, STATEMENT, is_question, read
from flowlib.cli import main
from flowlib.pages.slides import make_deck

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("[0-9][0-9]_*.ipynb"))
SECTION = re.compile(r'<section class="(\w+)">(.*?)</section>', re.DOTALL)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem[:2])
def test_a_deck_has_what_the_chapter_shows(chapter):
    html, count = make_deck(chapter)
    slides = SECTION.findall(html)
    assert len(slides) == count and slides[0][0] == "opening"
    book = read(chapter)
    stated = {name for cell in book.cells for name in STATEMENT.findall(cell.source)}
    shown = {f"C{a}.{b}" for kind, text in slides if kind == "claim" for a, b in CLAIM.findall(text)}
    assert stated <= shown
    kinds = [kind for kind, _ in slides]
    asked = sum(map(is_question, book.cells))
    assert kinds.count("vote") == kinds.count("answer") == asked >= 5
    assert all(kinds[i + 1] == "answer" for i, kind in enumerate(kinds) if kind == "vote")
    assert kinds.count("figure") >= 5
    assert not re.search(r"<script|<link|@import|(src|srcset)=(?![\"']?data:)|url\((?![\"']?data:)", html)


def test_the_answer_is_not_on_the_slide_that_asks():
    html, _ = make_deck(CHAPTERS[4])
    kind, text = next(one for one in SECTION.findall(html) if one[0] == "vote")
    assert "Show the answer" not in text and "<details" not in html and "in post-norm only" in text


def test_the_command_writes_one_file_for_each(tmp_path, capsys):
    assert main(["slides", str(CHAPTERS[4]), "--out", str(tmp_path)]) == 0
    assert [file.name for file in tmp_path.iterdir()] == [f"{CHAPTERS[4].stem}.html"]
    assert re.search(r"04_.*html: \d+ slides", capsys.readouterr().out)
    assert main(["slides", str(tmp_path / "none.ipynb"), "--out", str(tmp_path)]) == 2
