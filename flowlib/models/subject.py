"""What one looks at: a flow, the field that it starts from, what its tokens are called, and how a field is read out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from flowlib.flow.equation import Flow

BLOCK = 1 << 14  # words whose rows are made wide at a time


@dataclass(frozen=True)
class ReadOut:
    """scores = s W N(u) + b, N the flow's last norm:  what would be said if the flow stopped at u.

    weight W (word, feature), bias b (word,) or None, scale s, word: number ↦ what it is called.
    kind    "head": scores are logits.  "nearest": there is no head, and a score is the cosine to a row of the input
            embedding, which nobody trained to be read so.
    """

    weight: Tensor
    word: Callable[[int], str]
    bias: Tensor | None = None
    kind: Literal["head", "nearest"] = "head"
    scale: float = 1.0

    @torch.no_grad()
    def scores(self, u: Tensor) -> Tensor:
        """(…, feature) → (…, word), a block of words at a time."""
        u = u if self.kind == "head" else u / u.norm(dim=-1, keepdim=True)
        found = []
        for start in range(0, len(self.weight), BLOCK):
            rows = self.weight[start : start + BLOCK].to(u.dtype)
            if self.kind == "nearest":
                rows = rows / rows.norm(dim=-1, keepdim=True).clamp(min=1e-12)
            found.append(u @ rows.T)
        scores = self.scale * torch.cat(found, -1)
        return scores if self.bias is None else scores + self.bias.to(u)

    def row(self, word: int) -> Tensor:
        """The direction (feature,) in float64 along which a word is read."""
        return self.scale * self.weight[word].detach().double()


@dataclass(frozen=True)
class Subject:
    """flow(start, **context) is what is looked at.

    start    u(0), (token, feature)                  tokens   what each token is called
    at       the token that the prediction is read at; None: the mean of all
    kind     what it is, in a few words               note     what a reader must know of its read-out, a sentence
    size     bytes of its parameters, as they are stored
    """

    name: str
    kind: str
    flow: Flow
    start: Tensor
    tokens: tuple[str, ...]
    readout: ReadOut | None
    at: int | None = -1
    context: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    size: int = 0

    def place(self, u: Tensor) -> Tensor:
        """The token that is read, (…, token, feature) → (…, feature)."""
        if self.at is not None:
            return u[..., self.at, :]
        weights = self.context.get("weights")
        if weights is None:
            return u.mean(-2)
        share = (weights.weights / weights.weights.sum()).to(u)
        return (share.unsqueeze(-1) * u).sum(-2)


def check_length(count: int, most: int, what: str = "tokens") -> None:
    """Raises: ValueError for more tokens than a look takes, or none."""
    if not 1 <= count <= most:
        hint = "cut the text" if count else "give a text, such as 'the value of the argum'"
        raise ValueError(f"a look at this model takes 1 to {most} {what}, got {count}; {hint}")
