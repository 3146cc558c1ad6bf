"""What would have been: a flow with one term silent for one step, or with one token that nobody hears.

A budget says what a term moved on the way that was taken. An ablation takes another way, without that term, and looks
where it ends. The two answer different questions, and the difference between them is a measurement of its own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlib.arguments import check_whole
from flowlib.fields import Grid
from flowlib.flow.depth import Depth
from flowlib.flow.equation import Flow
from flowlib.flow.twin import twin
from flowlib.measure.inputs import check_field, check_flow, check_repeatable, check_tensor
from flowlib.operators import Term


class Silent(Term):
    """The velocity 0."""

    def forward(self, u: Tensor) -> Tensor:
        return torch.zeros_like(u)


class SilentFor(Depth):
    """The same parameters, but term number `index` is silent for all of step number `step` out of `steps`."""

    def __init__(self, depth: Depth, step: int, index: int, steps: int):
        super().__init__(depth.copies, depth.steps)
        self.layers, self.answer, self.check_inner = depth.layers, depth.__call__, depth.check_steps
        self.step, self.index, self.number = step, index, steps

    def check_steps(self, steps: int) -> None:
        self.check_inner(steps)
        if steps % self.number:
            raise ValueError(
                f"term {self.index} is silent in step {self.step} of {self.number}, which is no whole number of steps "
                f"out of {steps}; call the flow in {self.number} steps or a multiple of it, or give without(…, "
                f"steps={steps})"
            )

    def forward(self, depths: Sequence[float]) -> list[list[nn.Module]]:
        layers = [list(layer) for layer in self.answer(depths)]
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
    check_flow(flow)
    steps = flow.steps if steps is None else steps
    terms = len(flow.constraints)
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (step, index, steps))
    if not whole or not 0 <= step < steps or not 0 <= index < terms:
        raise ValueError(
            f"there are steps 0 to {steps - 1 if isinstance(steps, int) else '…'} and terms 0 to {terms - 1}, got step "
            f"{step!r}, term {index!r}, steps {steps!r}; give whole numbers"
        )
    silent = twin(flow)
    silent.depth, silent.steps = SilentFor(flow.depth, step, index, steps), steps
    return silent


def silence_tokens(n: int, tokens: Tensor | None = None) -> Tensor:
    """Masks (token, query, key) in which each of the tokens (default: all n, one after the other) is heard by itself
    alone, at every depth: everything else goes on as it was."""
    check_whole(n, "n")
    tokens = torch.arange(n) if tokens is None else torch.as_tensor(tokens)
    if tokens.ndim != 1 or tokens.is_floating_point() or ((tokens < 0) | (tokens >= n)).any():
        raise ValueError(f"tokens must be whole numbers from 0 to {n - 1}, one after the other, got {tokens.tolist()}")
    masks = torch.ones(len(tokens), n, n, dtype=torch.bool)
    masks[torch.arange(len(tokens)), :, tokens] = False
    masks[torch.arange(len(tokens)), tokens, tokens] = True
    return masks


@torch.no_grad()
def effect_of_tokens(
    flow: Flow,
    u0: Tensor,
    readout: Tensor,
    at: int | None = -1,
    steps: int | None = None,
    *,
    weights: Tensor | Grid | None = None,
) -> Tensor:
    """⟨r, u(T)⟩ − ⟨r, u(T) where nobody else hears x̃⟩ for each token x̃: what it was good for, (token,) or (token, k).

    u0 (token, feature), readout (feature,) or (feature, k); at: the token that is read, None for the mean of all.
    A positive effect: without x̃ the read-out would be smaller. Error: exact.
    Raises: ValueError for a field that is not (token, feature), a read-out that does not fit, a flow that does not do
            the same each time (dropout in training), and one whose tokens are also heard outside of attention's mask.
    """
    check_flow(flow, u0)
    check_repeatable(flow)
    check_field(u0, "u0", "(token, feature)")
    check_tensor(readout, "readout", "(feature,) or (feature, k)", (1, 2))
    n = u0.shape[-2]
    if u0.ndim != 2 or len(readout) != u0.shape[-1]:
        raise ValueError(
            f"u0 must be (token, feature) and readout (feature, …) with as many features, got {tuple(u0.shape)} and "
            f"{tuple(readout.shape)}; take one text at a time"
        )
    if at is not None:
        check_whole(at, "at", -n, n - 1)
    if any(term.needs_points for term in flow.terms):
        raise ValueError(
            "a neighbourhood hears its tokens whatever the mask says, so none of them can be silenced here"
        )
    read = lambda u: (u.mean(-2) if at is None else u[..., at, :]) @ readout.to(u)
    everything = read(flow(u0, steps, weights=weights, save="final").final)
    masks = silence_tokens(n).to(u0.device)
    return everything - read(flow(u0.expand(n, *u0.shape), steps, mask=masks, weights=weights, save="final").final)
