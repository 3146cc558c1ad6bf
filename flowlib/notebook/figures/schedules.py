"""One step of a scheme as boxes in a row: which term acts, for how long, and with which weight its path counts."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from matplotlib.figure import Figure

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import figure

Path = tuple[float, tuple[tuple[int, float], ...]]
COLOURS = (palette.ATTENTION, palette.FEED_FORWARD, palette.LAYER_NORM)


def schedules(schemes: Mapping[str, Sequence[Path]], terms: Sequence[str] = ("attention", "feed-forward")) -> Figure:
    """A block of rows for each scheme, a row for each of its paths, a box for each substep in the order they are taken.

    A box is as wide as the substep's share of a step. What has a negative weight or share is hatched.
    """
    rows = sum(len(paths) for paths in schemes.values())
    fig, ax = figure(height=0.42 * rows + 0.28 * len(schemes) + 0.6)
    y, ticks = 0.0, []
    for name, paths in schemes.items():
        top = y
        for weight, substeps in paths:
            _draw_path(ax, y, weight, substeps, single=len(paths) == 1)
            y += 1.0
        ticks.append(((top + y - 1.0) / 2, name))
        y += 0.65
    for i, name in enumerate(terms):
        ax.bar(0, 0, color=COLOURS[i], label=name)
    ax.set_yticks([at for at, _ in ticks], [name for _, name in ticks])
    ax.set(ylim=(y - 0.9, -0.7), xlim=(-0.55, None), xticks=[])
    ax.tick_params(axis="y", length=0)
    ax.grid(False)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(terms), fontsize=10)
    return fig


def _draw_path(ax, y: float, weight: float, substeps: Sequence[tuple[int, float]], single: bool) -> None:
    """A row: the weight where there are several paths, then the boxes."""
    if not single:
        ax.text(-0.1, y, f"{write_share(weight)} ×", ha="right", va="center", fontsize=11)
    x = 0.0
    for i, share in substeps:
        back = weight < 0 or share < 0
        look = dict(facecolor="white", edgecolor=COLOURS[i], hatch="//") if back else dict(facecolor=COLOURS[i])
        ax.barh(y, abs(share), 0.8, x, **{"edgecolor": "white", "linewidth": 1.5, **look})
        words = dict(color=palette.INK, bbox=dict(facecolor="white", edgecolor="none", pad=2)) if back else {}
        at, words = x + abs(share) / 2, {"color": "white", "fontweight": "bold", **words}
        ax.text(at, y, write_share(share), ha="center", va="center", fontsize=11, **words)
        x += abs(share)
    if not substeps:
        ax.text(0.05, y, "no substep at all", va="center", fontsize=10, color=palette.QUIET)


def write_share(share: float) -> str:
    """1, ½, −⅙ or 1.35: a small fraction where the number is one."""
    known = {Fraction(1, 2): "½", Fraction(1, 4): "¼", Fraction(3, 4): "¾", Fraction(1, 3): "⅓", Fraction(2, 3): "⅔"}
    sign, size = "−" if share < 0 else "", abs(share)
    near = Fraction(size).limit_denominator(6)
    if abs(near - size) > 1e-9:
        return f"{sign}{size:.2f}"
    return sign + known.get(near, str(near))
