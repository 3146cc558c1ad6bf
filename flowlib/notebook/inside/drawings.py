"""The pictures of a look that no chapter has: pushes by step, the race of the words, spreads, gaps."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.budgets import COLOURS, NUMERALS
from flowlib.notebook.figures.canvas import figure, mark_spaces
from flowlib.notebook.figures.curves import line_style
from flowlib.notebook.figures.heatmaps import heat, name_ticks

WIDTH = 6.4  # inches: also to be read on a phone


def pushes_by_step(moved: Mapping[str, Sequence[float]], start: float, unit: str) -> Figure:
    """Bars for each step, one for each name, and a line: the sum so far, from `start`."""
    steps = len(next(iter(moved.values())))
    fig, ax = figure(height=3.9, width=WIDTH)
    wide = 0.8 / len(moved)
    for k, (name, values) in enumerate(moved.items()):
        at = np.arange(steps) + 1 + (k - (len(moved) - 1) / 2) * wide
        label = f"{NUMERALS[name]}  {name}" if name in NUMERALS else name
        ax.bar(at, values, wide, color=COLOURS.get(name, palette.QUIET), label=label)
    sums = start + np.cumsum(np.sum(list(moved.values()), 0))
    ax.plot(np.arange(steps + 1) + 0.5, [start, *sums], "o-", color=palette.INK, linewidth=1.0, markersize=3.5)
    ax.plot([], [], "o-", color=palette.INK, linewidth=1.0, markersize=3.5, label="sum so far")
    ax.axhline(0, color=palette.INK, linewidth=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="step", ylabel=unit, xlim=(0.3, steps + 0.7))
    ax.legend(fontsize=9, ncols=2)
    return fig


def race(times: Sequence[float], lines: Mapping[str, Sequence[float]], unit: str) -> Figure:
    """A line for each word: its chance at each depth."""
    fig, ax = figure(height=3.2, width=WIDTH)
    for k, (word, values) in enumerate(lines.items()):
        ax.plot(times, values, label=mark_spaces(word), **line_style(k))
    ax.set(xlabel="depth  t", ylabel=unit)
    ax.legend()
    return fig


def heard(counts: np.ndarray, steps: Sequence[int]) -> Figure:
    """How many tokens each head hears, (substep, head): rows are steps, columns heads."""
    fig, ax = figure(height=max(2.4, min(6.0, 0.9 + 0.22 * len(counts))), width=WIDTH)
    norm = Normalize(1, max(counts.max(), 1.01))
    heat(ax, counts, cmap=palette.ramp(palette.ATTENTION), norm=norm, label="tokens heard  $e^H$")
    name_ticks(ax.yaxis, [str(s + 1) for s in steps], len(counts))
    name_ticks(ax.xaxis, [str(h + 1) for h in range(counts.shape[1])], counts.shape[1])
    ax.set(xlabel="head", ylabel="step")
    return fig


def gaps(values: Sequence[float]) -> Figure:
    """A bar for each step: how far it is from its own refined flow."""
    fig, ax = figure(height=2.9, width=WIDTH)
    ax.bar(np.arange(len(values)) + 1, values, 0.7, color=palette.RIVER)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="step", ylabel="share of its way", ylim=(0, None))
    return fig


def spreads(at: Sequence[float], low, middle, high, held: bool) -> Figure:
    """The spread over y of the tokens after each term: mean, and a band from the smallest to the largest."""
    fig, ax = figure(height=3.1, width=WIDTH)
    ax.fill_between(at, low, high, color=palette.WATER, alpha=0.35, linewidth=0, label="smallest to largest token")
    ax.plot(at, middle, color=palette.RIVER, label="mean over tokens")
    if held:
        ax.axhline(1.0, color=palette.LAYER_NORM, linestyle="--", linewidth=1.2, label="after the projection")
    else:
        ax.set_yscale("log")
        ax.minorticks_off()
    ax.set(xlabel="step", ylabel="spread over y")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=9)
    return fig
