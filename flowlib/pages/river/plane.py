"""The side from which the page looks at a model's river: one direction of its features, the same for every text.

    models() -> {"tiny": {"config": {…}, "plane": {"centre": [128 numbers], "axis": [128 numbers]}}, …}

The direction is that in which the letters of TEXT lie widest apart, over the whole depth: the picture of the README.
"""

import json

import numpy as np
import torch

from flowlib.models import FlowLM, shipped
from flowlib.notebook.figures.canvas import array

NAMES = ("tiny-elastic", "tiny")  # the models that a visitor can choose; the first is there at the start
TEXT = "the value of the argum"
STEPS = 64


def look(model: FlowLM) -> dict[str, list[float]]:
    """The mean of u over the flow of TEXT, taken in small steps and in layers, and the direction of largest spread."""
    with torch.no_grad():
        fields = [array(model.trajectory(TEXT, steps).fields) for steps in (STEPS, None)]
    u = np.concatenate(fields).reshape(-1, model.config.width)
    centre = u.mean(0)
    axis = np.linalg.svd(u - centre, full_matrices=False)[2][0]
    axis = axis * np.sign(axis[np.abs(axis).argmax()])  # the same picture on every machine
    return {"centre": centre.round(6).tolist(), "axis": axis.round(6).tolist()}


def models() -> dict[str, dict]:
    """What the page is told of each model, besides its tensors."""
    found = {}
    for name in NAMES:
        config = json.loads((shipped(name) / "config.json").read_text("utf-8"))
        found[name] = {"config": config, "plane": look(FlowLM.load(shipped(name)))}
    return found
