"""The parts of a look: for each its title, its sentences with measured numbers, its pictures and tables, its claims."""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from flowlib.measure.clustering import mean_cosine
from flowlib.measure.kernels import heard_tokens
from flowlib.notebook import figures
from flowlib.notebook.figures.canvas import mark_spaces
from flowlib.notebook.inside import drawings
from flowlib.studies.look import Look, choose_finest, list_refined

MOST_KERNELS = 4


@dataclass
class Part:
    """claims: the numbers of those that say what such a number means. pictures: (figure, what one sees)."""

    title: str
    claims: tuple[str, ...]
    words: list[str]
    pictures: list[tuple[Figure, str]] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)


def paths(look: Look) -> Part:
    """The tokens' paths in one fixed plane, and whether they gather."""
    s, plane = look.subject, figures.Plane(look.fields)
    first, last = (
        (mean_cosine(u.double()).item() for u in (look.fields[0], look.fields[-1])) if len(s.tokens) > 1 else (1, 1)
    )
    fig = figures.trajectory2d(look.fields, s.tokens, plane=plane)
    shares = plane.shares[:2].sum()
    caption = (
        f"The {len(s.tokens)} tokens on their way through {s.flow.steps} steps, in the plane in which they spread most: "
        f"{shares:.0%} of the variance lies in it. A ring is the start, a disc the end; dark paths come first in the text."
    )
    words = [f"The mean cosine of two tokens goes from {first:.2f} at the start to {last:.2f} at the end."]
    return Part("Where the tokens go", ("C9.6", "C11.1"), words, [(fig, caption)])


def said(look: Look) -> Part:
    """What would be said at each depth."""
    s, found = look.subject, look.said
    title, claims = "What would be said on the way", ("C7.2",)
    if found is None:
        return Part(title, (), [escape(s.note or "This model has no read-out, so it says nothing on its way.")])
    head = s.readout is not None and s.readout.kind == "head"
    unit = "probability" if head else "cosine"
    lines = dict(zip(map(mark_spaces, found.leaders), found.race.tolist()))
    fig = drawings.race(look.times.tolist(), lines, unit)
    where = "the mean of all tokens" if s.at is None else f"the token {mark_spaces(s.tokens[s.at])!r}"
    caption = f"At {where}: the {unit} of what leads in the end, if the flow stopped at depth t and were read there."
    end = f"At the end {quote(found.leaders[0])} leads with {unit} {found.race[0, -1]:.3f}."
    words = [end] if head else [f"<strong>{escape(s.note)}</strong>", end]
    return Part(title, claims, words, [(fig, caption)], [lens_table(look)])


def lens_table(look: Look) -> str:
    """Rows: depths; columns: the last tokens; a cell is tinted by its chance."""
    s, found = look.subject, look.said
    names = ["mean"] if found.tokens == [-1] else [mark_spaces(s.tokens[k]) for k in found.tokens]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">t = {t:g}</th>'
        + "".join(
            f'<td style="--share: {max(p, 0):.2f}" title="{p:.3f}">{escape(mark_spaces(word))}</td>'
            for word, p in zip(row, chance)
        )
        + "</tr>"
        for t, row, chance in zip(found.times, found.words, found.chance.tolist())
    )
    words = "What leads at each depth, for the last tokens; the darker a cell, the surer. Each column is named by its token."
    return f'<table class="lens"><caption>{words}</caption><thead><tr><th scope="col">depth</th>{head}</tr></thead><tbody>{rows}</tbody></table>'


def account(look: Look) -> Part:
    """What each term pushed the prediction by, and what is missed without it."""
    s, steps = look.subject, look.subject.flow.steps
    moved: dict[str, list[float]] = {}
    for one in look.pushes:
        moved.setdefault(one.name, [0.0] * steps)[min(one.step, steps - 1)] += one.term
        if one.projection:
            moved.setdefault("projection", [0.0] * steps)[min(one.step, steps - 1)] += one.projection
    head = s.readout is not None and s.readout.kind == "head"
    unit = "nats, best word before the second" if head else "share of the way"
    fig = drawings.pushes_by_step(moved, look.start, unit)
    total = look.start + sum(one.term + one.projection for one in look.pushes)
    what = (
        f"The margin of {quote(look.said.leaders[0])} before {quote(look.said.leaders[1])}" if head
        else "Without a head there is no margin to account for; the account here is of the way from start to end, and it"
    )  # fmt: skip
    verb = "begins at" if head else "begins at"
    words = [
        f"{what} {verb} {look.start:.3f} and ends at {look.end:.3f}; the pushes add up to it but for "
        f"{abs(total - look.end):.1e}.",
        "What a term pushed, and what is missed without it, answer two questions. The table has both.",
    ]
    caption = (
        "What each term moved the prediction by at each step, and the sum so far, which ends at the read-out itself."
    )
    return Part(
        "Which term moved the prediction", ("C9.1", "C9.2"), words, [(fig, caption)], [missed_table(look, moved)]
    )


def missed_table(look: Look, moved: dict[str, list[float]]) -> str:
    """The steps that pushed or are missed most."""
    rows = [
        (step, name, moved[name][step], values[step].item())
        for name, values in look.missed.items()
        for step in range(len(values))
    ]
    rows = sorted(rows, key=lambda row: -max(abs(row[2]), abs(row[3])))[:8]
    body = [(f"{step + 1}", escape(name), f"{push:+.3f}", f"{miss:+.3f}") for step, name, push, miss in rows]
    return table(("step", "term", "pushed", "missed without it"), body, "The largest of them.")


