"""Models on disk: written into a folder beside what lies there, never a mix, and wrong files are named."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flowlib.files import load_tensors, save_tensors
from flowlib.models import FlowConfig, FlowLM, FlowPoints, FlowVision, PointsConfig, VisionConfig, shipped
from flowlib.models.disk import CONFIG, TENSORS

SMALL = FlowConfig(context=8, width=8, heads=2, layers=2)
TOKENS = torch.arange(8)[None]


def model(seed=0, **changes) -> FlowLM:
    torch.manual_seed(seed)
    return FlowLM(replace(SMALL, **changes)).eval()


def test_what_lies_in_the_folder_stays(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    model().save(tmp_path)
    model(1).save(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert torch.equal(FlowLM.load(tmp_path)(TOKENS), model(1)(TOKENS))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors", "thesis.tex"]


def plant(folder: Path, what: str) -> Path:
    """Something that flowlib did not write, in a place where it would."""
    if what == "file":
        folder.write_text("years of work")
        return folder
    folder.mkdir()
    if what == "a run":
        (folder / CONFIG).write_text('{"format": 1, "train": {}}')
        return folder / CONFIG
    if what == "another library's model":
        (folder / CONFIG).write_text('{"model_type": "bert"}')
        save_tensors({"a": torch.ones(2)}, folder / TENSORS)
        return folder / TENSORS
    if what == "tensors alone":
        save_tensors({"a": torch.ones(2)}, folder / TENSORS)
        return folder / TENSORS
    (folder / CONFIG).write_text("not JSON")
    return folder / CONFIG


@pytest.mark.parametrize("what", ["file", "a run", "another library's model", "tensors alone", "text"])
def test_what_is_not_a_models_is_refused_and_stays(tmp_path, what):
    planted = plant(tmp_path / "m", what)
    before = planted.read_bytes()
    with pytest.raises(FileExistsError, match="give another"):
        model().save(tmp_path / "m")
    assert planted.read_bytes() == before and len([p for p in tmp_path.rglob("*") if p.is_file()]) <= 2


def test_an_older_model_without_its_configuration_inside_is_replaced(tmp_path):
    model().save(tmp_path)
    save_tensors(load_tensors(tmp_path / TENSORS), tmp_path / TENSORS)  # as it was written before
    assert torch.equal(FlowLM.load(tmp_path)(TOKENS), model()(TOKENS))
    model(1).save(tmp_path)
    assert torch.equal(FlowLM.load(tmp_path)(TOKENS), model(1)(TOKENS))


@pytest.mark.parametrize("older", [True, False])
def test_killed_at_any_moment_it_is_the_old_model_or_the_new_one(tmp_path, monkeypatch, die_at, older):
    """Both have the same shapes, so that a mix of the two would load, and say something else."""
    old, new = model(0, scheme="lie"), model(1, scheme="strang")
    seen = set()
    for moment in range(8):
        folder = tmp_path / str(moment)
        if older:
            old.save(folder)
        with monkeypatch.context() as patch, contextlib.suppress(die_at.Killed):
            die_at(patch, moment)
            new.save(folder)
        try:
            found = FlowLM.load(folder)
        except FileNotFoundError:
            seen.add("nothing")
            assert not older
        else:
            which = "new" if torch.equal(found(TOKENS), new(TOKENS)) else "old"
            assert torch.equal(found(TOKENS), {"old": old, "new": new}[which](TOKENS))
            seen.add(which)
        new.save(folder)
        assert sorted(p.name for p in folder.iterdir()) == [CONFIG, TENSORS]
        assert torch.equal(FlowLM.load(folder)(TOKENS), new(TOKENS))
    assert seen == {"old" if older else "nothing", "new"}


def test_a_mix_is_told(tmp_path):
    model().save(tmp_path / "a")
    model(scheme="strang").save(tmp_path / "b")
    (tmp_path / "a" / CONFIG).write_bytes((tmp_path / "b" / CONFIG).read_bytes())
    with pytest.raises(
        ValueError, match="does not fit its config.json: .* scheme 'lie', not 'strang'; put the one back"
    ):
        FlowLM.load(tmp_path / "a")


MODELS = {
    FlowLM: lambda: FlowLM(SMALL),
    FlowVision: lambda: FlowVision(VisionConfig(width=8, heads=2, layers=1)),
    FlowPoints: lambda: FlowPoints(PointsConfig(width=8, heads=2, layers=1)),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("other", MODELS)
def test_the_wrong_class_is_told_the_right_one(tmp_path, kind, other):
    MODELS[kind]().save(tmp_path)
    if kind is other:
        assert type(kind.load(tmp_path)) is kind
        return
    with pytest.raises(ValueError, match=f"config.json does not describe .*; this is one of {kind.__name__}: load it"):
        other.load(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"width": "8"}, "width must be a whole number, got '8'"),
        ({"width": True}, "width must be a whole number, got True"),
        ({"layers": 2.5}, "layers must be a whole number, got 2.5"),
        ({"dropout": "0.1"}, "dropout must be a number, got '0.1'"),
        ({"norm": None}, "norm must be a word, got None"),
        ({"depth": ["elastic"]}, r"depth must be a word, got \['elastic'\]"),
        ({"scheme": {}}, "scheme must be a word"),
        ({"steps": 1.5}, "steps must be a whole number or None, got 1.5"),
        ({"bias": "yes"}, "bias must be True or False, got 'yes'"),
        ({"vocabulary": "abc"}, "vocabulary must be Vocabulary, got 'abc'"),
        ({"vocabulary": {"letters": "abc"}}, "letters"),
        ({"vocabulary": {"alphabet": 5}}, "alphabet must be a text"),
        ({"vocabulary": {"alphabet": ""}}, "alphabet must be a text"),
        ({"n_layer": 3}, r"unknown: \['n_layer'\]"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_named(tmp_path, change, message):
    model().save(tmp_path)
    file = tmp_path / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=f"config.json does not describe a flow transformer .*{message}"):
        FlowLM.load(tmp_path)


@pytest.mark.parametrize("text", ["[1, 2]", "3", "null", '"x"', "", "\x00", "{"])
def test_a_configuration_that_is_none_is_named(tmp_path, text):
    model().save(tmp_path)
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(ValueError, match="config.json does not describe a flow transformer"):
        FlowLM.load(tmp_path)


@pytest.mark.parametrize(
    "folder, error, message",
    [
        (None, TypeError, "folder must be a path"),
        (3, TypeError, "folder must be a path"),
        ("", TypeError, "folder must be a path"),
        (model(), TypeError, "folder must be a path"),
        ("nowhere", FileNotFoundError, "nowhere.* is missing.*shipped"),
        (shipped("tiny") / TENSORS, FileNotFoundError, "model.safetensors is a file; give the folder .*tiny"),
    ],
    ids=str,
)
def test_what_is_no_folder_is_named(folder, error, message):
    with pytest.raises(error, match=message):
        FlowLM.load(folder)
    if error is TypeError:
        with pytest.raises(error, match=message):
            model().save(folder)


def test_foreign_tensors_are_named(tmp_path):
    model().save(tmp_path)
    tensors = load_tensors(tmp_path / TENSORS)
    name = next(iter(tensors))
    for spoilt, message in (
        ({"a": torch.ones(2)}, "does not fit its config.json"),
        (tensors | {name: tensors[name][:1]}, "does not fit its config.json .*size mismatch"),
        (tensors | {name: tensors[name].to(torch.int8)}, f"has {name} in torch.int8; a flow's parameters are floats"),
    ):
        save_tensors(spoilt, tmp_path / TENSORS)
        with pytest.raises(ValueError, match=message):
            FlowLM.load(tmp_path)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    "config", [None, {}, "tiny", SMALL, VisionConfig(), PointsConfig()], ids=lambda c: type(c).__name__
)
def test_a_model_needs_its_own_configuration(kind, config):
    if isinstance(config, kind.Config):
        kind(config)
        return
    with pytest.raises(TypeError, match=f"{kind.__name__} needs a {kind.Config.__name__}, got"):
        kind(config)
