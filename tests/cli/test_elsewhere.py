"""The commands of the course where there is no course, or not all of its packages: one sentence on how to get it."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import flowlib
from flowlib import cli
from flowlib.authoring import course

ROOT = Path(flowlib.__file__).parents[1]
ASKED = [
    ["claims"],
    ["notebooks"],
    ["links"],
    ["release"],
    ["grade", "submitted", "--out", "grades.csv"],
    ["feedback"],
    ["otter", "01_a_step_that_remembers"],
]
STAMPED = '{"url": "https://github.com/school/river/archive/v1.zip", "archive_info": {}}'
CLONED = '{"url": "https://github.com/school/river.git", "vcs_info": {"vcs": "git"}}'


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """flowlib as if it had been installed from elsewhere, and an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(course, "__file__", str(tmp_path / "site-packages" / "flowlib" / "authoring" / "course.py"))

    def note(text: str | None) -> None:
        """What pip wrote down of where flowlib came from."""
        installed = SimpleNamespace(read_text=lambda name: text if name == "direct_url.json" else None)
        monkeypatch.setattr(course, "distribution", lambda name: installed)

    return note


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked[0])
@pytest.mark.parametrize(
    ("noted", "said"),
    [
        (STAMPED, "get a copy of the course from https://github.com/school/river, and"),
        (None, "to a copy of the course"),
    ],
)
def test_without_a_course_it_says_where_one_is_had(wheel, capsys, asked, noted, said):
    wheel(noted)
    assert cli.main(asked) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"flowlib {asked[0]}: ") and said in line


def test_in_a_copy_it_leads_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["links", "--check"]) == 2
    assert f"change to your copy of the course, {ROOT}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("noted", "found"),
    [
        (STAMPED, "https://github.com/school/river"),
        (CLONED, "https://github.com/school/river"),
        ('{"url": "file:///home/me/river", "dir_info": {"editable": true}}', ""),
        (None, ""),
    ],
)
def test_the_repository_is_read_from_what_pip_wrote_down(wheel, noted, found):
    wheel(noted)
    assert course.find_repository() == found


@pytest.mark.parametrize(
    ("lacking", "asked", "extra"),
    [
        ("nbgrader", ["release", "--course", str(ROOT / "exercises")], "classroom"),
        ("nbformat", ["links", "--check"], "lab"),
        ("nbformat", ["notebooks", str(ROOT / "chapters" / "00_the_river.ipynb")], "lab"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(lacking, asked, extra):
    script = f"import sys; sys.modules[{lacking!r}] = None; import flowlib.cli; sys.exit(flowlib.cli.main({asked!r}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    said = f"flowlib {asked[0]}: it needs the package {lacking}, which is not installed: pip install -e '.[{extra}]'\n"
    assert (done.returncode, done.stderr) == (2, said)


DOCTOR = """
import sys
for name in ("matplotlib", "IPython", "ipywidgets", "nbformat", "psutil"):
    sys.modules[name] = None
import flowlib.cli
sys.exit(flowlib.cli.main(["doctor"]))
"""


def test_doctor_needs_no_tool_of_a_notebook(tmp_path):
    """A wheel alone: what is missing is a note, and nothing fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    settings = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([sys.executable, "-c", DOCTOR], **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "note    answers             kept where the notebook tools are installed: pip install" in done.stdout
    assert "note    memory              unknown without psutil" in done.stdout
