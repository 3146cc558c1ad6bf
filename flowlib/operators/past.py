"""The past: keys and values of the tokens that have flowed already, so that new tokens can flow alone."""

from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor


class Slot:
    """K and V of one evaluation of a kernel, each (…, head, token, feature/head); None before its first tokens."""

    def __init__(self) -> None:
        self.k: Tensor | None = None
        self.v: Tensor | None = None

    @property
    def tokens(self) -> int:
        """How many tokens are known: the position of the first new one."""
        return 0 if self.k is None else self.k.shape[-2]

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values: those of the past, then the new ones, which are kept as well."""
        if self.k is not None and self.v is not None:
            k, v = torch.cat([self.k, k], -2), torch.cat([self.v, v], -2)
        self.k, self.v = k, v
        return k, v


class Past:
    """A slot for every evaluation of a kernel, in the order in which the flow takes them.

    Under a causal kernel no token hears a later one, and everything else in a flow acts on each token by itself: so
    the trajectory of the past does not change when text is added. It holds for every scheme, substep and constraint,
    as long as causal=True, without mask, weights and dropout, at one number of steps, and while the past keeps its
    positions. ("volterra" is left out: there a token weighs half while it is the newest.)
    """

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.steps: int | None = None

    @property
    def tokens(self) -> int:
        return self.slots[0].tokens if self.slots else 0

    def begin(self, steps: int) -> Iterator[Slot]:
        """The slots from t = 0 on, for a flow of the next tokens: each evaluation takes one.

        Raises: ValueError for other steps than before.
        """
        if self.steps not in (None, steps):
            raise ValueError(f"the past flowed in {self.steps} steps, and cannot be heard by a flow of {steps}")
        self.steps = steps
        return map(self.slot, count())

    def slot(self, k: int) -> Slot:
        """The slot of evaluation number k, an empty one where there was none yet."""
        if k == len(self.slots):
            self.slots.append(Slot())
        return self.slots[k]
