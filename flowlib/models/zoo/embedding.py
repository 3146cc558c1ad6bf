"""u(x, y, 0): from tokens or pixels to the field at depth 0."""

import torch
from torch import Tensor, nn

from flowlib.models.zoo.parts import Map
from flowlib.operators import Normalise


class TokenEmbedding(nn.Module):
    """u(x, ·, 0) = M N(E[token] + position(x) + T[type]);  what an architecture lacks of position, T, N, M is left out.

    tokens (…, token) whole numbers; token_type_ids like tokens (zeros where left out) → (…, token, feature).
    Raises: ValueError for tokens that are not whole numbers, unknown, none or too many, and for types it does not have.
    """

    def __init__(
        self,
        token: Tensor,
        position: Tensor | None = None,
        types: Tensor | None = None,
        normalise: Normalise | None = None,
        widen: Map | None = None,
    ):
        super().__init__()
        self.token = _table(token)
        self.position = None if position is None else _table(position)
        self.types = None if types is None else _table(types)
        self.normalise, self.widen = normalise, None
        if widen is not None:
            self.widen = nn.Linear(*widen[0].T.shape, bias=widen[1] is not None)
            self.widen.load_state_dict({k: v for k, v in zip(("weight", "bias"), widen) if v is not None})

    def forward(self, tokens: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        self._check(tokens, token_type_ids)
        u = self.token(tokens)
        if self.types is not None:
            u = u + (self.types.weight[0] if token_type_ids is None else self.types(token_type_ids))
        if self.position is not None:
            u = u + self.position.weight[: tokens.shape[-1]]
        u = u if self.normalise is None else self.normalise(u)
        return u if self.widen is None else self.widen(u)

    def _check(self, tokens: Tensor, types: Tensor | None) -> None:
        _check_numbers(tokens, self.token.num_embeddings, "tokens")
        if self.position is not None and tokens.shape[-1] > self.position.num_embeddings:
            raise ValueError(f"at most {self.position.num_embeddings} tokens have a position, got {tokens.shape[-1]}")
        if types is None:
            return
        if self.types is None:
            raise ValueError("this architecture has no token types; leave token_type_ids out")
        if types.shape != tokens.shape:
            raise ValueError(f"one type for each token: {tuple(tokens.shape)}, got {tuple(types.shape)}")
        _check_numbers(types, self.types.num_embeddings, "token_type_ids")


def _table(weight: Tensor) -> nn.Embedding:
    return nn.Embedding.from_pretrained(weight.detach().clone(), freeze=False)


def _check_numbers(numbers: Tensor, known: int, name: str) -> None:
    if numbers.dtype not in (torch.int64, torch.int32) or numbers.ndim < 1 or not numbers.numel():
        raise ValueError(
            f"{name} must be whole numbers (…, token), at least one, got {numbers.dtype} {tuple(numbers.shape)}"
        )
    if not 0 <= numbers.min() <= numbers.max() < known:
        raise ValueError(f"{name} must be in 0 … {known - 1}, got {numbers.min()} … {numbers.max()}")
