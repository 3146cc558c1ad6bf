"""The course's words: where a chapter uses one for the first time, its meaning stands a hover, or a Tab, away.

The meanings are those of the table "Words" on the notation page, and each leads there.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from flowlib.pages.symbols import ancestors

PAGE = "chapters/notation"
ROW = re.compile(r"^\| (?P<words>[^|]+) \| (?P<meaning>[^|]+) \|$", re.MULTILINE)
CHAPTER = re.compile(r"chapters/\d\d_")
LETTERS = {
    r"\gamma": "γ",
    r"\tilde x": "x̃",
    r"\Delta ": "Δ",
    r"\mapsto ": "↦ ",
    r"^{-p}": "⁻ᵖ",
    "$": "",
    "*": "",
}
EVERYDAY = {"order", "reading", "step", "layer", "weight", "parameter"}  # which also stand in plain sentences
STOPS = (nodes.title, nodes.reference, nodes.literal, nodes.table, addnodes.pending_xref, nodes.strong, nodes.raw)


def read_words(text: str) -> dict[str, str]:
    """word -> its meaning in plain letters, from the notation page; {} where it has no table of words.

    Raises: ValueError where a meaning holds TeX that has no letter in LETTERS.
    """
    _, _, table = text.partition("## Words\n")
    found = {}
    for row in list(ROW.finditer(table))[1:]:  # the first is the heading
        meaning = row["meaning"].strip()
        for tex, letter in LETTERS.items():
            meaning = meaning.replace(tex, letter)
        if "\\" in meaning:
            word = row["words"].strip()
            raise ValueError(f"the meaning of {word!r} holds TeX: {meaning}; give it a letter in flowlib.pages.words")
        found |= {word.strip(): meaning for word in row["words"].split(",")}
    return {word: meaning for word, meaning in found.items() if word not in EVERYDAY}


def explain_words(app: Sphinx, document: nodes.document, page: str) -> None:
    """In a chapter, make the first use of each word a link to the notation page that says its meaning."""
    if not CHAPTER.match(page):
        return
    file = Path(app.srcdir, f"{PAGE}.md")
    words = read_words(file.read_text("utf-8")) if file.is_file() else {}
    address = app.builder.get_relative_uri(page, PAGE) + "#Words" if words else ""
    for text in list(document.findall(nodes.Text)):
        if not words:
            return
        above = list(ancestors(text))
        if any(isinstance(one, STOPS) for one in above) or not any(isinstance(one, nodes.paragraph) for one in above):
            continue
        explain_first(text, words, address)


def explain_first(text: nodes.Text, words: dict[str, str], address: str) -> None:
    """Explain each of the words that this text uses; they are taken out of `words`."""
    pattern = r"\b(" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + r")(s?)\b"
    made, end = [], 0
    for match in re.finditer(pattern, text.astext()):
        if match[1] not in words:  # explained a moment ago
            continue
        meaning = words.pop(match[1])
        link = nodes.reference("", match[0], refuri=address, reftitle=f"{match[1]}: {meaning}", classes=["word"])
        made += [nodes.Text(text.astext()[end : match.start()]), link]
        end = match.end()
    if made:
        text.parent.replace(text, [*made, nodes.Text(text.astext()[end:])])
