"""What changes from update to update: the learning rate, and the number of steps of the flow."""

import math
from collections.abc import Sequence

import torch

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


def draw_steps(choices: Sequence[int], seed: int, update: int) -> int | None:
    """How many steps the flow takes in this update: one of `choices`, equally likely, a function of (seed, update).

    Without choices None: the model's own number.
    """
    if not choices:
        return None
    generator = torch.Generator().manual_seed(step_seed(seed, update) ^ 0x5EED)  # not the batch's own numbers
    return choices[int(torch.randint(len(choices), (), generator=generator))]
