"""Docstrings as reStructuredText: formulas, names, fields and code keep their form, and nothing else is markup."""

from docutils.core import publish_doctree
from docutils.nodes import definition, field, literal, literal_block, paragraph, reference, system_message, term

from flowlib.pages.docstrings import escape, parts, rewrite_docstring

DOCSTRING = """\
Σ_j w_j v_j:   a sum *without* |w|, over a_ and 1. b.

    (Au)(x) = ∫ γ(x, x̃) V(x̃) dx̃,
        so ∫ γ dx̃ = 1

q (…, query, d), and so on:
    a formula in its paragraph
weights  positive, one
         a token
causal   see `attend`
near_all a name as wide as its column
x, y: both.
With `f(*x)` a paragraph follows.

Error: O(h) at first,
and then O(h²).
Source: arXiv:2510.03989, term I.
"""


def test_the_parts_of_a_docstring():
    found = list(parts(DOCSTRING.splitlines()))
    assert [kind for kind, *_ in found] == (
        ["words", "formula", "words", "formula", "name", "name", "name", "name", "words", "label", "label"]
    )
    assert found[1][2] == ["(Au)(x) = ∫ γ(x, x̃) V(x̃) dx̃,", "    so ∫ γ dx̃ = 1"]
    assert found[4][2] == ["positive, one", "a token"] and found[9][2] == ["O(h) at first,", "and then O(h²)."]


def test_it_is_read_as_it_was_meant():
    tree = publish_doctree("\n".join(rewrite_docstring(DOCSTRING.splitlines())), settings_overrides={"report_level": 1})
    assert not list(tree.findall(system_message))
    assert next(tree.findall(paragraph)).astext() == "Σ_j w_j v_j:   a sum *without* |w|, over a_ and 1. b."
    assert [block.astext().count("\n") for block in tree.findall(literal_block)] == [1, 0]
    assert [one.astext() for one in tree.findall(term)] == ["weights", "causal", "near_all", "x, y"]
    assert next(tree.findall(definition)).astext() == "positive, one a token"
    assert {"attend", "f(*x)"} <= {one.astext() for one in tree.findall(literal)}
    assert [one[0].astext() for one in tree.findall(field)] == ["Error", "Source"]
    assert [one["refuri"] for one in tree.findall(reference)] == ["https://arxiv.org/abs/2510.03989"]


def test_a_label_at_the_end_of_a_line_is_a_field():
    assert rewrite_docstring(["One step. Error: O(h²). Raises: ValueError."])[2::2] == [
        r":Error: \ O(h²).",
        r":Raises: \ ValueError.",
    ]


def test_text_that_looks_like_markup_stays_text():
    for text in (
        "1. no list",
        "- no bullet",
        "* nor this",
        ":no: field",
        "..  no directive",
        "`open",
        "a\\b",
        "x_ y__",
    ):
        tree = publish_doctree(escape(text), settings_overrides={"report_level": 1})
        assert tree.astext() == text and isinstance(tree[0], paragraph), text
