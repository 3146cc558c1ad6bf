"""Grades as tables: one line for each submission as CSV, every test as JSON."""

import csv
import io
import json
import re

from flowlib.classroom.results import Result
from flowlib.classroom.safe import well_formed

HEAD = ["student", "assignment", "score", "of", "to grade by hand", "tests passed", "what happened"]

FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "|", "%")  # wide ones, too: some spreadsheets read them alike
CODES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-_])|\x9b[0-?]*[ -/]*[@-~]")
MOST_LETTERS = 500  # of what is said of one submission


def grades_csv(results: list[Result]) -> str:
    """The grades as CSV: a line for each submission, the same for the same submissions."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(HEAD)
    rows.writerows(make_row(result) for result in sorted(results, key=lambda r: (r.assignment, r.student)))
    return out.getvalue()


def make_row(result: Result) -> list[str]:
    return [
        no_formula(result.student),
        result.assignment,
        f"{result.score:g}",
        f"{sum(result.most.values()):g}",
        f"{result.by_hand:g}",
        f"{sum(points > 0 for points in result.points.values())} of {len(result.points)}",
        no_formula("; ".join(result.notes)),
    ]


def no_formula(text: str) -> str:
    """A text that no spreadsheet takes for a formula, on one line."""
    text = plain(text)
    return f"'{text}" if text.startswith(FORMULAS) else text


def plain(text: str, most: int = MOST_LETTERS) -> str:
    """A text on one line, without a terminal's codes or half a character, and not without end."""
    line = " ".join(CODES.sub("", text[: 20 * most]).split())
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in line)
    return line if len(line) <= most else f"{line[:most]} …"


def grades_json(results: list[Result]) -> str:
    """Every test of every submission, as JSON."""
    made = [{**r.__dict__, "notes": [plain(n, 4 * MOST_LETTERS) for n in r.notes], "score": r.score} for r in results]
    return json.dumps(well_formed(made), indent=1, ensure_ascii=False) + "\n"
