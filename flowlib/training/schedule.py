"""What changes from update to update: the learning rate, and the number of steps of the flow."""

import math
from collections.abc import Sequence

import torch

from flowlib.models.shape import Steps
from flowlib.training.config import Training
from flowlib.training.data import step_seed


def learning_rate(step: int, config: Training) -> float:
    """η(i) = η_max (i+1)/(w+1) for i < w, then η_min + ½ (η_max − η_min)(1 + cos π(i−w)/(N−w)).

    i is the step from 0, w the warm-up, N the number of steps.
    """
    highest, lowest = config.learning_rate, config.final_learning_rate
    if step < config.warmup:
        return highest * (step + 1) / (config.warmup + 1)
    progress = (step - config.warmup) / (config.steps - config.warmup)
    return lowest + 0.5 * (highest - lowest) * (1.0 + math.cos(math.pi * progress))


def find_steps(update: int, config: Training) -> Steps:
    """How many steps the flow takes in this update, from 0; several: the batch is split over them.

    The first `flow_coarse` of the updates take the fewest of `flow_steps`; the others one that is drawn, or all.
    """
    choices = config.flow_steps
    if choices and update < config.flow_coarse * config.steps:
        return min(choices)
    return choices if choices and config.flow_split else draw_steps(choices, config.seed, update)


def list_steps(config: Training) -> list[Steps]:
    """Whatever `find_steps` answers in a run, each once."""
    choices = config.flow_steps
    coarse = [min(choices)] if choices and config.flow_coarse > 0 else []
    later: list[Steps] = [choices] if config.flow_split else list(choices or [None])
    return list(dict.fromkeys([*coarse, *(later if config.flow_coarse < 1 else [])]))


def describe_steps(config: Training) -> str:
    """The schedule in words, for a card; nothing where the flow takes the model's own steps always."""
    if not config.flow_steps:
        return ""
    said = ", ".join(map(str, config.flow_steps))
    later = f"every batch split over {said} steps" if config.flow_split else f"{said} steps, one drawn for each update"
    if not config.flow_coarse:
        return later
    first = math.ceil(config.flow_coarse * config.steps)
    return f"{min(config.flow_steps)} steps in the first {first} updates" + (f", then {later}" * (first < config.steps))


def draw_steps(choices: Sequence[int], seed: int, update: int) -> int | None:
    """How many steps the flow takes in this update: one of `choices`, equally likely, a function of (seed, update).

    Without choices None: the model's own number.
    """
    if not choices:
        return None
    generator = torch.Generator().manual_seed(step_seed(seed, update) ^ 0x5EED)  # not the batch's own numbers
    return choices[int(torch.randint(len(choices), (), generator=generator))]
