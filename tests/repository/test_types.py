"""The library has types that agree: mypy reads it as an editor does (pyproject.toml says which rooms)."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

READER = """
from typing import assert_type

import flowlib
from flowlib import Flow, FlowLM, Grid, attend

grid: flowlib.Grid = Grid.gauss(3)
assert_type(grid.measure, float)
assert_type(FlowLM.load("runs/tiny").flow, Flow)
attend("q", "k", "v")
"""


def check(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mypy", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


@pytest.mark.since_torch("2.13")  # an older one states other types of its own
def test_the_types_of_the_library_agree():
    checked = check()
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.since_torch("2.13")  # an older one states other types of its own
def test_who_uses_the_library_has_its_types(tmp_path):
    """The names at the top are found without running them, and three wrong arguments are."""
    (tmp_path / "reader.py").write_text(READER, encoding="utf-8")
    wrong = [line for line in check(str(tmp_path / "reader.py")).stdout.splitlines() if "error:" in line]
    assert len(wrong) == 3 and all('to "attend" has incompatible type "str"' in line for line in wrong), wrong
    assert files("flowlib").joinpath("py.typed").is_file()


def test_the_names_at_the_top_are_loaded_when_they_are_used():
    code = (
        "import sys, flowlib; assert 'flowlib.flow' not in sys.modules and 'torch' not in sys.modules;"
        "from flowlib import Flow, FlowLM, Grid, attend; from flowlib.flow.equation import Flow as there;"
        "assert Flow is there and flowlib.attend is attend and {'Flow', 'FlowLM', 'Grid', 'attend'} <= {*dir(flowlib)};"
        "assert not hasattr(flowlib, 'Flows')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
