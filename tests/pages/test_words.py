"""Words of the course say their meaning where a chapter first uses them."""

from pathlib import Path

import pytest
from docutils import nodes

from flowlib.pages.words import explain_first, read_words

ROOT = Path(__file__).resolve().parents[2]


def test_the_words_are_those_of_the_notation_page_in_plain_letters():
    words = read_words((ROOT / "chapters" / "notation.md").read_text("utf-8"))
    assert {"field", "kernel", "token domain", "feature domain", "trajectory"} <= set(words) and len(words) > 10
    assert words["projection"].startswith("the nearest point of a set")
    assert not [meaning for meaning in words.values() if set(meaning) & set("\\$*")]
    assert "order" not in words, "which stands in plain sentences, too"


def test_a_meaning_that_no_letter_has_is_named():
    with pytest.raises(ValueError, match=r"'field' holds TeX: a \\sqrt; give it a letter"):
        read_words("## Words\n\n| word | it means |\n|---|---|\n| field | a $\\sqrt$ |\n")
    assert read_words("no table") == {}


def explain(text, words):
    paragraph = nodes.paragraph("", "", nodes.Text(text))
    explain_first(paragraph.children[0], words, "notation.html#Words")
    return [
        (type(child).__name__, child.astext(), getattr(child, "attributes", {}).get("reftitle")) for child in paragraph
    ]


def test_the_first_use_of_a_word_is_explained_and_no_part_of_a_word():
    words = {"field": "u", "token domain": "where x is", "token": "a point"}
    assert explain("Two fields, a field, a battlefield; a token domain.", words) == [
        ("Text", "Two ", None),
        ("reference", "fields", "field: u"),
        ("Text", ", a field, a battlefield; a ", None),
        ("reference", "token domain", "token domain: where x is"),
        ("Text", ".", None),
    ]
    assert words == {"token": "a point"}, "each once a page"
    assert explain("nothing", {"field": "u"}) == [("Text", "nothing", None)]
