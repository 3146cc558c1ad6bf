"""A convolution on any grid: what Q, K and V see around x before they are taken (CvT's convolutional projection)."""

import math

import torch
from torch import Tensor, nn

from flowlib.arguments import check_number, check_tensor, check_whole, describe
from flowlib.operators.integral import integrate


class Neighbourhood(nn.Module):
    """A depthwise convolution before Q, K and V:

        (C_m u)(x) = u(x) + Σ_δ c_mδ ⊙ ∫ g(x + δ, x̃) u(x̃) dx̃,   m = Q, K, V;   g(a, x̃) ∝ exp(−|a − x̃|²/2ℓ²), ∫ g = 1.

    On an uneven grid there is no "next token". So u(x + δ) is read off by attention itself, with scores that the
    coordinates give: `questions` says which, and forward integrates and mixes the answers. δ runs over
    size^dims shifts, `spacing` apart; ℓ is half of that. c_m is learned, a number for each shift and feature.
    u (…, token, feature), points (token, dims), weights as for `Attention` → (3, …, token, feature).
    Error: that of the grid's quadrature rule, once the grid resolves ℓ.
    Raises: ValueError for a size that is not odd, a spacing ≤ 0, and points of another number or dimension.
    Source: CvT, arXiv:2103.15808, for the projection; arXiv:1911.03584, for convolution as attention.
    """

    shifts: Tensor

    def __init__(self, dim: int, spacing: float, size: int = 3, dims: int = 2):
        super().__init__()
        check_whole(dim, "dim")
        check_whole(dims, "dims")
        check_whole(size, "size")
        check_number(spacing, "spacing", "> 0")
        if size % 2 == 0:
            raise ValueError(f"size must be odd, so that a neighbourhood has a middle, got {size}")
        self.spacing, self.size = spacing, size
        self.reach = spacing / 2
        steps = (torch.arange(size) - size // 2) * float(spacing)
        self.register_buffer("shifts", torch.cartesian_prod(*[steps] * dims).reshape(-1, dims), persistent=False)
        self.share = nn.Parameter(torch.zeros(3, len(self.shifts), dim))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.share)

    def questions(self, u: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
        """q, k, v, temperature of ∫ g(a, x̃) u(x̃) dx̃, a = x + δ: q·k = a·x̃ − ½|x̃|² = ½|a|² − ½|a − x̃|²."""
        points = points.to(u)
        a = points + self.shifts.to(u)[:, None]  # (shift, token, dims)
        q = torch.cat([a, torch.ones_like(a[..., :1])], -1)
        k = torch.cat([points, -points.square().sum(-1, keepdim=True) / 2], -1)
        batch = (*u.shape[:-2], len(a))
        q, k, v = (z.expand(*batch, *z.shape[-2:]) for z in (q, k, u.unsqueeze(-3)))
        return q, k, v, self.reach**2 / math.sqrt(q.shape[-1])

    def extra_repr(self) -> str:
        return f"dim={self.share.shape[-1]}, spacing={self.spacing:g}, size={self.size}, dims={self.shifts.shape[-1]}"

    def forward(self, u: Tensor, points: Tensor, weights: Tensor | None = None) -> Tensor:
        check_tensor(points, "points", "a tensor (token, dims)")
        if points.shape != (u.shape[-2], self.shifts.shape[-1]):
            raise ValueError(
                f"points must be (token, dims) = {(u.shape[-2], self.shifts.shape[-1])} for this neighbourhood, got "
                f"{describe(points)}; give the flow weights=Grid(…) of as many tokens and dimensions"
            )
        q, k, v, temperature = self.questions(u, points)
        weights = None if weights is None else weights.unsqueeze(-2)  # (…, 1, key): the same for every shift
        seen = integrate(q, k, v, weights, temperature=temperature)  # (…, shift, token, feature)
        return u + torch.einsum("...snd,msd->m...nd", seen, self.share)
