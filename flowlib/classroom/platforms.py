"""Points as a learning platform takes them: its own table, as it gave it, with one column filled in.

    Moodle      the grading worksheet      a row is found by "Participant 12345", e-mail or user name
    Canvas      the exported gradebook     by ID, SIS user or login ID
    Blackboard  Work Offline, the download by Username or Student ID; UTF-16 and tabs, too

All else stays byte for byte: other cells with their quotes, line ends, a byte order mark, the encoding.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_LE
from dataclasses import dataclass
from pathlib import Path

from flowlib.classroom.roster import Person
from flowlib.classroom.tables import no_formula

KEYS = {  # platform: columns of which one says who it is; the columns that tell the platform
    "Moodle": (("Identifier", "Email address", "Username", "ID number"), {"Identifier"}),
    "Canvas": (("ID", "SIS User ID", "SIS Login ID", "Integration ID"), {"ID", "Section"}),
    "Blackboard": (("Username", "Student ID"), {"Username"}),
}
NUMBERED = {"Moodle": "Identifier", "Canvas": "ID"}  # the column that has the platform's own number
PARTICIPANT = re.compile(r"(\D*\D) ?(\d+)")  # Moodle's name for somebody, in whatever language
POINTS_POSSIBLE = "Points Possible"  # in the first column of Canvas's row that is nobody's
EXCUSED = "EX"  # in Canvas's table: this student need not hand it in


@dataclass
class Table:
    """A platform's table as it came: encoding, rows of cells with their quotes, and what follows each cell."""

    platform: str
    encoding: str
    rows: list[list[str]]
    ends: list[list[str]]

    @property
    def head(self) -> list[str]:
        return [value_of(cell) for cell in self.rows[0]]

    def at(self, row: int, column: int) -> str:
        """What a cell says, "" where there is none."""
        cells = self.rows[row] if row < len(self.rows) else []
        return value_of(cells[column]) if column < len(cells) else ""


def value_of(cell: str) -> str:
    """What a cell says, without the quotes around it."""
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"') if quoted else cell


def split_cells(text: str, delimiter: str) -> tuple[list[list[str]], list[list[str]]]:
    """The cells of each row as they stand there, and what follows each of them."""
    cell = re.compile(rf'("(?:[^"]|"")*"|[^{delimiter}\r\n]*)({delimiter}|\r\n|\n|\r|$)')
    rows, ends, at = [[]], [[]], 0
    while at < len(text):
        found = cell.match(text, at)
        rows[-1].append(found[1])
        ends[-1].append(found[2])
        at = found.end()
        if found[2] != delimiter:
            rows.append([])
            ends.append([])
    return rows, ends


def read_table(file: Path) -> Table:
    """Raises: ValueError where it is no table of a platform that we know."""
    data = file.read_bytes()
    encoding = "utf-16" if data.startswith(BOM_UTF16_LE) else "utf-8-sig" if data.startswith(BOM_UTF8) else "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(f"{file} must be the table that the platform gave (UTF-8 or UTF-16)") from None
    first = re.sub(r'"[^"]*"', "", text.partition("\n")[0])
    rows, ends = split_cells(text, max("\t,;", key=first.count))
    table = Table("", encoding, rows, ends)
    if not (name := find_platform(table)):
        raise ValueError(
            f"{file} must be Moodle's grading worksheet, Canvas's gradebook or Blackboard's download, and its first "
            f"row has {', '.join(table.head[:6]) or 'nothing'}; export it from the platform, and give it as it is"
        )
    table.platform = name
    return table


def find_platform(table: Table) -> str | None:
    """Whose table it is, by its head; in another language Moodle's has "Teilnehmer/in 12" and the like first."""
    head = table.head
    for name, (keys, signs) in KEYS.items():
        if signs <= {*head} and {*keys} & {*head}:
            return name
    first = [table.at(row, 0) for row in range(1, len(table.rows)) if table.rows[row]]
    words = {found[1] if (found := PARTICIPANT.fullmatch(one)) else "" for one in first}
    return "Moodle" if len(words) == 1 and words != {""} and len(head) > 4 else None


