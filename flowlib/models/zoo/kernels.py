"""Attention as known architectures change it: another domain, another measure, other scores."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.operators import Attention, Normalise


class ShapedAttention(Attention):
    """∫_{D(x)} γ(x, x̃) V(x̃) dμ_h(x̃),  γ = exp(c(⟨R N_q Q, R N_k K⟩ / (τ√d))): D, μ, N and c where there are any.

    window  D(x) = (x − window, x] under a causal kernel, (x − window, x + window) under another: the domain of the
            integral moves with x. None: all that a mask and `causal` leave.
    slopes  m_h for each head: dμ_h = e^{m_h n(x̃)} dx̃, where n counts the tokens before x̃ that are no padding. Under
            a causal kernel that is ALiBi, for only ratios of weights matter: e^{−m_h (n(x) − n(x̃))}.
    norms   (N_q, N_k), over the features of a head, before they are turned.
    cap     c(s) = cap · tanh(s / cap): a score is never beyond ±cap. It takes the memory of γ.
    near_far  a module (query, key) ↦ b_h(x − x̃), (head, query, key): dμ_h(x, x̃) = e^{b_h(x − x̃)} dx̃, a measure that
            moves with x. It takes the memory of γ.
    Error: as Attention. Source: arXiv:2310.06825 (window), arXiv:2108.12409 (ALiBi), arXiv:2010.04245 (norms),
    arXiv:2408.00118 (cap), arXiv:1910.10683 (near_far).
    """

    called = "attention"

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        window: int | None = None,
        slopes: Sequence[float] | None = None,
        norms: tuple[Normalise, Normalise] | None = None,
        cap: float | None = None,
        near_far: nn.Module | None = None,
        **options: Any,
    ):
        super().__init__(dim, heads, **options)
        self.window, self.slopes, self.cap = window, None if slopes is None else tuple(slopes), cap
        self.norms = None if norms is None else nn.ModuleList(norms)
        self.near_far = near_far

    def _prepare(self, q: Tensor, k: Tensor, first: int) -> tuple[Tensor, Tensor]:
        if self.norms is not None:
            q, k = (norm(z) for norm, z in zip(self.norms, (q, k), strict=True))
        return super()._prepare(q, k, first)

    def _measure(self, weights: Tensor | None, mask: Tensor | None, known: int) -> Tensor | None:
        """dμ of each head: the relative log of weights, (…, head or 1, key)."""
        if self.slopes is None:
            return weights
        like = self.qkv.weight
        if mask is None:
            number = torch.arange(known, device=like.device)  # (key,)
        else:
            number = mask.any(-2).cumsum(-1) - 1  # (…, 1, key): who is heard by nobody is padding
        slopes = torch.tensor(self.slopes, dtype=torch.float32, device=like.device)
        measure = (slopes[:, None] * number).to(like.dtype)  # (…, head, key)
        return measure if weights is None else measure + weights

    def _domain(self, mask: Tensor | None, new: int, known: int) -> Tensor | None:
        """D(x): a mask (…, query, key) of the last `new` tokens."""
        if self.window is None or self.window >= known:
            return mask
        x = torch.arange(known, device=self.qkv.weight.device)
        far = x[-new:, None] - x
        near = (far < self.window) & (far >= 0 if self.causal else -far < self.window)
        return near if mask is None else mask & near

    def _sum(self, q: Tensor, k: Tensor, v: Tensor, weights: Tensor | None, **options: Any) -> Tensor:
        weights = self._measure(weights, options["mask"], k.shape[-2])
        options["mask"] = mask = self._domain(options["mask"], q.shape[-2], k.shape[-2])
        if self.cap is None and self.near_far is None:
            return super()._sum(q, k, v, weights, **options)
        scores = q @ k.mT / (options["temperature"] * math.sqrt(q.shape[-1]))
        scores = scores if self.cap is None else self.cap * torch.tanh(scores / self.cap)
        if self.near_far is not None:
            scores = scores + self.near_far(*scores.shape[-2:])
        scores = scores if weights is None else scores + weights.unsqueeze(-2)
        if options["causal"]:
            below = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
            mask = below if mask is None else mask & below
        if mask is None:
            return F.dropout(scores.softmax(-1), options["dropout"]) @ v
        heard = mask.any(-1, keepdim=True)  # who hears nothing gets zeros
        gamma = scores.masked_fill(~mask & heard, -math.inf).softmax(-1)
        return (F.dropout(gamma, options["dropout"]) @ v).masked_fill(~heard, 0.0)

    def extra_repr(self) -> str:
        own = dict(window=self.window, slopes=self.slopes, cap=self.cap)
        return ", ".join([super().extra_repr(), *(f"{k}={v}" for k, v in own.items() if v is not None)])
