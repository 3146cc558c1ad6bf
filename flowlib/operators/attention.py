"""Term I: attention, a non-local integral operator over the token domain.

    (Au)(x) = ∫ γ(x, x̃) V(x̃) dx̃,     γ = exp(⟨Q(x), K(x̃)⟩ / (τ√d)) / ∫ exp(…) dx̃,     so ∫ γ dx̃ = 1.

On tokens with quadrature weights w_j this is a softmax with log w_j added to the scores:

    Σ_j w_j e^{s_ij} v_j / Σ_j w_j e^{s_ij}  =  softmax_j(s_ij + log w_j) · v_j        (`integral`).
"""

import math
from typing import Any, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from flowlib.arguments import (
    can_read,
    check_bools,
    check_broadcast,
    check_choice,
    check_device,
    check_flag,
    check_floats,
    check_number,
    check_type,
    check_whole,
)
from flowlib.fields import Grid
from flowlib.operators.integral import as_relative_log, integrate, integrate_far, lower_triangle, relative_log
from flowlib.operators.past import Past, Slot
from flowlib.operators.term import Causal, Term, check_fit, last_of

__all__ = ["Attention", "Past", "attend", "check_attended", "check_finite", "integrate", "relative_log"]


def attend(
    q: Float[Tensor, "... query d"],
    k: Float[Tensor, "... key d"],
    v: Float[Tensor, "... key value"],
    weights: Tensor | Grid | None = None,
    *,
    causal: Causal = False,
    mask: Bool[Tensor, "..."] | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, "... query value"]:
    """Σ_j w_j e^{s_ij} v_j / Σ_j w_j e^{s_ij},   s_ij = q_i·k_j / (τ√d):   ∫ γ(x, x̃) V(x̃) dx̃ by quadrature.

    q (…, query, d), k (…, key, d), v (…, key, value). Queries and keys may live on different grids.
    weights  positive, broadcast to (…, key), or a Grid; they carry the unit of dx̃, which cancels. Only their
             ratios matter, so equal weights are plain softmax attention. The temperature does not touch them.
    causal   True: token i integrates over x̃ ≤ x_i (j ≤ i), every entry counted whole. "volterra": the query's own
             entry counts half, for half of its cell lies before x_i. Without weights the tokens are taken for a grid
             with both ends, whose first entry is halved, too. With weights, equal ones as well, the cells are the
             weights; a last one below ¾ of its neighbour's is a trapezoid's end, half a cell already.
    mask     bool, broadcast to (…, query, key); True = may attend (torch's SDPA convention).
    A padded token (in self-attention: one that attends to nothing and that nothing attends to) gets zeros.

    Error: that of the weights' quadrature rule; O(h) on a grid that includes both end points and has no weights.
           "volterra", weights of the grid: O(h²) at every x on trapezoidal, graded (power ≥ 2) and Gauss grids alike;
           on midpoints O(h²) at each fixed x, O(h) where x is no larger than a few cells.
           Scores that overflow are taken relative to the largest one, so that a finite field has a finite integral.
           In bf16 weights cost no accuracy: 0.17 % in the root mean square with and without (CPU, 64 and 512 tokens).
    Raises: TypeError for what is no tensor; ValueError for shapes, dtypes or devices that do not fit, weights that are
            not positive and finite, a temperature ≤ 0, NaN or infinity in q, k, v, and a query that may attend to
            nothing without being padded itself.
    Source: arXiv:2510.03989, term I.
    """
    if isinstance(weights, Grid):
        weights = weights.weights
    _check_fields(q, k, v, weights)
    _check_kernel(q, k, causal, mask)
    check_number(temperature, "temperature", "> 0")
    log_weights = relative_log(weights, k.shape[-2], causal)
    reading = can_read(q, k, v, mask)  # reading values makes a GPU wait: once, here, never inside a flow
    if reading:
        for name, z in (("q", q), ("k", k), ("v", v)):
            check_finite(z, name)
        check_attended(mask, causal, q.shape[-2], k.shape[-2])
    out = integrate(q, k, v, log_weights, causal=causal, mask=mask, temperature=temperature)
    if reading and not torch.isfinite(out).all():  # a score overflowed
        return integrate_far(q, k, v, log_weights, causal=causal, mask=mask, temperature=temperature)
    return out


