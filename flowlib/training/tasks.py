"""What is learned: the next token of a text, the class of a picture, the class of a shape.

A task gives the loop its batches, its loss and its evaluation; the loop knows nothing else of the data. The batch of
step i is a function of (seed, i) alone, so a run that stops and goes on needs to remember nothing but the step.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.models.language import FlowLM
from flowlib.models.points import FlowPoints
from flowlib.models.shape import FlowModel, Steps
from flowlib.models.vision import FlowVision
from flowlib.training import data, pictures, surfaces
from flowlib.training.config import PicturesConfig, ShapesConfig, TrainConfig, Training
from flowlib.training.evaluation import cross_entropy, frequency_loss, full_loss, quick_loss

Batch = tuple[Tensor, Tensor]  # inputs and targets, the first axis of each being that of the examples


class Task(Protocol):
    """What the training loop asks of a task."""

    kind: type[FlowModel]
    unit: str
    """What an example is called: the loss is in nats for each of them."""
    target: str
    """What is predicted: a token, a class."""
    config: Any
    """The configuration, with what only the data know filled in."""

    def describe(self) -> dict[str, Any]:
        """Which data these are, for config.json."""

    def batch(self, step: int) -> Batch:
        """The batch of that step: a function of (seed, step) alone."""

    def loss(self, forward: Callable, inputs: Tensor, targets: Tensor, steps: Steps) -> Tensor:
        """The mean of -log p(target | input) in so many steps of the flow (several: the inputs are split over them).

        forward: the model, perhaps wrapped.
        """

    def evaluate(self, model: nn.Module, device: torch.device | str | None = None) -> dict[str, float]:
        """validation_loss and, where something is classified, validation_accuracy."""

    def count_examples(self, step: int) -> dict[str, int]:
        """How much has gone through the model after that many updates."""

    def idle_loss(self) -> float:
        """The validation loss of somebody who knows how often each token or class occurs, and nothing else."""


class Text:
    """The next token of a text."""

    kind, unit, target = FlowLM, "token", "token"

    def __init__(self, config: TrainConfig):
        self.corpus = data.load_corpus(config.corpus)
        vocabulary = self.corpus.vocabulary(config.vocabulary)
        self.config = replace(config, model=replace(config.model, vocabulary=vocabulary))
        self.context = config.model.context
        self.tokens, self.validation = self.corpus.tokens(vocabulary, self.context)

    def describe(self) -> dict[str, Any]:
        return {"corpus": self.corpus.describe()}

    def batch(self, step: int) -> Batch:
        return data.batch(self.tokens, step, size=self.config.batch, context=self.context, seed=self.config.seed)

    def loss(self, forward: Callable, inputs: Tensor, targets: Tensor, steps: Steps) -> Tensor:
        return cross_entropy(forward, inputs, targets, steps=steps)

    def evaluate(self, model: nn.Module, device: torch.device | str | None = None) -> dict[str, float]:
        c = self.config
        if not c.eval_batches:
            return {"validation_loss": full_loss(model, self.validation, context=self.context, device=device)}
        loss = quick_loss(
            model, self.validation, context=self.context, batches=c.eval_batches, seed=c.seed, device=device
        )
        return {"validation_loss": loss}

    def count_examples(self, step: int) -> dict[str, int]:
        return {"tokens": step * self.config.batch * self.context}

    def idle_loss(self) -> float:
        return frequency_loss(self.tokens, self.validation, len(self.config.model.vocabulary))


class Classes:
    """The class of something: what pictures and shapes share. `train`, `validation`, `test` are (inputs, classes)."""

    kind: ClassVar[type[FlowModel]]
    unit: ClassVar[str]
    target = "class"
    config: Training
    train: Batch
    validation: Batch
    test: Batch

    def scores(self, forward: Callable, inputs: Tensor, steps: Steps = None) -> Tensor:
        return forward(inputs, steps)

    def vary(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The inputs as they are shown in training: moved a little, at random."""
        return inputs

    def batch(self, step: int) -> Batch:
        generator = torch.Generator().manual_seed(data.step_seed(self.config.seed, step))
        inputs, classes = self.train
        drawn = torch.randint(len(classes), (self.config.batch,), generator=generator)
        return self.vary(inputs[drawn], generator), classes[drawn]

    def loss(self, forward: Callable, inputs: Tensor, targets: Tensor, steps: Steps) -> Tensor:
        return F.cross_entropy(self.scores(forward, inputs, steps).float(), targets)

    def evaluate(self, model: nn.Module, device: torch.device | str | None = None) -> dict[str, float]:
        loss, accuracy = self.measure(model, self.validation, device)
        return {"validation_loss": loss, "validation_accuracy": accuracy}

    @torch.no_grad()
    def measure(self, model: nn.Module, split: Batch, device: torch.device | str | None = None) -> tuple[float, float]:
        """Mean loss and accuracy on a whole split."""
        was_training = model.training
        model.eval()
        parts = zip(*(half.split(256) for half in split))
        scores = torch.cat([self.scores(model, inputs.to(device)).float().cpu() for inputs, _ in parts])
        model.train(was_training)
        right = scores.argmax(-1) == split[1]
        return F.cross_entropy(scores, split[1]).item(), right.float().mean().item()

    def count_examples(self, step: int) -> dict[str, int]:
        return {f"{self.unit}s": step * self.config.batch}

    def idle_loss(self) -> float:
        return frequency_loss(self.train[1], self.validation[1], int(self.train[1].max()) + 1)


class Pictures(Classes):
    """The class of a picture, (picture, channel, row, column)."""

    kind, unit = FlowVision, "picture"

    def __init__(self, config: PicturesConfig):
        self.config: PicturesConfig = config
        self.train, self.validation, self.test = pictures.load_pictures(config.data)

    def describe(self) -> dict[str, Any]:
        return {"data": pictures.describe(self.config.data, self.train, self.validation, self.test)}

    def vary(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        c = self.config
        return pictures.warp(inputs, generator, turn=c.turn, stretch=c.stretch, shift=c.shift)


class Shapes(Classes):
    """The class of a surface, given by (shape, point, 4): three coordinates and the area that the point stands for."""

    kind, unit = FlowPoints, "shape"

    def __init__(self, config: ShapesConfig):
        self.config: ShapesConfig = config
        counts = config.surfaces, config.surfaces // 4, config.surfaces // 4
        draw = lambda count, seed: surfaces.clouds(count, config.points, seed)
        self.train, self.validation, self.test = (draw(count, seed) for seed, count in enumerate(counts))

    def describe(self) -> dict[str, Any]:
        return {"data": {"name": "surfaces", "classes": list(surfaces.FAMILIES), "points": self.config.points}}

    def scores(self, forward: Callable, inputs: Tensor, steps: Steps = None) -> Tensor:
        return forward(inputs[..., :3], steps, weights=inputs[..., 3])

    def vary(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        turned = inputs[..., :3] @ surfaces.rotations(len(inputs), generator).to(inputs)
        return torch.cat([turned, inputs[..., 3:]], -1)


TASKS = {TrainConfig: Text, PicturesConfig: Pictures, ShapesConfig: Shapes}


def prepare(config: Training) -> Task:
    """The task of a configuration, with its data loaded. Raises: what loading them raises."""
    return TASKS[type(config)](config)
