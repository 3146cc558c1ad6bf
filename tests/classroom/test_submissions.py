"""What lies in a folder of submissions: which notebook is graded, and what is no submission."""

import os
import shutil
from codecs import BOM_UTF8
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom.course import Course
from flowlib.classroom.grading import grade_all, grade_submission
from flowlib.classroom.handing import hand_over
from flowlib.classroom.repair import Unreadable, read
from flowlib.classroom.results import Result
from flowlib.classroom.room import bubblewrap, sandbox
from flowlib.classroom.room.sandbox import Limits
from flowlib.classroom.submissions import Submission, find_submissions
from flowlib.classroom.unread import find_unread, tell_unopened
from flowlib.cli import main

COURSE = Course(Path(__file__).parents[2] / "exercises")
NAME = "03_another_kernel"


def find_refused(folder: Path, names: list[str]) -> list[str]:
    """What is said of things that somebody may have meant for submissions."""
    return [str(one) for one in find_unread(folder, names, COURSE.assignments()) if one.meant]


def handed_in(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(COURSE.notebook("release", NAME), folder / file)


def test_of_several_notebooks_one_is_graded_and_the_table_says_which(tmp_path):
    handed_in(tmp_path, f"ada/{NAME}/a_draft.ipynb", f"ada/{NAME}/final.ipynb")
    (one,) = find_submissions(tmp_path, [NAME])
    assert one.notebook.name == "a_draft.ipynb" and one.others == ("final.ipynb",)
    result, _ = grade_submission(COURSE, one, Limits(), isolate=False, seed=0)
    assert "of several notebooks a_draft.ipynb was graded, and not final.ipynb" in result.notes[0]


def test_the_assignments_own_name_wins(tmp_path):
    handed_in(tmp_path, f"ada/{NAME}/a_draft.ipynb", f"ada/{NAME}/{NAME}.ipynb")
    (one,) = find_submissions(tmp_path, [NAME])
    assert one.notebook.name == f"{NAME}.ipynb" and not one.others


def test_a_misspelt_folder_is_found(tmp_path):
    handed_in(tmp_path, f"ada/{NAME}/x.ipynb", "bob/3_another_kernel/x.ipynb", "cyd/.hidden/x.ipynb")
    (tmp_path / "dan" / "notes").mkdir(parents=True)
    (tmp_path / "dan" / "texts").mkdir()
    (tmp_path / "dan" / "texts" / "a.txt").touch()
    bob, cyd, dan = find_unread(tmp_path, COURSE.assignments())
    assert bob.place == tmp_path / "bob" / "3_another_kernel" and bob.meant and "is no assignment" in bob.why
    assert cyd.student == "cyd" and dan.place == tmp_path / "dan" / "texts" and not dan.meant


def test_the_command_refuses_a_folder_for_the_table_before_it_grades(tmp_path, capsys):
    handed_in(tmp_path, f"ada/{NAME}/x.ipynb")
    assert main(["grade", str(tmp_path), "--out", str(tmp_path), "--course", str(COURSE.root)]) == 2
    assert "--out must be a file, such as grades.csv" in capsys.readouterr().err


def test_feedback_knows_the_assignments(capsys):
    assert main(["feedback", "nope", "--course", str(COURSE.root)]) == 2
    assert "unknown assignment 'nope'; known: " in capsys.readouterr().err


ODD_FILES = {  # a flat folder's file -> what is said of the student's name
    "...ipynb": "'..' begins with a dot",
    ".ipynb": "'' is empty",
    "..ipynb": "'.' begins with a dot",
    ".ada.ipynb": "'.ada' begins with a dot",
    "a*.ipynb": "'a*' has '*' in it",
    "a[1].ipynb": "'a[1]' has '[', ']' in it",
    "a\\b.ipynb": "has '\\\\' in it",
    "a\nb.ipynb": "'a\\nb' has '\\n' in it",
    " ada.ipynb": "' ada' begins or ends with a blank",
    "=HYPERLINK(1).ipynb": "has '=' in it",
    "-2+3.ipynb": "begins with '-'",
    "<img src=x>.ipynb": "has '<', '=', '>' in it",
}


@pytest.mark.parametrize("file", ODD_FILES)
def test_a_name_that_could_not_be_a_folder_is_refused_and_the_others_are_found(tmp_path, file):
    handed_in(tmp_path, file, "bob.ipynb")
    assert [one.student for one in find_submissions(tmp_path, [NAME])] == ["bob"]
    (sentence,) = find_refused(tmp_path, [NAME])
    assert ODD_FILES[file] in sentence and "\n" not in sentence


@pytest.mark.parametrize("student", [".ada", "a*", "a?b", "ada "])
def test_a_folder_of_such_a_name_is_refused_too(tmp_path, student):
    handed_in(tmp_path, f"{student}/{NAME}/x.ipynb")
    with pytest.raises(FileNotFoundError, match="a student's name must be a plain one"):
        find_submissions(tmp_path, [NAME])


@pytest.mark.parametrize("student", ["", ".", "..", "a/b", "../..", "a\0", "*", "\udcff"])
def test_no_submission_has_such_a_student(student):
    with pytest.raises(ValueError, match="a student's name must be a plain one"):
        Submission(student, NAME, Path(), None)


@pytest.mark.parametrize("student", ["ada", "Ada Lovelace", "Jürgen", "O'Neill-Ba", "a.b", "a+b@example.org", "李雷"])
def test_ordinary_names_are_fine(tmp_path, student):
    handed_in(tmp_path, f"{student}.ipynb")
    assert [one.student for one in find_submissions(tmp_path, [NAME])] == [student]
    assert not find_refused(tmp_path, [NAME])


def test_links_are_refused_aloud(tmp_path):
    handed_in(tmp_path, f"in/ada/{NAME}/x.ipynb")
    (tmp_path / "in" / "bob").symlink_to(tmp_path / "in" / "ada")
    (tmp_path / "in" / "cyd").mkdir()
    (tmp_path / "in" / "cyd" / NAME).symlink_to(tmp_path / "in" / "ada" / NAME)
    assert [one.student for one in find_submissions(tmp_path / "in", [NAME])] == ["ada"]
    bob, cyd = find_refused(tmp_path / "in", [NAME])
    assert "bob is a link" in bob and f"{NAME} is a link" in cyd
    handed_in(tmp_path, "flat/dan.ipynb")
    (tmp_path / "flat" / "eve.ipynb").symlink_to(tmp_path / "flat" / "dan.ipynb")
    assert ["eve.ipynb is a link" in one for one in find_refused(tmp_path / "flat", [NAME])] == [True]


def test_what_was_handed_in_twice_is_graded_once_and_named(tmp_path):
    handed_in(tmp_path, f"ada/{NAME}/x.ipynb", "ada.ipynb")
    (one,) = find_submissions(tmp_path, [NAME])
    assert one.notebook.name == "x.ipynb"
    assert "ada.ipynb: ada has handed in" in find_refused(tmp_path, [NAME])[0]


def copy_of_course(folder: Path) -> Course:
    for kind in ("source", "release"):
        shutil.copytree(COURSE.root / kind / NAME, folder / "course" / kind / NAME)
    return Course(folder / "course")


@pytest.mark.parametrize("part", ["", "source", "release", f"release/{NAME}", "autograded", "feedback", ".graded"])
def test_the_course_itself_is_no_folder_of_submissions(tmp_path, part):
    course = copy_of_course(tmp_path)
    (course.root / part).mkdir(exist_ok=True)
    with pytest.raises(ValueError, match=r"is the course's own .* such as .*submitted"):
        grade_all(course, course.root / part, names=[NAME], isolate=False)


def test_nothing_is_deleted_through_a_link(tmp_path):
    course = copy_of_course(tmp_path)
    (tmp_path / "mine" / NAME).mkdir(parents=True)
    (tmp_path / "mine" / NAME / "precious").touch()
    (course.root / ".graded").mkdir()
    (course.root / ".graded" / "ada").symlink_to(tmp_path / "mine")
    with pytest.raises(ValueError, match="a link leads from"):
        hand_over(course, Submission("ada", NAME, tmp_path, None), Result("ada", NAME), "{}", feedback=False)
    assert (tmp_path / "mine" / NAME / "precious").exists()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("notes.csv", "is there already, and no such file of this command's"),
        ("links.csv", "links.json is there already"),  # its details would go there
        ("grades.json", "may not be called grades.json"),
        ("ada.ipynb", "may not be called ada.ipynb"),
        ("link.csv", "is a link or a device"),
        ("/dev/null", "is a link or a device"),
    ],
)
def test_grades_are_written_over_nothing_else(tmp_path, monkeypatch, capsys, out, said):
    monkeypatch.chdir(tmp_path)
    Path("notes.csv").write_text("my own notes")
    Path("links.json").write_text('{"repository": ""}')
    Path("link.csv").symlink_to("notes.csv")
    handed_in(tmp_path, f"in/ada/{NAME}/x.ipynb")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert main(["grade", "in", "--out", out, "--course", str(COURSE.root)]) == 2
    assert said in capsys.readouterr().err
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_grading_on_windows_says_at_once_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sandbox.platform, "system", lambda: "Windows")
    for how in ("bubblewrap", "none"):
        assert main(["grade", str(tmp_path / "nothing"), "--out", "x.csv", "--sandbox", how]) == 2
        said = capsys.readouterr().err
        assert "WSL2" in said and "container" in said and said.count("\n") == 1


