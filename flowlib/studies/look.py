"""A look inside one model on one text or picture: everything that it shows, measured.

    found = measure(open_subject("tiny", "the value of the argum").subject)

What is measured, and the claim of the course that says what such a number means:
fields (C0.2), said on the way (logit lens), account of the prediction (C9.1) and what is missed without a term (C9.2),
kernels (C9.3), constraint (C4.1, C4.9), a step against its own refined flow (C6.7), other orders (C0.3, C1.6, C7.2).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from flowlib.flow.equation import Flow, Increment
from flowlib.measure.budgets import attention_inside, attention_of, by_head, kernel_of, name_of
from flowlib.measure.variants import ends_without, missed_by_steps, other_orders
from flowlib.models.subject import Subject
from flowlib.operators import Constraint, Moments, Normalise, PreNorm
from flowlib.studies.ends import End, chances, choose_finest, find_orders, find_refined, list_refined, norm_of

DEPTHS, TOKENS = 13, 12  # at most so many rows and columns of what is said on the way
TERMS = ("attention", "listening", "feed-forward")


@dataclass(frozen=True)
class Push:
    """A substep along the read-out at the token that is read, and the field around it."""

    step: int
    name: str
    term: float
    """⟨r, v − u⟩: what the term moved."""
    projection: float
    """⟨r, P(v) − v⟩: what the projection took back."""
    heads: tuple[float, ...]
    """Of attention: what each head moved."""
    spread: tuple[float, float, float]
    """Smallest, mean and largest spread over y of the tokens, after the term and before the projection."""
    defect: float | None
    """By how much the projected field misses its set, the largest over tokens; None where nothing is projected."""


@dataclass(frozen=True)
class Said:
    """words (depth, token) that lead at depth `times`, for the last tokens; chance: their probability, or cosine."""

    times: list[float]
    tokens: list[int]
    words: list[list[str]]
    chance: Tensor
    leaders: tuple[str, ...]
    """What leads in the end at the token that is read, the best first."""
    race: Tensor
    """Their probability (cosine) at every depth, (leader, depth)."""


@dataclass(frozen=True)
class Look:
    subject: Subject
    fields: Tensor
    final: Tensor
    times: Tensor
    said: Said | None
    pushes: list[Push]
    start: float
    """⟨r, u(0)⟩ + what the last norm's shift adds; start + all pushes = what the read-out says at the end."""
    end: float
    missed: dict[str, Tensor]
    """Term → (step,): the read-out's margin at the end, minus that without the term in one step."""
    kernels: Tensor
    """(substep, head, query, key)"""
    kernel_steps: list[int]
    gaps: Tensor
    """One step against its own refined flow, (step,)."""
    refined: list[End]
    orders: list[End]


# What is measured beside the path and what is said on it, if it is asked for; the kernels come with the pushes.
MEASURED = ("pushes", "missed", "gaps", "refined", "orders")


@torch.no_grad()
def measure(
    subject: Subject, tell: Callable[[int], object] = lambda steps: None, only: Collection[str] = MEASURED
) -> Look:
    """What a look shows. tell: called with the number of steps that were taken, of `count_steps` in all.

    only: which of `MEASURED`; what is left out is empty.
    """
    flow, context = subject.flow, subject.context
    path = flow(subject.start, **context)
    tell(flow.steps)
    said = None if subject.readout is None else read_on_the_way(subject, path.fields)
    readout = find_direction(subject, path.fields, path.final)
    shift, end = account_ends(subject, path.final, readout)
    watch = Watcher(subject, readout)
    if "pushes" in only:
        flow(subject.start, save="final", watch=watch, **context)
        tell(flow.steps)
    start = (subject.place(subject.start).double() @ readout).item() + shift
    missed = find_missed(subject, path.fields, tell) if "missed" in only else {}
    gaps = torch.zeros(0)
    if "gaps" in only:
        gaps = missed_by_steps(flow, path.fields, choose_finest(flow), tell=tell, **context)
    refined = find_refined(subject, path.final, tell) if "refined" in only else []
    orders = find_orders(subject, path.final, tell) if "orders" in only else []
    kernels = torch.stack(watch.kernels) if watch.kernels else torch.zeros(0, 1, 1, 1)
    return Look(
        subject, path.fields, path.final, path.times, said, watch.pushes, start, end, missed, kernels,
        watch.kernel_steps, gaps, refined, orders,
    )  # fmt: skip


def count_steps(flow: Flow, only: Collection[str] = MEASURED) -> int:
    """How many steps a look takes, counted in steps of the flow."""
    refined = list_refined(flow)
    each = dict(pushes=1, missed=1, gaps=choose_finest(flow) + 1, refined=sum(refined[1:]) + 2 * refined[-1])
    each |= dict(orders=len(other_orders(flow)))
    return flow.steps * (1 + sum(each[name] for name in only))


def read_on_the_way(subject: Subject, fields: Tensor) -> Said:
    """What the model would say if it stopped: every field through the last norm and the head (the logit lens)."""
    assert (readout := subject.readout) is not None
    n, depths = fields.shape[-2], pick(len(fields), DEPTHS)
    tokens = [0] if subject.at == 0 else list(range(n))[-TOKENS:]
    seen, of_all = norm_of(subject.flow, fields), subject.at is None and readout.kind == "head"
    tokens = [-1] if of_all else tokens
    whole = [chances(readout, subject.place(seen[k])[None] if of_all else seen[k][tokens]) for k in depths]
    best = [scores.max(-1) for scores in whole]
    words = [[readout.word(int(i)) for i in row.indices] for row in best]
    race = chances(readout, subject.place(seen))  # (depth, word)
    leaders = race[-1].topk(min(3, race.shape[-1])).indices
    times = [k * subject.flow.horizon / subject.flow.steps for k in depths]
    chance = torch.stack([row.values for row in best])
    return Said(times, tokens, words, chance, tuple(readout.word(int(i)) for i in leaders), race[:, leaders].T)


