"""Docstrings of flowlib as a page shows them: plain text in, reStructuredText out.

    Error: O(h), see `attend`.       ->  a field: Error, and its words
    weights  positive, one a token   ->  a definition: weights, and its words
        Σ_j w_j v_j                  ->  a formula, as it is written
    `attend`                         ->  code, which pages.symbols links to where it is documented
    arXiv:2510.03989                 ->  a link

Whatever else stands there is a paragraph.
"""

import re
from collections.abc import Iterator

LABEL = re.compile(r"(Error|Raises|Source|Returns|Note): +(.*)")
INSIDE = re.compile(r"(?<=[.)]) ((?:Error|Raises|Source): )")  # a label at the end of a line of words
NAME = re.compile(r"([a-z_][\w.]*(?:, [a-z_][\w.]*)*(?:  +(?=[^\s=≈≤≥<>+−→↦∈])|: +))(.*)")
ONE_NAME = re.compile(r"[a-z_]\w* +")
SPECIAL = re.compile(r"``?(?P<code>[^`]+)``?|arXiv:(?P<number>\d{4}\.\d{4,5})|(?P<mark>[\\*_|<>`])")

Part = tuple[str, str, list[str]]  # its kind (words, formula, label or name), its name, its lines


def rewrite_docstring(lines: list[str]) -> list[str]:
    """The lines of a docstring (as inspect.cleandoc leaves them) as reStructuredText."""
    made: list[str] = []
    lines = INSIDE.sub(r"\n\1", "\n".join(lines)).split("\n")
    for kind, name, words in parts(lines):
        text = escape(" ".join(words))
        if kind == "formula":
            made += ["::", "", *(f"   {line}" for line in words)]
        elif kind == "label":
            made += [f":{name}: {text}"]
        elif kind == "name":
            made += [", ".join(f"``{one}``" for one in name.rstrip(": ").split(", ")), f"   {text}"]
        else:
            made += [text]
        made.append("")
    return made


def parts(lines: list[str]) -> Iterator[Part]:
    """What a docstring is made of, in order. An empty line ends a part, and so does a line that begins another."""
    part: Part = ("", "", [])
    for number, line in enumerate([*lines, ""]):
        new = begin(line, part, first=number == 0)
        if part[2] and (new or not line.strip()):
            yield part
            part = ("", "", [])
        if new:
            part = new
        elif line.strip():
            part[2].append(line[4:] if part[0] == "formula" else line.strip())


def begin(line: str, part: Part, first: bool) -> Part | None:
    """The part that this line begins; None where it belongs to the one before it, or is empty."""
    kind, name, words = part
    if line.startswith("    "):
        return ("formula", "", [line[4:]]) if line.strip() and kind in ("", "words") else None
    if found := LABEL.fullmatch(line):
        return "label", found[1], [found[2]]
    if not first and (found := NAME.fullmatch(line)):
        return "name", found[1], [found[2]]
    if kind == "name" and ONE_NAME.fullmatch(line[: len(name)]):  # as wide as its column
        return "name", line[: len(name)], [line[len(name) :]]
    goes_on = kind == "words" or (kind in ("label", "name") and not words[-1].endswith("."))
    return None if goes_on or not line.strip() else ("words", "", [line.strip()])


def escape(text: str) -> str:
    """The text with nothing in it that reStructuredText would take for markup, but code and links to arXiv."""

    def mark(found: re.Match) -> str:
        if found["code"]:
            return rf"\ ``{found['code']}``\ "
        if found["number"]:
            return rf"\ `arXiv:{found['number']} <https://arxiv.org/abs/{found['number']}>`__\ "
        return "\\" + found["mark"]

    return r"\ " + SPECIAL.sub(mark, text)
