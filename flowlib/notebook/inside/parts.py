"""The parts of a look: for each its title, its sentences with measured numbers, its pictures and tables, its claims."""

from collections.abc import Callable, Sequence
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
from flowlib.studies.ends import choose_finest
from flowlib.studies.look import Look

MOST_KERNELS = 2  # side by side, also on a phone
Table = tuple[str, str]  # HTML, and its caption in HTML


@dataclass
class Part:
    """claims: the numbers of those that say what such a number means. pictures: (figure, what one sees)."""

    title: str
    claims: tuple[str, ...]
    words: list[str]
    pictures: list[tuple[Figure, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def has_head(look: Look) -> bool:
    return look.subject.readout is not None and look.subject.readout.kind == "head"


def paths(look: Look) -> Part:
    """The tokens' paths in one fixed plane, and whether they gather."""
    s, plane = look.subject, figures.Plane(look.fields)
    fig = figures.trajectory2d(look.fields, s.tokens, plane=plane)
    caption = (
        f"The {len(s.tokens)} tokens on their way through {s.flow.steps} steps, in the plane in which they spread "
        f"most: {plane.shares[:2].sum():.0%} of the variance lies in it. A ring is the start, a disc the end; "
        "colours follow the order of the text."
    )
    words = ["There is one token, so there is nothing that it could gather with."]
    if len(s.tokens) > 1:
        first, last = (mean_cosine(look.fields[k].double()).item() for k in (0, -1))
        words = [f"The mean cosine of two tokens goes from {first:.2f} at the start to {last:.2f} at the end."]
    return Part("Where the tokens go", ("C9.6", "C11.1"), words, [(fig, caption)])


def said(look: Look) -> Part:
    """What would be said at each depth."""
    s, found = look.subject, look.said
    title, claims = "What would be said on the way", ("C11.1",)
    if found is None:
        return Part(title, (), [escape(s.note or "This model has no read-out, so it says nothing on its way.")])
    unit = "probability" if has_head(look) else "cosine"
    lines = dict(zip(map(mark_spaces, found.leaders), found.race.tolist()))
    fig = drawings.race(look.times.tolist(), lines, unit)
    where = "the mean of all tokens" if s.at is None else f"the token {mark_spaces(s.tokens[s.at])!r}"
    caption = f"At {where}: the {unit} of what leads in the end, if the flow stopped at depth t and were read there."
    end = f"At the end {quote(found.leaders[0])} leads with {unit} {found.race[0, -1]:.3g}."
    words = [end] if has_head(look) else [f"<strong>{escape(s.note)}</strong>", end]
    return Part(title, claims, words, [(fig, caption)], [lens_table(look)])


def lens_table(look: Look) -> Table:
    """Rows: depths; columns: the last tokens; a cell is tinted by its chance."""
    s, found = look.subject, look.said
    names = ["mean"] if found.tokens == [-1] else [mark_spaces(s.tokens[k]) for k in found.tokens]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = zip(found.times, found.words, found.chance.tolist())
    body = "".join(f'<tr><th scope="row">t = {t:g}</th>{lens_cells(row, chance)}</tr>' for t, row, chance in rows)
    words = "What leads at each depth, for the last tokens; the stronger a cell's colour, the surer."
    top = f'<thead><tr><th scope="col">depth</th>{head}</tr></thead>'
    return f'<table class="lens">{top}<tbody>{body}</tbody></table>', words


def lens_cells(words: Sequence[str], chances: Sequence[float]) -> str:
    return "".join(
        f'<td style="--share: {max(p, 0):.2f}" title="{p:.3g}">{escape(mark_spaces(word))}</td>'
        for word, p in zip(words, chances)
    )


def account(look: Look) -> Part:
    """What each term pushed the prediction by, and what is missed without it."""
    moved = sum_by_step(look)
    fig = drawings.pushes_by_step(moved, look.start, "nats" if has_head(look) else "share of the way")
    total = look.start + sum(one.term + one.projection for one in look.pushes)
    what = "Without a head there is no margin. The account is of the way from start to end, which"
    if has_head(look):
        what = f"The margin of {quote(look.said.leaders[0])} before {quote(look.said.leaders[1])}"
    words = [
        f"{what} begins at {look.start:.3f} and ends at {look.end:.3f}; the pushes add up to it but for "
        f"{abs(total - look.end):.1e}.",
        "What a term pushed, and what is missed without it, answer two questions. The table has both.",
    ]
    caption = "What each term moved the prediction by at each step, and the sum so far, which ends at the read-out."
    rows = missed_table(look, moved)
    return Part("Which term moved the prediction", ("C9.1", "C9.2"), words, [(fig, caption)], [rows])


def sum_by_step(look: Look) -> dict[str, list[float]]:
    """Name → what it moved in each step."""
    steps = look.subject.flow.steps
    moved: dict[str, list[float]] = {}
    for one in look.pushes:
        for name, by in ((one.name, one.term), ("projection", one.projection)):
            if by or name in moved:
                moved.setdefault(name, [0.0] * steps)[min(one.step, steps - 1)] += by
    return moved


def missed_table(look: Look, moved: dict[str, list[float]]) -> Table:
    """The steps that pushed or are missed most."""
    rows = [
        (step, name, moved[name][step], missed)
        for name, values in look.missed.items()
        for step, missed in enumerate(values.tolist())
    ]
    rows = sorted(rows, key=lambda row: -max(abs(row[2]), abs(row[3])))[:8]
    body = [(f"{step + 1}", escape(name), f"{push:+.3f}", f"{miss:+.3f}") for step, name, push, miss in rows]
    return table(("step", "term", "pushed", "missed without it"), body, "The largest of them.")


def kernels(look: Look) -> Part:
    """Whom the heads hear."""
    s, title = look.subject, "Whom a token hears"
    if not len(look.kernels):
        return Part(title, (), ["This flow has no attention."])
    counts = heard_tokens(look.kernels).mean(-1)
    few, many = counts.min(), counts.max()
    chosen = {f"step {look.kernel_steps[k] + 1}, head {h + 1}": look.kernels[k, h] for k, h in find_strongest(look)}
    words = [
        f"A token hears {few:.1f} to {many:.1f} of the {len(s.tokens)} tokens, by head and step, in the mean over "
        "listeners."
    ]
    caption = (
        "How many tokens each head hears: e to the entropy of its rows, in the mean over listeners. No colour: one."
    )
    first = (drawings.heard(counts.numpy(), look.kernel_steps), caption)
    by = "that pushed the prediction most" if any(one.heads for one in look.pushes) else "that hear fewest"
    caption = f"The kernels of the heads {by}: each row is a token that listens, each column one that is heard."
    return Part(title, ("C9.3",), words, [first, (figures.kernels(chosen, s.tokens), caption)])


def find_strongest(look: Look) -> list[tuple[int, int]]:
    """(substep, head) of those that pushed most; where heads cannot be told apart, of those that hear fewest."""
    told = [one.heads for one in look.pushes if one.heads]
    if len(told) == len(look.kernels):
        pairs = [(k, h) for k, row in enumerate(told) for h in range(len(row))]
        return sorted(pairs, key=lambda pair: -abs(told[pair[0]][pair[1]]))[:MOST_KERNELS]
    counts = heard_tokens(look.kernels).mean(-1).numpy()
    order = np.argsort(counts, axis=None)[:MOST_KERNELS]
    return [tuple(int(i) for i in np.unravel_index(k, counts.shape)) for k in order]


def refined(look: Look) -> Part:
    """One step against its own refined flow, and what the refined flow says."""
    finest = choose_finest(look.subject.flow)
    caption = f"How far one step ends from the flow of its own terms in {finest} small steps: a share of that way."
    words = [
        f"One step misses its own refined flow by {look.gaps.min():.2f} to {look.gaps.max():.2f} of its way "
        f"(the refined one still errs by about 1/{finest} of that)."
    ]
    ends = ends_table(look, look.refined, "from the finest")
    pictures = [(drawings.gaps(look.gaps.tolist()), caption)]
    return Part("One step and its own refined flow", ("C6.7", "C7.2"), words, pictures, [ends])


def order(look: Look) -> Part:
    """What another order of the terms does."""
    words = [
        "The same terms with the same parameters, taken in another order. In the limit of small steps the order would "
        "not matter; at Δt = 1 this is what it does."
    ]
    rows = ends_table(look, look.orders, "from the model's own end")
    return Part("Another order of the terms", ("C0.3", "C6.7"), words, [], [rows])


def ends_table(look: Look, ends: Sequence[Any], far: str) -> Table:
    """Where variants end, and what they say."""
    readout, said_so = look.subject.readout, "Distances are shares of the way."
    if readout is None:
        return table(("variant", f"distance {far}"), [(one.name, f"{one.far:.3f}") for one in ends], said_so)
    own = quote(look.said.leaders[0])
    head = ("variant", f"distance {far}", "says", f"{'probability' if has_head(look) else 'cosine'} of {own}")
    body = [(escape(one.name), f"{one.far:.3f}", quote(one.word), f"{one.chance:.3g}") for one in ends]
    return table(head, body, f"{said_so} The model itself says {own}.")


def constraint(look: Look) -> Part:
    """Where the constraint holds, and what the field does between projections."""
    held = any(one.defect is not None and one.projection for one in look.pushes)
    defects = [one.defect for one in look.pushes if one.defect is not None]
    at = [1 + k * look.subject.flow.steps / len(look.pushes) for k in range(len(look.pushes))]
    low, middle, high = (np.array([one.spread[k] for one in look.pushes]) for k in range(3))
    where = (
        "The field is projected after each term" if held else "The field itself is free; each term sees its projection"
    )
    worst = f" The projected field misses its set by {max(defects):.1e} at most." if defects else ""
    words = [f"{where}.{worst} Between, the tokens' spread over the features is {low.min():.3g} to {high.max():.3g}."]
    caption = (
        "The spread of the tokens over their features after each term, before any projection: the mean over tokens, "
        "and from the smallest to the largest."
    )
    claims = ("C0.2", "C4.1", "C4.6") if held else ("C4.9", "C4.1", "C4.6")
    pictures = [(drawings.spreads(at, low, middle, high, held), caption)]
    return Part("Where the constraint holds", claims, words, pictures)


def quote(word: str) -> str:
    return f"<code>{escape(mark_spaces(word))}</code>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> Table:
    """An HTML table and its caption. Heads and cells are HTML already."""
    top = "".join(f'<th scope="col">{z}</th>' for z in head)
    body = "".join("<tr>" + "".join(f"<td>{z}</td>" for z in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>", caption


PARTS: dict[str, Callable[[Look], Part]] = {
    "paths": paths,
    "said": said,
    "account": account,
    "kernels": kernels,
    "refined": refined,
    "constraint": constraint,
    "order": order,
}

NEEDS: dict[str, tuple[str, ...]] = {  # of what is measured (studies.look.MEASURED), beside the path
    "paths": (),
    "said": (),
    "account": ("pushes", "missed"),
    "kernels": ("pushes",),
    "refined": ("gaps", "refined"),
    "constraint": ("pushes",),
    "order": ("orders",),
}
