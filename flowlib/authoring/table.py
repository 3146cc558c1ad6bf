"""What the chapters say of themselves, in the two places that tell a reader of all of them: `flowlib contents`.

flowlib/notebook/chapters.json holds titles, minutes and questions, for progress(); README says how many chapters
there are and how many hours they take, between the marks <!-- hours --> and <!-- /hours -->, and lists the known
architectures between <!-- architectures --> and <!-- /architectures -->, where it has these marks.
"""

import json
import re
from pathlib import Path

from flowlib.authoring.notebooks import number_in_title, prose, question_ids, read
from flowlib.models import zoo

PLACE = "flowlib/notebook/chapters.json"
HOURS = re.compile(r"(<!-- hours -->).*?(<!-- /hours -->)", re.DOTALL)
ARCHITECTURES = re.compile(r"(<!-- architectures -->\n).*?(<!-- /architectures -->)", re.DOTALL)
MINUTES = re.compile(r"reading time\W{0,4}[\w\s]{0,20}?\b(\d+) min", re.IGNORECASE)
NUMBERS = "no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()


def read_minutes(notebook) -> int:
    """The reading time that its opening states. Raises: ValueError where it states none."""
    found = MINUTES.search("\n".join(prose(notebook)[:3]))
    if not found:
        raise ValueError("the opening must state the reading time in minutes, as '**Reading time:** about 55 minutes'")
    return int(found[1])


def read_title(notebook) -> str:
    """The title without its number."""
    return re.match(r"\s*# (?:\d+ · )?(.+)", notebook.cells[0].source)[1].strip()


def list_chapters(root: Path) -> list[dict]:
    """A row for each chapter, in order. Raises: ValueError that names a chapter which does not say what it must."""
    rows = []
    for path in sorted((root / "chapters").glob("[0-9]*.ipynb")):
        notebook = read(path)
        try:
            minutes = read_minutes(notebook)
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from None
        number, title = number_in_title(notebook), read_title(notebook)
        rows.append({"number": number, "title": title, "minutes": minutes, "questions": question_ids(notebook)})
    return rows


def say_hours(rows: list[dict]) -> str:
    """How many chapters, and how many hours: "eleven chapters, about nine hours in all"."""
    hours = round(sum(row["minutes"] for row in rows) / 60)
    return f"{write_number(len(rows))} chapters, about {write_number(hours)} hours in all"


def write_number(number: int) -> str:
    """A small number as a word."""
    return NUMBERS[number] if 0 <= number < len(NUMBERS) else str(number)


def plan(root: Path) -> dict[Path, str]:
    """The files that say something else than the chapters, each with what it has to say. Nothing is written.

    Raises: ValueError where README has no place for the hours.
    """
    rows, readme = list_chapters(root), (root / "README.md").read_text("utf-8")
    if len(HOURS.findall(readme)) != 1:
        raise ValueError("README.md must have <!-- hours --> and, after it, <!-- /hours -->, once")
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    readme = HOURS.sub(rf"\g<1>{say_hours(rows)}\g<2>", readme)
    readme = ARCHITECTURES.sub(lambda found: f"{found[1]}{zoo.list_architectures()}\n{found[2]}", readme)
    texts = {root / PLACE: f"[\n{lines}\n]\n", root / "README.md": readme}
    return {path: text for path, text in texts.items() if not path.is_file() or path.read_text("utf-8") != text}
