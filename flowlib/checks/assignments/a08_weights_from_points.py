"""Assignment 08: weights from the points alone.

In one dimension the lengths of the cells, on a surface the distance to the k-th neighbour. What is written here are the
ways in which they go wrong, and laws that a right answer obeys.
"""

import math

import torch

from flowlib.checks.compare import CheckFailed, as_tensor
from flowlib.checks.exercises import Exercise, draw, three_numbers

by_hand = Exercise(
    "8.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "Draw the line from 0 to 1 and the three tokens. Where do you stop being nearer to the first than to "
        "the second?",
        "Cells meet halfway between neighbours. The first cell begins at 0, the last one ends at 1.",
        "The borders are 0, 0.2, 0.6 and 1. The weights are the lengths between them.",
    ),
)
by_hand.wrong_numbers(
    equal=(
        [1 / 3, 1 / 3, 1 / 3],
        "You gave each token the same weight. The first two lie close together and share the left part of Ω; the "
        "third has much room of its own.",
    ),
    open_ends=(
        [0.1, 0.4, 0.3],
        "The outer cells reach to the ends of Ω: what lies left of the first token is nearest to it, and must belong "
        "to somebody. Yours sum to 0.8.",
    ),
    gap_to_the_next=(
        [0.2, 0.6, 0.1],
        "You gave a token all of the gap to its right. The half of it that is farther from it is nearer to the next "
        "one.",
    ),
    gap_to_the_one_before=(
        [0.1, 0.2, 0.6],
        "You gave a token all of the gap to its left. The half of it that is farther from it is nearer to the one "
        "before.",
    ),
    whole_gaps=(
        [0.2, 0.8, 0.6],
        "You counted whole gaps on both sides. Each gap is shared by two tokens: half to each.",
    ),
    backwards=([0.4, 0.4, 0.2], "The order is reversed: the first weight belongs to the token at 0.1."),
    ends_of_the_cells=([0.2, 0.6, 1.0], "These are the places where the cells end. A weight is the length of a cell."),
    beginnings=([0.0, 0.2, 0.6], "These are the places where the cells begin. A weight is the length of a cell."),
    nearest_neighbour=(
        [0.2, 0.2, 0.6],
        "These are the distances to the nearest neighbour. A cell has two sides: it reaches half of the way to each "
        "neighbour, and to the end of Ω.",
    ),
    half_of_the_nearest=(
        [0.1, 0.1, 0.3],
        "These are halves of the distance to the nearest neighbour. A cell has two sides: half of the way to "
        "each, and all "
        "of the way to the ends of Ω.",
    ),
    up_to_the_next_token=(
        [0.3, 0.6, 0.1],
        "In yours a cell ends at the next token. It ends halfway to it: beyond, the next one is nearer.",
    ),
    percent=([20.0, 40.0, 40.0], "These are percent. A weight is a length, and together they are 1 long."),
    inner_alone=(
        [0.125, 0.5, 0.375],
        "These are the trapezoidal weights, divided by their sum. The outer cells reach to the ends of Ω, 0 and 1.",
    ),
    halves=([0.1, 0.2, 0.2], "These are half of the lengths: they must sum to 1."),
    places=(
        [0.1, 0.3, 0.9],
        "These are the places of the tokens. A weight is the *length* that a token stands for.",
    ),
)


@by_hand.law
def weights_sum_to_one(answer, generator):
    """The cells fill Ω = [0, 1] without a gap, so the weights must sum to 1."""
    return abs(sum(answer()) - 1) < 0.01


@by_hand.law
def borders(answer, generator):
    """The first border between two cells must lie halfway between 0.1 and 0.3, the second halfway between 0.3 and
    0.9."""
    first, second, third = answer()
    return abs(2 * first - 0.4) < 0.02 and abs(2 * third - 0.8) < 0.02


