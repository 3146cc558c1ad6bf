"""Term I: attention, a non-local integral operator over the token domain.

    (Au)(x) = ∫ γ(x, x̃) V(x̃) dx̃,     γ = exp(⟨Q(x), K(x̃)⟩ / (τ√d)) / ∫ exp(…) dx̃,     so ∫ γ dx̃ = 1.

On tokens with quadrature weights w_j this is a softmax with log w_j added to the scores:

    Σ_j w_j e^{s_ij} v_j / Σ_j w_j e^{s_ij}  =  softmax_j(s_ij + log w_j) · v_j.

Adding a number to the scores is all that torch's fused kernel needs, so weights cost no slow path.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from flowlib.fields import Grid

Causal = bool | Literal["volterra"]


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
    causal   True: token i integrates over x̃ ≤ x_i (j ≤ i), every entry counted whole. "volterra": the query's
             own entry counts half, as the trapezoidal rule on [0, x_i] wants it; without weights the first one
             does too. Trapezoidal weights already have their two ends halved, and are not halved again.
    mask     bool, broadcast to (…, query, key); True = may attend (torch's SDPA convention).
    A padded token (in self-attention: one that attends to nothing and that nothing attends to) gets zeros.

    Error: that of the weights' quadrature rule; O(h) on a grid that includes both end points and has no weights.
           In bf16 weights cost no accuracy: 0.17 % in the root mean square with and without (CPU, 64 and 512 tokens).
    Raises: ValueError for shapes that do not fit, weights that are not positive and finite, a temperature ≤ 0, NaN
            or infinity in q, k, v, and a query that may attend to nothing without being padded itself.
    Source: arXiv:2510.03989, term I.
    """
    if isinstance(weights, Grid):
        weights = weights.weights
    _check_shapes(q, k, v, weights, causal, mask)
    if not temperature > 0:
        raise ValueError(f"the temperature must be > 0, got {temperature}")
    if not torch.compiler.is_compiling():  # reading values makes a GPU wait: once, here, never inside a flow
        for name, z in (("q", q), ("k", k), ("v", v)):
            check_finite(z, name)
        check_attended(mask, causal, q.shape[-2], k.shape[-2])
    log_weights = relative_log(weights, k.shape[-2])
    return integrate(q, k, v, log_weights, causal=causal, mask=mask, temperature=temperature)


def integrate(q, k, v, log_weights=None, *, causal: Causal = False, mask=None, temperature=1.0, ride=None, dropout=0.0):
    """`attend` without its checks: log_weights (…, key) as from `relative_log`, shapes as there.

    dropout: the share of the kernel's entries that is put to zero, the others growing by 1/(1 − dropout).

    How the weights ride through the fused kernel was chosen by measurement (`ride` overrides it): on a CPU as an
    additive mask ("mask": 1.0 to 1.2 times the unweighted time, against 1.1 to 1.5 for the other, but for long
    causal rows). Elsewhere as one more feature ("feature"), since the flash kernel takes no additive mask.
    """
    scale = 1 / (temperature * math.sqrt(q.shape[-1]))
    options = dict(scale=scale, dropout_p=dropout)
    unattended = None
    if mask is not None:
        if causal is not False:
            mask = mask & _lower(q.shape[-2], q.device)
        unattended = ~mask.any(-1, keepdim=True)  # such a row becomes zeros, never 0/0
        mask = mask | unattended
    if causal == "volterra":
        log_weights = _volterra(log_weights, q)  # (…, query, key), −∞ above the diagonal
        if mask is not None:  # an unattended row keeps one entry, so that its softmax is a number
            log_weights = log_weights.masked_fill(~mask, -math.inf)
        out = _sdpa(q, k, v, log_weights, **options)
    elif log_weights is None:
        plain_causal = causal is not False and mask is None
        out = _sdpa(q, k, v, mask, **options, is_causal=plain_causal)
    elif (ride or ("mask" if q.device.type == "cpu" else "feature")) == "feature":
        q, k, v_wide = _weights_as_feature(q, k, v, log_weights, scale)
        out = _sdpa(q, k, v_wide, mask, **options, is_causal=causal is not False and mask is None)
        out = out[..., : v.shape[-1]]
    else:
        bias = log_weights.unsqueeze(-2)  # (…, 1, key)
        if causal is not False and mask is None:
            mask = _lower(q.shape[-2], q.device)
        if mask is not None:
            bias = bias.masked_fill(~mask, -math.inf)
        out = _sdpa(q, k, v, bias, **options)
    return out if unattended is None else out.masked_fill(unattended, 0.0)


