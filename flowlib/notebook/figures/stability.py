"""Steps that are too long: rates and the circles in which they die out; a difference, step by step."""

import math
from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure

from flowlib.notebook.figures import palette
from flowlib.notebook.figures.canvas import array, figure


def spectrum(rates, steps: Sequence[float] = (1, 2)) -> Figure:
    """Rates λ (complex) in their plane, and for each step Δt the circle |1 + Δt λ| = 1: inside it they die out."""
    fig, ax = figure(height=3.6)
    z, angle = torch.as_tensor(rates).flatten(), torch.linspace(0, 2 * math.pi, 200)
    ax.plot(z.real, z.imag, ".", color=palette.ATTENTION, markersize=3, label="rates λ")
    for dt, dash in zip(steps, palette.DASHES):
        x, y = (angle.cos() - 1) / dt, angle.sin() / dt
        ax.plot(x, y, linestyle=dash, color=palette.LAYER_NORM, label=f"stable for Δt = {dt:g}")
    ax.set(xlabel="Re λ, per unit of depth", ylabel="Im λ", aspect="equal", xlim=(-2.4, 1.0), ylim=(-1.2, 1.2))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=10)
    return fig


def long_step(token, heard, velocities: Mapping[str, torch.Tensor], dt: float) -> Figure:
    """One step of length dt on the unit circle, a picture for each velocity, and where the projection puts its end.

    token, heard, velocities: points and arrows of the plane, (2,) each
    """
    fig, axes = figure(columns=len(velocities), height=4.2)
    angle = torch.linspace(-0.2, 3.4, 100)
    for ax, (way, velocity) in zip(axes, velocities.items()):
        end = token + dt * velocity
        ax.plot(angle.cos(), angle.sin(), color=palette.QUIET, linewidth=1.2)
        ax.annotate("", end, token, arrowprops={"arrowstyle": "->", "color": palette.ATTENTION, "linewidth": 2})
        ax.plot(*torch.stack([0 * end, end]).T, ":", color=palette.QUIET, linewidth=1.2)
        for place, name, at in (
            (token, "token", (8, 0)),
            (heard, "heard", (-14, 12)),
            (end / end.norm(), "ends", (-14, -14)),
        ):
            ax.plot(*place, "o", color=palette.INK, markersize=5)
            ax.annotate(name, place, at, textcoords="offset points", va="center", size=10)
        ax.set(aspect="equal", xlim=(-1.5, 1.5), ylim=(-0.2, 3.8), xticks=[], yticks=[], title=f"{way}, Δt = {dt:g}")
    return fig


class Decay:
    """A difference against the steps: the coordinate that differs most, and the length. `put` gives it other values."""

    def __init__(self, steps: int = 40):
        self.fig, (self.left, self.right) = figure(columns=2, height=3.4)
        n = range(steps + 1)
        (self.wave,) = self.left.plot(n, [0.0] * len(n), ".-", color=palette.ATTENTION, linewidth=1)
        (self.fall,) = self.right.plot(n, [1.0] * len(n), "o-", color=palette.RIVER, markersize=4)
        self.left.set(xlabel="step", ylabel="one coordinate / its start", ylim=(-3, 3))
        self.right.set(xlabel="step", ylabel="difference / its start", yscale="log", ylim=(1e-9, 2e3))

    def put(self, differences, left: str = "", right: str = "") -> Figure:
        """The figure with these differences (step, number), from step 0, and a title for each half."""
        found = array(differences)
        widest = abs(found[0]).argmax()
        length = (found**2).sum(1) ** 0.5
        self.wave.set_ydata(found[:, widest] / found[0, widest])
        self.fall.set_ydata((length / length[0]).clip(min=1e-9))
        self.left.set_title(left)
        self.right.set_title(right)
        return self.fig