def kernels(look: Look) -> Part:
    """Whom the heads hear."""
    s = look.subject
    if not len(look.kernels):
        return Part("Whom a token hears", (), ["This flow has no attention."])
    counts = heard_tokens(look.kernels).mean(-1)
    strongest = find_strongest(look)
    chosen = {f"step {look.kernel_steps[k] + 1}, head {h + 1}": look.kernels[k, h] for k, h in strongest}
    n = len(s.tokens)
    words = [
        f"A token hears {counts.min():.1f} to {counts.max():.1f} of the {n} tokens, by head and step, in the mean over listeners."
    ]
    first = (
        drawings.heard(counts.numpy(), look.kernel_steps),
        "How many tokens each head hears, e to the entropy of its rows, in the mean over the listeners. Pale heads hear one.",
    )
    pushes = any(one.heads for one in look.pushes)
    by = "that pushed the prediction most" if pushes else "that hear fewest"
    second = (
        figures.kernels(chosen, s.tokens),
        f"The kernels of the heads {by}: each row is a token that listens, each column one that is heard.",
    )
    return Part("Whom a token hears", ("C9.3",), words, [first, second])


def find_strongest(look: Look) -> list[tuple[int, int]]:
    """(substep, head) of those that pushed most; where heads cannot be told apart, of those that hear fewest."""
    told = [one.heads for one in look.pushes if one.heads]
    if len(told) == len(look.kernels):
        pairs = sorted(
            ((k, h) for k, row in enumerate(told) for h in range(len(row))), key=lambda p: -abs(told[p[0]][p[1]])
        )
        return pairs[:MOST_KERNELS]
    counts = heard_tokens(look.kernels).mean(-1).numpy()
    order = np.argsort(counts, axis=None)[:MOST_KERNELS]
    return [tuple(int(i) for i in np.unravel_index(k, counts.shape)) for k in order]


def refined(look: Look) -> Part:
    """One step against its own refined flow, and what the refined flow says."""
    flow, finest = look.subject.flow, choose_finest(look.subject.flow)
    fig = drawings.gaps(look.gaps.tolist())
    caption = (
        f"How far one step ends from the flow of its own terms in {finest} small steps, as a share of that flow's way."
    )
    words = [
        f"One step misses its own refined flow by {look.gaps.min():.2f} to {look.gaps.max():.2f} of its way "
        f"(the refined one still errs by about 1/{finest} of that)."
    ]
    count = len(list_refined(flow)) + 1
    return Part(
        "One step and its own refined flow",
        ("C6.7", "C7.2"),
        words,
        [(fig, caption)],
        [ends_table(look, look.ends[:count], "from the finest")],
    )


def order(look: Look) -> Part:
    """What another order of the terms does."""
    ends = look.ends[len(list_refined(look.subject.flow)) + 1 :]
    words = [
        "The same terms with the same parameters, taken in another order. In the limit of small steps the order would not matter; at Δt = 1 this is what it does."
    ]
    return Part(
        "Another order of the terms", ("C0.3", "C6.7"), words, [], [ends_table(look, ends, "from the model's own end")]
    )


def ends_table(look: Look, ends, far: str) -> str:
    """Where variants end, and what they say."""
    readout = look.subject.readout
    if readout is None:
        return table(
            ("variant", f"distance {far}"),
            [(one.name, f"{one.far:.3f}") for one in ends],
            "Distances are shares of the way.",
        )
    unit = "probability" if readout.kind == "head" else "cosine"
    own = quote(look.said.leaders[0])
    head = ("variant", f"distance {far}", "says", f"{unit} of {own}")
    body = [(escape(one.name), f"{one.far:.3f}", quote(one.word), f"{one.chance:.3f}") for one in ends]
    return table(head, body, f"Distances are shares of the way. The model itself says {own}.", raw_head=True)


def constraint(look: Look) -> Part:
    """Where the constraint holds, and what the field does between projections."""
    held = any(one.defect is not None and one.projection for one in look.pushes)
    defects = [one.defect for one in look.pushes if one.defect is not None]
    at = [1 + k * look.subject.flow.steps / len(look.pushes) for k in range(len(look.pushes))]
    low, middle, high = (np.array([one.spread[k] for one in look.pushes]) for k in range(3))
    fig = drawings.spreads(at, low, middle, high, held)
    where = (
        "The field is projected after each term" if held else "The field itself is free; each term sees its projection"
    )
    worst = f" The projected field misses its set by {max(defects):.1e} at most." if defects else ""
    words = [f"{where}.{worst} Between, the tokens' spread over the features is {low.min():.3g} to {high.max():.3g}."]
    caption = "The spread of the tokens over their features after each term, before any projection: the mean over tokens, and from the smallest to the largest."
    claims = ("C0.2", "C4.1", "C4.6") if held else ("C4.9", "C4.1", "C4.6")
    return Part("Where the constraint holds", claims, words, [(fig, caption)])


def quote(word: str) -> str:
    return f"<code>{escape(mark_spaces(word))}</code>"


def table(head, rows, caption: str, raw_head: bool = False) -> str:
    """An HTML table. Cells are HTML already."""
    top = "".join(f'<th scope="col">{z if raw_head else escape(z)}</th>' for z in head)
    body = "".join("<tr>" + "".join(f"<td>{z}</td>" for z in row) + "</tr>" for row in rows)
    return f"<table><caption>{caption}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


PARTS: dict[str, Callable[[Look], Any]] = {
    "paths": paths,
    "said": said,
    "account": account,
    "kernels": kernels,
    "refined": refined,
    "constraint": constraint,
    "order": order,
}
