"""Checkpoints: whole or not there, and never code."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from flowlib.files import load_tensors, save_tensors
from flowlib.models.language import FlowConfig, FlowLM
from flowlib.training import find_model, newest_checkpoint
from flowlib.training.checkpoints import (
    complete_checkpoints,
    load_optimizer,
    load_state,
    remove_leftovers,
    save_checkpoint,
)

FILES = ["model.safetensors", "config.json", "optimizer.safetensors", "state.json"]


def build(width: int = 16, seed: int = 0) -> tuple[FlowLM, torch.optim.AdamW]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = FlowLM(FlowConfig(context=8, width=width, heads=2, layers=1, bias=True))
    return model, torch.optim.AdamW(model.parameter_groups(0.1), lr=1e-2, betas=(0.8, 0.9))


def update(model: FlowLM, optimizer: torch.optim.AdamW, step: int) -> None:
    tokens = torch.randint(256, (2, 9), generator=torch.Generator().manual_seed(step))
    optimizer.zero_grad()
    model.loss(tokens[:, :-1], tokens[:, 1:]).backward()
    optimizer.step()


def state(step: int) -> dict:
    return {"step": step, "best_loss": 1.5, "wall_seconds": 0.0}


@pytest.fixture
def run(tmp_path) -> Path:
    """A run with checkpoints after 1 and after 2 updates."""
    model, optimizer = build()
    for step in (1, 2):
        update(model, optimizer, step)
        save_checkpoint(tmp_path / "run", model, optimizer, state(step))
    return tmp_path / "run"


def test_a_checkpoint_gives_back_model_and_optimizer_bit_for_bit(tmp_path):
    model, optimizer = build()
    for step in range(3):
        update(model, optimizer, step)
    folder = save_checkpoint(tmp_path, model, optimizer, state(3))
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    again = FlowLM.load(folder)
    _, optimizer_again = build()
    optimizer_again = torch.optim.AdamW(again.parameter_groups(0.1), lr=1e-2, betas=(0.8, 0.9))
    load_optimizer(folder, again, optimizer_again)
    for step in range(3, 6):  # the next updates are equal too, so nothing the optimizer knows was lost
        update(model, optimizer, step)
        update(again.train(), optimizer_again, step)
    for (name, ours), theirs in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
    assert load_state(folder)["step"] == 3


def test_the_two_newest_are_kept_and_the_newest_complete_one_is_taken(run):
    assert [folder.name for folder in complete_checkpoints(run)] == ["step-000001", "step-000002"]
    model, optimizer = build()
    for step in (10, 1_000_000):
        save_checkpoint(run, model, optimizer, state(step))
    assert [folder.name for folder in complete_checkpoints(run)] == ["step-000010", "step-1000000"]
    for name in FILES:
        incomplete = run / "checkpoints" / "step-2000000"
        shutil.copytree(newest_checkpoint(run), incomplete)
        (incomplete / name).unlink()
        assert newest_checkpoint(run).name == "step-1000000"
        shutil.rmtree(incomplete)
    assert newest_checkpoint(run / "nothing") is None


def load_all(folder: Path) -> None:
    """What resuming reads."""
    model = FlowLM.load(folder)
    load_optimizer(folder, model, torch.optim.AdamW(model.parameter_groups(0.1)))
    load_state(folder)


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(run, name):
    folder = newest_checkpoint(run)
    load_all(folder)
    whole = (folder / name).read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:5], b"", b"\x00" * len(whole), b"[1, 2]"):
        (folder / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            load_all(folder)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}.* is missing"):
        load_all(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("dump", [pickle.dump, torch.save], ids=["pickle", "torch"])
def test_a_pickle_under_any_name_is_refused_and_not_run(run, tmp_path, name, dump):
    sign = tmp_path / "exploded"
    folder = newest_checkpoint(run)
    with open(folder / name, "wb") as file:
        dump(Bomb(sign), file)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load_all(folder)
    assert not sign.exists()


def test_a_checkpoint_of_another_model_is_refused(run, tmp_path):
    other, optimizer = build(width=8)
    update(other, optimizer, 0)
    foreign = save_checkpoint(tmp_path / "other", other, optimizer, state(2))
    folder = newest_checkpoint(run)
    model = FlowLM.load(folder)
    ours = torch.optim.AdamW(model.parameter_groups(0.1))
    with pytest.raises(ValueError, match="optimizer.safetensors belongs to another model .at parameter"):
        load_optimizer(foreign, model, ours)
    moments = load_tensors(folder / "optimizer.safetensors")
    for name, tensor in ("embed.weight/exp_avg", torch.tensor(0.0)), ("embed.weight/step", torch.zeros(256, 16)):
        save_tensors(moments | {name: tensor}, folder / "optimizer.safetensors")
        with pytest.raises(ValueError, match="belongs to another model .at parameter 'embed.weight'"):
            load_optimizer(folder, model, ours)
    shutil.copy(folder / "model.safetensors", folder / "optimizer.safetensors")
    with pytest.raises(ValueError, match="optimizer.safetensors belongs to another model"):
        load_optimizer(folder, model, ours)


def test_a_state_that_is_not_ours_is_refused(run):
    folder = newest_checkpoint(run)
    good = json.loads((folder / "state.json").read_text())
    foreign = "state.json is not the state of a flowlib checkpoint.*or delete .*step-000002"
    for name, value in [("format", 99), ("step", "2"), ("step", -1), ("step", True), ("best_loss", "x")]:
        (folder / "state.json").write_text(json.dumps(good | {name: value}))
        with pytest.raises(ValueError, match=foreign):
            load_state(folder)


def test_find_model(run):
    newest = newest_checkpoint(run)
    assert find_model(run) == newest
    assert find_model(newest) == newest
    FlowLM.load(newest).save(run / "best")
    assert find_model(run) == run / "best"
    with pytest.raises(FileNotFoundError, match="no model in .*nowhere.*flowlib train"):
        find_model(run / "nowhere")


def test_killed_between_any_two_operations_on_the_disk_the_newest_is_whole(run, tmp_path, monkeypatch, die_at):
    model, optimizer = build()
    counted = shutil.copytree(run, tmp_path / "counted")
    with monkeypatch.context() as patch:
        operations = die_at(patch, 10**9)
        save_checkpoint(counted, model, optimizer, state(3))
    assert {"fsync", "replace", "rename", "rmdir", "unlink"} <= set(operations)
    found = []
    for moment in range(len(operations)):
        copy = shutil.copytree(run, tmp_path / f"killed-{moment}")
        with monkeypatch.context() as patch:
            die_at(patch, moment)
            with pytest.raises(die_at.Killed):
                save_checkpoint(copy, model, optimizer, state(3))
        found.append(newest_checkpoint(copy).name)
        load_all(newest_checkpoint(copy))
        remove_leftovers(copy)
        assert {path.name for path in (copy / "checkpoints").iterdir()} <= {f"step-00000{n}" for n in (1, 2, 3)}
        shutil.rmtree(copy)
    assert found == sorted(found) and set(found) == {"step-000002", "step-000003"}
