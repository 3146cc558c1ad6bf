"""One thing beside another: laws against the width, schemes over their seeds, errors beside whole orders."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import array, figure
from flowlib.notebook.figures.curves import line_style, mark_levels

QUANTITIES = {"velocity": "velocity of the sieve", "step": "critical step", "entropy": "entropy, nats"}


def against_width(widths: Sequence[int], laws: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Three pictures, a line in each for each law: velocity, critical step and entropy, as `sizes_at_width` finds them.

    laws: a law's name and its row of figures for each width.
    """
    fig, axes = figure(columns=3, height=3.2)
    for ax, (key, title) in zip(axes, QUANTITIES.items()):
        for i, (law, rows) in enumerate(laws.items()):
            ax.plot(widths, [row[key] for row in rows], label=law, **line_style(i))
        ax.set(xlabel="width d", xscale="log", yscale="linear" if key == "entropy" else "log")
        ax.set_title(title, fontsize=11)
        ax.minorticks_off()
        ax.set_xticks(widths[::2], widths[::2])
    axes[2].set_ylim(0, 3.7)
    axes[0].legend(fontsize=9)
    return fig


def seeds(losses: Mapping[str, Sequence[float]], xlabel: str) -> Figure:
    """A row for each name, the best on top: a dot for each seed, a bar at their mean."""
    mean = {name: sum(found) / len(found) for name, found in losses.items()}
    names = sorted(losses, key=lambda name: -mean[name])
    fig, ax = figure(height=2.8)
    for i, name in enumerate(names):
        ax.plot(losses[name], [i] * len(losses[name]), "o", color=palette.ATTENTION, alpha=0.6)
        ax.plot(mean[name], i, "|", color=palette.INK, markersize=16, markeredgewidth=2)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel=xlabel, ylim=(-0.6, len(names) - 0.4))
    return fig


class Errors:
    """Errors against a few numbers of steps, beside guides of orders 1 and 2. `put` gives it other values."""

    def __init__(self, steps: Sequence[int], *, limits: tuple[float, float] = (1e-4, 2.0)):
        self.fig, self.ax = figure(height=3.6)
        for p in (1, 2):
            guide = [0.2 * (2 / n) ** p for n in steps]
            self.ax.loglog(steps, guide, "--", color=palette.QUIET, linewidth=1)
            self.ax.annotate(
                f"slope {p}", (steps[-1], guide[-1]), (6, 0), textcoords="offset points", va="center", size=10
            )
        (self.line,) = self.ax.plot(steps, steps, "o-", color=palette.ATTENTION)
        self.ax.set(ylim=limits, xlabel="steps N", ylabel="error at t = 1")
        self.ax.minorticks_off()
        self.ax.set_xticks(steps, steps)

    def put(self, errors, title: str = "") -> Figure:
        """The figure with these errors, one for each number of steps."""
        self.line.set_ydata(array(errors))
        self.ax.set_title(title)
        return self.fig


def against_work(found: Mapping[str, tuple[Sequence[int], Sequence[float]]], goal: float | None = None) -> Figure:
    """Errors against the work that they took, a line for each scheme; the goal, where there is one, as a grey line.

    found: a scheme's name, the evaluations of a term, and the errors that they leave.
    """
    fig, ax = figure(height=3.8)
    for i, (name, (work, errors)) in enumerate(found.items()):
        ax.loglog(work, array(errors), label=name, **line_style(i))
    if goal is not None:
        mark_levels(ax, {f"goal {goal:g}": goal}, x=0.16)
    ax.set(xlabel="evaluations of a term", ylabel="error of the last field")
    ax.legend(fontsize=9 if len(found) > 4 else None)
    return fig