@pytest.mark.parametrize("flag", ["--workers=-1", "--seconds=0", "--call-seconds=nan", "--megabytes=-5"])
def test_a_limit_that_is_none_is_refused_before_anything_is_graded(tmp_path, capsys, flag):
    handed_in(tmp_path, f"in/ada/{NAME}/x.ipynb")
    course = copy_of_course(tmp_path)
    asked = ["grade", str(tmp_path / "in"), "--out", str(tmp_path / "x.csv"), "--course", str(course.root), flag]
    assert main(asked) == 2 and capsys.readouterr().err.count("\n") == 1
    assert sorted(file.name for file in course.root.iterdir()) == ["release", "source"]


def test_feedback_before_anything_was_graded_says_what_comes_first(tmp_path, capsys):
    assert main(["feedback", "--course", str(copy_of_course(tmp_path).root)]) == 2
    assert "nothing has been graded" in capsys.readouterr().err


def test_no_sandbox_is_not_had_by_accident(tmp_path, capsys):
    handed_in(tmp_path, f"in/ada/{NAME}/x.ipynb")
    asked = ["grade", str(tmp_path / "in"), "--out", str(tmp_path / "x.csv"), "--sandbox", "none"]
    assert main([*asked, "--course", str(COURSE.root)]) == 2
    said = capsys.readouterr().err
    assert "read the answer key and write others' work" in said and "--trust-students" in said and said.count("\n") == 1
    assert not (tmp_path / "x.csv").exists()


