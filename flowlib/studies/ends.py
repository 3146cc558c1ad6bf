"""Where variants of a model's flow end, beside its own end: refined flows, other orders of the terms."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from flowlib.flow.equation import Flow
from flowlib.measure.variants import other_orders
from flowlib.models.subject import ReadOut, Subject

LARGE = 100_000_000  # parameters; a larger flow is refined less, so that a look takes minutes


@dataclass(frozen=True)
class End:
    """Where a variant of the flow ends: how far from the flow's own end, in units of the way, and what it says."""

    name: str
    far: float
    word: str
    chance: float
    """Of the word that the flow itself says."""


def choose_finest(flow: Flow) -> int:
    """How many steps take the place of one in a refined flow."""
    return 8 if sum(z.numel() for z in flow.parameters()) > LARGE else 16


def list_refined(flow: Flow) -> list[int]:
    """1, 2, 4, …: steps in the place of one, up to half of the finest (a quarter, where a flow is large)."""
    finest = choose_finest(flow)
    return [k for k in (1, 2, 4, 8) if k <= (finest // 2 if finest == 16 else finest // 4)]


def find_refined(subject: Subject, final: Tensor, tell: Callable[[int], object]) -> list[End]:
    """The refined flows against the finest of them."""
    flow, refined = subject.flow, list_refined(subject.flow)
    run = partial(_find_end, subject, tell)
    finest = run(flow, 2 * flow.steps * refined[-1])
    ends = {k: final if k == 1 else run(flow, flow.steps * k) for k in refined} | {2 * refined[-1]: finest}
    names = {f"{k} step{'s' * (k > 1)} a layer": end for k, end in ends.items()}
    return _compare_ends(subject, final, names, finest)


def find_orders(subject: Subject, final: Tensor, tell: Callable[[int], object]) -> list[End]:
    """The other orders of the terms against the flow's own."""
    ends = {name: _find_end(subject, tell, other, other.steps) for name, other in other_orders(subject.flow).items()}
    return _compare_ends(subject, final, ends, final)


def _find_end(subject: Subject, tell: Callable[[int], object], flow: Flow, steps: int) -> Tensor:
    end = flow(subject.start, steps, save="final", **subject.context).final
    tell(steps)
    return end


def _compare_ends(subject: Subject, final: Tensor, ends: dict[str, Tensor], goal: Tensor) -> list[End]:
    """How far each end is from the goal, and what is said there of what the flow itself says."""
    word = None if subject.readout is None else int(subject.readout.scores(subject.place(final)).argmax())
    way = (goal - norm_of(subject.flow, subject.start)).norm().clamp(min=1e-30)
    return [End(name, ((end - goal).norm() / way).item(), *say(subject, end, word)) for name, end in ends.items()]


def say(subject: Subject, final: Tensor, word: int | None) -> tuple[str, float]:
    """What leads here, and the chance of `word`."""
    if subject.readout is None or word is None:
        return "", float("nan")
    found = chances(subject.readout, subject.place(final))
    return subject.readout.word(int(found.argmax())), found[word].item()


def norm_of(flow: Flow, fields: Tensor) -> Tensor:
    return fields if flow.readout is None else flow.readout(fields)


def chances(readout: ReadOut, u: Tensor) -> Tensor:
    """Probabilities, or cosines where there is no head."""
    scores = readout.scores(u)
    return scores.softmax(-1) if readout.kind == "head" else scores