by_hand_mean = Exercise(
    "8.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=("The mean is Σ w u / Σ w.", "The weights sum to 1 already.", "Three products: each weight times its u."),
)
by_hand_mean.wrong_numbers(
    unweighted=(5.0, "The weights are right, and not used: 5 is the mean over the *tokens*, not over Ω."),
    sum_of_the_field=(15.0, "This is the sum of u. The mean is Σ w u, with the weights that you found."),
    three_times=(12.0, "This is three times the mean: Σ w u is the mean already, since the weights sum to 1."),
    a_tenth=(0.4, "This is a tenth of the mean, a factor 10 is lost: 0.2 · 10 + 0.4 · 0 + 0.4 · 5."),
    first_alone=(2.0, "This is the part of the first token, 0.2 · 10. All three parts are added."),
    divided_by_three=(
        4 / 3,
        "You divided Σ w u by the number of tokens as well. The weights sum to 1: Σ w u is the mean.",
    ),
)


@by_hand_mean.law
def mean(answer, generator):
    """The mean must be Σ w u: one weight times u for each token, added."""
    return abs(answer() - (2 + 0 + 2)) < 0.01


def check_by_hand(weights, mean) -> None:
    """Check the weights and the mean of task 8.1."""
    given = three_numbers(weights, "weights").tolist()
    if as_tensor(mean, "mean").numel() != 1:
        raise CheckFailed("mean must be one number: the sum of the three parts w u")
    by_hand.examine(lambda: given)
    by_hand_mean.check(lambda: as_tensor(mean, "mean").item())


def places(generator):
    """Seven tokens (7,) in any order on an interval [a, b] that is not [0, 1]."""
    a = draw(generator, 1).item()
    b = a + 1.5 + torch.rand((), generator=generator, dtype=torch.float64).item()
    x = a + (b - a) * torch.rand(7, generator=generator, dtype=torch.float64).sort().values
    return x[[3, 0, 5, 1, 6, 2, 4]], a, b  # an order that is not its own inverse: one way back from it is wrong


cells = Exercise(
    "8.2",
    tensor=True,
    cell="cells",
    inputs=places,
    hints=(
        "Sort the tokens. Then the borders of the cells are a, the middles between neighbours, and b.",
        "borders.diff() gives the lengths, in sorted order. If order = x.argsort(), the i-th of them belongs to token "
        "order[i].",
        "torch.unique(x, return_inverse=True, return_counts=True) gives the places in order, the place of each token, "
        "and how many share it.",
    ),
)


def share_gaps(x, a, b, first, left, right, last):
    """What most wrong ways have in common: parts of the gaps to both sides, of the sorted tokens, in the order of x."""
    order = x.argsort()
    gaps = x[order].diff()
    lengths = torch.zeros_like(x)
    lengths[1:] += left * gaps
    lengths[:-1] += right * gaps
    lengths[0] += first * (x.min() - a)
    lengths[-1] += last * (b - x.max())
    return torch.zeros_like(x).scatter(0, order, lengths)


@cells.wrong
def not_sorted(x, a, b):
    """You took the token before and after in the *list* for the neighbours. The tokens come in any order: a neighbour
    is the nearest to the left or right on the line."""
    ends = torch.cat([x.new_tensor([a]), (x[1:] + x[:-1]) / 2, x.new_tensor([b])])
    return ends.diff()


@cells.wrong
def sorted_order(x, a, b):
    """The lengths are right, and in sorted order: they stand beside the wrong tokens. Put each back to where its token
    stands in x."""
    return not_sorted(x.sort().values, a, b)


@cells.wrong
def order_twice(x, a, b):
    """The lengths are right, and permuted the wrong way. If order = x.argsort(), the i-th length belongs to token
    order[i]: write result[order] = lengths, not lengths[order]."""
    return sorted_order(x, a, b)[x.argsort()]


@cells.wrong
def open_ends(x, a, b):
    """The outer cells must reach to a and b: all that lies beyond the last token is nearest to it. Yours end at the
    tokens themselves, and Ω is not covered."""
    return share_gaps(x, a, b, 0, 0.5, 0.5, 0)


@cells.wrong
def half_ends(x, a, b):
    """You halved the pieces at the two ends as well. A gap between two tokens is shared by two; the piece from a to the
    first token belongs to that token alone."""
    return share_gaps(x, a, b, 0.5, 0.5, 0.5, 0.5)