class Past:
    """Keys and values of the tokens that have flowed already, so that new tokens can flow alone.

    Under a causal kernel no token hears a later one, and everything else in a flow acts on each token by itself: so
    the trajectory of the past does not change when text is added. It holds for every scheme, substep and constraint,
    as long as causal=True, without mask, weights and dropout, at one number of steps, and while the past keeps its
    positions. ("volterra" is left out: there a token weighs half while it is the newest.)
    pairs: (K, V), each (…, head, token, feature/head), for every evaluation of a kernel, in the order of the flow.
    """

    def __init__(self):
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.steps: int | None = None
        self.turn = 0

    @property
    def tokens(self) -> int:
        return self.pairs[0][0].shape[-2] if self.pairs else 0

    @property
    def known(self) -> int:
        """How many tokens were there before, at the evaluation that comes next: the position of the first new one."""
        return self.pairs[self.turn][0].shape[-2] if self.turn < len(self.pairs) else 0

    def begin(self, steps: int) -> None:
        """The flow starts again at t = 0, with the next tokens. Raises: ValueError for other steps than before."""
        if self.steps not in (None, steps):
            raise ValueError(f"the past flowed in {self.steps} steps, and cannot be heard by a flow of {steps}")
        self.steps, self.turn = steps, 0

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values at this evaluation: those of the past, then the new ones, which are kept as well."""
        if self.turn == len(self.pairs):
            self.pairs.append((k, v))
        else:
            before = self.pairs[self.turn]
            self.pairs[self.turn] = torch.cat([before[0], k], -2), torch.cat([before[1], v], -2)
        self.turn += 1
        return self.pairs[self.turn - 1]


class Attention(nn.Module):
    """Term I as a vector field:  A(u)(x) = W^O · concat_heads ∫ γ(x, x̃) V(x̃) dx̃,   (Q, K, V)(x) = W^{QKV} u(x).

    u (…, token, feature) → (…, token, feature). `heads` kernels act on dim/heads features each; W^O mixes them.
    weights: quadrature weights of the token grid, as their relative logarithm (see `relative_log`).
    mask: bool (…, query, key), True = may attend; a flow makes it from a mask of valid tokens.
    past: keys and values of earlier tokens; u then holds only the tokens after them (causal=True alone allows it).
    dropout: in training, the share of γ's entries and of A(u)'s that is put to zero (the rest grows to make up for it).
    head_dim: features of a kernel, where they are not dim/heads.
    prepare: a map (z, first position) ↦ z of queries and keys alike, z (…, head, token, feature/head), before they
             meet: γ = exp(⟨R Q, R K⟩ …). This is how positions enter a kernel (`Rotary`).
    near: a `Neighbourhood`, whose view of u Q, K and V take in place of u; it needs the tokens' points (token, dims).
    Error: that of the token grid's quadrature rule (see `attend`); exact where tokens are all there is.
    Raises: ValueError where dim is not a multiple of heads and no head_dim is given.
    Source: arXiv:2510.03989, term I; Vaswani et al., arXiv:1706.03762, for the heads.
    """

    sees_other_tokens = True

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
        if dim < 1 or heads < 1 or (head_dim is None and dim % heads):
            raise ValueError(f"dim must be a positive multiple of heads, got dim {dim} and heads {heads}")
        self.dim, self.heads, self.causal, self.temperature = dim, heads, causal, temperature
        self.dropout, self.prepare = dropout, prepare
        inner = dim if head_dim is None else heads * head_dim
        self.qkv = nn.Linear(dim, 3 * inner, bias)
        self.out = nn.Linear(inner, dim, bias)
        self.near = near

    def forward(
        self,
        u: Tensor,
        weights: Tensor | None = None,
        mask: Tensor | None = None,
        past: Past | None = None,
        points: Tensor | None = None,
    ) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        heard = self._integrate(u, None, weights, mask, past, dropout, points)  # (…, head, token, feature/head)
        return F.dropout(self.out(heard.transpose(-3, -2).flatten(-2)), dropout)  # W^O · concat_heads

    def kernel(
        self, u: Tensor, weights: Tensor | None = None, mask: Tensor | None = None, points: Tensor | None = None
    ) -> Tensor:
        """γ(x_i, x_j) w_j: what token i takes from token j, (…, head, query, key); each row sums to 1."""
        unit = torch.eye(u.shape[-2], dtype=u.dtype, device=u.device)  # ∫ γ δ_j dx̃: attend to unit vectors
        return self._integrate(u, unit, weights, mask, points=points)

    def _integrate(
        self,
        u: Tensor,
        values: Tensor | None,
        weights,
        mask,
        past: Past | None = None,
        dropout: float = 0.0,
        points: Tensor | None = None,
    ) -> Tensor:
        """∫ γ v dx̃ for every head: of V = W^V u, or of other values (token, ·) that all heads hear alike."""
        maps = self.qkv(u).chunk(3, -1) if self.near is None else self._near(u, points, weights)
        q, k, v = (self._split(z) for z in maps)  # (…, head, token, feature/head)
        v = v if values is None else values.expand(*v.shape[:-2], -1, -1)
        weights = None if weights is None else weights.unsqueeze(-2)  # (…, 1, key): the same for every head
        mask = None if mask is None else mask.unsqueeze(-3)  # (…, 1, query, key)
        causal = self.causal
        if self.prepare is not None:
            first = 0 if past is None else past.known
            q, k = self.prepare(q, first), self.prepare(k, first)
        if past is not None:
            k, v = past.extend(k, v)
            if (new := q.shape[-2]) < (known := k.shape[-2]):  # the new tokens come last, and hear all that was
                causal, mask = False, None if new == 1 else _lower(known, q.device)[-new:]
        options = dict(causal=causal, mask=mask, temperature=self.temperature, dropout=dropout)
        return integrate(q, k, v, weights, **options)

    def _near(self, u: Tensor, points: Tensor, weights: Tensor | None) -> list[Tensor]:
        """Q, K, V of what each of them sees around x."""
        q, k, v, temperature = self.near.questions(u, points)
        weights = None if weights is None else weights.unsqueeze(-2)  # (…, 1, key): the same for every shift
        seen = integrate(q, k, v, weights, temperature=temperature)
        W, b = self.qkv.weight.chunk(3), [None] * 3 if self.qkv.bias is None else self.qkv.bias.chunk(3)
        return [F.linear(field, W[m], b[m]) for m, field in enumerate(self.near(u, seen))]

    def _split(self, z: Tensor) -> Tensor:
        return z.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, heads={self.heads}, causal={self.causal}, temperature={self.temperature}"


def relative_log(weights: Tensor | Grid | None, n: int) -> Tensor | None:
    """log w_j minus its mean over j: what has to be added to the scores, or None where equal weights cancel.

    Centred, because the unit of the weights cancels and small numbers survive bf16.
    Raises: ValueError for a last axis that is not n long, or weights that are not positive and finite.
    """
    weights = weights.weights if isinstance(weights, Grid) else weights
    if weights is None:
        return None
    if weights.ndim == 0 or weights.shape[-1] != n:
        raise ValueError(f"one weight per key token: {n} keys, but weights have shape {tuple(weights.shape)}")
    if not torch.compiler.is_compiling():
        if not (torch.isfinite(weights) & (weights > 0)).all():
            raise ValueError(
                f"quadrature weights must be positive and finite, the smallest here is {weights.min():g}; "
                "to leave a token out use mask="
            )
        if (weights == weights[..., :1]).all():
            return None
    log = weights.log()
    return log - log.mean(-1, keepdim=True)


def check_finite(z: Tensor, name: str) -> None:
    """Raises ValueError where z holds NaN or infinity, saying where."""
    if torch.isfinite(z.detach().sum()):  # one cheap pass; a sum of finite numbers may overflow, hence the next line
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
        allowed = allowed & _lower(queries, mask.device)
    lost = ~allowed.any(-1)  # (…, query)
    if queries == keys:
        lost = lost & allowed.any(-2)  # a padded token is also one that nobody attends to
    if lost.any():
        row = lost.nonzero()[0].tolist()
        raise ValueError(
            f"query {row[-1]} (index {row}) has nothing to attend to, so ∫ γ dx̃ = 1 cannot hold; let it see at least "
            "one key (itself, say), or pad it: then no other token may attend to it either"
        )


def _check_shapes(q, k, v, weights, causal, mask) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(
            "attend needs q (…, query, d), k (…, key, d), v (…, key, value), got "
            f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
        )
    if 0 in (q.shape[-1], q.shape[-2], k.shape[-2]):
        raise ValueError(
            f"attend needs at least one query, key and feature, got q {tuple(q.shape)}, k {tuple(k.shape)}"
        )
    if causal not in (False, True, "volterra"):
        raise ValueError(f"causal must be False, True or 'volterra', got {causal!r}")
    if causal is not False and q.shape[-2] != k.shape[-2]:
        raise ValueError(f"a causal kernel needs one grid for both, got {q.shape[-2]} queries and {k.shape[-2]} keys")
    if mask is not None:
        if mask.dtype != torch.bool:
            raise ValueError(f"mask must be bool (True = may attend), got {mask.dtype}; try mask.bool()")
        try:
            torch.broadcast_shapes(mask.shape, (*q.shape[:-1], k.shape[-2]))
        except RuntimeError:
            raise ValueError(
                f"mask must broadcast to (…, query, key) = {(*q.shape[:-1], k.shape[-2])}, got {tuple(mask.shape)}"
            ) from None


def _sdpa(q, k, v, bias=None, **options) -> Tensor:
    """torch's fused kernel; an additive bias stays in float32 on a CPU, where that costs nothing in bf16.

    A CPU's flash kernel takes a bias or mask of 2 axes or of as many as q has; with others torch takes a slow one.
    """
    if bias is not None and 2 < bias.ndim < q.ndim:
        bias = bias[(None,) * (q.ndim - bias.ndim)]
    if bias is not None and bias.is_floating_point():
        half_on_cpu = q.device.type == "cpu" and q.dtype in (torch.bfloat16, torch.float16)
        bias = bias.to(torch.float32 if half_on_cpu else q.dtype).expand(*bias.shape[:-2], q.shape[-2], k.shape[-2])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, **options)


def _lower(n: int, device) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool, device=device).tril()


def _volterra(log_weights: Tensor | None, q: Tensor) -> Tensor:
    """log of the weights that integrate from the first token up to the query, (…, query, key)."""
    n = q.shape[-2]
    dtype = torch.promote_types(q.dtype, torch.float32)
    half = math.log(0.5)
    own = torch.full((n,), half, dtype=dtype, device=q.device)  # half of the query's own cell lies before it
    if log_weights is None:
        log_weights = torch.zeros(n, dtype=dtype, device=q.device)
        log_weights[0] = half
    elif n > 1:  # a last weight well below its neighbour's is a trapezoid's end: already half a cell
        halved = (log_weights[..., -1:] - log_weights[..., -2:-1]) < math.log(0.75)
        own = torch.cat([own[:-1].expand(*log_weights.shape[:-1], -1), torch.where(halved, 0.0, own[-1:])], -1)
    rows = log_weights.to(dtype).unsqueeze(-2).expand(*log_weights.shape[:-1], n, n)
    rows = rows + torch.diag_embed(own)
    return rows.masked_fill(~_lower(n, q.device), -math.inf)


def _weights_as_feature(q, k, v, log_weights, scale):
    """q' = [q, 1/scale], k' = [k, log w], v' = [v, 0]: the scores q'·k'·scale gain log w.

    In half precision log w rides as a high and a low part, so that it keeps 16 bits instead of 8.
    """
    log_weights = log_weights.to(torch.promote_types(k.dtype, torch.float32))
    parts = [log_weights.to(k.dtype)]
    if k.dtype in (torch.bfloat16, torch.float16):
        parts.append((log_weights - parts[0].to(log_weights.dtype)).to(k.dtype))
    extra = torch.stack(parts, -1).expand(*k.shape[:-1], len(parts))
    tau = torch.full_like(q[..., :1], 1 / scale).expand(*q.shape[:-1], len(parts))
    return (
        torch.cat([q, tau], -1),
        torch.cat([k, extra], -1),
        F.pad(v, (0, max(0, len(parts) + q.shape[-1] - v.shape[-1]))),
    )
