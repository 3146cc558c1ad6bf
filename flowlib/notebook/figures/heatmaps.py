"""Heat maps: a field over tokens and features, a kernel over listeners and heard."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import setp
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import MOST_LABELS, figure, mark_spaces, matrix


def field(
    u,
    *,
    tokens: Sequence[str] | None = None,
    title: str = "",
    label: str = "u(x, y)",
    limit: float | None = None,
    ylabel: str = "feature  y",
    xlabel: str = "token  x",
) -> Figure:
    """A field u (token, feature) as a heat map: tokens from left to right, features from the top down.

    Blue is negative, vermillion positive, white zero; colours end at ± `limit` (default: the largest |u|).

    Raises: ValueError where u has not two axes, or names do not fit.
    """
    values = matrix(u, "a field (token, feature)")
    bound = limit or np.abs(values).max() or 1.0
    fig, ax = figure(height=3.4)
    heat(ax, values.T, cmap=palette.diverging(), norm=TwoSlopeNorm(0, -bound, bound), label=label)
    name_ticks(ax.xaxis, tokens, values.shape[0], rotate=True)
    name_ticks(ax.yaxis, None, values.shape[1])
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return fig


def kernel(
    gamma,
    tokens: Sequence[str] | None = None,
    heard: Sequence[str] | None = None,
    *,
    title: str = "",
    limit: float | None = None,
    log: bool = False,
    numbers: bool | None = None,
) -> Figure:
    """γ (query, key) as a heat map: each row a token x that listens, each column a token x̃ that is heard.

    `tokens` names the rows, and the columns too unless `heard` does (cross-attention). Numbers stand in the
    cells where there are at most 8 rows and columns. Colours end at `limit` (default: the largest γ; fix it
    where two kernels are compared). `log` shows six orders of magnitude.

    Raises: ValueError where γ has not two axes, or names do not fit.
    """
    values = matrix(gamma, "a kernel (query, key)")
    fig, ax = figure(height=4.6, width=5.8)
    top = limit or values.max() or 1.0
    norm = LogNorm(top * 1e-6, top, clip=True) if log else Normalize(0, top)
    draw_kernel(ax, values, norm, tokens, heard, label="γ(x, x̃)")
    if numbers if numbers is not None else max(values.shape) <= 8:
        write_numbers(ax, values, norm)
    ax.set(xlabel="x̃  is heard", ylabel="x  listens", title=title)
    return fig


def kernels(
    gammas: Mapping[str, object],
    tokens: Sequence[str] | None = None,
    heard: Sequence[str] | None = None,
    *,
    limit: float | None = None,
) -> Figure:
    """Several kernels side by side on one scale of colours, each under its name: heads, temperatures, grids.

    Raises: ValueError where there is none, one has not two axes, or names do not fit.
    """
    if not gammas:
        raise ValueError("kernels needs at least one named kernel, such as {'head 1': gamma}")
    found = {name: matrix(gamma, f"the kernel {name!r} (query, key)") for name, gamma in gammas.items()}
    columns = min(len(found), 4)
    rows = -(-len(found) // columns)
    fig, axes = figure(rows, columns, height=0.7 + rows * 6.4 / columns, squeeze=False)
    norm = Normalize(0, limit or max(values.max() for values in found.values()) or 1.0)
    for ax in axes.flat[len(found) :]:
        ax.set_visible(False)
    for ax, (name, values) in zip(axes.flat, found.items(), strict=False):
        mesh = draw_kernel(ax, values, norm, tokens, heard, most=24 // columns)
        ax.set_title(name)
    for ax in axes[:, 0]:
        ax.set_ylabel("x  listens")
    for ax in axes[-1]:
        ax.set_xlabel("x̃  is heard")
    colour_bar(mesh, axes, "γ(x, x̃)")
    return fig


def draw_kernel(ax: Axes, values: np.ndarray, norm, tokens, heard, label: str = "", most: int = MOST_LABELS):
    """One kernel in its axes, the first query at the top. Returns the mesh."""
    rows, columns = values.shape
    mesh = heat(ax, values, cmap=palette.ramp(palette.ATTENTION), norm=norm, label=label)
    ax.set_aspect("equal" if rows == columns else "auto")
    name_ticks(ax.xaxis, tokens if heard is None and rows == columns else heard, columns, most, rotate=True)
    name_ticks(ax.yaxis, tokens, rows, most)
    return mesh


def write_numbers(ax: Axes, values: np.ndarray, norm) -> None:
    for i, j in np.ndindex(*values.shape):
        colour = "white" if norm(values[i, j]) > 0.55 else palette.INK
        ax.text(j + 0.5, i + 0.5, f"{values[i, j]:.2f}", ha="center", va="center", size=10, color=colour)


def heat(ax: Axes, values: np.ndarray, *, cmap, norm=None, label: str = ""):
    """A matrix as cells with thin white lines between them, row 0 at the top as it is printed. Returns the mesh.

    A colour bar stands beside it where a label is given. Row i has its middle at the height i + 0.5.
    """
    ax.grid(False)
    edges = {"edgecolors": "white", "linewidth": 0.6} if max(values.shape) <= 48 else {}
    rows, columns = values.shape
    mesh = ax.pcolormesh(np.arange(columns + 1), np.arange(rows + 1), values, cmap=cmap, norm=norm, **edges)
    ax.set_ylim(rows, 0)
    if label:
        colour_bar(mesh, ax, label)
    ax.tick_params(left=False, bottom=False)
    for side in ax.spines.values():
        side.set_visible(False)
    return mesh


def colour_bar(mesh, axes, label: str) -> None:
    fig = np.ravel(axes)[0].figure
    fig.colorbar(mesh, ax=axes, label=label, pad=0.02).outline.set_visible(False)


def name_ticks(axis, names: Sequence[str] | None, n: int, most: int = MOST_LABELS, *, rotate: bool = False):
    """Name every cell of an axis in its middle, or number some of them where there are many."""
    if names is not None and len(names) != n:
        raise ValueError(f"there must be one name for each of the {n} rows or columns, got {len(names)}")
    if names is not None and n <= most:
        shown = [mark_spaces(name) for name in names]
        axis.set_ticks(np.arange(n) + 0.5, shown)
        if rotate and max(map(len, shown)) > 2:
            setp(axis.get_ticklabels(), rotation=45, ha="right", rotation_mode="anchor")
        return
    stride = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, n) if 2 * n <= most * s or s == n)
    axis.set_ticks(np.arange(0, n, stride) + 0.5, [str(i) for i in range(0, n, stride)])