@cells.wrong
def mirrored_ends(x, a, b):
    """You gave the outer tokens as much on the outer side as on the inner one. Their cells end at a and at b, wherever
    these are."""
    order = x.argsort()
    gaps, lengths = x[order].diff(), share_gaps(x, a, b, 0, 0.5, 0.5, 0)
    lengths[order[0]] += gaps[0] / 2
    lengths[order[-1]] += gaps[-1] / 2
    return lengths


@cells.wrong
def gap_to_the_next(x, a, b):
    """You gave a token all of the gap to its right. Half of it is nearer to the next token."""
    return share_gaps(x, a, b, 0, 0, 1, 1)


@cells.wrong
def gap_to_the_one_before(x, a, b):
    """You gave a token all of the gap to its left. Half of it is nearer to the token before."""
    return share_gaps(x, a, b, 1, 1, 0, 0)


@cells.wrong
def whole_gaps(x, a, b):
    """Each gap is counted twice. It is shared by two tokens: half to each."""
    return share_gaps(x, a, b, 1, 1, 1, 1)


@cells.wrong
def equal(x, a, b):
    """All tokens get an equal weight here. Whoever lies in a crowd stands for less of Ω."""
    return torch.full_like(x, (b - a) / len(x))


@cells.wrong
def shares_of_one(x, a, b):
    """Yours are shares that sum to 1. Asked are lengths: they sum to b − a."""
    return share_gaps(x, a, b, 1, 0.5, 0.5, 1) / (b - a)


@cells.wrong
def unit_interval(x, a, b):
    """You took [0, 1] for the interval. It is [a, b]."""
    return share_gaps(x, 0.0, 1.0, 1, 0.5, 0.5, 1)


def nearest_gap(x):
    """The distance of each token to the nearest other one."""
    d = (x[:, None] - x[None]).abs()
    d.fill_diagonal_(math.inf)
    return d.min(1).values


def between(x, a, b, middle):
    """Cells with other borders between neighbours than their middles, in the order of x."""
    s = x.sort().values
    ends = torch.cat([x.new_tensor([a]), middle(s[:-1], s[1:]), x.new_tensor([b])])
    return torch.zeros_like(x).scatter(0, x.argsort(), ends.diff())


cells.wrong_ways(
    nearest_neighbour=(
        lambda x, a, b: nearest_gap(x),
        "This is the distance to the nearest neighbour. A cell has two sides: half of the way to each neighbour.",
    ),
    half_of_the_nearest=(
        lambda x, a, b: nearest_gap(x) / 2,
        "This is half of the distance to the nearest neighbour. A cell has two sides: half of the way to each "
        "neighbour.",
    ),
    nearest_neighbour_normalised=(
        lambda x, a, b: nearest_gap(x) / nearest_gap(x).sum() * (b - a),
        "You share b − a out by the distance to the nearest neighbour. A cell has two sides: half of the way to each.",
    ),
    sorted_backwards=(
        lambda x, a, b: not_sorted(x.sort().values, a, b).flip(0),
        "The lengths are right, and in sorted order backwards: they stand beside the wrong tokens. Put each "
        "back to where "
        "its token stands in x.",
    ),
    differences_for_middles=(
        lambda x, a, b: between(x, a, b, lambda p, q: (q - p) / 2),
        "Your borders are half of the *difference* of two neighbours. The middle between them is half of their sum.",
    ),
    sums_for_middles=(
        lambda x, a, b: between(x, a, b, lambda p, q: q + p),
        "Your borders are the sum of two neighbours. The middle between them is half of it.",
    ),
    ends_at_the_next=(
        lambda x, a, b: between(x, a, b, lambda p, q: q),
        "In yours a cell ends at the next token. It ends halfway between the two.",
    ),
    begins_at_the_one_before=(
        lambda x, a, b: between(x, a, b, lambda p, q: p),
        "In yours a cell begins at the token before. It begins halfway between the two.",
    ),
    from_0=(
        lambda x, a, b: share_gaps(x, 0.0, b, 1, 0.5, 0.5, 1),
        "You let the interval begin at 0. It begins at a.",
    ),
    twice=(
        lambda x, a, b: 2 * share_gaps(x, a, b, 1, 0.5, 0.5, 1),
        "All lengths are twice as large as they must be: they sum to b − a.",
    ),
)


