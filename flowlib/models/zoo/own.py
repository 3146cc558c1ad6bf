"""Architectures that a splitting makes from the same terms: built here, not read."""

import torch.nn.functional as F

from flowlib.flow.depth import PerStep
from flowlib.flow.equation import Flow
from flowlib.flow.splitting import Path, Scheme
from flowlib.operators import Attention, GatedLocal, Local, Moments, Pull, Rotary, Sphere, UnitLength


def _half_whole_half(n: int) -> list[Path]:
    return [(1.0, ((0, 0.5), (1, 1.0), (2, 0.5)))]


MACARON = Scheme("macaron", 1, _half_whole_half)  # of a function that has a name, so that a flow can be pickled


def macaron(
    width: int,
    heads: int,
    layers: int,
    hidden: int | None = None,
    *,
    shared: bool = False,
    activation: str = "relu",
    causal: bool = False,
) -> Flow:
    """Half a local step, a whole step of attention, half a local step:

        u ← P(u + ½ Δt L u),   u ← P(u + Δt A u),   u ← P(u + ½ Δt L' u),      P onto S1(0, 1).

    shared=True: L' = L, which is Strang splitting of u_t = A(u) + L(u). Otherwise, as published, L' has parameters of
    its own: Strang, with a local term that takes others in the second half of a step.
    hidden: features inside of each local term (default 4 · width). u0 (…, token, width), on S1 or not.
    Error: as a scheme of order 1, since its substeps are Euler's; with shared=True, flow.by("strang",
           substep="midpoint", tangent=True) is of order 2.
    Raises: ValueError for a width that is no multiple of heads.
    Source: Lu et al., arXiv:1906.02762.
    """
    kernel = Attention(width, heads, causal=causal)
    first, second = (Local(width, hidden, activation) for _ in range(2))
    norm = Moments(eps=1e-5)
    if shared:
        return Flow([first, kernel], norm, "strang", PerStep(layers))
    return Flow([first, kernel, second], norm, MACARON, PerStep(layers))


def ngpt(
    width: int, heads: int, layers: int, hidden: int | None = None, *, rate: float = 0.05, causal: bool = True
) -> Flow:
    """Everything on the unit sphere: u ← P(u + Δt α ⊙ (P(A u) − u)), then the same with the gated local term.

        u_t ∈ α_A ⊙ (P(A u) − u) + α_G ⊙ (P(G u) − u) − N_S(u),      S = {|u| = 1},  Lie splitting with Δt = 1.

    So the vector field pulls u towards the point of the sphere that attention (the local term) names; the learned α are
    its rates, feature by feature, and start at `rate`; layer norm is gone, for P is the constraint itself.
    Queries and keys are turned by their position, brought to unit length, and scaled by a learned s; their scores are
    multiplied by √d and not divided by it. u0 (…, token, width), on the sphere.
    The published network also keeps the rows of W^Q, W^K, W^V, W_gate, W_up, and the columns of W^O and W_down, at unit
    length after every step of its training, with learned scales beside them. That is a rule for training, not a part of
    the flow; the matrices start so here, and a scale s_up or s_gate √width is the length of a row.
    Raises: ValueError for a width that is no multiple of heads, or an odd number of features per head.
    Source: Loshchilov et al., arXiv:2410.01131.
    """
    if heads < 1:
        raise ValueError(f"heads must be at least 1, got {heads}")
    sphere, head_dim = Sphere(1.0), width // heads
    turned = UnitLength(heads, head_dim, Rotary(head_dim))
    kernel = Attention(width, heads, causal=causal, bias=False, temperature=1 / head_dim, prepare=turned)
    terms = [Pull(term, sphere, width, rate) for term in (kernel, GatedLocal(width, hidden))]
    flow = Flow(terms, sphere, "lie", PerStep(layers))
    for k in range(layers):
        attention, local = flow.depth.terms(k)
        _unit_length(attention.term, local.term)
    return flow


def _unit_length(attention: Attention, local: GatedLocal) -> None:
    """nGPT's start: rows that read u, and columns that write into it, of length 1; the gate's rows of length √width."""
    for linear, dim in ((attention.qkv, 1), (local.gate, 1), (local.up, 1), (attention.out, 0), (local.down, 0)):
        linear.weight.data = F.normalize(linear.weight.data, dim=dim)
    local.gate.weight.data *= attention.dim**0.5
