"""The language model: shapes, causality, sampling, saving and loading."""

import json

import pytest
import torch

from flowlib.models import FlowConfig, FlowLM, Vocabulary

TEXT = "the river flows, and the river remembers"


def model(**changes):
    torch.manual_seed(0)
    config = dict(vocabulary=Vocabulary.characters(TEXT), context=16, width=16, heads=2, layers=2) | changes
    return FlowLM(FlowConfig(**config)).eval()


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("depth", ["per_step", "piecewise_linear", "constant"])
def test_shapes_and_causality(norm, depth):
    lm = model(norm=norm, depth=depth)
    tokens = torch.randint(0, len(lm.config.vocabulary), (3, 10))
    logits = lm(tokens)
    assert logits.shape == (3, 10, len(lm.config.vocabulary))
    changed = tokens.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % len(lm.config.vocabulary)
    torch.testing.assert_close(lm(changed)[:, :6], logits[:, :6])
    assert lm(tokens, steps=5).shape == logits.shape


def test_an_untrained_model_knows_nothing():
    lm = model()
    tokens = torch.randint(0, len(lm.config.vocabulary), (8, 16))
    assert lm.loss(tokens, tokens.roll(3, 0)).item() == pytest.approx(
        torch.tensor(len(lm.config.vocabulary)).log().item(), abs=0.1
    )


def test_trajectory_starts_with_the_text_and_stays_on_s1():
    lm = model()
    trajectory = lm.trajectory("the river")
    assert trajectory.fields.shape == (3, 9, 16)
    assert lm.constraint.defect(trajectory.fields).max() < 2e-2  # ε = 1e-5 against the spread of fresh embeddings
    assert lm.trajectory("the river", steps=7).fields.shape == (8, 9, 16)


def test_generation():
    lm = model()
    text = lm.generate("the ", 30, seed=1)
    assert text.startswith("the ") and len(text) == 34
    assert lm.generate("the ", 30, seed=1) == text != lm.generate("the ", 30, seed=2)
    greedy = lm.generate("the ", 8, temperature=0)
    assert greedy == lm.generate("the ", 8, top_k=1, seed=5) == lm.generate("the ", 8, temperature=1e-4, seed=3)
    assert lm.generate("the ", 0) == "the "


@pytest.mark.parametrize("vocabulary", [Vocabulary.characters(TEXT + "é\n"), Vocabulary.bytes()])
def test_saved_and_loaded(tmp_path, vocabulary):
    lm = model(vocabulary=vocabulary, norm="pre", bias=True, depth="piecewise_linear")
    lm.save(tmp_path / "m")
    assert sorted(f.name for f in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors"]
    lm.save(tmp_path / "m")  # again, over the old one
    assert [f.name for f in tmp_path.iterdir()] == ["m"]
    back = FlowLM.load(tmp_path / "m")
    assert back.config == lm.config and not back.training
    tokens = torch.randint(0, len(vocabulary), (1, 7))
    assert torch.equal(back(tokens), lm(tokens))


def test_a_failed_save_leaves_the_old_model(tmp_path, monkeypatch):
    lm = model()
    lm.save(tmp_path / "m")
    monkeypatch.setattr("flowlib.models.disk.json.dumps", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(width=32).save(tmp_path / "m")
    assert [f.name for f in tmp_path.iterdir()] == ["m"] and FlowLM.load(tmp_path / "m").config.width == 16


def broken(folder, what):
    tensors, config = folder / "model.safetensors", folder / "config.json"
    if what == "truncated":
        tensors.write_bytes(tensors.read_bytes()[:-50])
    elif what == "pickle":
        tensors.write_bytes(b"\x80\x04\x95")
    elif what == "empty":
        tensors.write_bytes(b"")
    elif what == "no tensors":
        tensors.unlink()
    elif what == "no config":
        config.unlink()
    elif what == "not json":
        config.write_text("{")
    elif what == "foreign config":
        config.write_text('{"n_layer": 12}')
    elif what == "other shape":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"width": 32}))


@pytest.mark.parametrize(
    "what, error, message",
    [
        ("truncated", ValueError, "not a whole safetensors file"),
        ("pickle", ValueError, "not a whole safetensors file"),
        ("empty", ValueError, "not a whole safetensors file"),
        ("no tensors", FileNotFoundError, "model.safetensors is missing"),
        ("no config", FileNotFoundError, "config.json is missing"),
        ("not json", ValueError, "does not describe a flow transformer"),
        ("foreign config", ValueError, "does not describe a flow transformer"),
        ("other shape", ValueError, "does not fit its config.json"),
    ],
)
def test_broken_files_are_named(tmp_path, what, error, message):
    model().save(tmp_path)
    broken(tmp_path, what)
    with pytest.raises(error, match=message):
        FlowLM.load(tmp_path)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda lm: lm.generate("", 3), "at least one token"),
        (lambda lm: lm.generate("THE", 3), r"never saw \['E', 'H', 'T'\]"),
        (lambda lm: lm.generate("the", 3, temperature=-1.0), "temperature must be ≥ 0"),
        (lambda lm: lm.generate("the", 3, top_k=0), "top_k must be ≥ 1"),
        (lambda lm: lm.generate("the", -1), "tokens ≥ 0"),
        (lambda lm: lm.trajectory("the river flows, and"), "1 to 16 tokens fit this model, got 20"),
        (lambda lm: lm.trajectory(""), "got 0"),
        (lambda lm: lm.trajectory("the", steps=0), "steps must be a whole number"),
        (lambda lm: Vocabulary.characters(""), "got an empty one"),
        (lambda lm: lm.config.vocabulary.decode([99]), "tokens must be in 0"),
        (lambda lm: FlowConfig(width=10, heads=4), "multiple of heads"),
        (lambda lm: FlowConfig(layers=0), "layers must be a whole number ≥ 1"),
        (lambda lm: FlowConfig(norm="middle"), "unknown norm 'middle'; known: post, pre"),
        (lambda lm: FlowConfig(depth="cubic"), "unknown depth 'cubic'; known: per_step"),
        (lambda lm: FlowConfig(scheme="rk4"), "unknown scheme 'rk4'; known: lie"),
        (lambda lm: FlowConfig(activation="swish"), "unknown activation 'swish'; known: relu"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(model())
