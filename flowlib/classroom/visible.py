"""The checks that a student sees, run by a command: for a repository of GitHub Classroom, or before handing in.

No source is needed, and no sandbox: it is the student's own machine, and the student's own program.
"""

from pathlib import Path

from flowlib.classroom.cells import grade_id, is_test, worth
from flowlib.classroom.grader import grade
from flowlib.classroom.repair import read, repair
from flowlib.classroom.room.sandbox import Limits


def check_visible(notebook: Path, release: Path, limits: Limits) -> list[tuple[str, float, str]]:
    """For each test: its name, the points that its visible part stands for, and what it says ("" where it passes)."""
    given = read(release)
    book, _ = repair(read(notebook), given, given)
    graded = grade(book, limits, notebook.parent, isolate=False)
    return [
        (grade_id(cell), worth(cell), "" if graded.points[grade_id(cell)] else say_error(cell))
        for cell in graded.notebook.cells
        if is_test(cell)
    ]


def say_error(cell) -> str:
    """The words of the check that failed."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    return "\n".join(errors[-1].traceback) if errors else "it did not pass"
