"""What chapter 10 runs and draws: small flows with a known answer, and what its forecasts are about."""

import json
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from flowlib.flow import Flow, Scheme, Trajectory
from flowlib.flow.twin import twin
from flowlib.measure import clustering, errors_against, kernels, order, stability
from flowlib.models import shipped
from flowlib.models.zoo import ARCHITECTURES
from flowlib.notebook import figures
from flowlib.notebook.figures import palette
from flowlib.operators import Attention, Local, Moments, project_moments


def downhill(dim: int, spread: float | None = None) -> Local:
    """L(u) = −Wᵀ tanh(W u) with 4·dim random rows: downhill on Σ log cosh(W u). spread of the numbers: 1/√dim."""
    term = Local(dim, 4 * dim, "tanh", bias=False).requires_grad_(False)
    term.up.weight.normal_(std=dim**-0.5 if spread is None else spread)
    term.down.weight.copy_(-term.up.weight.T)
    return term


def at_rest(term: nn.Module, dim: int, horizon: float = 60.0) -> Tensor:
    """A place (1, dim) on S1 where the tangent velocity of the term vanishes: where a random start ends."""
    flow = Flow([term], Moments(), substep="midpoint", tangent=True, horizon=horizon)
    return flow(project_moments(torch.randn(1, dim)), round(10 * horizon), save="final").final


def rests(flow: Flow, start: Tensor, there: Tensor | None, h: float, steps: int = 150) -> bool:
    """Is the field at most half as far from `there` after steps of length h? Without it: from its mean over tokens."""
    flow = twin(flow)
    flow.horizon = h * steps
    end = flow(start, steps, save="final").fields[-1]
    return bool(gap(end, there).norm() < gap(start, there).norm() / 2)


def gap(u: Tensor, there: Tensor | None) -> Tensor:
    """u − there; without `there`, what each token differs by from the mean of all."""
    return u - (u.mean(-2, keepdim=True) if there is None else there)


def echo(tokens: int = 6, dim: int = 8) -> tuple[Flow, Tensor]:
    """Attention with Q = K = V = I on the unit sphere, and tokens that have all but gathered, 0.001 apart."""
    u = 1 + 1e-3 * torch.randn(tokens, dim)
    return clustering.particles(dim), nn.functional.normalize(u, dim=-1)


def smooth(scheme: str | Scheme = "lie", **how) -> Flow:
    """A local term and attention on S1 with fixed random parameters, T = 1, for u (token, 8); float64."""
    generator = torch.Generator().manual_seed(0)
    terms = [Local(8, 16, "tanh"), Attention(8, 2)]
    for p in (p for term in terms for p in term.parameters()):
        p.data.normal_(std=0.3, generator=generator)
    return Flow(terms, Moments(), scheme, horizon=1.0, **how).double()


def descend(loss: Callable[[], Tensor], parameters: Sequence[Tensor], rate: float, steps: int = 24) -> list[float]:
    """The losses of plain gradient descent θ ← θ − rate ∇loss, the first before any step; θ is put back in the end."""
    start, losses = [p.detach().clone() for p in parameters], []
    for _ in range(steps + 1):
        with torch.enable_grad():
            value = loss()
            slopes = torch.autograd.grad(value, parameters)
        losses.append(value.item())
        with torch.no_grad():
            for p, slope in zip(parameters, slopes):
                p.sub_(rate * slope)
    with torch.no_grad():
        for p, before in zip(parameters, start):
            p.copy_(before)
    return losses


@torch.no_grad()
def at_width(dim: int, spread: float, tokens: int = 32) -> dict[str, float]:
    """With random numbers of that spread: the size of a ReLU sieve's velocity, the critical step of `downhill` at 0,
    and the mean entropy of the kernel over the tokens, in nats."""
    torch.manual_seed(dim)
    kernel, local = Attention(dim, bias=False), Local(dim, 4 * dim, "relu", bias=False)
    for p in (*kernel.parameters(), *local.parameters()):
        p.normal_(std=spread)
    u = project_moments(torch.randn(tokens, dim))
    fastest = stability.lipschitz(downhill(dim, spread), torch.zeros(1, dim), tolerance=1e-4)
    return {
        "velocity": local(u).square().mean().sqrt().item(),
        "step": 2 / fastest,
        "entropy": kernels.entropy(kernel.kernel(u)[0]).mean().item(),
    }


