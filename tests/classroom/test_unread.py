"""No file in a folder of submissions goes unmentioned: on the console, in the table, on the student's page."""

import csv
import shutil
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom import grading
from flowlib.classroom.course import Course
from flowlib.classroom.grading import repair_submission
from flowlib.classroom.names import is_named, read_flat, read_folder, read_name
from flowlib.classroom.repair import read
from flowlib.classroom.results import Result
from flowlib.classroom.submissions import find_submissions
from flowlib.classroom.unread import find_unread, tell_beside, tell_unopened, walk
from flowlib.cli import main

COURSE = Course(Path(__file__).parents[2] / "exercises")
NAME = "03_another_kernel"
OTHER = "04_at_most"


def hand_in(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        if file.endswith(".ipynb"):
            shutil.copyfile(COURSE.notebook("release", NAME), folder / file)
        else:
            (folder / file).write_bytes(b"x")


FOLDER = {  # a file of ada's, in her folder for the assignment -> whether it goes with the notebook
    "helper.py": True,
    "report.pdf": True,
    "pictures/photo.png": True,
    "a_draft.ipynb": True,  # beside the one of the assignment's own name
    "work.zip": False,
    "work/final.ipynb": False,
    "work/more.zip": False,
    "x.ipynb.bak": False,
    ".hidden/x.txt": False,
    "__x/x.txt": False,
    "link.py": False,
}


@pytest.mark.parametrize("file", FOLDER)
def test_what_lies_beside_a_notebook_is_in_its_line_and_what_is_not_opened_on_the_page(tmp_path, file):
    hand_in(tmp_path, f"ada/{NAME}/{NAME}.ipynb")
    if file == "link.py":
        (tmp_path / "ada" / NAME / file).symlink_to("/etc/passwd")
    else:
        hand_in(tmp_path, f"ada/{NAME}/{file}")
    (one,) = find_submissions(tmp_path, [NAME])
    source, release = (read(COURSE.notebook(kind, NAME)) for kind in ("source", "release"))
    _, notes, page = repair_submission(one, source, release)
    said = f"beside the notebook: {file}" if FOLDER[file] else f"{file} was not opened; hand in the notebook itself"
    assert any(note.startswith(said) for note in notes)
    assert [said] == [note[: len(said)] for note in page] if not FOLDER[file] else not page


def test_what_systems_add_needs_no_mention(tmp_path):
    hand_in(tmp_path, f"ada/{NAME}/x.ipynb", *(f"ada/{NAME}/{f}" for f in (".DS_Store", "timestamp.txt", "._x.ipynb")))
    hand_in(tmp_path, f"ada/{NAME}/.git/config", f"ada/{NAME}/.ipynb_checkpoints/x.ipynb", f"__MACOSX/{NAME}/._x.ipynb")
    (one,) = find_submissions(tmp_path, [NAME])
    assert not tell_unopened(one) and not tell_beside(one) and not find_unread(tmp_path, [NAME])


AROUND = {  # a file elsewhere in the folder -> whose, whether it may be a submission, a part of what is said
    "bob.zip": ("bob", True, "is an archive"),
    "class.pdf": ("class.pdf", False, "is no notebook"),
    "bob/notes.docx": ("bob", False, "is no notebook"),
    "bob/x.zip": ("bob", True, "is an archive"),
    "bob/x.ipynb": ("bob", True, "lies in no assignment's folder"),
    "bob/another_kernel/work.zip": ("bob", True, "is no assignment of the course; known: "),
    "bob/another_kernel/a/b/x.ipynb": ("bob", True, "is no assignment of the course"),
    "bob/pictures/a.png": ("bob", False, "is no assignment of the course"),
    "Bo_7_assignsubmission_onlinetext_/onlinetext.html": ("Bo_7_assignsubmission_onlinetext_", False, "is no notebook"),
}


@pytest.mark.parametrize("file", AROUND)
def test_what_lies_elsewhere_is_mentioned_once_and_has_a_line(tmp_path, file):
    hand_in(tmp_path, f"ada/{NAME}/{NAME}.ipynb", f"ada/{OTHER}/{OTHER}.ipynb", file)
    (one,) = find_unread(tmp_path, [NAME], COURSE.assignments())
    student, meant, said = AROUND[file]
    assert (one.student, one.meant) == (student, meant) and said in one.why


@pytest.mark.parametrize("layout", ["flat", "folders"])
def test_a_student_of_whom_there_is_only_an_archive_gets_a_line_and_a_page(tmp_path, layout):
    if layout == "flat":
        hand_in(tmp_path, "ada.ipynb", "bob.zip", "Cy Do_7_assignsubmission_file_work.tar.gz")
    else:
        hand_in(tmp_path, f"ada/{NAME}/x.ipynb", "bob/work.zip", "Cy Do_7_assignsubmission_file/work.tar.gz")
    found = {one.student: one for one in find_submissions(tmp_path, [NAME])}
    assert sorted(found) == ["Cy Do_7", "ada", "bob"] and found["bob"].notebook is None
    source, release = (read(COURSE.notebook(kind, NAME)) for kind in ("source", "release"))
    for student, end in (("bob", ".zip"), ("Cy Do_7", ".tar.gz")):
        _, notes, page = repair_submission(found[student], source, release)
        assert f"{end} was not opened; hand in the notebook itself" in notes[0] and notes[0] == page[0]
        assert "graded as blank: there is no notebook in the folder" in notes


def test_the_whole_class_in_an_archive_is_no_student(tmp_path):
    hand_in(tmp_path, f"ada/{NAME}/x.ipynb", "submissions.zip")
    assert [one.student for one in find_submissions(tmp_path, [NAME])] == ["ada"]
    assert ["is an archive" in str(one) for one in find_unread(tmp_path, [NAME])] == [True]


def test_a_folder_that_has_no_end_is_looked_at_for_a_while(tmp_path):
    hand_in(tmp_path, f"ada/{NAME}/x.ipynb", *(f"ada/{NAME}/{i:04d}.zip" for i in range(1200)))
    (said,) = tell_unopened(find_submissions(tmp_path, [NAME])[0])
    assert said.startswith("0000.zip, 0001.zip, ") and " and 995 more were not opened" in said


def test_the_table_and_the_console_have_all_of_it(tmp_path, monkeypatch, capsys):
    hand_in(tmp_path, f"in/ada/{NAME}/x.ipynb", "in/bob/x.ipynb", "in/=1+1.zip", "in/readme.txt")
    monkeypatch.setattr(grading, "run_apart", lambda *a, **k: (Result("ada", NAME, {"a": 1.0}, {"a": 1.0}), ""))
    monkeypatch.setattr(Course, "register", lambda *a: None)
    asked = ["grade", str(tmp_path / "in"), "--out", str(tmp_path / "x.csv"), "--course", str(COURSE.root)]
    assert main([*asked, "--sandbox", "none", "--trust-students"]) == 1
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text("utf-8").splitlines()))
    told = {row["student"]: row["what happened"] for row in rows}
    assert set(told) == {"ada", "bob", "'=1+1", "readme"} and len(rows) == 4
    assert told["bob"].startswith("NOT GRADED: ") and told["readme"].startswith("not looked at: ")
    said = capsys.readouterr().out
    assert said.startswith("1 submissions graded") and all(text in said for text in told.values())


