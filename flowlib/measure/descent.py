"""Gradient descent as Euler's scheme for θ' = −∇loss(θ): its learning rate is a step, and has a critical one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def descend(loss: Callable[[], Tensor], parameters: Sequence[Tensor], rate: float, steps: int = 24) -> list[float]:
    """The losses of θ ← θ − rate ∇loss, the first before any step, steps + 1 of them; θ is put back in the end.

    Beyond rate = 2 / `stability.sharpness` the linear theory has them rise. Error: exact.
    """
    start, losses = [p.detach().clone() for p in parameters], []
    for _ in range(steps + 1):
        with torch.enable_grad():
            value = loss()
            slopes = torch.autograd.grad(value, parameters)
        losses.append(value.item())
        with torch.no_grad():
            for p, slope in zip(parameters, slopes):
                p.sub_(rate * slope)
    with torch.no_grad():
        for p, before in zip(parameters, start):
            p.copy_(before)
    return losses
