"""What a student's program sees and takes: nothing of the machine can be written, and all that it takes is counted."""

import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("nbgrader", reason="needs nbgrader: pip install -e '.[classroom]'")

from flowlib.classroom.room import calls as calls_of_the_kernel
from flowlib.classroom.room import cgroup, memory, room
from flowlib.classroom.room.bubblewrap import WRITABLE, bubblewrap, environment
from flowlib.classroom.room.calls import FOREIGN
from flowlib.classroom.room.room import Died, Room
from flowlib.classroom.room.sandbox import Limits, find_obstacle
from flowlib.classroom.room.wire import TookTooLong

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


def test_no_more_files_can_be_open_than_are_allowed(tmp_path):
    with Room(Limits(seconds=240, call_seconds=60), tmp_path, isolate=False) as one:
        out = one.run("import os\nkept = []\nwhile True: kept += os.pipe()", "many")
    assert "Too many open files" in str(out)


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


def test_what_pipes_and_sockets_can_keep_is_counted():
    me = SimpleNamespace(pid=os.getpid())
    before = memory.count_nameless([me])
    sockets, pipe = socket.socketpair(), os.pipe()
    try:
        assert memory.count_nameless([me, me]) - before == 2 * memory.SOCKET + memory.PIPE
    finally:
        for one in sockets:
            one.close()
        for end in pipe:
            os.close(end)


@isolated
def test_files_in_the_writable_folders_are_counted():
    write = "open('/tmp/a', 'wb').write(bytes(5 << 20)); open('/dev/shm/b', 'wb').write(bytes(2 << 20)); input()"
    asked = [*bubblewrap(None, 60), sys.executable, "-S", "-c", write]
    with subprocess.Popen(asked, stdin=subprocess.PIPE, env=environment()) as process:
        import psutil

        until, seen = time.monotonic() + 60, 0
        while seen < 7 << 20 and time.monotonic() < until:
            family = psutil.Process(process.pid).children(recursive=True)
            seen = memory.count_files(family) - memory.count_nameless(family)
            time.sleep(0.05)
        process.communicate(b"\n")
    assert seen == 7 << 20


@pytest.fixture
def slow(monkeypatch):
    """A room whose program uses all the time that a cell is given when it runs again; and what each was given."""
    given = []

    class Line:
        seconds = None

        def ask(self, request):
            if request["do"] == "run":
                given.append(self.seconds)
                now[0] += self.seconds
                if self.seconds < 10:
                    raise TookTooLong
            return True

    now = [1000.0]
    box = SimpleNamespace(
        process=SimpleNamespace(stdout=SimpleNamespace(fileno=int), stdin=SimpleNamespace(fileno=int)),
        watch=None,
        find_program=lambda: 0,  # no process: the waiting of this one for a core is not to move the clock
        close=lambda: None,
    )
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(room, "Sandbox", lambda *a, **k: box)
    monkeypatch.setattr(room, "Line", lambda *a, **k: Line())
    return given


def test_a_new_start_is_given_no_time_but_what_is_left(slow):
    one = Room(Limits(seconds=25, call_seconds=10))
    one.done, one.spent = ["cell"] * 1000, 500.0
    with pytest.raises(Died):
        one.get("x")
    assert slow == [10, 10, 5]


def test_cells_that_run_again_have_the_time_that_they_took_and_who_does_not_come_back_twice_is_told(slow):
    one = Room(Limits(seconds=1000, call_seconds=10))
    one.done, one.spent = ["cell"] * 1000, 6.0
    for said in ("did not come back", "did not come back", "was ended too often", "was ended too often"):
        with pytest.raises(Died, match=said):
            one.get("x")
    assert slow == [10, 10, 2, 10, 10, 2]  # twice six seconds, and the ten of a call


@isolated
@pytest.mark.hostile
def test_a_program_that_waits_whenever_it_runs_again_is_told_early():
    wait = "import time\nif not ran: time.sleep(4)"
    with Room(Limits(seconds=600, call_seconds=5)) as one:
        one.run("ran = False\ndef f():\n    global ran\n    ran = True", "f")
        one.get("f")()
        for _ in range(20):
            one.run(wait, "wait")
        for _ in range(3):
            one.run("import os; os._exit(0)", "dies")
        with pytest.raises(Died, match="was ended too often"):
            one.get("ran")
        assert one.failures == 2 and one.limits.seconds - (one.until - one.clock.now()) < 60


@isolated
def test_no_memory_is_given_that_stays_when_no_process_has_it():
    ask = "import ctypes, errno\nlibc = ctypes.CDLL(None, use_errno=True)\nfor name, given in {}:\n"
    ask += "    print(name, getattr(libc, name)(*given), errno.errorcode[ctypes.get_errno()])"
    calls = (("shmget", (0, 4096, 0o600)), ("semget", (0, 1, 0o600)), ("msgget", (0, 0o600)))
    with Room(Limits(seconds=240, call_seconds=60)) as one:
        (out,) = one.run(ask.format(calls), "asks")
        shared = "import torch\nprint(torch.ones(3).share_memory_().sum().item())"
        assert one.run(shared, "shares")[0]["text"] == "3.0\n"
    if calls_of_the_kernel.platform.machine() in calls_of_the_kernel.MACHINES:
        assert out["text"] == "shmget -1 ENOSYS\nsemget -1 ENOSYS\nmsgget -1 ENOSYS\n"


def test_a_filter_knows_each_machines_numbers_and_refuses_the_others():
    for machine, _, refused in calls_of_the_kernel.MACHINES.values():
        for asked, by, allowed in [(1, machine, True), (1, 0x40000003, False), (FOREIGN + 1, machine, False)] + [
            (number, machine, False) for number in refused
        ]:
            made = calls_of_the_kernel.make_filter(machine, refused)
            assert (run_filter(made, asked, by) == calls_of_the_kernel.ALLOW) == allowed


def run_filter(program: bytes, number: int, machine: int) -> int:
    """What a filter says of a call: its instructions, one by one, as the kernel follows them."""
    words, at, value = list(struct.iter_unpack("HBBI", program)), 0, 0
    while True:
        code, yes, no, k = words[at]
        at += 1
        if code == 0x06:
            return k
        if code == 0x20:
            value = {0: number, 4: machine}[k]
        else:
            at += yes if (value == k if code == 0x15 else value >= k) else no


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