@cells.law
def shape(answer, generator):
    """There must be one length for each token, (token,)."""
    x, a, b = places(generator)
    return as_tensor(answer(x, a, b), "cells").shape == x.shape


@cells.law
def exact(answer, generator):
    """The lengths are exact: the places are known, and the borders lie in the middles between them. Does yours count
    points of a grid?"""
    x, a, b = places(generator)
    off = (as_tensor(answer(x, a, b), "cells") - share_gaps(x, a, b, 1, 0.5, 0.5, 1)).abs().max().item()
    return not 1e-5 < off < 0.01 * (b - a) or f"Yours are off by up to {off:.1e}, an approximation."


@cells.law
def interval_is_filled(answer, generator):
    """The cells fill [a, b]: the lengths must sum to b − a."""
    x, a, b = places(generator)
    total = as_tensor(answer(x, a, b), "cells").sum().item()
    return abs(total - (b - a)) < 1e-5 or f"Yours sum to {total:.4f}, and b − a is {b - a:.4f}."


@cells.law
def two_tokens(answer, generator):
    """Of two tokens, the cells meet halfway between them."""
    x, a, b = places(generator)
    x = x[:2].sort().values
    mine = as_tensor(answer(x, a, b), "cells")
    return bool((mine[0] - (x.mean() - a)).abs() < 1e-5)


@cells.law
def tokens_permuted(answer, generator):
    """Permute the tokens, and the lengths must be permuted in the same way."""
    x, a, b = places(generator)
    new = torch.randperm(len(x), generator=generator)
    one, two = as_tensor(answer(x, a, b), "cells"), as_tensor(answer(x[new], a, b), "cells")
    return bool((one[new] - two).abs().max() < 1e-5)


@cells.law
def scaled(answer, generator):
    """Stretch the interval with all tokens on it, and every length must be stretched likewise."""
    x, a, b = places(generator)
    one, two = as_tensor(answer(x, a, b), "cells"), as_tensor(answer(3 * x + 2, 3 * a + 2, 3 * b + 2), "cells")
    return bool((3 * one - two).abs().max() < 1e-5)


@cells.law
def shared_place(answer, generator):
    """Put a second token onto the place of one: the two must share its cell in equal parts, and no other length may
    change."""
    x, a, b = places(generator)
    one, two = as_tensor(answer(x, a, b), "cells"), as_tensor(answer(torch.cat([x, x[3:4]]), a, b), "cells")
    if two.shape == (8,) and bool((two[[3, 7]] - one[3]).abs().max() < 1e-5):
        return "With yours each of the two has the whole cell, and the sum is larger than b − a."
    want = torch.cat([one, one[3:4]])
    want[[3, 7]] /= 2
    pair = f"The cell was {one[3]:.3f} long; yours gives the two {two[3]:.3f} and {two[-1]:.3f}."
    return two.shape == (8,) and bool((two - want).abs().max() < 1e-5) or pair


def cloud(generator):
    """Twelve points in space (12, 3), the third neighbour, a surface."""
    return draw(generator, 12, 3), 3, 2


neighbours = Exercise(
    "8.3",
    cell="near-weights",
    inputs=cloud,
    hints=(
        "First all distances between tokens, (token, token). Then one number from each row.",
        "torch.cdist(points, points) has zeros on its diagonal: in a sorted row, the token itself comes first.",
        "So with counting from 0 the k-th neighbour is entry k of the sorted row. Then r ** m, divided by its sum.",
    ),
)


def distances(points):
    """The distances of each token to all tokens, in order: itself, the nearest, the next, …"""
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").sort(-1).values


def shares(z):
    """z, so that it sums to 1."""
    return z / z.sum()


