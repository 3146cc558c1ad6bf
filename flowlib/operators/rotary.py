"""What happens to queries and keys before they meet: they are turned by their position, and brought to unit length.

Both are maps (z, first) ↦ z for `Attention(prepare=…)`: z (…, head, token, feature/head), the tokens numbered from
`first`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.arguments import check_flag, check_floats, check_number, check_type, check_whole, describe
from flowlib.operators.nearest import to_unit


class Rotary(nn.Module):
    """R_x z: each pair of features is turned by the angle x ω_j, so that ⟨R_x q, R_x̃ k⟩ depends on x − x̃ alone.

        (a, b) ↦ (a cos xω_j − b sin xω_j,  b cos xω_j + a sin xω_j),    ω_j = base^(−2j/dim),   j < dim/2.

    z (…, token, feature) → the same; x is the token's number, counted from `first`. The first `dim` features are
    turned, the others stay. Pairs are (z_j, z_{j+dim/2}) or, interleaved, (z_2j, z_2j+1).
    places: where the tokens are, (…, 1, token), if that is not their number.
    precision: the dtype of the angles. float32 is what trained models use: at x = 2000 it is off by up to 1e-4.
    Error: exact for float64 angles (round-off).
    Raises: ValueError for a dim that is odd or less than 2, a base ≤ 0, and for z with fewer than dim features.
    Source: Su et al., arXiv:2104.09864.
    """

    places: Tensor | None = None

    def __init__(
        self, dim: int, base: float = 10000.0, *, interleaved: bool = False, precision: torch.dtype = torch.float32
    ):
        super().__init__()
        check_whole(dim, "dim", 2)
        check_number(base, "base", "> 0")
        check_flag(interleaved, "interleaved")
        if not isinstance(precision, torch.dtype) or not precision.is_floating_point:
            raise TypeError(f"precision must be a float dtype such as torch.float32, got {precision!r}")
        if dim % 2:
            raise ValueError(f"features are turned in pairs: dim must be even and at least 2, got {dim}")
        self.dim, self.base, self.interleaved, self.precision = dim, base, interleaved, precision

    def forward(self, z: Tensor, first: int = 0) -> Tensor:
        check_floats(z, "z", "a tensor of floats (…, token, feature)")
        if z.ndim < 2:
            raise ValueError(f"z must be (…, token, feature), got {describe(z)}")
        if z.shape[-1] < self.dim:
            raise ValueError(f"{self.dim} features are to be turned, but a head has {z.shape[-1]}; give a smaller dim")
        turned, rest = z[..., : self.dim], z[..., self.dim :]
        cos, sin = self.angles(first, z.shape[-2], z)
        a, b = (turned[..., ::2], turned[..., 1::2]) if self.interleaved else turned.chunk(2, -1)
        a, b = a * cos - b * sin, b * cos + a * sin
        turned = torch.stack((a, b), -1).flatten(-2) if self.interleaved else torch.cat((a, b), -1)
        return torch.cat((turned, rest), -1)

    def angles(self, first: int, tokens: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """cos xω and sin xω, each (token, dim/2), for x = first, first + 1, …"""
        number: dict[str, Any] = dict(dtype=self.precision, device=like.device)
        frequencies = 1 / self.base ** (torch.arange(0, self.dim, 2, **number) / self.dim)
        angles = self.positions(first, tokens, like)[..., None] * frequencies
        return angles.cos().to(like.dtype), angles.sin().to(like.dtype)

    def positions(self, first: int, tokens: int, like: Tensor) -> Tensor:
        """x of each token."""
        if self.places is not None:
            return self.places.to(self.precision)
        return torch.arange(first, first + tokens, dtype=self.precision, device=like.device)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, base={self.base:g}, interleaved={self.interleaved}"


class UnitLength(nn.Module):
    """s ⊙ z/|z|, after another map of z if one is given: scores are then cosines, but for the learned s.

    z (…, head, token, feature/head) → the same; s (head, 1, feature/head) starts at 1. A zero stays zero.
    Error: exact (round-off). Source: Loshchilov et al., arXiv:2410.01131.
    """

    def __init__(self, heads: int, head_dim: int, before: nn.Module | None = None):
        super().__init__()
        check_whole(heads, "heads")
        check_whole(head_dim, "head_dim")
        check_type(before, "before", (nn.Module, type(None)), "a module, or None")
        self.scale, self.before = nn.Parameter(torch.ones(heads, 1, head_dim)), before

    def forward(self, z: Tensor, first: int = 0) -> Tensor:
        check_floats(z, "z", "a tensor of floats (…, head, token, feature)")
        if z.ndim < 3 or (z.shape[-3], z.shape[-1]) != (self.scale.shape[0], self.scale.shape[-1]):
            raise ValueError(
                f"z must be (…, head, token, feature) with {self.scale.shape[0]} heads of {self.scale.shape[-1]} "
                f"features, got {describe(z)}"
            )
        z = z if self.before is None else self.before(z, first)
        return self.scale * F.normalize(to_unit(z), dim=-1)

    def extra_repr(self) -> str:
        return f"heads={self.scale.shape[0]}, head_dim={self.scale.shape[-1]}"
