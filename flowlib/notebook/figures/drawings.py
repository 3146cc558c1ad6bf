"""The three pictures of the course, and who hears whom over a text: each drawn from a chapter's own numbers.

arcs            a kernel over a text: from each listener to what it hears
echo_chamber    one listener in a cave, and how loud it hears each spot
tuning_fork     a token's features before and after they are levelled
sieve           what flows past one spot, and what is let through
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import array, figure, mark_spaces, matrix

LEAST = 0.03  # smaller shares are not drawn


def arcs(
    weights,
    tokens: Sequence[str],
    *,
    listener: int | None = None,
    columns: int = 1,
    least: float = LEAST,
) -> Figure:
    """Who hears whom: an arc from each token that listens back to each that it hears, as thick as the share.

    weights: shares (query, key), or several named ones, {"head 1": shares, …}, drawn in `columns`. Arcs above the text
    lead to what came before, arcs below to what comes after, and a ring is what a token hears of itself.
    listener: one place whose arcs are lit, the others quiet. Shares below `least` are left out.

    Raises: ValueError where weights have not two axes, are negative, or names do not fit.
    """
    heads = weights if isinstance(weights, Mapping) else {"": weights}
    found = {name: check_shares(shares, tokens) for name, shares in heads.items()}
    both = any(np.triu(shares, 1).max() >= least for shares in found.values())
    rows = -(-len(found) // columns)
    fig, axes = figure(rows, columns, height=rows * (2.5 if both else 1.75), squeeze=False)
    for ax in axes.flat[len(found) :]:
        ax.set_visible(False)
    for ax, (name, shares) in zip(axes.flat, found.items(), strict=False):
        draw_arcs(ax, shares, tokens, listener, least, both, room=palette.WIDTH * 72 / columns / len(tokens))
        ax.set_title(name, fontsize=11)
    return fig


def check_shares(weights, tokens: Sequence[str]) -> np.ndarray:
    shares = matrix(weights, "shares (query, key)")
    if shares.shape != (len(tokens), len(tokens)):
        raise ValueError(f"shares (query, key) must have one row and one column for each of the {len(tokens)} tokens, "
                         f"got shape {shares.shape}")  # fmt: skip
    if shares.min() < 0:
        raise ValueError(f"a share of what is heard is never negative, got {shares.min():.3g}; give γ, not scores")
    return shares


def draw_arcs(ax: Axes, shares: np.ndarray, tokens, listener, least: float, both: bool, room: float) -> None:
    """The arcs of one head, the strongest on top. room: points from one token to the next."""
    n = len(tokens)
    at = None if listener is None else range(n)[listener]
    pairs = sorted(zip(*np.nonzero(shares >= least)), key=lambda pair: (pair[0] == at, shares[pair]))
    strokes = [(i, j) for i, j in pairs if i != j]
    looks = {pair: arc_look(shares[pair], at is None or pair[0] == at) for pair in pairs}
    ax.add_collection(
        LineCollection(
            [arc(i, j) for i, j in strokes],
            colors=[looks[pair][0] for pair in strokes],
            linewidths=[looks[pair][1] for pair in strokes],
            capstyle="round",
        )
    )
    for i, j in pairs:
        if i == j:
            ring = {"mec": looks[i, j][0], "mew": looks[i, j][1]}
            ax.plot(i, 0, "o", markersize=min(15, 0.85 * room), mfc="none", gid="itself", **ring)
    for i, token in enumerate(tokens):
        look = {"weight": "bold", "color": palette.LAYER_NORM} if i == at else {"color": palette.INK}
        ax.text(i, 0, mark_spaces(token), ha="center", va="center_baseline", size=11, **look)
    top = 1.6 + 0.28 * (n - 1)
    ax.set(xlim=(-0.7, n - 0.3), ylim=(-top if both else -0.9, top))
    ax.set_axis_off()


def arc_look(share: float, lit: bool) -> tuple[tuple, float]:
    """Colour and width of an arc: both tell the share."""
    if not lit:
        return to_rgba(palette.QUIET, 0.12 + 0.2 * share), 0.4 + 2.0 * share
    return to_rgba(palette.ATTENTION, min(1.0, 0.2 + share)), 0.6 + 5.0 * share


def arc(i: int, j: int, points: int = 41) -> np.ndarray:
    """Half an ellipse from the listener i to j, (point, 2): above the text where j came before i, else below."""
    angle = np.linspace(0, np.pi, points)
    side = 1 if j < i else -1
    high = 0.8 + 0.28 * abs(i - j)
    return np.stack([(i + j) / 2 + (i - j) / 2 * np.cos(angle), side * (0.55 + high * np.sin(angle))], -1)


def echo_chamber(x, gamma, values, listener: int, *, weights=None, xlabel: str = "place  x̃") -> Figure:
    """A cave: what each spot says, how loud one listener hears it by way of the vault, and the sum of it, ∫γ V dx̃.

    x, values: (place,). gamma: the listener's row of the kernel (place,), or all of it (query, key). weights: of the
    quadrature; without them gamma is taken for shares, as softmax gives them.

    Raises: ValueError where what is heard does not add up to 1, which says that weights are missing.
    """
    x, v = array(x), array(values)
    rows = array(gamma)
    loud = (rows[listener] if rows.ndim == 2 else rows) * (1.0 if weights is None else array(weights))
    if x.ndim != 1 or not x.shape == v.shape == loud.shape:
        raise ValueError(f"x, a row of gamma and values must be (place,) alike, got {x.shape}, {loud.shape}, {v.shape}")
    if abs(loud.sum() - 1) > 1e-3:
        raise ValueError(f"what is heard must add up to 1, got {loud.sum():.4g}; give the grid's weights, or shares")
    fig, (cave, floor) = figure(2, height=4.6, sharex=True, gridspec_kw={"height_ratios": (1.5, 1)})
    draw_cave(cave, x, loud, listener)
    top = loud.max() or 1.0
    stems = [[(a, 0), (a, b)] for a, b in zip(x, v, strict=True)]
    ink = [to_rgba(palette.ATTENTION, 0.12 + 0.88 * share / top) for share in loud]
    floor.add_collection(LineCollection(stems, colors=ink, linewidths=max(1.5, min(6.0, 200 / len(x)))))
    floor.scatter(x, v, color=ink, s=22, zorder=3)
    heard = float(loud @ v)
    floor.axhline(0, color=palette.INK, linewidth=0.8)
    floor.axhline(heard, color=palette.LAYER_NORM, linewidth=1.8, linestyle="--", gid="heard")
    floor.annotate(say("heard: {:.2f}", heard), (1.0, heard), (-2, 3), xycoords=("axes fraction", "data"), size=10,
                   textcoords="offset points", ha="right", color=palette.LAYER_NORM, weight="bold")  # fmt: skip
    floor.set(xlabel=xlabel, ylabel="it says  V(x̃)")
    floor.margins(y=0.15)
    return fig


def draw_cave(ax: Axes, x: np.ndarray, loud: np.ndarray, listener: int) -> None:
    """The vault over the spots, and from each the way of its sound: up to the vault, down to the listener."""
    left, right = x.min(), x.max()
    middle, half = (left + right) / 2, (right - left) / 2 or 1.0
    wide = 1.12 * half
    s = np.linspace(-1, 1, 200)
    vault = np.sqrt(np.clip(1 - s**2, 0, None))
    ax.fill_between(middle + wide * s, vault, 1.13, color=palette.tint(palette.RIVER, 0.35), linewidth=0)
    here = x[listener]
    over = (x + here) / 2
    up = np.sqrt(np.clip(1 - ((over - middle) / wide) ** 2, 0, None))
    ways = [[(a, 0), (b, c), (here, 0)] for a, b, c in zip(x, over, up, strict=True)]
    share = loud / (loud.max() or 1.0)
    ink = [to_rgba(palette.ATTENTION, 0.06 + 0.9 * k) for k in share]
    ax.add_collection(LineCollection(ways, colors=ink, linewidths=0.4 + 4.0 * share, joinstyle="round", gid="ways"))
    ax.scatter(x, 0 * x, s=20, color=ink, zorder=3, clip_on=False)
    ax.plot(here, 0, "o", markersize=13, color=palette.LAYER_NORM, zorder=4, clip_on=False)
    ax.annotate("the listener", (here, 0), (0, -16), textcoords="offset points", ha="center", va="top", size=10,
                color=palette.LAYER_NORM, weight="bold", annotation_clip=False)  # fmt: skip
    ax.set(xlim=(middle - wide, middle + wide), ylim=(0, 1.13))
    ax.set_axis_off()


def say(words: str, *numbers: float) -> str:
    """The numbers in these words, with a minus sign that is one, and no −0.00."""
    return words.format(*(round(x, 2) + 0.0 for x in numbers)).replace("-", "−")


def tuning_fork(u, levelled) -> Figure:
    """A token's features before (left) and after (right): the fork's handle is the mean, its prongs one spread away.

    u, levelled: (feature,). Grey: mean and mean ± spread of what came in.

    Raises: ValueError where they are not one token each, of one size.
    """
    before, after = check_pair(u, levelled)
    fig, axes = figure(columns=2, height=3.4, sharey=True)
    for ax, v, title, colour in zip(
        axes, (before, after), ("as it came", "levelled"), (palette.QUIET, palette.LAYER_NORM)
    ):
        mean, spread = v.mean(), v.std()
        draw_fork(ax, len(v), mean, spread, colour)
        ax.vlines(
            range(len(v)), mean, v, color=palette.RIVER, linewidth=max(1.0, min(4.0, 100 / len(v))), gid="features"
        )
        ax.set(xlabel="feature  y", title=title)
        ax.set_xticks([k for k in ax.get_xticks() if 0 <= k < len(v)])
        ax.text(0.98, 0.02, say("mean {:.2f}, spread {:.2f}", mean, spread), transform=ax.transAxes, ha="right",
                va="bottom", size=11, color=palette.INK)  # fmt: skip
        ax.grid(False)
    axes[0].set_ylabel("u")
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low - 0.14 * (high - low), high)  # room for the words
    return fig


def draw_fork(ax: Axes, n: int, mean: float, spread: float, colour: str) -> None:
    """A tuning fork on its side: the handle at the mean, the prongs at mean ± spread along all features."""
    bend = np.linspace(-np.pi / 2, np.pi / 2, 30)
    end, deep = n - 0.5, 0.09 * n
    x = np.concatenate([[-1.0], end + deep * np.cos(bend), [-1.0]])
    y = np.concatenate([[mean - spread], mean + spread * np.sin(bend), [mean + spread]])
    ax.plot(x, y, color=colour, linewidth=3.0, alpha=0.9, solid_capstyle="round", gid="prongs", zorder=3)
    ax.plot(
        [end + deep, end + 2.6 * deep], [mean, mean], color=colour, linewidth=4.5, solid_capstyle="round", gid="handle"
    )
    ax.axhline(mean, color=colour, linewidth=0.8, linestyle=":")


def sieve(before, after) -> Figure:
    """What flows past one spot, feature by feature (top), the sieve, and what it lets through (bottom).

    before, after: (feature,), such as W₁u + b₁ at one token and its ReLU. A hole is open as far as its value passes.

    Raises: ValueError where they are not one token each, of one size.
    """
    v, passed = check_pair(before, after)
    open_ = np.clip(np.divide(passed, v, out=np.zeros_like(v), where=v != 0), 0, 1)
    heights = {"height_ratios": (1, 0.13, 1), "hspace": 0.0}
    fig, (top, mesh, bottom) = figure(3, height=4.4, sharex=True, gridspec_kw=heights)
    kept = palette.tint(palette.QUIET, 0.7)
    colour = [palette.FEED_FORWARD if share > 0 else kept for share in open_]
    for ax, heights, words in ((top, v, "flows past"), (bottom, passed, "is let through")):
        ax.bar(range(len(v)), heights, width=0.75, color=colour)
        ax.axhline(0, color=palette.INK, linewidth=0.8)
        ax.set(ylabel=words)
    bottom.set_ylim(top.get_ylim())
    for k, share in enumerate(open_):  # a bar of the mesh where it is closed, a hole where it is open
        mesh.add_patch(hole(k, share))
    mesh.set(xlim=(-0.8, len(v) - 0.2), ylim=(0, 1), yticks=[])
    mesh.set_ylabel("sieve", rotation=0, ha="right", va="center")
    for ax in (top, mesh):
        ax.tick_params(bottom=False)
    for side in mesh.spines.values():
        side.set_visible(False)
    mesh.grid(False)
    bottom.set_xlabel("feature")
    return fig


def hole(k: int, share: float):
    from matplotlib.patches import Rectangle

    face = palette.FEED_FORWARD if share > 0 else palette.RIVER
    return Rectangle((k - 0.45, 0.15), 0.9, 0.7, fc=to_rgba(face, 0.25 * share if share > 0 else 1.0), ec=face, lw=0.8)


def check_pair(before, after) -> tuple[np.ndarray, np.ndarray]:
    one, two = array(before), array(after)
    if one.ndim != 1 or one.shape != two.shape:
        raise ValueError(f"before and after must be one token each, (feature,), got shapes {one.shape} and {two.shape}")
    return one, two
