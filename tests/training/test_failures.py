"""What a machine may run out of: a message that says what to try, and the last good checkpoint stays whole."""

import contextlib
import errno
import math
import os
import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors import SafetensorError

from flowlib import cli, files
from flowlib.files import load_metadata, save_tensors, save_text
from flowlib.models.language import FlowConfig, FlowLM
from flowlib.training import TrainConfig, checkpoints, newest_checkpoint, read_metrics, runs, train
from flowlib.training.checkpoints import load_optimizer, load_state
from flowlib.training.config import ShapesConfig
from flowlib.training.ship import SHIPPED, ship
from flowlib.training.tasks import Text, prepare

SMALL = FlowConfig(context=8, width=8, heads=2, layers=1)


@pytest.fixture
def config(tmp_path) -> TrainConfig:
    """A run of a few milliseconds."""
    text = tmp_path / "text.txt"
    text.write_text("the river is the flow and the flow is the river; " * 20)
    return TrainConfig(
        corpus=str(text), model=SMALL, steps=4, batch=4, eval_every=1, log_every=1, warmup=1, device="cpu"
    )


def must_be_whole(run: Path, step: int) -> None:
    """The newest checkpoint is that of `step`, everything in it can be read, and nothing lies beside it."""
    folder = newest_checkpoint(run)
    assert folder is not None and load_state(folder)["step"] == step
    model = FlowLM.load(folder)
    load_optimizer(folder, model, torch.optim.AdamW(model.parameter_groups(0.1)))
    assert not [path for path in run.rglob("*") if path.name.startswith(".")]


def goes_on(config: TrainConfig, run: Path, whole: Path) -> None:
    """Resumed, the run ends where one ends that never failed."""
    train(config, run, resume=True, progress=False)
    train(config, whole, progress=False)
    assert newest_checkpoint(run).name == newest_checkpoint(whole).name
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (newest_checkpoint(run) / name).read_bytes() == (newest_checkpoint(whole) / name).read_bytes()


def fails_at(monkeypatch, owner, name: str, moment: int, error: BaseException) -> None:
    """From its `moment`-th call on, the function or method of that name raises."""
    original, calls = getattr(owner, name), []

    def call(*args, **kwargs):
        calls.append(name)
        if len(calls) >= moment:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.safetensors")


