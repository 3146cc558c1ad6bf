"""The training loop: it learns, and a run that was killed or interrupted goes on as if it had not been."""

import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import flowlib
from flowlib.models.language import FlowConfig
from flowlib.training import (
    TrainConfig,
    learning_rate,
    newest_checkpoint,
    preset,
    preset_names,
    preset_table,
    read_metrics,
    train,
)

SMALL = FlowConfig(context=8, width=8, heads=2, layers=1)


@pytest.fixture
def config(tmp_path) -> TrainConfig:
    """A run of a few milliseconds."""
    text = tmp_path / "text.txt"
    text.write_text("the river is the flow and the flow is the river; " * 20)
    return TrainConfig(
        corpus=str(text), model=SMALL, steps=3, batch=2, eval_every=1, log_every=1, warmup=1, device="cpu"
    )


def without_clock(run: Path) -> list[dict]:
    return [{k: v for k, v in line.items() if not k.startswith("wall_")} for line in read_metrics(run)]


def assert_same(run: Path, other: Path) -> None:
    """Parameters, best parameters, moments and metrics, bit for bit; and nothing half-written is left behind."""
    assert without_clock(run) == without_clock(other)
    for folder in (run, other):
        assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
    names = ["best/model.safetensors", "best/config.json", "config.json"]
    for checkpoint in (run / "checkpoints").iterdir():
        names += [f"checkpoints/{checkpoint.name}/{name}" for name in ("model.safetensors", "optimizer.safetensors")]
    assert len(names) == 7
    for name in names:
        assert (run / name).read_bytes() == (other / name).read_bytes(), name


# The loop itself


def test_the_loss_falls_and_everything_is_written_down(config, tmp_path):
    config = replace(config, steps=120, eval_every=50, log_every=20, learning_rate=1e-2, vocabulary="characters")
    result = train(config, tmp_path / "run", progress=False)
    steps, losses = zip(*result.validation_losses, strict=True)
    assert steps == (0, 50, 100, 120)
    alphabet = len(set(Path(config.corpus).read_text()))
    assert losses[0] == pytest.approx(math.log(alphabet), abs=0.3) and losses[-1] < 0.7 * losses[0]
    assert result.best_loss == min(losses)
    assert [line["step"] for line in result.metrics] == [0, 20, 40, 50, 60, 80, 100, 120]
    for line in result.metrics:
        assert line["tokens"] == line["step"] * config.batch * config.model.context
        assert line["learning_rate"] == learning_rate(max(line["step"] - 1, 0), config)
        assert ("train_loss" in line) == (line["step"] > 0) and line["wall_seconds"] >= 0
    text = result.model.generate("the ", tokens=8, temperature=0.0)
    assert text.startswith("the ") and not result.model.training
    asked = json.loads((tmp_path / "run" / "config.json").read_text())
    assert asked["train"]["steps"] == 120 and asked["corpus"]["bytes"] == 49 * 20


def test_equal_configurations_give_equal_bits_and_another_seed_does_not(config, tmp_path):
    torch.manual_seed(1)
    train(config, tmp_path / "a", progress=False)
    torch.manual_seed(2)  # the global generator plays no part, and is left as it was
    before = torch.get_rng_state()
    train(config, tmp_path / "b", progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same(tmp_path / "a", tmp_path / "b")
    train(replace(config, seed=1), tmp_path / "c", progress=False)
    assert without_clock(tmp_path / "c") != without_clock(tmp_path / "a")


def test_the_learning_rate_rises_then_follows_a_cosine():
    config = TrainConfig(steps=1100, warmup=100, learning_rate=1.0, final_learning_rate=0.1)
    rates = [learning_rate(step, config) for step in range(config.steps)]
    assert rates[0] == pytest.approx(1 / 101) and rates[99] == pytest.approx(100 / 101) and rates[100] == 1.0
    assert rates[600] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1, abs=1e-5)
    assert all(later < earlier for earlier, later in zip(rates[100:], rates[101:], strict=False))


