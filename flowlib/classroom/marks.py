"""What a person has graded stays graded when the same answer is graded again.

nbgrader keeps the points of a second run, and asks for all of them to be looked at once more, also where the answer is
the very one that the person has read.
"""

from dataclasses import dataclass

from flowlib.classroom.cells import grade_id


@dataclass(frozen=True)
class Marks:
    """The answers that a person is done with, by name: their text, when it was graded."""

    answers: dict[str, str]


def read_marks(course, student: str, assignment: str) -> Marks:
    """What is in the gradebook before a run."""
    with course.api().gradebook as book:
        done = [one.name for one in find_grades(book, student, assignment) if is_done(one)]
    texts = read_answers(course, student, assignment)
    return Marks({name: texts[name] for name in done if name in texts})


def keep_marks(course, student: str, assignment: str, before: Marks) -> None:
    """After a run: no person need look again at an answer that is what it was."""
    texts = read_answers(course, student, assignment)
    same = {name for name, text in before.answers.items() if texts.get(name) == text}
    with course.api().gradebook as book:
        for one in find_grades(book, student, assignment):
            if one.name in same and one.manual_score is not None:
                one.needs_manual_grade = False
        book.db.commit()


def is_done(grade) -> bool:
    return grade.manual_score is not None and not grade.needs_manual_grade


def find_grades(book, student: str, assignment: str) -> list:
    """The grades of one submission; none where it was never graded."""
    from nbgrader.api import MissingEntry

    try:
        submission = book.find_submission(assignment, student)
    except MissingEntry:
        return []
    return [grade for notebook in submission.notebooks for grade in notebook.grades]


def read_answers(course, student: str, assignment: str) -> dict[str, str]:
    """The text of each graded cell, as it lies in autograded/."""
    import nbformat

    file = course.root / "autograded" / student / assignment / f"{assignment}.ipynb"
    if not file.is_file():
        return {}
    return {grade_id(cell): cell.source for cell in nbformat.read(file, 4).cells if grade_id(cell)}
