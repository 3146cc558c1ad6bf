"""A class's zip becomes folders of students; what leads out of it, or is too much, is refused and named."""

import io
import json
import stat
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom import archives
from flowlib.classroom.archives import unpack
from flowlib.classroom.collecting import collect
from flowlib.classroom.submissions import find_submissions
from flowlib.classroom.unread import find_unread
from flowlib.cli import main

NAME = "03_another_kernel"
EXERCISES = Path(__file__).parents[2] / "exercises"
BOOK = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def pack(**files) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return made.getvalue()


def bring(tmp_path, files: dict, **settings) -> tuple[list[str], list[str], list[str]]:
    """Students, sentences, and the files that there are afterwards."""
    (tmp_path / "class.zip").write_bytes(pack(**files))
    students, said = collect(tmp_path / "class.zip", tmp_path / "out", NAME, **settings)
    found = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file())
    return students, said, found


PLATFORMS = {  # what a platform calls a file -> whose it is, where it goes
    "Ada Lovelace_12345_assignsubmission_file/x.ipynb": ("Ada Lovelace_12345", "x.ipynb"),
    "Ada Lovelace_12345_assignsubmission_file_/x.ipynb": ("Ada Lovelace_12345", "x.ipynb"),
    "O'Neill-Ba Jo_7_assignsubmission_file_x.ipynb": ("O'Neill-Ba Jo_7", "x.ipynb"),
    "lovelaceada_4711_99871_x-1.ipynb": ("lovelaceada_4711", "x-1.ipynb"),
    "Task 3_alovelace_attempt_2026-03-01-12-00-00_x.ipynb": ("alovelace", "x.ipynb"),
    f"ada/{NAME}/x.ipynb": ("ada", "x.ipynb"),
    "ada/x.ipynb": ("ada", "x.ipynb"),
    "ada.ipynb": ("ada", f"{NAME}.ipynb"),
    "ada.IPYNB": ("ada", f"{NAME}.ipynb"),
    "ada/x.ipynb.txt": ("ada", "x.ipynb"),
    "ada/handed in/work/x.ipynb": ("ada", "x.ipynb"),
}


@pytest.mark.parametrize("file", PLATFORMS)
def test_a_file_of_a_platform_goes_to_its_student(tmp_path, file):
    student, name = PLATFORMS[file]
    assert bring(tmp_path, {file: BOOK}) == ([student], [], [f"{student}/{NAME}/{name}"])
    (one,) = find_submissions(tmp_path / "out", [NAME])
    assert one.student == student and one.notebook.name == name and not find_unread(tmp_path / "out", [NAME])


def test_what_is_late_at_canvas_is_said(tmp_path):
    students, said, _ = bring(tmp_path, {"lovelaceada_LATE_4711_99871_x.ipynb": BOOK})
    assert students == ["lovelaceada_4711"] and said == ["lovelaceada_4711: Canvas says that x.ipynb is late"]


def test_of_blackboards_attempts_the_latest_is_taken(tmp_path):
    files = {
        "T_ada_attempt_2026-03-01-12-00-00.txt": "said",
        "T_ada_attempt_2026-03-01-12-00-00_old.ipynb": BOOK,
        "T_ada_attempt_2026-03-02-09-30-00_new.ipynb": BOOK,
    }
    assert bring(tmp_path, files) == (["ada"], [], [f"ada/{NAME}/new.ipynb"])


def test_what_systems_add_is_nobodys(tmp_path):
    files = {"ada/x.ipynb": BOOK, "ada/photo.png": "p", "__MACOSX/ada/._x.ipynb": "m", "ada/._x.ipynb": "m"}
    files |= {"ada/.DS_Store": "d", "ada/.ipynb_checkpoints/x.ipynb": BOOK}
    assert bring(tmp_path, files) == (["ada"], [], [f"ada/{NAME}/photo.png", f"ada/{NAME}/x.ipynb"])


def test_a_students_own_zip_is_unpacked(tmp_path):
    own = pack(**{"work/x.ipynb.txt": BOOK, "work/pictures/p.png": "p", "__MACOSX/work/._x.ipynb": "m"})
    students, said, found = bring(tmp_path, {"Ada_1_assignsubmission_file/work.zip": own})
    assert students == ["Ada_1"] and said == ["Ada_1: work.zip was unpacked"]
    assert found == [f"Ada_1/{NAME}/pictures/p.png", f"Ada_1/{NAME}/x.ipynb"]


