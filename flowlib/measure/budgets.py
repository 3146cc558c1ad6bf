"""Term budgets: which term moved a token, or a prediction, at which step, and by how much.

A flow adds up increments, so what a token became is an account that closes:

    u(T) − u(0) = Σ_steps Σ_terms ( term's increment + its projection's increment ),
    ⟨r, u(T)⟩   = ⟨r, u(0)⟩ + Σ ⟨r, increment⟩        for every read-out r that is linear in the field, as a logit is.

A budget says what happened on the way. It does not say what would have happened without a term: the terms after it
would have moved otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from flowlib.fields import Grid
from flowlib.flow.equation import Flow, Increment
from flowlib.measure.inputs import check_flow, check_tensor, find_dropout
from flowlib.operators import Affine, Attention, GatedLocal, LiteralLocal, Local, NormedVelocity, PreNorm, Pull

NAMES: dict[type, str] = {
    Attention: "attention",
    Local: "feed-forward",
    GatedLocal: "feed-forward",
    LiteralLocal: "feed-forward",
    Affine: "scale and shift",
}
PROJECTION, READOUT = "projection", "readout"


@dataclass(frozen=True)
class Budget:
    """The account of a flow, in float64, where the differences of float32 fields are all but exact.

    start (…, token, feature)         the field that the flow began with
    moved (row, …, token, feature)    what each row added:  start + Σ_rows moved = the flow's `final`
    steps, names                      of each row: the number of its step from 0, and what moved ("attention",
                                      "feed-forward", "projection", …; "head 1", … where heads are told apart)
    """

    start: Tensor
    moved: Tensor
    steps: list[int] = field(repr=False)
    names: list[str] = field(repr=False)

    @property
    def final(self) -> Tensor:
        return self.start + self.moved.sum(0)

    def along(self, readout: Tensor) -> "Budget":
        """The account of ⟨r, u⟩: readout r (feature,), or several at once (feature, k), → …, token, 1 or k.

        Error: exact; the rows sum to ⟨r, final⟩ − ⟨r, start⟩ to round-off of float64.
        Raises: ValueError where r has not as many features as the field.
        """
        check_tensor(readout, "readout", "(feature,) or (feature, k)")
        if readout.ndim not in (1, 2) or len(readout) != self.start.shape[-1]:
            raise ValueError(
                f"a readout must be (feature,) or (feature, k) with {self.start.shape[-1]} features, "
                f"got {tuple(readout.shape)}"
            )
        r = readout.detach().to(self.start).reshape(len(readout), -1)
        return Budget(self.start @ r, self.moved @ r, self.steps, self.names)

    def shares(self) -> Tensor:
        """⟨moved, u(T) − u(0)⟩ / |u(T) − u(0)|², (row, …, token): the part of a token's whole way that each row made.

        They sum to 1; a row that moved it back is negative. A token that ends where it began has shares NaN.
        """
        way = self.moved.sum(0)
        return (self.moved * way).sum(-1) / way.square().sum(-1)

    def table(self) -> dict[tuple[int, str], Tensor]:
        """{(step, name): the sum of its rows (…, token, ·)}: half steps of one term are put together."""
        return self._summed(zip(self.steps, self.names))

    def by_name(self) -> dict[str, Tensor]:
        """{name: the sum of its rows over all steps (…, token, ·)}."""
        return self._summed(self.names)

    def _summed(self, keys: Iterable) -> dict:
        """{key: the sum of the rows that have it}."""
        found: dict = {}
        for key, moved in zip(keys, self.moved):
            found[key] = found[key] + moved if key in found else moved
        return found


@torch.no_grad()
def budget(
    flow: Flow,
    u0: Tensor,
    steps: int | None = None,
    *,
    mask: Tensor | None = None,
    valid: Tensor | None = None,
    weights: Tensor | Grid | None = None,
    heads: bool = False,
) -> Budget:
    """The account of flow(u0, steps, mask=…, valid=…, weights=…): every scheme, substep and constraint.

    u0 (…, token, feature). heads: a row for each head of attention (its output map W^O is a sum over heads), one for
    its bias if it has one, and one for its dropout in training: what chance moved. With tangent=True a term's row is
    what it moved along S: the part of its velocity that points out of S was never taken. Where paths run side by side,
    each row counts with its path's weight.
    Error: the rows sum to the flow's own result (float64: 1e-12, float32: 1e-6, relative to the largest entry).
    Raises: ValueError where heads are asked for, and a substep is no Euler step on A(u) itself, or attention adds
            something of its own to the sum over its heads.
    """
    check_flow(flow, u0)
    if heads and (flow.substep != "euler" or flow.tangent):
        raise ValueError(
            f"heads can be told apart in Euler substeps on A(u) itself; this flow takes {flow.substep} substeps with "
            f"tangent={flow.tangent}; leave heads=True out"
        )
    rows: list[tuple[int, str, Tensor]] = []
    tell = lambda one: rows.extend(_rows(one, heads))
    flow(u0, steps, mask=mask, valid=valid, weights=weights, save="final", watch=tell)
    numbers, names, moved = zip(*rows)
    return Budget(u0.detach().double(), torch.stack(moved), list(numbers), list(names))


def _rows(one: Increment, heads: bool) -> list[tuple[int, str, Tensor]]:
    """A substep as rows: what its term (or each of its heads) or the readout moved, then what the constraint moved."""
    by_term, by_constraint = (
        one.share * (b.double() - a.double()) for a, b in ((one.before, one.moved), (one.moved, one.after))
    )
    rows = [(one.step, PROJECTION, by_constraint)] if by_constraint.any() else []
    if one.kind == "readout":
        return [(one.step, READOUT, by_term), *rows]
    if one.kind == "term":
        attention = attention_of(one) if heads else None
        parts = [(name_of(one.term), by_term)] if attention is None else _head_rows(one, attention, by_term)
        return [*((one.step, name, part) for name, part in parts), *rows]
    return rows


def _head_rows(one: Increment, attention: Attention, by_term: Tensor) -> list[tuple[str, Tensor]]:
    scale, parts = one.share * one.dt, by_head(one)
    _check_sum(one, attention, parts)
    rows = [(f"head {h + 1}", scale * part) for h, part in enumerate(parts.unbind(-3))]
    if attention.out.bias is not None:
        rows.append(("bias", (scale * attention.out.bias.double()).expand_as(one.before)))
    if find_dropout(attention):
        rows.append(("dropout", by_term - torch.stack([moved for _, moved in rows]).sum(0)))
    return rows


def _check_sum(one: Increment, attention: Attention, parts: Tensor) -> None:
    """Raises: ValueError where the heads and the bias do not add up to what the substep moved, dropout apart."""
    if find_dropout(attention):
        return
    velocity = parts.sum(-3) if attention.out.bias is None else parts.sum(-3) + attention.out.bias.double()
    moved = one.moved.double() - one.before.double()
    largest = max(z.abs().max().item() for z in (one.before, one.moved, moved))
    gap, device = (one.dt * velocity - moved).abs().max().item(), moved.device.type
    computed = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else one.before.dtype
    if not gap <= torch.finfo(computed).eps ** 0.4 * largest:  # loose: round-off is none of its business
        raise ValueError(
            f"the heads must add up to what {type(attention).__name__} moved in step {one.step}, and miss it by "
            f"{gap:.1e}; they do in Euler substeps on A(u) itself, where attention adds nothing of its own to that; "
            "otherwise leave heads out"
        )


def by_head(one: Increment) -> Tensor:
    """W^O_h ∫ γ_h V_h dx̃ of each head in float64, (…, head, token, feature): A(u) without its bias is their sum.

    Before any dropout, as `kernel_of`. Raises: ValueError where the substep is none of attention.
    """
    gamma, out = _kernel_and_values(one)
    return gamma @ out


def by_token(one: Increment, readout: Tensor) -> Tensor:
    """Δt γ_h(x, x̃) ⟨r, W^O_h V_h(x̃)⟩, (…, head, query, key): what each token x̃ pushed the read-out r (feature,) by.

    Summed over heads and keys it is the attention's row of the budget along r, but for W^O's bias and for dropout.
    Raises: ValueError where the substep is none of attention, or moved something else than that sum: it was no Euler
            substep on A(u) itself.
    """
    check_tensor(readout, "readout", "(feature,)", (1,))
    gamma, out = _kernel_and_values(one)
    if len(readout) != out.shape[-1]:
        raise ValueError(f"readout must be (feature,) with {out.shape[-1]} features, got {tuple(readout.shape)}")
    attention = attention_of(one)
    assert attention is not None  # _kernel_and_values has said so
    _check_sum(one, attention, gamma @ out)
    return one.share * one.dt * gamma * (out @ readout.detach().to(out)).unsqueeze(-2)


def kernel_of(one: Increment) -> Tensor:
    """γ(x, x̃) w(x̃) at the start of a substep of attention, (…, head, query, key), before any dropout.

    Raises: ValueError where there is no attention in the substep, and where it heard a past.
    """
    if (attention := attention_inside(one)) is None:
        raise ValueError(f"heads and kernels belong to attention, and this substep is {name_of(one.term)!r}")
    if one.context is None:
        raise ValueError("this substep heard a past, which a field does not hold; flow all tokens again, without past=")
    return attention.kernel(field_of(one), **one.context)


def _kernel_and_values(one: Increment) -> tuple[Tensor, Tensor]:
    """γ (…, head, query, key) and W^O_h V_h (…, head, key, feature), both float64."""
    if (attention := attention_of(one)) is None:
        raise ValueError(f"heads and kernels belong to attention, and this substep is {name_of(one.term)!r}")
    gamma = kernel_of(one).double()
    values = attention.values(field_of(one), **_told_of_values(one))
    mixes = attention.out.weight.unflatten(-1, (attention.heads, -1)).permute(1, 2, 0)  # (head, feature/head, feature)
    return gamma, values.double() @ mixes.double()


def _told_of_values(one: Increment) -> dict[str, Tensor | None]:
    """What V is told of the other tokens: all but the mask."""
    return {name: value for name, value in (one.context or {}).items() if name != "mask"}


def attention_of(one: Increment) -> Attention | None:
    """The attention whose A(u) a substep took, or None: under pre-norm it is inside of the term."""
    inner = _inner(one.term)
    return inner if one.kind == "term" and isinstance(inner, Attention) else None


def attention_inside(one: Increment) -> Attention | None:
    """The attention that a substep's velocity is made of, however it is wrapped, or None."""
    term = one.term if one.kind == "term" else None
    while isinstance(term, PreNorm | NormedVelocity | Pull):
        term = term.term
    return term if isinstance(term, Attention) else None


def field_of(one: Increment) -> Tensor:
    """The field that a substep's term saw: under pre-norm, the normalised one."""
    u, term = one.before, one.term
    while isinstance(term, PreNorm | NormedVelocity | Pull):
        u, term = term.normalise(u) if isinstance(term, PreNorm) else u, term.term
    return u


def name_of(term: nn.Module | None) -> str:
    """What a term is called in a budget; a class that is not known here goes by its own name."""
    while isinstance(term, PreNorm | NormedVelocity):
        term = term.term
    return getattr(term, "called", "") or NAMES.get(type(term), type(term).__name__.lower())


def _inner(term: nn.Module | None) -> nn.Module | None:
    return term.term if isinstance(term, PreNorm) else term
