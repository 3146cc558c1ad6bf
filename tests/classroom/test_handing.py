"""What nbgrader is given: the files beside a notebook, a time that can be believed, the course's own settings."""

import os
from datetime import UTC, datetime

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom.course import Course, make_config
from flowlib.classroom.earlier import keep_earlier, read_earlier
from flowlib.classroom.handing import MOST_FILES, STAMP, copy_beside, put_stamp
from flowlib.classroom.paths import hide_paths
from flowlib.classroom.safe import sound_outputs
from flowlib.classroom.submissions import Submission

NAME = "01_a"


def hand_in(folder, stamp: str, written: str) -> Submission:
    place = folder / "in" / "ada" / NAME
    place.mkdir(parents=True)
    (place / "x.ipynb").touch()
    seconds = datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp()
    os.utime(place / "x.ipynb", (seconds, seconds))
    (place / STAMP).write_text(stamp)
    return Submission("ada", NAME, place, place / "x.ipynb")


def test_a_stamp_after_the_file_is_believed(tmp_path):
    one = hand_in(tmp_path, "2026-03-01 12:00:00 UTC", "2026-03-01 11:00")
    assert put_stamp(one, tmp_path) == []
    assert (tmp_path / STAMP).read_text() == "2026-03-01 12:00:00.000000 UTC"


def test_a_forged_stamp_is_not_believed_over_the_file(tmp_path):
    one = hand_in(tmp_path, "2001-01-01 00:00:00 UTC", "2026-03-01 11:00")
    (said,) = put_stamp(one, tmp_path)
    assert "says 2001-01-01 00:00 UTC, but the notebook was written 2026-03-01 11:00 UTC, and that counts" in said
    assert (tmp_path / STAMP).read_text().startswith("2026-03-01 11:00:00")


@pytest.mark.parametrize("stamp", ["last Tuesday", "", "\0", "9" * 10_000, "0001-01-01 00:00:00 +2300"])
def test_a_stamp_that_cannot_be_read_loses_no_points_and_is_said(tmp_path, stamp):
    one = hand_in(tmp_path, stamp, "2026-03-01 11:00")
    assert put_stamp(one, tmp_path) == ["timestamp.txt says no time that can be read: taken as handed in in time"]
    assert not (tmp_path / STAMP).exists()


def test_pictures_travel_and_pages_do_not(tmp_path):
    files, made = tmp_path / "in", tmp_path / "out"
    for name in (
        "photo.png",
        "pictures/b.JPG",
        "helper.py",
        "evil.html",
        "evil.svg",
        ".hidden/c.png",
        "x.ipynb",
        STAMP,
    ):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text("x")
    (files / "link.png").symlink_to(files / "photo.png")
    (files / "linked").symlink_to(tmp_path)
    assert copy_beside(files, made) == [] and copy_beside(None, made) == []
    copied = sorted(file.relative_to(made).as_posix() for file in made.rglob("*") if file.is_file())
    assert copied == ["helper.py", "photo.png", "pictures/b.JPG"]


def test_too_many_files_are_not_copied_and_that_is_said(tmp_path):
    for number in range(MOST_FILES + 1):
        (tmp_path / f"{number}.png").touch()
    (said,) = copy_beside(tmp_path, tmp_path / "out")
    assert "is more than 100 files or 50 MB: not shown" in said and not (tmp_path / "out").exists()


def test_the_courses_own_settings_are_kept_but_not_where_ours_must_hold(tmp_path):
    (tmp_path / "nbgrader_config.py").write_text(
        "c = get_config()\nc.AssignLatePenalties.plugin_class = 'late.Sub'\nc.ClearSolutions.text_stub = 'Mine.'\n"
        "c.CourseDirectory.submitted_directory = '/elsewhere'\n"
    )
    config = make_config(tmp_path)
    assert config.AssignLatePenalties.plugin_class == "late.Sub" and config.ClearSolutions.text_stub == "Mine."
    assert config.CourseDirectory.submitted_directory == ".graded"
    assert "raise NotImplementedError" in config.ClearSolutions.code_stub["python"]


def test_settings_that_break_are_named(tmp_path):
    (tmp_path / "nbgrader_config.py").write_text("1 / 0")
    with pytest.raises(ValueError, match=r"nbgrader_config.py cannot be read: ZeroDivisionError: division by zero"):
        make_config(tmp_path)


def test_an_earlier_release_is_kept_where_its_cells_were_others(tmp_path):
    from nbformat import writes
    from nbformat.v4 import new_markdown_cell, new_notebook

    (tmp_path / "source").mkdir()
    old, new = (writes(new_notebook(cells=[new_markdown_cell(text, id="a")])) for text in ("a tpyo", "a typo"))
    keep_earlier(tmp_path, NAME, "", old)
    keep_earlier(tmp_path, NAME, old, old)
    assert read_earlier(Course(tmp_path), NAME) == []
    for _ in range(2):
        keep_earlier(tmp_path, NAME, old, new)
    assert [book.cells[0].source for book in read_earlier(Course(tmp_path), NAME)] == ["a tpyo"]


def test_what_students_read_has_no_paths_of_the_teachers():
    import torch

    shown = hide_paths(f'File "{torch.__file__}", line 3; {os.path.expanduser("~")}/x; {os.getcwd()}/y; /usr/bin; /a')
    assert shown.startswith('File "…') and "torch/__init__.py" in shown and shown.endswith("; …/x; …/y; /usr/bin; /a")


def test_no_output_has_them_either_whatever_kind_it_is():
    import torch

    trace = f'File "{torch.__file__}", line 3'
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": trace},
        {"output_type": "error", "ename": "E", "evalue": trace, "traceback": [trace]},
        {"output_type": "display_data", "data": {"text/plain": trace, "text/html": f"<p>{trace}</p>"}},
    ]
    assert str(outputs).count(torch.__file__) == 5
    assert (
        torch.__file__ not in str(sound_outputs(outputs)) and str(sound_outputs(outputs)).count("torch/__init__") == 5
    )
