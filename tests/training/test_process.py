"""A run finds the process as it needs it, whatever was set before, and leaves it as it was."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from flowlib.models.language import FlowConfig
from flowlib.models.points import PointsConfig
from flowlib.training import ShapesConfig, TrainConfig, newest_checkpoint, read_metrics, runs, train
from flowlib.training.loop import fork_random_numbers

SMALL = dict(steps=3, batch=2, eval_every=1, log_every=1, warmup=1, device="cpu")


@pytest.fixture
def config(tmp_path) -> TrainConfig:
    """A run of a few milliseconds."""
    text = tmp_path / "text.txt"
    text.write_text("the river is the flow and the flow is the river; " * 20)
    return TrainConfig(corpus=str(text), model=FlowConfig(context=8, width=8, heads=2, layers=1, dropout=0.2), **SMALL)


@pytest.fixture(params=["text", "shapes"])
def any_config(request, config):
    """Also one that draws its data in floating-point numbers."""
    model = PointsConfig(waves=2, width=8, heads=2, layers=1, hidden=1)
    return config if request.param == "text" else ShapesConfig(model=model, points=16, surfaces=32, **SMALL)


def assert_same(run, other):
    for name in ("model.safetensors", "optimizer.safetensors"):
        ours, theirs = ((newest_checkpoint(r) / name).read_bytes() for r in (run, other))
        assert ours == theirs, name
    losses = [[line.get("train_loss") for line in read_metrics(r)] for r in (run, other)]
    assert losses[0] == losses[1]


# torch


class Float64:
    def __enter__(self):
        torch.set_default_dtype(torch.float64)

    def __exit__(self, *_):
        torch.set_default_dtype(torch.float32)


SETTINGS = {
    "gradients off": torch.no_grad,
    "inference": torch.inference_mode,
    "float64": Float64,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "another device": lambda: torch.device("meta"),
}


def find_settings() -> tuple:
    settings = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()
    return *settings, torch.is_autocast_enabled("cpu"), torch.get_default_device()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_is_the_same_whatever_was_set_before_and_puts_it_back(any_config, tmp_path, name):
    train(any_config, tmp_path / "plain", progress=False)
    with SETTINGS[name]():
        before = find_settings()
        train(any_config, tmp_path / "set", progress=False)
        assert find_settings() == before
        with pytest.raises(FileExistsError):  # and where the run fails
            train(any_config, tmp_path / "set", progress=False)
        assert find_settings() == before
    assert_same(tmp_path / "plain", tmp_path / "set")


def test_gradients_that_were_switched_off_for_good_stay_off(config, tmp_path):
    torch.set_grad_enabled(False)
    try:
        train(config, tmp_path / "run", progress=False)
        assert not torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)


# accelerate


@pytest.fixture
def no_state():
    """accelerate as it is before it was ever used; what other tests had is put back."""
    kinds = AcceleratorState, GradientState, PartialState
    before = [dict(kind._shared_state) for kind in kinds]
    for kind in kinds:
        kind._shared_state.clear()
    yield kinds
    for kind, state in zip(kinds, before, strict=True):
        kind._shared_state.clear()
        kind._shared_state.update(state)


def test_a_run_has_an_accelerator_of_its_own_and_leaves_the_readers(config, tmp_path, no_state):
    train(config, tmp_path / "plain", progress=False)
    assert all(kind._shared_state == {} for kind in no_state)  # so that the reader can choose a precision after it
    mine = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=2)
    model = mine.prepare(torch.nn.Linear(2, 2))
    with mine.accumulate(model):  # in the middle of a batch of the reader's: an optimizer of this state waits
        assert not mine.sync_gradients
        train(config, tmp_path / "run", progress=False)
        assert not mine.sync_gradients
    assert mine.mixed_precision == "bf16" and mine.gradient_accumulation_steps == 2
    assert_same(tmp_path / "plain", tmp_path / "run")


def test_a_run_chooses_its_device_anew(config, tmp_path, no_state):
    """As on a machine with a GPU, where device="auto" came first: accelerate keeps the first device of a process."""
    Accelerator()
    for kind in (PartialState, AcceleratorState):
        kind._shared_state["device"] = torch.device("meta")
    train(config, tmp_path / "run", progress=False)
    assert PartialState._shared_state["device"] == torch.device("meta")


# Apple's GPU


def test_a_run_on_apples_gpu_says_so_and_its_random_numbers_are_put_back(monkeypatch):
    assert "mps" in runs.versions(torch.device("mps"))["device"]
    assert runs.versions(torch.device("cpu"))["device"] == runs.versions()["device"] == "CPU"
    state = [torch.tensor([1])]
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: state[-1])
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda new: state.append(new))
    with fork_random_numbers(torch.device("mps")):
        state.append(torch.tensor([2]))  # a run draws some
    assert state[-1] == 1
