"""u(x, y, 0): from tokens or pixels to the field at depth 0."""

from typing import Any

import torch
from torch import Tensor, nn

from flowlib.arguments import check_tensor
from flowlib.fields import Grid
from flowlib.models.zoo.parts import Map, linear
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
        self.normalise, self.widen = normalise, None if widen is None else linear(widen)

    def forward(self, tokens: Tensor, token_type_ids: Tensor | None = None, valid: Tensor | None = None) -> Tensor:
        self._check(tokens, token_type_ids)
        u = self.token(tokens)
        if self.types is not None:
            u = u + (self.types.weight[0] if token_type_ids is None else self.types(token_type_ids))
        if self.position is not None:
            u = u + self._places(self.position, tokens, valid)
        u = u if self.normalise is None else self.normalise(u)
        return u if self.widen is None else self.widen(u)

    @property
    def longest(self) -> int | None:
        """How many tokens have a position; None: any number of them."""
        return None if self.position is None else self.position.num_embeddings

    def _places(self, position: nn.Embedding, tokens: Tensor, valid: Tensor | None) -> Tensor:
        return position.weight[: tokens.shape[-1]]

    def _check(self, tokens: Tensor, types: Tensor | None) -> None:
        _check_numbers(tokens, self.token.num_embeddings, "input_ids")
        if self.longest is not None and tokens.shape[-1] > self.longest:
            raise ValueError(f"at most {self.longest} tokens have a position, got {tokens.shape[-1]}")
        if types is None:
            return
        check_tensor(types, "token_type_ids", "a tensor like input_ids")
        if self.types is None:
            raise ValueError("this architecture has no token types; leave token_type_ids out")
        if types.shape != tokens.shape:
            raise ValueError(f"one type for each token: {tuple(tokens.shape)}, got {tuple(types.shape)}")
        _check_numbers(types, self.types.num_embeddings, "token_type_ids")


class CountedEmbedding(TokenEmbedding):
    """`TokenEmbedding` whose positions count the tokens that are no padding: the n-th (from 1) has row before + n.

    padding: the token that is no token (RoBERTa); None: `valid` says which are, all of them where it is left out (OPT).
    Padding has row `before`, whatever its place.
    """

    def __init__(self, *tables: Any, before: int, padding: int | None = None, **more: Any):
        super().__init__(*tables, **more)
        self.before, self.padding = before, padding

    @property
    def longest(self) -> int | None:
        return None if self.position is None else self.position.num_embeddings - self.before - 1

    def _places(self, position: nn.Embedding, tokens: Tensor, valid: Tensor | None) -> Tensor:
        if self.padding is not None:
            counted = tokens != self.padding
        else:
            counted = torch.ones_like(tokens, dtype=torch.bool) if valid is None else valid
        if counted.shape != tokens.shape:
            raise ValueError(
                f"attention_mask must be (batch, token) = {tuple(tokens.shape)}, got {tuple(counted.shape)}"
            )
        found: Tensor = position(counted.cumsum(-1) * counted + self.before)
        return found


class PatchEmbedding(nn.Module):
    """u(x, ·, 0) = W patch(x) + position(x), x in the plane; before the patches stands one token more that is nowhere.

    What is left over of a picture below and to the right of the last whole patch is not looked at.

    pictures (…, channel, height, width) → (…, 1 + patch, feature), the patches row by row; `grid`: where they are.
    patches: W (feature, channel, height, width) and b; token (1, 1, feature); position (1, 1 + patch, feature).
    Raises: ValueError for pictures of another size or with other channels.
    """

    def __init__(self, patches: Map, token: Tensor, position: Tensor, size: tuple[int, int]):
        super().__init__()
        weight, bias = patches
        self.shape = (weight.shape[1], *size)  # channel, height, width of a picture
        self.patch = tuple(weight.shape[2:])
        self.map = linear((weight.flatten(1), bias))
        self.token, self.position = nn.Parameter(token[0].clone()), nn.Parameter(position[0].clone())

    def forward(self, pictures: Tensor) -> Tensor:
        check_tensor(pictures, "pictures", "a tensor (…, channel, height, width)")
        if pictures.shape[-3:] != self.shape or not pictures.is_floating_point():
            raise ValueError(
                f"pictures must be floats (…, channel, height, width) = (…, {', '.join(map(str, self.shape))}), "
                f"got {pictures.dtype} {tuple(pictures.shape)}; resize them first"
            )
        (high, wide), (rows, columns) = self.patch, self.counts
        pictures = pictures[..., : rows * high, : columns * wide]  # what is no whole patch is left out
        patches = pictures.unflatten(-1, (-1, wide)).unflatten(-3, (-1, high))  # (…, channel, row, high, column, wide)
        patches = patches.movedim((-4, -2), (-5, -4)).flatten(-5, -4).flatten(-3)  # (…, patch, channel · high · wide)
        u = self.map(patches.to(self.map.weight.dtype))
        return torch.cat((self.token.expand(*u.shape[:-2], -1, -1), u), -2) + self.position

    def extra_repr(self) -> str:
        return f"pictures={self.shape}, patch={self.patch}"

    @property
    def grid(self) -> Grid:
        """The centres of the patches in [0, 1]², their areas as weights (the first token has none)."""
        sides = zip(self.counts, self.patch, self.shape[1:])
        return Grid.product(*(Grid.uniform(n, domain=(0.0, n * m / side)) for n, m, side in sides))

    @property
    def counts(self) -> tuple[int, int]:
        """How many patches stand below each other, and side by side."""
        (high, wide), (_, rows, columns) = self.patch, self.shape
        return rows // high, columns // wide


def _table(weight: Tensor) -> nn.Embedding:
    return nn.Embedding.from_pretrained(weight.detach().clone(), freeze=False)


def _check_numbers(numbers: Tensor, known: int, name: str) -> None:
    check_tensor(numbers, name, "a tensor (…, token) of whole numbers")
    if numbers.dtype not in (torch.int64, torch.int32) or numbers.ndim < 1 or not numbers.numel():
        raise ValueError(
            f"{name} must be whole numbers (…, token), at least one, got {numbers.dtype} {tuple(numbers.shape)}"
        )
    if torch.compiler.is_compiling():
        return
    if not 0 <= numbers.min() <= numbers.max() < known:
        raise ValueError(f"{name} must be in 0 … {known - 1}, got {numbers.min()} … {numbers.max()}")
