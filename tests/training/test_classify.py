"""Training classifiers: it learns, goes on bit for bit where it was stopped, and says what is missing."""

import hashlib
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from flowlib import cli
from flowlib.models import PointsConfig, VisionConfig
from flowlib.training import PicturesConfig, ShapesConfig, load_pictures, pictures, prepare, read_metrics, train
from flowlib.training.ship import ship

TINY = dict(width=8, heads=2, layers=1, hidden=1)
BRIEF = dict(steps=4, batch=4, eval_every=2, log_every=1, warmup=1, device="cpu")
SHAPES = ShapesConfig(model=PointsConfig(waves=2, **TINY), points=16, surfaces=32, **BRIEF)


@pytest.fixture(params=["digits", "shapes"])
def config(request):
    if request.param == "shapes":
        return SHAPES
    pytest.importorskip("sklearn")
    return PicturesConfig(model=VisionConfig(**TINY), **BRIEF)


def without_clock(run):
    return [{k: v for k, v in line.items() if not k.startswith("wall_")} for line in read_metrics(run)]


def test_a_run_that_was_stopped_goes_on_bit_for_bit(config, tmp_path):
    whole = train(config, tmp_path / "whole", progress=False)
    train(config, tmp_path / "parts", progress=False, until=2)
    parts = train(config, tmp_path / "parts", progress=False, resume=True)
    assert without_clock(whole.run) == without_clock(parts.run)
    for name in ("best", "checkpoints/step-000004"):
        paths = [run / name / "model.safetensors" for run in (whole.run, parts.run)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    last = whole.metrics[-1]
    assert 0 <= last["validation_accuracy"] <= 1 and last[f"{whole.task.unit}s"] == 16
    with pytest.raises(ValueError, match="model.width was 8, now 16"):
        train(replace(config, model=replace(config.model, width=16)), whole.run, resume=True, progress=False)


def test_it_learns_and_is_shipped_with_its_card(tmp_path):
    config = replace(SHAPES, model=replace(SHAPES.model, width=16), steps=60, batch=16, learning_rate=1e-2)
    config = replace(config, eval_every=30, surfaces=160)
    result = train(config, tmp_path / "run", progress=False)
    (_, first), *_, (_, last) = result.validation_losses
    assert last < 0.8 * first
    card = (ship(tmp_path / "run", tmp_path / "out", "flowlib train shapes") / "CARD.md").read_text("utf-8")
    assert "| test | accuracy 0." in card and "on 40 shapes kept aside" in card and "scattered points" in card


def test_a_batch_is_a_function_of_seed_and_step(config):
    task = prepare(config)
    inputs, classes = task.batch(3)
    assert torch.equal(task.batch(3)[0], inputs) and not torch.equal(task.batch(4)[0], inputs)
    other = prepare(replace(config, seed=1)).batch(3)
    assert not torch.equal(other[0], inputs)


def test_no_picture_is_in_two_splits():
    pytest.importorskip("sklearn")
    splits = load_pictures("digits")
    seen = [{picture.numpy().tobytes() for picture in split[0]} for split in splits]
    assert [len(split[1]) for split in splits] == [1257, 180, 360]
    assert not seen[2] & (seen[0] | seen[1]) and not seen[0] & seen[1]
    assert splits[0][0].min() == 0 and splits[0][0].max() == 1


def test_a_picture_moved_by_nothing_is_itself():
    found = torch.rand(3, 1, 8, 8)
    still = pictures.warp(found, torch.Generator().manual_seed(0), turn=0, stretch=0, shift=0)
    assert torch.allclose(still, found, atol=1e-5)
    assert not torch.allclose(pictures.warp(found, torch.Generator().manual_seed(0)), found, atol=0.05)


def test_without_scikit_learn_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match="come with scikit-learn.*pip install scikit-learn"):
        load_pictures("digits")
    with pytest.raises(ValueError, match="unknown pictures 'cats'; known are digits, mnist"):
        load_pictures("cats")


def test_mnist_is_read_from_a_folder_without_running_code(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWLIB_DATA", str(tmp_path))
    file = tmp_path / "mnist.npz"
    x = np.zeros((5001, 28, 28), np.uint8)

    def write(**changed):
        y = np.zeros(len(x), np.uint8)
        np.savez(file, **dict(x_train=x, y_train=y, x_test=x[:9], y_test=y[:9]) | changed)
        monkeypatch.setattr(pictures, "MNIST_SHA256", hashlib.sha256(file.read_bytes()).hexdigest())

    write()
    known = pictures.MNIST_SHA256
    assert [tuple(split[0].shape) for split in load_pictures("mnist")] == [(n, 1, 28, 28) for n in (1, 5000, 9)]
    write(x_test=np.array([{}], dtype=object))  # a pickle
    with pytest.raises(ValueError, match="is not the original MNIST .*delete it"):
        load_pictures("mnist")
    monkeypatch.setattr(pictures, "MNIST_SHA256", known)
    with pytest.raises(ValueError, match=f"must have sha256 {known}, but has .*original MNIST"):
        load_pictures("mnist")


def test_the_command_trains_and_tests(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = "--device cpu --steps 2 --batch 4 --eval-every 2 --warmup 1 --points 16 --surfaces 32 --model.width 8"
    assert cli.main(["train", "shapes", *flags.split(), "--model.heads", "2", "--model.layers", "1"]) == 0
    out = capsys.readouterr().out
    assert "validation loss, nats per shape" in out and "on 8 shapes kept aside: accuracy" in out
