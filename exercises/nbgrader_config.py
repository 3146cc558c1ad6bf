"""nbgrader's settings for this course, for its formgrader.

Start it from this folder: jupyter lab, then Nbgrader, Formgrader. Grade with `flowlib grade`, not with its button: only
the command runs a student's program in a sandbox.
"""

c = get_config()  # noqa: F821  (nbgrader provides it)
c.CourseDirectory.course_id = "flowlib"
c.ClearSolutions.code_stub = {"python": "# your code here\nraise NotImplementedError"}
c.ClearSolutions.text_stub = "*Your answer here.*"
