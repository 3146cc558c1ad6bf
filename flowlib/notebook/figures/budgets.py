"""A term budget as bars: what a read-out began with, what each term and projection added at each step, the end."""

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
