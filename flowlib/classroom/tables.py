"""Grades as tables: one line for each submission as CSV, every test as JSON."""

import csv
import io
import json

from flowlib.classroom.grading import Result

HEAD = ["student", "assignment", "score", "of", "to grade by hand", "tests passed", "what happened"]


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
    text = " ".join(text.split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def grades_json(results: list[Result]) -> str:
    """Every test of every submission, as JSON."""
    return json.dumps([{**r.__dict__, "score": r.score} for r in results], indent=1, ensure_ascii=False) + "\n"
