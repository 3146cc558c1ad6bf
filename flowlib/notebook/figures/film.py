"""A river that pours in: what moves once over the still picture of it, along the depth.

It is an SVG that moves by its own style sheet, to be laid over the picture of the same figure (`show(fig, …, over=…)`).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from flowlib.notebook.figures import palette

WAIT, SECONDS = 0.6, 4.4  # together five seconds: what moves for longer needs a button that stops it (WCAG 2.2.2)
STOPS = 32  # places at which a height is given; between two of them it moves evenly
DISC = {False: 3.5, True: 9.0}  # pixels: what is quiet, what is followed
LOOK = """.ahead{{transform-origin:{right:.1f}px 0;animation:ahead {seconds}s linear {wait}s both}}
.front{{animation:front {seconds}s linear {wait}s both}}
@keyframes ahead{{to{{transform:scaleX(0)}}}}
@keyframes front{{0%{{transform:translateX({left:.1f}px)}}97%{{opacity:1}}
to{{transform:translateX({right:.1f}px);opacity:0}}}}
text{{font:bold 12px sans-serif;fill:#fff;text-anchor:middle;dominant-baseline:central}}
"""


def pour(fig: Figure, names: Sequence[str] = ()) -> str:
    """The SVG over a figure that `figures.river` made: a veil that draws back, and a disc for each path at its edge.

    names: of the paths, in their order; the first letter stands in the disc of a path that is followed.
    """
    fig.set_dpi(palette.DPI)
    fig.draw_without_rendering()  # finds the layout, as `show` will
    ax = fig.axes[0]
    (width, height), scale = fig.get_size_inches() * palette.CSS_PER_INCH, palette.CSS_PER_INCH / fig.dpi
    left, low, right, high = ax.get_window_extent().extents * scale
    look = LOOK.format(left=left, right=right, seconds=SECONDS, wait=WAIT)
    discs = []
    for i, path in enumerate(line for line in ax.lines if str(line.get_gid()).startswith("path")):
        t, y = (path.get_transform().transform(path.get_xydata()) * scale).T
        stops = np.interp(np.linspace(t[0], t[-1], STOPS + 1), t, height - y)
        look += move(i, stops)
        discs.append(draw_disc(i, path, names[i][:1] if names else ""))
    veil = f'<rect class="ahead" x="{left:.1f}" y="{height - high:.1f}" width="{right - left:.1f}"'
    veil += f' height="{high - low:.1f}" fill="#fff" opacity="0.8"/>'
    front = f'<g class="front">{"".join(sorted(discs, key=len))}</g>'  # what is followed comes last, on top
    frame = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" preserveAspectRatio="none"'
    return f"<svg {frame}><style>{look}</style>{veil}{front}</svg>"


def move(i: int, stops: np.ndarray) -> str:
    """The style of the disc i: its heights, one after the other."""
    places = "".join(f"{100 * k / STOPS:g}%{{transform:translateY({y:.1f}px)}}" for k, y in enumerate(stops))
    return f"@keyframes y{i}{{{places}}}.y{i}{{animation:y{i} {SECONDS}s linear {WAIT}s both}}\n"


def draw_disc(i: int, path: Line2D, name: str) -> str:
    followed = path.get_linewidth() > 2
    disc = f'<circle r="{DISC[followed]}" fill="{to_hex(path.get_color())}"/>'
    return f'<g class="y{i}">{disc}{f"<text>{name}</text>" if followed and name.isalnum() else ""}</g>'
