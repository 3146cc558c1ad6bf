"""Names of paths that do not cover each other: moved apart, with a hair to what each names."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation

from flowlib.notebook.figures import palette

SIZE = 10.5  # of a name, in points
HAIR = {"arrowstyle": "-", "color": palette.QUIET, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}


HALO = [withStroke(linewidth=3, foreground="white")]  # a name that stands on lines is read all the same


CORNERS = ((7, 6), (7, -15), (-19, 6), (-19, -15))  # where a name stands beside its place, in points


def label_end(ax: Axes, name: str, colour: str, k: int) -> Annotation:
    """A name beside a place that moves, the k-th in a corner of its own: give it other coordinates as `.xy`."""
    how = {"textcoords": "offset points", "color": colour, "weight": "bold", "size": SIZE + 1.5, "zorder": 5}
    return ax.annotate(name, (0, 0), CORNERS[k % 4], path_effects=HALO, **how)


def name_look(i: int, followed: Sequence[int]) -> dict:
    """How the name of path i is written: that of a followed path in its colour, bold."""
    if i in followed:
        k = list(followed).index(i)
        return {"color": palette.SERIES[k % len(palette.SERIES)], "weight": "bold", "size": SIZE + 1.5}
    return {"color": palette.INK, "size": SIZE}


def label_ends(ax: Axes, t: np.ndarray, path: np.ndarray, names: Sequence[str], followed: Sequence[int] = ()) -> None:
    """Names at both ends of the paths (time, token), moved apart where they would cover each other."""
    if len(names) != path.shape[1]:
        raise ValueError(f"there must be one name for each of the {path.shape[1]} tokens, got {len(names)}")
    low, high = ax.get_ylim()
    apart = 1.25 * SIZE / 72 / (0.82 * ax.figure.get_size_inches()[1]) * (high - low)
    for column, x, shift, side in ((0, t[0], -18, "right"), (-1, t[-1], 18, "left")):
        order = np.argsort(path[column])
        for i, place in zip(order, move_apart(path[column][order], apart), strict=True):
            ax.annotate(
                names[i],
                (x, path[column, i]),
                (shift, place),
                textcoords=("offset points", "data"),
                ha=side,
                va="center",
                arrowprops=HAIR | {"relpos": (float(side == "right"), 0.5)},
                annotation_clip=False,
                **name_look(i, followed),
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


def label_points(ax: Axes, path: np.ndarray, names: Sequence[str], followed: Sequence[int] = ()) -> None:
    """Names at the ends of paths (time, token, 2) in a plane with fixed limits, off other names, dots and paths."""
    span = np.array([np.diff(ax.get_xlim())[0], np.diff(ax.get_ylim())[0]])
    page = path * (0.82 * 72 * ax.figure.get_size_inches() / span)  # in points
    offsets = find_offsets(page[-1], [*followed, *(i for i in range(len(names)) if i not in followed)], page)
    for i, name in enumerate(names):
        hair = HAIR if np.linalg.norm(offsets[i]) > 14 else None
        how = {"textcoords": "offset points", "ha": "center", "va": "center", "arrowprops": hair, "zorder": 5}
        ax.annotate(name, path[-1, i], offsets[i], **how, **name_look(i, followed))


def label_stations(ax: Axes, path: np.ndarray, names: dict[int, str]) -> None:
    """Names for some places k of one path (time, 2), off its line and off each other. The limits must stand."""
    ax.figure.draw_without_rendering()
    page = ax.transData.transform(path) * 72 / ax.figure.dpi  # in points
    places = list(names)
    offsets = find_offsets(page[places], range(len(places)), page[:, None], size=(34.0, 15.0))
    for k, offset in zip(places, offsets, strict=True):
        hair = HAIR if np.linalg.norm(offset) > 20 else None
        how = {"textcoords": "offset points", "ha": "center", "va": "center", "arrowprops": hair, "zorder": 6}
        ax.annotate(names[k], path[k], offset, color=palette.INK, size=11, path_effects=HALO, **how)


def find_offsets(at: np.ndarray, order: Sequence[int], paths: np.ndarray, size=(11.0, 13.0)) -> np.ndarray:
    """For each dot of the page its name's offset: the nearest of 16 directions that is free, one dot after another.

    at (token, 2) and paths (time, token, 2) in points; a name takes a box of this size. A name never covers a dot or
    another name where that can be had; a path only if it must.
    """
    angles = np.pi / 4 + np.arange(16) * np.pi / 8
    ring = np.stack([np.cos(angles), np.sin(angles)], -1)
    tried = np.concatenate([radius * ring for radius in (11, 15, 20, 26, 34, 44)])
    found, taken = np.zeros_like(at), at.copy()
    lines = np.concatenate([paths[:-1] + s * np.diff(paths, axis=0) for s in np.linspace(0, 1, 12)]).reshape(-1, 2)
    for i in order:
        box = (at[i] + tried)[:, None]
        hard = (np.abs(box - taken) / size).max(-1) < 1
        soft = (np.abs(box - lines) / size).max(-1) < 0.5
        cost = 10.0 * hard.sum(-1) + soft.any(-1) + 0.04 * np.linalg.norm(tried, axis=-1)
        found[i] = tried[cost.argmin()]
        taken = np.concatenate([taken, [at[i] + found[i]]])
    return found