def test_the_gradient_is_clipped_and_the_moments_are_adams(config, tmp_path):
    """After one update the first moment is (1 − β1) times the clipped gradient: its norm says that it was clipped."""
    from safetensors.torch import load_file

    config = replace(config, steps=1, clip=1e-3, betas=(0.8, 0.9))
    train(config, tmp_path / "run", progress=False)
    moments = load_file(newest_checkpoint(tmp_path / "run") / "optimizer.safetensors")
    norm = math.sqrt(sum(v.square().sum().item() for name, v in moments.items() if name.endswith("/exp_avg")))
    assert norm == pytest.approx(0.2 * 1e-3, rel=1e-3)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("steps", 0, "at least 1"),
        ("steps", -5, "at least 1"),
        ("batch", 0, "at least 1"),
        ("log_every", 0, "at least 1"),
        ("eval_every", 0, "at least 1"),
        ("warmup", -1, "at least 0"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", math.nan, "above 0"),
        ("learning_rate", math.inf, "below 1e6"),
        ("clip", 0.0, "above 0"),
        ("betas", (0.9, 1.0), "two numbers"),
        ("weight_decay", -0.1, "at least 0"),
        ("seed", -1, "at least 0"),
    ],
)
def test_a_senseless_setting_is_named(field, value, what):
    with pytest.raises(ValueError, match=f"{field} must be {what}"):
        TrainConfig(**{field: value})


@pytest.mark.no_shape_check
def test_an_unknown_kind_of_token_lists_the_known_ones():
    with pytest.raises(ValueError, match="vocabulary must be 'bytes' or 'characters' or 'gpt2', but is words"):
        TrainConfig(vocabulary="words")


def test_an_unknown_preset_lists_the_known_ones():
    text = [
        "gpt2-124m",
        "shakespeare-cpu",
        "shakespeare-elastic",
        "shakespeare-gpu",
        "shakespeare-gpu-elastic",
        "shakespeare-hour",
        "tiny",
        "tiny-elastic",
    ]
    assert preset_names() == sorted([*text, "digits", "digits-conv", "mnist", "shapes"])
    for name, layers, heads, width, context, batch in (
        ("shakespeare-cpu", 4, 4, 128, 64, 12),
        ("shakespeare-gpu", 6, 6, 384, 256, 64),
        ("gpt2-124m", 12, 12, 768, 1024, 480),
    ):
        model = preset(name).model
        assert (model.layers, model.heads, model.width, model.context) == (layers, heads, width, context)
        assert preset(name).batch == batch and f"\n| {name} " in preset_table()
    with pytest.raises(ValueError, match="unknown preset 'huge'; known are digits, digits-conv, gpt2-124m, mni"):
        preset("huge")


@pytest.mark.parametrize("rate", [1e3, 9e5])
def test_a_loss_that_is_no_longer_finite_stops_the_run_and_stays_out_of_the_checkpoints(config, tmp_path, rate):
    config = replace(config, steps=50, eval_every=50, learning_rate=rate, warmup=0)
    with pytest.raises(FloatingPointError, match=r"stay finite, but (nan|inf) came at step \d+.*lower learning_rate"):
        train(config, tmp_path / "run", progress=False)
    assert newest_checkpoint(tmp_path / "run").name == "step-000000"


