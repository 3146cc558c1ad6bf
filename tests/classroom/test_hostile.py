"""Broken, cheating and harmful submissions: nobody gets a point that is not earned, and no honest one is lost.

What is put into the answer to task 3.2 of assignment 03 has a name, the code, the points at most and at least, and a
word that the report must hold ("" where nothing happened that a teacher must know). The honest answers to the other
tasks stay, to be graded as usual: 3 points for task 3.1. Tasks 3.2 and 3.3 use what stands in 3.2, and are 9 points.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom.course import Course
from flowlib.classroom.grading import grade_all
from flowlib.classroom.room.sandbox import Limits, find_obstacle

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(1800)]  # several of them run into the time that they are given
RIGHT = """
def near_attend(q, k, v, weights, scale=1.0):
    kernel = weights / (1 + (torch.cdist(q, k) / scale) ** 2)
    return kernel @ v / kernel.sum(-1, keepdim=True)
"""
HONEST, FIRST = 12, 3  # points of a right answer, of task 3.1 alone

IN_THE_ANSWER = {  # name: (code, points at most, points at least, a word of the report)
    "endless loop in a cell": ("while True: pass", FIRST, FIRST, "loop without an end"),
    "endless loop in a function": ("def near_attend(*a, **k):\n    while True: pass", FIRST, FIRST, "without an end"),
    "sleeps": ("import time\ntime.sleep(10_000)", FIRST, FIRST, "loop without an end"),
    "ignores interrupts": (
        "import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
        FIRST,
        FIRST,
        "loop",
    ),
    "fork loop": (
        "import os, time\nfor _ in range(2000):\n    if os.fork() == 0:\n        time.sleep(60); os._exit(0)",
        FIRST,
        FIRST,
        "processes",
    ),
    "memory hog": (f"hog = []\nwhile True: hog.append(bytearray(50_000_000))\n{RIGHT}", FIRST, FIRST, ""),
    "memory hog in tensors": ("x = torch.ones(10**10)", FIRST, FIRST, ""),
    "files in memory": (
        "import os, time\nkept = []\nfor _ in range(40):\n    kept.append(os.memfd_create('x'))\n"
        "    for _ in range(49): os.write(kept[-1], bytes(1 << 20))\ntime.sleep(5)",
        FIRST,
        FIRST,
        "files in memory",
    ),
    "memory that stays when no process has it": (
        "import ctypes\nkept = ctypes.CDLL(None).shmget(0, 1 << 20, 0o600)\nassert kept >= 0, 'there is none'",
        FIRST,
        FIRST,
        "AssertionError",
    ),
    "the machine's own settings": (
        "import os\nplaces = ('/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/dev', '/', '/usr', '/etc')\n"
        "assert any(os.access(p, os.W_OK) for p in places), 'read-only'",
        FIRST,
        FIRST,
        "AssertionError",
    ),
    "sys.exit": (f"import sys\nsys.exit(0)\n{RIGHT}", FIRST, FIRST, ""),
    "os._exit": (f"import os\nos._exit(0)\n{RIGHT}", FIRST, FIRST, "ended there"),
    "kills itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", FIRST, FIRST, "ended there"),
    "kills everything": ("import os\nos.kill(-1, 9)", FIRST, FIRST, ""),
    "prints 100 MB": (f"print('x' * 100_000_000)\n{RIGHT}", HONEST, HONEST, ""),
    "prints for ever": ("while True: print('x' * 10_000)", FIRST, FIRST, "loop"),
    "reads the answer key": (
        "import glob, os\nfound = [p for d in ('/', '..', os.path.expanduser('~')) for p in "
        "glob.glob(f'{d}/**/source/**/*.ipynb', recursive=True)]\nassert found, 'no answer key'",
        FIRST,
        FIRST,
        "",
    ),
    "reads other students": (
        "import os\nfound = [f for d, _, fs in os.walk('/') for f in fs if f.endswith('.ipynb') and "
        "'site-packages' not in d]\nassert found, 'nobody there'",
        FIRST,
        FIRST,
        "",
    ),
    "edits the gradebook": (
        "import os, sqlite3\nfound = [os.path.join(d, f) for d, _, fs in os.walk('/') for f in fs if f == "
        "'gradebook.db']\nassert found, 'no gradebook'\nfor f in found: sqlite3.connect(f).execute('update grade set "
        "auto_score = 99')",
        FIRST,
        FIRST,
        "",
    ),
    "network": ("import urllib.request\nurllib.request.urlopen('http://198.51.100.1/', timeout=3)", FIRST, FIRST, ""),
    "listens": ("import socket\ns = socket.create_connection(('127.0.0.1', 22), timeout=3)", FIRST, FIRST, ""),
    "deletes files": (
        "import os, shutil\nfor d in ('/room', '/usr/bin', '/root', os.path.dirname(torch.optim.__file__)):\n"
        f"    shutil.rmtree(d, ignore_errors=True)\n{RIGHT}",
        HONEST,
        HONEST,
        "",
    ),
    "writes where flowlib lies": (
        "import flowlib, pathlib\n(pathlib.Path(flowlib.__file__).parent / 'planted.py').write_text('x')",
        FIRST,
        FIRST,
        "",
    ),
    "patches the checks": (
        "import flowlib.checks.compare as c, flowlib.checks.exercises as b\n"
        "c.close = lambda *a, **k: None\nb.Exercise.check = lambda *a, **k: None\n"
        "def near_attend(q, k, v, weights, scale=1.0): return torch.zeros(2, 5)",
        FIRST,
        FIRST,
        "",
    ),
    "patches torch": (
        "torch.allclose = lambda *a, **k: True\ntorch.Tensor.__eq__ = lambda *a: True\n"
        "def near_attend(q, k, v, weights, scale=1.0): return torch.zeros(2, 5)",
        FIRST,
        FIRST,
        "",
    ),
    "answers with an object that equals everything": (
        "class Yes(float):\n    __eq__ = __le__ = __lt__ = __ge__ = lambda *a: True\n    shape = (2, 5)\n"
        "def near_attend(*a, **k): return Yes()",
        FIRST,
        FIRST,
        "",
    ),
    "answers with a function": ("def near_attend(*a, **k): return near_attend", FIRST, FIRST, ""),
    "speaks for the grader": (
        "import os\nfor fd in range(3, 30):\n    try: os.write(fd, b'\\0\\0\\0\\x10{\"value\": 1234567}')\n"
        "    except OSError: pass",
        FIRST,
        FIRST,
        "",
    ),
    "floods the line": (
        "import os\nfor fd in range(3, 30):\n    try:\n        while True: os.write(fd, b'\\xff' * 65536)\n"
        "    except OSError: pass",
        FIRST,
        FIRST,
        "",
    ),
    "asks for the grader's insides": (
        "import gc\nfrom flowlib.classroom.room.wire import Line\n"
        "line = next(o for o in gc.get_objects() if isinstance(o, Line))\n"
        "line.ask({'do': 'attribute', 'handle': 0, 'name': '__globals__'})",
        FIRST,
        FIRST,
        "",
    ),
    "plants a sitecustomize": (
        "open('sitecustomize.py', 'w').write('raise SystemExit')\nopen('torch.py', 'w').write('x = 1')\n" + RIGHT,
        HONEST,
        HONEST,
        "",
    ),
    "looks into the grader's process": (
        "import os\npids = [p for p in os.listdir('/proc') if p.isdigit()]\n"
        "found = [p for p in pids if b'nbgrader' in open(f'/proc/{p}/cmdline', 'rb').read() or "
        "b'pytest' in open(f'/proc/{p}/cmdline', 'rb').read()]\nassert found, 'nothing to see'",
        FIRST,
        FIRST,
        "",
    ),
}


def broken_files(folder: Path, honest: dict) -> dict[str, tuple[float, float, str]]:
    """Write submissions that are broken as files; name → (points at most, at least, a word of the report)."""

    def put(student: str, content: str | bytes | None) -> None:
        place = folder / student / "03_another_kernel"
        place.mkdir(parents=True)
        if content is not None:
            data = content if isinstance(content, bytes) else content.encode()
            (place / "03_another_kernel.ipynb").write_bytes(data)

    def changed(change) -> str:
        book = json.loads(json.dumps(honest))
        change(book)
        return json.dumps(book)

    def strip(book):
        for cell in book["cells"]:
            cell["metadata"] = {}
            cell.pop("id", None)
        book["nbformat_minor"] = 4

    def edit_tests(book):
        for cell in book["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("grade") and cell["cell_type"] == "code":
                cell["source"] = "print('passed')"
            elif cell["id"] in ("near-attend", "operator-error", "shares"):
                cell["source"] = "pass"

    def double(book):
        book["cells"] = [c for cell in book["cells"] for c in (cell, json.loads(json.dumps(cell)))]

    def no_tests(book):
        book["cells"] = [c for c in book["cells"] if not c["id"].startswith("test")]

    def many_points(book):
        for cell in book["cells"]:
            if "points" in cell["metadata"].get("nbgrader", {}):
                cell["metadata"]["nbgrader"]["points"] = 1000

    def julia(book):
        book["metadata"]["kernelspec"] = {"name": "julia-1.9", "language": "julia", "display_name": "Julia"}

    def upside_down(book):
        book["cells"].reverse()

    def outputs(book):
        for cell in book["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 30_000_000}]

    whole = json.dumps(honest)
    files = {
        "no file": (None, 0, 0, "no notebook"),
        "truncated": (whole[: len(whole) // 2], 0, 0, "only a part"),
        "empty": ("", 0, 0, "no notebook"),
        "a picture": (b"\x89PNG\r\n\x1a\n\x00\xff", 0, 0, "no text"),
        "some other JSON": ('{"a": [1, 2]}', 0, 0, "no notebook"),
        "stripped metadata": (changed(strip), HONEST, HONEST, "metadata"),
        "edited tests": (changed(edit_tests), 0, 0, "put back"),
        "duplicated cells": (changed(double), HONEST, HONEST, "times"),
        "tests deleted": (changed(no_tests), HONEST, HONEST, "missing"),
        "a thousand points": (changed(many_points), HONEST, HONEST, ""),
        "wrong kernel": (changed(julia), HONEST, HONEST, "kernel"),
        "upside down": (changed(upside_down), HONEST, HONEST, ""),
        "huge outputs": (changed(outputs), HONEST, HONEST, ""),
    }
    for student, (content, *_) in files.items():
        put(student, content)
    return {student: tuple(rest) for student, (_, *rest) in files.items()}


ROOT = Path(__file__).parents[2]
NAME = "03_another_kernel"
LIMITS = Limits(seconds=90, call_seconds=10)


def test_there_is_a_sandbox():
    if why := find_obstacle():
        assert "CI" not in os.environ, f"{why}: where CI runs, there must be a sandbox"
        pytest.skip(why)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Every hostile submission and three honest ones, graded together."""
    if why := find_obstacle():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("class")
    course = Course(copy_of_course(folder))
    honest = json.loads(course.notebook("release", NAME).read_text("utf-8"))
    source = json.loads(course.notebook("source", NAME).read_text("utf-8"))
    answers = {c["id"]: c["source"] for c in source["cells"] if c["metadata"].get("nbgrader", {}).get("solution")}
    for cell in honest["cells"]:
        cell["source"] = answers.get(cell["id"], cell["source"])
    expected = broken_files(folder / "submitted", honest)
    for student in ("honest a", "honest b", *IN_THE_ANSWER, "honest c"):
        book = json.loads(json.dumps(honest))
        code, *limits = IN_THE_ANSWER.get(student, (RIGHT, HONEST, HONEST, ""))
        next(c for c in book["cells"] if c["id"] == "near-attend")["source"] = code
        place = folder / "submitted" / student / NAME
        place.mkdir(parents=True)
        (place / f"{NAME}.ipynb").write_text(json.dumps(book), "utf-8")
        expected[student] = tuple(limits)
    before = fingerprint(course.root / "source"), fingerprint(folder / "submitted")
    results = grade_all(course, folder / "submitted", limits=LIMITS, feedback=False)
    after = fingerprint(course.root / "source"), fingerprint(folder / "submitted")
    return {r.student: r for r in results}, expected, before == after, course


