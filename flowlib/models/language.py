"""The flow transformer as a language model: embed → flow → read out."""

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.flow.depth import Constant, PerStep, PiecewiseLinear, double_knots
from flowlib.flow.equation import Flow, Trajectory
from flowlib.flow.splitting import INTEGRATORS, get_scheme
from flowlib.models.files import load_tensors, replace_folder, save_tensors
from flowlib.models.vocabulary import Vocabulary
from flowlib.operators import ACTIVATIONS, Attention, Local, Moments, Normalise, Past, PreNorm, Sphere


@dataclass(frozen=True)
class FlowConfig:
    """The shape of a flow transformer."""

    vocabulary: Vocabulary = field(default_factory=Vocabulary.bytes)
    """What a token is."""
    context: int = 64
    """The longest text, in tokens."""
    width: int = 128
    """Features of the field u."""
    heads: int = 4
    """Kernels of the attention term; a divisor of width."""
    layers: int = 4
    """Steps of the flow at Δt = 1."""
    hidden: int = 4
    """Width of the feed-forward network, as a multiple of `width`."""
    norm: str = "post"
    """post: u lives on S1, u_t ∈ A(u) + L(u) − N_S1(u) (Vaswani et al.); sphere: the same on |u| = √width (RMS norm);
    pre: u_t = A(P u) + L(P u), u is free (GPT-2)."""
    scheme: str = "lie"
    """Splitting scheme: lie, strang, additive, symmetrised."""
    depth: str = "per_step"
    """Parameters in depth: per_step (a set for each layer), elastic (continuous in depth, with knots in the middles of
    the layers: the same as per_step in `layers` steps), piecewise_linear (knots at the layers' ends), constant."""
    knots: int | None = None
    """How many sets of parameters; without a number, layers (elastic) or layers + 1 (piecewise_linear)."""
    steps: int | None = None
    """Steps of length layers/steps that the flow takes unless told otherwise; without a number, layers."""
    first: str = "attention"
    """The term that a step begins with: attention or local. Strang with local first is Macaron: half, whole, half."""
    substep: str = "euler"
    """How a term is advanced: euler (the skip connection), midpoint, heun, rk4."""
    tangent: bool = False
    """Whether velocities are made tangent to the constraint, as schemes of order 2 need it."""
    activation: str = "gelu"
    """Of the feed-forward network."""
    bias: bool = False
    """Whether linear maps have one."""
    dropout: float = 0.0
    """The share of u(0), of the kernels and of each increment that is put to zero in training."""

    def __post_init__(self):
        for name in ("context", "width", "heads", "layers", "hidden"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number ≥ 1, got {getattr(self, name)!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be a share from 0 up to, not including, 1, got {self.dropout!r}")
        if self.width % self.heads or self.width < 2:
            raise ValueError(f"width must be a multiple of heads and at least 2, got {self.width} and {self.heads}")
        for name, known in KNOWN.items():
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}")
        get_scheme(self.scheme)
        if self.knots is not None and (self.depth not in WITH_KNOTS or self.knots < 1):
            known = " or ".join(WITH_KNOTS)
            raise ValueError(f"knots must be ≥ 1, and belong to depth {known}; got {self.knots} for {self.depth}")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be a whole number ≥ 1, got {self.steps}")
        if self.tangent and self.norm == "pre":
            raise ValueError("tangent needs a constraint to be tangent to: norm post or sphere, not pre")

    def to_dict(self) -> dict:
        """JSON-ready; a setting of `LATER` that has its default is left out, as older models lack it."""
        default = {f.name: f.default for f in fields(self)}
        return {k: v for k, v in asdict(self).items() if k not in LATER or v != default[k]}

    @staticmethod
    def from_dict(values: dict) -> "FlowConfig":
        known = {f.name for f in fields(FlowConfig)}
        if not isinstance(values, dict) or set(values) - known or not isinstance(values.get("vocabulary"), dict):
            raise ValueError(f"not a flow transformer's configuration; it has {sorted(known)}, this has {list(values)}")
        return FlowConfig(**{**values, "vocabulary": Vocabulary(**values["vocabulary"])})


DEPTHS = {
    "per_step": lambda c: PerStep(c.layers),
    "piecewise_linear": lambda c: PiecewiseLinear(c.knots or c.layers + 1, c.layers),
    "elastic": lambda c: PiecewiseLinear(c.knots or c.layers, c.layers, middles=True),
    "constant": lambda c: Constant(c.layers),
}
KNOWN = {
    "norm": ("post", "pre", "sphere"), "depth": DEPTHS, "first": ("attention", "local"), "substep": INTEGRATORS,
    "activation": ACTIVATIONS,
}
WITH_KNOTS = ("elastic", "piecewise_linear")
KNOTS = "flow.depth.layers."  # how the names of the tensors of a knot (or layer) begin, in a model's state
LATER = ("knots", "steps", "first", "substep", "tangent", "dropout")


class FlowLM(nn.Module):
    """p(next token | text) = softmax(E u(T)),   u(0) = P(E[tokens] + position),   u_t the causal flow of `FlowConfig`.

    model(tokens (batch, token) int64, steps=None) → logits (batch, token, vocabulary), in nats.
    The initial field is token embedding plus a function of position; the read-out is the same embedding E, transposed.
    Raises: ValueError for more tokens than the context, none at all, or tokens outside the vocabulary.
    """

    def __init__(self, config: FlowConfig):
        super().__init__()
        self.config = c = config
        attention = Attention(c.width, c.heads, causal=True, bias=c.bias, dropout=c.dropout)
        local = Local(c.width, c.hidden * c.width, c.activation, bias=c.bias, dropout=c.dropout)
        self.constraint = Sphere(math.sqrt(c.width), c.width * 1e-5) if c.norm == "sphere" else Moments(eps=1e-5)
        constraint, readout = self.constraint, None
        if c.norm == "pre":
            attention, local = (PreNorm(term, Moments(eps=1e-5)) for term in (attention, local))
            constraint, readout = None, Normalise(Moments(eps=1e-5))
        terms = [attention, local] if c.first == "attention" else [local, attention]
        self.embed = nn.Embedding(len(c.vocabulary), c.width)
        self.position = nn.Embedding(c.context, c.width)
        how = dict(substep=c.substep, steps=c.steps, tangent=c.tangent, readout=readout)
        self.flow = Flow(terms, constraint, c.scheme, DEPTHS[c.depth](c), **how)
        self._initialise()

    def forward(self, tokens: Tensor, steps: int | None = None) -> Tensor:
        return self.read_out(self.flow(self.initial_field(tokens), steps, save="final").final)

    def initial_field(self, tokens: Tensor, start: int = 0) -> Tensor:
        """u(·, ·, 0) = P(E[tokens] + position), (…, token, width); `start` is the first token's position."""
        n = start + tokens.shape[-1]
        if not start < n <= self.config.context:
            raise ValueError(
                f"1 to {self.config.context} tokens fit this model, got {n}; cut the text, or train with more context"
            )
        u = F.dropout(self.embed(tokens) + self.position.weight[start:n], self.config.dropout, self.training)
        return u if self.config.norm == "pre" else self.constraint.project(u)

    def read_out(self, u: Tensor) -> Tensor:
        """Logits E u of the next token, (…, token, vocabulary): what the model would say if it stopped at u."""
        return u @ self.embed.weight.T

    def loss(self, tokens: Tensor, targets: Tensor, steps: int | None = None) -> Tensor:
        """−mean log p(target), in nats per token."""
        logits = self(tokens, steps)
        return F.cross_entropy(logits.flatten(0, -2), targets.flatten())

    def parameter_groups(self, weight_decay: float) -> list[dict]:
        """Parameter groups for AdamW: matrices decay, vectors (biases) do not."""
        decayed = [p for p in self.parameters() if p.ndim >= 2]
        rest = [p for p in self.parameters() if p.ndim < 2]
        groups = [dict(params=decayed, weight_decay=weight_decay), dict(params=rest, weight_decay=0.0)]
        return [g for g in groups if g["params"]]

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
        than the context, the window slides, every token gets another position, and the whole window flows each time.
        Raises: ValueError for an empty prompt, one with unknown characters, temperature < 0, top_k < 1, tokens < 0.
        """
        if not prompt:
            raise ValueError("generation needs a prompt of at least one token; try '\\n'")
        if not temperature >= 0 or not math.isfinite(temperature):
            raise ValueError(f"the temperature must be ≥ 0 and finite, got {temperature}")
        if (top_k is not None and top_k < 1) or tokens < 0:
            raise ValueError(f"top_k must be ≥ 1 and tokens ≥ 0, got top_k {top_k} and tokens {tokens}")
        device = self.embed.weight.device
        generator = torch.Generator().manual_seed(torch.seed() if seed is None else seed)
        text = self.config.vocabulary.encode(prompt).to(device)
        past = Past() if keep_past else None
        for _ in range(tokens):
            logits = self._next(text, steps, past if len(text) <= self.config.context else None)
            text = torch.cat([text, _draw(logits, temperature, top_k, generator).to(device)])
        return self.config.vocabulary.decode(text)

    def _next(self, text: Tensor, steps: int | None, past: Past | None) -> Tensor:
        """Logits (vocabulary,) of the token after `text`; what `past` has of the text does not flow again."""
        known = 0 if past is None else past.tokens
        window = text[-self.config.context :]
        u = self.flow(self.initial_field(window[None, known:], known), steps, save="final", past=past).final
        return self.read_out(u[0, -1]).float().cpu()

    @torch.no_grad()
    def trajectory(self, text: str, steps: int | None = None) -> Trajectory:
        """The flow of a text: times (steps+1,), fields (steps+1, token, width)."""
        tokens = self.config.vocabulary.encode(text).to(self.embed.weight.device)
        return self.flow(self.initial_field(tokens), steps)

    def doubled(self) -> "FlowLM":
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

    def save(self, folder: str | Path, tensors: dict[str, Tensor] | None = None) -> Path:
        """folder/model.safetensors and folder/config.json, written beside it first and then put in place.

        tensors: the state, where it had to be gathered first, because its parts lie on several devices.
        """

        def write(new: Path) -> None:
            save_tensors(self.state_dict() if tensors is None else tensors, new / "model.safetensors")
            (new / "config.json").write_text(
                json.dumps(self.config.to_dict(), indent=1, ensure_ascii=False) + "\n", "utf-8"
            )

        return replace_folder(folder, write)

    @staticmethod
    def load(folder: str | Path, device: str | torch.device | None = None) -> "FlowLM":
        """The saved model, in evaluation mode. Loading reads tensors and JSON, and never runs code.

        Raises: FileNotFoundError where a file is missing, ValueError where one is truncated or not this model's.
        """
        folder = Path(folder)
        tensors = load_tensors(folder / "model.safetensors")
        file = folder / "config.json"
        try:
            config = FlowConfig.from_dict(json.loads(file.read_text("utf-8")))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{file} is missing; a saved model is a folder with model.safetensors and config.json"
            ) from None
        except (ValueError, TypeError) as e:
            raise ValueError(f"{file} does not describe a flow transformer ({e})") from None
        model = FlowLM(config)
        try:
            model.load_state_dict(tensors)
        except RuntimeError as e:
            raise ValueError(
                f"{folder / 'model.safetensors'} does not fit its config.json ({str(e).splitlines()[-1].strip()})"
            ) from None
        return model.to(device or "cpu").eval()

    def _initialise(self) -> None:
        """GPT-2's: normal with spread 0.02; the maps that write into u, smaller by √(2 · layers)."""
        for name, p in self.named_parameters():
            if p.ndim < 2:
                nn.init.zeros_(p)
            else:
                writes = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * self.config.layers) if writes else 0.02)


SHIPPED = Path(__file__).parent / "shipped"


def shipped(name: str = "tiny") -> Path:
    """The folder of a trained model that comes with flowlib: its tensors, its metrics, and its card (CARD.md).

    Raises: ValueError for a name that is not there, listing those that are.
    """
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
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)
