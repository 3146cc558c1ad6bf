"""Lines: series over one axis, and errors against steps with their measured order.

Tensors come in as they are; nothing here needs pyplot, so nothing is displayed twice and nothing stays open.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import array, figure


def curves(
    x,
    series: Mapping[str, object],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    colours: Mapping[str, str] | None = None,
    log: str = "",
    dots: bool = False,
) -> Figure:
    """One line for each named series over the same x. `log` is "", "x", "y" or "xy"."""
    fig, ax = figure()
    for i, (name, y) in enumerate(series.items()):
        ax.plot(array(x), array(y), label=name, **line_style(i, name, colours, dots))
    set_scales(ax, log)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if len(series) > 1:
        ax.legend()
    return fig


def line_style(i: int, name: str = "", colours: Mapping[str, str] | None = None, dots: bool = True) -> dict:
    """The i-th line's colour, dash and marker. A series named after a term has that term's colour."""
    colour = (colours or {}).get(name) or palette.TERMS.get(name) or palette.SERIES[i % len(palette.SERIES)]
    style = {"color": colour, "linestyle": palette.DASHES[i % len(palette.DASHES)]}
    return style | ({"marker": palette.MARKERS[i % len(palette.MARKERS)]} if dots else {})


def set_scales(ax: Axes, log: str) -> None:
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")


def mark_levels(ax: Axes, levels: Mapping[str, float], x: float = 0.99, side: str = "bottom") -> None:
    """Thin grey lines at these heights. The side of its name at which each stands; x: where names end."""
    for name, height in levels.items():
        ax.axhline(height, color=palette.QUIET, linewidth=1)
        place = dict(xycoords=ax.get_yaxis_transform(), textcoords="offset points", ha="right", va=side)
        ax.annotate(name, (x, height), xytext=(0, 2 if side == "bottom" else -4), size=10, **place)


def convergence(
    steps: Sequence[int],
    errors: Mapping[str, object],
    *,
    last: int | None = None,
    xlabel: str = "steps N",
    ylabel: str = "error",
    title: str = "",
    floor: float = 1e-14,
) -> Figure:
    """error against N on logarithmic axes; the legend gives each series' measured order p, from error ~ N^-p.

    The order is fitted to the last `last` points (default: all); errors at or under `floor` are rounding and
    take no part. Thin grey lines have the nearest whole slope, and the axis says so.
    """
    crowded = len(errors) > 3  # then no corner is free, and the legend stands below
    fig, ax = figure(height=5 if crowded else 4.2)
    n = array(steps)
    for i, (name, values) in enumerate(errors.items()):
        e = array(values)
        good = e > floor
        order = fit_order(n[good][-(last or len(n)) :], e[good][-(last or len(n)) :])
        said = "at rounding" if order is None else f"order {round(order, 2) + 0.0:.2f}"  # no -0.00
        ax.plot(n, np.maximum(e, floor), label=f"{name}: {said}", **line_style(i, name))
        if order is not None:
            draw_slope(ax, n[good], e[good], round(order))
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.minorticks_off()
    ax.set_xticks(n, [f"{int(v)}" for v in n])
    guides = "     (thin grey lines: whole orders)" if len(ax.lines) > len(errors) else ""
    ax.set(xlabel=xlabel + guides, ylabel=ylabel, title=title)
    fig.legend(loc="outside lower center", ncols=2) if crowded else ax.legend()
    return fig


def fit_order(steps: np.ndarray, errors: np.ndarray) -> float | None:
    from flowlib.measure.convergence import order

    return float(order(errors.tolist(), steps.tolist())) if len(steps) > 1 else None


def draw_slope(ax: Axes, n: np.ndarray, e: np.ndarray, order: int) -> None:
    """A thin grey line of slope -order through the last point, which a series of whole order follows."""
    ax.plot(n, e[-1] * (n / n[-1]) ** -order, color=palette.QUIET, linewidth=1.0, zorder=1)
