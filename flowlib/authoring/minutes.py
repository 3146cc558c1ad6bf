"""How long a chapter takes, counted by the rates that chapter 00 states, so that what an opening says is true."""

import re

from flowlib.authoring.notebooks import is_question, is_setup

WORDS = 200  # a minute
FORMULA = 10  # words, for a formula on a line of its own; one within a line is a word
LINE, FIGURE, QUESTION, EXPLORER = 5, 30, 90, 120  # seconds
DISPLAYED, INLINE = re.compile(r"\$\$.*?\$\$", re.DOTALL), re.compile(r"\$[^$\n]+\$")
MARKUP = re.compile(r"<!--.*?-->|</?\w+>", re.DOTALL)
# What a reader may leave folded, and what stands behind the last section.
EXTRA = re.compile(r"(?ms)<details><summary>(?:If you want|A solution).*?</details>|^## References.*")


def count_words(text: str) -> int:
    """Words of Markdown, without what is folded as an extra and without the references."""
    text = MARKUP.sub(" ", EXTRA.sub(" ", text))
    return len(INLINE.sub(" formula ", DISPLAYED.sub(" formula " * FORMULA, text)).split())


def count_seconds(cell) -> float:
    """What one cell asks of a reader: to read it, to look at its pictures, to answer, to move an explorer."""
    if cell.cell_type == "markdown":
        return 60 * count_words(cell.source) / WORDS
    if is_setup(cell):
        return 0
    if is_question(cell):
        return QUESTION
    hidden = cell.metadata.get("jupyter", {}).get("source_hidden")
    lines = 0 if hidden else sum(bool(line.strip()) for line in cell.source.splitlines())
    pictures = sum("image/png" in output.get("data", {}) for output in cell.outputs)
    return LINE * lines + FIGURE * pictures + EXPLORER * ("explorer(" in cell.source)


def count_minutes(notebook) -> float:
    """The reading time of a chapter, exercises not included."""
    return sum(map(count_seconds, notebook.cells)) / 60
