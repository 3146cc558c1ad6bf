"""What nbgrader's marks say of a cell."""

from typing import Any

REFUSED = "flowlib_refused"  # in a graded notebook's metadata: for its student, what was not looked at


def mark(cell) -> dict[str, Any]:
    """nbgrader's metadata of a cell, {} where it has none."""
    found = cell.metadata.get("nbgrader", {}) if hasattr(cell.get("metadata"), "get") else {}
    return found if isinstance(found, dict) else {}


def grade_id(cell) -> str:
    return str(mark(cell).get("grade_id", ""))


def worth(cell) -> float:
    """The most that the cell gives, by a test or by hand."""
    return float(mark(cell).get("points") or 0)


def is_test(cell) -> bool:
    """A cell that gives points automatically: it is graded, and not written by the student."""
    return cell.cell_type == "code" and bool(mark(cell).get("grade")) and not mark(cell).get("solution")


def is_given(cell) -> bool:
    """Code that the assignment gives and the student must not change."""
    return cell.cell_type == "code" and bool(mark(cell).get("locked")) and not mark(cell).get("grade")


def is_answer(cell) -> bool:
    """A cell that the student writes: a solution, or a task."""
    return bool(mark(cell).get("solution") or mark(cell).get("task"))
