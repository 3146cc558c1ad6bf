"""What is in the book, as Sphinx reads it; and a small course made into one."""

import re
import sys
from base64 import b64decode
from html import unescape
from pathlib import Path

import nbformat
import pytest

from flowlib.authoring.notebooks import read
from flowlib.authoring.tidy import WIDGET
from flowlib.pages.book import build, main
from flowlib.pages.contents import code_of_equation, contents, front, name_module, pictures, prepare

ROOT = Path(__file__).resolve().parents[2]
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="  # one pixel


def links(html: str) -> list[tuple[str, str]]:
    """(where to, its words), of the article."""
    article = html.split("<article", 1)[1].split("</article>", 1)[0]
    found = re.findall(r'<a\b[^>]*\bhref="([^"]*)"[^>]*>(.*?)</a>', article, re.DOTALL)
    return [(unescape(link), unescape(re.sub("<[^>]+>", "", words))) for link, words in found]


def test_the_front_page_has_the_readmes_words():
    words = front((ROOT / "README.md").read_text("utf-8"))
    assert words.startswith("# ") and "## Chapters" in words and "## Map of the repository" not in words


def test_more_pages_come_beside_the_chapters(small):
    (small / "chapters" / "extending.md").write_text("# Extending flowlib\n", "utf-8")
    texts = contents(small)
    assert "chapters/extending.md" in texts and "\nchapters/extending.md\n" in texts["index.md"]


def test_pictures_of_markdown_are_found(tmp_path):
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("![of two\nlines](../e.webp) ![pasted](attachment:f.png)"),
            nbformat.v4.new_code_cell("# ![none](g.png)"),
        ]
    )
    texts = {"a/b.md": "![w](c/d.png) ![e](https://f.g)", "a/h.ipynb": nbformat.writes(notebook), "i.rst": "![](j.png)"}
    assert pictures(tmp_path, texts) == {"a/c/d.png": tmp_path / "a/c/d.png", "e.webp": tmp_path / "e.webp"}


def test_the_table_of_chapters_says_where_the_code_is():
    lines = code_of_equation((ROOT / "README.md").read_text("utf-8"))
    assert len(lines) == len(list((ROOT / "chapters").glob("*.ipynb")))
    assert "(../library/flowlib.flow.splitting.rst)" in lines["chapters/06_splitting_the_equation.ipynb"]
    assert [name_module(path) for path in ("fields.py", "models/zoo/")] == ["flowlib.fields", "flowlib.models.zoo"]


def test_a_notebook_is_left_as_it_was():
    notebook = read(ROOT / "chapters" / "00_the_river.ipynb")
    before = nbformat.writes(notebook)
    assert prepare(notebook, "a line").cells[0].source.endswith("\n\na line")
    assert nbformat.writes(notebook) == before


# ------------------------------------------------------------------------------------------------ a small course

SMALL = """# T

A formula $x^2$, and $$a=b$$ in a line. {name}`x` and % are as they stand.

[a chapter](chapters/01_a.ipynb#Is-it?), [a test](tests/t.py), [home](README.md), [outside](../o)

![a river](river.png)

| a word | number |
|---|---|
| a word | \u2264 1.5e-06 |

<details><summary>s</summary>

**bold**

<script>alert(1)</script>

</details>

## Chapters

| chapter | after it | the equation | in the library |
|---|---|---|---|
| [01 A](chapters/01_a.ipynb) | read | u | `flow/equation.py` |
"""


@pytest.fixture
def small(tmp_path):
    """A course of one chapter, without a library."""
    root = tmp_path / "course"
    (root / "chapters").mkdir(parents=True)
    (root / "README.md").write_text(SMALL, "utf-8")
    (root / "river.png").write_bytes(b64decode(DOT))
    picture = {"data": {"image/png": DOT}, "metadata": {"image/png": {"alt": 'a "dot"', "width": 1}}}
    outputs = [{"text/plain": "VBox(…)", WIDGET: {}}, {"text/markdown": "an *output* $z$"}, {"text/plain": "<a> $b$"}]
    cells = [
        nbformat.v4.new_markdown_cell("# 01 · A\n\n## Is it?\n\n### deeper\n\nwords\n\n## Is it?"),
        nbformat.v4.new_code_cell("shown = 1", outputs=[nbformat.v4.new_output("display_data", **picture)]),
        nbformat.v4.new_code_cell("secret = 1", metadata={"jupyter": {"source_hidden": True}}),
    ]
    cells[2].outputs = [nbformat.v4.new_output("display_data", data) for data in outputs]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "chapters" / "01_a.ipynb")
    return root


