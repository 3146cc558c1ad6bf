"""Gradient descent as Euler's scheme for θ' = −∇loss(θ): its learning rate is a step, and has a critical one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from flowlib.arguments import check_whole
from flowlib.measure.inputs import number
from flowlib.measure.stability import check_loss, slopes_of


def descend(loss: Callable[[], Tensor], parameters: Sequence[Tensor], rate: float, steps: int = 24) -> list[float]:
    """The losses of θ ← θ − rate ∇loss, the first before any step, steps + 1 of them; θ is put back in the end.

    Beyond rate = 2 / `stability.sharpness` the linear theory has them rise. Error: exact.
    Raises: ValueError for a rate that is not finite, and a loss that does not depend on a parameter.
    """
    parameters = check_loss(loss, parameters)
    check_whole(steps, "steps", 0)
    rate = number(rate, "rate")
    start, losses = [p.detach().clone() for p in parameters], []
    try:
        for _ in range(steps + 1):
            with torch.enable_grad():
                value, slopes = slopes_of(loss, parameters)
            losses.append(value)
            with torch.no_grad():
                for p, slope in zip(parameters, slopes):
                    p.sub_(rate * slope)
    finally:
        with torch.no_grad():
            for p, before in zip(parameters, start):
                p.copy_(before)
    return losses
