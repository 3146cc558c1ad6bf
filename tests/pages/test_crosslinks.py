"""Links of one page: to other pages, to the repository, or nowhere."""

from pathlib import Path

import pytest

from flowlib.pages.crosslinks import repository, rewrite_links, rewrite_links_of_page

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("link", "address", "becomes"),
    [
        ("b.ipynb#x", "", '<a href="b.html#x">w</a>'),
        ("../tests/t.py", "", "w"),
        ("../tests/t.py", "https://g/", '<a href="https://g/tests/t.py">w</a>'),
        ("../../outside", "https://g/", "w"),
        ("https://a.b", "", '<a href="https://a.b">w</a>'),
        ("#here", "", '<a href="#here">w</a>'),
    ],
)
def test_links_of_one_page_are_rewritten(link, address, becomes):
    assert (
        rewrite_links(f'<a href="{link}">w</a>', "chapters/a.ipynb", {"chapters/b.ipynb": "b.html"}, address) == becomes
    )


def test_one_page_links_to_the_pages_beside_it():
    path = ROOT / "chapters" / "00_the_river.ipynb"
    html = rewrite_links_of_page('<a href="01_from_steps_to_flow.ipynb#References">w</a>', path)
    assert html == '<a href="01_from_steps_to_flow.html#References">w</a>'
    assert rewrite_links_of_page('<a href="x.ipynb">w</a>', None) == '<a href="x.html">w</a>'


def test_the_address_is_the_stamped_one(tmp_path):
    assert repository(tmp_path) == ""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "links.json").write_text('{"repository": "o/n", "ref": "main"}', "utf-8")
    assert repository(tmp_path) == "https://github.com/o/n/blob/main/"
