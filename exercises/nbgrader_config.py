"""nbgrader's settings for this course: for its formgrader, and for `flowlib release` and `flowlib grade`, which read them.

Start the formgrader from this folder: jupyter lab, then Nbgrader → Formgrader.
"""

c = get_config()  # noqa: F821  (nbgrader provides it)
c.CourseDirectory.course_id = "flowlib"
c.ClearSolutions.code_stub = {"python": "# your code here\nraise NotImplementedError"}
c.ClearSolutions.text_stub = "*Your answer here.*"
