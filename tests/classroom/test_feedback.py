"""What a student gets back: points and words beside each task, on a page that fetches nothing and runs nothing."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom.course import Course
from flowlib.classroom.feedback import FeedbackExporter
from flowlib.classroom.grading import grade_all, repair_submission
from flowlib.classroom.submissions import find_submissions
from flowlib.cli import main
from flowlib.pages.page import PageExporter

ROOT = Path(__file__).parents[2]
NAME = "03_another_kernel"
WRITTEN = (
    "No TeX: $\\frac{1$, and TeX: $\\gamma=1$. <script>alert(1)</script><img src='http://198.51.100.1/x.png'> "
    "$$\\begin{nothing}$$"
)
UNWEIGHTED = (
    "def near_attend(q, k, v, weights, scale=1.0):\n    g = 1 / (1 + (torch.cdist(q, k) / scale) ** 2)\n"
    "    return g / g.sum(-1, True) @ v"
)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A class of one, graded: the first task right, the second unweighted, the rest not done; a mixed-up text."""
    root = tmp_path_factory.mktemp("class")
    for kind in ("source", "release"):
        shutil.copytree(ROOT / "exercises" / kind / NAME, root / kind / NAME)
    made = Course(root)
    book = json.loads(made.notebook("release", NAME).read_text("utf-8"))
    given = {"shares": "shares = [0.588, 0.294, 0.118]", "near-attend": UNWEIGHTED, "derive": WRITTEN}
    for cell in book["cells"]:
        cell["source"] = given.get(cell["id"], cell["source"])
    place = root / "submitted" / "ben" / NAME
    place.mkdir(parents=True)
    (place / f"{NAME}.ipynb").write_text(json.dumps(book), "utf-8")
    (place / "the <b>rest.zip").write_bytes(b"")
    (result,) = grade_all(made, root / "submitted", names=[NAME], isolate=False, workers=1)
    assert result.score == 3 and all("was not opened" in note for note in result.notes)
    return made


def page(course: Course) -> str:
    return (course.root / "feedback" / "ben" / NAME / f"{NAME}.html").read_text("utf-8")


def test_the_page_says_what_is_wrong_and_what_a_person_grades(course):
    html = page(course)
    assert re.search(r"ben: 3 of 20\s+points, so far", html)
    assert "The weights of the tokens are missing" in html
    assert html.count("a person grades this") == 1  # what was left as it was handed out is 0 points, by nbgrader's rule
    assert html.count("<math") > 5


def test_the_page_runs_nothing_and_fetches_nothing(course):
    """Neither ours nor what a student wrote: no script stays, and the page's own policy stops the rest."""
    html = page(course)
    assert "<script" not in html.lower()
    tag = re.search(r"<meta[^>]*Content-Security-Policy[^>]*>", html)[0]
    policy = re.search(r'content="([^"]+)"', tag)[1]
    assert policy.startswith("default-src 'none'") and "http" not in policy
    for tag in re.findall(r"<(?:link|iframe|object|embed)\b[^>]*>", html):
        raise AssertionError(tag)
    assert "\\frac{1" in html and "nothing" in html  # TeX that is none stays as it was typed


def test_hidden_tests_and_rubrics_stay_hidden(course):
    html = page(course)
    source = course.notebook("source", NAME).read_text("utf-8")
    for secret in ("HIDDEN TESTS", "def reference", "Rubric"):
        assert secret in source and secret not in html


def test_what_a_person_graded_comes_onto_the_page(course, capsys):
    with course.api().gradebook as book:
        for task, score, words in (("derive", 2, "The bound needs γ ≥ 0."), ("explain", 0, "")):
            grade = book.find_grade(task, NAME, NAME, "ben")
            grade.manual_score, grade.needs_manual_grade = score, False
            book.find_comment(task, NAME, NAME, "ben").manual_comment = words
        book.db.commit()
    assert main(["feedback", "--course", str(course.root)]) == 0
    assert "1 pages" in capsys.readouterr().out
    html = page(course)
    assert re.search(r"ben: 5 of 20\s+points</strong>", html)
    assert "2 of 4 points. The bound needs γ ≥ 0." in html and "a person grades this" not in html


def test_the_page_names_what_nobody_opened(course):
    html = page(course)
    assert f"</strong> the &lt;b&gt;rest.zip was not opened; hand in the notebook itself, {NAME}.ipynb</p>" in html
    assert html.count("Not graded:") == 1


@pytest.mark.parametrize(("file", "said"), [("x.ipynb", "x.ipynb: the file is no"), ("x.zip", "no notebook in the")])
def test_a_student_is_told_why_nothing_was_graded(course, tmp_path, file, said):
    place = tmp_path / "eve" / NAME
    place.mkdir(parents=True)
    (place / file).write_text("{")
    (one,) = find_submissions(tmp_path, [NAME])
    given = [nbformat.read(course.notebook(kind, NAME), 4) for kind in ("source", "release")]
    _, notes, refused = repair_submission(one, *given)
    assert said in refused[-1] and notes[-1].startswith("graded as blank: ")
    assert len(refused) == 1 + (file == "x.zip")


def test_nbconverts_templates_are_found_where_jupyter_does_not_look(monkeypatch):
    monkeypatch.setattr("nbconvert.exporters.templateexporter.jupyter_path", lambda *parts: [])
    assert "<h1" in PageExporter().from_notebook_node(new_notebook(cells=[new_markdown_cell("# Here")]))[0]
    exporter = FeedbackExporter()
    assert "base/display_priority.j2" in exporter.environment.list_templates() and exporter.template


def test_feedback_before_grading_says_so(course, capsys):
    with pytest.raises(ValueError, match="has it been graded"):
        Course(course.root).feedback("04_none")