@neighbours.wrong
def itself(points, k, m):
    """A token was counted as its own nearest neighbour, at the distance 0: you are one neighbour short."""
    return shares(distances(points)[:, k - 1] ** m)


@neighbours.wrong
def one_too_many(points, k, m):
    """You went one neighbour too far. In a sorted row the token itself is entry 0, so the k-th neighbour is entry k."""
    return shares(distances(points)[:, k + 1] ** m)


@neighbours.wrong
def no_power(points, k, m):
    """You weigh by the distance itself. A token stands for an *area*: twice the distance means four times the area.
    Take r to the power m."""
    return shares(distances(points)[:, k])


@neighbours.wrong
def power_of_the_space(points, k, m):
    """You took the number of coordinates for the dimension. The tokens lie on a surface: around each there is an area,
    not a volume. The power is m."""
    return shares(distances(points)[:, k] ** points.shape[-1])


@neighbours.wrong
def power_twice(points, k, m):
    """The power is 2m here: was the distance squared before it was raised to m?"""
    return shares(distances(points)[:, k] ** (2 * m))


@neighbours.wrong
def density(points, k, m):
    """This is the density: large where tokens crowd. A weight is its inverse: who has few neighbours stands for
    much."""
    return shares(distances(points)[:, k] ** -m)


@neighbours.wrong
def not_normalised(points, k, m):
    """The weights must sum to 1: divide by the sum over all tokens."""
    return distances(points)[:, k] ** m


@neighbours.wrong
def divided_by_the_largest(points, k, m):
    """Divide by the sum of all r^m, not by the largest."""
    r = distances(points)[:, k]
    return r**m / (r**m).max()


@neighbours.wrong
def sum_before_power(points, k, m):
    """You normalised the distances and then raised them to m: after that they do not sum to 1. First the power, then
    the sum."""
    return shares(distances(points)[:, k]) ** m


@neighbours.wrong
def mean_distance(points, k, m):
    """You took the mean distance of the k nearest. It is the distance to the k-th alone that counts."""
    return shares(distances(points)[:, 1 : k + 1].mean(-1) ** m)


@neighbours.wrong
def farthest(points, k, m):
    """You took the k-th *farthest* token. How far the others are says nothing about the crowd around a token."""
    return shares(distances(points)[:, -k] ** m)


@neighbours.wrong
def nearest(points, k, m):
    """You took the nearest neighbour, whatever k is."""
    return shares(distances(points)[:, 1] ** m)


@neighbours.wrong
def softmax(points, k, m):
    """You put r^m through a softmax. It is an area already: divide it by its sum."""
    return (distances(points)[:, k] ** m).softmax(-1)


def apart(points, p):
    """The sorted distances of another norm."""
    return torch.cdist(points, points, p=p).sort(-1).values


neighbours.wrong_ways(
    farthest_but_one=(
        lambda points, k, m: shares(distances(points)[:, -k - 1] ** m),
        "You took the k-th *farthest* token: the rows are sorted from far to near. The nearest come first.",
    ),
    sum_of_differences=(
        lambda points, k, m: shares(apart(points, 1)[:, k] ** m),
        "Your distances are sums of absolute differences of the coordinates. Distances are straight: the root "
        "of the sum "
        "of squares.",
    ),
    largest_difference=(
        lambda points, k, m: shares(apart(points, math.inf)[:, k] ** m),
        "Your distances are the largest difference of a coordinate. Distances are straight: the root of the sum "
        "of squares.",
    ),
    first_coordinate=(
        lambda points, k, m: shares(apart(points[:, :1], 2)[:, k] ** m),
        "You measured along the first coordinate alone. Distances are straight, through space.",
    ),
    mean_with_itself=(
        lambda points, k, m: shares(distances(points)[:, :k].mean(-1) ** m),
        "You took a mean distance. It is the distance to the k-th neighbour alone that counts.",
    ),
    mean_of_all=(
        lambda points, k, m: shares(distances(points).mean(-1) ** m),
        "You took the mean distance to all tokens. It is the distance to the k-th neighbour alone that counts.",
    ),
    times_m=(
        lambda points, k, m: m * distances(points)[:, k] / distances(points)[:, k].sum(),
        "You multiplied by m. An area grows with the *power* m of the distance.",
    ),
    area_of_a_disc=(
        lambda points, k, m: math.pi * distances(points)[:, k] ** m / k,
        "These are areas πr²/k, which do not sum to 1: divide by their sum, and π/k cancels.",
    ),
    area_without_k=(
        lambda points, k, m: math.pi * distances(points)[:, k] ** m,
        "These are areas πr², which do not sum to 1: divide by their sum, and π cancels.",
    ),
    divided_by_n=(
        lambda points, k, m: distances(points)[:, k] ** m / len(points),
        "You divide by the number of tokens, n. The weights sum to 1 if you divide by the sum of all r^m.",
    ),
    density_itself=(
        lambda points, k, m: distances(points)[:, k] ** -m,
        "This is the density, 1/r^m. A weight is its inverse, r^m, divided by the sum.",
    ),
    equal=(
        lambda points, k, m: points.new_full((len(points),), 1 / len(points)),
        "All your weights are equal: the distances are not used.",
    ),
)


