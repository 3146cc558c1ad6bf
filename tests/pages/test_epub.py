"""The ePub: pages that are XML, with all that they need inside, and no script."""

import re
import zipfile
from xml.etree import ElementTree

import nbformat
import pytest

from flowlib.pages import book, epub

IMAGE = '<img src="data:image/png;base64,AAAA" alt="words">'
FIGURE = f'<figure class="flowlib-figure"><style>img{{color:red}}</style>{IMAGE}</figure>'


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The ePub of a small course: a chapter with a formula, a picture and an answer in a fold."""
    root = tmp_path_factory.mktemp("course")
    (root / "chapters").mkdir()
    (root / "README.md").write_text("# T\n\nwords<br>\n\n## Chapters\n\nwords\n", "utf-8")
    told = nbformat.v4.new_code_cell("1", metadata={"tags": ["answer:Q1.1"]})
    told.outputs = [nbformat.v4.new_output("display_data", {"text/html": FIGURE})]
    cells = [nbformat.v4.new_markdown_cell("# 01 · A\n\n$\\tfrac{1}{2}\\sin x$"), told]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "chapters" / "01_a.ipynb")
    epub.build(root, root / "made.epub")
    book.build(root, root / "book", epub=root / "made.epub")
    return root


def test_it_says_first_what_it_is(made):
    with zipfile.ZipFile(made / "made.epub") as packed:
        first = packed.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        assert packed.read("mimetype") == b"application/epub+zip"


def test_its_pages_are_xml_without_scripts_and_all_that_they_need_is_inside(made):
    with zipfile.ZipFile(made / "made.epub") as packed:
        names = set(packed.namelist())
        pages = {name: packed.read(name).decode() for name in names if name.endswith(".xhtml")}
        listed = packed.read("content.opf").decode()
    for name, page in pages.items():
        ElementTree.fromstring(page)
        assert "<script" not in page and "<style>" not in page
        for asked in re.findall(r'<(?:link|img)\b[^>]*?(?:href|src)="([^"]+)"', page):
            assert asked.startswith("data:") or asked.removeprefix("../") in names, (name, asked)
    chapter = pages["chapters/01_a.xhtml"]
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML"' in chapter and 'alt="words"' in chapter
    assert "<summary>After Q1.1: show what comes out</summary>" in chapter
    assert {"_static/math.css", "_static/math.woff"} <= names
    assert set(re.findall(r'<item id="[^"]*" href="([^"]*)"', listed)) == names - {
        "mimetype",
        "META-INF/container.xml",
        "content.opf",
    }
    assert re.findall(r'href="([^"]*)" properties="mathml"', listed) == ["chapters/01_a.xhtml"]


def test_the_home_page_leads_to_it(made):
    assert f'href="{book.EPUB}"' in (made / "book" / "index.html").read_text("utf-8")
    assert zipfile.is_zipfile(made / "book" / book.EPUB)


def test_a_page_that_is_no_xml_is_named():
    assert epub.mend("<p>a&nbsp;<br>b &amp; c</p>", "a") == "<p>a\xa0<br/>b &amp; c</p>"
    with pytest.raises(ValueError, match=r"a\.xhtml cannot go into an ePub: mismatched tag"):
        epub.mend("<p><b></p>", "a.xhtml")
