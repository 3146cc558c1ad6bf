"""Points as a learning platform takes them: its own table, as it gave it, with one column filled in.

    Moodle      the grading worksheet      a row is found by "Participant 12345", e-mail or user name
    Canvas      the exported gradebook     by ID, SIS user or login ID
    Blackboard  Work Offline, the download by Username or Student ID; UTF-16 and tabs, too

Every other cell, the order of the rows and the way in which the file is written stay as they were.
"""

import csv
import io
import re
from codecs import BOM_UTF8, BOM_UTF16_LE
from dataclasses import dataclass
from pathlib import Path

from flowlib.classroom.roster import Person
from flowlib.classroom.tables import no_formula

KEYS = {  # platform: columns of which one says who it is; the column that tells the platform
    "Moodle": (("Identifier", "Email address", "Username", "ID number"), "Identifier"),
    "Canvas": (("ID", "SIS User ID", "SIS Login ID", "Integration ID"), "Student"),
    "Blackboard": (("Username", "Student ID"), "Username"),
}


@dataclass
class Table:
    """A platform's table as it came: encoding, delimiter, rows with the head first."""

    platform: str
    encoding: str
    delimiter: str
    quoted: bool
    rows: list[list[str]]

    @property
    def head(self) -> list[str]:
        return self.rows[0]


def read_table(file: Path) -> Table:
    """Raises: ValueError where it is no table of a platform that we know."""
    data = file.read_bytes()
    encoding = "utf-16" if data.startswith(BOM_UTF16_LE) else "utf-8-sig" if data.startswith(BOM_UTF8) else "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(f"{file} must be the table that the platform gave (UTF-8 or UTF-16)") from None
    first = text.partition("\n")[0]
    delimiter = max("\t,;", key=first.count)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    head = rows[0] if rows else []
    found = [name for name, (keys, sign) in KEYS.items() if sign in head and set(keys) & set(head)]
    if not found:
        raise ValueError(
            f"{file} must be Moodle's grading worksheet, Canvas's gradebook or Blackboard's download, and its first "
            f"row has {', '.join(head[:6]) or 'nothing'}; export it from the platform, and give it as it is"
        )
    return Table(found[0], encoding, delimiter, first.lstrip().startswith('"'), rows)


def find_column(table: Table, asked: str | None) -> int:
    """Where the points go. Raises: ValueError with the columns that there are, where it is not known which."""
    names = table.head
    if asked is None and table.platform == "Moodle" and "Grade" in names:
        return names.index("Grade")
    found = [i for i, name in enumerate(names) if asked and name_of(name).casefold() == asked.casefold()]
    found = found or [i for i, name in enumerate(names) if asked and asked.casefold() in name.casefold()]
    if len(found) != 1:
        raise ValueError(f"--column must name one of the table's columns: {', '.join(map(name_of, names))}")
    return found[0]


def name_of(column: str) -> str:
    """The name that a teacher sees: without Canvas's number, without Blackboard's points."""
    return re.sub(r" (\(\d+\)|\[Total Pts.*\])( ?\|\d+)?$", "", column.strip())


def fill(
    table: Table, column: int, points: dict[str, float], roster: dict[str, Person] | None = None
) -> tuple[list[str], list[str]]:
    """Put the points into the table, in place; the students who are in it, and those who are not.

    roster: what nbgrader knows of them; a student's own name goes before it.
    """
    keys = [i for i, name in enumerate(table.head) if name in KEYS[table.platform][0]]
    people = {}
    for student in points:
        for name in name_keys(student):
            people.setdefault(name, student)
    for student in points:
        for name in (roster or {}).get(student, Person()).keys:
            people.setdefault(name, student)
    filled = []
    for row in table.rows[1:]:
        named = (people.get(row[i].strip().casefold()) for i in keys if i < len(row) and row[i].strip())
        student = next((one for one in named if one), None)
        if student and column < len(row):
            row[column] = f"{points[student]:g}"
            filled.append(student)
    return filled, sorted(set(points) - set(filled))


def name_keys(student: str) -> list[str]:
    """What a platform's table may call a student of ours: ada; of Ada Lovelace_12345 the number, too."""
    number = re.search(r"_(\d+)$", student)
    return [student.casefold(), *([number[1], f"participant {number[1]}"] if number else [])]


def write_table(table: Table) -> bytes:
    """The table in the form in which it came."""
    out = io.StringIO(newline="")
    rows = csv.writer(
        out,
        delimiter=table.delimiter,
        lineterminator="\r\n",
        quoting=csv.QUOTE_ALL if table.quoted and table.platform == "Blackboard" else csv.QUOTE_MINIMAL,
    )
    rows.writerows(table.rows)
    return out.getvalue().encode(table.encoding)


def read_points(course, assignment: str) -> tuple[dict[str, float], list[str]]:
    """The points in the gradebook, by hand and for being late included; and those who wait for a person to grade."""
    with course.api().gradebook as book:
        found = [one for one in book.assignment_submissions(assignment)]
        points = {one.student.id: max(0.0, one.score - (one.late_submission_penalty or 0.0)) for one in found}
        waiting = [one.student.id for one in found if one.needs_manual_grade]
    return points, sorted(waiting)


def show_names(names: list[str], roster: dict[str, Person] | None = None) -> str:
    """A few of them, on one line; with the roster's names, where it has some."""
    known = {one: person.name for one, person in (roster or {}).items() if person.name and person.name != one}
    shown = [f"{one} ({known[one]})" if one in known else one for one in names[:10]]
    return ", ".join(map(no_formula, shown)) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
