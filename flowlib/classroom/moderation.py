"""A second marker: whom to mark twice, and where two people who marked the same differ."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One task of one student, with the points that each of the two gave; None where one has not marked it."""

    student: str
    task: str
    first: float | None
    second: float | None

    @property
    def size(self) -> float:
        if self.first is None or self.second is None:
            return float("inf")
        return abs(self.first - self.second)


def read_marks(course, assignment: str) -> dict[tuple[str, str], float | None]:
    """The points that a person gives, by student and task; None where that is still to be done."""
    marks = {}
    with course.api().gradebook as book:
        for submission in book.assignment_submissions(assignment):
            for notebook in submission.notebooks:
                by_hand = [one for one in notebook.grades if one.manual_score is not None or one.needs_manual_grade]
                for grade in by_hand:
                    waits = grade.needs_manual_grade
                    marks[submission.student.id, grade.name] = None if waits else float(grade.manual_score)
    return marks


def find_differences(first: dict, second: dict) -> list[Difference]:
    """Where the two differ, or only one has marked; the largest difference first."""
    pairs = [Difference(*key, first.get(key), second.get(key)) for key in sorted({*first, *second})]
    return sorted((one for one in pairs if one.first != one.second), key=lambda one: (-one.size, one.student, one.task))


def draw_sample(points: dict[str, float], most: float, share: float) -> list[str]:
    """Students to mark twice: a share, spread from the weakest to the best, and who is near half of all points."""
    ranked = sorted(points, key=lambda student: (points[student], student))
    wanted = max(2, round(share * len(ranked)))
    steps = [round(i * (len(ranked) - 1) / (wanted - 1)) for i in range(wanted)] if ranked else []
    near = {student for student in ranked if abs(points[student] - most / 2) <= 1}
    return [student for i, student in enumerate(ranked) if i in steps or student in near]
