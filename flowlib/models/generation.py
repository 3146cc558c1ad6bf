"""Text from a model, one token after the other: how a token is drawn, and what is told when it is."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol

import torch
from torch import Tensor

from flowlib.models.inputs import check_text
from flowlib.models.vocabulary import Vocabulary
from flowlib.operators import Past


class Writer(Protocol):
    """What text is drawn from: the logits (batch, vocabulary) of the token after `rows` (batch, token)."""

    config: Any

    def next_logits(self, rows: Tensor, past: Past | None, last: int | None) -> Tensor: ...


@dataclass(frozen=True)
class Drawing:
    """How a token is drawn: from softmax(logits / temperature), among the top_k likeliest, and among the fewest that
    are likelier than top_p together; temperature 0 takes the likeliest.

    Raises: ValueError for a temperature < 0, top_k < 1, a top_p outside of (0, 1], a seed that is no whole number.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not (self.top_k is None or is_count(self.top_k, 1)):
            raise ValueError(f"top_k must be ≥ 1, a whole number, got {self.top_k!r:.80}")
        if not isinstance(self.temperature, (int, float)) or not 0 <= self.temperature < math.inf:
            raise ValueError(f"the temperature must be ≥ 0 and finite, got {self.temperature!r:.80}")
        if self.top_p is not None and not (isinstance(self.top_p, (int, float)) and 0 < self.top_p <= 1):
            raise ValueError(f"top_p must be a share, above 0 and at most 1, got {self.top_p!r:.80}")
        if self.seed is not None and not (is_count(self.seed, -(2**63)) and self.seed < 2**64):
            raise ValueError(f"the seed must be a whole number of at most 64 bits, got {self.seed!r:.80}")

    def seeds(self, rows: int) -> list[int]:
        """One for each text, so that a text does not depend on those beside it: row k has the seed + k.

        Without a seed the first is drawn from torch's own generator, which `torch.manual_seed` sets.
        """
        first = int(torch.randint(2**62, ())) if self.seed is None else int(self.seed)
        return [(first + k) % 2**63 if k else first for k in range(rows)]

    def generators(self, rows: int) -> list[torch.Generator]:
        """One for each text, from its seed."""
        return [torch.Generator().manual_seed(seed) for seed in self.seeds(rows)]

    def draw(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """One token (1,) from logits (vocabulary,)."""
        if self.temperature == 0:
            return logits.argmax(keepdim=True)
        if self.top_k is not None:
            least = logits.topk(min(self.top_k, len(logits))).values[-1]
            logits = logits.masked_fill(logits < least, -math.inf)
        chances = (logits if self.temperature == 1 else logits / self.temperature).softmax(-1)
        if self.temperature < 1e-6 and chances[0].isnan():  # all are: so small that only the likeliest are left
            chances = ((logits - logits.max()).double() / self.temperature).softmax(-1)
        if self.top_p is not None:
            chances = keep_likeliest(chances, self.top_p)
        return torch.multinomial(chances, 1, generator=generator)


def keep_likeliest(chances: Tensor, share: float) -> Tensor:
    """The likeliest that make up the share together (one at least), the others 0: (vocabulary,) → the same."""
    ranked, order = chances.sort(descending=True)
    before = ranked.cumsum(-1) - ranked
    return torch.zeros_like(chances).scatter(0, order, ranked.masked_fill(before >= share, 0.0))


@torch.no_grad()
def draw_tokens(model: Writer, rows: Tensor, tokens: int, how: Drawing, keep_past: bool) -> Iterator[Tensor]:
    """The next token of each row (batch,), and so on: rows (batch, token) of one length flow together."""
    past, last = (Past(), 1) if keep_past else (None, None)
    generators = how.generators(len(rows))
    for _ in range(tokens):
        kept = past if rows.shape[-1] <= model.config.context else None  # else the window slides
        logits = model.next_logits(rows, kept, last).float().cpu()
        new = torch.cat([how.draw(*pair) for pair in zip(logits, generators)]).to(rows.device)
        rows = torch.cat([rows, new[:, None]], -1)
        yield new


def write_rows(model: Writer, rows: Tensor, tokens: int, stop: set[int], how: Drawing, keep_past: bool) -> list[Tensor]:
    """Each row with what was drawn after it, up to a token of `stop`, which is its last."""
    found = [[new] for new in rows.unbind(0)]
    open_rows = set(range(len(rows)))
    for new in draw_tokens(model, rows, tokens, how, keep_past):
        for k in sorted(open_rows):
            found[k].append(new[k : k + 1])
            if stop and int(new[k]) in stop:
                open_rows.discard(k)
        if not open_rows:
            break
    return [torch.cat(pieces) for pieces in found]


def stream_text(drawn: Iterator[Tensor], stop: set[int], vocabulary: Vocabulary) -> Iterator[str]:
    """What is written, piece by piece; a letter of several tokens comes when it is whole."""
    waiting: list[int] = []
    for new in drawn:
        waiting.append(int(new[0]))
        text = vocabulary.decode(waiting)
        if not text.endswith("�") or len(waiting) > 3:
            yield text
            waiting = []
        if int(new[0]) in stop:
            break
    if waiting:
        yield vocabulary.decode(waiting)


def read_prompts(prompt: Any, vocabulary: Vocabulary) -> list[Tensor]:
    """The rows (token,) of a prompt: a text, several texts, or whole numbers (token,) or (batch, token).

    Raises: ValueError for a row without a token, TypeError for what is none of these.
    """
    if isinstance(prompt, Tensor):
        if prompt.ndim not in (1, 2) or prompt.dtype not in (torch.int64, torch.int32):
            raise ValueError(
                f"a prompt of numbers must be whole (token,) or (batch, token), got {prompt.dtype} of shape "
                f"{tuple(prompt.shape)}"
            )
        rows = list(torch.atleast_2d(prompt).long())
    else:
        texts = prompt if isinstance(prompt, Sequence) and not isinstance(prompt, str | bytes) else [prompt]
        for text in texts:
            check_text(text, "prompt")
        rows = [vocabulary.encode(text) for text in texts]
    if not rows or any(not len(row) for row in rows):
        raise ValueError("generation needs a prompt of at least one token; try '\\n'")
    return rows


def read_stops(stop: Any, vocabulary: Vocabulary) -> set[int]:
    """The numbers of the tokens that end a text: a number, a text of one token, or several of these.

    Raises: ValueError for a text that is not one token, TypeError for what is neither.
    """
    found = set()
    for one in stop if isinstance(stop, (list, tuple, set, frozenset)) else () if stop is None else (stop,):
        if not is_count(one, 0):
            check_text(one, "stop")
            numbers = vocabulary.encode(one).tolist()
            if len(numbers) != 1:
                raise ValueError(f"stop must be one token, and {one!r:.40} is {len(numbers)}; give the last of them")
            one = numbers[0]
        if int(one) >= len(vocabulary):
            raise ValueError(f"stop must be in 0 … {len(vocabulary) - 1}, got {one}")
        found.add(int(one))
    return found


def is_count(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least