def find_column(table: Table, asked: str | None) -> int:
    """Where the points go. Raises: ValueError with the columns that there are, where it is not known which."""
    names = table.head
    if asked is None and table.platform == "Moodle" and "Grade" in names:
        return names.index("Grade")
    found = [i for i, name in enumerate(names) if asked and name_of(name).casefold() == asked.casefold()]
    found = found or [i for i, name in enumerate(names) if asked and asked.casefold() in name.casefold()]
    if len(found) != 1:
        raise ValueError(f"--column must name one of the table's columns: {', '.join(map(name_of, names))}")
    if find_most(table, found[0]).startswith("("):
        raise ValueError(f"--column must be one that Canvas takes back; it counts {names[found[0]]} itself (read only)")
    return found[0]


def find_most(table: Table, column: int) -> str:
    """The most points there, as the platform says it; "" where it does not."""
    if table.platform == "Canvas":
        rows = range(1, min(4, len(table.rows)))
        return next((table.at(row, column) for row in rows if table.at(row, 0).strip() == POINTS_POSSIBLE), "")
    if table.platform == "Moodle":
        return table.at(1, table.head.index("Maximum Grade")) if "Maximum Grade" in table.head else ""
    found = re.search(r"\[Total Pts: ([\d.,]+) ", table.head[column])
    return found[1] if found else ""


def is_most(told: str, most: float) -> bool:
    """Whether the platform's most is ours; so taken where it says none that can be read."""
    try:
        return float(told.replace(",", ".")) == most
    except ValueError:
        return True


def name_of(column: str) -> str:
    """The name that a teacher sees: without Canvas's number, without Blackboard's points."""
    return re.sub(r" (\(\d+\)|\[Total Pts.*\])( ?\|\d+)?$", "", column.strip())


def fill(
    table: Table, column: int, points: dict[str, float], roster: dict[str, Person] | None = None
) -> tuple[list[str], list[str]]:
    """Put the points into the table, in place; the students who have them there now, and those who are not in it.

    Somebody who is excused stays so, and is neither. roster: what nbgrader knows of them; a student's own name goes
    before it.
    """
    keys = [i for i, name in enumerate(table.head) if name in KEYS[table.platform][0]]
    own = find_number_column(table)
    names = {student.casefold(): student for student in points}
    for student in points:
        for name in (roster or {}).get(student, Person()).keys:
            names.setdefault(name, student)
    numbers = {found[1]: student for student in points if (found := re.search(r"_(\d+)$", student))}
    filled, excused = [], []
    for row, cells in enumerate(table.rows[1:], 1):
        told = [table.at(row, i).strip().casefold() for i in keys]
        number = re.search(r"\d+$", table.at(row, own).strip()) if own is not None else None
        found = [numbers.get(number[0]) if number else None, *map(names.get, filter(None, told))]
        student = next(filter(None, found), None)
        if student and table.at(row, column).strip().upper() == EXCUSED:
            excused.append(student)
        elif student and column < len(cells):
            cells[column] = f'"{points[student]:g}"' if cells[column].startswith('"') else f"{points[student]:g}"
            filled.append(student)
    return filled, sorted(set(points) - set(filled) - set(excused))


def find_number_column(table: Table) -> int | None:
    """The column with the platform's own numbers, which stand in the names of folders; in no other they count."""
    if table.platform not in NUMBERED:
        return None
    return table.head.index(NUMBERED[table.platform]) if NUMBERED[table.platform] in table.head else 0


def write_table(table: Table) -> bytes:
    """The table in the form in which it came."""
    rows = zip(table.rows, table.ends, strict=True)
    text = "".join(cell + end for cells, ends in rows for cell, end in zip(cells, ends, strict=True))
    return text.encode(table.encoding)


def read_points(course, assignment: str) -> tuple[dict[str, float], list[str]]:
    """The points in the gradebook, by hand and for being late included; and those who wait for a person to grade."""
    with course.api().gradebook as book:
        found = [one for one in book.assignment_submissions(assignment)]
        points = {one.student.id: max(0.0, one.score - (one.late_submission_penalty or 0.0)) for one in found}
        waiting = [one.student.id for one in found if one.needs_manual_grade]
    return points, sorted(waiting)


def read_most(course, assignment: str) -> float:
    """All points of the assignment, those by hand included."""
    with course.api().gradebook as book:
        return float(book.find_assignment(assignment).max_score)


def show_names(names: list[str], roster: dict[str, Person] | None = None) -> str:
    """A few of them, on one line; with the roster's names, where it has some."""
    known = {one: person.name for one, person in (roster or {}).items() if person.name and person.name != one}
    shown = [f"{one} ({known[one]})" if one in known else one for one in names[:10]]
    return ", ".join(map(no_formula, shown)) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
