"""Small flows with a known answer, on which a measure or a forecast can be tried before it is trusted.

All of them have random parameters that nobody trained; those that draw numbers use torch's generator, so seed it first.
"""

from typing import Any

import torch
from torch import Tensor, nn

from flowlib.arguments import check_whole
from flowlib.flow import Flow, Scheme
from flowlib.measure.clustering import particles
from flowlib.measure.inputs import check_positive
from flowlib.operators import Attention, Local, Moments, Term, project_moments


def downhill_sieve(dim: int, spread: float | None = None) -> Local:
    """L(u) = −Wᵀ tanh(W u) with 4·dim random rows: downhill on Σ log cosh(W u), at rest at 0 with J = −WᵀW.

    spread: of the numbers in W, 1/√dim unless given; then the fastest rate of a wide one is −9 (Marchenko, Pastur).
    """
    check_whole(dim, "dim")
    if spread is not None:
        check_positive(spread, "spread")
    term = Local(dim, 4 * dim, "tanh", bias=False).requires_grad_(False)
    term.up.weight.normal_(std=dim**-0.5 if spread is None else spread)
    term.down.weight.copy_(-term.up.weight.T)
    return term


def find_rest(term: Term, dim: int, horizon: float = 60.0) -> Tensor:
    """A place (1, dim) on S1 where the tangent velocity of the term vanishes: where a random start ends.

    Error: what is left of the difference at t = horizon.
    """
    check_whole(dim, "dim", 2)
    check_positive(horizon, "horizon")
    flow = Flow([term], Moments(), substep="midpoint", tangent=True, horizon=horizon)
    return flow(project_moments(torch.randn(1, dim)), round(10 * horizon), save="final").final


def echo(tokens: int = 6, dim: int = 8) -> tuple[Flow, Tensor]:
    """Attention with Q = K = V = I on the unit sphere, and tokens that have all but gathered, 0.001 apart.

    There a difference between tokens has the rate −1, and the velocity points outward with a = 1.
    """
    check_whole(tokens, "tokens")
    check_whole(dim, "dim")
    u = 1 + 1e-3 * torch.randn(tokens, dim)
    return particles(dim), nn.functional.normalize(u, dim=-1)


def smooth_flow(scheme: str | Scheme = "lie", **how: Any) -> Flow:
    """A local term and attention on S1 with fixed random parameters, T = 1, for u (token, 8); float64."""
    generator = torch.Generator().manual_seed(0)
    terms = [Local(8, 16, "tanh"), Attention(8, 2)]
    for p in (p for term in terms for p in term.parameters()):
        p.data.normal_(std=0.3, generator=generator)
    return Flow(terms, Moments(), scheme, horizon=1.0, **how).double()
