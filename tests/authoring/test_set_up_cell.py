"""The first cell of every notebook: it installs flowlib on Colab, and elsewhere says what to do where it is missing."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowlib.authoring.course import Stamp

SCHOOL = Stamp("school/course", "v1.0")


def run_set_up(stamp: Stamp, folder: Path, *, colab: bool) -> subprocess.CompletedProcess:
    """The set-up cell in a Python that has no flowlib, with a pip that writes down what it is asked."""
    (folder / "pip").mkdir()
    (folder / "pip" / "__init__.py").touch()  # found before the real one
    (folder / "pip" / "__main__.py").write_text("import sys; print(sys.argv[1:])")
    if colab:
        (folder / "google" / "colab").mkdir(parents=True)
        (folder / "google" / "colab" / "__init__.py").touch()
    for name in ("torch", "numpy", "matplotlib", "ipython", "ipywidgets"):
        (folder / f"{name}-1.2.dist-info").mkdir()
        (folder / f"{name}-1.2.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 1.2\n")
    (folder / "cell.py").write_text(f"import sys; sys.path.insert(0, {str(folder)!r})\n" + stamp.setup())
    command = [sys.executable, "-S", "-s", "cell.py"]  # without site-packages
    environment = {"PYTHONPATH": str(folder), "PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_on_colab_it_installs_flowlib_and_keeps_what_is_there(tmp_path):
    done = run_set_up(SCHOOL, tmp_path, colab=True)
    assert done.returncode == 0, done.stderr
    asked = ast.literal_eval(done.stdout)
    assert asked[0] == "install" and "--upgrade" not in asked
    assert "transformer-river[notebook] @ https://github.com/school/course/archive/v1.0.zip" in asked
    assert {"torch==1.2", "numpy==1.2"} < set(asked)


def test_a_folder_of_its_name_is_not_taken_for_flowlib(tmp_path):
    """As after git clone ADDRESS flowlib, in the folder above it."""
    (tmp_path / "flowlib" / "chapters").mkdir(parents=True)
    assert "transformer-river" in run_set_up(SCHOOL, tmp_path, colab=True).stdout


@pytest.mark.parametrize(("stamp", "colab"), [(SCHOOL, False), (Stamp(), True)])
def test_elsewhere_it_says_what_to_do(tmp_path, stamp, colab):
    done = run_set_up(stamp, tmp_path, colab=colab)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: flowlib is not here: run `make lab` in your copy") and not done.stdout


def test_where_flowlib_is_here_it_does_nothing(capsys):
    names = {}
    exec(SCHOOL.setup(), names)
    assert "subprocess" not in names and capsys.readouterr().out == ""
