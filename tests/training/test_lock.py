"""Two at once: the second is told who trains in a run folder, and a dead process holds nothing."""

import errno
import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import filelock
import pytest
import torch
from accelerate import Accelerator

from flowlib import cli
from flowlib.models.language import FlowConfig
from flowlib.training import TrainConfig, newest_checkpoint, read_metrics, train
from flowlib.training.lock import hold

SMALL = FlowConfig(context=8, width=8, heads=2, layers=1)


@pytest.fixture
def config(tmp_path) -> TrainConfig:
    """A run of a few milliseconds."""
    text = tmp_path / "text.txt"
    text.write_text("the river is the flow and the flow is the river; " * 20)
    return TrainConfig(
        corpus=str(text), model=SMALL, steps=3, batch=2, eval_every=1, log_every=1, warmup=1, device="cpu"
    )


def test_who_trains_in_a_folder_is_said_and_nothing_of_it_is_touched(config, tmp_path):
    run = tmp_path / "run"
    train(config, run, progress=False, until=2)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "trainer.json"}
    said = f"process {os.getpid()} on {platform.node()}, since .* trains in {run}; wait for its end"
    with hold(run, Accelerator(cpu=True)), pytest.raises(BlockingIOError, match=said):
        train(config, run, resume=True, progress=False)
    for path, raw in before.items():
        assert path.read_bytes() == raw, path
    train(config, run, resume=True, progress=False)  # its end frees it
    assert read_metrics(run)[-1]["step"] == config.steps


def test_a_lock_whose_holder_is_unknown_is_a_lock(config, tmp_path):
    run = tmp_path / "run"
    with hold(run, Accelerator(cpu=True)), pytest.raises(BlockingIOError, match="another process trains in"):
        (run / "trainer.json").unlink()  # it has only just begun
        train(config, run, progress=False)


@pytest.mark.parametrize("name", ["lock", "trainer.json"])
def test_a_file_of_that_name_that_is_not_ours_stays(config, tmp_path, name):
    run = tmp_path / "run"
    run.mkdir()
    (run / name).write_text('{"process": "of Kafka, chapter 3"}')
    with pytest.raises(BlockingIOError, match=f"{name} is in the way, and flowlib did not write it; move it"):
        train(config, run, progress=False)
    assert [(file.name, file.read_text()) for file in run.iterdir()] == [(name, '{"process": "of Kafka, chapter 3"}')]


@pytest.mark.parametrize("error", [NotImplementedError("no flock"), OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))])
def test_a_file_system_without_locks_is_trained_on_without(config, tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    train(config, tmp_path / "run", progress=False)
    assert newest_checkpoint(tmp_path / "run").name == "step-000003"


def test_an_error_of_the_disk_is_no_missing_lock(config, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        train(config, tmp_path / "run", progress=False)


HOLDER = """
import json, sys
from flowlib.models.language import FlowConfig
from flowlib.training import TrainConfig, train
settings = json.loads(sys.argv[1])
train(TrainConfig(model=FlowConfig(context=8, width=8, heads=2, layers=1), **settings), sys.argv[2], progress=False)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_second_process_is_refused_and_a_killed_one_holds_nothing(config, tmp_path, capsys):
    run, long = tmp_path / "run", replace(config, steps=100_000, eval_every=100_000)
    names = ("corpus", "steps", "batch", "eval_every", "log_every", "warmup", "device")
    settings = {name: getattr(long, name) for name in names}
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDER, json.dumps(settings), str(run)],
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    end = time.monotonic() + 120
    while len(read_metrics(run)) < 3:
        assert first.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    words = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    words += ["--model.context", "8", "--model.width", "8", "--model.heads", "2", "--model.layers", "1"]
    assert cli.main(["train", *words, "--resume", "--name", "run", "--runs", str(tmp_path)]) == 2
    assert f"process {first.pid} on " in capsys.readouterr().err
    assert first.poll() is None  # and goes on
    first.send_signal(signal.SIGKILL)
    first.wait()
    train(long, run, resume=True, progress=False, until=5)
    steps = [line["step"] for line in read_metrics(run)]
    assert steps == list(range(6)) and Path(run / "lock").is_file()
