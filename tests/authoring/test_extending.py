"""The page "Extending flowlib" runs from top to bottom, and prints what it says that it prints."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch

from flowlib.flow import SCHEMES
from flowlib.models.zoo import READERS

PAGE = Path(__file__).resolve().parents[2] / "chapters" / "extending.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = ("An operator", "A constraint", "A scheme", "An architecture")


@pytest.fixture
def as_it_was(monkeypatch):
    """The page adds rows to two tables and changes the number format: afterwards they are as before."""
    tables = [(table, dict(table)) for table in (SCHEMES, READERS)]
    dtype = torch.get_default_dtype()
    yield
    torch.set_default_dtype(dtype)
    for table, before in tables:
        table.clear()
        table.update(before)


def run(code: str, names: dict) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, str(PAGE), "exec"), names)
    return said.getvalue()


def test_every_block_prints_what_stands_below_it(as_it_was):
    pytest.importorskip("transformers", reason='transformers is not installed; pip install -e ".[test]"')
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    names: dict = {"__name__": "extending"}
    compared = 0
    for (kind, code), (below, expected) in zip(blocks, [*blocks[1:], ("", "")]):
        if kind == "python":
            said = run(code, names)
            assert said == (expected if below == "text" else ""), code
            compared += bool(said)
    assert compared == 6
    assert set(SCHEMES) > {"lie", "reversed strang"} and "distilbert" in READERS


def test_the_page_adds_one_of_each_and_says_where_it_belongs():
    text = PAGE.read_text(encoding="utf-8")
    assert [title for title in re.findall(r"^## (.*)$", text, re.MULTILINE) if title in SECTIONS] == list(SECTIONS)
    for path in re.findall(r"`(flowlib/[\w/.]+)`", text):
        assert (PAGE.parents[1] / path).exists(), f"the page names {path}, which is not there"
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (PAGE.parent / link).is_file(), f"the page links to {link}, which is not there"
