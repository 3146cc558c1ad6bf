"""Assignment 03: attention with another kernel.

The kernel of the assignment is κ = 1 / (1 + |q − k|²/s²), weighted and normalised. What is written here are the ways in
which it goes wrong, and laws that a right answer obeys.
"""

import math

import torch

from flowlib.checks.compare import as_tensor
from flowlib.checks.exercises import Exercise, draw, three_numbers, uniform
from flowlib.fields import Grid


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
    kernel_alone=([1.0, 0.5, 0.1], "This is κ itself. Multiply it by the weights, and divide by the sum of the three."),
    not_squared_unnormalised=(
        [0.25, 0.125, 0.125],
        "You took |q − k| instead of its square, and the three do not sum to 1 yet: divide by their sum.",
    ),
    not_squared_unweighted=(
        [0.571, 0.286, 0.143],
        "These stand as 1, 1/2 and 1/4, without weights. At the distance 3 the kernel is 1/(1 + 3²) = 1/10: the "
        "square is missing, and so are the weights.",
    ),
    upside_down=([1.0, 2.0, 10.0], "This is 1 + |q − k|²; κ is 1 divided by it: what is near counts most."),
    normalised_before_the_weights=(
        [0.15625, 0.078125, 0.03125],
        "You divided by the sum of κ, and multiplied by the weights afterwards. The three must sum to 1: divide by the "
        "sum of κ·w.",
    ),
    percent=([58.8, 29.4, 11.8], "These are percent. Shares sum to 1, not to 100."),
    backwards=(
        [0.118, 0.294, 0.588],
        "The order is reversed: the key 0 stands at the listener's own place and counts most.",
    ),
    gauss=(
        [
            math.exp(-j * j) * w / (0.25 + 0.25 * math.exp(-1) + 0.5 * math.exp(-9))
            for j, w in ((0, 0.25), (1, 0.25), (3, 0.5))
        ],
        "You took the kernel exp(−|q − k|²). Here κ = 1/(1 + |q − k|²/s²).",
    ),
    exponential=(
        [
            math.exp(-j) * w / (0.25 + 0.25 * math.exp(-1) + 0.5 * math.exp(-3))
            for j, w in ((0, 0.25), (1, 0.25), (3, 0.5))
        ],
        "You took the kernel exp(−|q − k|). Here κ = 1/(1 + |q − k|²/s²).",
    ),
    weights_alone=([0.25, 0.25, 0.5], "These are the weights: the shares if every key were equally near."),
)


@by_hand.law
def shares_sum_to_one(answer, generator):
    """The shares must sum to 1: divide κ·w by the sum of all three."""
    total = sum(answer())
    return abs(total - 1) < 0.01 or f"Yours sum to {total:.3g}."


@by_hand.law
def nearest_largest(answer, generator):
    """The nearest key has the largest share, and the farthest the smallest."""
    first, second, third = answer()
    return first > second > third or "Write κ = 1/(1 + |q − k|²) for each key, then κ times its weight."


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


def gaps(q, k):
    """Differences of every query and key, (query, key, d)."""
    return (q.unsqueeze(-2) - k.unsqueeze(-3)).abs()


def near(square):
    """1 / (1 + a square)."""
    return 1 / (1 + square)


