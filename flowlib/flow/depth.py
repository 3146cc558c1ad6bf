"""Parameters as functions of the depth t.

A depth takes the terms of one layer as a pattern, keeps as many copies of them as it needs, and answers with the
terms at any list of depths s = t/T in [0, 1]. It is asked once for all steps of a flow, outside the loop over steps.
"""

import copy
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Self

import torch
from torch import Tensor, nn

from flowlib.arguments import check_flag, check_type, check_whole
from flowlib.flow.twin import twin


class Depth(nn.Module):
    """θ(t) on [0, T]. `attach` copies the pattern; called with depths in [0, 1], it gives one list of terms for each.

    steps: the number of steps a flow takes unless told otherwise; T = steps, so that Δt = 1.
    The first copy keeps the pattern's values; the others are initialised anew (`reset_parameters`).
    """

    def __init__(self, copies: int, steps: int):
        super().__init__()
        self.copies, self.steps = copies, steps
        self.layers = nn.ModuleList()

    def attach(self, terms: Sequence[nn.Module]) -> Self:
        if len(self.layers):
            raise ValueError("this depth already belongs to a flow; make a new one for each flow")
        for k in range(self.copies):
            layer = nn.ModuleList(copy.deepcopy(term) for term in terms)
            for module in layer.modules() if k else ():
                if callable(reset := getattr(module, "reset_parameters", None)):
                    reset()
            self.layers.append(layer)
        return self

    def make_alike(self) -> None:
        """Give all copies the parameters of the first: θ(t) = θ_0, the same at every depth, until they are trained."""
        for layer in self.layers[1:]:
            layer.load_state_dict(self.layers[0].state_dict())

    def terms(self, k: int) -> list[Any]:
        """Copy number k of the terms, from 0."""
        layer: Any = self.layers[k]
        return list(layer)

    def extra_repr(self) -> str:
        return f"copies={self.copies}, steps={self.steps}"

    def check_steps(self, steps: int) -> None:
        """Raises: ValueError where a flow with these parameters cannot be taken in so many steps; by default it can."""

    def lengths(self, steps: int) -> list[float]:
        """How long each of so many steps is, in units of T/steps: they add up to `steps`, and by default are alike."""
        return [1.0] * steps

    def middles(self, steps: int) -> list[float]:
        """The depths s = t/T in the middle of each of so many steps: there a flow takes its parameters."""
        lengths = self.lengths(steps)
        return [(start + length / 2) / steps for start, length in zip(accumulate(lengths, initial=0.0), lengths)]

    def times(self, steps: int, horizon: float) -> tuple[list[float], list[float]]:
        """t_0 = 0, …, t_N = T for so many steps up to T = horizon, and the length of each in t."""
        dt, lengths = horizon / steps, self.lengths(steps)
        return [dt * t for t in accumulate(lengths, initial=0.0)], [dt * length for length in lengths]

    def forward(self, depths: Sequence[float]) -> list[list[nn.Module]]:
        raise NotImplementedError


class Constant(Depth):
    """θ(t) = θ: an autonomous flow; the same parameters in every step (as in ALBERT)."""

    def __init__(self, steps: int = 1):
        super().__init__(1, _count(steps, "steps"))

    def forward(self, depths: Sequence[float]) -> list[list[nn.Module]]:
        return [self.terms(0) for _ in depths]


class PerStep(Depth):
    """θ(t) = θ_k for k ≤ t < k+1: the parameters of an ordinary network with n layers."""

    def __init__(self, n: int):
        super().__init__(_count(n, "n"), n)

    def forward(self, depths: Sequence[float]) -> list[list[nn.Module]]:
        return [self.terms(min(int(s * self.copies), self.copies - 1)) for s in depths]


class PiecewiseLinear(Depth):
    """θ(t) linear between `knots` equally spaced depths, the first at t = 0, the last at t = T = `steps`.

    Continuous in t, so that refining the steps converges. With 1 knot it is constant. `steps` is knots − 1 unless
    given: with fewer knots than steps there are fewer parameters than in a network with a set for each step.
    middles: the first knot stands in the middle of the first of `steps` steps, the last in the middle of the last one,
    and θ is constant beyond. With knots = steps these are the very depths whose parameters a step uses: the flow in
    `steps` steps is then the network with a set for each step, at no cost, and still a flow in any other number.
    `double_knots` gives it 2·knots − 1 knots and the same θ(t).
    """

    def __init__(self, knots: int, steps: int | None = None, *, middles: bool = False):
        super().__init__(_count(knots, "knots"), max(1, knots - 1) if steps is None else _count(steps, "steps"))
        check_flag(middles, "middles")
        self.inset = 0.5 / self.steps if middles else 0.0
        if self.inset == 0.5 and knots > 1:
            raise ValueError(f"one step has one middle, which has no room for {knots} knots; give more steps")

    def extra_repr(self) -> str:
        return f"knots={self.copies}, steps={self.steps}, middles={self.inset > 0}"

    def forward(self, depths: Sequence[float]) -> list[list[nn.Module]]:
        layers: Any = self.layers
        knots = [list(layer) for layer in layers]
        return [
            [between(*pair, share) for pair in zip(knots[k], knots[k + 1])] if share else knots[k]
            for k, share in map(self._place, depths)
        ]

    def _place(self, s: float) -> tuple[int, float]:
        """The knot at or before the depth s, and how far s is on the way to the next one."""
        last = self.copies - 1
        position = (s - self.inset) / (1 - 2 * self.inset) * last if last else 0.0
        position = min(max(position, 0.0), float(last))
        if abs(position - round(position)) < 1e-9:  # on a knot, but for round-off
            return round(position), 0.0
        return int(position), position % 1


