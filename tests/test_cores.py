"""The cores that a process may use: its affinity, and the quota of its container."""

import math
import os

import pytest

from flowlib import cores


@pytest.fixture
def group(tmp_path):
    """group(path, quotas): a machine on which this process is in that control group."""

    def make(line: str, **quotas: str):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(line)
        for place, text in quotas.items():
            folder = tmp_path / "sys/fs/cgroup" / place.replace("_", "/").strip("/")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cpu.max").write_text(text)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("line", "quotas", "cores_given"),
    [
        ("0::/\n", {"_": "150000 100000\n"}, 1.5),  # in a container: its own group is the root that it sees
        ("0::/\n", {"_": "max 100000\n"}, math.inf),
        ("0::/a/b\n", {"a": "200000 100000\n", "a_b": "max 100000\n"}, 2.0),  # the group above sets the limit
        ("0::/a/b\n", {"a": "400000 100000\n", "a_b": "50000 100000\n"}, 0.5),
        ("0::/../x\n", {}, math.inf),
        ("0::/\n", {"_": "no numbers\n"}, math.inf),
        ("no group\n", {}, math.inf),
    ],
)
def test_the_quota_of_a_container_is_read(group, line, quotas, cores_given):
    assert cores.read_quota(group(line, **quotas)) == cores_given


@pytest.mark.parametrize(
    ("line", "quota", "cores_given"),
    [
        ("4:cpu,cpuacct:/a/b\n3:memory:/\n", "250000", 2.5),
        ("4:cpu:/\n", "250000", math.inf),  # the limit is that of another group
        ("4:cpu:/a\n", "-1", math.inf),
        ("3:memory:/a\n", "250000", math.inf),
    ],
)
def test_the_quota_of_an_older_container_is_read(tmp_path, group, line, quota, cores_given):
    folder = tmp_path / "sys/fs/cgroup/cpu/a"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota + "\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert cores.read_quota(group(line)) == cores_given


def test_a_machine_without_control_groups_has_no_quota(tmp_path):
    assert cores.read_quota(tmp_path) == math.inf


@pytest.mark.parametrize(("bound", "quota", "found"), [(8, math.inf, 8), (8, 1.5, 2), (2, 4.0, 2), (4, 0.2, 1)])
def test_the_least_counts_and_it_is_at_least_one(monkeypatch, bound, quota, found):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(bound)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(cores, "read_quota", lambda: quota)
    assert cores.count_cores() == found


def test_where_there_is_no_affinity_the_machine_counts(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    monkeypatch.setattr(cores, "read_quota", lambda: math.inf)
    assert cores.count_cores() == 1
