"""Files: whole or not there, in the place of nothing but our own, on file systems that lack this or that."""

import contextlib
import errno
import os
from pathlib import Path

import pytest
import torch

from flowlib import files
from flowlib.files import (
    load_tensors,
    remove_owned,
    replace_folder,
    save_tensors,
    save_text,
    unfinished,
    write_into,
    write_text,
)


def write(text):
    return lambda new: write_text(text, new)


def say(folder: Path) -> dict[str, str]:
    return {str(f.relative_to(folder)): f.read_text() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_a_folder_keeps_what_is_not_ours(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.tex").write_text("years of work")
    write_into(tmp_path / "a", {"one": write("1"), "two": write("2")}, lambda file: True)
    write_into(tmp_path / "a", {"one": write("3"), "two": write("4")}, lambda file: True)
    assert say(tmp_path / "a") == {"one": "3", "two": "4", "thesis.tex": "years of work"}


@pytest.mark.parametrize("what", ["file", "dangling link", "link to a file", "file above", "theirs", "folder", "link"])
def test_what_is_in_the_way_is_refused_and_stays(tmp_path, what):
    place = tmp_path / "place"
    (tmp_path / "text").write_text("theirs")
    if what == "file":
        place.write_text("theirs")
    elif what == "dangling link":
        place.symlink_to(tmp_path / "nowhere")
    elif what == "link to a file":
        place.symlink_to(tmp_path / "text")
    elif what == "file above":
        place = tmp_path / "text" / "place"
    else:
        place.mkdir()
        if what == "theirs":
            (place / "two").write_text("theirs")
        elif what == "folder":
            (place / "two").mkdir()
        else:
            (place / "two").symlink_to(tmp_path / "text")
    before = sorted((str(p), p.is_symlink()) for p in tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match="give another (name|folder)"):
        write_into(place, {"one": write("1"), "two": write("2")}, lambda file: False)
    assert sorted((str(p), p.is_symlink()) for p in tmp_path.rglob("*")) == before
    assert (tmp_path / "text").read_text() == "theirs"


def test_a_link_to_a_folder_is_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_into(tmp_path / "link", {"one": write("1")}, lambda file: True)
    assert (tmp_path / "link").is_symlink() and say(tmp_path / "real") == {"one": "1"}


def test_a_failure_leaves_the_old_files_and_a_kill_the_old_or_the_new_ones_or_a_trace(tmp_path, monkeypatch, die_at):
    old, new = {"one": "1", "two": "2", "seal": "s"}, {"one": "3", "two": "4", "seal": "t"}
    put = lambda folder, texts: write_into(folder, {k: write(v) for k, v in texts.items()}, lambda f: True, "seal")
    put(tmp_path / "failed", old)
    with pytest.raises(ZeroDivisionError):
        write_into(tmp_path / "failed", {"one": write("3"), "two": lambda new: 1 / 0}, lambda file: True)
    assert say(tmp_path / "failed") == old
    with monkeypatch.context() as patch:
        operations = die_at(patch, 10**9)
        put(tmp_path / "counted", old)
    assert {"fsync", "replace", "mkdir"} <= set(operations)
    put(tmp_path / "counted", new)
    for moment in range(12):  # three files are flushed and renamed, one is deleted first
        folder = tmp_path / str(moment)
        put(folder, old)
        with monkeypatch.context() as patch:
            die_at(patch, moment)
            with contextlib.suppress(die_at.Killed):
                put(folder, new)
        found = {name: text for name, text in say(folder).items() if not name.startswith(".")}
        assert found in (old, new) or "seal" not in found
        assert found in (old, new) or any(unfinished(folder / name) for name in old)
        put(folder, new)
        assert say(folder) == new  # and nothing is left of the kill


def test_a_folder_that_is_replaced_hands_on_what_is_not_ours(tmp_path):
    replace_folder(tmp_path / "a", lambda new: write_text("1", new / "one"), ["one"])
    (tmp_path / "a" / "notes").mkdir()
    (tmp_path / "a" / "notes" / "thesis.tex").write_text("years of work")
    (tmp_path / "a" / "link").symlink_to("nowhere")
    replace_folder(tmp_path / "a", lambda new: write_text("2", new / "one"), ["one"])
    assert say(tmp_path / "a") == {"one": "2", "notes/thesis.tex": "years of work"}
    assert (tmp_path / "a" / "link").is_symlink() and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_only_our_own_is_removed(tmp_path):
    for name in ("one", ".one.123", ".one.swp", "two"):
        write_text(name, tmp_path / name)
    (tmp_path / "in").mkdir()
    write_text("x", tmp_path / "in" / "one")
    (tmp_path / "link").symlink_to(tmp_path)
    remove_owned(tmp_path, ["one"])
    assert {p.name for p in tmp_path.iterdir()} == {".one.swp", "two", "link"}


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_a_file_system_without_modes(tmp_path, monkeypatch, code):
    """FUSE, exFAT, SMB: what is written is as readable as they make it."""

    def chmod(path, mode, **how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "chmod", chmod)
    save_tensors({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    replace_folder(tmp_path / "b", lambda new: write_text("1", new / "one"))
    assert load_tensors(tmp_path / "a.safetensors")["a"].sum() == 2 and say(tmp_path / "b") == {"one": "1"}
    monkeypatch.setattr(os, "chmod", lambda path, mode, **how: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(OSError, match="broken"):  # a broken disk is not survived in silence
        save_tensors({"a": torch.ones(2)}, tmp_path / "c.safetensors")


def hold(times: int, winerror: int | None, monkeypatch) -> list:
    """os.replace as Windows has it while a scanner holds the file: so many times it is refused."""
    asked, replace = [], os.replace

    def refuse(old, new):
        asked.append(new)
        if len(asked) > times:
            return replace(old, new)
        error = PermissionError(errno.EACCES, "held")
        error.winerror = winerror
        raise error

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    return asked


def test_a_file_that_a_scanner_holds_for_a_moment_is_tried_again(tmp_path, monkeypatch):
    save_text("old", tmp_path / "a")
    asked = hold(3, 5, monkeypatch)
    save_text("new", tmp_path / "a")
    assert say(tmp_path) == {"a": "new"} and len(asked) == 4


@pytest.mark.parametrize(("winerror", "tries"), [(32, len(files.PAUSES) + 1), (None, 1)])
def test_what_stays_held_or_may_not_be_written_is_an_error(tmp_path, monkeypatch, winerror, tries):
    save_text("old", tmp_path / "a")
    asked = hold(99, winerror, monkeypatch)
    with pytest.raises(PermissionError, match="held"):
        save_text("new", tmp_path / "a")
    assert say(tmp_path) == {"a": "old"} and len(asked) == tries


def test_lines_end_alike_on_every_system(tmp_path, monkeypatch):
    seen, original = [], Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda *a, **k: seen.append(k.get("newline")) or original(*a, **k))
    save_text("a\nb\n", tmp_path / "a")
    assert seen == ["\n"] and (tmp_path / "a").read_bytes() == b"a\nb\n"


def test_equal_models_are_equal_files(tmp_path):
    """What a file says of itself stands in it in one order, however often it is written."""
    said = {"format": "pt", "flowlib": '{\n "name": "größe"\n}', "a": "b"}
    for k in range(12):
        files.save_tensors({"x": torch.arange(3.0)}, tmp_path / f"{k}.safetensors", said)
    written = {file.read_bytes() for file in tmp_path.iterdir()}
    assert len(written) == 1 and files.load_metadata(tmp_path / "0.safetensors") == said
    assert torch.equal(files.load_tensors(tmp_path / "0.safetensors")["x"], torch.arange(3.0))
