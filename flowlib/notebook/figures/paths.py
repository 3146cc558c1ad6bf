"""Tokens on their way: in the plane of two principal components, and along the depth."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import MOST_LABELS, array, figure, mark_spaces, matrix
from flowlib.notebook.figures.labels import label_end, label_ends, label_points


def principal(fields, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """fields (time, token, feature) -> (time, token, dims) on the principal axes, and their shares."""
    u = array(fields)
    if u.ndim != 3:
        raise ValueError(f"fields must be (time, token, feature), got shape {u.shape}; choose one batch entry")
    flat = u.reshape(-1, u.shape[-1])
    flat = flat - flat.mean(0)
    _, s, axes = np.linalg.svd(flat, full_matrices=False)
    k = min(dims, len(s))
    sign = np.sign(axes[np.arange(k), np.abs(axes[:k]).argmax(1)])  # the same picture on every machine
    found = (flat @ (axes[:k] * sign[:, None]).T).reshape(*u.shape[:2], k)
    shares = s[:k] ** 2 / max((s**2).sum(), 1e-300)
    missing = dims - k
    return np.pad(found, ((0, 0), (0, 0), (0, missing))), np.pad(shares, (0, missing))


class Plane:
    """The plane in which these fields (time, token, feature) spread most: the same for all that is drawn in it.

        plane = figures.Plane(model.trajectory(text, steps=64).fields)
        figures.trajectory2d(other_fields, plane=plane)    figures.river(other_fields, plane=plane)

    of gives coordinates (…, 2); shares: of the variance, for each axis; limits: of x and of y, with a margin.
    """

    def __init__(self, fields):
        u = array(fields)
        path, self.shares = principal(u, 2)
        flat = u.reshape(-1, u.shape[-1])
        self.middle = flat.mean(0)
        self.axes = np.linalg.lstsq(flat - self.middle, path.reshape(-1, 2), rcond=None)[0]  # (feature, 2)
        low, high = path.min((0, 1)), path.max((0, 1))
        self.limits = np.stack([low - 0.1 * (high - low + 1e-12), high + 0.1 * (high - low + 1e-12)], -1)

    def of(self, fields) -> np.ndarray:
        """Coordinates (…, 2) of fields (…, feature)."""
        return (array(fields) - self.middle) @ self.axes


def token_looks(n: int, followed: Sequence[int] = ()) -> list[dict]:
    """How each path is drawn: from dark to light in the order of the text, or a few followed and the others quiet."""
    if len(followed) == 0:
        shades = token_colours(n)
        return [{"color": shade, "linewidth": 1.8, "zorder": 2.0} for shade in shades]
    looks = [{"color": palette.QUIET, "linewidth": 1.0, "alpha": 0.55, "zorder": 2.0} for _ in range(n)]
    for k, place in enumerate(followed):
        style = {"color": palette.SERIES[k % len(palette.SERIES)], "linestyle": palette.DASHES[k % len(palette.DASHES)]}
        looks[place] = style | {"linewidth": 2.6, "zorder": 3.0}
    return looks


def find_places(follow, tokens: Sequence[str] | None, n: int) -> list[int]:
    """The places to follow: those of a token, "e", or the places themselves."""
    if isinstance(follow, str):
        found = [i for i, token in enumerate(tokens or ()) if token == follow]
        if not found:
            raise ValueError(f"follow={follow!r} stands nowhere among the tokens; give one of them, or places")
        return found
    return [range(n)[place] for place in follow]


def name_paths(tokens: Sequence[str] | None, n: int, followed: Sequence[int]) -> list[str]:
    """A name for each path: equal tokens that are followed get numbers, e₁ e₂ e₃. None where there are too many."""
    if tokens is None:
        return []
    if len(tokens) != n:
        raise ValueError(f"there must be one name for each of the {n} tokens, got {len(tokens)}")
    names = [mark_spaces(token) for token in tokens] if n <= MOST_LABELS else []
    for i in followed if names else ():
        alike = [place for place in followed if tokens[place] == tokens[i]]
        names[i] += "₁₂₃₄₅₆₇₈₉"[alike.index(i)] if 1 < len(alike) < 10 else ""
    return names


def token_colours(n: int) -> np.ndarray:
    """One colour a token, from dark to light in the order of the text: read by its place, not by its hue."""
    return mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(n, 2)))[:n]


def trajectory2d(
    fields,
    tokens: Sequence[str] | None = None,
    *,
    follow: str | Sequence[int] = (),
    plane: Plane | None = None,
    title: str = "",
) -> Figure:
    """The tokens' paths in the plane of the first two principal components; ring: t = 0, disc: the end.

    fields (time, token, feature). follow: a token ("e") or places, whose paths are lit and numbered, the others quiet.
    plane: one that is kept from figure to figure, with its limits (default: the plane of these fields).
    """
    found = plane or Plane(fields)
    path = found.of(fields)
    n = path.shape[1]
    followed = find_places(follow, tokens, n)
    names = name_paths(tokens, n, followed)
    fig, ax = figure(height=5.0, width=6.4)
    for i, look in enumerate(token_looks(n, followed)):
        x, y = path[:, i].T
        ax.plot(x, y, **look)
        dot = {"marker": "o", "linestyle": "", "zorder": look["zorder"] + 0.5, "alpha": look.get("alpha")}
        ax.plot(x[0], y[0], mfc="white", mec=look["color"], mew=1.8, **dot)
        ax.plot(x[-1], y[-1], color=look["color"], **dot)
    ax.set(xlim=found.limits[0], ylim=found.limits[1], title=title)
    ax.set_xlabel(f"widest direction  ({found.shares[0]:.0%} of the variance)")
    ax.set_ylabel(f"second widest  ({found.shares[1]:.0%})")
    if names:
        label_points(ax, path, names, followed)
    return fig


class Paths:
    """The tokens' paths on axes of your own, in a plane that stays. `put` gives them other fields.

    follow: a token ("e") or places, whose paths are lit and named, with a ring at t = 0; the others are quiet.
    """

    def __init__(self, ax: Axes, plane: Plane, tokens: Sequence[str], follow: str | Sequence[int]):
        self.plane, self.followed = plane, find_places(follow, tokens, len(tokens))
        looks, names = token_looks(len(tokens), self.followed), name_paths(tokens, len(tokens), self.followed)
        self.lines = [ax.plot([], [], **look)[0] for look in looks]
        colours = [looks[i]["color"] for i in self.followed]
        self.rings = [ax.plot([], [], "o", mfc="white", mec=colour, mew=1.6, zorder=3.5)[0] for colour in colours]
        self.names = [label_end(ax, names[i], looks[i]["color"], k) for k, i in enumerate(self.followed)]
        ax.set(xlim=plane.limits[0], ylim=plane.limits[1])

    def put(self, fields) -> Figure:
        """The paths of these fields (time, token, feature)."""
        path = self.plane.of(fields)
        for i, line in enumerate(self.lines):
            line.set_data(*path[:, i].T)
        for i, ring, name in zip(self.followed, self.rings, self.names, strict=True):
            ring.set_data(*path[:1, i].T)
            name.xy = path[-1, i]
        return self.lines[0].figure


def river(
    fields,
    times=None,
    tokens: Sequence[str] | None = None,
    *,
    follow: str | Sequence[int] = (),
    plane: Plane | None = None,
    title: str = "",
    ylabel: str = "",
) -> Figure:
    """The tokens' paths along the depth t, on the first principal component; water fills what lies between.

    fields (time, token, feature), or (time, token) for a coordinate of your own (then say so in ylabel). follow, plane:
    as in trajectory2d; of the plane the first axis is drawn.
    """
    u = array(fields)
    if u.ndim == 3:
        found = plane or Plane(u)
        path, ylabel = found.of(u)[..., 0], ylabel or f"widest direction  ({found.shares[0]:.0%} of the variance)"
    else:
        path = matrix(u, "fields (time, token, feature) or (time, token)")
    t = np.arange(len(path)) if times is None else array(times)
    followed = find_places(follow, tokens, path.shape[1])
    names = name_paths(tokens, path.shape[1], followed)
    fig, ax = figure(height=5.2 if len(names) > 14 else 4.2)
    draw_water(ax, t, path)
    for i, look in enumerate(token_looks(path.shape[1], followed)):
        ax.plot(t, path[:, i], gid=f"path {i}", **look)
    if plane is not None:
        ax.set_ylim(plane.limits[0])
    if names:
        label_ends(ax, t, path, names, followed)
    if times is None:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="depth  t", ylabel=ylabel, title=title)
    ax.set_xlim(t[0], t[-1])
    return fig


def draw_water(ax: Axes, t: np.ndarray, path: np.ndarray) -> None:
    """The water between the outermost paths, and its banks."""
    low, high = path.min(1), path.max(1)
    ax.fill_between(t, low, high, color=palette.WATER, alpha=0.18, linewidth=0)
    for bank in (low, high):
        ax.plot(t, bank, color=palette.RIVER, linewidth=1.0, alpha=0.6)


def snapshots(flow, layers, tokens: Sequence[str]) -> Figure:
    """A flow as lines, taken in many small steps, and the layers of its network as dots, taken in a few large ones.

    flow, layers: trajectories (times and fields (time, token, feature)) from one u(0). What lies between a dot and its
    line is the error of the large steps.
    """
    both, shares = principal(np.concatenate([array(flow.fields), array(layers.fields)]), 1)
    lines, dots = both[: len(flow.times), :, 0], both[len(flow.times) :, :, 0]
    t = array(flow.times)
    fig, ax = figure(height=4.6, width=10.0)
    draw_water(ax, t, lines)
    for i, look in enumerate(token_looks(lines.shape[1])):
        ax.plot(t, lines[:, i], **look)
        ax.plot(array(layers.times), dots[:, i], "o", color=look["color"], markersize=5)
    label_ends(ax, t, lines, [mark_spaces(token) for token in tokens])
    ax.set(xlabel="depth  t", ylabel=f"first component of u  ({shares[0]:.0%} of the variance)")
    ax.set_xticks(array(layers.times))
    return fig
