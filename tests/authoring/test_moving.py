"""Files come into place whole, once whoever holds the old one lets it go."""

import os

import pytest

from flowlib.authoring import moving


def held(times: int, winerror: int | None, monkeypatch) -> list:
    """os.replace as Windows has it while a scanner holds the file: so many times it is refused."""
    asked, replace = [], os.replace

    def refuse(old, new):
        asked.append(new)
        if len(asked) > times:
            return replace(old, new)
        error = PermissionError(13, "Access is denied")
        error.winerror = winerror
        raise error

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(moving.time, "sleep", lambda _: None)
    return asked


def test_a_file_that_is_held_for_a_moment_is_tried_again(tmp_path, monkeypatch):
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    asked = held(3, 5, monkeypatch)
    moving.move(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new" and len(asked) == 4


@pytest.mark.parametrize(("winerror", "tries"), [(32, len(moving.PAUSES) + 1), (None, 1)])
def test_what_stays_held_or_may_not_be_written_is_an_error(tmp_path, monkeypatch, winerror, tries):
    asked = held(99, winerror, monkeypatch)
    with pytest.raises(PermissionError):
        moving.move(tmp_path / "new", tmp_path / "old")
    assert len(asked) == tries


def test_nothing_is_moved_where_something_stands_in_the_way(tmp_path):
    for file in ("made/a", "made/b/c", "place/a"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file)
    (tmp_path / "place" / "b").write_text("a file, where a folder must be")
    with pytest.raises(ValueError, match="b is a file, and is in the way"):
        moving.put_in_place(tmp_path / "made", tmp_path / "place")
    assert (tmp_path / "place" / "a").read_text() == "place/a"
    (tmp_path / "place" / "b").unlink()
    moving.put_in_place(tmp_path / "made", tmp_path / "place")
    assert (tmp_path / "place" / "a").read_text() == "made/a" and (tmp_path / "place" / "b" / "c").exists()