def test_a_corpus_shorter_than_the_context_is_an_error(config, tmp_path):
    long = replace(config, model=replace(SMALL, context=500))
    with pytest.raises(ValueError, match="980 tokens, too short for a context of 500"):
        train(long, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


# Beginning and resuming


def test_a_run_is_never_overwritten(config, tmp_path):
    train(config, tmp_path / "run", progress=False)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(FileExistsError, match="already holds a run; resume it"):
        train(config, tmp_path / "run", progress=False)
    result = train(config, tmp_path / "run", resume=True, progress=False)  # finished: nothing is left to do
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    assert result.validation_losses[-1][0] == config.steps


def test_a_run_is_resumed_as_it_was_configured_or_not_at_all(config, tmp_path):
    train(config, tmp_path / "run", progress=False)
    changed = replace(config, learning_rate=0.5, model=replace(SMALL, scheme="strang"))
    with pytest.raises(ValueError, match="train.learning_rate was 0.001, now 0.5; train.model.scheme was 'lie'"):
        train(changed, tmp_path / "run", resume=True, progress=False)
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    for name in ("micro_batch", "compile", "recompute"):  # a run from before there were these settings
        del saved["train"][name]
    (tmp_path / "run" / "config.json").write_text(json.dumps(saved))
    train(replace(config, micro_batch=1, recompute=True), tmp_path / "run", resume=True, progress=False)
    Path(config.corpus).write_text("another text, as long as is needed; " * 20)
    with pytest.raises(ValueError, match="corpus.sha256 was"):
        train(config, tmp_path / "run", resume=True, progress=False)


def test_metrics_after_the_checkpoint_and_a_torn_line_are_dropped(config, tmp_path):
    train(config, tmp_path / "whole", progress=False)
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-000003")
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "train_loss": 1.0}\n{"step": 5, "trai')
    train(config, tmp_path / "run", resume=True, progress=False)
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_a_damaged_metrics_line_is_named(config, tmp_path):
    train(config, tmp_path / "run", progress=False)
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 0}\nrubbish\n{"step": 1}\n')
    with pytest.raises(ValueError, match="metrics.jsonl, line 2, is not JSON"):
        read_metrics(tmp_path / "run")


def test_a_damaged_checkpoint_stops_the_resuming_and_says_how_to_go_on(config, tmp_path):
    train(config, tmp_path / "whole", progress=False)
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    newest = newest_checkpoint(tmp_path / "run")
    for name in ("optimizer.safetensors", "model.safetensors"):
        (newest / name).write_bytes(b"\x00" * 10)
        with pytest.raises(ValueError, match=f"{name} is not .*or delete .*step-000003 to go on from an older"):
            train(config, tmp_path / "run", resume=True, progress=False)
    shutil.rmtree(newest)  # as the message says; the one before it is still there
    train(config, tmp_path / "run", resume=True, progress=False)
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_it_trains_outside_the_main_thread(config, tmp_path, die_at):
    """There, no signal can be listened to."""
    results = []
    thread = threading.Thread(target=lambda: results.append(train(config, tmp_path / "run", progress=False)))
    thread.start()
    thread.join()
    assert results[0].validation_losses[-1][0] == config.steps


