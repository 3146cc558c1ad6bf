"""A field that listens to another field: cross-attention, on two grids."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.arguments import check_bools, check_floats
from flowlib.flow.equation import Flow
from flowlib.flow.twin import twin, twin_with
from flowlib.models.zoo.parts import UNFILLED, Map, fill
from flowlib.operators import Term
from flowlib.operators.attention import integrate, relative_log


class Listening(Term):
    """B(u; v)(x) = W^O · concat_heads ∫_{Ω_v} γ(x, x̃) V(x̃) dx̃,  Q from u(x), K and V from another field v(x̃).

    u (…, token, feature) → the same; v (…, key, ·) is given once for a whole flow (`listen_to`), with the weights of
    its grid, if it has any. Of its own field the term sees u(x) alone: for u it is a local term, whose
    coefficients are v, so that masks, padding and the past of u are none of its business.
    Error: as `attend`. Raises: ValueError where no other field was given.
    Source: Vaswani et al., arXiv:1706.03762.
    """

    called = "listening"
    other: Tensor | None = None
    valid: Tensor | None = None
    weights: Tensor | None = None

    def __init__(self, queries: Map, keys_values: Map, out: Map, heads: int, temperature: float = 1.0):
        super().__init__()
        (inner, dim), (double, other) = queries[0].shape, keys_values[0].shape
        self.heads, self.temperature = heads, temperature
        bias = any(b is not None for _, b in (queries, keys_values, out))
        with UNFILLED:
            self.q, self.kv = nn.Linear(dim, inner, bias), nn.Linear(other, double, bias)
            self.out = nn.Linear(inner, out[0].shape[0], bias)
        fill(self, q=queries, kv=keys_values, out=out)

    def forward(self, u: Tensor) -> Tensor:
        heard = self._integrate(u, None)
        return self.out(heard.transpose(-3, -2).flatten(-2))

    def kernel(self, u: Tensor) -> Tensor:
        """γ(x_i, x̃_j) w_j: what token i takes from place j of the other field, (…, head, query, key)."""
        other = self._heard()
        return self._integrate(u, torch.eye(other.shape[-2], dtype=u.dtype, device=u.device))

    def _heard(self) -> Tensor:
        if self.other is None:
            raise ValueError("this flow listens to another field, and none is given: flow = listen_to(flow, v)")
        return self.other

    def _integrate(self, u: Tensor, values: Tensor | None) -> Tensor:
        k, v = (self._split(z) for z in self.kv(self._heard()).chunk(2, -1))
        v = v if values is None else values.expand(*v.shape[:-2], -1, -1)
        mask = None if self.valid is None else self.valid[..., None, None, :]  # (…, 1, 1, key)
        weights = None if self.weights is None else self.weights.unsqueeze(-2)
        return integrate(self._split(self.q(u)), k, v, weights, mask=mask, temperature=self.temperature)

    def _split(self, z: Tensor) -> Tensor:
        return z.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, temperature={self.temperature}"


def listen_to(flow: Flow, other: Tensor, valid: Tensor | None = None, weights: Any = None) -> Flow:
    """The flow  u_t = A(u) + B(u; v) + L(u)  for this v: an ordinary flow of u, with the same parameters (shared).

    other: v (…, key, feature); valid: bool (…, key), True = to be heard; weights: of v's grid, as in `attend`.
    Error: exact. Raises: TypeError, ValueError for what does not fit, and for a flow that listens to none.
    """
    check_floats(other, "other", "a field of floats (…, key, feature)")
    if not any(isinstance(part, Listening) for part in flow.modules()):
        raise ValueError("this flow listens to no other field")
    if valid is not None:
        check_bools(valid, "valid", "True = to be heard")
        if valid.shape != other.shape[:-1]:
            raise ValueError(f"valid must be (…, key) = {tuple(other.shape[:-1])}, got {tuple(valid.shape)}")
    logs = relative_log(weights, other.shape[-2])
    return twin_with(flow, Listening, partial(_hear, other=other, valid=valid, weights=logs))


def _hear(term: Listening, **heard: Tensor | None) -> Listening:
    mine = twin(term)
    mine.__dict__.update(heard)  # no part of the module: neither a parameter nor a buffer
    return mine
