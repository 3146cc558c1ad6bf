"""Tokens that gather: particles on the sphere under attention alone, and how to see clusters in any field.

    u_t = A(u) − N_S(u),     A(u)(x) = ∫ γ(x, x̃) u(x̃) dx̃,     γ ~ exp(β ⟨u(x), u(x̃)⟩),     S = {|u| = 1}:

attention with Q = K = V = I, on the unit sphere. Every token is drawn to a mean of all, so they gather at one point.
Source: Geshkovski, Letrouit, Polyanskiy, Rigollet, arXiv:2305.05465 (clusters) and arXiv:2312.10794 (the rate).
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from flowlib.arguments import check_whole, describe
from flowlib.fields import Grid
from flowlib.flow.depth import Constant
from flowlib.flow.equation import Flow
from flowlib.flow.splitting import rk4
from flowlib.measure.inputs import check_field, check_positive, check_tensor, finite, number
from flowlib.operators import Attention, Sphere


def particles(dim: int, beta: float = 1.0, horizon: float = 8.0, steps: int = 400, value: float = 1.0) -> Flow:
    """The flow above on the unit sphere in R^dim, float64: u0 (…, token, dim) of unit length ↦ its trajectory.

    value: V = value · u. With a negative one a token passes on what it is not, and all are driven apart.
    Error: O(Δt⁴), Δt = horizon / steps. Raises: ValueError for β ≤ 0, and what `Flow` raises.
    """
    check_whole(dim, "dim")
    check_whole(steps, "steps")
    value = number(value, "value")
    if not 0 < number(beta, "β") < math.inf:
        raise ValueError(f"β must be positive and finite, got {beta}; for equal attention to all take a small one")
    attention = Attention(dim, temperature=1 / (beta * math.sqrt(dim)), bias=False).double().requires_grad_(False)
    unit = torch.eye(dim, dtype=torch.float64)
    attention.qkv.weight.copy_(unit.repeat(3, 1))
    attention.out.weight.copy_(value * unit)
    return Flow([attention], Sphere(), depth=Constant(), substep="rk4", tangent=True, horizon=horizon, steps=steps)


def equiangular(n: int, cosine: float, dim: int | None = None) -> Tensor:
    """n unit vectors (n, dim), float64, each two of them with the same cosine: the root of their matrix of cosines.

    dim: n unless given; at least n. Error: exact (round-off).
    Raises: ValueError for n < 2, a dim below n, and a cosine outside of [−1/(n−1), 1): no such vectors exist.
    """
    dim = n if dim is None else dim
    check_whole(n, "n", 2)
    check_whole(dim, "dim")
    cosine = number(cosine, "cosine")
    if dim < n or not -1 / (n - 1) <= cosine < 1:
        raise ValueError(
            f"equiangular vectors need n ≥ 2, dim ≥ n and −1/(n−1) ≤ cosine < 1; got n {n}, dim {dim}, cosine {cosine}"
        )
    eye, ones = torch.eye(n, dtype=torch.float64), torch.full((n, n), 1 / n, dtype=torch.float64)
    along, across = math.sqrt(max(0.0, 1 + (n - 1) * cosine)), math.sqrt(1 - cosine)
    return torch.nn.functional.pad(across * (eye - ones) + along * ones, (0, dim - n))


def equiangular_rate(cosine: Tensor | float, n: int, beta: float = 1.0) -> Tensor:
    """c' = 2 e^{βc} (1 − c) ((n−1)c + 1) / (e^β + (n−1) e^{βc}):  how fast n equiangular particles draw together.

    Equiangular particles stay so; the cosine c is all there is to know. Near c = 1 it is 2 (1 − c): 1 − c ~ e^{−2t},
    for every n and β. Error: exact. Source: arXiv:2312.10794.
    """
    check_whole(n, "n", 2)
    if not isinstance(cosine, Tensor):
        cosine = torch.tensor(number(cosine, "cosine"), dtype=torch.float64)
    pull = torch.exp(beta * (cosine - 1))
    return 2 * pull * (1 - cosine) * ((n - 1) * cosine + 1) / (1 + (n - 1) * pull)


def equiangular_cosine(
    start: float, n: int, beta: float, times: Iterable[float] | Tensor, substeps: int = 16
) -> Tensor:
    """c at the times (time,), the first of them with c = start. Error: O(h⁴), h = the gap of two times / substeps."""
    times = _times(times)
    check_whole(n, "n", 2)
    check_whole(substeps, "substeps")
    start, beta = number(start, "start"), number(beta, "β")
    cosines = [torch.tensor(start, dtype=torch.float64)]
    for gap in times.diff().tolist():
        c = cosines[-1]
        for _ in range(substeps):
            c = rk4(lambda c: equiangular_rate(c, n, beta), c, gap / substeps)
        cosines.append(c)
    return torch.stack(cosines)


def equiangular_time(start: float, level: float, n: int, beta: float = 1.0, points: int = 200) -> float:
    """The time ∫ dc / c' that n equiangular particles need from the cosine `start` to `level`: the theory's forecast.

    It is integrated over s = −log(1 − c), in which the integrand has no pole.
    Error: spectral (Gauss–Legendre). Raises: ValueError unless −1/(n−1) < start < level < 1.
    """
    check_whole(n, "n", 2)
    start, level, beta = number(start, "start"), number(level, "level"), number(beta, "β")
    if not -1 / (n - 1) < start < level < 1:
        raise ValueError(
            f"the time needs n ≥ 2 and −1/(n−1) < start < level < 1; got n {n}, start {start}, level {level}"
        )
    grid = Grid.gauss(points, (-math.log1p(-start), -math.log1p(-level)))
    remaining = torch.exp(-grid.x)  # 1 − c
    return grid.integrate(remaining / equiangular_rate(1 - remaining, n, beta)).item()


def _times(times: Iterable[float] | Tensor) -> Tensor:
    """The times as a tensor. Raises: TypeError, ValueError for what is no list of times."""
    try:
        found = torch.as_tensor(times if isinstance(times, Tensor) else list(times), dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"times must be a list of numbers, got {describe(times)}") from None
    if found.ndim != 1 or not len(found):
        raise ValueError(f"times must be (time,) and not empty, got shape {tuple(found.shape)}")
    return finite(found, "times")


def cosines(u: Tensor) -> Tensor:
    """⟨u(x), u(x̃)⟩ / (|u(x)| |u(x̃)|) of each two tokens: u (…, token, feature) → (…, token, token)."""
    check_field(u)
    unit = torch.nn.functional.normalize(u, dim=-1)
    return unit @ unit.mT


def mean_cosine(u: Tensor) -> Tensor:
    """The mean cosine of two different tokens, (…, token, feature) → (…,): 1 where they have all become one.

    Raises: ValueError for fewer than two tokens.
    """
    check_field(u)
    n = u.shape[-2]
    if n < 2:
        raise ValueError(f"a cosine is of two tokens, and this field has {n}; give a longer text")
    total = torch.nn.functional.normalize(u, dim=-1).sum(-2).square().sum(-1)  # Σ over all pairs, and each with itself
    return (total - n) / (n * (n - 1))


def clusters(u: Tensor, cosine: float = 0.99) -> Tensor:
    """How many groups the tokens form, (…, token, feature) → (…,) int: two tokens are in one group where a chain of
    tokens leads from one to the other, each at least that `cosine` from the next (single linkage).

    Raises: ValueError for a cosine outside of (−1, 1].
    """
    if not -1 < number(cosine, "cosine") <= 1:
        raise ValueError(f"a cosine must be above −1 and at most 1, got {cosine}")
    near = cosines(u) >= cosine
    n = u.shape[-2]
    near = near | torch.eye(n, dtype=torch.bool, device=u.device)
    labels = torch.arange(n, device=u.device).expand(u.shape[:-1])
    for _ in range(n):  # each token takes the smallest label that it can reach
        smaller = torch.where(near, labels.unsqueeze(-2), n).amin(-1)
        if (smaller == labels).all():
            break
        labels = smaller
    return (labels == torch.arange(n, device=u.device)).sum(-1)


def collapse_time(times: Tensor, cosine: Tensor, level: float = 0.99) -> float:
    """When the mean cosine (time,) first reaches `level`, straight between two times; ∞ where it never does.

    Error: O(Δt²). Raises: ValueError where the two are not equally long, or a cosine is not finite.
    """
    check_tensor(times, "times", "(time,)")
    check_tensor(cosine, "cosine", "(time,)")
    level = number(level, "level")
    if times.shape != cosine.shape or times.ndim != 1:
        raise ValueError(f"one cosine for each time is needed, got {tuple(cosine.shape)} and {tuple(times.shape)}")
    reached = (finite(cosine, "cosine") >= level).nonzero()
    if not len(reached):
        return math.inf
    k = int(reached[0])
    if k == 0:
        return times[0].item()
    share = (level - cosine[k - 1]) / (cosine[k] - cosine[k - 1])
    return (times[k - 1] + share * (times[k] - times[k - 1])).item()


def tail_rate(times: Tensor, cosine: Tensor, below: float = 1e-3, above: float = 1e-9) -> float:
    """r in 1 − c ~ e^{−rt}, fitted where `above` ≤ 1 − c ≤ `below`: 2 for particles, whatever n and β are.

    Error: O(`below`), for the rate is a limit. Raises: ValueError where fewer than 3 times lie there, or not
    0 < above < below (1 − c = 0 has no logarithm).
    """
    check_tensor(times, "times", "(time,)", real=False)
    check_tensor(cosine, "cosine", "(time,)")
    if times.shape != cosine.shape or times.ndim != 1:
        raise ValueError(f"one cosine for each time is needed, got {tuple(cosine.shape)} and {tuple(times.shape)}")
    check_positive(above, "above")
    if not number(below, "below") > above:
        raise ValueError(f"below must be larger than above, got below {below:g} and above {above:g}")
    finite(cosine, "cosine")
    left = 1 - cosine
    tail = (left <= below) & (left >= above)
    if tail.sum() < 3:
        raise ValueError(
            f"1 − c lies between {above:g} and {below:g} at {int(tail.sum())} times, and a rate needs 3; flow longer"
        )
    t, log = times[tail].double(), left[tail].double().log()
    t = t - t.mean()
    return -((t * log).sum() / t.square().sum()).item()
