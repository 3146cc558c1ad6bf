"""The flow transformer as a language model: embed → flow → read out."""

import math
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.arguments import check_tensor, check_whole
from flowlib.flow.depth import Ready, double_knots
from flowlib.flow.equation import AT_ONCE, Flow, Trajectory
from flowlib.flow.twin import twin
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

    def initial_field(self, tokens: Tensor, start: int = 0) -> Tensor:
        """u(·, ·, 0) = P(E[tokens] + position), (…, token, width); `start` is the first token's position."""
        check_tokens(tokens, self.embed.num_embeddings, look=self.flow.checks)
        n = start + tokens.shape[-1]
        if n > self.config.context:
            raise ValueError(
                f"1 to {self.config.context} tokens fit this model, got {n}; cut the text, or train with more context"
            )
        u = F.dropout(self.embed(tokens) + self.position.weight[start:n], self.config.dropout, self.training)
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

    @torch.no_grad()
    def generate(
        self,
        prompt: str,
        tokens: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
        steps: int | None = None,
        keep_past: bool = True,
    ) -> str:
        """The prompt and `tokens` more, each drawn from softmax(logits / temperature) among the top_k likeliest.

        temperature 0 takes the likeliest. The same seed gives the same text (on the same machine).
        keep_past: keep keys and values of the text so far, so that only the newest token flows. Once the text is longer
        than the context, the window slides, every token gets another position, and the whole window flows each time
        but for the last step, in which it is heard and its last token alone goes on.
        Raises: ValueError for an empty prompt, one with unknown characters, temperature < 0, top_k < 1, tokens < 0;
                TypeError for a prompt that is no text.
        """
        _check_drawing(prompt, tokens, temperature, top_k, seed)
        device = self.embed.weight.device
        generator = torch.Generator().manual_seed(torch.seed() if seed is None else seed)
        text = self.config.vocabulary.encode(prompt).to(device)
        past, last = (Past(), 1) if keep_past else (None, None)
        flow, steps = twin(self.flow), self.flow.steps if steps is None else steps
        check_whole(steps, "steps")
        if steps <= AT_ONCE:
            flow.depth = Ready(flow.depth, steps)
        for _ in range(tokens):
            logits = self._next(flow, steps, text, past if len(text) <= self.config.context else None, last)
            text = torch.cat([text, _draw(logits, temperature, top_k, generator).to(device)])
        return self.config.vocabulary.decode(text)

    def _next(self, flow: Flow, steps: int, text: Tensor, past: Past | None, last: int | None) -> Tensor:
        """Logits (vocabulary,) of the token after `text`; what `past` has of the text does not flow again."""
        known = 0 if past is None else past.tokens
        window = text[-self.config.context :]
        u0 = self.initial_field(window[None, known:], known)
        u = flow(u0, steps, save="final", past=past, last=last).final
        return self.read_out(u[0, -1]).float().cpu()

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


SHIPPED = Path(__file__).parent / "shipped"


def shipped(name: str = "tiny") -> Path:
    """The folder of a trained model that comes with flowlib: its tensors, its metrics, and its card (CARD.md).

    Raises: ValueError for a name that is not there, listing those that are; TypeError for what is no name.
    """
    check_text(name, "name")
    folder = SHIPPED / name
    if not (folder / "model.safetensors").is_file():
        known = ", ".join(sorted(f.parent.name for f in SHIPPED.glob("*/model.safetensors"))) or "none"
        raise ValueError(f"no trained model {name!r} comes with flowlib; known: {known}; make one with: flowlib train")
    return folder


def _draw(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator) -> Tensor:
    """One token (1,) from softmax(logits / temperature) over the top_k likeliest."""
    if temperature == 0:
        return logits.argmax(keepdim=True)
    if top_k is not None:
        least = logits.topk(min(top_k, len(logits))).values[-1]
        logits = logits.masked_fill(logits < least, -math.inf)
    scaled = logits / temperature
    if scaled.isposinf().any() or scaled.isnan().any():  # a temperature so small that only the likeliest are left
        scaled = (logits - logits.max()).double() / temperature
    return torch.multinomial(scaled.softmax(-1), 1, generator=generator)


def _check_drawing(prompt: Any, tokens: Any, temperature: Any, top_k: Any, seed: Any) -> None:
    """Raises: as `FlowLM.generate` does."""
    check_text(prompt, "prompt")
    if not prompt:
        raise ValueError("generation needs a prompt of at least one token; try '\\n'")
    if not _is_count(tokens, 0) or not (top_k is None or _is_count(top_k, 1)):
        raise ValueError(f"top_k must be ≥ 1 and tokens ≥ 0, whole numbers, got top_k {top_k!r} and tokens {tokens!r}")
    if not isinstance(temperature, (int, float)) or not 0 <= temperature < math.inf:
        raise ValueError(f"the temperature must be ≥ 0 and finite, got {temperature!r:.80}")
    if seed is not None and not (_is_count(seed, -(2**63)) and seed < 2**64):
        raise ValueError(f"the seed must be a whole number of at most 64 bits, got {seed!r:.80}")


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least