@neighbours.law
def power_is_m(answer, generator):
    """The power is m, an argument: 1 on a curve, 2 on a surface, 3 in a volume."""
    points, k, _ = cloud(generator)
    r = distances(points)[:, k]
    for m in (1, 3):
        mine = as_tensor(answer(points, k, m), "near_weights")
        for power in (1, 2, 3):
            if power != m and mine.shape == r.shape and (mine - shares(r**power)).abs().max() < 1e-6:
                return f"With m = {m} yours takes the power {power}."
    return True


@neighbours.law
def sum_is_one(answer, generator):
    """The weights are one number for each token, and sum to 1."""
    mine = as_tensor(answer(*cloud(generator)), "near_weights")
    return mine.shape == (12,) and abs(mine.sum().item() - 1) < 1e-6


@neighbours.law
def regular_polygon(answer, generator):
    """The corners of a regular polygon are all alike: their weights must be equal."""
    angle = 2 * torch.pi * torch.arange(9, dtype=torch.float64) / 9
    mine = as_tensor(answer(torch.stack([angle.cos(), angle.sin()], -1), 2, 1), "near_weights")
    return bool((mine - 1 / 9).abs().max() < 1e-6)


@neighbours.law
def cloud_moved(answer, generator):
    """Turn the cloud, shift it or make it ten times as large: weights that sum to 1 may not change."""
    points, k, m = cloud(generator)
    turn = torch.linalg.qr(draw(generator, 3, 3)).Q
    one, two = (as_tensor(answer(z, k, m), "near_weights") for z in (points, 10 * points @ turn + 1))
    return bool((one - two).abs().max() < 1e-6)


@neighbours.law
def cloud_permuted(answer, generator):
    """Permute the tokens, and the weights must be permuted in the same way."""
    points, k, m = cloud(generator)
    new = torch.randperm(12, generator=generator)
    one, two = as_tensor(answer(points, k, m), "near_weights"), as_tensor(answer(points[new], k, m), "near_weights")
    return bool((one[new] - two).abs().max() < 1e-6)


@neighbours.law
def three_tokens_of_a_line(answer, generator):
    """Three tokens of a line, at 0, 1 and 3, with k = 1: the distances are 1, 1 and 2, so for a curve (m = 1) the
    weights are ¼, ¼, ½, and for m = 2 they are 1/6, 1/6, 4/6."""
    line = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    found = [as_tensor(answer(line, 1, m), "near_weights")[2].item() for m in (1, 2)]
    return (
        abs(found[0] - 0.5) < 1e-6
        and abs(found[1] - 2 / 3) < 1e-6
        or f"Yours gives the third {found[0]:.3f} and {found[1]:.3f}."
    )


rates = Exercise(
    "8.4",
    cell="typical-error",
    inputs=lambda generator: (),
    hints=(
        "Write one draw first: tokens, weights, the mean Σ w u / Σ w, its distance from e − 1. Then a loop around it.",
        "x = torch.rand(n, dtype=torch.float64) ** p. Equal weights are ones; cells(x, 0.0, 1.0) are the others.",
        "Collect 200 errors, each without its sign, and take the median of them.",
    ),
)


