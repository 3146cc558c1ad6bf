"""What a student's program sees and takes: nothing of the machine can be written, and all that it takes is counted."""

import os
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom.room import cgroup, memory, room
from flowlib.classroom.room.bubblewrap import WRITABLE, bubblewrap, environment
from flowlib.classroom.room.room import Room
from flowlib.classroom.room.sandbox import Limits, find_obstacle

isolated = pytest.mark.skipif(not shutil.which("bwrap") or bool(find_obstacle()), reason="no sandbox here")
LOOK = "import os; print(*[p for p in {paths} if os.access(p, os.W_OK)])"
KEPT = ("/", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/dev", "/usr", "/etc")


@isolated
def test_nothing_can_be_written_but_three_small_folders(tmp_path):
    look = LOOK.format(paths=(*KEPT, *WRITABLE))
    size = f"for p in {WRITABLE}: s = os.statvfs(p); print(s.f_blocks * s.f_frsize >> 20)"
    asked = [*bubblewrap(None, 90), sys.executable, "-S", "-c", f"{look}\n{size}"]
    said = subprocess.run(asked, capture_output=True, text=True, env=environment(), check=True).stdout
    assert said.splitlines() == [" ".join(WRITABLE), "30", "30", "30"]


@isolated
def test_what_lies_beside_a_notebook_is_there_and_read_only(tmp_path):
    (tmp_path / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "photo.txt").write_text("photo")
    (tmp_path / "pictures" / "link").symlink_to("/etc/passwd")
    (tmp_path / ".git").mkdir()
    look = "import os, helper; print(helper.twice(2), sorted(os.listdir('.')), open('pictures/photo.txt').read(), "
    look += "os.path.exists('pictures/link'), os.access('helper.py', os.W_OK), os.access('pictures', os.W_OK))"
    asked = [*bubblewrap(tmp_path), sys.executable, "-S", "-c", look]
    said = subprocess.run(asked, capture_output=True, text=True, env=environment(), check=True).stdout
    assert said == "4 ['helper.py', 'pictures'] photo False False False\n"


def test_without_a_sandbox_they_are_there_too(tmp_path):
    (tmp_path / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "link").symlink_to("/etc/passwd")
    with Room(Limits(seconds=240, call_seconds=60), tmp_path, isolate=False) as one:
        out = one.run("import os; from helper import twice; print(twice(2), os.listdir('pictures'))", "helper")
    assert out[0]["text"] == "4 []\n"


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux has them")
def test_files_in_memory_without_a_name_are_counted():
    me = SimpleNamespace(pid=os.getpid())
    before = memory.count_nameless([me])
    file = os.memfd_create("hidden")
    try:
        os.write(file, bytes(3 << 20))
        copy = os.dup(file)
        assert memory.count_nameless([me, me]) - before == 3 << 20
        os.close(copy)
    finally:
        os.close(file)


@isolated
def test_files_in_the_writable_folders_are_counted():
    write = "open('/tmp/a', 'wb').write(bytes(5 << 20)); open('/dev/shm/b', 'wb').write(bytes(2 << 20)); input()"
    asked = [*bubblewrap(None, 60), sys.executable, "-S", "-c", write]
    with subprocess.Popen(asked, stdin=subprocess.PIPE, env=environment()) as process:
        import psutil

        until, seen = time.monotonic() + 60, 0
        while seen < 7 << 20 and time.monotonic() < until:
            seen = memory.count_files(psutil.Process(process.pid).children(recursive=True))
            time.sleep(0.05)
        process.communicate(b"\n")
    assert seen == 7 << 20


def test_a_new_start_is_given_no_time_but_what_is_left(monkeypatch):
    given = []

    class Line:
        seconds = None

        def ask(self, request):
            if request["do"] == "run":
                given.append(self.seconds)
                now[0] += self.seconds  # it uses all of it
            return True

    now = [1000.0]
    box = SimpleNamespace(
        process=SimpleNamespace(stdout=SimpleNamespace(fileno=int), stdin=SimpleNamespace(fileno=int)),
        watch=None,
        find_program=os.getpid,
        close=lambda: None,
    )
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(room, "Sandbox", lambda *a, **k: box)
    monkeypatch.setattr(room, "Line", lambda *a, **k: Line())
    one = Room(Limits(seconds=25, call_seconds=10))
    one.done = ["cell"] * 1000
    one.get("x")
    assert given[:4] == [10, 10, 5, 0] and sum(given) == 25


def test_a_scope_is_made_where_systemd_makes_one(tmp_path, monkeypatch):
    monkeypatch.setattr(cgroup.shutil, "which", lambda name: None)
    assert cgroup.scope(11, 1) == []
    fake = tmp_path / "systemd-run"
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    fake.chmod(0o755)
    monkeypatch.setattr(cgroup.shutil, "which", lambda name: str(fake))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    words = cgroup.scope(12, 3)
    assert words[0] == "systemd-run" and "--scope" in words and words[-1] == "--"
    asked = (tmp_path / "asked").read_text()
    assert "MemoryMax=12M" in asked and "MemorySwapMax=0" in asked and "TasksMax=3" in asked and "-- true" in asked
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert cgroup.scope(13, 3) == []
