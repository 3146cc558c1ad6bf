"""A term budget as bars: what a read-out began with, what each term and projection added at each step, the end."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import array, figure
from flowlib.notebook.figures.labels import label_stations

COLOURS = {
    "attention": palette.ATTENTION, "feed-forward": palette.FEED_FORWARD, "projection": palette.LAYER_NORM,
}  # fmt: skip
SHAPE = 1.65  # width over height of the axes of one figure
NUMERALS = {"attention": "I", "projection": "II", "feed-forward": "III"}  # the terms of the equation


class Account:
    """Bars of a budget along one read-out, and a line that adds them up. `put` gives it other values.

    account: a `Budget`, of which steps and names are taken. ylabel: the unit of the read-out.
    """

    def __init__(self, account, *, ylabel: str, limits: tuple[float, float]):
        self.fig, self.ax = figure(height=3.9)
        rows = len(account.names)
        colours = [palette.RIVER, *(COLOURS.get(name, palette.QUIET) for name in account.names), palette.RIVER]
        self.bars = self.ax.bar(range(rows + 2), [0.0] * (rows + 2), color=colours, width=0.8)
        self.line = self.ax.step(range(rows + 2), [0.0] * (rows + 2), where="mid", color=palette.INK, linewidth=1.0)[0]
        self.ax.axhline(0, color=palette.INK, linewidth=0.8)
        self.ax.set_xticks(range(rows + 2), ["u(0)", *(NUMERALS.get(name, "·") for name in account.names), "u(T)"])
        self.ax.set(ylabel=ylabel, ylim=limits, xlim=(-0.7, rows + 1.7))
        self.ax.grid(axis="x", visible=False)
        self._name_steps(account.steps, limits[1])
        self._name_colours()

    def _name_steps(self, steps, top: float) -> None:
        """A line between two steps, and the number of each above its bars."""
        for k in range(1, len(steps)):
            if steps[k] != steps[k - 1]:
                self.ax.axvline(k + 0.5, color=palette.QUIET, linewidth=0.8)
        for step in sorted(set(steps)):
            mine = [k for k, other in enumerate(steps) if other == step]
            place = 1 + (mine[0] + mine[-1]) / 2
            self.ax.text(place, top, f"step {step + 1}", ha="center", va="top", color=palette.INK, size=11)

    def _name_colours(self) -> None:
        for name, colour in COLOURS.items():
            self.ax.plot([], [], "s", color=colour, label=f"{NUMERALS[name]}  {name}")
        self.ax.plot([], [], color=palette.INK, linewidth=1.0, label="sum so far")
        self.ax.legend(loc="lower left", ncols=2)

    def put(self, start: float, moved, title: str = "") -> Figure:
        """The figure with these values: start, and what each row moved (row,)."""
        moved = array(moved)
        sums = [float(start), *(float(start) + moved.cumsum())]
        for bar, height in zip(self.bars, [float(start), *moved, sums[-1]], strict=True):
            bar.set_height(height)
        self.line.set_ydata([*sums, sums[-1]])
        self.ax.set_title(title)
        return self.fig


def pushes(account, fields, token: int = -1, *, title: str = "") -> Figure:
    """The way of one token in the plane of the text's two principal directions: an arrow for each row of its budget.

    account: the `Budget` of the text; fields (time, token, feature): its trajectory, which fixes the plane, as in
    `trajectory2d`. Arrows follow each other; a ring is the start, a disc the end.
    """
    u = array(fields)
    middle = u.reshape(-1, u.shape[-1]).mean(0)
    axes = np.linalg.svd(u.reshape(-1, u.shape[-1]) - middle, full_matrices=False)[2][:2]
    axes = axes * np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])[:, None]  # the same picture on every machine
    rows = np.concatenate([array(account.start)[token][None] - middle, array(account.moved)[:, token]])
    path = rows.cumsum(0) @ axes.T
    fig, ax = figure(height=4.6)
    for other in ((u - middle) @ axes.T).swapaxes(0, 1):
        ax.plot(*other.T, color=palette.QUIET, linewidth=0.8, alpha=0.5)
    middle, (width, height) = (path.max(0) + path.min(0)) / 2, np.ptp(path, axis=0)
    half = 0.68 * max(height, width / SHAPE) * np.array([SHAPE, 1.0])
    ax.set(xlim=middle[0] + half[0] * np.array([-1, 1]), ylim=middle[1] + half[1] * np.array([-1, 1]), aspect="equal")
    for name, here, there in zip(account.names, path[:-1], path[1:], strict=True):
        arrow = dict(arrowstyle="-|>", color=COLOURS.get(name, palette.QUIET), lw=1.8, shrinkA=0, shrinkB=0)
        ax.annotate("", there, here, arrowprops=arrow)
    last = {step + 1: k for k, step in enumerate(account.steps, 1)}  # the last row of a step has the last word
    ax.plot(*path[list(last.values())].T, "o", color=palette.INK, markersize=5)
    ax.plot(*path[0], "o", mfc="white", mec=palette.INK, markersize=8)
    for name, colour in COLOURS.items():
        ax.plot([], [], color=colour, linewidth=1.8, label=f"{NUMERALS[name]}  {name}")
    ax.legend(loc="best")
    ax.set(xlabel="first principal direction", ylabel="second principal direction", title=title)
    label_stations(ax, path, {0: "t = 0"} | {k: f"t = {step}" for step, k in last.items()})
    return fig


def pushed_and_missed(
    moved: Mapping[str, Sequence[float]], missed: Mapping[str, Sequence[float]], ylabel: str
) -> Figure:
    """For attention and feed-forward, side by side: what each step pushed (full), and what is missed without it (open).

    moved, missed: a number for each step, under the names of the two terms.
    """
    fig, axes = figure(columns=2, height=3.4, sharey=True)
    for ax, name in zip(axes, ("attention", "feed-forward")):
        steps = np.arange(1, len(moved[name]) + 1)
        colour = COLOURS[name]
        ax.bar(steps - 0.2, moved[name], width=0.4, color=colour, label="pushes")
        ax.bar(
            steps + 0.2, missed[name], width=0.4, color="white", edgecolor=colour, hatch="//", label="missed without it"
        )
        ax.axhline(0, color=palette.INK, linewidth=0.8)
        ax.set(title=f"{NUMERALS[name]}  {name}", xlabel="step", xticks=steps)
        ax.grid(axis="x", visible=False)
        ax.legend(loc="upper left")
    axes[0].set(ylabel=ylabel)
    return fig
