"""Assignment 03: attention with another kernel.

The kernel of the assignment is κ = 1 / (1 + |q − k|²/s²), weighted and normalised. What is written here are the ways in
which it goes wrong, and laws that a right answer obeys.
"""

import torch

from flowlib.checks.compare import as_tensor
from flowlib.checks.exercises import Exercise, draw, three_numbers


def inputs(generator):
    """q (3, 2), k (5, 2), v (5, 4), uneven weights (5,), a scale that is not 1."""
    q, k, v = draw(generator, 3, 2), draw(generator, 5, 2), draw(generator, 5, 4)
    weights = torch.rand(5, generator=generator, dtype=torch.float64) + 0.2
    return q, k, v, weights, 1.5 + torch.rand((), generator=generator, dtype=torch.float64).item()


by_hand = Exercise(
    "3.1",
    cell="shares",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "Write three rows: the distance from 0 to each key, κ of it, and κ times the weight of that key.",
        "κ is 1, 1/2 and 1/10. A key's share is its own κ·w, divided by the sum of all three.",
        "The sum is 1/4 + 1/8 + 1/20 = 0.425. Divide 1/4, 1/8 and 1/20 by it.",
    ),
)
by_hand.wrong_numbers(
    unweighted=(
        [0.625, 0.3125, 0.0625],
        "These are the shares of three equal tokens. The third one stands for as much of Ω as the two others "
        "together: multiply κ by the weight, above and below.",
    ),
    not_normalised=(
        [0.25, 0.125, 0.05],
        "These are κ times weight. What is heard is an average, so the three shares must sum to 1: divide by their "
        "sum.",
    ),
    not_squared=(
        [0.5, 0.25, 0.25],
        "You took |q − k| instead of its square: at the distance 3 the kernel is 1/(1 + 9).",
    ),
    weights_alone=([0.25, 0.25, 0.5], "These are the weights: the shares if every key were equally near."),
)


@by_hand.law
def shares_sum_to_one(answer, generator):
    """The shares must sum to 1."""
    return abs(sum(answer()) - 1) < 0.01


@by_hand.law
def nearest_largest(answer, generator):
    """The nearest key has the largest share, and the farthest the smallest."""
    first, second, third = answer()
    return first > second > third


@by_hand.law
def kernel_times_weight(answer, generator):
    """The shares must stand to each other as κ times weight of their keys. Yours do not: write κ·w for each key once
    more."""
    first, second, third = answer()
    right = abs(first - 2 * second) < 0.02 and abs(first - 5 * third) < 0.035
    return right or f"They stand as 1 : {second / first:.2f} : {third / first:.2f}."


def check_shares(shares) -> None:
    """Check the three numbers of task 3.1."""
    given = three_numbers(shares, "shares", each="key").tolist()
    by_hand.check(lambda: given)


attend = Exercise(
    "3.2",
    cell="near-attend",
    inputs=inputs,
    hints=(
        "Three steps, and a shape beside each: all squared distances (query, key); the kernel times the weights "
        "(query, key); the average of v (query, value).",
        "torch.cdist(q, k) gives all distances. Weights belong to keys, so they multiply columns.",
        "Normalise each row by its own sum, sum(-1, keepdim=True), after the weights have been multiplied in.",
    ),
)


def average(kernel, v, above=1.0, below=None, axis=-1):
    """Σ_j above_j κ_ij v_j / Σ_j below_j κ_ij: what all wrong ways have in common."""
    below = above if below is None else below
    return kernel * above / (kernel * below).sum(axis, keepdim=True) @ v


def nearness(q, k, scale):
    """κ = 1 / (1 + |q − k|²/s²), (query, key)."""
    return 1 / (1 + (torch.cdist(q, k) / scale) ** 2)


@attend.wrong
def unweighted(q, k, v, weights, scale):
    """The weights of the tokens are missing. A sum over tokens is an integral only where each token counts with the
    length that it stands for."""
    return average(nearness(q, k, scale), v)


@attend.wrong
def weights_above_only(q, k, v, weights, scale):
    """The weights stand in the numerator and not in the sum that you divide by: then the shares of a row do not sum to
    1."""
    return average(nearness(q, k, scale), v, weights, 1.0)


@attend.wrong
def weights_below_only(q, k, v, weights, scale):
    """The weights stand in the sum that you divide by, but not in the numerator: both integrals need them."""
    return average(nearness(q, k, scale), v, 1.0, weights)


@attend.wrong
def wrong_axis(q, k, v, weights, scale):
    """You normalised over the queries: each column sums to 1. It is the *listener* who hears an average: normalise over
    the keys, the last axis."""
    return average(nearness(q, k, scale), v, weights, axis=-2)


@attend.wrong
def not_normalised(q, k, v, weights, scale):
    """The result grows with the number of tokens: ∫ γ dx̃ = 1 is missing. Divide each row by its sum."""
    return nearness(q, k, scale) * weights @ v


