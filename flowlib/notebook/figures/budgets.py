"""A term budget as bars: what a read-out began with, what each term and projection added at each step, the end."""

import numpy as np
from matplotlib.figure import Figure

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import array, figure

COLOURS = {
    "attention": palette.ATTENTION, "feed-forward": palette.FEED_FORWARD, "projection": palette.LAYER_NORM,
}  # fmt: skip
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
    ax.plot(*path.T, alpha=0)  # arrows do not count when matplotlib finds the limits
    for name, here, there in zip(account.names, path[:-1], path[1:], strict=True):
        arrow = dict(arrowstyle="-|>", color=COLOURS.get(name, palette.QUIET), lw=1.8, shrinkA=0, shrinkB=0)
        ax.annotate("", there, here, arrowprops=arrow)
    for k, step in enumerate(account.steps, 1):
        if k == len(account.steps) or account.steps[k] != step:
            ax.plot(*path[k], "o", color=palette.INK, markersize=5)
            ax.annotate(f"t = {step + 1}", path[k], (8, 4), textcoords="offset points", color=palette.INK, size=11)
    ax.plot(*path[0], "o", mfc="white", mec=palette.INK, markersize=8)
    ax.annotate("t = 0", path[0], (8, 4), textcoords="offset points", color=palette.INK, size=11)
    for name, colour in COLOURS.items():
        ax.plot([], [], color=colour, linewidth=1.8, label=f"{NUMERALS[name]}  {name}")
    ax.legend(loc="lower right")
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xlabel="first principal direction", ylabel="second principal direction", title=title)
    return fig