@pytest.mark.parametrize("moment", range(7, 15))
def test_a_full_disk_is_said_and_leaves_the_last_checkpoint_whole(config, tmp_path, monkeypatch, moment):
    """At whatever file of the best model or of a checkpoint it happens: tensors go through safetensors' own writer."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        fails_at(patch, files, "flush", moment, FULL)
        with pytest.raises(OSError, match="the disk is full: .*free some space.*(goes on from there|no checkpoint)"):
            train(config, run, progress=False)
    if newest_checkpoint(run):
        must_be_whole(run, load_state(newest_checkpoint(run))["step"])
    goes_on(config, run, tmp_path / "whole")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_disk_that_is_really_full_while_metrics_are_written(config, tmp_path):
    run = tmp_path / "run"
    train(replace(config, steps=2), tmp_path / "short", progress=False)
    shutil.copytree(tmp_path / "short", run)
    shutil.rmtree(newest_checkpoint(run))
    original = read_metrics(run)

    def begin(*args, **kwargs):
        start = real(*args, **kwargs)
        (run / "metrics.jsonl").rename(run / "kept")
        (run / "metrics.jsonl").symlink_to("/dev/full")
        return start

    real, runs.begin = runs.begin, begin
    try:
        with pytest.raises(OSError, match="the disk is full.*step-000001 is whole: resume=True"):
            train(replace(config, steps=2), run, resume=True, progress=False)
    finally:
        runs.begin = real
    (run / "metrics.jsonl").unlink()
    (run / "kept").rename(run / "metrics.jsonl")
    must_be_whole(run, 1)
    train(replace(config, steps=2), run, resume=True, progress=False)
    assert [line["step"] for line in read_metrics(run)] == [line["step"] for line in original]


def test_what_safetensors_says_in_words_becomes_the_systems_error(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        save_tensors({"a": torch.ones(2)}, tmp_path / "nowhere" / "a.safetensors")
    for words in ("I/O error: No space left on device (os error 28)", "IoError(Os { code: 28, kind: StorageFull })"):
        with monkeypatch.context() as patch:
            fails_at(patch, files, "save_file", 1, SafetensorError(f"Error while serializing: {words}"))
            with pytest.raises(OSError) as full:
                save_tensors({"a": torch.ones(2)}, tmp_path / "a.safetensors")
        assert full.value.errno == errno.ENOSPC
    save_text("old", tmp_path / "a")
    with pytest.raises(UnicodeEncodeError):
        save_text("\ud800", tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_text() == "old"


def test_a_folder_that_cannot_be_written(config, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fails_at(patch, os, "mkdir", 1, PermissionError(errno.EACCES, os.strerror(errno.EACCES), "runs"))
        with pytest.raises(PermissionError, match="runs cannot be written .*denied.; make .* a folder that you may"):
            train(config, tmp_path / "runs" / "mine", progress=False)
    (tmp_path / "file").touch()  # a file where a folder should be
    with pytest.raises(PermissionError, match="cannot be written .*no checkpoint lies in"):
        train(config, tmp_path / "file" / "mine", progress=False)
    assert (tmp_path / "file").is_file() and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_put_a_folder_on_disk_is_trained_on(config, tmp_path, monkeypatch, code):
    """SMB, VirtualBox, FUSE: the names are on the disk when the system thinks fit."""
    original = os.fsync

    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        return original(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    train(config, tmp_path / "run", progress=False)
    must_be_whole(tmp_path / "run", config.steps)
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.EIO, os.strerror(errno.EIO))))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):  # a broken disk is not survived in silence
        train(config, tmp_path / "other", progress=False)


def test_a_run_folder_that_is_deleted_under_the_run_is_said(config, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(FileNotFoundError, match="run/metrics.jsonl was deleted or moved .*leave .*run in its place"):
        train(config, run, progress=False, watch=lambda line: line["step"] == 2 and shutil.rmtree(run))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore about it"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["cuda", "python", "cpu"],
)
def test_out_of_memory_says_what_needs_less_and_what_is_left(config, tmp_path, monkeypatch, error):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        fails_at(patch, Accelerator, "backward", 3, error)
        with pytest.raises(MemoryError, match="out of memory .*micro_batch below 4 .--micro-batch 2: .*step-000002 is"):
            train(config, run, progress=False)
    must_be_whole(run, 2)
    result = train(replace(config, micro_batch=2, recompute=True), run, resume=True, progress=False)  # as it says
    assert result.validation_losses[-1][0] == config.steps


def test_another_error_is_left_as_it_is(config, tmp_path, monkeypatch):
    fails_at(monkeypatch, Accelerator, "backward", 1, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="^mat1 and mat2"):
        train(config, tmp_path / "run", progress=False)


@pytest.mark.parametrize("log_every", [1, 100])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_nan_is_traced_to_its_step_though_nobody_looked_at_it_then(config, tmp_path, monkeypatch, value, log_every):
    config = replace(config, steps=12, eval_every=5, log_every=log_every)
    steps, original = [], Accelerator.clip_grad_norm_

    def clip(self, *args, **kwargs):
        steps.append(0)
        norm = original(self, *args, **kwargs)
        return norm * value if len(steps) == 7 else norm

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", clip)
    with pytest.raises(FloatingPointError, match=f"{value} came at step 7, .*lower learning_rate.*and whole"):
        train(config, tmp_path / "run", progress=False)
    must_be_whole(tmp_path / "run", 5)
    assert max(line["step"] for line in read_metrics(tmp_path / "run")) <= 6


def test_parameters_that_are_no_numbers_reach_no_checkpoint(config, tmp_path, monkeypatch):
    """Not even at the last step, after which no gradient would show it."""
    original = torch.optim.AdamW.step
    steps = []

    def step(self, *args, **kwargs):
        original(self, *args, **kwargs)
        steps.append(0)
        if len(steps) == 3:
            self.param_groups[0]["params"][0].data[0, 0] = math.nan

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(FloatingPointError, match="nan came at step 3"):
        train(replace(config, steps=3, eval_every=3), tmp_path / "run", progress=False)
    must_be_whole(tmp_path / "run", 0)


def test_on_the_command_line_each_is_one_message_and_exit_code_2(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--corpus", config.corpus, "--device", "cpu", "--steps", "2", "--model.width", "8"]
    for error, words in ((MemoryError("too much"), "out of memory (too much)"), (FULL, "the disk is full: model.saf")):
        with monkeypatch.context() as patch:
            fails_at(patch, checkpoints, "save_checkpoint", 1, error)
            assert cli.main([*arguments, "--resume"]) == 2
        assert f"flowlib train: {words}" in capsys.readouterr().err


# What somebody else put into a folder of ours is still there afterwards


def test_a_run_deletes_and_replaces_nothing_that_it_did_not_make(config, tmp_path):
    run = tmp_path / "run"
    train(config, run, progress=False, until=2)
    planted = [
        run / "checkpoints" / "step-000001" / "notes.txt",  # of a checkpoint that will be deleted
        run / "checkpoints" / ".step-notes",
        run / "checkpoints" / ".my-step-notes" / "notes.txt",
        run / ".best.of" / "notes.txt",
        run / ".config.json.swp",
        run / "best" / "notes.txt",
        run / "notes.txt",
    ]
    for file in planted:
        file.parent.mkdir(exist_ok=True)
        file.write_text("years of work")
    train(config, run, progress=False, resume=True)
    assert [file.read_text() for file in planted] == ["years of work"] * len(planted)
    assert [p.name for p in checkpoints.complete_checkpoints(run)] == ["step-000003", "step-000004"]
    assert [p.name for p in planted[0].parent.iterdir()] == ["notes.txt"]


def test_a_checkpoint_that_is_written_again_keeps_what_is_not_its_own(config, tmp_path):
    run = tmp_path / "run"
    train(config, run, progress=False, until=2)
    (newest_checkpoint(run) / "notes.txt").write_text("years of work")
    (newest_checkpoint(run) / "state.json").unlink()  # so that step 2 is made again
    train(config, run, progress=False, resume=True, until=2)
    assert (newest_checkpoint(run) / "notes.txt").read_text() == "years of work"


def test_metrics_of_somebody_else_are_not_replaced(config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("years of work")
    with pytest.raises(FileExistsError, match="metrics.jsonl lies there without a run's config.json"):
        train(config, tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == "years of work"


def test_shipping_replaces_only_what_was_shipped(config, tmp_path):
    run, gift = tmp_path / "run", tmp_path / "gift"
    train(config, run, progress=False)
    gift.mkdir()
    (gift / "thesis.tex").write_text("years of work")
    for _ in range(2):
        ship(run, gift, "flowlib train mine")
    assert (gift / "thesis.tex").read_text() == "years of work"
    assert {p.name for p in gift.iterdir()} == {"thesis.tex", *SHIPPED}
    for name in SHIPPED:
        other = tmp_path / f"other {name}"
        other.mkdir()
        (other / name).write_text("years of work")
        with pytest.raises(FileExistsError, match=f"{name} is in the way"):
            ship(run, other, "flowlib train mine")
        assert [p.read_text() for p in other.iterdir()] == ["years of work"]
    with pytest.raises(FileExistsError, match="config.json is in the way"):
        ship(run, run, "flowlib train mine")
    with pytest.raises(FileExistsError, match="is a file; give another name"):
        ship(run, tmp_path / "text.txt", "flowlib train mine")


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        (
            [3.5, 2.0, 2.3, 3.25, 3.31],
            "step      3   the loss is back at 3.25: who knows only how often each token occurs ",
        ),
        (
            [3.5, 3.4, 3.28, 3.25, 3.2],
            "step      2   the loss is still at 3.28: who knows only how often each token occu",
        ),
        ([3.5, 2.9, 2.5, 2.3, 2.31], ""),
    ],
)
def test_a_model_that_knows_frequencies_alone_is_told_of_once(config, tmp_path, monkeypatch, capsys, losses, said):
    found = iter(losses)
    monkeypatch.setattr(Text, "evaluate", lambda self, model, device=None: {"validation_loss": next(found)})
    monkeypatch.setattr(Text, "idle_loss", lambda self: 3.3)
    train(replace(config, learning_rate=0.02), tmp_path / "run")
    lines = [line for line in capsys.readouterr().out.splitlines() if "the loss is" in line]
    assert len(lines) == bool(said) and all(line.startswith(said) for line in lines)
    assert all("A rate of 0.02 is too high for a warm-up of 1 updates" in line for line in lines)
    assert all(line.endswith("start again with a warmup of 150, or half the learning_rate") for line in lines)


def test_a_coarse_model_is_not_judged_at_its_own_number_of_steps(config, tmp_path, monkeypatch, capsys):
    found = iter([3.5, 2.0, 3.4, 2.1, 2.0])
    monkeypatch.setattr(Text, "evaluate", lambda self, model, device=None: {"validation_loss": next(found)})
    monkeypatch.setattr(Text, "idle_loss", lambda self: 3.3)
    train(replace(config, flow_steps=(1, 2), flow_coarse=0.5), tmp_path / "run")
    assert "the loss is" not in capsys.readouterr().out


def test_what_frequencies_alone_are_worth(config):
    task = Text(config)
    p = torch.bincount(task.tokens.long(), minlength=len(task.config.model.vocabulary)) + 1.0
    q = torch.bincount(task.validation.long(), minlength=len(p)) / len(task.validation)
    assert task.idle_loss() == pytest.approx(-(q * (p / p.sum()).log()).sum().item(), abs=1e-6)
    surfaces = prepare(ShapesConfig(surfaces=80, points=8))
    assert surfaces.idle_loss() == pytest.approx(math.log(8), abs=0.2)  # eight families, about equally often


def test_a_model_of_half_the_size_says_the_same(config, tmp_path):
    train(config, tmp_path / "run", progress=False)
    whole, half = (ship(tmp_path / "run", tmp_path / f"half {half}", "x", half=half) for half in (False, True))
    size = [(folder / "model.safetensors").stat().st_size for folder in (whole, half)]
    assert size[1] < 0.55 * size[0]
    assert re.search(
        r"\| stored \| float16, which changes the loss by [+-]\de-0\d nats \|", (half / "CARD.md").read_text()
    )
    assert "stored" not in (whole / "CARD.md").read_text()
    before, after = FlowLM.load(whole), FlowLM.load(half)
    assert after.dtype == torch.float32
    for name, p in before.state_dict().items():
        assert torch.equal(p.half(), after.state_dict()[name].half()), name
    assert load_metadata(half / "model.safetensors") == load_metadata(whole / "model.safetensors") != {}


def test_a_model_that_float16_cannot_hold_is_not_halved(config, tmp_path, monkeypatch):
    train(config, tmp_path / "run", progress=False)
    with (
        monkeypatch.context() as patch,
        pytest.raises(ValueError, match=r"float16 changes the loss by .* nats, allowed"),
    ):
        patch.setattr("flowlib.training.ship.MOST_LOST", 0.0)
        ship(tmp_path / "run", tmp_path / "gift", "x", half=True)
    model = FlowLM.load(tmp_path / "run" / "best")
    with torch.no_grad():
        model.embed.weight.mul_(1e8)
    model.save(tmp_path / "run" / "best")
    with pytest.raises(ValueError, match="float16 holds numbers up to 65504"):
        ship(tmp_path / "run", tmp_path / "gift", "x", half=True)
    assert not (tmp_path / "gift").exists()


def test_shipping_that_is_killed_leaves_no_card_of_another_model(config, tmp_path, monkeypatch, die_at):
    train(config, tmp_path / "a", progress=False)
    train(replace(config, seed=1), tmp_path / "b", progress=False)
    whole = {}
    for name in "ab":
        folder = ship(tmp_path / name, tmp_path / f"gift {name}", name)
        whole[(folder / "CARD.md").read_text()] = (folder / "model.safetensors").read_bytes()
    cards = set()
    for moment in range(18):
        gift = shutil.copytree(tmp_path / "gift a", tmp_path / str(moment))
        with monkeypatch.context() as patch, contextlib.suppress(die_at.Killed):
            die_at(patch, moment)
            ship(tmp_path / "b", gift, "b")
        if (gift / "CARD.md").exists():
            card = (gift / "CARD.md").read_text()
            assert whole[card] == (gift / "model.safetensors").read_bytes()
            cards.add(card)
    assert len(cards) == 2