def test_without_a_sandbox_a_program_works_on_copies(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.txt").write_text("mine")
    (tmp_path / "mine" / "link.txt").symlink_to(tmp_path / "mine" / "photo.txt")
    folder = sandbox.copy_files(tmp_path / "mine")
    try:
        assert [file.name for file in folder.iterdir()] == ["photo.txt"]
        assert not folder.is_relative_to(tmp_path / "mine") and (folder / "photo.txt").read_text() == "mine"
    finally:
        shutil.rmtree(folder)


def test_without_a_sandbox_one_message_says_so(tmp_path, monkeypatch, capsys):
    handed_in(tmp_path, f"in/ada/{NAME}/x.ipynb")
    monkeypatch.setattr(sandbox, "find_obstacle", lambda: "there is no bubblewrap")
    asked = ["grade", str(tmp_path / "in"), "--out", str(tmp_path / "x.csv"), "--course", str(COURSE.root)]
    assert (
        main(asked) == 2
        and "there is no bubblewrap. Or grade in containers: flowlib grade … --sandbox docker"
        in capsys.readouterr().err
    )


def test_the_sandbox_sees_folders_of_packages_and_no_others(tmp_path, monkeypatch):
    own = tmp_path / "lib" / "site-packages"
    own.mkdir(parents=True)
    monkeypatch.setattr(bubblewrap.sys, "path", [str(tmp_path), str(own), str(tmp_path / "gone" / "site-packages")])
    assert bubblewrap.find_sites() == [str(own)]
    assert str(own) in bubblewrap.environment()["PYTHONPATH"].split(os.pathsep)
    shown = bubblewrap.bubblewrap(None)
    assert str(own) in shown and str(tmp_path) not in shown


@pytest.mark.skipif(not shutil.which("bwrap"), reason="needs bubblewrap")
def test_a_package_that_the_sandbox_does_not_see_is_named(monkeypatch):
    if sandbox.find_obstacle():
        pytest.skip("no sandbox here")
    monkeypatch.setattr(sandbox, "NEEDED", ("torch", "no_such_package"))
    assert sandbox.find_obstacle().startswith("in the sandbox Python does not find no_such_package: ")


# ------------------------------------------------------------------------------------------------ honest students

DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \xff\xfe"


def test_what_an_archive_of_macos_brings_along_is_nobodys(tmp_path):
    handed_in(tmp_path, f"in/ada/{NAME}/final.ipynb", "flat/ada.ipynb")
    for file in (f"in/ada/{NAME}/._final.ipynb", f"in/__MACOSX/{NAME}/._final.ipynb", "flat/._ada.ipynb"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(DOUBLE)
    for folder in ("in", "flat"):
        (one,) = find_submissions(tmp_path / folder, [NAME])
        assert one.student == "ada" and one.notebook.name in ("final.ipynb", "ada.ipynb") and not one.others
        assert not find_refused(tmp_path / folder, [NAME])


def test_a_folder_of_moodles_is_a_student_with_a_number(tmp_path):
    handed_in(
        tmp_path, "Ada Lovelace_12345_assignsubmission_file/x.ipynb", "Ada Lovelace_7_assignsubmission_file_/y.ipynb"
    )
    found = find_submissions(tmp_path, [NAME])
    assert {one.student: one.notebook.name for one in found} == {
        "Ada Lovelace_12345": "x.ipynb",
        "Ada Lovelace_7": "y.ipynb",
    }
    assert not find_refused(tmp_path, [NAME])
    with pytest.raises(FileNotFoundError, match="give --assignment NAME"):
        find_submissions(tmp_path, COURSE.assignments())


def test_in_a_flat_folder_nobody_is_given_the_others_files_whatever_it_is_called(tmp_path):
    handed_in(tmp_path / NAME, "ada.ipynb", "bob.ipynb")
    (tmp_path / NAME / "bob.zip").write_bytes(b"")
    found = find_submissions(tmp_path / NAME, [NAME])
    assert [(one.student, one.files, tell_unopened(one)) for one in found] == [
        ("ada", None, []),
        ("bob", None, [f"bob.zip was not opened; hand in the notebook itself, {NAME}.ipynb"]),
    ]
    handed_in(tmp_path, f"eve/{NAME}/x.ipynb")
    assert find_submissions(tmp_path, [NAME])[0].files == tmp_path / "eve" / NAME


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("bob.zip", "is an archive; unpack it"),
        ("bob.ipynb.bak", "must end in .ipynb"),
        ("bob/x.ipynb", "lies in no assignment's folder; put it into"),
        (f"bob/{NAME}.zip", "is an archive"),
        (f"bob/{NAME}/x.ipynb.part", "must end in .ipynb"),
        (f"ada/{NAME}/more.tar.gz", "is an archive"),
        ("bob_1_assignsubmission_file/x.ipynb.zip", "is an archive"),
    ],
)
def test_a_file_that_is_not_read_is_mentioned(tmp_path, file, said):
    handed_in(tmp_path, f"ada/{NAME}/x.ipynb", file)
    assert "ada" in [one.student for one in find_submissions(tmp_path, [NAME])]
    (sentence,) = find_refused(tmp_path, [NAME])
    assert Path(file).name in sentence and said in sentence


