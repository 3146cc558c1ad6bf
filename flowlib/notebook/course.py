"""The chapters of the course, their questions and their minutes, and how far a reader is in it.

`flowlib contents` reads them from the notebooks and writes them to chapters.json beside this file: a notebook that was
opened alone, as in Colab, has no other chapter near it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from flowlib.notebook.progress import Standing

CELL = 'style="text-align: left; font-weight: normal; padding: 1px 1.2em 1px 0"'
HEAD = "".join(f'<th scope="col" {CELL}>{words}</th>' for words in ("chapter", "answered right", "of those asked"))
RECORD = Path(__file__).with_name("chapters.json")


@dataclass(frozen=True)
class Chapter:
    """A chapter: its number and title, the minutes that it says it takes, the ids of its questions."""

    number: int
    title: str
    minutes: int
    questions: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.number:02d} · {self.title}"


@cache
def read_chapters() -> tuple[Chapter, ...]:
    """All chapters, in order."""
    return tuple(
        Chapter(**row | {"questions": tuple(row["questions"])}) for row in json.loads(RECORD.read_text("utf-8"))
    )


def find_chapter(ids) -> int | None:
    """The chapter that these questions are of; None where they name none."""
    numbers = [int(found[1]) for name in ids if (found := re.fullmatch(r"Q(\d+)\.\d+", name))]
    return max(set(numbers), key=numbers.count) if numbers else None


def tabulate(known: Mapping[str, Standing], here: int | None = None) -> str:
    """How many questions of each chapter were answered right, as an HTML table; the chapter `here` stands out."""
    rows, right, asked = [], 0, 0
    for chapter in read_chapters():
        done = sum(known[name].right for name in chapter.questions if name in known)
        right, asked = right + done, asked + len(chapter.questions)
        rows.append(write_row(chapter.name, done, len(chapter.questions), strong=chapter.number == here))
    rows.append(write_row("The whole course", right, asked, strong=True))
    return f"<table><thead><tr>{HEAD}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def write_row(name: str, done: int, asked: int, *, strong: bool) -> str:
    words = f"<b>{escape(name)}</b>" if strong else escape(name)
    bar = f'<progress value="{done}" max="{max(asked, 1)}" aria-label="{escape(name)}"></progress>'
    return f'<tr><th scope="row" {CELL}>{words}</th><td {CELL}>{bar}</td><td {CELL}>{done} of {asked}</td></tr>'
