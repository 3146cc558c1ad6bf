"""Tokens on their way: in the plane of two principal components, and along the depth."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import MOST_LABELS, array, figure, mark_spaces, matrix


def principal(fields, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """fields (time, token, feature) -> (time, token, dims) on the principal axes, and their shares."""
    u = array(fields)
    if u.ndim != 3:
        raise ValueError(f"fields must be (time, token, feature), got shape {u.shape}; choose one batch entry")
    flat = u.reshape(-1, u.shape[-1])
    flat = flat - flat.mean(0)
    _, s, axes = np.linalg.svd(flat, full_matrices=False)
    k = min(dims, len(s))
    sign = np.sign(axes[np.arange(k), np.abs(axes[:k]).argmax(1)])  # the same picture on every machine
    found = (flat @ (axes[:k] * sign[:, None]).T).reshape(*u.shape[:2], k)
    shares = s[:k] ** 2 / max((s**2).sum(), 1e-300)
    missing = dims - k
    return np.pad(found, ((0, 0), (0, 0), (0, missing))), np.pad(shares, (0, missing))


def token_colours(n: int) -> np.ndarray:
    """One colour a token, from dark to light in the order of the text: read by its place, not by its hue."""
    return mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(n, 2)))[:n]


def trajectory2d(fields, tokens: Sequence[str] | None = None, *, title: str = "") -> Figure:
    """The tokens' paths in the plane of the first two principal components; ring: t = 0, disc: the end.

    fields (time, token, feature).
    """
    path, shares = principal(fields, 2)
    n = path.shape[1]
    if tokens is not None and len(tokens) != n:
        raise ValueError(f"there must be one name for each of the {n} tokens, got {len(tokens)}")
    fig, ax = figure(height=5.0, width=6.4)
    for i, colour in enumerate(token_colours(n)):
        x, y = path[:, i].T
        ax.plot(x, y, color=colour, linewidth=1.8, alpha=0.85)
        ax.plot(x[0], y[0], marker="o", mfc="white", mec=colour, mew=1.8, linestyle="")
        ax.plot(x[-1], y[-1], marker="o", color=colour, linestyle="")
        if tokens is not None and n <= MOST_LABELS:
            ax.annotate(
                mark_spaces(tokens[i]),
                (x[-1], y[-1]),
                (6, 4),
                textcoords="offset points",
                color=palette.INK,
                size=11,
            )
    ax.set(
        xlabel=f"first component  ({shares[0]:.0%} of the spread)",
        ylabel=f"second component  ({shares[1]:.0%})",
        title=title,
    )
    ax.margins(0.08)
    return fig


def river(fields, times=None, tokens: Sequence[str] | None = None, *, title: str = "", ylabel: str = "") -> Figure:
    """The tokens' paths along the depth t, on the first principal component; water fills what lies between.

    fields (time, token, feature), or (time, token) for a coordinate of your own (then say so in ylabel).
    """
    u = array(fields)
    if u.ndim == 3:
        path, shares = principal(u, 1)
        path, ylabel = path[..., 0], ylabel or f"first component  ({shares[0]:.0%} of the spread)"
    else:
        path = matrix(u, "fields (time, token, feature) or (time, token)")
    t = np.arange(len(path)) if times is None else array(times)
    n = path.shape[1]
    fig, ax = figure(height=4.2)
    ax.fill_between(t, path.min(1), path.max(1), color=palette.WATER, alpha=0.18, linewidth=0)
    for bank in (path.min(1), path.max(1)):
        ax.plot(t, bank, color=palette.RIVER, linewidth=1.0, alpha=0.6)
    for i, colour in enumerate(token_colours(n)):
        ax.plot(t, path[:, i], color=colour, linewidth=1.8)
    if tokens is not None and n <= MOST_LABELS:
        label_ends(ax, t, path, [mark_spaces(token) for token in tokens])
    if times is None:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="depth  t", ylabel=ylabel, title=title)
    ax.set_xlim(t[0], t[-1])
    return fig


def snapshots(flow, layers, tokens: Sequence[str]) -> Figure:
    """A flow as lines, taken in many small steps, and the layers of its network as dots, taken in a few large ones.

    flow, layers: trajectories (times and fields (time, token, feature)) from one u(0). What lies between a dot and its
    line is the error of the large steps.
    """
    both, shares = principal(np.concatenate([array(flow.fields), array(layers.fields)]), 1)
    lines, dots = both[: len(flow.times), :, 0], both[len(flow.times) :, :, 0]
    t = array(flow.times)
    fig, ax = figure(height=4.6, width=10.0)
    ax.fill_between(t, lines.min(1), lines.max(1), color=palette.WATER, alpha=0.18, linewidth=0)
    for i, colour in enumerate(token_colours(lines.shape[1])):
        ax.plot(t, lines[:, i], color=colour, linewidth=1.8)
        ax.plot(array(layers.times), dots[:, i], "o", color=colour, markersize=5)
    label_ends(ax, t, lines, [mark_spaces(token) for token in tokens])
    ax.set(xlabel="depth  t", ylabel=f"first component of u  ({shares[0]:.0%} of the spread)")
    ax.set_xticks(array(layers.times))
    return fig


def label_ends(ax: Axes, t: np.ndarray, path: np.ndarray, names: Sequence[str]) -> None:
    """Names at both ends of the paths, moved apart where they would cover each other; a hair leads to each."""
    if len(names) != path.shape[1]:
        raise ValueError(f"there must be one name for each of the {path.shape[1]} tokens, got {len(names)}")
    apart = 0.048 * (path.max() - path.min() or 1.0)
    hair = {"arrowstyle": "-", "color": palette.QUIET, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
    for column, x, shift, side in ((0, t[0], -18, "right"), (-1, t[-1], 18, "left")):
        order = np.argsort(path[column])
        y = move_apart(path[column][order], apart)
        for i, place in zip(order, y, strict=True):
            ax.annotate(
                names[i],
                (x, path[column, i]),
                (shift, place),
                textcoords=("offset points", "data"),
                ha=side,
                va="center",
                size=10,
                arrowprops=hair | {"relpos": (float(side == "right"), 0.5)},
                annotation_clip=False,
            )
    ax.tick_params(axis="y", pad=36)


def move_apart(y: np.ndarray, apart: float) -> np.ndarray:
    """The sorted places y, moved as little as a few passes can so that neighbours are `apart`."""
    y = y.copy()
    for _ in range(200):
        gap = apart - np.diff(y)
        if (gap <= 1e-12).all():
            break
        push = np.maximum(gap, 0) / 2
        y[:-1] -= push
        y[1:] += push
    return y
