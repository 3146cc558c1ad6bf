"""A course folder loses nothing: what nbgrader makes comes into place whole, and what was put there by hand stays."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom import course as course_module
from flowlib.classroom import grading
from flowlib.classroom.course import ASIDE, Course, find_reason
from flowlib.cli import main

EXERCISES = Path(__file__).parents[2] / "exercises"
NAME = "03_another_kernel"


@pytest.fixture
def course(tmp_path) -> Course:
    for kind in ("source", "release"):
        shutil.copytree(EXERCISES / kind / NAME, tmp_path / "exercises" / kind / NAME)
    return Course(tmp_path / "exercises")


def release(course: Course) -> int:
    return main(["release", NAME, "--course", str(course.root)])


def spoil(course: Course) -> None:
    source = course.notebook("source", NAME)
    source.write_text(source.read_text("utf-8").replace("### END SOLUTION", "", 1), "utf-8")


def test_a_release_that_fails_leaves_the_old_one_whole(course, capsys):
    before = course.notebook("release", NAME).read_bytes()
    spoil(course)
    assert release(course) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"flowlib release: nbgrader cannot release {NAME}, and nothing was written: ")
    assert said.count("\n") == 1 and "RuntimeError: no end solution statement found" in said
    assert course.notebook("release", NAME).read_bytes() == before and not (course.root / ASIDE).exists()


def test_what_cannot_be_given_to_the_gradebook_is_said_before_the_grading(course, tmp_path, monkeypatch):
    shutil.copytree(EXERCISES / "release" / NAME, tmp_path / "in" / "ada" / NAME)
    spoil(course)
    monkeypatch.setattr(grading, "grade_side_by_side", lambda *_: pytest.fail("it was graded"))
    with pytest.raises(ValueError, match="no end solution statement"):
        grading.grade_all(course, tmp_path / "in", names=[NAME], isolate=False)


def test_pages_of_feedback_leave_alone_what_lies_beside_them(course, tmp_path):
    shutil.copytree(EXERCISES / "release" / NAME, tmp_path / "in" / "ada" / NAME)
    scan = course.root / "feedback" / "ada" / NAME / "scan.pdf"
    scan.parent.mkdir(parents=True)
    scan.write_text("by hand")
    for _ in range(2):
        (result,) = grading.grade_all(course, tmp_path / "in", names=[NAME], isolate=False, workers=1)
        assert not result.notes
    assert scan.read_text() == "by hand" and scan.with_name(f"{NAME}.html").is_file()
    (course.root / "feedback" / "bob").symlink_to(tmp_path / "in")
    shutil.copytree(EXERCISES / "release" / NAME, tmp_path / "in" / "bob" / NAME)
    ada, bob = grading.grade_all(course, tmp_path / "in", names=[NAME], isolate=False, workers=1)
    assert not ada.notes and "in the way" in bob.notes[-1] and not list((tmp_path / "in").rglob("*.html"))


def test_what_a_teacher_put_beside_a_release_stays_and_is_named(course, capsys):
    (course.root / "release" / NAME / "notes.txt").write_text("mine")
    (course.root / "release" / NAME / ".ipynb_checkpoints").mkdir()
    (course.root / "release" / NAME / ".ipynb_checkpoints" / "x.ipynb").touch()
    assert release(course) == 0
    assert capsys.readouterr().out.endswith(f"beside it, and not from source/{NAME}: notes.txt\n")
    assert (course.root / "release" / NAME / "notes.txt").read_text() == "mine"


def test_files_of_the_source_come_along_and_replace_older_ones(course):
    (course.root / "source" / NAME / "data").mkdir()
    (course.root / "source" / NAME / "data" / "x.csv").write_text("new")
    (course.root / "release" / NAME / "data").mkdir()
    (course.root / "release" / NAME / "data" / "x.csv").write_text("old")
    assert release(course) == 0
    assert (course.root / "release" / NAME / "data" / "x.csv").read_text() == "new"


def link(place: Path, target: Path) -> None:
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(target)


@pytest.mark.parametrize("part", [f"release/{NAME}", f"release/{NAME}/{NAME}.ipynb"])
def test_a_release_goes_through_no_link(course, tmp_path, capsys, part):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine") if part.endswith(".ipynb") else elsewhere.mkdir()
    link(course.root / part, elsewhere)
    assert release(course) == 2 and "is a link, and is in the way" in capsys.readouterr().err
    assert elsewhere.read_text() == "mine" if part.endswith(".ipynb") else not any(elsewhere.iterdir())


def test_a_file_in_the_place_of_a_release_is_refused(course, capsys):
    shutil.rmtree(course.root / "release" / NAME)
    (course.root / "release" / NAME).write_text("mine")
    assert release(course) == 2 and "is a file, and is in the way" in capsys.readouterr().err
    assert (course.root / "release" / NAME).read_text() == "mine"


def test_what_pip_installed_for_the_user_alone_is_found(tmp_path, monkeypatch):
    """The scripts of pip install --user lie on no PATH by themselves; nbgrader asks the shell for one of them."""
    monkeypatch.setattr(course_module.sysconfig, "get_path", lambda *_: str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin")
    for _ in range(2):
        course_module.put_scripts_on_path()
    beside = str(Path(course_module.sys.executable).parent)
    assert course_module.os.environ["PATH"].split(course_module.os.pathsep) == [beside, str(tmp_path), "/usr/bin"]


def test_of_what_nbgrader_says_the_error_is_told():
    log = "[ERROR] while processing\n[ERROR] Traceback (most recent call last):\n  File x\nRuntimeError: no mark\n"
    error = "Traceback\nnbgrader.converters.base.NbGraderException: Please see the the above traceback for details\n"
    assert find_reason({"error": error, "log": log}) == "RuntimeError: no mark"
    assert find_reason({"error": "ValueError: first\nKeyError: last\n"}) == "KeyError: last"
    assert find_reason({"log": "nothing to do\n"}) == "nothing to do"
    assert find_reason({}) == "no reason given"
