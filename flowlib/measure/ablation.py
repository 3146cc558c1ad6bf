"""What would have been: a flow with one term silent for one step, or with one token that nobody hears.

A budget says what a term moved on the way that was taken. An ablation takes another way, without that term, and looks
where it ends. The two answer different questions, and the difference between them is a measurement of its own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlib.flow.depth import Depth
from flowlib.flow.equation import Flow
from flowlib.flow.twin import twin
from flowlib.operators import Term


class Silent(Term):
    """The velocity 0."""

    def forward(self, u: Tensor) -> Tensor:
        return torch.zeros_like(u)


class SilentFor(Depth):
    """The same parameters, but term number `index` is silent for all of step number `step` out of `steps`."""

    def __init__(self, depth: Depth, step: int, index: int, steps: int):
        super().__init__(depth.copies, depth.steps)
        self.layers, self.answer = depth.layers, depth.__call__
        self.step, self.index, self.number = step, index, steps

    def check_steps(self, steps: int) -> None:
        if steps % self.number:
            raise ValueError(
                f"term {self.index} is silent in step {self.step} of {self.number}, which is no whole number of steps "
                f"out of {steps}; call the flow in {self.number} steps or a multiple of it, or give without(…, "
                f"steps={steps})"
            )

    def forward(self, depths: Sequence[float]) -> list[list[nn.Module]]:
        layers = self.answer(depths)
        for s, layer in zip(depths, layers):
            if min(int(s * self.number), self.number - 1) == self.step:
                layer[self.index] = Silent()
        return layers


def without(flow: Flow, step: int, index: int, steps: int | None = None) -> Flow:
    """The same flow, with its term number `index` silent in the step number `step` (both from 0): A_i = 0 there.

    The projection after it stays. The parameters are shared, not copied. steps: of how many that is the step, by
    default the flow's own number; it is what the new flow takes unless told otherwise. In a multiple of it the same
    stretch of depth is silent, and any other number is refused.
    Error: exact. Raises: ValueError for a step or a term that the flow does not have; when the new flow is called, for
    a number of steps that is no multiple of `steps`.
    """
    steps = flow.steps if steps is None else steps
    terms = len(flow.constraints)
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (step, index, steps))
    if not whole or not 0 <= step < steps or not 0 <= index < terms:
        raise ValueError(
            f"there are steps 0 to {steps - 1} and terms 0 to {terms - 1}, got step {step!r}, term {index!r}; give "
            "whole numbers"
        )
    silent = twin(flow)
    silent.depth, silent.steps = SilentFor(flow.depth, step, index, steps), steps
    return silent


def silence_tokens(n: int, tokens: Tensor | None = None) -> Tensor:
    """Masks (token, query, key) in which each of the tokens (default: all n, one after the other) is heard by itself
    alone, at every depth: everything else goes on as it was."""
    tokens = torch.arange(n) if tokens is None else tokens
    masks = torch.ones(len(tokens), n, n, dtype=torch.bool)
    masks[torch.arange(len(tokens)), :, tokens] = False
    masks[torch.arange(len(tokens)), tokens, tokens] = True
    return masks


@torch.no_grad()
def effect_of_tokens(flow: Flow, u0: Tensor, readout: Tensor, at: int | None = -1, steps: int | None = None) -> Tensor:
    """⟨r, u(T)⟩ − ⟨r, u(T) where nobody else hears x̃⟩ for each token x̃: what it was good for, (token,) or (token, k).

    u0 (token, feature), readout (feature,) or (feature, k); at: the token that is read, None for the mean of all.
    A positive effect: without x̃ the read-out would be smaller. Error: exact.
    """
    n = u0.shape[-2]
    read = lambda u: (u.mean(-2) if at is None else u[..., at, :]) @ readout.to(u)
    everything = read(flow(u0, steps, save="final").final)
    return everything - read(flow(u0.expand(n, *u0.shape), steps, mask=silence_tokens(n), save="final").final)
