"""The minutes that a chapter's opening states are counted."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from flowlib.authoring import rules
from flowlib.authoring.minutes import count_minutes, count_seconds, count_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two words", 2),
        ("where $a+b$ is one", 4),
        ("so\n\n$$a =\n b$$", 11),
        ("one <!-- a comment that nobody reads --> two", 2),
        ("one\n\n<details><summary>After you have chosen</summary>\n\ntwo three\n\n</details>", 7),
        ("one\n\n<details><summary>If you want the proof</summary>\n\nlong\n\n</details>\n\ntwo", 2),
        ("one\n\n<details><summary>A solution</summary>\n\nlong\n\n</details>", 1),
        ("one\n\n## References\n\n- Somebody, *Something*", 1),
    ],
)
def test_words(text, words):
    assert count_words(text) == words


def test_what_each_kind_of_cell_asks_of_a_reader():
    picture = new_output("display_data", {"image/png": ""})
    assert count_seconds(new_markdown_cell("word " * 200)) == 60
    assert count_seconds(new_code_cell("a = 1\n\nb = 2")) == 10
    assert count_seconds(new_code_cell("show(fig)", outputs=[picture])) == 35
    folded = {"jupyter": {"source_hidden": True}}
    assert count_seconds(new_code_cell("show(fig)", outputs=[picture], metadata=folded)) == 30
    assert count_seconds(new_code_cell("explorer(draw)", outputs=[picture])) == 155
    assert count_seconds(new_code_cell("predict(\n    'Up?',\n)")) == 90


@pytest.mark.parametrize(("stated", "good"), [(47, False), (48, True), (60, True), (61, False)])
def test_a_stated_time_that_is_not_the_counted_one_is_named(stated, good):
    opening = new_markdown_cell(f"# 04\n\n**Reading time:** about {stated} minutes")
    text = new_markdown_cell("word " * (50 * 200 - count_words(opening.source)))
    chapter = nbformat.v4.new_notebook(cells=[opening, text])
    assert count_minutes(chapter) == 50
    said = [] if good else [f"the opening says {stated} minutes, 50 were counted; say so, or cut the chapter"]
    assert list(rules.check_minutes(chapter)) == said
