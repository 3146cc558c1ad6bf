"""Training a flow whose number of steps, or of knots, changes on the way."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from flowlib.files import load_tensors, remove_owned, rename, save_tensors, write_text
from flowlib.flow.depth import double_knots
from flowlib.models.language import KNOTS, FlowLM
from flowlib.training import checkpoints
from flowlib.training.config import TrainConfig
from flowlib.training.loop import TrainResult, train


def double_moments(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """AdamW's moments of a model, as a start for those of the model with doubled knots.

    A knot's gradient is ∫ h_k(t) ∂loss/∂θ(t) dt with its hat h_k, and a finer knot's hat is half as wide: so its first
    moment is half of the interpolated one, its second a quarter. An estimate: the coarse run has not measured more.
    Without an update there are none yet.
    """
    if not tensors:
        return {}
    part = {"exp_avg": 0.5, "exp_avg_sq": 0.25}
    doubled = double_knots(tensors, KNOTS)
    return {
        name: tensor * part.get(name.rpartition("/")[2], 1.0) if name.startswith(KNOTS) else tensor
        for name, tensor in doubled.items()
    }


def refine(coarse: str | Path, fine: str | Path, config: TrainConfig) -> Path:
    """Make `fine` a run that goes on where `coarse` stands, with twice the knots less one, and the settings `config`.

    What the model says does not change at any number of steps; AdamW's moments are estimated (`double_moments`); the
    curve so far is copied. Then:  train(config, fine, resume=True).
    Raises: FileNotFoundError where `coarse` has no checkpoint; ValueError where `config` has other knots than the
        doubled model, or its knots cannot be doubled; FileExistsError where `fine` is there, or its draft's name is
        taken.
    """
    coarse, fine = Path(coarse), Path(fine)
    checkpoint = checkpoints.newest_checkpoint(coarse)
    if checkpoint is None:
        raise FileNotFoundError(f"{coarse} has no checkpoint to refine; train it first")
    if os.path.lexists(fine):
        raise FileExistsError(f"{fine} is there already; resume it, or give another name")
    model = _double_model(checkpoint, config)
    draft = fine.with_name(f".{fine.name}.draft")  # under its name only when it is whole
    if draft.is_dir():  # a kill left it
        remove_owned(draft, (*checkpoints.FILES, "metrics.jsonl"))
    if os.path.lexists(draft):
        raise FileExistsError(f"{draft} is needed for what is half written, and holds other files; move them")
    draft.mkdir(parents=True)
    _write_run(draft, model, coarse, checkpoint, replace(config, model=model.config))
    rename(draft, fine)
    return fine


def _double_model(checkpoint: Path, config: TrainConfig) -> FlowLM:
    """The model of a checkpoint with doubled knots. Raises: ValueError where it is not the one that was asked for."""
    model = FlowLM.load(checkpoint).double_knots()
    asked = replace(config.model, vocabulary=model.config.vocabulary)
    if replace(asked, steps=model.config.steps) != model.config:
        raise ValueError(f"the refined model is {model.config}, but asked for is {asked}; only steps may differ")
    model.config = asked
    return model


def _write_run(run: Path, model: FlowLM, coarse: Path, checkpoint: Path, config: TrainConfig) -> None:
    """The files of a run that stands at the checkpoint of another, with the doubled model."""
    facts = checkpoints.load_json(coarse / "config.json") | {"train": config.to_dict()}
    folder = run / "checkpoints" / checkpoint.name
    model.save(folder)
    save_tensors(double_moments(load_tensors(checkpoint / "optimizer.safetensors")), folder / "optimizer.safetensors")
    shutil.copyfile(checkpoint / "state.json", folder / "state.json")
    shutil.copyfile(coarse / "metrics.jsonl", run / "metrics.jsonl")
    write_text(json.dumps(facts, indent=1) + "\n", run / "config.json")


def coarse_to_fine(config: TrainConfig, run: str | Path, *, levels: int = 3, progress: bool = True) -> TrainResult:
    """Train with few steps and knots first, and double them twice on the way: L/4, L/2, L (for 3 levels).

    Level i takes an equal share of the updates in run/level-i, with layers / 2^(levels−1−i) steps and one knot more, at
    one horizon T = layers; the learning rate goes on as if nothing had happened. Interrupted, it goes on where it was.
    Returns the last level's TrainResult. Raises: ValueError where the layers cannot be halved that often.
    """
    run, layers = Path(run), config.model.layers
    if levels < 2 or layers % 2 ** (levels - 1):
        raise ValueError(f"{levels} levels need layers that are a multiple of {2 ** (levels - 1)}, got {layers}")
    for level in range(levels):
        steps = layers // 2 ** (levels - 1 - level)
        here = replace(config, model=replace(config.model, depth="piecewise_linear", knots=steps + 1, steps=steps))
        folder = run / f"level-{level}"
        if level and not folder.exists():
            refine(run / f"level-{level - 1}", folder, here)
        if level + 1 == levels or not (run / f"level-{level + 1}").exists():
            until = config.steps * (level + 1) // levels
            result = train(here, folder, resume=True, progress=progress, until=until)
    return result
