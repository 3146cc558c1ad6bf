"""The one diagram of the course: Vaswani's block, the three terms of the equation, the substeps of the splitting.

Lengths are inches on the page. A box has a gid, such as "substep 3", by which a test or a page finds it.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import figure

PARTS = ("attention", "layer norm", "feed-forward", "splitting", None)
WIDTH, HEIGHT = palette.WIDTH, 4.5
PALE = "#5B6770"  # text of what is not at hand: quiet, and still read on white


@dataclass(frozen=True)
class Box:
    """A box of the diagram: its place (middle), its size, the part that it belongs to, and its words."""

    gid: str
    part: str
    x: float
    y: float
    words: str
    width: float = 1.5
    height: float = 0.46


def block(lit: str | None = None) -> Figure:
    """The post-norm encoder block, the terms of u_t = I − N_S + III, and the substeps at Δt, joined by lines.

    lit: the part at hand, "attention", "layer norm", "feed-forward" or "splitting", in its colour, the rest quiet.
    None: all in their colours. Each column is read from top to bottom. (The paper writes + ∂I_S for the − N_S.)

    Raises: ValueError where lit is none of these.
    """
    if lit not in PARTS:
        raise ValueError(f"lit must be one of {', '.join(map(repr, PARTS))}; got {lit!r}")
    fig, ax = figure(height=HEIGHT)
    ax.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    ax.set_axis_off()
    boxes = {box.gid: box for box in (*network(), *terms(), *substeps())}
    for left, right in joints():
        join(ax, boxes[left], boxes[right], lit)
    draw_skips(ax)
    for box in boxes.values():
        draw_box(ax, box, lit)
    for x, words in ((1.15, "the block (Vaswani et al.)"), (3.5, "the equation"), (6.05, "one step of the splitting")):
        ax.text(x, 0.1, words, ha="center", va="center", size=10.5, weight="bold")
    ax.text(3.5, 0.5, r"$u_t \;=\; \mathrm{I}\; -\; \mathrm{II}\; +\; \mathrm{III}$", ha="center", va="center", size=13)
    return fig


ROWS = (1.1, 1.95, 2.85, 3.7)  # where attention, norm, feed-forward and norm stand, from the top


def network() -> list[Box]:
    """The block as it is usually drawn: two terms with their skips, a layer norm after each."""
    names = ("attention", "layer norm", "feed-forward", "layer norm")
    shown = ("multi-head\nattention", "layer norm", "feed-forward", "layer norm")
    return [
        Box(f"block {k}", part, 1.3, y, words, 1.3)
        for k, (part, words, y) in enumerate(zip(names, shown, ROWS, strict=True), 1)
    ]


def terms() -> list[Box]:
    at = {"x": 3.5, "width": 1.8, "height": 0.78}
    return [
        Box(
            "term I",
            "attention",
            y=1.1,
            words="I · hears every token\n" + r"$\int\gamma(x,\tilde x)\,V(\tilde x)\,d\tilde x$",
            **at,
        ),
        Box("term II", "layer norm", y=2.25, words="II · holds the level\n" + r"$N_S(u)$: projection onto $S$", **at),
        Box("term III", "feed-forward", y=3.4, words="III · acts on the spot\n" + r"$W_2\,\sigma(W_1u+b_1)+b_2$", **at),
    ]


def substeps() -> list[Box]:
    say = (
        ("attention", r"1   $u \leftarrow u+\Delta t\,\mathrm{I}(u)$"),
        ("layer norm", r"2   $u \leftarrow P_S(u)$"),
        ("feed-forward", r"3   $u \leftarrow u+\Delta t\,\mathrm{III}(u)$"),
        ("layer norm", r"4   $u \leftarrow P_S(u)$"),
    )
    return [Box(f"substep {k}", part, 6.05, y, words, 1.9) for k, ((part, words), y) in enumerate(zip(say, ROWS), 1)]


def joints() -> list[tuple[str, str]]:
    """What belongs together, from left to right."""
    numeral = dict(zip((1, 2, 3, 4), ("I", "II", "III", "II")))
    left = [(f"block {k}", f"term {n}") for k, n in numeral.items()]
    return left + [(f"term {n}", f"substep {k}") for k, n in numeral.items()]


def colours(box: Box, lit: str | None) -> tuple[str, str, str, float]:
    """Face, edge and text of a box, and the width of its edge: filled where it is at hand, quiet where another is."""
    colour = palette.TERMS[box.part]
    if lit is None:
        return "white", colour, palette.INK, 1.6
    at_hand = box.gid.startswith("substep") if lit == "splitting" else box.part == lit
    return (palette.tint(colour), colour, palette.INK, 2.8) if at_hand else ("white", palette.QUIET, PALE, 1.0)


def draw_box(ax: Axes, box: Box, lit: str | None) -> None:
    face, edge, ink, thick = colours(box, lit)
    corner = (box.x - box.width / 2, box.y - box.height / 2)
    style = "round,pad=0,rounding_size=0.08"
    ax.add_patch(
        FancyBboxPatch(corner, box.width, box.height, style, fc=face, ec=edge, lw=thick, gid=box.gid, zorder=3)
    )
    ax.text(box.x, box.y, box.words, ha="center", va="center", size=10, color=ink, linespacing=1.5, zorder=4)


def join(ax: Axes, left: Box, right: Box, lit: str | None) -> None:
    """A smooth line from the right edge of one box to the left edge of the other."""
    s = np.linspace(0, 1, 40)
    a, b = left.x + left.width / 2, right.x - right.width / 2
    ends = [colours(box, lit)[1] for box in (left, right)]
    colour = palette.QUIET if palette.QUIET in ends and lit != "splitting" else palette.TERMS[left.part]
    quiet = colour == palette.QUIET
    y = left.y + (right.y - left.y) * s**2 * (3 - 2 * s)
    ax.plot(a + (b - a) * s, y, color=colour, linewidth=1.0 if quiet else 2.0, alpha=0.5 if quiet else 0.9, zorder=2)


def draw_skips(ax: Axes) -> None:
    """What flows down the block: the arrows, a ⊕ after each term, and the skips that go around the terms."""
    how = {"arrowstyle": "-|>", "color": palette.RIVER, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    middle, aside = 1.3, 0.4
    stops = [0.5, ROWS[0], ROWS[1], ROWS[2], ROWS[3], 4.35]
    for a, b in zip(stops, stops[1:]):
        ax.annotate("", (middle, b - (0.23 if b != stops[-1] else 0)), (middle, a), arrowprops=how, zorder=1)
    for above, term in ((0.66, ROWS[0]), (ROWS[1] + 0.34, ROWS[2])):
        add = term + 0.4
        ax.plot([middle, aside, aside, middle], [above, above, add, add], color=palette.RIVER, linewidth=1.2, zorder=1)
        ax.plot(middle, add, "o", markersize=11, mfc="white", mec=palette.RIVER, zorder=3, gid="add")
        ax.text(middle, add, "+", ha="center", va="center_baseline", size=10, zorder=4)
    ax.text(aside - 0.06, ROWS[0], "skip", ha="right", va="center", size=9, rotation=90)
    ax.text(middle + 0.12, 0.5, "$u(t)$", ha="left", va="center", size=10)
    ax.text(middle + 0.12, 4.25, r"$u(t+\Delta t)$", ha="left", va="center", size=10)
