"""The model that comes with flowlib is the one that its card describes."""

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flowlib.models import FlowLM, shipped
from flowlib.training import TrainConfig, data
from flowlib.training import ship as shipping
from flowlib.training.evaluation import full_loss
from flowlib.training.presets import preset
from flowlib.training.ship import ship
from flowlib.training.tasks import Text

MODELS = ("tiny", "tiny-elastic")


@pytest.fixture(scope="module")
def tiny():
    return FlowLM.load(shipped("tiny"))


@pytest.fixture(scope="module")
def unseen():
    """The validation split that the models were measured on."""
    run = json.loads((shipped("tiny") / "run.json").read_text("utf-8"))
    corpus = data.load_corpus("embedded")
    if corpus.describe()["sha256"] != run["corpus"]["sha256"]:
        pytest.skip("another Python version, with other help texts than the model was trained on")
    return corpus.tokens(preset("tiny").model.vocabulary, preset("tiny").model.context)[1]


def loss(name, unseen, steps):
    model = FlowLM.load(shipped(name))
    return full_loss(model, unseen, context=model.config.context, steps=steps, device="cpu")


@pytest.mark.claim("C0.2")
def test_the_trained_river_stays_on_s1(measured, tiny):
    for text in ("the value of the argum", "import sys\nprint(", "zzzz"):
        for steps in (4, 9):
            defect = tiny.constraint.defect(tiny.trajectory(text, steps).fields).max()
            measured.at_most("largest defect along the river", defect, 1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_model_of_its_preset(name):
    run = json.loads((shipped(name) / "run.json").read_text("utf-8"))
    asked = json.loads(json.dumps(preset(name).to_dict()))
    later = json.loads(json.dumps(TrainConfig().to_dict()))  # settings that are younger than the model
    assert later | run["train"] | {"model": None} == asked | {"model": None}
    assert later["model"] | run["train"]["model"] | {"vocabulary": None} == asked["model"] | {"vocabulary": None}
    assert FlowLM.load(shipped(name)).config == preset(name).model
    assert (shipped(name) / "model.safetensors").stat().st_size < 4e6


@pytest.mark.parametrize("name", MODELS)
def test_its_loss_is_the_one_on_its_card(name, unseen):
    folder = shipped(name)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    best = min(line["validation_loss"] for line in lines)
    assert f"best {best:.4f}" in (folder / "CARD.md").read_text("utf-8")
    assert best < 0.5 * lines[0]["validation_loss"]  # it has learned
    assert loss(name, unseen, None) == pytest.approx(best, abs=1e-3)


def test_an_hour_of_shakespeare_is_the_model_of_its_preset_in_half_the_size():
    folder, asked = shipped("shakespeare-hour"), preset("shakespeare-hour")
    train = json.loads((folder / "run.json").read_text("utf-8"))["train"]
    assert train | {"model": None} == json.loads(json.dumps(asked.to_dict())) | {"model": None}
    model = FlowLM.load(folder)
    assert replace(model.config, vocabulary=asked.model.vocabulary) == asked.model and model.dtype == torch.float32
    assert (folder / "model.safetensors").stat().st_size < 8e6
    best = min(json.loads(line)["validation_loss"] for line in (folder / "metrics.jsonl").read_text().splitlines())
    card = (folder / "CARD.md").read_text("utf-8")
    assert f"best {best:.4f}" in card and "| stored | float16" in card
    written = model.generate("ROMEO:\n", 400, temperature=0.5, seed=0)
    assert len(re.findall(r"\b(a|the|and|of|to|my|thou|thee|thy|you|I|is|that|with)\b", written)) >= 10


@pytest.mark.skipif(
    not Path(os.environ.get("FLOWLIB_DATA", ""), "tinyshakespeare.txt").is_file(), reason="the plays are not here"
)
def test_its_loss_is_the_one_on_its_card_where_the_plays_are():
    folder = shipped("shakespeare-hour")
    card = (folder / "CARD.md").read_text("utf-8")
    said = dict(re.findall(r"(\d+): ([\d.]+)", re.search(r"loss at other numbers of steps \| (.+) \|", card)[1]))
    said["8"] = re.search(r"best ([\d.]+)", card)[1]
    task = Text(preset("shakespeare-hour"))
    for steps in ("4", "8"):
        model = FlowLM.load(folder)
        found = full_loss(model, task.validation, context=task.context, steps=int(steps), device="cpu")
        assert found == pytest.approx(float(said[steps]), abs=2e-3)


def test_the_card_says_what_it_costs_to_change_the_depth(unseen):
    card = (shipped("tiny-elastic") / "CARD.md").read_text("utf-8")
    said = dict(re.findall(r"(\d+): ([\d.]+)", re.search(r"loss at other numbers of steps \| (.+) \|", card)[1]))
    assert loss("tiny-elastic", unseen, 8) == pytest.approx(float(said["8"]), abs=1e-3)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="'huge' comes with flowlib; known: digits, shakespeare-hour, shapes, tiny,"):
        shipped("huge")


def test_the_commit_of_another_repository_is_not_said_to_be_flowlibs(tmp_path, monkeypatch):
    """flowlib installed inside of the reader's own repository, in a folder that git ignores there."""
    here = tmp_path / ".venv" / "flowlib" / "ship.py"
    here.parent.mkdir(parents=True)
    here.touch()
    (tmp_path / ".gitignore").write_text(".venv\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "mine"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(shipping, "__file__", str(here))
    assert shipping._commit() == "unknown"
    subprocess.run([*git, "add", "-f", str(here)], check=True)
    assert shipping._commit().endswith("+")  # it belongs to that repository now, and is not committed yet


def test_only_a_finished_run_is_shipped(tmp_path):
    with pytest.raises(FileNotFoundError):
        ship(tmp_path, tmp_path / "out", "flowlib train tiny")
    assert list(tmp_path.iterdir()) == []