class Terraced(PiecewiseLinear):
    """θ(t) in terraces: θ_k over the middle three quarters of layer k, and straight lines from one to the next.

        θ(t) = θ_k  for |t − (k + ½)| ≤ ⅜,  linear in between,     0 ≤ k < layers, T = layers.

    Continuous in t, like `PiecewiseLinear` with knots in the middles, and the same network in `layers` steps. A half or
    a quarter of a layer is a step with θ_k as it is, where straight lines would mix its neighbour in. Any number of
    steps is fitted to the terraces: each is a whole number of layers, or an equal part of one, and the short ones come
    first. Six steps for eight layers are 1, 1, 1, 1, 2 and 2 long.
    """

    FLAT = 0.375  # of a layer, to both sides of its middle

    def __init__(self, layers: int):
        super().__init__(layers, layers, middles=layers > 1)

    def lengths(self, steps: int) -> list[float]:
        if steps <= self.steps:  # layers in each step
            whole, rest = divmod(self.steps, steps)
            sizes = [float(whole)] * (steps - rest) + [float(whole + 1)] * rest
        else:
            parts, more = divmod(steps, self.steps)  # parts of each layer, one more of the first ones
            sizes = [1 / (parts + 1)] * (parts + 1) * more + [1 / parts] * parts * (self.steps - more)
        return [size * steps / self.steps for size in sizes]

    def _place(self, s: float) -> tuple[int, float]:
        k, share = super()._place(s)
        share = min(max((share - self.FLAT) / (1 - 2 * self.FLAT), 0.0), 1.0)
        return (k + 1, 0.0) if share == 1.0 else (k, share)

    def extra_repr(self) -> str:
        return f"layers={self.copies}"


class Ready(Depth):
    """The terms of another depth in the middles of so many steps, made once: for many calls without a gradient.

    What happens to the parameters afterwards is not seen, but for those that stand on a knot.
    """

    def __init__(self, depth: Depth, steps: int):
        super().__init__(depth.copies, _count(steps, "steps"))
        self.layers, self.fitted, at = depth.layers, depth.lengths(steps), depth.middles(steps)
        self.made = dict(zip(at, depth(at), strict=True))

    def lengths(self, steps: int) -> list[float]:
        return self.fitted

    def check_steps(self, steps: int) -> None:
        if steps != self.steps:
            raise ValueError(f"these terms were made for {self.steps} steps, and not for {steps}; make them again")

    def forward(self, depths: Sequence[float]) -> list[list[nn.Module]]:
        return [self.made[s] for s in depths]


def between(first: nn.Module, second: nn.Module, share: float) -> nn.Module:
    """A module like both, with the parameters (1 − share) θ_first + share θ_second; gradients flow to both.

    One fused product and sum for each parameter, and no copy of the knots before it: that is why it costs next to
    nothing beside the work of a step (`flowlib bench` measures it).
    """
    module: Any = twin(first)
    other: Any = second
    for name, p in first._parameters.items():
        if p is not None:
            module._parameters[name] = torch.lerp(p, other._parameters[name], share)
    for name, child in first._modules.items():
        if child is not None:
            module._modules[name] = between(child, other._modules[name], share)
    return module


def double_knots(tensors: Mapping[str, Tensor], layers: str = "layers.") -> dict[str, Tensor]:
    """The tensors of a `PiecewiseLinear` with K knots, as those of one with 2K − 1 knots and the same θ(t):

        θ'_2k = θ_k,     θ'_2k+1 = ½ (θ_k + θ_k+1).

    tensors: a state dict, in which the knots' names begin with `layers` and the knot's number; others are left alone.
    Error: exact (round-off of the mean). Raises: ValueError where there are fewer than two knots to stand between.
    """
    check_type(tensors, "tensors", Mapping, "a state dict: names and tensors")
    knots: dict[int, dict[str, Tensor]] = {}
    doubled = {}
    for name, tensor in tensors.items():
        if name.startswith(layers):
            number, _, rest = name[len(layers) :].partition(".")
            if not number.isdecimal():
                raise ValueError(f"a knot's name must be {layers}NUMBER.…, got {name!r}; say where they begin: layers=")
            knots.setdefault(int(number), {})[rest] = tensor
        else:
            doubled[name] = tensor
    if len(knots) < 2:
        raise ValueError(f"doubling needs at least 2 knots under {layers!r}, got {len(knots)}; start with knots = 2")
    for k, here in sorted(knots.items()):
        for rest, tensor in here.items():
            doubled[f"{layers}{2 * k}.{rest}"] = tensor
            if k + 1 in knots:
                doubled[f"{layers}{2 * k + 1}.{rest}"] = torch.lerp(tensor, knots[k + 1][rest], 0.5)
    return doubled


def _count(n: int, what: str) -> int:
    check_whole(n, what)
    return n