attend.wrong_ways(
    scale_multiplied=(
        lambda q, k, v, w, s: average(near((torch.cdist(q, k) * s) ** 2), v, w),
        "You multiply the distance by the scale. It is divided: |q − k|²/s², so that a large s makes all keys near.",
    ),
    scale_multiplied_once=(
        lambda q, k, v, w, s: average(near(torch.cdist(q, k) ** 2 * s), v, w),
        "You multiply by the scale. It is divided, and squared: |q − k|²/s².",
    ),
    distance_alone=(
        lambda q, k, v, w, s: average(near(torch.cdist(q, k)), v, w),
        "Neither is the distance squared nor the scale used: κ = 1/(1 + |q − k|²/s²).",
    ),
    scale_squared_alone=(
        lambda q, k, v, w, s: average(near(torch.cdist(q, k) / s**2), v, w),
        "You took the distance where its square must stand: κ = 1/(1 + |q − k|²/s²).",
    ),
    softmax_of_the_weighted_kernel=(
        lambda q, k, v, w, s: average((w * nearness(q, k, s)).exp(), v),
        "You put the kernel through a softmax as well. It is positive already: divide it by its sum.",
    ),
    softmax_before_the_sum=(
        lambda q, k, v, w, s: (
            (w * nearness(q, k, s)).softmax(-1) @ v / (w * nearness(q, k, s)).softmax(-1).sum(-1, True)
        ),
        "You put the kernel through a softmax as well. It is positive already: divide it by its sum.",
    ),
    plain_attention=(
        lambda q, k, v, w, s: (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v,
        "This is the softmax of chapter 03, of the dot product. Here κ asks how near q and k are, and there are "
        "weights.",
    ),
    weighted_attention=(
        lambda q, k, v, w, s: average((q @ k.mT / q.shape[-1] ** 0.5).exp(), v, w),
        "This is the softmax of chapter 03, of the dot product. Here κ asks how near q and k are.",
    ),
    product_in_the_kernel=(
        lambda q, k, v, w, s: average(near(q @ k.mT / s**2), v, w),
        "You took the dot product in place of the squared distance |q − k|².",
    ),
    gauss_kernel=(
        lambda q, k, v, w, s: average((-((torch.cdist(q, k) / s) ** 2)).exp(), v, w),
        "You took the kernel exp(−|q − k|²/s²), a Gauss bell. Here κ = 1/(1 + |q − k|²/s²).",
    ),
    exponential_kernel=(
        lambda q, k, v, w, s: average((-torch.cdist(q, k) / s).exp(), v, w),
        "You took the kernel exp(−|q − k|/s). Here κ = 1/(1 + |q − k|²/s²).",
    ),
    divided_by_root_d=(
        lambda q, k, v, w, s: average(near((torch.cdist(q, k) / s) ** 2 / q.shape[-1] ** 0.5), v, w),
        "You divide by √d, as dot-product attention does. Here nothing but s² divides |q − k|².",
    ),
    mean_over_features=(
        lambda q, k, v, w, s: average(near((torch.cdist(q, k) / s) ** 2 / q.shape[-1]), v, w),
        "You took the mean of the squares over the d features. |q − k|² is their sum.",
    ),
    one_left_out=(
        lambda q, k, v, w, s: average((torch.cdist(q, k) / s) ** -2, v, w),
        "The 1 in κ = 1/(1 + |q − k|²/s²) is missing: at distance 0 yours divides by 0.",
    ),
    upside_down=(
        lambda q, k, v, w, s: average(1 + (torch.cdist(q, k) / s) ** 2, v, w),
        "Your kernel is upside down: what is far counts most. κ is 1 divided by 1 + |q − k|²/s².",
    ),
    weights_twice=(
        lambda q, k, v, w, s: average(nearness(q, k, s), v, w**2, w),
        "The weights stand twice above the line: once in the kernel, and once more at the values.",
    ),
    weights_squared=(
        lambda q, k, v, w, s: average(nearness(q, k, s), v, w**2),
        "The weights are multiplied in twice, above the line and below.",
    ),
    root_of_the_weights=(
        lambda q, k, v, w, s: average(nearness(q, k, s), v, w.sqrt()),
        "You took the root of the weights. They multiply κ as they are.",
    ),
    sum_of_everything=(
        lambda q, k, v, w, s: nearness(q, k, s) * w @ v / (nearness(q, k, s) * w).sum(),
        "You divide by the sum over all queries and keys. Each listener has a sum of its own: sum(-1, keepdim=True).",
    ),
    sum_of_the_weights=(
        lambda q, k, v, w, s: nearness(q, k, s) * w @ v / w.sum(),
        "You divide by the sum of the weights. The shares of a row sum to 1 only if you divide by the row's sum "
        "of κ·w.",
    ),
    mean_over_the_keys=(
        lambda q, k, v, w, s: nearness(q, k, s) * w @ v / k.shape[-2],
        "You divide by the number of keys. The shares of a row sum to 1 only if you divide by the row's sum of κ·w.",
    ),
    sum_of_absolute_differences=(
        lambda q, k, v, w, s: average(near((gaps(q, k).sum(-1) / s) ** 2), v, w),
        "You took the sum of the absolute differences for the distance. |q − k|² is the sum of their squares.",
    ),
    largest_difference=(
        lambda q, k, v, w, s: average(near((gaps(q, k).amax(-1) / s) ** 2), v, w),
        "You took the largest difference for the distance. |q − k|² is the sum of all squares.",
    ),
    square_of_the_sum=(
        lambda q, k, v, w, s: average(near(((q.unsqueeze(-2) - k.unsqueeze(-3)).sum(-1) / s) ** 2), v, w),
        "You sum the differences over the features and square the sum. |q − k|² is the sum of the squares.",
    ),
    kernel_returned=(
        lambda q, k, v, w, s: nearness(q, k, s) * w / (nearness(q, k, s) * w).sum(-1, True),
        "You return the kernel γ, the shares. What is heard is their product with the values v.",
    ),
)


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


def heard(grid, weights, at=0.4, scale=0.3, value=lambda x: (3 * x).cos(), key=1.0):
    """What a listener at that place hears on a grid."""
    kernel = weights * nearness(torch.tensor([[at]]).double(), key * grid.points, scale)
    return (kernel @ value(grid.points) / kernel.sum()).item()


FINE = Grid.gauss(200)


def miss(n, weighted, power=3, truth=FINE, **other):
    """|heard on a graded grid − heard on a fine one|, with some other listener, scale or field."""
    grid = Grid.graded(n, power=power) if power != 1 else Grid.uniform(n)
    ones = torch.ones(n, dtype=torch.float64)
    return abs(heard(grid, grid.weights if weighted else ones, **other) - heard(truth, truth.weights, **other))


def own(n, weighted):
    grid = Grid.graded(n, power=3)
    return heard(grid, grid.weights if weighted else torch.ones(n, dtype=torch.float64))


error = Exercise(
    "3.3",
    cell="operator-error",
    inputs=lambda generator: (int(uniform(generator, 12, 20)), True),
    tol=1e-9,
    hints=(
        "Make the grid, put q, k and v of its points into your function, and compare with the same on a much finer "
        "grid of Gauss points.",
        "Only the keys live on the graded grid. The query stays where it is, so that both results are one vector.",
        "weighted=False means weights of 1 for every token: torch.ones(n, dtype=torch.float64).",
    ),
)
error.wrong_ways(
    **{
        f"power_{p}": (
            lambda n, w, p=p: miss(n, w, power=p),
            f"Your grid is graded with power {p}. The task says power=3.",
        )
        for p in (2, 4)
    },
    uniform_grid=(lambda n, w: miss(n, w, power=1), "Your grid is uniform. The task says Grid.graded(n, power=3)."),
    **{
        f"scale_{s}": (lambda n, w, s=s: miss(n, w, scale=s), f"Your scale is s = {s:g}. The task says s = 0.3.")
        for s in (1.0, 0.09, 3.0, 0.3**0.5)
    },
    **{
        f"listener_at_{x}": (
            lambda n, w, x=x: miss(n, w, at=x),
            f"Your listener stands at {x:.3g}. The task says x = 0.4: only the keys live on the grid.",
        )
        for x in (0.0, 0.5, 1.0, 0.3, 0.4 / 0.3, 4.0)
    },
    keys_scaled=(
        lambda n, w: miss(n, w, at=0.4 / 0.3, key=1 / 0.3),
        "The scale is divided out twice: near_attend takes it as an argument, so give it q and k as they are.",
    ),
    **{
        f"field_{name}": (lambda n, w, f=f: miss(n, w, value=f), f"Your field is V = {name}. The task says V = cos 3x.")
        for name, f in {
            "cos x": lambda x: x.cos(),
            "sin 3x": lambda x: (3 * x).sin(),
            "x": lambda x: x,
            "cos² 3x": lambda x: (3 * x).cos() ** 2,
        }.items()
    },
    unweighted_truth=(
        lambda n, w: abs(own(n, w) - heard(FINE, torch.ones_like(FINE.weights))),
        "Your true value is heard without weights. Gauss points have weights of their own, fine.weights.",
    ),
    truth_on_a_graded_grid=(
        lambda n, w: miss(n, w, truth=Grid.graded(200, power=3)),
        "Your true value comes from a graded grid of 200 points. The task says Grid.gauss(200), which is far "
        "more exact.",
    ),
    truth_on_a_uniform_grid=(
        lambda n, w: miss(n, w, truth=Grid.uniform(200)),
        "Your true value comes from a uniform grid of 200 points. The task says Grid.gauss(200), which is far "
        "more exact.",
    ),
    value_at_the_listener=(
        lambda n, w: abs(own(n, w) - math.cos(1.2)),
        "You compare with V(0.4). The truth is what the listener hears, an average of V: take your function on "
        "Grid.gauss(200).",
    ),
    value_at_the_listener_in_float32=(
        lambda n, w: abs(own(n, w) - (3 * torch.tensor(0.4)).cos().item()),
        "You compare with V(0.4). The truth is what the listener hears, an average of V: take your function on "
        "Grid.gauss(200).",
    ),
    no_truth_in_size=(
        lambda n, w: abs(own(n, w)),
        "This is what is heard itself: the true value is not subtracted.",
    ),
    no_truth=(own, "This is what is heard itself: the true value is not subtracted."),
    relative=(
        lambda n, w: miss(n, w) / abs(heard(FINE, FINE.weights)),
        "This is the relative error. Nothing is divided: the absolute error is asked for.",
    ),
    relative_with_its_sign=(
        lambda n, w: -miss(n, w) / abs(heard(FINE, FINE.weights)),
        "This is the relative error, with its sign. The absolute error is asked for: take abs, and divide by nothing.",
    ),
    square=(lambda n, w: miss(n, w) ** 2, "This is the square of the error. Its absolute value is asked for."),
    with_its_sign=(lambda n, w: -miss(n, w), "This is the error with its sign. Take its absolute value, abs."),
    flag_turned=(
        lambda n, w: miss(n, not w),
        "weighted=True must take the grid's weights, and weighted=False a weight of 1 for every token: yours has no "
        "weights where they are asked for.",
    ),
)


@error.law
def number(answer, generator):
    """operator_error(n, weighted) must return one number, not below 0."""
    for weighted in (True, False):
        value = as_tensor(answer(16, weighted), f"operator_error(16, {weighted})")
        if value.numel() > 1:
            return f"Yours has the shape {tuple(value.shape)}."
        if value.item() < 0:
            return f"operator_error(16, {weighted}) is {value.item():.3g} in yours: take its absolute value, abs."
    return True


@error.law
def order_2(answer, generator):
    """With weights the error must fall like n⁻²: four times smaller for twice as many tokens."""
    coarse, fine = float(answer(64, True)), float(answer(128, True))
    if fine > 0.9 * coarse:
        return (
            f"Yours stays at {fine:.3g}: is the true value subtracted, what the listener hears on Grid.gauss(200), "
            f"and not V(0.4)?"
        )
    return abs(coarse / max(fine, 1e-300) - 4) < 0.4 or f"From 64 to 128 tokens yours changes by {coarse / fine:.2f}."


@error.law
def stalls(answer, generator):
    """Without weights the error must not go away: more tokens do not help."""
    coarse, fine = float(answer(64, False)), float(answer(128, False))
    if abs(fine - float(answer(128, True))) < 1e-12:
        return "Yours is the same with weights and without: the flag `weighted` is not used."
    return fine > 0.8 * coarse and fine > 1e-3 or f"Yours is {fine:.1e} at 128 tokens."