def pages_of(root: Path) -> tuple[str, str]:
    made = build(root, root / "build" / "book")
    assert len(made) == 5  # these two, the bibliography, the notice and the search
    return tuple((root / "build" / "book" / name).read_text("utf-8") for name in ("index.html", "chapters/01_a.html"))


def test_a_small_course(small):
    home, chapter = pages_of(small)
    assert home.count("<math") == 2 and '<annotation encoding="application/x-tex">x^2' in home
    assert "{name}" in home and "% are as they stand" in home
    assert '<td class="number"><p>\u2264 1.5e-06' in home and "<td><p>a word" in home
    assert "alert(1)" not in home and "<strong>bold</strong>" in home
    assert ("chapters/01_a.html#is-it", "a chapter") in links(home)
    assert "a test" in home and "outside" in home and not {"a test", "outside"} & {words for _, words in links(home)}
    assert ("#", "home") in links(home)
    assert re.search(r'<img alt="a river"[^>]* src="_images/river.png"', home)
    assert "shown" in chapter and "secret" not in chapter and "VBox" not in chapter
    assert f'<img src="data:image/png;base64,{DOT}" width="1" alt="a &quot;dot&quot;">' in chapter
    assert "an <em>output</em> <math>" in chapter and "&lt;a&gt; $b$" in chapter
    assert 'id="Is-it?"' in chapter
    assert re.search(r'url\("math.woff"\)', (small / "build/book/_static/book.css").read_text("utf-8"))
    assert (small / "build/book/_static/math.woff").stat().st_size > 500


def test_links_to_files_lead_to_the_repository(small):
    (small / "etc").mkdir()
    (small / "etc" / "links.json").write_text('{"repository": "o/n", "ref": "main"}', "utf-8")
    home, chapter = pages_of(small)
    assert ("https://github.com/o/n/blob/main/tests/t.py", "a test") in links(home)
    assert ("https://github.com/o/n/blob/main/chapters/01_a.ipynb", "The source of this page") in links(chapter)
    assert "outside" not in {words for _, words in links(home)}


def test_what_is_wrong_is_named_and_the_old_book_stays(small, capsys):
    out = small / "build" / "book"
    pages_of(small)
    with pytest.raises(ValueError, match=r"README\.md: .*nosuch"):
        build_otherwise(small, "README.md", "$x^2$", r"$\nosuch$")
    with pytest.raises(ValueError, match=r"chapters/01_a\.ipynb: .*nosuch"):
        build_otherwise(small, "chapters/01_a.ipynb", "words", r"$\\nosuch$")
    with pytest.raises(FileNotFoundError, match="gone.png"):
        build_otherwise(small, "README.md", "(river.png)", "(gone.png)")
    with pytest.raises(RuntimeError, match="Sphinx warned"):
        build_otherwise(small, "README.md", "#Is-it?", "#Is-it-not?")
    assert "Is-it-not" in capsys.readouterr().err
    assert (out / "index.html").is_file() and [path.name for path in out.parent.iterdir()] == ["book"]


def build_otherwise(root: Path, file: str, old: str, new: str) -> None:
    """Build the course with one file changed, and put the file back."""
    text = (root / file).read_text("utf-8")
    assert old in text
    (root / file).write_text(text.replace(old, new), "utf-8")
    try:
        build(root, root / "build" / "book")
    finally:
        (root / file).write_text(text, "utf-8")


@pytest.mark.parametrize("package", ["myst_nb", "furo"])
def test_without_the_extra_one_sentence_says_what_to_install(small, monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(small)
    (small / "etc").mkdir(exist_ok=True)
    (small / "etc" / "links.json").write_text('{"repository": "", "ref": "main"}', "utf-8")  # what a course's copy has
    assert main(["out"]) == 1
    assert "pip install -e '.[book]'" in capsys.readouterr().err and not (small / "out").exists()
