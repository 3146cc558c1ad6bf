"""Term III: the feed-forward network, local over tokens. What happens at x depends on u(x) alone."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.arguments import check_choice, check_flag, check_number, check_type, check_whole
from flowlib.operators.constraint import Constraint, check_constraint
from flowlib.operators.term import Term, Wrapper, check_fit

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,  # the projection onto u ≥ 0
    "gelu": F.gelu,
    "gelu_tanh": lambda v: F.gelu(v, approximate="tanh"),
    "silu": F.silu,
    "quick_gelu": lambda v: v * torch.sigmoid(1.702 * v),
    "tanh": torch.tanh,
    "identity": lambda v: v,
}


class Local(Term):
    """L(u)(x) = W_2 σ(W_1 u(x) + b_1) + b_2:  a vector field that acts on each token alone.

    u (…, token, feature) → (…, token, feature); `hidden` features between the two maps (default 4 · dim).
    σ = ReLU is the projection onto S2 = {u ≥ 0}; GELU and SiLU are not monotone, so they are not the proximal map of
    any function. dropout: in training, the share of L(u) that is put to zero (the rest grows to make up for it).
    Error: exact. Raises: ValueError for an unknown activation (the message lists the known ones).
    Source: arXiv:2510.03989, term III.
    """

    def __init__(
        self, dim: int, hidden: int | None = None, activation: str = "relu", bias: bool = True, dropout: float = 0.0
    ):
        super().__init__()
        _check_settings(dim, hidden, activation, bias)
        check_number(dropout, "dropout", "in [0, 1)")
        self.activation, self.dropout = activation, dropout
        self.up = nn.Linear(dim, 4 * dim if hidden is None else hidden, bias)
        self.down = nn.Linear(self.up.out_features, dim, bias)

    def forward(self, u: Tensor) -> Tensor:
        up = self.up
        check_fit(u, up.in_features, up.weight, "Local")
        out = self.down(ACTIVATIONS[self.activation](up(u)))
        return F.dropout(out, self.dropout) if self.dropout and self.training else out

    def extra_repr(self) -> str:
        return f"activation={self.activation}, dropout={self.dropout}"


class GatedLocal(Term):
    """L(u)(x) = W_2 ( σ(W_0 u(x) + b_0) ⊙ (W_1 u(x) + b_1) ) + b_2:  a local field with a gate; σ = SiLU is SwiGLU.

    u (…, token, feature) → (…, token, feature); `hidden` features in between (default 4 · dim).
    Error: exact. Raises: ValueError for an unknown activation (the message lists the known ones).
    Source: Shazeer, arXiv:2002.05202.
    """

    def __init__(self, dim: int, hidden: int | None = None, activation: str = "silu", bias: bool = False):
        super().__init__()
        _check_settings(dim, hidden, activation, bias)
        self.activation, hidden = activation, 4 * dim if hidden is None else hidden
        self.gate, self.up = nn.Linear(dim, hidden, bias), nn.Linear(dim, hidden, bias)
        self.down = nn.Linear(hidden, dim, bias)

    def forward(self, u: Tensor) -> Tensor:
        check_fit(u, self.up.in_features, self.up.weight, "GatedLocal")
        return self.down(ACTIVATIONS[self.activation](self.gate(u)) * self.up(u))

    def extra_repr(self) -> str:
        return f"activation={self.activation}"


class Affine(Term):
    """The velocity (a − 1) ⊙ u + b, whose Euler step of length 1 is u ↦ a ⊙ u + b: layer norm's scale and shift.

    u (…, token, feature); a and b are (feature,). It is a substep of its own and no part of S1: an element-wise scale
    changes the spread over y in a way that depends on u.
    """

    def __init__(self, dim: int, bias: bool = True):
        super().__init__()
        check_whole(dim, "dim")
        check_flag(bias, "bias")
        self.scale = nn.Parameter(torch.ones(dim))
        self.shift = nn.Parameter(torch.zeros(dim)) if bias else None

    def reset_parameters(self) -> None:
        nn.init.ones_(self.scale)
        if self.shift is not None:
            nn.init.zeros_(self.shift)

    def forward(self, u: Tensor) -> Tensor:
        check_fit(u, self.scale.shape[0], None, "Affine")
        stretched = (self.scale - 1) * u
        return stretched if self.shift is None else stretched + self.shift

    def extra_repr(self) -> str:
        return f"dim={self.scale.shape[0]}, bias={self.shift is not None}"


class Normalise(nn.Module):
    """N(u) = a ⊙ P(u) + b: a constraint's projection, then the learned scale and shift (if there are any)."""

    def __init__(self, constraint: Constraint, affine: Affine | None = None):
        super().__init__()
        check_constraint(constraint, "Normalise")
        check_type(affine, "affine", (Affine, type(None)), "an Affine, or None")
        self.constraint, self.affine = constraint, affine

    def forward(self, u: Tensor) -> Tensor:
        u = self.constraint.project(u)
        return u if self.affine is None else u + self.affine(u)


