"""u(x, y, 0): from tokens or pixels to the field at depth 0."""

from typing import Any

import torch
from torch import Tensor, nn

from flowlib.arguments import check_tensor
from flowlib.fields import Grid
from flowlib.models.zoo.parts import Map, linear
from flowlib.operators import Normalise


class TokenEmbedding(nn.Module):
    """u(x, ·, 0) = M N(s L E[token] + position(x) + T[type]);  what an architecture lacks of these is left out.

    tokens (…, token) whole numbers, or `features` (…, token, ·) in place of E[token]; token_type_ids like tokens (zeros
    where left out); places (…, token), where they are not 0, 1, 2, …  →  (…, token, feature).
    first: the row of position that place 0 has. scale_features: does s stretch given features, too?
    Raises: ValueError for tokens that are not whole numbers, unknown, none or too many, for features of another shape,
            for types and places it does not have.
    """

    takes = "input_ids"
    counts = False  # do positions count the valid tokens? Then it is told which they are: valid (…, token)

    def __init__(
        self,
        token: Tensor,
        position: Tensor | None = None,
        types: Tensor | None = None,
        normalise: Normalise | None = None,
        widen: Map | None = None,
        scale: float = 1.0,
        first: int = 0,
        scale_features: bool = False,
        lift: Map | None = None,
    ):
        super().__init__()
        self.token, self.scale, self.first, self.scale_features = _table(token), scale, first, scale_features
        self.position = None if position is None else _table(position)
        self.types = None if types is None else _table(types)
        self.normalise, self.widen = normalise, None if widen is None else linear(widen)
        self.lift = None if lift is None else linear(lift)

    def forward(
        self,
        tokens: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        valid: Tensor | None = None,
        places: Tensor | None = None,
        features: Tensor | None = None,
    ) -> Tensor:
        self._check(tokens, features)
        u = self.token(tokens) if features is None else features
        u = u if self.lift is None else self.lift(u)
        if self.scale != 1 and (features is None or self.scale_features):
            u = u * torch.tensor(self.scale, dtype=u.dtype)
        shape = u.shape[:-1]
        if self.types is not None:
            self._check_types(token_type_ids, shape)
            u = u + (self.types.weight[0] if token_type_ids is None else self.types(token_type_ids))
        elif token_type_ids is not None:
            raise ValueError("this architecture has no token types; leave token_type_ids out")
        if self.position is not None:
            u = u + (self._places(shape, tokens, valid) if places is None else self._at(places, shape))
        u = u if self.normalise is None else self.normalise(u)
        return u if self.widen is None else self.widen(u)

    @property
    def longest(self) -> int | None:
        """How many tokens have a position; None: any number of them."""
        return None if self.position is None else self.position.num_embeddings - self.first

    def _places(self, shape: torch.Size, tokens: Tensor | None, valid: Tensor | None) -> Tensor:
        assert self.position is not None
        return self.position.weight[self.first : self.first + shape[-1]]

    def _at(self, places: Tensor, shape: torch.Size) -> Tensor:
        assert self.position is not None
        check_places(places, shape)
        _check_numbers(places, self.position.num_embeddings - self.first, "position_ids")
        found: Tensor = self.position(places + self.first)
        return found

    def _check(self, tokens: Tensor | None, features: Tensor | None) -> None:
        if features is None:
            _check_numbers(tokens, self.token.num_embeddings, "input_ids")
        else:
            width = self.token.embedding_dim
            check_tensor(features, "inputs_embeds", f"a tensor (…, token, {width})")
            if features.ndim < 2 or features.shape[-1] != width or not features.is_floating_point():
                raise ValueError(
                    f"inputs_embeds must be floats (…, token, {width}), got {features.dtype} {tuple(features.shape)}"
                )
        many = features.shape[-2] if features is not None else 0 if tokens is None else tokens.shape[-1]
        if self.longest is not None and many > self.longest:
            raise ValueError(f"at most {self.longest} tokens have a position, got {many}")

    def _check_types(self, types: Tensor | None, shape: torch.Size) -> None:
        if types is None or self.types is None:
            return
        check_tensor(types, "token_type_ids", "a tensor like input_ids")
        if types.shape != shape:
            raise ValueError(f"one type for each token: {tuple(shape)}, got {tuple(types.shape)}")
        _check_numbers(types, self.types.num_embeddings, "token_type_ids")


class CountedEmbedding(TokenEmbedding):
    """`TokenEmbedding` whose positions count the tokens that are no padding: the n-th (from 1) has row before + n.

    padding: the token that is no token (RoBERTa); None: `valid` says which are, all of them where it is left out (OPT).
    Padding has row `before`, whatever its place; of given features none is padding.
    """

    counts = True

    def __init__(self, *tables: Any, before: int, padding: int | None = None, **more: Any):
        super().__init__(*tables, **more)
        self.before, self.padding = before, padding

    @property
    def longest(self) -> int | None:
        return None if self.position is None else self.position.num_embeddings - self.before - 1

    def _places(self, shape: torch.Size, tokens: Tensor | None, valid: Tensor | None) -> Tensor:
        assert self.position is not None
        if self.padding is None:
            counted = valid
        else:
            counted = None if tokens is None else tokens != self.padding
        if counted is None:
            counted = torch.ones(shape, dtype=torch.bool, device=self.position.weight.device)
        if counted.shape != shape:
            raise ValueError(f"attention_mask must be (batch, token) = {tuple(shape)}, got {tuple(counted.shape)}")
        found: Tensor = self.position(counted.cumsum(-1) * counted + self.before)
        return found


class PatchEmbedding(nn.Module):
    """u(x, ·, 0) = N(W patch(x) + position(x)), x in the plane; before them stands one token more that is nowhere.

    What is left over of a picture below and to the right of the last whole patch is not looked at.

    pictures (…, channel, height, width) → (…, 1 + patch, feature), the patches row by row; `grid`: where they are.
    patches: W (feature, channel, height, width) and b; token (1, 1, feature); position (1, 1 + patch, feature).
    Raises: ValueError for pictures of another size or with other channels.
    """

    takes = "pixel_values"

    def __init__(
        self,
        patches: Map,
        token: Tensor,
        position: Tensor,
        size: tuple[int, int],
        normalise: Normalise | None = None,
    ):
        super().__init__()
        self.normalise = normalise
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
        u = torch.cat((self.token.expand(*u.shape[:-2], -1, -1), u), -2) + self.position
        return u if self.normalise is None else self.normalise(u)

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


def check_places(places: Tensor, shape: torch.Size) -> None:
    """Raises: TypeError or ValueError for positions that are not one for each token (or one row for all texts)."""
    check_tensor(places, "position_ids", "a tensor (batch, token) of whole numbers")
    if places.shape not in (shape, (1, *shape[1:])) and places.shape != shape[-1:]:
        raise ValueError(f"one position for each token: {tuple(shape)}, got {tuple(places.shape)}")


def _check_numbers(numbers: Any, known: int, name: str) -> None:
    check_tensor(numbers, name, "a tensor (…, token) of whole numbers")
    if numbers.dtype not in (torch.int64, torch.int32) or numbers.ndim < 1 or not numbers.numel():
        raise ValueError(
            f"{name} must be whole numbers (…, token), at least one, got {numbers.dtype} {tuple(numbers.shape)}"
        )
    if torch.compiler.is_compiling():
        return
    if not 0 <= numbers.min() <= numbers.max() < known:
        raise ValueError(f"{name} must be in 0 … {known - 1}, got {numbers.min()} … {numbers.max()}")
