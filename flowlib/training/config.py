"""What a training run is made of: one dataclass for each kind of data."""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from flowlib.models.language import FlowConfig
from flowlib.models.points import PointsConfig
from flowlib.models.shape import FlowShape
from flowlib.models.vision import VisionConfig

Tokens = Literal["bytes", "characters", "gpt2"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a flow is trained with AdamW, whatever it models. Equal configurations give equal bits on one CPU."""

    flow_steps: tuple[int, ...] = ()
    """Numbers of steps of the flow, one of which is drawn for each update; none: the model's own, always."""
    flow_split: bool = False
    """Take all of flow_steps in every update: the batch is split evenly over them. One named twice gets two parts."""
    flow_coarse: float = 0.0
    """The share of the updates, the first ones, that take only the fewest of flow_steps, with the whole batch."""
    alike: bool = False
    """Whether all sets of parameters in depth (layers, knots) begin as copies of the first."""
    steps: int = 2000
    """How many updates to make."""
    batch: int = 12
    """Windows (or pictures, shapes) in a batch, over all processes."""
    micro_batch: int = 0
    """Windows that a device works on at once, adding up gradients (less memory, same updates); 0: all of its share."""
    learning_rate: float = 1e-3
    """The highest learning rate, reached after the warm-up."""
    final_learning_rate: float = 1e-4
    """Where the cosine ends, at the last step."""
    warmup: int = 100
    """Steps over which the learning rate rises linearly."""
    betas: tuple[float, float] = (0.9, 0.99)
    """AdamW's averaging of the gradient and of its square."""
    weight_decay: float = 0.1
    """AdamW's decay of the weight matrices."""
    clip: float = 1.0
    """The largest norm of the gradient; longer ones are shortened to it."""
    eval_every: int = 250
    """Steps between evaluations; a checkpoint is written at each."""
    eval_batches: int = 0
    """Random batches for a quick validation loss; 0 evaluates the whole validation split."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl."""
    seed: int = 0
    """Decides the initial parameters and every batch."""
    device: Literal["auto", "cpu"] = "auto"
    """auto takes a GPU where there is one."""
    precision: Literal["auto", "no", "bf16"] = "no"
    """bf16 lets the device multiply in bfloat16 (means, spreads and the loss stay in float32); auto: a GPU that can."""
    compile: Literal["auto", "no", "yes"] = "no"
    """Whether torch.compile makes one program of a step: a minute to begin with, then faster; auto: on a GPU."""
    recompute: bool = False
    """Keep only the field between steps for the backward pass, which computes the rest anew: less memory, more time."""

    def __post_init__(self) -> None:
        def must(holds: bool, name: str, what: str) -> None:
            if not holds:
                raise ValueError(f"{name} must be {what}, but is {getattr(self, name)}")

        for name in ("steps", "batch", "eval_every", "log_every"):
            must(getattr(self, name) >= 1, name, "at least 1")
        for name in ("micro_batch", "warmup", "eval_batches", "weight_decay", "seed", "final_learning_rate"):
            must(0 <= getattr(self, name) < math.inf, name, "at least 0 and finite")
        for name in ("learning_rate", "clip"):
            must(0 < getattr(self, name), name, "above 0")
        must(self.learning_rate < 1e6, "learning_rate", "below 1e6")
        must(all(0 <= beta < 1 for beta in self.betas), "betas", "two numbers from 0 up to, not including, 1")
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal:
                must(getattr(self, name) in get_args(kind), name, " or ".join(map(repr, get_args(kind))))
        must(all(n >= 1 for n in self.flow_steps), "flow_steps", "whole numbers from 1 up")
        must(0 <= self.flow_coarse <= 1, "flow_coarse", "a share of the updates, from 0 to 1")
        for name in ("flow_split", "flow_coarse"):
            if getattr(self, name) and not self.flow_steps:
                raise ValueError(f"{name} needs flow_steps, the numbers of steps to choose from, as 4, 8, 16")
        if self.flow_split and self.batch % len(self.flow_steps):
            raise ValueError(
                f"a batch of {self.batch} cannot be split evenly over {len(self.flow_steps)} parts (flow_steps "
                f"{', '.join(map(str, self.flow_steps))}); give a batch that is a multiple of {len(self.flow_steps)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the model's part is its own `to_dict`."""
        values = {f.name: _to_json(getattr(self, f.name)) for f in fields(self)}
        for name in LATER:
            if not values[name]:
                del values[name]  # as in runs from before there was a choice
        return values


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Training):
    """Train a flow on text with AdamW. Two runs with equal configurations on one CPU are equal bit for bit."""

    corpus: str = "embedded"
    """The text: embedded (Python's own help texts), shakespeare, the path of a UTF-8 file, or of a folder of tokens."""
    vocabulary: Tokens = "bytes"
    """What a token is; gpt2 needs tiktoken (pip install -e '.[bpe]')."""
    model: FlowConfig = field(default_factory=FlowConfig)
    """The shape of the flow."""


@dataclass(frozen=True, kw_only=True)
class PicturesConfig(Training):
    """Train a flow that classifies pictures, with AdamW, on pictures that are moved, turned and stretched a little."""

    data: Literal["digits", "mnist"] = "digits"
    """digits (8 × 8 pixels, in scikit-learn) or mnist (28 × 28, fetched once)."""
    model: VisionConfig = field(default_factory=VisionConfig)
    """The shape of the flow."""
    turn: float = 0.2
    """The largest angle that a picture is turned by in training, in radians."""
    stretch: float = 0.1
    """By which share it is stretched or shrunk at most, along each side."""
    shift: float = 0.075
    """By which share of its side it is moved at most."""


@dataclass(frozen=True, kw_only=True)
class ShapesConfig(Training):
    """Train a flow that classifies surfaces, with AdamW, on clouds of points drawn evenly and turned anew each time."""

    model: PointsConfig = field(default_factory=PointsConfig)
    """The shape of the flow."""
    points: int = 128
    """Points on a surface."""
    surfaces: int = 1600
    """Different surfaces to train on; a quarter as many to validate on, and as many again to test."""


Config = TrainConfig | PicturesConfig | ShapesConfig

LATER = ("flow_steps", "flow_split", "flow_coarse", "alike")  # settings that older runs lack; each is off by default
HOW = ("micro_batch", "device", "precision", "compile", "recompute")  # how a step is computed, not what it is


def _to_json(value: Any) -> Any:
    if isinstance(value, FlowShape):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value
