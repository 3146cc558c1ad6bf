"""A trained classifier on tokens that it was not trained on: with quadrature weights, without, and by index.

Three ways to read the same tokens, with the same parameters. *weighted*: each token stands for its cell (its area).
*unweighted*: the points are known, their weights forgotten. *by index*: a plain Transformer, which counts its tokens as
if they were the grid of training, continued. On the grid of training the three are one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flowlib.fields import Grid
from flowlib.models.points import FlowPoints
from flowlib.models.vision import FlowVision, index_positions
from flowlib.operators import attend
from flowlib.training import surfaces

GRADINGS = tuple((n, power) for n in (8, 12, 16) for power in (1.5, 2.0, 3.0))
BIASES = tuple((n, bias) for n in (128, 256) for bias in (1.0, 1.5, 2.0))


@dataclass(frozen=True)
class Accuracy:
    """The share of right answers in each way; NaN where there is no such way (points of a shape have no index)."""

    weighted: float
    unweighted: float
    by_index: float = float("nan")


def graded(n: int, power: float, flip: tuple[bool, bool] = (False, False)) -> Grid:
    """n × n cells of the unit square, crowded in one of its corners (`flip`: down, right), wide in the opposite one."""
    axis = Grid.graded(n, power)
    turned = Grid(1 - axis.points.flip(0), axis.weights.flip(0))
    return Grid.product(*(turned if f else axis for f in flip))


@torch.no_grad()
def on_grid(model: FlowVision, pictures: Tensor, classes: Tensor, grid: Grid) -> Accuracy:
    """Pictures, as functions, sampled at the points of `grid` (a product of two grids of equally many points)."""
    parts = [three_ways(model, some, grid) for some in pictures.split(60)]  # a few at a time: less memory
    return Accuracy(*(share_right(scores, classes) for scores in zip(*parts)))


@torch.no_grad()
def three_ways(model: FlowVision, pictures: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """The scores weighted, unweighted, and by index."""
    side, plain = round(len(grid) ** 0.5), Grid.scattered(grid.points)
    index = index_positions(side, side, model.config.tokens)
    return model(pictures, grid=grid), model(pictures, grid=plain), model(pictures, grid=plain, positions=index)


@torch.no_grad()
def on_clouds(model: FlowPoints, packed: Tensor, classes: Tensor) -> Accuracy:
    """Shapes (shape, point, 4): coordinates and weights."""
    parts = [(some[..., :3], some[..., 3]) for some in packed.split(40)]
    weighted = [model(points, weights=weights) for points, weights in parts]
    return Accuracy(share_right(weighted, classes), share_right([model(points) for points, _ in parts], classes))


def share_right(scores: Sequence[Tensor], classes: Tensor) -> float:
    """The share of right answers; scores in parts, one after the other."""
    return (torch.cat(list(scores)).argmax(-1) == classes).float().mean().item()


def on_graded_grids(model: FlowVision, pictures: Tensor, classes: Tensor, gradings=GRADINGS) -> dict[str, Accuracy]:
    """For every (n, power): the mean over the four corners that the grid may be crowded in."""
    corners = [(down, right) for down in (False, True) for right in (False, True)]
    return {
        f"{n} × {n}, power {power:g}": mean(on_grid(model, pictures, classes, graded(n, power, c)) for c in corners)
        for n, power in gradings
    }


def on_dense_sides(model: FlowPoints, count: int = 160, seeds: int = 2, biases=BIASES) -> dict[str, Accuracy]:
    """For every (points, bias), e^{2 bias} times as dense on one side as on the other: the mean over fresh surfaces."""
    return {
        f"{n} points, bias {bias:g}": mean(
            on_clouds(model, *surfaces.clouds(count, n, 1000 + k, bias)) for k in range(seeds)
        )
        for n, bias in biases
    }


def mean(found: Iterable[Accuracy]) -> Accuracy:
    """The mean of each column."""
    rows = torch.tensor([[a.weighted, a.unweighted, a.by_index] for a in found], dtype=torch.float64)
    return Accuracy(*rows.mean(0).tolist())


def drop(found: Accuracy, before: float) -> Accuracy:
    """By how much each lies below the accuracy `before`, on the tokens of training."""
    return Accuracy(before - found.weighted, before - found.unweighted, before - found.by_index)


@torch.no_grad()
def heard(model: FlowVision, picture: Tensor, at: Grid, tokens: Grid) -> Tensor:
    """What the model's first attention term hears at the points `at` when it listens to `tokens`: (…, point, width).

    The operator itself, A(u(·, 0)), with queries that stay where they are while the tokens are refined. Error: that of
    the quadrature of `tokens`. For models without a convolution and with post-norm.
    """
    term = model.flow.depth.layers[0][0]
    q, _, _ = term._heads(model.initial_field(picture, at), None, None)
    _, k, v = term._heads(model.initial_field(picture, tokens), None, None)
    answer = attend(q, k, v, tokens.weights)
    return term.out(answer.transpose(-3, -2).flatten(-2))