def copy_of_course(folder: Path) -> Path:
    root = folder / "course"
    for kind in ("source", "release"):
        shutil.copytree(ROOT / "exercises" / kind / NAME, root / kind / NAME)
    shutil.copyfile(ROOT / "exercises" / "nbgrader_config.py", root / "nbgrader_config.py")
    Course(root).release(NAME)
    return root


def fingerprint(folder: Path) -> dict:
    return {str(f): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file() and f.stat().st_size < 10**6}


def test_nothing_outside_was_touched(graded):
    assert graded[2]


def test_every_submission_has_its_line(graded):
    results, expected, *_ = graded
    assert set(results) == set(expected) and len(expected) >= 25 + 3


@pytest.mark.parametrize("student", [*IN_THE_ANSWER, "honest a", "honest b", "honest c"])
def test_code(graded, student):
    judge(graded, student)


@pytest.mark.parametrize(
    "student",
    [
        "no file",
        "truncated",
        "empty",
        "a picture",
        "some other JSON",
        "stripped metadata",
        "edited tests",
        "duplicated cells",
        "tests deleted",
        "a thousand points",
        "wrong kernel",
        "upside down",
        "huge outputs",
    ],
)
def test_file(graded, student):
    judge(graded, student)


def judge(graded, student: str) -> None:
    results, expected, *_ = graded
    most, least, word = expected[student]
    result = results[student]
    assert least <= result.score <= most, (result.points, result.notes)
    assert word in "; ".join(result.notes), result.notes


def test_the_gradebook_says_the_same(graded):
    results, _, _, course = graded
    with course.api().gradebook as book:
        for student, result in results.items():
            assert book.find_submission(NAME, student).score == result.score