def ask_error(answer, *inputs) -> float:
    """One number above 0."""
    value = as_tensor(answer(*inputs), f"typical_error{inputs}")
    if value.numel() != 1 or not value.item() > 0:
        raise CheckFailed(f"typical_error{inputs} must be one number above 0, the median of errors without a sign")
    return value.item()


def order(answer, p: float, weighted: bool) -> float:
    """p of error ~ n^−p, from 32 to 256 tokens."""
    return math.log(ask_error(answer, 32, p, weighted) / ask_error(answer, 256, p, weighted), 8)


def known_median(n, draws=20000) -> float:
    """The median of |mean of e^x − (e − 1)| over many draws of n uniform tokens."""
    x = torch.rand(draws, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (x.exp().mean(-1) - (math.e - 1)).abs().median().item()


@rates.law
def median_of_many(answer, generator):
    """The result is the median of 200 absolute errors, each of a draw of its own."""
    values = [float(as_tensor(answer(16, 1, False), "typical_error(16, 1, False)").reshape(-1)[0]) for _ in range(8)]
    if min(values) < 0:
        return f"Yours is {min(values):.3g}, below 0: take the absolute value of each error, abs."
    mean = sum(values) / 8
    if max(values) - min(values) < 1e-12:
        return "Yours is the same each time: draw new tokens 200 times, and fix no seed inside."
    if max(values) > 2.5 * min(values):
        return (
            f"Called eight times yours goes from {min(values):.2g} to {max(values):.2g}: is it one draw, and not 200?"
        )
    times = mean / known_median(16)
    if times < 0.2 and float(as_tensor(answer(16, 1, True), "typical_error")) < 2 * mean:
        return "Yours is as small with weighted=False as with the weights of cells: the weights are equal there."
    if 0.85 < times < 1.11 or mean > 0.2:
        return True
    said = (
        (0.5, "Is it the error of the median, in which signs cancel? First the absolute errors, then their median."),
        (0.86, "Are the tokens drawn at random, uniform between 0 and 1?"),
        (1.32, "That is as much as the *mean* of the errors. The median is asked for."),
        (1.8, "That is as much as the root of the mean square. The median is asked for."),
        (math.inf, "That is as much as the largest error. The median is asked for."),
    )
    return f"Yours is {times:.2f} times that. {next(words for most, words in said if times < most)}"


@rates.law
def equal_and_uneven(answer, generator):
    """With equal weights and p = 3 the error must stay: the sum converges to the mean over another density."""
    fine = ask_error(answer, 256, 3, False)
    if fine > 1:
        return (
            f"Yours is {fine:.2f}, more than any mean of e^x can miss e − 1 by: did you divide by the sum of "
            f"weights, and "
            f"subtract e − 1?"
        )
    if abs(fine - 1) < 0.06:
        return f"Yours is {fine:.2f}: the mean of e^x is e − 1. Did you subtract e?"
    return 0.3 < fine < 0.45 or f"Yours is {fine:.1e} at 256 tokens. Is p used, and are the weights equal?"


@rates.law
def equal_and_even(answer, generator):
    """With equal weights and p = 1 the mean is one of independent draws, of order ½: four times the tokens, half the
    error."""
    found = order(answer, 1, False)
    if found > 1.5:
        return f"Yours has order {found:.2f}: are the weights of cells used where weighted is False?"
    return abs(found - 0.5) < 0.3 or f"Yours has order {found:.2f}."


@rates.law
def weights_of_cells(answer, generator):
    """With the weights of cells the order must be 2, for p = 1 and for p = 3."""
    for p in (1, 3):
        found = order(answer, p, True)
        if found < 0.8:
            return f"Yours has order {found:.2f} at p = {p}: are they used, each beside its own token?"
        if abs(found - 2) > 0.4:
            return f"Yours has order {found:.2f} at p = {p}."
    return True