class PreNorm(Wrapper):
    """A ∘ N: the term acts on the normalised field, while u itself stays free (pre-norm)."""

    answers_last = Wrapper._of_inside("answers_last")

    def __init__(self, term: Term, constraint: Constraint, affine: Affine | None = None):
        super().__init__(term)
        self.normalise = Normalise(constraint, affine)

    def forward(self, u: Tensor, **context: Any) -> Tensor:
        return self.term(self.normalise(u), **context)


class NormedVelocity(Wrapper):
    """N ∘ A: not the field but the velocity is normalised, so that every token moves by as much as N says.

    u (…, token, feature) → the same. Around a `PreNorm` it is a norm before and one after a term, as in Gemma 2.
    """

    def __init__(self, term: Term, constraint: Constraint, affine: Affine | None = None):
        super().__init__(term)
        self.normalise = Normalise(constraint, affine)

    def forward(self, u: Tensor, **context: Any) -> Tensor:
        return self.normalise(self.term(u, **context))


class Pull(Wrapper):
    """α ⊙ (P(A(u)) − u): every token is drawn towards the point of S that A names, feature by feature at the rate α.

    u (…, token, feature) → the same; α (feature,) is learned, and starts at `rate`. At a token that is that point
    already the field is zero.
    Source: Loshchilov et al., arXiv:2410.01131, where α is called an eigen learning rate.
    """

    def __init__(self, term: Term, constraint: Constraint, dim: int, rate: float = 0.05):
        super().__init__(term)
        check_constraint(constraint, "Pull")
        check_whole(dim, "dim")
        check_number(rate, "rate")
        self.constraint, self.rate = constraint, nn.Parameter(torch.full((dim,), rate))

    def forward(self, u: Tensor, **context: Any) -> Tensor:
        return self.rate * (self.constraint.project(self.term(u, **context)) - u)


class LiteralLocal(Term):
    """The paper's substeps 3 … J+3 as one map:  u ↦ ½ (u + S_J ∘ … ∘ S_1 u).

        S_j(v) = P_S2( E_j v + Δt (W_j v + b_j) ),  the last one without P_S2;   W_j = Ŵ_j − E_j.

    Ŵ_j are the trained matrices of the feed-forward network (Ŵ_j = I + Δt W_j at Δt = 1: the Euler step's identity is
    absorbed in the linear map). Where the number of features changes (d → 4d → d), Ω_y is discretised anew and E_j is
    the identity on the features that both have.
    u (…, token, feature) → the same; dt: the length of the substep. Unlike a vector field, this map does not tend to
    the identity with Δt → 0 (the sieve P_S2 and the averaged skip stay whole), so it is no term of an ODE.
    Source: arXiv:2510.03989, Lie splitting with M = 4 + J substeps.
    """

    is_substep = True

    def __init__(self, widths: list[int], bias: bool = True):
        super().__init__()
        check_type(widths, "widths", (list, tuple), "a list of numbers of features")
        for k, width in enumerate(widths):
            check_whole(width, f"widths[{k}]")
        check_flag(bias, "bias")
        if len(widths) < 2 or widths[0] != widths[-1]:
            raise ValueError(f"widths must start and end with the field's own number of features, got {widths}")
        self.maps = nn.ModuleList(nn.Linear(a, b, bias) for a, b in pairwise(widths))
        self.wider = [b - a for a, b in pairwise(widths)]  # by how many features each map widens the field

    def forward(self, u: Tensor, dt: float) -> Tensor:
        first: Any = self.maps[0]
        check_fit(u, first.in_features, first.weight, "LiteralLocal")
        v = u
        for j, (linear, wider) in enumerate(zip(self.maps, self.wider)):
            same = F.pad(v, (0, wider))  # E_j v: pads with zeros, or drops features
            v = same + dt * (linear(v) - same)
            if j + 1 < len(self.maps):
                v = F.relu(v)  # P_S2
        return (u + v) / 2  # the averaged skip


def _check_settings(dim: int, hidden: int | None, activation: str, bias: bool) -> None:
    check_whole(dim, "dim")
    if hidden is not None:
        check_whole(hidden, "hidden")
    check_choice(activation, "activation", tuple(ACTIVATIONS))
    check_flag(bias, "bias")