def test_what_is_there_already_stays_unless_it_is_to_be_replaced(tmp_path):
    bring(tmp_path, {"ada/x.ipynb": BOOK})
    students, said, found = bring(tmp_path, {"ada/y.ipynb": BOOK, "bob/y.ipynb": BOOK})
    assert students == ["bob"] and "ada" in said[0] and "is there already; --replace" in said[0]
    assert f"ada/{NAME}/x.ipynb" in found
    students, said, found = bring(tmp_path, {"ada/y.ipynb": BOOK}, replace=True)
    assert students == ["ada"] and not said and f"ada/{NAME}/x.ipynb" not in found


LEAD_OUT = ["../x.ipynb", "/etc/x.ipynb", "a/../../x.ipynb", "a\\..\\x.ipynb", "C:/x.ipynb", "a\nb/x.ipynb"]


@pytest.mark.parametrize("name", LEAD_OUT)
def test_nothing_leads_out_of_an_archive(tmp_path, name):
    (tmp_path / "x.zip").write_bytes(pack(**{"ada/x.ipynb": BOOK, name: BOOK}))
    if "\\" in name and zipfile.ZipFile(tmp_path / "x.zip").namelist()[1] != name:
        pytest.skip("this Python turns it round")
    with pytest.raises(ValueError, match="in it (leads out|has a backslash)"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "x.ipynb").exists()


def test_a_link_in_an_archive_is_refused(tmp_path):
    link = zipfile.ZipInfo("ada/x.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as opened:
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="is a link"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_sizes_are_looked_at_before_anything_is_written(tmp_path, monkeypatch):
    (tmp_path / "x.zip").write_bytes(pack(**{"a": bytes(2 << 20)}))
    with pytest.raises(ValueError, match=r"at most 20000 files and 1 MB, and holds 1 and 2 MB"):
        unpack(tmp_path / "x.zip", tmp_path / "out", 1 << 20)
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    (tmp_path / "x.zip").write_bytes(pack(**{str(i): "" for i in range(4)}))
    with pytest.raises(ValueError, match="holds 4 and"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_lies_of_its_sizes_writes_no_more(tmp_path):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a", bytes(1 << 20))
    data = made.getvalue()
    for size in ((1 << 20).to_bytes(4, "little"),):
        data = data.replace(size, (10).to_bytes(4, "little"))
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises((ValueError, zipfile.BadZipFile)):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "a").exists() or (tmp_path / "out" / "a").stat().st_size <= 10


@pytest.mark.parametrize(
    "own", [b"no zip", pack(**{"../x": "y"}), pack(**{"x.ipynb": "a"})], ids=["broken", "out", "two"]
)
def test_a_students_zip_that_cannot_be_unpacked_is_named_and_the_others_are_there(tmp_path, own):
    students, said, found = bring(tmp_path, {"ada/work.zip": own, "ada/x.ipynb": BOOK, "bob/x.ipynb": BOOK})
    assert students == ["ada", "bob"] and len(said) == 1 and said[0].startswith("ada: work.zip was not unpacked: ")
    assert f"bob/{NAME}/x.ipynb" in found and f"ada/{NAME}/work.zip" in found and not (tmp_path / "x").exists()
    assert any("work.zip" in str(one) for one in find_unread(tmp_path / "out", [NAME]))


def test_the_command_says_what_it_left_out(tmp_path, capsys):
    (tmp_path / "class.zip").write_bytes(pack(**{"ada/x.ipynb": BOOK, "readme.txt": "?", "a*/x.ipynb": BOOK}))
    asked = ["collect", str(tmp_path / "class.zip"), "--assignment", NAME, "--course", str(EXERCISES)]
    assert main([*asked, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert said.startswith("1 students: ") and "NOT COLLECTED: 'readme.txt': says of no student" in said
    assert "'a*/x.ipynb': a student's name must be a plain one" in said
    (tmp_path / "class.zip").write_text("no zip")
    assert main([*asked, "--out", str(tmp_path / "out")]) == 2
    assert "is no zip that can be read" in capsys.readouterr().err
