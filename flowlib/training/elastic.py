"""Training a flow whose number of steps, or of knots, changes on the way."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from flowlib.files import load_tensors, save_tensors
from flowlib.flow.depth import double_knots
from flowlib.models.language import KNOTS, FlowLM
from flowlib.training import checkpoints, data
from flowlib.training.config import TrainConfig


def draw_steps(choices: Sequence[int], seed: int, update: int) -> int | None:
    """How many steps the flow takes in this update: one of `choices`, equally likely, a function of (seed, update).

    Without choices None: the model's own number.
    """
    if not choices:
        return None
    generator = torch.Generator().manual_seed(data.step_seed(seed, update) ^ 0x5EED)  # not the batch's own numbers
    return choices[int(torch.randint(len(choices), (), generator=generator))]


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
        doubled model, or its knots cannot be doubled; FileExistsError where `fine` is there.
    """
    coarse, fine = Path(coarse), Path(fine)
    checkpoint = checkpoints.newest_checkpoint(coarse)
    if checkpoint is None:
        raise FileNotFoundError(f"{coarse} has no checkpoint to refine; train it first")
    if fine.exists():
        raise FileExistsError(f"{fine} is there already; resume it, or give another name")
    model = FlowLM.load(checkpoint).double_knots()
    asked = replace(config.model, vocabulary=model.config.vocabulary)
    if replace(asked, steps=model.config.steps) != model.config:
        raise ValueError(f"the refined model is {model.config}, but asked for is {asked}; only steps may differ")
    model.config = asked
    moments = double_moments(load_tensors(checkpoint / "optimizer.safetensors"))
    record = checkpoints.load_json(coarse / "config.json")
    record["train"] = replace(config, model=asked).to_dict()

    def write(run: Path) -> None:
        folder = run / "checkpoints" / checkpoint.name
        model.save(folder)
        save_tensors(moments, folder / "optimizer.safetensors")
        shutil.copyfile(checkpoint / "state.json", folder / "state.json")
        shutil.copyfile(coarse / "metrics.jsonl", run / "metrics.jsonl")
        (run / "config.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")

    draft = fine.with_name(f".{fine.name}.draft")  # under its name only when it is whole
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    write(draft)
    draft.rename(fine)
    return fine


def coarse_to_fine(config: TrainConfig, run: str | Path, *, levels: int = 3, progress: bool = True):
    """Train with few steps and knots first, and double them twice on the way: L/4, L/2, L (for 3 levels).

    Level i takes an equal share of the updates in run/level-i, with layers / 2^(levels−1−i) steps and one knot more, at
    one horizon T = layers; the learning rate goes on as if nothing had happened. Interrupted, it goes on where it was.
    Returns the last level's TrainResult. Raises: ValueError where the layers cannot be halved that often.
    """
    from flowlib.training.loop import train

    run, layers = Path(run), config.model.layers
    if levels < 2 or layers % 2 ** (levels - 1):
        raise ValueError(f"{levels} levels need layers that are a multiple of {2 ** (levels - 1)}, got {layers}")
    result = None
    for level in range(levels):
        steps = layers // 2 ** (levels - 1 - level)
        here = replace(config, model=replace(config.model, depth="piecewise_linear", knots=steps + 1, steps=steps))
        folder = run / f"level-{level}"
        if level and not folder.exists():
            refine(run / f"level-{level - 1}", folder, here)
        until = config.steps * (level + 1) // levels
        if level + 1 < levels and (run / f"level-{level + 1}").exists():
            continue
        result = train(here, folder, resume=True, progress=progress, until=until)
    return result