def test_a_text_may_move_and_another_text_may_not_take_its_place(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = replace(config, corpus="text.txt")
    train(config, "run", progress=False, until=1)
    (tmp_path / "texts").mkdir()
    (tmp_path / "text.txt").rename("texts/river.txt")
    moved = replace(config, corpus=str(tmp_path / "texts" / "river.txt"))
    train(moved, "run", resume=True, progress=False, until=2)
    Path("other.txt").write_text("another text, as long as is needed; " * 20)
    with pytest.raises(ValueError, match="corpus.name was .*river.txt', now 'other.txt'; .*corpus.sha256 was"):
        train(replace(config, corpus="other.txt"), "run", resume=True, progress=False)
    train(moved, "run", resume=True, progress=False)
    train(moved, "whole", progress=False)
    assert_same(Path("whole"), Path("run"))


# Killed


def test_killed_at_forty_moments_a_run_goes_on_to_equal_bits(config, tmp_path, monkeypatch, die_at):
    """Every third operation on the disk: of the configuration, the best model, checkpoints, their deletion."""
    dropping = replace(SMALL, dropout=0.3)
    config = replace(config, steps=2, micro_batch=1, model=dropping)  # three checkpoints; the first is deleted
    train(config, tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch:
        operations = die_at(patch, 10**9)
        train(config, tmp_path / "counted", progress=False)
    assert len(operations) > 50 and {"fsync", "replace", "rename", "rmdir"} <= set(operations)
    for moment in range(0, len(operations), 3):
        run = tmp_path / f"killed-{moment}"
        with monkeypatch.context() as patch:
            die_at(patch, moment)
            with pytest.raises(die_at.Killed):
                train(config, run, progress=False)
        train(config, run, resume=True, progress=False)
        assert_same(tmp_path / "whole", run)
        shutil.rmtree(run)


SUICIDE = '''
"""Imported by Python at its start: SIGKILL in the middle of the FLOWLIB_KILL_AT-th operation on the run's folder."""
import os, signal
left = int(os.environ["FLOWLIB_KILL_AT"])
def deadly(call, name):
    def wrapper(*args, **kwargs):
        global left
        if name == "fsync" or any("step-" in str(arg) for arg in args):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapper
for name in ("fsync", "replace", "rename", "mkdir", "rmdir", "unlink"):
    setattr(os, name, deadly(getattr(os, name), name))
'''


def command(config: TrainConfig, run: Path, *more: str) -> list[str]:
    """`flowlib train` in a process of its own, with the settings of `config`."""
    flags = {
        "corpus": config.corpus,
        "steps": config.steps,
        "batch": config.batch,
        "eval-every": config.eval_every,
        "log-every": config.log_every,
        "warmup": config.warmup,
        "device": "cpu",
        "model.context": SMALL.context,
        "model.width": SMALL.width,
        "model.heads": SMALL.heads,
        "model.layers": SMALL.layers,
        "model.dropout": config.model.dropout,
        "micro-batch": config.micro_batch,
        "name": run.name,
        "runs": run.parent,
    }
    pairs = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "flowlib.cli", "train", "tiny", *pairs, *more]


def environment(**more: str) -> dict[str, str]:
    paths = [more.pop("path", ""), str(Path(flowlib.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(filter(None, paths))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(torch.get_num_threads())} | more


@pytest.fixture
def long(config) -> TrainConfig:
    """A run of about a second, long enough to be killed in, with dropout, and each batch in two parts."""
    return replace(
        preset("tiny"),
        **{name: getattr(config, name) for name in ("corpus", "batch", "log_every", "device", "warmup")}
        | {"steps": 150, "eval_every": 15, "micro_batch": 1, "model": replace(SMALL, dropout=0.2)},
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_real_process_killed_again_and_again_ends_in_equal_bits(long, tmp_path):
    """SIGKILL in the middle of writing a checkpoint, of replacing the best model, and at a time that nobody chose."""
    run = tmp_path / "run"
    (tmp_path / "sitecustomize.py").write_text(SUICIDE)
    for moment in (9, 58):
        outcome = subprocess.run(
            command(long, run, "--resume"),
            env=environment(path=str(tmp_path), FLOWLIB_KILL_AT=str(moment)),
            capture_output=True,
            text=True,
        )
        assert outcome.returncode == -signal.SIGKILL, outcome.stderr
    before = len(read_metrics(run))
    process = subprocess.Popen(command(long, run, "--resume"), env=environment(), stdout=subprocess.DEVNULL)
    wait_until(lambda: len(read_metrics(run)) > before + 20, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 0 < len(read_metrics(run)) < long.steps
    train(long, run, resume=True, progress=False)
    train(long, tmp_path / "whole", progress=False)
    assert_same(tmp_path / "whole", run)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to another process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_saves_and_says_how_to_resume(long, tmp_path, number):
    run = tmp_path / "run"
    process = subprocess.Popen(
        command(long, run), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: len(read_metrics(run)) > 33, process)
    process.send_signal(number)
    errors = process.communicate()[1]
    assert process.returncode == 130 and "Traceback" not in errors
    stopped = int(newest_checkpoint(run).name[5:])
    assert f"stopped after step {stopped} of 150" in errors
    assert [line["step"] for line in read_metrics(run)][-1] == stopped
    again = shlex.split(errors.split("resume with: ")[1])
    assert again == ["flowlib", *command(long, run, "--resume")[3:]]
    train(long, run, resume=True, progress=False)
    train(long, tmp_path / "whole", progress=False)
    assert_same(tmp_path / "whole", run)


def wait_until(condition, process: subprocess.Popen, seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the process ended before it could be stopped"
        assert time.monotonic() < end, "the process did not come so far"
        time.sleep(0.02)