@attend.wrong
def not_squared(q, k, v, weights, scale):
    """You took the distance where its square must stand: κ = 1/(1 + |q − k|²/s²)."""
    return average(1 / (1 + torch.cdist(q, k) / scale), v, weights)


@attend.wrong
def scale_not_squared(q, k, v, weights, scale):
    """The distance is squared, the scale is not: s has the unit of a distance, so it is |q − k|²/s²."""
    return average(1 / (1 + torch.cdist(q, k) ** 2 / scale), v, weights)


@attend.wrong
def scale_forgotten(q, k, v, weights, scale):
    """The scale is not used: with s = 1 your answer would be right."""
    return average(nearness(q, k, 1.0), v, weights)


@attend.wrong
def softmax_on_top(q, k, v, weights, scale):
    """You put the kernel through a softmax as well. It is positive already: multiply by the weights and divide by the
    sum."""
    return average(nearness(q, k, scale).exp(), v, weights)


@attend.wrong
def dot_product(q, k, v, weights, scale):
    """This kernel asks how *far* q and k are from each other, not what their product is: use |q − k|², as torch.cdist
    gives it."""
    return average(1 / (1 + (q @ k.mT / scale) ** 2), v, weights)


@attend.wrong
def weights_inside(q, k, v, weights, scale):
    """The weights are inside the kernel, as if they changed the distance. They multiply it."""
    return average(1 / (1 + (torch.cdist(q, k) / scale) ** 2 / weights), v)


@attend.law
def shape(answer, generator):
    """The result has a row for each query and a column for each value: (query, value)."""
    q, k, v, weights, scale = inputs(generator)
    shape = tuple(as_tensor(answer(q, k, v, weights, scale), "the result").shape)
    return shape == (3, 4) or f"For 3 queries, 5 keys and 4 values yours has {shape}."


@attend.law
def constant(answer, generator):
    """Where all tokens say the same, that is what every listener must hear."""
    q, k, v, weights, scale = inputs(generator)
    same = torch.full_like(v, 7.0)
    return bool((as_tensor(answer(q, k, same, weights, scale), "the result") - 7).abs().max() < 1e-9)


@attend.law
def split(answer, generator):
    """Split a token into two at the same place, with half of its weight each: nothing that is heard may change. With
    your function it does."""
    q, k, v, weights, scale = inputs(generator)
    one = as_tensor(answer(q, k, v, weights, scale), "the result")
    halves = torch.cat([weights[:-1], weights[-1:] / 2, weights[-1:] / 2])
    two = as_tensor(answer(q, torch.cat([k, k[-1:]]), torch.cat([v, v[-1:]]), halves, scale), "the result")
    return bool((one - two).abs().max() < 1e-9)


@attend.law
def two_keys(answer, generator):
    """Two equal tokens, one at the listener's own place and one at the distance s: κ is 1 and 1/2, so the shares are
    2/3 and 1/3."""
    _, _, _, _, scale = inputs(generator)
    q = torch.zeros(1, 1, dtype=torch.float64)
    k = torch.tensor([[0.0], [scale]], dtype=torch.float64)
    v = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    share = as_tensor(answer(q, k, v, torch.ones(2, dtype=torch.float64), scale), "the result").item()
    return abs(share - 2 / 3) < 1e-9 or f"Yours gives the near one {share:.4f}."


@attend.law
def batch(answer, generator):
    """It must work for a batch as well, (…, token, feature): use the last two axes, not the first two."""
    q, k, v, weights, scale = inputs(generator)
    one = as_tensor(answer(q, k, v, weights, scale), "the result")
    many = as_tensor(answer(*(z.expand(2, *z.shape) for z in (q, k, v)), weights, scale), "the result")
    return many.shape == (2, *one.shape) and bool((many - one).abs().max() < 1e-9)


error = Exercise(
    "3.3",
    cell="operator-error",
    inputs=lambda generator: (),
    tol=1e-9,
    hints=(
        "Make the grid, put q, k and v of its points into your function, and compare with the same on a much finer "
        "grid of Gauss points.",
        "Only the keys live on the graded grid. The query stays where it is, so that both results are one vector.",
        "weighted=False means weights of 1 for every token: torch.ones(n, dtype=torch.float64).",
    ),
)


@error.law
def number(answer, generator):
    """operator_error(n, weighted) must return one number, not below 0."""
    value = as_tensor(answer(16, True), "operator_error(16, True)")
    return value.ndim == 0 and value.item() >= 0


@error.law
def order_2(answer, generator):
    """With weights the error must fall like n⁻²: four times smaller for twice as many tokens."""
    coarse, fine = float(answer(64, True)), float(answer(128, True))
    return abs(coarse / max(fine, 1e-300) - 4) < 0.4 or f"From 64 to 128 tokens yours changes by {coarse / fine:.2f}."


@error.law
def stalls(answer, generator):
    """Without weights the error must not go away: more tokens do not help."""
    coarse, fine = float(answer(64, False)), float(answer(128, False))
    return fine > 0.8 * coarse and fine > 1e-3 or f"Yours is {fine:.1e} at 128 tokens."
