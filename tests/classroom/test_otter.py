"""An assignment for otter-grader: the same answers, tests, points and hidden parts as in nbgrader's source."""

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

import nbformat
import yaml

from flowlib.classroom.course import Course
from flowlib.classroom.otter import make_master
from flowlib.cli import main

COURSE = Course(Path(__file__).parents[2] / "exercises")


def made(name: str):
    source = nbformat.read(COURSE.notebook("source", name), as_version=4)
    return source, make_master(source, ["flowlib"])


def blocks(book) -> list[tuple[str, list]]:
    """The questions of an otter notebook: the configuration of each, and the test cells."""
    found, inside = [], False
    for cell in book.cells:
        if cell.cell_type == "raw" and cell.source.startswith("# BEGIN QUESTION"):
            found.append((cell.source, []))
        elif cell.cell_type == "raw" and "TESTS" in cell.source:
            inside = "BEGIN" in cell.source
        elif inside:
            found[-1][1].append(cell)
    return found


@pytest.mark.parametrize("name", COURSE.assignments())
def test_points_and_parts_are_those_of_the_source(name):
    source, book = made(name)
    nbformat.validate(book)
    points = [float(re.search(r"points: ([\d.]+)", config)[1]) for config, _ in blocks(book)]
    assert sum(points) == sum(c.metadata.get("nbgrader", {}).get("points", 0) for c in source.cells)
    hidden = "HIDDEN TESTS"
    shown = [cell.source for _, tests in blocks(book) for cell in tests if "hidden: false" in cell.source]
    assert sum("hidden: true" in c.source for c in book.cells) == sum(hidden in c.source for c in source.cells)
    assert not any(hidden in cell for cell in shown)
    starts = [c.source for c in book.cells if c.cell_type == "raw" and c.source.startswith("# BEGIN")]
    ends = [c.source for c in book.cells if c.cell_type == "raw" and c.source.startswith("# END")]
    assert len(starts) == len(ends)


@pytest.mark.parametrize("name", COURSE.assignments())
def test_its_tests_pass_on_the_answers_and_fail_without(name):
    _, book = made(name)
    names: dict = {}
    cases, inside = [], False
    for cell in book.cells:
        if cell.cell_type == "raw":
            inside = "BEGIN TESTS" in cell.source or (inside and "END TESTS" not in cell.source)
        elif cell.cell_type == "code" and inside:
            cases.append(cell.source)
        elif cell.cell_type == "code":
            exec(cell.source, names)
    assert cases
    for case in cases:
        function = next(node for node in ast.parse(case).body if isinstance(node, ast.FunctionDef))
        space = dict(names)
        exec(case, space)
        wanted = [argument.arg for argument in function.args.args]
        space[function.name](*(names[one] for one in wanted))  # as otter calls it: by the names of the notebook
        answers = [one for one in wanted if getattr(names[one], "__module__", "builtins") == "builtins"]
        if "hidden: false" in case and answers and not callable(names[answers[0]]):
            with pytest.raises(Exception):  # noqa: B017  (what a missing answer raises depends on the check)
                space[function.name](*(None if one in answers else names[one] for one in wanted))


def test_command(tmp_path, capsys):
    name = COURSE.assignments()[0]
    asked = ["otter", name, "--out", str(tmp_path), "--course", str(COURSE.root)]
    address = "flowlib[notebook] @ https://example.org/course.zip"
    assert main([*asked, "--requirements", address]) == 0
    assert "otter assign" in capsys.readouterr().out
    config = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4).cells[0].source
    assert config.startswith("# ASSIGNMENT CONFIG") and "ok_format: false" in config
    assert yaml.safe_load(config)["requirements"] == [address]
    assert main(["otter", "99_none", "--course", str(COURSE.root)]) == 2
    assert "known: " in capsys.readouterr().err


def test_another_notebook_is_not_written_over(tmp_path, capsys):
    name = COURSE.assignments()[0]
    shutil.copytree(COURSE.root / "source" / name, tmp_path / "source" / name)
    before = (tmp_path / "source" / name / f"{name}.ipynb").read_bytes()
    asked = ["otter", name, "--course", str(tmp_path), "--requirements", "x", "--out"]
    assert main([*asked, str(tmp_path / "source" / name)]) == 2 and "is there already" in capsys.readouterr().err
    assert (tmp_path / "source" / name / f"{name}.ipynb").read_bytes() == before
    for _ in range(2):  # its own is
        assert main([*asked, str(tmp_path / "made")]) == 0


@pytest.mark.parametrize(("stamped", "code"), [("", 2), ("school/river", 0)])
def test_the_image_installs_this_course_and_not_pypis_flowlib(tmp_path, capsys, stamped, code):
    course, name = tmp_path / "exercises", COURSE.assignments()[0]
    shutil.copytree(COURSE.root / "source" / name, course / "source" / name)
    (tmp_path / "chapters").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "links.json").write_text(json.dumps({"repository": stamped, "ref": "v1"}), "utf-8")
    assert main(["otter", name, "--out", str(tmp_path / "out"), "--course", str(course)]) == code
    if not stamped:
        assert "flowlib links OWNER/NAME" in capsys.readouterr().err
        return
    config = nbformat.read(tmp_path / "out" / f"{name}.ipynb", as_version=4).cells[0].source
    wanted = ["transformer-river[notebook] @ https://github.com/school/river/archive/v1.zip"]
    assert yaml.safe_load(config)["requirements"] == wanted
