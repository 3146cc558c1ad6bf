"""What every model here has in common: the shape of its flow, how it begins, and how it is kept on disk."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from flowlib.arguments import is_a, say_kind
from flowlib.fields import Grid
from flowlib.files import load_tensors
from flowlib.flow.depth import Constant, Depth, PerStep, PiecewiseLinear, Terraced
from flowlib.flow.equation import Flow
from flowlib.flow.splitting import INTEGRATORS, get_scheme
from flowlib.models.disk import TENSORS, check_folder, fill, find_device, read_config, save_model
from flowlib.models.hub import check_class, find_pretrained, push, read_card, save_for_hub
from flowlib.operators import ACTIVATIONS, Attention, Constraint, Local, Moments, Normalise, PreNorm, Sphere, Term

Steps = int | Sequence[int] | None  # of a flow: one number, several to split a batch over, or the model's own


@dataclass(frozen=True, kw_only=True)
class FlowShape:
    """The shape of a flow, whatever flows in it: letters, patches of a picture, points of a surface."""

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
    """Parameters in depth: per_step (a set for each layer), constant, piecewise_linear (knots at the layers' ends),
    elastic or terraced (knots in their middles: as per_step in `layers` steps; constant around each, if terraced)."""
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

    COUNTS: ClassVar[tuple[str, ...]] = ("width", "heads", "layers", "hidden")

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is not ClassVar and not is_a(kind, value := getattr(self, name)):
                raise ValueError(f"{name} must be {say_kind(kind)}, got {value!r:.80}")
        for name in self.COUNTS:
            if getattr(self, name) < 1:
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
            of = " or ".join(WITH_KNOTS)
            raise ValueError(f"knots must be ≥ 1, and belong to depth {of}; got {self.knots} for {self.depth}")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be a whole number ≥ 1, got {self.steps}")
        if self.tangent and self.norm == "pre":
            raise ValueError("tangent needs a constraint to be tangent to: norm post or sphere, not pre")

    def to_dict(self) -> dict:
        """JSON-ready; a setting of `LATER` that has its default is left out, as older models lack it."""
        default = {f.name: f.default for f in fields(self)}
        return {k: v for k, v in asdict(self).items() if k not in LATER or v != default[k]}

    @classmethod
    def from_dict(cls, values: dict) -> Self:
        """Raises: ValueError for what is no dictionary, and for a setting that is unknown, or that must be there."""
        known = cls.names()
        if not isinstance(values, dict):
            raise ValueError(f"not a flow transformer's configuration, but {values!r:.80}; it has {sorted(known)}")
        if set(values) - known or not cls.REQUIRED <= set(values):
            raise ValueError(
                f"not a flow transformer's configuration; unknown: {sorted(set(values) - known)}, missing: "
                f"{sorted(cls.REQUIRED - set(values))}; it has {sorted(known)}"
            )
        return cls(**values)

    REQUIRED: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def names(cls) -> set[str]:
        """What can be set."""
        return {f.name for f in fields(cls)}

    def constraint(self) -> Constraint:
        """The set that the field is held on, or that its terms look at it through (pre)."""
        return Sphere(math.sqrt(self.width), self.width * 1e-5) if self.norm == "sphere" else Moments(eps=1e-5)

    def terms(self, *, causal: bool = False, near: nn.Module | None = None) -> list[Term]:
        """Attention and the local term, in the order in which a step takes them."""
        attention = Attention(self.width, self.heads, causal=causal, bias=self.bias, dropout=self.dropout, near=near)
        local = Local(self.width, self.hidden * self.width, self.activation, bias=self.bias, dropout=self.dropout)
        terms: list[Term] = [attention, local]
        if self.norm == "pre":
            terms = [PreNorm(term, Moments(eps=1e-5)) for term in terms]
        return terms if self.first == "attention" else terms[::-1]

    def flow(self, terms: Sequence[Term], constraint: Constraint) -> Flow:
        """The equation of these terms, on the constraint or, for pre-norm, free with a last norm as read-out."""
        return Flow(
            terms,
            None if self.norm == "pre" else constraint,
            self.scheme,
            DEPTHS[self.depth](self),
            substep=self.substep,
            steps=self.steps,
            tangent=self.tangent,
            readout=Normalise(Moments(eps=1e-5)) if self.norm == "pre" else None,
        )


DEPTHS: dict[str, Callable[[FlowShape], Depth]] = {
    "per_step": lambda c: PerStep(c.layers),
    "piecewise_linear": lambda c: PiecewiseLinear(c.knots or c.layers + 1, c.layers),
    "elastic": lambda c: PiecewiseLinear(c.knots or c.layers, c.layers, middles=True),
    "terraced": lambda c: Terraced(c.layers),
    "constant": lambda c: Constant(c.layers),
}
KNOWN: dict[str, Collection[str]] = {
    "norm": ("post", "pre", "sphere"),
    "depth": DEPTHS,
    "first": ("attention", "local"),
    "substep": INTEGRATORS,
    "activation": ACTIVATIONS,
}
WITH_KNOTS = ("elastic", "piecewise_linear")
KNOTS = "flow.depth.layers."  # how the names of the tensors of a knot (or layer) begin, in a model's state
LATER = ("knots", "steps", "first", "substep", "tangent", "dropout")


class FlowModel(nn.Module):
    """embed → flow → read out, with a configuration: what training, saving and loading need to know of a model."""

    Config: ClassVar[type[FlowShape]]
    config: Any
    flow: Flow
    card: str = ""  # what is known of how it was trained: it goes on its card

    def __init__(self, config: FlowShape):
        super().__init__()
        self.config = self.check_config(config)

    @classmethod
    def check_config(cls, config: Any) -> Any:
        """Raises: TypeError for what is not this model's configuration."""
        if not isinstance(config, cls.Config):
            wanted = cls.Config.__name__
            raise TypeError(
                f"{cls.__name__} needs a {wanted}, got {type(config).__name__}; write {wanted}(width=…), or "
                f"{cls.__name__}.load(folder) for a saved model"
            )
        return config

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the parameters."""
        return next(self.parameters()).dtype

    def extra_repr(self) -> str:
        """The settings; where they are long, as an alphabet is, how they begin."""
        return ", ".join(f"{name}={value!r:.60}" for name, value in vars(self.config).items())

    def parameter_groups(self, weight_decay: float) -> list[dict]:
        """Parameter groups for AdamW: matrices decay, vectors (biases) do not."""
        decayed = [p for p in self.parameters() if p.ndim >= 2]
        rest = [p for p in self.parameters() if p.ndim < 2]
        groups = [dict(params=decayed, weight_decay=weight_decay), dict(params=rest, weight_decay=0.0)]
        return [g for g in groups if g["params"]]

    def save(self, folder: str | Path, tensors: dict[str, Tensor] | None = None) -> Path:
        """Write model.safetensors and config.json into a folder; a kill leaves the old model there, or the new one.

        Whatever else lies in the folder stays, and only files of a model are replaced.
        tensors: the state, where it had to be gathered first, because its parts lie on several devices.
        Raises: FileExistsError where `folder` is a file, or holds another file of one of these names.
        """
        return save_model(self.config.to_dict(), self.state_dict() if tensors is None else tensors, folder)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device | None = None) -> Self:
        """The saved model, in evaluation mode. Loading reads tensors and JSON, and never runs code.

        Raises: FileNotFoundError where a file is missing, ValueError where one is truncated or not this model's.
        """
        folder, device = check_folder(folder), find_device(device)
        tensors = load_tensors(folder / TENSORS)
        model = cls(read_config(folder, cls._read_config))
        fill(model, tensors, folder / TENSORS)
        return model.to(device).eval()

    @classmethod
    def from_pretrained(cls, name: str | Path, *, device: str | torch.device | None = None, **hub: Any) -> Self:
        """The saved model in a folder, one that comes with flowlib ("tiny"), or one of Hugging Face's hub (OWNER/NAME).

        hub: revision, token, cache_dir, local_files_only, as huggingface_hub has them.
        Raises: as `load` does; ValueError where the folder holds a model of another class.
        """
        folder = find_pretrained(name, **hub)
        check_class(folder, cls.__name__)
        model = cls.load(folder, device)
        model.card = read_card(folder)
        return model

    def save_pretrained(self, folder: str | Path, *, push_to_hub: bool = False, **hub: Any) -> Path:
        """`save`, and beside it a card; config.json names the class and flowlib's version as well.

        push_to_hub: upload it, too, as the folder's name or as repo_id=; hub: of `push_to_hub`.
        """
        made = save_for_hub(self, folder)
        if push_to_hub:
            self.push_to_hub(hub.pop("repo_id", made.name), **hub)
        return made

    def push_to_hub(
        self, repo_id: str, *, private: bool | None = None, token: str | None = None, commit_message: str = "A flow"
    ) -> str:
        """Upload the model to Hugging Face's hub as OWNER/NAME; the address of the commit. It needs the network.

        Raises: ValueError for what is no name.
        """
        return push(self, repo_id, private=private, token=token, message=commit_message)

    @classmethod
    def _read_config(cls, values: Any) -> FlowShape:
        """A configuration from JSON. Raises: ValueError; where it is another model's, it says whose."""
        try:
            return cls.Config.from_dict(values)
        except ValueError as error:
            if (other := find_kind(values)) is None:
                raise
            raise ValueError(f"{error}; this is one of {other.__name__}: load it with that") from None

    def flow_to_end(self, u0: Tensor, steps: Steps = None, weights: Tensor | Grid | None = None) -> Tensor:
        """u(T), (…, token, width), in so many steps; several: the first axis of u0 is split evenly over them, in order.

        weights: a Grid, or (…, token), as the flow takes them.
        Raises: ValueError as the flow does, and for a first axis that cannot be split evenly.
        """
        if not isinstance(steps, tuple | list):
            return self.flow(u0, steps, weights=weights, save="final").final
        if u0.ndim < 3 or not steps or len(u0) % len(steps):
            raise ValueError(
                f"steps {tuple(steps)} need a batch that splits evenly over {len(steps)} parts, got a field "
                f"{tuple(u0.shape)}; give one number of steps, or a multiple of {len(steps)} inputs"
            )
        counts = {n: steps.count(n) * len(u0) // len(steps) for n in steps}
        each = [weights] * len(counts)
        if isinstance(weights, Tensor) and weights.ndim == u0.ndim - 1 and len(weights) == len(u0):
            each = list(weights.split(list(counts.values())))
        parts = zip(u0.split(list(counts.values())), counts, each, strict=True)
        return torch.cat([self.flow(part, n, weights=w, save="final").final for part, n, w in parts])

    def _initialise(self) -> None:
        """GPT-2's: normal with spread 0.02; the maps that write into u, smaller by √(2 · layers)."""
        for name, p in self.named_parameters():
            if p.ndim < 2:
                nn.init.zeros_(p)
            else:
                writes = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * self.config.layers) if writes else 0.02)


def find_kind(values: Any, model: type[FlowModel] = FlowModel) -> type[FlowModel] | None:
    """The model, `model` or one made of it, whose settings these are; None where they are nobody's."""
    names = set(values) if isinstance(values, dict) else set()
    if "Config" in vars(model) and model.Config.REQUIRED <= names <= model.Config.names():
        return model
    return next((kind for one in model.__subclasses__() if (kind := find_kind(values, one))), None)
