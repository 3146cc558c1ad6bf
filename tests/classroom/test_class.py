"""One student never ends the class: whatever is handed in, all have a line in the table, and who failed is named."""

import csv
import json
import math
import operator
import os
import shutil
import time
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom import grading, handing
from flowlib.classroom.apart import Ended, run_apart
from flowlib.classroom.course import Course
from flowlib.classroom.results import Result
from flowlib.classroom.room.sandbox import Limits
from flowlib.classroom.tables import grades_csv, grades_json, plain
from flowlib.classroom.unread import Unread
from flowlib.cli import classroom, main

ROOT = Path(__file__).parents[2]
NAME = "01_a_step_that_remembers"
HALF = "\ud800"


def apart(work, *args, seconds=60.0, megabytes=4000):
    return run_apart(work, args, seconds=seconds, megabytes=megabytes)


def test_what_a_process_returns_comes_back():
    assert apart(operator.add, 1, 2) == 3


def test_what_it_raises_is_told_by_type_and_message():
    with pytest.raises(Ended, match="^ValueError: math domain error$|^ValueError: expected a nonneg"):
        apart(math.sqrt, -1)


def test_a_process_that_dies_is_named_by_its_signal():
    with pytest.raises(Ended, match="SIGABRT"):
        apart(os.abort)


def test_a_process_that_exits_is_named_by_its_code():
    with pytest.raises(Ended, match="the exit code 7"):
        apart(os._exit, 7)


def test_a_process_that_does_not_end_is_ended():
    apart(abs, 1)  # the server is there by now
    began = time.monotonic()
    with pytest.raises(Ended, match="not done within 3 s"):
        apart(time.sleep, 600, seconds=3.0)
    assert time.monotonic() - began < 30


def test_a_process_takes_no_more_memory_than_it_may():
    with pytest.raises(Ended, match="MemoryError"):
        apart(bytearray, 8 << 30, megabytes=2000)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    root = tmp_path_factory.mktemp("class")
    for kind in ("source", "release"):
        shutil.copytree(ROOT / "exercises" / kind / NAME, root / kind / NAME)
    return Course(root)


def put(folder: Path, student: str | bytes, change=lambda book: None) -> None:
    book = json.loads((ROOT / "exercises" / "release" / NAME / f"{NAME}.ipynb").read_text("utf-8"))
    change(book)
    place = os.path.join(os.fsencode(folder), os.fsencode(student), os.fsencode(NAME))
    os.makedirs(place)
    Path(os.fsdecode(place), f"{NAME}.ipynb").write_text(json.dumps(book), "utf-8")


def answer(cell_id: str, source):
    def change(book: dict) -> None:
        next(cell for cell in book["cells"] if cell["id"] == cell_id)["source"] = source

    return change


def everywhere(book: dict) -> None:
    book["metadata"] = {HALF: HALF, "kernelspec": {"language": 5, "name": HALF * 9000}}
    for cell in book["cells"]:
        cell["metadata"][HALF] = HALF
        cell["id"] += HALF
    book["cells"].append({"cell_type": HALF, "source": HALF, "metadata": {}})


def test_half_a_character_anywhere_costs_nobody_else_a_line(course, tmp_path, monkeypatch, capsys):
    put(tmp_path / "in", "ada")
    put(tmp_path / "in", "answer", answer("derive", f"x {HALF}"))
    put(tmp_path / "in", "code", answer("by-hand", f"u1 = {HALF!r}\nprint(chr(0xD800))\nraise ValueError(chr(0xDFFF))"))
    put(tmp_path / "in", "everywhere", everywhere)
    put(tmp_path / "in", b"b\xff")
    put(tmp_path / "in", "\x1b[31mred")
    put(tmp_path / "in", "zed")
    (tmp_path / "in" / "zed" / os.fsdecode(b"\xff")).mkdir()
    shutil.copy(tmp_path / "in" / "ada" / NAME / f"{NAME}.ipynb", tmp_path / "in" / "zed" / os.fsdecode(b"\xff"))
    unsafe = grading.grade_all
    monkeypatch.setattr(grading, "grade_all", lambda *a, **k: unsafe(*a, **k | {"isolate": False}))
    out = tmp_path / "grades.csv"
    asked = ["grade", str(tmp_path / "in"), "--out", str(out), "--course", str(course.root), "--assignment", NAME]
    assert main(asked) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said and "b\\udcff" in said and "NOT GRADED" in said
    rows = list(csv.DictReader(out.read_text("utf-8").splitlines()))
    graded = [row for row in rows if "NOT GRADED" not in row["what happened"]]
    assert [row["student"] for row in graded] == ["ada", "answer", "code", "everywhere", "zed"]
    assert "ValueError" in graded[2]["what happened"]
    refused = {row["student"] for row in rows} - {"ada", "answer", "code", "everywhere"}
    assert len(rows) == 8 and {"red", "zed"} < refused, rows  # a line each for the two names, and for the stray folder


