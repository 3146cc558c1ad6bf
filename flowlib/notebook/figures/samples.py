"""Pictures and shapes with their tokens: a dot at each, as large as what it stands for."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowlib.fields import Grid
from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import array, figure, mark_spaces


def dot_sizes(weights, total: float = 2200.0) -> np.ndarray:
    """Areas of dots, in points², in proportion to the weights; all together they have the area `total`."""
    w = array(weights)
    return total * w / w.sum()


def picture(ax: Axes, values, grid: Grid | None = None, *, title: str = "", total: float = 2200.0):
    """A picture (row, column) on the unit square, and the tokens of `grid`. Returns the image and the dots."""
    image = ax.imshow(array(values), extent=(0, 1, 1, 0), cmap=palette.ramp(palette.RIVER), alpha=0.75)
    ax.set(xlim=(0, 1), ylim=(1, 0), xticks=[0, 1], yticks=[0, 1], title=title)
    ax.grid(False)
    if grid is None:
        return image, None
    down, right = array(grid.points).T
    how = dict(color=palette.LAYER_NORM, edgecolors="white", linewidths=0.4)
    return image, ax.scatter(right, down, s=dot_sizes(grid.weights, total), **how)


def letters(ax: Axes, text: str, *, title: str = "") -> None:
    """A text on the unit interval: a dot for each letter, as wide as the place that it takes."""
    at = (np.arange(len(text)) + 0.5) / len(text)
    ax.scatter(at, 0 * at, s=55, color=palette.LAYER_NORM, edgecolors="white", linewidths=0.4, clip_on=False)
    for place, letter in zip(at, text, strict=True):
        ax.text(place, 0.14, mark_spaces(letter), ha="center", family="monospace", fontsize=9)
    ax.set(xlim=(0, 1), ylim=(-1, 1), xticks=[0, 1], yticks=[], title=title)
    ax.spines["left"].set_visible(False)
    ax.grid(False)


def view(points, turn: float = 0.5, tilt: float = 0.45) -> tuple[np.ndarray, np.ndarray]:
    """Points in space as one sees them, turned around the upright axis and tilted: (point, 2); and their depth."""
    x, y, z = (array(points) - array(points).mean(0)).T
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    return np.stack([x, z * np.cos(tilt) + y * np.sin(tilt)], -1), y * np.cos(tilt) - z * np.sin(tilt)


def cloud(ax: Axes, grid: Grid, *, title: str = "", total: float = 2200.0):
    """A shape as dots, dark in front and light behind, each as large as the area that it stands for."""
    at, depth = view(grid.points)
    order = np.argsort(-depth)
    how = dict(c=depth[order], cmap="cividis", edgecolors="white", linewidths=0.3, clip_on=False)
    dots = ax.scatter(*at[order].T, s=dot_sizes(array(grid.weights)[order], total), **how)
    ax.set(aspect="equal", xticks=[], yticks=[], title=title)
    for side in ax.spines.values():
        side.set_visible(False)
    return dots


def clouds(grids: Mapping[str, Grid], columns: int = 4) -> Figure:
    """Several shapes, each under its name, all drawn equally large."""
    rows = -(-len(grids) // columns)
    fig, axes = figure(rows, columns, height=8.4 / columns * rows, squeeze=False)
    for ax, (name, grid) in zip(axes.flat, grids.items()):
        cloud(ax, Grid(grid.points / grid.points.std(0).norm(), grid.weights), total=3600)
        ax.set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7))
        ax.set_title(name, fontsize=11)
    return fig


def chances(ax: Axes, classes: Sequence[str], ways: Mapping[str, str], title: str = "") -> dict:
    """Bars for the probability of each class, side by side for each way (name → colour), all 0 to begin with."""
    at, high = np.arange(len(classes)), 0.8 / len(ways)
    bars = {
        way: ax.barh(at + (i - (len(ways) - 1) / 2) * high, 0 * at, high, color=colour, label=way)
        for i, (way, colour) in enumerate(ways.items())
    }
    ax.set(xlim=(0, 1), xlabel="probability", yticks=at, title=title)
    ax.set_yticklabels(classes)
    ax.invert_yaxis()
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(ways), fontsize=10, handlelength=1, columnspacing=1)
    return bars


def set_chances(bars: dict, way: str, scores) -> None:
    """Make the bars of one way softmax(scores) long."""
    e = np.exp(array(scores) - array(scores).max())
    for bar, p in zip(bars[way], e / e.sum()):
        bar.set_width(p)


def accuracies(columns: Sequence, series: Mapping[str, Sequence[float]], *, xlabel: str, chance: float) -> Figure:
    """Accuracy in each way over the columns, with guessing as a grey line."""
    fig, ax = figure(height=3.4)
    for i, (name, values) in enumerate(series.items()):
        how = dict(color=palette.SERIES[i], marker=palette.MARKERS[i], linestyle=palette.DASHES[i])
        ax.plot(range(len(columns)), array(values), label=name, **how)
    ax.axhline(chance, color=palette.QUIET, linewidth=1)
    ax.text(len(columns) - 1, chance - 0.02, "guessing", ha="right", va="top", color=palette.QUIET, fontsize=10)
    ax.set(xlabel=xlabel, ylabel="accuracy", ylim=(0, 1.03), xticks=range(len(columns)))
    ax.set_xticklabels(columns)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
