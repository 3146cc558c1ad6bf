"""What would have been: a flow with one term silent for one step, or with one token that nobody hears.

A budget says what a term moved on the way that was taken. An ablation takes another way, without that term, and looks
where it ends. The two answer different questions, and the difference between them is a measurement of its own.
"""

import copy

import torch
from torch import Tensor, nn

from flowlib.flow.equation import Flow


class Silent(nn.Module):
    """The velocity 0."""

    sees_other_tokens = False

    def forward(self, u: Tensor) -> Tensor:
        return torch.zeros_like(u)


class _Without(nn.Module):
    """A depth in which the term `index` is silent at the depth s."""

    def __init__(self, depth: nn.Module, index: int, s: float):
        super().__init__()
        self.depth, self.index, self.s, self.steps, self.layers = depth, index, s, depth.steps, depth.layers

    def forward(self, depths):
        layers = self.depth(depths)
        for s, layer in zip(depths, layers):
            if abs(s - self.s) < 1e-9:
                layer[self.index] = Silent()
        return layers


def without(flow: Flow, step: int, index: int, steps: int | None = None) -> Flow:
    """The same flow, with its term number `index` silent in the step number `step` (both from 0): A_i = 0 there.

    The projection after it stays. The parameters are shared, not copied. steps: that the flow will be called with.
    Error: exact. Raises: ValueError for a step or a term that the flow does not have.
    """
    steps = flow.steps if steps is None else steps
    terms = len(flow.constraints)
    if not 0 <= step < steps or not 0 <= index < terms:
        raise ValueError(f"there are steps 0 to {steps - 1} and terms 0 to {terms - 1}, got step {step}, term {index}")
    silent = copy.copy(flow)
    silent.__dict__["_modules"] = dict(flow._modules)  # the copy's own table of parts
    silent.depth = _Without(flow.depth, index, (step + 0.5) / steps)
    return silent


def unheard(n: int, tokens: Tensor | None = None) -> Tensor:
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
    whole = read(flow(u0, steps, save="final").final)
    return whole - read(flow(u0.expand(n, *u0.shape), steps, mask=unheard(n), save="final").final)