def pick(count: int, most: int) -> list[int]:
    """At most so many of the numbers 0 … count − 1, evenly, with both ends."""
    shown = min(count, most)
    return [round(k * (count - 1) / max(shown - 1, 1)) for k in range(shown)]


def find_direction(subject: Subject, fields: Tensor, final: Tensor) -> Tensor:
    """r in float64: along which the prediction is read, with the last norm as it was at the end.

    With a head: W_a − W_b, the best word before the second, so that the account is in nats. Without one: the direction
    of the whole way over its squared length, so that the account is in shares of that way.
    """
    readout = subject.readout
    if readout is None or readout.kind == "nearest":
        way = subject.place(fields[-1] - fields[0]).double()
        return way / way.square().sum()
    a, b = readout.scores(subject.place(final)).topk(2).indices.tolist()
    r = readout.row(a) - readout.row(b)
    return pull_back(subject.flow.readout, subject.place(fields[-1]).double(), r)


def pull_back(norm: Normalise | None, u: Tensor, r: Tensor) -> Tensor:
    """r' with ⟨r', u⟩ + ⟨r, shift⟩ = ⟨r, N(u)⟩: the last norm at u is a linear map once its divisor is known."""
    if norm is None:
        return r
    r = r if norm.affine is None else r * norm.affine.scale.double()
    projected = norm.constraint.project(u)
    centred = u - u.mean(-1, keepdim=True) if isinstance(norm.constraint, Moments) else u
    r = r - r.mean() if isinstance(norm.constraint, Moments) else r
    return r * (projected.norm() / centred.norm().clamp(min=1e-30))


def account_ends(subject: Subject, final: Tensor, r: Tensor) -> tuple[float, float]:
    """What the last norm's shift and the head's bias add, and the read-out at the end."""
    readout, norm = subject.readout, subject.flow.readout
    if readout is None or readout.kind == "nearest":
        began = subject.place(subject.start).double() @ r
        return -began.item(), 1.0
    scores = readout.scores(subject.place(final))
    (high, low), (a, b) = (z.tolist() for z in scores.topk(2))
    shift = 0.0 if readout.bias is None else (readout.bias[a] - readout.bias[b]).item()
    if norm is not None and norm.affine is not None and norm.affine.shift is not None:
        shift += ((readout.row(a) - readout.row(b)) @ norm.affine.shift.double()).item()
    return shift, high - low


class Watcher:
    """Told of every substep: what it pushed along r, what its heads pushed, its kernel, its constraint."""

    def __init__(self, subject: Subject, readout: Tensor):
        self.subject, self.r = subject, readout
        self.pushes: list[Push] = []
        self.kernels: list[Tensor] = []
        self.kernel_steps: list[int] = []

    def __call__(self, one: Increment) -> None:
        if one.kind == "readout":
            return
        along = lambda a, b: one.share * (self.subject.place(b.double() - a.double()) @ self.r).item()
        heads: tuple[float, ...] = ()
        if attention_of(one) is not None:
            pushed = self.subject.place(by_head(one)) @ self.r
            heads = tuple((one.share * one.dt * pushed).tolist())
        if attention_inside(one) is not None:
            self.kernels.append(kernel_of(one).float())
            self.kernel_steps.append(one.step)
        name = name_of(one.term) if one.term is not None else one.kind
        spread = one.moved.std(-1, correction=0)
        low, middle, high = spread.min().item(), spread.mean().item(), spread.max().item()
        moved, projected = along(one.before, one.moved), along(one.moved, one.after)
        self.pushes.append(Push(one.step, name, moved, projected, heads, (low, middle, high), self.defect(one)))

    def defect(self, one: Increment) -> float | None:
        """Of the projected field; under pre-norm, of the one that the term sees."""
        if isinstance(one.term, PreNorm):
            held: Constraint = one.term.normalise.constraint
            return held.defect(held.project(one.before)).max().item()
        index = [k for k, term in enumerate(self.subject.flow.terms) if type(term) is type(one.term)]
        held = self.subject.flow.constraints[index[0]] if index else None
        return held.defect(one.after).max().item() if isinstance(held, Constraint) else None


def find_missed(subject: Subject, fields: Tensor, tell: Callable[[int], object]) -> dict[str, Tensor]:
    """The margin at the end minus that without a term in one step: the counterfactual beside the account."""
    flow = subject.flow
    terms = {k: name for k, term in enumerate(flow.terms) if (name := name_of(term)) in TERMS}
    ends = ends_without(flow, subject.start, list(terms), tell=tell, **subject.context)
    read = margin_of(subject, fields)
    missed = read(fields[-1]) - read(ends)  # (step, term)
    names = list(terms.values())
    return {name: sum(missed[:, k] for k, other in enumerate(names) if other == name) for name in dict.fromkeys(names)}


def margin_of(subject: Subject, fields: Tensor) -> Callable[[Tensor], Tensor]:
    """Last field ↦ the margin of the best word before the second, or the share of the way. (…, token, feature) → (…)"""
    readout, place = subject.readout, subject.place
    if readout is None or readout.kind == "nearest":
        way = place(fields[-1] - fields[0])
        return lambda last: (place(last - fields[0]) @ way) / way.square().sum()
    a, b = readout.scores(place(norm_of(subject.flow, fields[-1]))).topk(2).indices.tolist()
    r = (readout.row(a) - readout.row(b)).to(fields)
    shift = 0.0 if readout.bias is None else (readout.bias[a] - readout.bias[b]).item()
    return lambda last: place(norm_of(subject.flow, last)) @ r + shift
