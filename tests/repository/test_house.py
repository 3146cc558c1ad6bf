"""The house: imports run one way and stay light, files and functions are short, and no room outgrows the others."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]

# ------------------------------------------------------------------------------------------------ imports


def lint(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """import-linter on the flowlib in that folder, by the contracts of pyproject.toml there."""
    start = "from importlinter.cli import lint_imports_command as command; command()"
    command = [sys.executable, "-c", start, "--no-cache", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_imports_run_one_way():
    linted = lint(ROOT)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """flowlib and its contracts, to be spoilt."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", folder)
    left_out = shutil.ignore_patterns("__pycache__", "checkpoints")
    shutil.copytree(ROOT / "flowlib", folder / "flowlib", ignore=left_out)
    return folder


@pytest.fixture
def plant(copy):
    """plant(file, text): put the text at the end of a file of the copy, for one test."""
    spoilt = {}

    def put(name: str, text: str) -> Path:
        file = copy / name
        spoilt[file] = file.read_text("utf-8") if file.exists() else None
        file.write_text(f"{spoilt[file] or ''}\n{text}\n", "utf-8")
        return copy

    yield put
    for file, text in spoilt.items():
        file.write_text(text, "utf-8") if text is not None else file.unlink()


PLANTS = [  # a contract, a file, what breaks the contract there
    ("layers", "fields", "import flowlib.operators.attention"),
    ("layers", "measure/convergence", "from flowlib.models import language"),
    ("layers", "models/language", "def later():\n    import flowlib.training.loop"),
    ("layers", "notebook/show", "from flowlib.authoring import rules"),
    ("layers", "unplaced", "import math"),
    ("circles", "authoring/notebooks", "from flowlib.authoring import rules"),
    ("leaves", "flow/splitting", "from flowlib import fields"),
    ("siblings", "operators/local", "from flowlib.operators import attention"),
    ("plots", "training/loop", "import matplotlib.pyplot"),
    ("plots", "checks/compare", "import IPython"),
    ("checks", "checks/compare", "from flowlib.measure import convergence"),
    ("room", "classroom/room/wire", "from flowlib import fields"),
    ("room", "classroom/room/wire", "from flowlib.classroom import repair"),
]


@pytest.mark.parametrize(("contract", "module", "planted"), PLANTS)
def test_the_import_rule_is_enforced(plant, contract, module, planted):
    """Each way of breaking the rule, planted into a copy, is found by its contract; the siblings of a room may meet."""
    linted = lint(plant(f"flowlib/{module}.py", planted), "--contract", contract)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    room, name = module.split("/")[0], module.split("/")[-1]
    told = {"circles": f"in flowlib.{room}."}.get(contract, f"{name} -> " if room != "unplaced" else "unplaced")
    assert told in linted.stdout, linted.stdout


def test_each_contract_has_a_plant():
    assert {contract for contract, *_ in PLANTS} == {rule["id"] for rule in RULES}


def test_an_exception_that_matches_nothing_is_an_error(plant):
    assert RULES[-1]["id"] == "room" and "ignore_imports" not in RULES[-1], "the exception below goes to its end"
    never = 'ignore_imports = ["flowlib.classroom.room.wire -> flowlib.cli"]'
    linted = lint(plant("pyproject.toml", never), "--contract", "room")
    assert linted.returncode == 1 and "No matches for ignored import" in linted.stdout, linted.stdout + linted.stderr


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


PARTS = ("flowlib", "flowlib.fields", "flowlib.operators", "flowlib.flow", "flowlib.models.language", "flowlib.measure")
LIGHT = """
import sys, time
import torch
start = time.perf_counter()
import {}
print(time.perf_counter() - start, *sorted({{name.split(".")[0] for name in sys.modules}}))
"""


@pytest.mark.parametrize("modules", ["flowlib", ", ".join(PARTS)], ids=["flowlib", "its parts"])
def test_import_stays_light(modules, capsys):
    """What is imported is asserted; what it costs on top of torch (0.3 s at most) is printed, to be read."""
    runs = [in_a_new_process(LIGHT.format(modules)).split() for _ in range(3)]
    with capsys.disabled():
        print(f"\nimport {modules}: {median(float(run[0]) for run in runs):.3f} s more than torch (median of 3)")
    assert not {"matplotlib", "accelerate", "pooch", "IPython", "ipywidgets", "tyro"} & set(runs[0][1:])


CHECKS = """
import sys
from importlib import import_module
from pkgutil import walk_packages
import flowlib.checks
print(*sorted(sys.modules))
for module in walk_packages(flowlib.checks.__path__, "flowlib.checks."):
    import_module(module.name)
print(*sorted(sys.modules))
"""


def test_checks_draw_nothing():
    """The package alone loads nothing of flowlib but itself; with all of its modules, still nothing that draws."""
    alone, whole = (set(line.split()) for line in in_a_new_process(CHECKS).splitlines())
    assert {name for name in alone if name.startswith("flowlib")} == {"flowlib", "flowlib.checks"}
    assert "flowlib.checks.compare" in whole
    assert not {"matplotlib", "IPython", "ipywidgets", "notebook", "flowlib.notebook"} & whole


# ------------------------------------------------------------------------------------------------ form


def count_lines(folder: Path) -> dict[str, int]:
    """Lines of each Python file below a folder."""
    files = folder.rglob("*.py")
    return {file.relative_to(ROOT).as_posix(): len(file.read_text("utf-8").splitlines()) for file in files}


@pytest.mark.parametrize(("folder", "most"), [("flowlib", 300), ("tests", 400), ("etc", 400), ("exercises", 300)])
def test_files_are_short(folder, most):
    """What an assignment's checks say stands in one file, however long the conversation is."""
    lengths = count_lines(ROOT / folder)
    long = {file: n for file, n in lengths.items() if n > most and "checks/assignments/" not in file}
    assert lengths and not long, f"a file must have at most {most} lines: {long}"


def functions(folder: Path) -> Iterator[tuple[str, int]]:
    """Every function below a folder, as file:name, with its lines, from its def to its end."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{file.relative_to(ROOT).as_posix()}:{node.name}", node.end_lineno - node.lineno + 1


def test_nine_functions_of_ten_have_at_most_20_lines():
    lengths = {name: n for name, n in functions(ROOT / "flowlib") if "checks/assignments/" not in name}
    longest = sorted(lengths, key=lengths.get, reverse=True)[:12]
    assert len(lengths) > 500
    assert quantiles(lengths.values(), n=10)[-1] <= 20, f"the longest: {[(name, lengths[name]) for name in longest]}"


def test_the_training_loop_is_short():
    [lines] = [n for name, n in functions(ROOT / "flowlib" / "training") if name.endswith("/loop.py:train")]
    assert lines <= 40


def test_the_readers_tools_are_a_quarter_of_the_library_at_most():
    total, tools = (sum(count_lines(ROOT / folder).values()) for folder in ("flowlib", "flowlib/notebook"))
    assert 0 < tools <= total / 4
