"""Long runs, containers, likeness, a student's own checks: what a school uses beside grading."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom import grading
from flowlib.classroom.course import Course
from flowlib.classroom.grading import grade_all, make_seed
from flowlib.classroom.results import Result
from flowlib.classroom.room import docker, sandbox
from flowlib.classroom.room.sandbox import Limits, NoSandbox
from flowlib.cli import main

ROOT = Path(__file__).parents[2]
NAME = "01_a_step_that_remembers"


@pytest.fixture
def course(tmp_path):
    for kind in ("source", "release"):
        shutil.copytree(ROOT / "exercises" / kind / NAME, tmp_path / "course" / kind / NAME)
    return Course(tmp_path / "course")


def hand_in(folder: Path, student: str, kind: str = "release", change=lambda text: text) -> Path:
    file = folder / student / NAME / f"{NAME}.ipynb"
    file.parent.mkdir(parents=True)
    file.write_text(change((ROOT / "exercises" / kind / NAME / f"{NAME}.ipynb").read_text("utf-8")), "utf-8")
    return file


# ------------------------------------------------------------------------------------------------ long runs


def test_a_run_that_was_interrupted_goes_on_where_it_was(course, tmp_path, monkeypatch):
    students = [f"s{number:03d}" for number in range(500)]
    for student in students:
        hand_in(tmp_path / "in", student, change=lambda text: "{}")
    done, interrupted = [], []

    def work(work, args, **limits):
        student = args[1].student
        if student == "s250" and not interrupted:
            interrupted.append(student)
            raise KeyboardInterrupt
        done.append(student)
        return Result(student, NAME, {"a": 1.0}, {"a": 1.0}), "{}"

    monkeypatch.setattr(grading, "run_apart", work)
    monkeypatch.setattr(grading, "hand_over_all", lambda *a, **k: None)
    monkeypatch.setattr(Course, "register", lambda *a: None)
    again = {"names": [NAME], "isolate": False, "workers": 2}
    with pytest.raises(KeyboardInterrupt):
        grade_all(course, tmp_path / "in", **again)
    first, kept = set(done), len(list((course.root / ".unfinished").glob("*.json")))
    assert kept == len(first) >= 250
    done.clear()
    (tmp_path / "in" / "s007" / NAME / f"{NAME}.ipynb").write_text("{ }")  # handed in anew meanwhile
    results = grade_all(course, tmp_path / "in", **again)
    assert [one.student for one in results] == students and all(one.score == 1 for one in results)
    assert set(done) == (set(students) - first) | {"s007"}
    assert not (course.root / ".unfinished").exists()
    done.clear()
    grade_all(course, tmp_path / "in", **again)
    assert len(done) == 500  # a run that ended begins anew


def test_with_other_settings_nothing_of_it_is_believed(course, tmp_path, monkeypatch):
    hand_in(tmp_path / "in", "ada")
    asked = []
    monkeypatch.setattr(
        grading, "run_apart", lambda work, args, **k: asked.append(args[4]) or (Result("ada", NAME, {"a": 1.0}), "{}")
    )
    monkeypatch.setattr(grading, "hand_over_all", lambda *a, **k: 1 / 0)
    monkeypatch.setattr(Course, "register", lambda *a: None)
    for seed in (1, 2, 2):
        with pytest.raises(ZeroDivisionError):
            grade_all(course, tmp_path / "in", names=[NAME], isolate=False, seed=seed)
    assert asked == [1, 2]


def test_a_student_may_have_a_seed_of_their_own():
    seeds = {make_seed(seed, student) for seed in range(10) for student in ("ada", "bob", "李雷", "\udcff")}
    assert len(seeds) == 40 and all(0 <= seed < 2**31 for seed in seeds)
    assert make_seed(3, "ada") == make_seed(3, "ada")


# ------------------------------------------------------------------------------------------------ containers


@pytest.fixture
def fake_docker(tmp_path, monkeypatch):
    """A docker that writes down what it is asked for, and runs what comes after the image."""
    fake = tmp_path / "bin" / "docker"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        f'[ "$1" = run ] || exit $(cat {tmp_path}/code 2>/dev/null || echo 0)\n'
        f'while [ "$1" != room-image ]; do shift; done\nshift 2\n'
        f'PYTHONPATH={ROOT} exec {sandbox.sys.executable} "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_a_container_sees_the_library_read_only_and_nothing_else_of_the_course(tmp_path):
    (tmp_path / 'a,"b.png').touch()
    words = docker.docker("room-image", "me", tmp_path, 1200, 64)
    told = " ".join(words)
    for flag in ("--network none", "--read-only", "--cap-drop ALL", "no-new-privileges", "--memory 1200m"):
        assert flag in told
    assert "--memory-swap 1200m" in told and "--pids-limit 64" in told and words[-1] == "room-image"
    mounts = [words[i + 1] for i, word in enumerate(words) if word == "--mount"]
    seen = [next(csv.reader([mount])) for mount in mounts]
    assert [one[1:] for one in seen] == [
        [f"source={ROOT / 'flowlib'}", "target=/course/flowlib", "readonly"],
        [f'source={tmp_path}/a,"b.png', 'target=/room/a,"b.png', "readonly"],
    ]
    assert "exercises" not in told and "--volume" not in told and "--privileged" not in told


def test_a_program_runs_in_a_container_which_is_ended_with_it(fake_docker):
    from flowlib.classroom.room.room import Room

    with Room(Limits(seconds=240, call_seconds=60), isolate="room-image") as room:
        assert room.run("print(1 + 1)", "a")[0]["text"] == "2\n"
        name = room.box.container
    asked = (fake_docker / "asked").read_text().splitlines()
    assert f"--name {name}" in asked[0] and asked[-1] == f"kill {name}"


def test_an_image_that_is_missing_is_asked_for(fake_docker, course, tmp_path):
    sandbox.require("room-image")
    (fake_docker / "code").write_text("1")
    hand_in(tmp_path / "in", "ada")
    with pytest.raises(NoSandbox, match="Docker has no image room-image .* docker build --tag flowlib-room"):
        grade_all(course, tmp_path / "in", names=[NAME], isolate="room-image")


def test_a_docker_that_does_not_answer_is_told_from_an_image_that_is_missing(fake_docker, monkeypatch):
    (fake_docker / "bin" / "docker").write_text("#!/bin/sh\necho Cannot connect to the Docker daemon >&2\nexit 1\n")
    with pytest.raises(NoSandbox, match="Docker does not answer .*; start it"):
        sandbox.require("room-image")
    monkeypatch.setattr(docker.shutil, "which", lambda name: None)
    with pytest.raises(NoSandbox, match="is not installed; install it .*, then: docker build --tag flowlib-room"):
        sandbox.require("room-image")


def test_an_image_without_what_is_needed_is_named(fake_docker, monkeypatch):
    monkeypatch.setattr(sandbox, "NEEDED", ("torch", "no_such_package"))
    with pytest.raises(NoSandbox, match=r"Python does not find what it needs \(no_such_package\); make it anew"):
        sandbox.require("room-image")


def test_the_dockerfile_takes_files_that_there_are():
    text = (ROOT / "exercises" / "Dockerfile").read_text("utf-8")
    copied = [word for line in text.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]]
    assert copied and all((ROOT / word).exists() for word in copied)
    assert docker.BUILD in text and "USER nobody" in text
    sent = (ROOT / "exercises" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert sent[0] == "*" and {f"!{word}" for word in copied} <= {*sent}  # nothing else goes to the daemon


# ------------------------------------------------------------------------------------------------ likeness, own checks


def rename(text: str) -> str:
    book = json.loads(text)
    for cell in book["cells"]:
        if cell["cell_type"] == "code" and cell["metadata"].get("nbgrader", {}).get("solution"):
            words = "".join(cell["source"])
            for old, new in (
                ("before", "old_one"),
                ("previous", "old_one"),
                ("velocity", "v_now"),
                ("layer ", "block "),
            ):
                words = words.replace(old, new)
            cell["source"] = f"# all my own work\n{words}"
    return json.dumps(book)


def own_way(text: str) -> str:
    book = json.loads(text)
    mine = "\n".join(f"if x{i} > {i}:\n    y{i} = [z ** {i} for z in range(x{i}) if z % {i + 2}]" for i in range(12))
    for cell in book["cells"]:
        if cell["cell_type"] == "code" and cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = mine
    return json.dumps(book)


def test_renaming_hides_no_copy_and_what_is_given_counts_for_nobody(course, tmp_path, capsys):
    pytest.importorskip("copydetect")
    hand_in(tmp_path / "in", "ada", "source")
    hand_in(tmp_path / "in", "bob", "source", rename)
    hand_in(tmp_path / "in", "cyd", "source", own_way)
    hand_in(tmp_path / "in", "dan")  # nothing written
    hand_in(tmp_path / "in", "eve", change=lambda text: "no notebook")
    asked = ["similar", str(tmp_path / "in"), "--assignment", NAME, "--course", str(course.root)]
    assert main([*asked, "--out", str(tmp_path / "x.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text("utf-8").splitlines()))
    assert [(row["first"], row["second"]) for row in rows][0] == ("ada", "bob") and len(rows) == 3
    assert float(rows[0]["share"]) > 0.8 and float(rows[1]["share"]) < 0.3
    said = capsys.readouterr().out
    assert "It proves nothing" in said and "too short to be compared: 2" in said


def test_the_visible_checks_need_no_source(course, tmp_path, capsys):
    mine = hand_in(tmp_path / "in", "ada", "source")
    shutil.rmtree(course.root / "source")
    asked = ["check", str(mine), "--course", str(course.root)]
    assert main(asked) == 0 and capsys.readouterr().out.count("✓") == 7
    mine.write_text((ROOT / "exercises" / "release" / NAME / f"{NAME}.ipynb").read_text("utf-8"), "utf-8")
    assert main(asked) == 1 and "✗ test-by-hand (" in capsys.readouterr().out
    assert main(["check", str(mine), "--assignment", "nope", "--course", str(course.root)]) == 2
