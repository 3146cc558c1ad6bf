"""Parameters as functions of the depth t.

A depth takes the terms of one layer as a pattern, keeps as many copies of them as it needs, and answers with the
terms at any list of depths s = t/T in [0, 1]. It is asked once for all steps of a flow, outside the loop over steps.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call


class Depth(nn.Module):
    """θ(t) on [0, T]. `attach` copies the pattern; called with depths in [0, 1], it gives one list of terms for each.

    steps: the number of steps a flow takes unless told otherwise; T = steps, so that Δt = 1.
    The first copy keeps the pattern's values; the others are initialised anew (`reset_parameters`).
    """

    def __init__(self, copies: int, steps: int):
        super().__init__()
        self.copies, self.steps = copies, steps
        self.layers = nn.ModuleList()

    def attach(self, terms: Sequence[nn.Module]) -> "Depth":
        if len(self.layers):
            raise ValueError("this depth already belongs to a flow; make a new one for each flow")
        for k in range(self.copies):
            layer = nn.ModuleList(copy.deepcopy(term) for term in terms)
            for module in layer.modules() if k else ():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
            self.layers.append(layer)
        return self

    def forward(self, depths: Sequence[float]) -> list[list[Callable]]:
        raise NotImplementedError


class Constant(Depth):
    """θ(t) = θ: an autonomous flow; the same parameters in every step (as in ALBERT)."""

    def __init__(self, steps: int = 1):
        super().__init__(1, _count(steps, "steps"))

    def forward(self, depths):
        return [list(self.layers[0]) for _ in depths]


class PerStep(Depth):
    """θ(t) = θ_k for k ≤ t < k+1: the parameters of an ordinary network with n layers."""

    def __init__(self, n: int):
        super().__init__(_count(n, "n"), n)

    def forward(self, depths):
        return [list(self.layers[min(int(s * self.copies), self.copies - 1)]) for s in depths]


class PiecewiseLinear(Depth):
    """θ(t) linear between `knots` equally spaced depths, the first at t = 0, the last at t = T = knots − 1.

    Continuous in t, so that refining the steps converges. With 1 knot it is constant.
    """

    def __init__(self, knots: int):
        super().__init__(_count(knots, "knots"), max(1, knots - 1))

    def forward(self, depths):
        first = self.layers[0]
        hats = self._hats(depths)
        at = []  # for each term, its parameters at every depth: all of them from one product
        for i, term in enumerate(first):
            names = [name for name, _ in term.named_parameters()]
            knots = [dict(layer[i].named_parameters()) for layer in self.layers]
            values = [
                torch.tensordot(hats.to(knots[0][name]), torch.stack([k[name] for k in knots]), 1).unbind(0)
                for name in names
            ]
            at.append([dict(zip(names, one)) for one in zip(*values)] if names else [{}] * len(depths))
        return [[Bound(term, at[i][n]) for i, term in enumerate(first)] for n in range(len(depths))]

    def _hats(self, depths: Sequence[float]) -> Tensor:
        """The share of each knot at each depth, (depth, knot): the hat functions of linear interpolation."""
        position = torch.tensor(depths, dtype=torch.float64)[:, None] * (self.copies - 1)
        return (1 - (position - torch.arange(self.copies)).abs()).clamp(min=0)


class Bound:
    """A term with its parameters at one depth."""

    def __init__(self, term: nn.Module, parameters: dict[str, Tensor]):
        self.term, self.parameters = term, parameters

    def __call__(self, *args, **kwargs):
        return functional_call(self.term, self.parameters, args, kwargs)

    def __getattr__(self, name):
        return getattr(self.term, name)


def _count(n: int, what: str) -> int:
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"{what} must be a whole number ≥ 1, got {n!r}")
    return n