def tokens_that_gather(tokens: int = 16, horizon: float = 12.0) -> dict[str, Trajectory]:
    """The echo from random tokens in 128 and in 4 dimensions (β = 1), and attention with random Q, K, V on S1."""
    torch.manual_seed(1)
    heard = Attention(128, bias=False).requires_grad_(False)
    for p in heard.parameters():
        p.normal_(std=128**-0.5)
    mixed = Flow([heard], Moments(), tangent=True, substep="midpoint", horizon=horizon)
    unit = lambda dim: nn.functional.normalize(torch.randn(tokens, dim), dim=-1)
    return {
        "echo, 128 dimensions": clustering.particles(128, 1.0, horizon, 120)(unit(128)),
        "echo, 4 dimensions": clustering.particles(4, 1.0, horizon, 120)(unit(4)),
        "random Q, K, V": mixed(project_moments(torch.randn(tokens, 128)), 240),
    }


def stored_schemes() -> dict[str, list[float]]:
    """The best loss of each run of `flowlib compare schemes`, by scheme; prints the command and a table."""
    stored = json.loads((shipped("tiny").parent / "schemes.json").read_text("utf-8"))
    print(stored["command"])
    print(f"{'':16s}steps  operations  runs   best loss: mean (lowest … highest)")
    best = {}
    for name, facts in stored["variants"].items():
        losses = best[name] = [run["best"] for run in facts["runs"]]
        print(
            f"{name:16s}{facts['steps']:>5s} {facts['flops_ratio']:11.2f} {len(losses):5d}   "
            f"{sum(losses) / len(losses):.3f} ({min(losses):.3f} … {max(losses):.3f})"
        )
    return best


def architectures() -> str:
    """The table of known architectures, in Markdown."""
    head = "| | scheme | projection | depth | kernel | local term | source |\n|---|---|---|---|---|---|---|"
    rows = (
        f"| **{r.name}** | {r.scheme} | {r.norm} | {r.depth} | {r.kernel} | {r.local} | {r.source} |"
        for r in ARCHITECTURES
    )
    return "\n".join([head, *rows])


def spectrum(rates: Tensor, steps: Sequence[float] = (1, 2)):
    """Rates in the complex plane, and for each step Δt the circle |1 + Δt λ| = 1 in which a rate dies out."""
    fig, ax = figures.figure(height=3.6)
    z, angle = rates.flatten(), torch.linspace(0, 2 * math.pi, 200)
    ax.plot(z.real, z.imag, ".", color=palette.ATTENTION, markersize=3, label="rates λ")
    for dt, dash in zip(steps, palette.DASHES):
        ax.plot(
            (angle.cos() - 1) / dt,
            angle.sin() / dt,
            linestyle=dash,
            color=palette.LAYER_NORM,
            label=f"stable for Δt = {dt:g}",
        )
    ax.set(xlabel="Re λ, per unit of depth", ylabel="Im λ", aspect="equal", xlim=(-2.4, 1.0), ylim=(-1.2, 1.2))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=10)
    return fig


def against_width(widths: Sequence[int], wide: Mapping[str, Sequence[Mapping[str, float]]]):
    """Three pictures, one for each figure of `at_width`, a line for each law."""
    fig, axes = figures.figure(columns=3, height=3.2)
    titles = {"velocity": "velocity of the sieve", "step": "critical step", "entropy": "entropy, nats"}
    for ax, (key, title) in zip(axes, titles.items()):
        for i, (law, rows) in enumerate(wide.items()):
            ax.plot(widths, [row[key] for row in rows], label=law, **figures.line_style(i))
        ax.set(xlabel="width d", xscale="log", yscale="linear" if key == "entropy" else "log")
        ax.set_title(title, fontsize=11)
        ax.minorticks_off()
        ax.set_xticks(widths[::2], widths[::2])
    axes[2].set_ylim(0, 3.7)
    axes[0].legend(fontsize=9)
    return fig


