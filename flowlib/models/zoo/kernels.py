"""Attention as known architectures change it: another domain, another measure, norms of queries and keys."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.operators import Attention, Normalise


class ShapedAttention(Attention):
    """∫_{D(x)} γ(x, x̃) V(x̃) dμ_h(x̃),  γ = exp(⟨R N_q Q, R N_k K⟩ / √d): D, μ and N where an architecture has them.

    window  D(x) = (x − window, x]: the domain of the integral moves with x. None: all that a mask and `causal` leave.
    slopes  m_h for each head: dμ_h = e^{m_h n(x̃)} dx̃, where n counts the tokens before x̃ that are no padding. Under
            a causal kernel that is ALiBi, for only ratios of weights matter: e^{−m_h (n(x) − n(x̃))}.
    norms   (N_q, N_k), over the features of a head, before they are turned.
    Error: as Attention. Source: arXiv:2310.06825 (window), arXiv:2108.12409 (ALiBi), arXiv:2010.04245 (norms).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        window: int | None = None,
        slopes: Sequence[float] | None = None,
        norms: tuple[Normalise, Normalise] | None = None,
        **options: Any,
    ):
        super().__init__(dim, heads, **options)
        self.window, self.slopes = window, None if slopes is None else tuple(slopes)
        self.norms = None if norms is None else nn.ModuleList(norms)

    def _prepare(self, q: Tensor, k: Tensor, first: int) -> tuple[Tensor, Tensor]:
        if self.norms is not None:
            q, k = (norm(z) for norm, z in zip(self.norms, (q, k), strict=True))
        return super()._prepare(q, k, first)

    def _measure(self, weights: Tensor | None, mask: Tensor | None, known: int) -> Tensor | None:
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
        if self.window is None or self.window >= known:
            return mask
        x = torch.arange(known, device=self.qkv.weight.device)
        near = (x[-new:, None] - x < self.window) & (x[-new:, None] >= x)
        return near if mask is None else mask & near

    def extra_repr(self) -> str:
        own = dict(window=self.window, slopes=self.slopes)
        return ", ".join([super().extra_repr(), *(f"{k}={v}" for k, v in own.items() if v is not None)])
