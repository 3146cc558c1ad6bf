"""Files come into place where nothing but an older one of them is."""

import pytest

from flowlib.authoring import moving


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