@pytest.mark.parametrize("end", [".ipynb", ".IPYNB", ".ipynb.txt", ".ipynb.json", ".ipynb (1)", ".ipynb(2)"])
def test_a_notebook_is_one_whatever_a_browser_made_of_its_name(tmp_path, end):
    handed_in(tmp_path, f"in/ada/{NAME}/x{end}", f"flat/ada{end}")
    for folder in ("in", "flat"):
        (one,) = find_submissions(tmp_path / folder, [NAME])
        assert one.student == "ada" and one.notebook.name.endswith(end)
        assert not find_refused(tmp_path / folder, [NAME])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_notebook_is_read_whatever_windows_made_of_it(tmp_path, encoding):
    text = COURSE.notebook("release", NAME).read_text("utf-8")
    (tmp_path / "x.ipynb").write_text(text, encoding)
    assert read(tmp_path / "x.ipynb") == read(COURSE.notebook("release", NAME))


@pytest.mark.parametrize("data", [b"", BOM_UTF8, b"\xff\xfe\x00", b"\xff", b"[1]", b'{"cells": 3}'])
def test_what_is_no_notebook_is_unreadable(tmp_path, data):
    (tmp_path / "x.ipynb").write_bytes(data)
    with pytest.raises(Unreadable):
        read(tmp_path / "x.ipynb")
