"""What a link to a page shows elsewhere: title, description and a picture, once the book has an address."""

import re

import nbformat
import pytest
from PIL import Image

from flowlib.pages.book import CARD, build, main

SITE = "https://school.example/river/"


@pytest.fixture
def course(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "README.md").write_text("# T\n\nwords of the home page\n\n## Chapters\n\nwords\n", "utf-8")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 01 · A\n\nwords of the first chapter")])
    nbformat.write(made, tmp_path / "chapters" / "01_a.ipynb")
    return tmp_path


def tell(course, site: str) -> dict[str, str]:
    """What the page of the chapter says of itself."""
    build(course, course / "book", site=site)
    html = (course / "book" / "chapters" / "01_a.html").read_text("utf-8")
    return dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)"', html))


def test_with_an_address_a_page_says_where_it_lies_and_shows_a_picture(course):
    told = tell(course, SITE.rstrip("/"))
    assert told["og:url"] == f"{SITE}chapters/01_a.html" and told["og:image"] == f"{SITE}{CARD}"
    assert told["og:title"] == "01 · A" and "words of the first chapter" in told["og:description"]
    assert told["twitter:card"] == "summary_large_image" and len(told["og:image:alt"]) > 20
    card = Image.open(course / "book" / CARD)
    assert card.size == (1200, 630) and len(card.getcolors()) > 20


def test_without_an_address_nothing_is_claimed(course):
    told = tell(course, "")
    assert told["og:title"] == "01 · A" and not {"og:url", "og:image", "twitter:card"} & told.keys()
    assert not (course / "book" / CARD).exists()


def test_an_address_that_is_none_is_refused(tmp_path, capsys):
    assert (
        main([str(tmp_path / "book"), "--quick", "--site", "river"]) == 2
        and "--site must be the address" in capsys.readouterr().err
    )
