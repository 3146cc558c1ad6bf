"""What every picture starts from: arrays from tensors, a figure in the course's style, tokens that one can see."""

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from flowlib.notebook.figures import palette

MOST_LABELS = 24  # more tokens than this are numbered on the axis, not named one by one


def array(values) -> np.ndarray:
    """A tensor (on any device, with or without a graph) or a sequence as a float64 array."""
    if isinstance(values, torch.Tensor):
        values = values.detach().to("cpu", torch.float64).numpy()
    return np.asarray(values, dtype=np.float64)


def matrix(values, what: str) -> np.ndarray:
    found = array(values)
    if found.ndim != 2:
        raise ValueError(f"{what} must have two axes, got shape {found.shape}; choose one batch entry and one head")
    return found


def figure(rows: int = 1, columns: int = 1, *, height: float = 3.8, width: float = palette.WIDTH, **options):
    """A Figure and its axes (one, or an array of them), in the style of the course."""
    with mpl.rc_context(palette.STYLE):
        fig = Figure(figsize=(width, height), layout="constrained")
        axes = fig.subplots(rows, columns, **options)
    return fig, axes


def mark_spaces(token: str) -> str:
    """A token as one can see it: a space and a line end leave a mark."""
    return token.replace("\n", "↵").replace(" ", "␣") if token.strip() == "" else token.replace("\n", "↵")