NAMES = {  # what a platform calls a file -> student, attempt, file
    "Group A-Ada Lovelace_12345_assignsubmission_file/x.ipynb": ("Group A-Ada Lovelace_12345", "", "x.ipynb"),
    "Ada_1_assignsubmission_file_/sub/x.ipynb": ("Ada_1", "", "sub/x.ipynb"),
    "Ada_1_assignsubmission_onlinetext/onlinetext.html": ("Ada_1", "", "onlinetext.html"),
    "smith_jonesada_LATE_4711_998_x-2.ipynb": ("smith_jonesada_4711", "", "x-2.ipynb"),
    "lovelaceada_4711_text.html": ("lovelaceada_4711", "", "text.html"),
    "anon_x7Yq2_99871_x-1.ipynb": ("anon_x7Yq2", "", "x-1.ipynb"),
    "LATE_anon_x7Yq2_99871_01_x.ipynb": ("anon_x7Yq2", "", "01_x.ipynb"),
    "A_b_alovelace_attempt_2026-03-01-12-00-00.txt": ("alovelace", "2026-03-01-12-00-00", ""),
}


@pytest.mark.parametrize("path", NAMES)
def test_a_platforms_name_says_whose_a_file_is(path):
    assert read_name(path) == NAMES[path]


@pytest.mark.parametrize("path", ["ada.ipynb", f"{NAME}.ipynb", "ada_3_x.ipynb", "a/b_1_2_c.ipynb", "week_3.zip"])
def test_another_name_is_no_platforms(path):
    assert read_name(path) is None and read_folder(path) is None


def test_in_a_flat_folder_a_platforms_name_is_read_too():
    assert read_flat("Ada_1_assignsubmission_file_x.ipynb") == "Ada_1"
    assert read_flat("lovelaceada_4711_99871_x.zip") == "lovelaceada_4711"
    assert read_flat("ada.b.ipynb") == "ada.b" and read_flat("ada.tar.gz") == "ada"


@pytest.mark.parametrize("end", [".ipynb", "-1.ipynb", " (1).ipynb", "(2).ipynb", " copy.ipynb", ".ipynb (1)"])
def test_a_number_that_a_platform_added_leaves_the_assignments_name(tmp_path, end):
    hand_in(tmp_path, f"ada/{NAME}/0_draft.ipynb", f"ada/{NAME}/{NAME}{end}".removesuffix(" (1)"))
    assert is_named(f"{NAME}{end}", NAME) and not is_named(f"{NAME}_draft.ipynb", NAME)
    (one,) = find_submissions(tmp_path, [NAME])
    assert one.notebook.name.startswith(NAME) and one.others == (() if end[:6] == ".ipynb" else ("0_draft.ipynb",))


def test_a_walk_follows_no_link(tmp_path):
    hand_in(tmp_path, "a/x.txt")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [file.name for file in walk(tmp_path)] == ["up", "x.txt"]