class Attention(Term):
    """Term I as a vector field:  A(u)(x) = W^O · concat_heads ∫ γ(x, x̃) V(x̃) dx̃,   (Q, K, V)(x) = W^{QKV} u(x).

    u (…, token, feature) → (…, token, feature). `heads` kernels act on dim/heads features each; W^O mixes them.
    weights: quadrature weights of the token grid, or the Grid, as `attend` has them; what `relative_log` made of them
    is taken as it is (a flow does that once for all its steps).
    mask: bool (…, query, key), True = may attend; a flow makes it from a mask of valid tokens.
    past: a slot with keys and values of earlier tokens; u then holds only the tokens after them (under causal=True).
    last: of how many tokens, the last ones, A(u) is wanted; the others are only heard.
    dropout: in training, the share of γ's entries and of A(u)'s that is put to zero (the rest grows to make up for it).
    head_dim: features of a kernel, where they are not dim/heads.
    prepare: a map (z, first position) ↦ z of queries and keys alike, z (…, head, token, feature/head), before they
             meet: γ = exp(⟨R Q, R K⟩ …). This is how positions enter a kernel (`Rotary`).
    near: a `Neighbourhood`, whose view of u Q, K and V take in place of u; it needs the tokens' points (token, dims).
    Error: that of the token grid's quadrature rule (see `attend`); exact where tokens are all there is. Scores are not
           looked at here, where a GPU would wait for it: where they overflow the field's dtype, A(u) is NaN (`attend`
           is not); a wider dtype or a higher temperature helps.
    Raises: ValueError where dim is not a multiple of heads and no head_dim is given, for a causal, temperature or
            dropout that is none, and for a field of another width, dtype or device.
    Source: arXiv:2510.03989, term I; Vaswani et al., arXiv:1706.03762, for the heads.
    """

    sees_other_tokens = answers_last = True

    def __init__(
        self,
        dim: int,
        heads: int = 1,
        *,
        causal: Causal = False,
        temperature: float = 1.0,
        bias: bool = True,
        dropout: float = 0.0,
        head_dim: int | None = None,
        prepare: nn.Module | None = None,
        near: nn.Module | None = None,
    ):
        super().__init__()
        for name, count in (("dim", dim), ("heads", heads), ("head_dim", dim if head_dim is None else head_dim)):
            check_whole(count, name)
        _check_settings(causal, temperature, bias, dropout)
        for name, module in (("prepare", prepare), ("near", near)):
            check_type(module, name, (nn.Module, type(None)), "a module, or None")
        if head_dim is None and dim % heads:
            raise ValueError(f"dim must be a positive multiple of heads, got dim {dim} and heads {heads}")
        self.dim, self.heads, self.causal, self.temperature = dim, heads, causal, temperature
        self.dropout, self.prepare = dropout, prepare
        inner = dim if head_dim is None else heads * head_dim
        self.qkv = nn.Linear(dim, 3 * inner, bias)
        self.out = nn.Linear(inner, dim, bias)
        self.near = near
        self.needs_points = near is not None

    def forward(
        self,
        u: Tensor,
        weights: Tensor | Grid | None = None,
        mask: Tensor | None = None,
        past: Slot | None = None,
        points: Tensor | None = None,
        last: int | None = None,
    ) -> Tensor:
        check_fit(u, self.dim, self.qkv.weight, "Attention", 2)
        weights = as_relative_log(weights, u.shape[-2], self.causal)
        dropout = self.dropout if self.training else 0.0
        heard = self._integrate(u, None, weights, mask, past, dropout, points, last)  # (…, head, token, feature/head)
        heard = heard.transpose(-3, -2).flatten(-2)  # concat_heads; what was heard need not be kept beside it
        out = self.out(last_of(heard, last))
        return F.dropout(out, dropout) if dropout else out

    def kernel(
        self, u: Tensor, weights: Tensor | Grid | None = None, mask: Tensor | None = None, points: Tensor | None = None
    ) -> Tensor:
        """γ(x_i, x_j) w_j: what token i takes from token j, (…, head, query, key); each row sums to 1."""
        weights = as_relative_log(weights, u.shape[-2], self.causal)
        unit = torch.eye(u.shape[-2], dtype=u.dtype, device=u.device)  # ∫ γ δ_j dx̃: attend to unit vectors
        return self._integrate(u, unit, weights, mask, points=points)

    def values(self, u: Tensor, weights: Tensor | Grid | None = None, points: Tensor | None = None) -> Tensor:
        """V of every head, (…, head, key, feature/head): what the kernel integrates."""
        weights = as_relative_log(weights, u.shape[-2], self.causal)
        return self._heads(u, points, weights)[2]

    def _integrate(
        self,
        u: Tensor,
        values: Tensor | None,
        weights: Tensor | None,
        mask: Tensor | None,
        past: Slot | None = None,
        dropout: float = 0.0,
        points: Tensor | None = None,
        last: int | None = None,
    ) -> Tensor:
        """∫ γ v dx̃ for every head: of V = W^V u, or of other values (token, ·) that all heads hear alike."""
        q, k, v = self._heads(u, points, weights)
        if values is not None:
            v = values.expand(*v.shape[:-2], -1, -1)
        if weights is not None:
            weights = weights.unsqueeze(-2)  # (…, 1, key): the same for every head
        if mask is not None:
            mask = mask.unsqueeze(-3)  # (…, 1, query, key)
        causal = self.causal
        q, k = self._prepare(q, k, 0 if past is None else past.tokens)
        k, v = (k, v) if past is None else past.extend(k, v)
        if causal is True and mask is None:
            q = last_of(q, last)  # under other kernels and masks all tokens ask
            if (new := q.shape[-2]) < (known := k.shape[-2]):  # they come last, and hear all that was
                causal, mask = False, None if new == 1 else lower_triangle(known, q.device)[-new:]
        return self._sum(q, k, v, weights, causal=causal, mask=mask, temperature=self.temperature, dropout=dropout)

    def _prepare(self, q: Tensor, k: Tensor, first: int) -> tuple[Tensor, Tensor]:
        return (q, k) if self.prepare is None else (self.prepare(q, first), self.prepare(k, first))

    def _sum(self, q: Tensor, k: Tensor, v: Tensor, weights: Tensor | None, **options: Any) -> Tensor:
        """∫ γ v dx̃: a kernel with another γ, a measure dx̃ or a domain of its own has another sum."""
        return integrate(q, k, v, weights, **options)

    def _heads(self, u: Tensor, points: Tensor | None, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Q, K, V of every head, each (…, head, token, feature/head): of u or, with `near`, of what it sees."""
        if self.near is None:
            z = self.qkv(u)
            q, k, v = z.view(*z.shape[:-1], 3, self.heads, z.shape[-1] // (3 * self.heads)).unbind(-3)
        else:
            W, b = self.qkv.weight.chunk(3), [None] * 3 if self.qkv.bias is None else self.qkv.bias.chunk(3)
            maps = (F.linear(field, *pair) for field, *pair in zip(self.near(u, points, weights), W, b))
            q, k, v = (z.view(*z.shape[:-1], self.heads, z.shape[-1] // self.heads) for z in maps)
        return q.transpose(-3, -2), k.transpose(-3, -2), v.transpose(-3, -2)

    def extra_repr(self) -> str:
        return (
            f"dim={self.dim}, heads={self.heads}, causal={self.causal!r}, temperature={self.temperature}, "
            f"dropout={self.dropout}"
        )


def check_finite(z: Tensor, name: str) -> None:
    """Raises ValueError where z holds NaN or infinity, saying where."""
    if math.isfinite(z.detach().sum().item()):  # one cheap pass; a sum of finite numbers may overflow, hence the next
        return
    if not torch.isfinite(z).all():
        where = tuple((~torch.isfinite(z)).nonzero()[0].tolist())
        raise ValueError(f"{name} must be finite, but {name}{list(where)} is {z[where]:g}; look at what made it")


def check_attended(mask: Tensor | None, causal: Causal, queries: int, keys: int) -> None:
    """Raises ValueError where a query may attend to nothing although it is not padded itself."""
    if mask is None:
        return
    allowed = mask.expand(*mask.shape[:-2], queries, keys) if mask.ndim > 1 else mask.expand(queries, keys)
    if causal is not False:
        allowed = allowed & lower_triangle(queries, mask.device)
    lost = ~allowed.any(-1)  # (…, query)
    if queries == keys:
        lost = lost & allowed.any(-2)  # a padded token is also one that nobody attends to
    if lost.any():
        row = lost.nonzero()[0].tolist()
        raise ValueError(
            f"query {row[-1]} (index {row}) has nothing to attend to, so ∫ γ dx̃ = 1 cannot hold; let it see at least "
            "one key (itself, say), or pad it: then no other token may attend to it either"
        )


def _check_fields(q: Tensor, k: Tensor, v: Tensor, weights: Tensor | None) -> None:
    for name, z, axes in (("q", q, "query, d"), ("k", k, "key, d"), ("v", v, "key, value")):
        check_floats(z, name, f"a tensor of floats (…, {axes})")
    for name, z in (("k", k), ("v", v)):
        check_device(z, name, q, "q")
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(
            f"q, k and v must have one dtype, got {q.dtype}, {k.dtype} and {v.dtype}; try k.to(q), v.to(q)"
        )
    shapes = f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(f"attend needs q (…, query, d), k (…, key, d), v (…, key, value), got {shapes}")
    if 0 in (q.shape[-1], q.shape[-2], k.shape[-2]):
        raise ValueError(
            f"attend needs at least one query, key and feature, got q {tuple(q.shape)}, k {tuple(k.shape)}"
        )
    try:
        lead = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except RuntimeError:
        raise ValueError(f"the leading axes of q, k and v must broadcast against each other, got {shapes}") from None
    if isinstance(weights, Tensor):
        check_device(weights, "weights", q, "q")
        if weights.ndim and weights.shape[-1] == k.shape[-2]:
            check_broadcast(weights, "weights", (*lead, k.shape[-2]), "(…, key)")


def _check_kernel(q: Tensor, k: Tensor, causal: Causal, mask: Tensor | None) -> None:
    check_choice(causal, "causal", get_args(Causal))
    if causal is not False and q.shape[-2] != k.shape[-2]:
        raise ValueError(f"a causal kernel needs one grid for both, got {q.shape[-2]} queries and {k.shape[-2]} keys")
    if mask is None:
        return
    check_bools(mask, "mask", "True = may attend")
    check_device(mask, "mask", q, "q")
    try:
        torch.broadcast_shapes(mask.shape, (*q.shape[:-1], k.shape[-2]))
    except RuntimeError:
        raise ValueError(
            f"mask must broadcast to (…, query, key) = {(*q.shape[:-1], k.shape[-2])}, got {tuple(mask.shape)}"
        ) from None


def _check_settings(causal: Causal, temperature: float, bias: bool, dropout: float) -> None:
    check_choice(causal, "causal", get_args(Causal))
    check_number(temperature, "temperature", "> 0")
    if not 1 / temperature < torch.finfo(torch.float32).max:
        raise ValueError(f"temperature must be large enough for 1/temperature to be a number, got {temperature}")
    check_flag(bias, "bias")
    check_number(dropout, "dropout", "in [0, 1)")
