"""The model that comes with flowlib is the one that its card describes."""

import json

import pytest

from flowlib.models import FlowLM, shipped
from flowlib.training import TrainConfig, data
from flowlib.training.evaluation import full_loss
from flowlib.training.presets import preset
from flowlib.training.ship import ship


@pytest.fixture(scope="module")
def tiny():
    return FlowLM.load(shipped("tiny"))


@pytest.mark.claim("C0.2")
def test_the_trained_river_stays_on_s1(measured, tiny):
    for text in ("the value of the argum", "import sys\nprint(", "zzzz"):
        for steps in (4, 9):
            defect = tiny.constraint.defect(tiny.trajectory(text, steps).fields).max()
            measured.at_most("largest defect along the river", defect, 1e-3)


def test_it_is_the_model_of_its_preset(tiny):
    run = json.loads((shipped("tiny") / "run.json").read_text("utf-8"))
    asked = json.loads(json.dumps(preset("tiny").to_dict()))
    later = json.loads(json.dumps(TrainConfig().to_dict()))  # settings that are younger than the model
    assert later | run["train"] | {"model": None} == asked | {"model": None}
    assert later["model"] | run["train"]["model"] | {"vocabulary": None} == asked["model"] | {"vocabulary": None}
    assert tiny.config == preset("tiny").model
    assert (shipped("tiny") / "model.safetensors").stat().st_size < 4e6


def test_its_loss_is_the_one_on_its_card(tiny):
    folder = shipped("tiny")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    best = min(line["validation_loss"] for line in lines)
    assert f"best {best:.4f}" in (folder / "CARD.md").read_text("utf-8")
    assert best < 0.5 * lines[0]["validation_loss"]  # it has learned
    run = json.loads((folder / "run.json").read_text("utf-8"))
    corpus = data.load_corpus("embedded")
    if corpus.record()["sha256"] != run["corpus"]["sha256"]:
        pytest.skip("another Python version, with other help texts than the model was trained on")
    _, validation = data.split(tiny.config.vocabulary.encode(corpus.text), tiny.config.context)
    measured = full_loss(tiny, validation, context=tiny.config.context, device="cpu")
    assert measured == pytest.approx(best, abs=1e-3)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="'huge' comes with flowlib; known: tiny"):
        shipped("huge")


def test_only_a_finished_run_is_shipped(tmp_path):
    with pytest.raises(FileNotFoundError):
        ship(tmp_path, tmp_path / "out", "flowlib train tiny")
    assert list(tmp_path.iterdir()) == []