def seeds(losses: Mapping[str, Sequence[float]], xlabel: str):
    """A row for each name, the best on top: a dot for each seed, a bar at their mean."""
    mean = {name: sum(found) / len(found) for name, found in losses.items()}
    names = sorted(losses, key=lambda name: -mean[name])
    fig, ax = figures.figure(height=2.8)
    for i, name in enumerate(names):
        ax.plot(losses[name], [i] * len(losses[name]), "o", color=palette.ATTENTION, alpha=0.6)
        ax.plot(mean[name], i, "|", color=palette.INK, markersize=16, markeredgewidth=2)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel=xlabel, ylim=(-0.6, len(names) - 0.4))
    return fig


def differences(what: str, way: str, ratio: float, term: Local, rest: Tensor, steps: int = 40) -> tuple[Tensor, float]:
    """A small difference from rest, (steps+1, numbers), as it goes in steps of `ratio` times 2/|λ|; and that step.

    what: "echo", or "sieve" for the term at its place of rest on S1; way: "tangent" or "projected".
    """
    if what == "echo":
        (flow, start), there, unit = echo(), None, 2.0
    else:
        flow, there = Flow([term], Moments()), rest
        unit = stability.critical_step(stability.rates(lambda u: flow.velocity(u, 0.0), rest))
        noise = torch.randn(rest.shape, generator=torch.Generator().manual_seed(0), dtype=rest.dtype)
        start = flow.constraints[0].project(rest + 1e-3 * noise)
    flow = flow.by("lie", tangent=way == "tangent")
    flow.horizon = ratio * unit * steps
    u = flow(start, steps).fields
    return gap(u, there).flatten(1), ratio * unit


def step_picture(term: Local, rest: Tensor) -> Callable:
    """draw(ratio, way, what) of an explorer: a difference from rest against the steps, a coordinate and its length."""
    fig, (left, right) = figures.figure(columns=2, height=3.4)
    (wave,) = left.plot(range(41), [0.0] * 41, ".-", color=palette.ATTENTION, linewidth=1)
    (fall,) = right.plot(range(41), [1.0] * 41, "o-", color=palette.RIVER, markersize=4)
    left.set(xlabel="step", ylabel="one coordinate / its start", ylim=(-3, 3))
    right.set(xlabel="step", ylabel="difference / its start", yscale="log", ylim=(1e-9, 2e3))

    def draw(ratio, way, what):
        found, dt = differences(what, way, ratio, term, rest)
        widest = found[0].abs().argmax()
        wave.set_ydata(found[:, widest] / found[0, widest])
        fall.set_ydata((found.norm(dim=1) / found[0].norm()).clamp(min=1e-9))
        left.set_title(f"{what}, {way}")
        right.set_title(f"Δt = {dt:.2f}")
        return fig

    return draw


def weight_picture(u0: Tensor, exact: Tensor) -> Callable:
    """draw(w, substep) of an explorer: the errors of w times two half Lie steps and 1 − w times a whole one."""
    few, there = [2, 4, 8], lambda h: ((0, h), (1, h))
    fig, ax = figures.figure(height=3.6)
    for p in (1, 2):
        ax.loglog(few, [0.2 * (2 / n) ** p for n in few], "--", color=palette.QUIET, linewidth=1)
    (line,) = ax.plot(few, few, "o-", color=palette.ATTENTION)
    ax.set(ylim=(1e-4, 2), xlabel="steps N", ylabel="error at t = 1")
    ax.minorticks_off()
    ax.set_xticks(few, few)

    def draw(w, substep):
        flow = smooth(Scheme("mine", 1, lambda n: [(w, there(0.5) + there(0.5)), (1 - w, there(1.0))]), substep=substep)
        errors = errors_against(exact, lambda n: flow(u0, n, save="final").final, few)
        line.set_ydata(errors)
        ax.set_title(f"w = {w:g}, {substep}: order {order(errors[1:], few[1:]):.2f}")
        return fig

    return draw