def test_who_ends_the_graders_own_process_is_named_and_the_others_are_graded(course, tmp_path, monkeypatch):
    for student in ("ada", "mallory", "zed"):
        put(tmp_path, student)

    def fail(work, args, **limits):
        if args[1].student == "mallory":
            raise Ended("its process was ended by SIGSEGV")
        return Result(args[1].student, NAME, {"a": 1.0}), "{}"

    monkeypatch.setattr(grading, "run_apart", fail)
    monkeypatch.setattr(handing, "hand_over", lambda *a, **k: 1 / 0)
    ada, mallory, zed = grading.grade_all(course, tmp_path, names=[NAME], isolate=False)
    assert mallory.notes == ["NOT GRADED: its process was ended by SIGSEGV; look at the file by hand"]
    assert ada.score == zed.score == 1 and "NOT IN THE GRADEBOOK: division by zero" in ada.notes[0]


def test_the_limit_of_a_submission_holds_around_all_that_is_done_for_it(course, tmp_path, monkeypatch):
    put(tmp_path, "ada")
    asked = {}
    monkeypatch.setattr(grading, "run_apart", lambda work, args, **limits: asked.update(limits) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        grading.grade_all(course, tmp_path, names=[NAME], isolate=False, limits=Limits(seconds=10, megabytes=500))
    assert asked == {
        "seconds": 60 + grading.OVERHEAD,  # six times the student's own, should the machine be busy
        "cpu_seconds": 20 + grading.OVERHEAD,
        "megabytes": 500 + grading.GRADER_MEGABYTES,
    }


ODD = {
    "=HYPERLINK(1)": "'=HYPERLINK(1)",
    " \t=1": "'=1",
    "\x1b[31m=1\x1b[0m": "'=1",
    "＝1": "'＝1",
    "@SUM(1)": "'@SUM(1)",
    "-2+3": "'-2+3",
    "\x1b]0;title\x07said": "said",
    "a\x00b\x9b31mc\u202ed": "a\ufffdbc\ufffdd",
    f"half {HALF}": "half \ufffd",
    "two\nlines": "two lines",
}


@pytest.mark.parametrize("text", ODD)
def test_no_table_has_a_formula_a_code_or_a_second_line(text):
    result = Result("ada", NAME, {"a": 1.0}, {"a": 1.0}, notes=[text])
    (row,) = csv.DictReader(grades_csv([result]).splitlines())
    assert row["what happened"] == ODD[text]
    assert json.loads(grades_json([result]))[0]["notes"] == [plain(text)]


def test_a_long_note_is_short_in_table_and_console(tmp_path, capsys):
    result = Result("ada\x1b[2J", NAME, {"a": 1.0}, {"a": 1.0}, notes=["x" * 300_000])
    stray = Unread("eve", Path("x"), "\x1b[2J" + "y" * 300_000)
    assert classroom.report([result], tmp_path / "x.csv", [stray]) == 1
    said = capsys.readouterr().out
    assert len(said) < 2500 and "\x1b" not in said
    lines = (tmp_path / "x.csv").read_text("utf-8").splitlines()
    assert len(lines) == 3 and max(map(len, lines)) < 700 and len((tmp_path / "x.json").read_text("utf-8")) < 5000
