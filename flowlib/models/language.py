"""The flow transformer as a language model: embed → flow → read out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.arguments import check_tensor, check_whole
from flowlib.flow.depth import Ready, double_knots
from flowlib.flow.equation import AT_ONCE, Trajectory
from flowlib.flow.twin import twin
from flowlib.models.disk import find_shipped, list_shipped
from flowlib.models.generation import Drawing, draw_tokens, is_count, read_prompts, read_stops, stream_text, write_rows
from flowlib.models.inputs import check_targets, check_text, check_tokens
from flowlib.models.shape import KNOTS, WITH_KNOTS, FlowModel, FlowShape, Steps
from flowlib.models.vocabulary import Vocabulary
from flowlib.operators import Past


@dataclass(frozen=True)
class FlowConfig(FlowShape):
    """The shape of a flow transformer that models text."""

    vocabulary: Vocabulary = field(default_factory=Vocabulary.bytes)
    """What a token is."""
    context: int = 64
    """The longest text, in tokens."""

    COUNTS: ClassVar[tuple[str, ...]] = ("context", *FlowShape.COUNTS)
    REQUIRED: ClassVar[frozenset[str]] = frozenset({"vocabulary"})

    @classmethod
    def from_dict(cls, values: dict) -> "FlowConfig":
        stored = values.get("vocabulary") if isinstance(values, dict) else None
        return super().from_dict(values | {"vocabulary": Vocabulary(**stored)} if isinstance(stored, dict) else values)


class FlowLM(FlowModel):
    """p(next token | text) = softmax(E u(T)),   u(0) = P(E[tokens] + position),   u_t the causal flow of `FlowConfig`.

    model(tokens (batch, token) int64, steps=None) → logits (batch, token, vocabulary), in nats. Several numbers of
    steps, as steps=(4, 8, 16): the batch is split evenly over them, in order.
    The initial field is token embedding plus a function of position; the read-out is the same embedding E, transposed.
    Raises: TypeError for what is no tensor; ValueError for more tokens than the context, none at all, tokens that are
            no whole numbers, or (outside of a compiled step) outside of the vocabulary.
    """

    Config = FlowConfig

    def __init__(self, config: FlowConfig):
        super().__init__(config)
        c = config
        terms = c.terms(causal=True)
        self.constraint = c.constraint()
        self.embed = nn.Embedding(len(c.vocabulary), c.width)
        self.position = nn.Embedding(c.context, c.width)
        self.flow = c.flow(terms, self.constraint)
        self._initialise()

    def forward(self, tokens: Tensor, steps: Steps = None) -> Tensor:
        return self.read_out(self.flow_to_end(self.initial_field(tokens), steps))

    def initial_field(self, tokens: Tensor, start: int = 0, positions: Tensor | None = None) -> Tensor:
        """u(·, ·, 0) = P(E[tokens] + position), (…, token, width); `start` is the first token's position.

        positions: that of each token, where they do not follow each other (a text that is padded on the left).
        """
        check_tokens(tokens, self.embed.num_embeddings, look=self.flow.checks)
        if positions is not None:
            check_tokens(positions, self.config.context, "positions", look=self.flow.checks)
            return self._begin(self.embed(tokens) + self.position(positions))
        n = start + tokens.shape[-1]
        if n > self.config.context:
            raise ValueError(
                f"1 to {self.config.context} tokens fit this model, got {n}; cut the text, or train with more context"
            )
        return self._begin(self.embed(tokens) + self.position.weight[start:n])

    def _begin(self, u: Tensor) -> Tensor:
        if self.config.dropout:
            u = F.dropout(u, self.config.dropout, self.training)
        return u if self.config.norm == "pre" else self.constraint.project(u)

    def read_out(self, u: Tensor) -> Tensor:
        """Logits E u of the next token, (…, token, vocabulary): what the model would say if it stopped at u."""
        check_tensor(u, "u", "a tensor (…, token, width)")
        if u.ndim < 1 or u.shape[-1] != self.config.width:
            raise ValueError(f"u must be (…, token, width = {self.config.width}), got {tuple(u.shape)}")
        return u @ self.embed.weight.T

    def loss(self, tokens: Tensor, targets: Tensor, steps: Steps = None) -> Tensor:
        """−mean log p(target), in nats per token."""
        logits = self(tokens, steps)
        check_targets(targets, logits, look=self.flow.checks)
        return F.cross_entropy(logits.flatten(0, -2), targets.flatten())

    def generate(
        self,
        prompt: str | Sequence[str] | Tensor,
        tokens: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: int | str | Sequence[int | str] | None = None,
        seed: int | None = None,
        steps: int | None = None,
        keep_past: bool = True,
    ) -> Any:
        """The prompt and `tokens` more, each drawn from softmax(logits / temperature) among the top_k likeliest.

        prompt: a text → a text; several → a list of them; numbers (token,) or (batch, token) → the same with more.
        top_p: draw among the fewest likeliest tokens that have this probability together.
        stop: a token (its number or its text), or several, after which a text ends; numbers of a batch are filled up
        with it. temperature 0 takes the likeliest. The same seed gives the same text (on the same machine), whatever
        stands beside it: text number k of a batch is drawn with seed + k. Without one, `torch.manual_seed` says.
        keep_past: keep keys and values of the text so far, so that only the newest token flows. Once the text is longer
        than the context, the window slides, every token gets another position, and the whole window flows each time
        but for the last step, in which it is heard and its last token alone goes on.
        Raises: ValueError for an empty prompt, one with unknown characters, temperature < 0, top_k < 1, tokens < 0, a
                top_p or a stop that is none; TypeError for a prompt that is no text.
        """
        how, stops = Drawing(temperature, top_k, top_p, seed), read_stops(stop, self.config.vocabulary)
        rows = self._read_prompts(prompt, tokens)
        write = partial(write_rows, Pen(self, steps), tokens=tokens, stop=stops, keep_past=keep_past)
        if len({len(row) for row in rows}) == 1:
            written = write(torch.stack(rows), how=how)
        else:  # rows of one length flow together; of others, alone, so that nothing has to be padded
            seeds = how.seeds(len(rows))
            written = [write(row[None], how=replace(how, seed=one))[0] for one, row in zip(seeds, rows)]
        if isinstance(prompt, Tensor):
            most = max(len(row) for row in written)
            filled = torch.stack([torch.cat([row, row[-1:].expand(most - len(row))]) for row in written])
            return filled[0] if prompt.ndim == 1 else filled
        texts = [self.config.vocabulary.decode(row) for row in written]
        return texts[0] if isinstance(prompt, str) else texts

    def stream(
        self,
        prompt: str,
        tokens: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: int | str | Sequence[int | str] | None = None,
        seed: int | None = None,
        steps: int | None = None,
        keep_past: bool = True,
    ) -> Iterator[str]:
        """What `generate` writes after the prompt, piece by piece, as it is drawn.

            for piece in model.stream("the "):
                print(piece, end="", flush=True)

        Raises: as `generate` does, at once.
        """
        check_text(prompt, "prompt")
        how, stops = Drawing(temperature, top_k, top_p, seed), read_stops(stop, self.config.vocabulary)
        rows = torch.stack(self._read_prompts(prompt, tokens))
        drawn = draw_tokens(Pen(self, steps), rows, tokens, how, keep_past)
        return stream_text(drawn, stops, self.config.vocabulary)

    def _read_prompts(self, prompt: Any, tokens: Any) -> list[Tensor]:
        rows = read_prompts(prompt, self.config.vocabulary)
        if not is_count(tokens, 0):
            raise ValueError(f"generation takes tokens ≥ 0, a whole number, got {tokens!r:.80}")
        for row in rows:
            check_tokens(row, len(self.config.vocabulary))
        return [row.to(self.device) for row in rows]

    @torch.no_grad()
    def trajectory(self, text: str, steps: int | None = None) -> Trajectory:
        """The flow of a text: times (steps+1,), fields (steps+1, token, width). Raises: as a call and a prompt do."""
        check_text(text, "text")
        if not text:
            raise ValueError(f"1 to {self.config.context} tokens fit this model, got 0; a text needs one character")
        tokens = self.config.vocabulary.encode(text).to(self.embed.weight.device)
        return self.flow(self.initial_field(tokens), steps)

    def double_knots(self) -> "FlowLM":
        """The same function of the tokens, at any number of steps, with 2K − 1 knots in depth instead of K.

        Error: exact (round-off). Raises: ValueError where the parameters have not 2 knots or more.
        """
        if self.config.depth not in WITH_KNOTS:
            known = " and ".join(WITH_KNOTS)
            raise ValueError(f"only {known} parameters have knots to double, these are {self.config.depth}")
        tensors = double_knots(self.state_dict(), KNOTS)
        finer = FlowLM(replace(self.config, knots=2 * self.flow.depth.copies - 1)).to(self.embed.weight)
        finer.load_state_dict(tensors)
        return finer.train(self.training)


class Pen:
    """A model that writes: what is the same for every token is made once, and what it writes itself is not checked.

    Made once are the parameters between knots and, where the whole window flows each time, the steps of the flow.
    Raises: TypeError, ValueError for what is no number of steps.
    """

    def __init__(self, model: FlowLM, steps: int | None):
        self.config, self.steps = model.config, model.flow.steps if steps is None else steps
        check_whole(self.steps, "steps")
        self.model, flow = twin(model), twin(model.flow)
        self.model.flow, flow.checks = flow, False
        self.maps: list[Any] = []
        if self.steps <= AT_ONCE:
            flow.depth = Ready(flow.depth, self.steps)
            self.maps = flow.maps(model.position.weight, self.steps)

    def next_logits(self, rows: Tensor, past: Past | None = None, last: int | None = None) -> Tensor:
        """Logits (batch, vocabulary) of the token after `rows` (batch, token); what `past` has does not flow again.

        last: 1, so that in the last step the window is heard and its last token alone goes on.
        """
        known = 0 if past is None else past.tokens
        window = rows[:, -self.config.context :]
        u, flow = self.model.initial_field(window[:, known:], known), self.model.flow
        if past is None and self.maps:
            for step in self.maps[:-1]:
                u = step(u)
            u = self.maps[-1](u, last=last)
            u = u if flow.readout is None else flow.readout(u)
        else:
            u = flow(u, self.steps, save="final", past=past, last=last).final
        return self.model.read_out(u[:, -1])


def shipped(name: str = "tiny") -> Path:
    """The folder of a trained model that comes with flowlib: its tensors, its metrics, and its card (CARD.md).

    Raises: ValueError for a name that is not there, listing those that are; TypeError for what is no name.
    """
    check_text(name, "name")
    folder = find_shipped(name)
    if folder is None:
        known = ", ".join(list_shipped()) or "none"
        raise ValueError(f"no trained model {name!r} comes with flowlib; known: {known}; make one with: flowlib train")
    return folder
