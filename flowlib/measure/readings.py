"""Many texts at once: what the terms and the tokens of a flow did, what they were good for, and how the two agree.

An account says what a term pushed, a kernel how much a token is heard; an ablation says what is missing without it.
Here each is a number for a text, along a read-out r: ⟨r, u⟩ is what the flow answers.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.arguments import check_whole
from flowlib.flow.equation import Flow
from flowlib.measure.ablation import effect_of_tokens, without
from flowlib.measure.budgets import PROJECTION, budget
from flowlib.measure.inputs import check_callable, check_field, check_flow, check_repeatable, check_tensor, finite
from flowlib.measure.kernels import kernels_of

Place = Callable[[Tensor], Tensor]  # (…, text, token, feature) → (…, text, feature): one token, or the mean of all


@torch.no_grad()
def pushes_of_terms(flow: Flow, u0: Tensor, readouts: Tensor, at: Place) -> Tensor:
    """⟨r, at(v − u)⟩ of each substep u ↦ v that a term takes, without its projection: (term, text).

    u0 (text, token, feature), readouts (text, feature); at: what is read. The terms in the order of the steps; what
    comes after the last step is left out. Error: exact.
    """
    _check_texts(flow, u0, readouts)
    check_callable(at, "at", "a function (…, text, token, feature) ↦ (…, text, feature), as lambda u: u[..., -1, :]")
    account = budget(flow, u0)
    terms = [k for k, name in enumerate(account.names) if name != PROJECTION and account.steps[k] < flow.steps]
    return (at(account.moved[terms]) * readouts).sum(-1)


@torch.no_grad()
def effects_of_terms(flow: Flow, u0: Tensor, readouts: Tensor, at: Place) -> Tensor:
    """⟨r, at(u(T))⟩ − ⟨r, at(ũ(T))⟩, ũ: the flow in which one term is silent for one step. (term, text), as above.

    Error: exact. Raises: ValueError for a flow that does not do the same each time (dropout in training).
    """
    _check_texts(flow, u0, readouts)
    check_callable(at, "at", "a function (…, text, token, feature) ↦ (…, text, feature), as lambda u: u[..., -1, :]")
    check_repeatable(flow)
    read = lambda one: (at(one(u0, save="final").final) * readouts).sum(-1)
    terms, whole = len(flow.constraints), read(flow)
    return torch.stack([whole - read(without(flow, k // terms, k % terms)) for k in range(flow.steps * terms)])


@torch.no_grad()
def attention_to_tokens(flow: Flow, u0: Tensor, at: int | None = -1) -> Tensor:
    """How much each token is heard, γ in the mean over depth and heads: u0 (text, token, feature) → (text, token).

    at: the token that listens, or None for the mean of all. Error: exact.
    """
    check_flow(flow, u0)
    check_field(u0, "u0", "(text, token, feature)", 3)
    if at is not None:
        check_whole(at, "at", -u0.shape[-2], u0.shape[-2] - 1)
    gamma = kernels_of(flow, u0).mean((0, -3))  # (text, query, key)
    return gamma.mean(-2) if at is None else gamma[:, at]


@torch.no_grad()
def effects_of_tokens(flow: Flow, u0: Tensor, readouts: Tensor, at: int | None = -1) -> Tensor:
    """By how much ⟨r, u(T)⟩ falls where nobody hears a token, for each of them and each text: (text, token).

    u0 (text, token, feature), readouts (text, feature); at: the token that is read, or None for the mean of all.
    Error: exact. Raises: as `effect_of_tokens`.
    """
    _check_texts(flow, u0, readouts)
    return torch.stack([effect_of_tokens(flow, u, r, at) for u, r in zip(u0, readouts)])


def _check_texts(flow: Flow, u0: Tensor, readouts: Tensor) -> None:
    """Raises: TypeError, ValueError for what is no flow, no field of texts, or no read-out for each of them."""
    check_flow(flow, u0)
    check_tensor(readouts, "readouts", "(text, feature)")
    if u0.ndim != 3 or readouts.shape != (len(u0), u0.shape[-1]):
        raise ValueError(
            f"u0 must be (text, token, feature) and readouts (text, feature), got {tuple(u0.shape)} and "
            f"{tuple(readouts.shape)}"
        )


def ranks(z: Tensor) -> Tensor:
    """The place of each entry among those of its row, from 0, the smallest first; equal ones share their mean place."""
    check_tensor(z, "z", "(…, n)", real=False)
    z = z.unsqueeze(-1)
    return ((z > z.mT).sum(-1) + ((z == z.mT).sum(-1) - 1) / 2).to(torch.float64)


def _check_pairs(a: Tensor, b: Tensor) -> None:
    """Raises: TypeError, ValueError for what are not two equally long rows of at least two finite numbers."""
    check_tensor(a, "a", "(…, n)", real=False)
    check_tensor(b, "b", "(…, n)", real=False)
    if a.shape != b.shape or a.ndim < 1 or a.shape[-1] < 2:
        raise ValueError(f"a and b must have one shape (…, n) with n ≥ 2, got {tuple(a.shape)} and {tuple(b.shape)}")
    finite(a, "a"), finite(b, "b")


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's ρ of each row, (…, n) and (…, n) → (…,): 1 where both put the entries in the same order.

    A row of equal entries has no order: NaN there.
    """
    _check_pairs(a, b)
    a, b = (ranks(z) - (z.shape[-1] - 1) / 2 for z in (a, b))
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's r of two lists of numbers; NaN where all of one are equal."""
    _check_pairs(a, b)
    return torch.corrcoef(torch.stack([a.flatten().double(), b.flatten().double()]))[0, 1].item()
