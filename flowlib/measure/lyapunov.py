"""How fast neighbours part: Lyapunov exponents along the depth.

J = ∂u(T)/∂u(0) is the product of the steps' derivatives. A small change v of the field becomes J v, and

    λ_i = log σ_i(J) / T:     the i-th largest rate, in 1/depth, at which a change grows (λ > 0) or dies out (λ < 0).

J is never made: vectors are pushed through the steps forwards (jvp) and back (vjp), and kept orthogonal by QR.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

from flowlib.arguments import check_whole
from flowlib.fields import Grid
from flowlib.flow.equation import Flow
from flowlib.measure.inputs import check_field, check_flow, check_repeatable, finite
from flowlib.measure.stability import plain_attention

Piece = tuple[Callable[[Tensor], Tensor], Tensor]  # a step as a map of a flat vector, and where it is taken


@torch.no_grad()
def exponents(
    flow: Flow,
    u0: Tensor,
    k: int = 4,
    steps: int | None = None,
    *,
    token: int | None = None,
    sweeps: int = 8,
    mask: Tensor | None = None,
    valid: Tensor | None = None,
    weights: Tensor | Grid | None = None,
    seed: int = 0,
) -> Tensor:
    """The k largest λ_i of the trajectory from u0 (token, feature), (k,), the largest first.

    token   changes of this token alone, and what becomes of them at this token (the others keep their paths). Under a
            causal kernel that is the whole truth for the last token. None: changes of the whole field.
    sweeps  how often the vectors go forwards and back (a subspace iteration on JᵀJ).
    A direction that a projection takes away has λ = −∞, or very negative in round-off.
    Error: falls as (σ_k+1/σ_i)^(2·sweeps): exact where k is the whole dimension; ask for a few more than you need.
           Rates that lie more than 23/T below the first are less exact: they come from R's diagonal alone.
    Raises: ValueError for a field that is not (token, feature), for k that is not from 1 to its dimension, a token that
            is not there, a flow that does not do the same each time, and derivatives that are not finite.
    """
    check_flow(flow, u0)
    check_repeatable(flow)
    check_field(u0, "u0", "(token, feature)", 1)
    if u0.ndim != 2:
        raise ValueError(f"exponents need one field (token, feature), got shape {tuple(u0.shape)}; choose a text")
    check_whole(sweeps, "sweeps")
    if token is not None:
        check_whole(token, "token", -len(u0), len(u0) - 1)
    most = u0[0].numel() if token is not None else u0.numel()
    check_whole(k, "k", 1, most)  # most: the dimension of what changes
    maps = flow.maps(u0, steps, mask=mask, valid=valid, weights=weights)
    with plain_attention():
        pieces = _pieces(maps, u0, token)
        basis = torch.randn(most, k, dtype=u0.dtype, generator=torch.Generator().manual_seed(seed)).to(u0.device)
        basis = torch.linalg.qr(basis).Q
        for _ in range(sweeps):
            basis = _push(pieces, basis)[0]
            basis = _pull(pieces, basis)
        _, whole, scale, logs = _push(pieces, basis)
    sigma = torch.linalg.svdvals(whole)
    far = sigma < 1e-10 * sigma[0]
    logs = torch.where(far, logs.sort(descending=True).values, sigma.log() + scale)
    return logs / flow.horizon


def _pieces(maps: list[Callable], u0: Tensor, token: int | None) -> list[Piece]:
    """Each step as a map of a flat vector, with the point at which it is taken."""
    pieces, u = [], u0
    for step in maps:
        pieces.append(_flatten(step, u, token))
        u = step(u)
    return pieces


def _flatten(step: Callable, u: Tensor, token: int | None) -> Piece:
    if token is None:
        return lambda v: step(v.view_as(u)).flatten(), u.flatten()
    place = torch.arange(len(u), device=u.device) == token % len(u)
    return lambda v: step(torch.where(place[:, None], v, u))[token], u[token]


def _push(pieces: list[Piece], basis: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The basis (dim, k) carried along, orthogonal again after each step; the product of all R (k, k) as a matrix and
    the logarithm of its scale; and Σ log |R_ii| (k,)."""
    whole, scale, logs = torch.eye(basis.shape[1]).to(basis), basis.new_zeros(()), basis.new_zeros(())
    for f, at in pieces:
        carried = vmap(lambda v: jvp(f, (at,), (v,))[1], in_dims=1, out_dims=1)(basis)  # noqa: B023
        basis, r = torch.linalg.qr(finite(carried, "the derivative of a step"))
        whole, size = r @ whole, r.abs().max()
        whole, scale, logs = whole / size.where(size > 0, 1.0), scale + size.log(), logs + r.diagonal().abs().log()
    return basis, whole, scale, logs


def _pull(pieces: list[Piece], basis: Tensor) -> Tensor:
    """The same with the transposed derivatives, from the last step to the first."""
    for f, at in reversed(pieces):
        pull = vjp(f, at)[1]
        pulled = vmap(lambda v: pull(v)[0], in_dims=1, out_dims=1)(basis)  # noqa: B023
        basis = torch.linalg.qr(finite(pulled, "the derivative of a step")).Q
    return basis
