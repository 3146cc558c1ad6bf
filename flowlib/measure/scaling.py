"""How what random parameters do goes with the width of the features: with numbers of spread s, as s²d."""

import torch

from flowlib.arguments import check_whole
from flowlib.measure.examples import downhill_sieve
from flowlib.measure.inputs import check_positive
from flowlib.measure.kernels import entropy
from flowlib.measure.stability import lipschitz
from flowlib.operators import Attention, Local, project_moments


@torch.no_grad()
def sizes_at_width(dim: int, spread: float, tokens: int = 32) -> dict[str, float]:
    """With random numbers of that spread: the size of a ReLU sieve's velocity, the critical step of `downhill_sieve`
    at 0, and the mean entropy of the kernel over the tokens, in nats.

    The numbers are the same for every spread: the width is their seed (torch's own generator is left as it was).
    Error: that of one draw of them.
    """
    check_whole(dim, "dim", 2)
    check_whole(tokens, "tokens")
    check_positive(spread, "spread")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(dim)
        return _sizes(dim, spread, tokens)


def _sizes(dim: int, spread: float, tokens: int) -> dict[str, float]:
    attention, local = Attention(dim, bias=False), Local(dim, 4 * dim, "relu", bias=False)
    for p in (*attention.parameters(), *local.parameters()):
        p.normal_(std=spread)
    u = project_moments(torch.randn(tokens, dim))
    fastest = lipschitz(downhill_sieve(dim, spread), torch.zeros(1, dim), tolerance=1e-4)
    return {
        "velocity": local(u).square().mean().sqrt().item(),
        "step": 2 / fastest,
        "entropy": entropy(attention.kernel(u)[0]).mean().item(),
    }
