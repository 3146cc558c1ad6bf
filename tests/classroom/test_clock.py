"""A student's seconds: waiting for a core does not count, and nothing else is forgiven."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom.room.clock import Clock
from flowlib.classroom.room.room import Room
from flowlib.classroom.room.sandbox import Limits, find_obstacle

told = pytest.mark.skipif(
    not Path("/proc/self/schedstat").is_file() or not hasattr(os, "sched_setaffinity"), reason="Linux tells it"
)
BURN = """
import os, time
os.sched_setaffinity(0, {{{core}}})
began, used = time.monotonic(), time.process_time()
while time.process_time() < used + 0.4:
    pass
print(time.monotonic() - began)
"""
HOG = "import os; os.sched_setaffinity(0, {{{core}}}); print(flush=True)\nwhile True: pass"


class Machine:
    """A wall clock and a schedstat, moved by hand: seconds that pass, and of these seconds of waiting for a core."""

    def __init__(self, folder: Path):
        self.wall, self.waited, self.file = 100.0, 5.0, folder / "7" / "schedstat"
        self.file.parent.mkdir()
        self.clock = Clock(6.0, wall=lambda: self.wall, processes=folder)
        self.move(0, 0)

    def move(self, seconds: float, waiting: float) -> float:
        """The seconds that the clock counts for it."""
        before = self.clock.now()
        self.wall, self.waited = self.wall + seconds, self.waited + waiting
        self.file.write_text(f"123456789 {int(self.waited * 1e9)} 42\n")
        return self.clock.now() - before


def test_waiting_for_a_core_does_not_count_and_all_else_does(tmp_path):
    machine = Machine(tmp_path)
    assert machine.move(10, 9) == 10  # nobody is followed yet
    machine.clock.follow(7)
    assert machine.move(10, 0) == 10  # at work, or asleep
    assert machine.move(10, 7) == pytest.approx(3)
    assert machine.move(1, 3) + machine.move(3, 0) == pytest.approx(1)  # told late, given late
    assert machine.move(5, 0) == pytest.approx(5)


def test_the_clock_goes_at_least_a_sixth_as_fast_as_the_wall(tmp_path):
    machine = Machine(tmp_path)
    machine.clock.follow(7)
    assert sum(machine.move(1, 50) for _ in range(60)) == pytest.approx(10)


@pytest.mark.parametrize("text", ["", "1 x 2", None])
def test_where_nothing_is_told_it_is_the_wall_clock(tmp_path, text):
    machine = Machine(tmp_path)
    machine.clock.follow(7)
    machine.move(6, 3)
    machine.file.unlink() if text is None else machine.file.write_text(text)
    before = machine.clock.now()
    machine.wall += 10
    assert machine.clock.now() - before == pytest.approx(10)


def test_a_new_program_does_not_inherit_what_the_last_one_waited(tmp_path):
    machine = Machine(tmp_path)
    machine.clock.follow(7)
    machine.move(1, 50)
    machine.clock.follow(7)
    assert machine.move(10, 0) == 10


@told
def test_a_program_that_nine_others_keep_from_its_core_is_given_its_time():
    """It works for 0.4 s of the 2 that it may take, and has one core with ten at work on it."""
    core = min(os.sched_getaffinity(0))
    with ExitStack() as hogs, Room(Limits(seconds=20, call_seconds=2), isolate=False) as room:
        room.clock.slowest = 1000.0  # whatever else this machine does meanwhile
        assert room.get("In") is not None
        for _ in range(9):
            words = [sys.executable, "-S", "-c", HOG.format(core=core)]
            hog = hogs.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True))
            hogs.callback(hog.kill)
            hog.stdout.readline()
        outputs = room.run(BURN.format(core=core), "burn")
    assert float(outputs[0]["text"]) > 2 and not room.notes


@told
def test_a_program_that_sleeps_ends_at_its_limit():
    with Room(Limits(seconds=20, call_seconds=1), isolate=False) as room:
        assert room.run("import time; time.sleep(600)", "sleep")[0]["evalue"].startswith("cell sleep: it did not end")


@pytest.mark.skipif(bool(find_obstacle()), reason="no sandbox here")
def test_the_program_behind_the_walls_is_the_one_that_is_followed():
    with Room(Limits(seconds=240, call_seconds=60)) as room:
        inner = room.run("import os; print(os.readlink('/proc/self/exe'))", "look")
        pid = room.clock.file.parent.name
        assert int(pid) != room.box.process.pid and room.clock.file.parent == Path("/proc", pid)
        assert os.readlink(f"/proc/{pid}/exe") == inner[0]["text"].strip()
