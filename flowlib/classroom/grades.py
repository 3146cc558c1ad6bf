"""Grades from nbgrader's gradebook, for a page of feedback."""

from nbgrader.preprocessors import GetGrades


class Grades(GetGrades):
    """nbgrader's step that puts points and comments into a notebook, and says as well what no person has graded yet."""

    def _get_score(self, cell, resources) -> None:
        super()._get_score(cell, resources)
        name = cell.metadata["nbgrader"]["grade_id"]
        grade = self.gradebook.find_grade(name, self.notebook_id, self.assignment_id, self.student_id)
        cell.metadata.nbgrader["waiting"] = bool(grade.needs_manual_grade)
