"""What a head compares and what it passes on: the spectra of its QK and OV maps.

    score s(x, x̃) = ⟨u(x), M u(x̃)⟩,   M = W_Qᵀ W_K / (τ√d);        what is passed on:  N u(x̃),   N = W_O W_V.

Both are (feature, feature) of rank feature/head at most, a product of two thin factors.
Source: Elhage et al., A Mathematical Framework for Transformer Circuits (2021), for the two maps.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from flowlib.arguments import describe
from flowlib.measure.inputs import finite
from flowlib.operators import Attention


@dataclass(frozen=True)
class ThinMap:
    """left @ right for each head: left (head, feature, rank), right (head, rank, feature)."""

    left: Tensor
    right: Tensor

    @property
    def matrix(self) -> Tensor:
        return self.left @ self.right

    @property
    def eigenvalues(self) -> Tensor:
        """Those that may differ from 0, (head, rank), complex, the largest first: the eigenvalues of right @ left."""
        found = torch.linalg.eigvals(finite(self.right @ self.left, "right @ left"))
        return found.gather(-1, found.abs().argsort(-1, descending=True))

    @property
    def singular_values(self) -> Tensor:
        """(head, rank), the largest first."""
        _, r = torch.linalg.qr(finite(self.left, "left"))
        return torch.linalg.svdvals(finite(r @ self.right, "right"))

    @property
    def symmetric_share(self) -> Tensor:
        """|½(M + Mᵀ)|² / |M|² = ½ (1 + tr M² / |M|²), (head,): 1 for a symmetric map, 0 for an antisymmetric one.

        A map with independent random entries has ½. Error: exact (round-off).
        """
        small = self.right @ self.left
        square = (small.mT * small).sum((-2, -1))
        norm = ((self.left.mT @ self.left) * (self.right @ self.right.mT)).sum((-2, -1))
        return (1 + square / norm) / 2

    @property
    def positive_share(self) -> Tensor:
        """Σ λ / Σ |λ| of the eigenvalues, (head,): 1 where all are positive, −1 where all are negative."""
        values = self.eigenvalues
        return values.real.sum(-1) / values.abs().sum(-1)


def qk(attention: Attention) -> ThinMap:
    """M = W_Qᵀ W_K / (τ√d) of each head: the bilinear form that says who hears whom.

    Its symmetric part is a likeness (s(x, x̃) = s(x̃, x)), its antisymmetric part a direction. Biases of Q and K, and
    rotations of them (rotary positions), and what a neighbourhood does to the field before, stay outside of it.
    Error: exact.
    """
    q, k, _ = _by_head(attention)
    return ThinMap(q.mT / (attention.temperature * math.sqrt(q.shape[-2])), k)


def ov(attention: Attention) -> ThinMap:
    """N = W_O W_V of each head: what a token that is heard adds to the one that hears it. Error: exact.

    A positive eigenvalue passes on more of what is there, a negative one takes it away.
    """
    values = _by_head(attention)[2]
    mixes = attention.out.weight.detach().unflatten(-1, (attention.heads, -1)).transpose(0, 1)  # W_O by head
    return ThinMap(mixes, values)


def _by_head(attention: Attention) -> tuple[Tensor, ...]:
    """W_Q, W_K, W_V, each (head, feature/head, feature). Raises: TypeError for what is no attention."""
    if not isinstance(attention, Attention):
        raise TypeError(
            f"attention must be a flowlib.operators.Attention, got {describe(attention)}; take one of a flow's terms"
        )
    return tuple(w.unflatten(0, (attention.heads, -1)) for w in attention.qkv.weight.detach().chunk(3))
