"""The experiments of chapters 10 and 11 that take a minute to set up: what gathers, what is moved, what was stored."""

import json

import torch
from torch import Tensor, nn

from flowlib.flow import Flow, Trajectory
from flowlib.measure import clustering, examples, stability
from flowlib.models import shipped, zoo
from flowlib.operators import Attention, Local, Moments, project_moments


def tokens_that_gather(tokens: int = 16, horizon: float = 12.0) -> dict[str, Trajectory]:
    """The echo from random tokens in 128 and in 4 dimensions (β = 1), and attention with random Q, K, V on S1."""
    torch.manual_seed(1)
    attention = Attention(128, bias=False).requires_grad_(False)
    for p in attention.parameters():
        p.normal_(std=128**-0.5)
    mixed = Flow([attention], Moments(), tangent=True, substep="midpoint", horizon=horizon)
    unit = lambda dim: nn.functional.normalize(torch.randn(tokens, dim), dim=-1)
    return {
        "echo, 128 dimensions": clustering.particles(128, 1.0, horizon, 120)(unit(128)),
        "echo, 4 dimensions": clustering.particles(4, 1.0, horizon, 120)(unit(4)),
        "random Q, K, V": mixed(project_moments(torch.randn(tokens, 128)), 240),
    }


def differences(what: str, way: str, ratio: float, term: Local, rest: Tensor, steps: int = 40) -> tuple[Tensor, float]:
    """A small difference from rest, (steps+1, numbers), as it goes in steps of `ratio` times 2/|λ|; and that step.

    what: "echo", where tokens differ from their mean, or "sieve", the term at its place of rest on S1.
    way: "tangent" or "projected".
    """
    if what == "echo":
        (flow, start), there, unit = examples.echo(), lambda u: u.mean(-2, keepdim=True), 2.0
    else:
        flow, there = Flow([term], Moments()), lambda u: rest
        unit = stability.critical_step(stability.rates(lambda u: flow.velocity(u, 0.0), rest))
        noise = torch.randn(rest.shape, generator=torch.Generator().manual_seed(0), dtype=rest.dtype)
        start = flow.constraints[0].project(rest + 1e-3 * noise)
    flow = flow.by("lie", tangent=way == "tangent")
    flow.horizon = ratio * unit * steps
    u = flow(start, steps).fields
    return (u - there(u)).flatten(1), ratio * unit


def report_schemes() -> dict[str, list[float]]:
    """The best loss of each stored run of `flowlib compare schemes`, by scheme; prints the command and a table."""
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


def list_architectures() -> str:
    """The known architectures, row by row, in Markdown."""
    return zoo.list_architectures()
