"""Assignment 07: steps of unequal length.

The flow of the assignment is u_t = g(t) (mean of u − u): all tokens hear the mean, and g says how loud at a depth.
What is written here are the ways in which it goes wrong, and laws that a right answer obeys.
"""

import math
from functools import cache

import torch
from torch import Tensor

from flowlib.checks.compare import CheckFailed, as_tensor
from flowlib.checks.exercises import Exercise, draw, three_numbers, uniform

HORIZON = 4.0
LOG2 = math.log(2)


loss = Exercise(
    "7.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "The loss is the mean of −log p over the three letters, with the natural logarithm.",
        "−log(1/2) = log 2, −log(1/4) = 2 log 2, −log(1/8) = 3 log 2, and log 2 = 0.693. Take the mean.",
        "The mean is 2 log 2. The perplexity is e to the loss, and e^(2 log 2) needs no calculator.",
    ),
)
loss.wrong_numbers(
    bits=(
        2.0,
        "You took the logarithm to the base 2, so this loss is in bits. A nat goes with e: multiply by log 2 = 0.693.",
    ),
    sum=(
        6 * LOG2,
        "You added up −log p of the three letters. The loss is their mean: a long text is not worse for being long.",
    ),
    mean_first=(
        -math.log(7 / 24),
        "You took the logarithm of the mean probability. It is the mean of the logarithms: one bad surprise costs "
        "more than the others gain.",
    ),
    decimal=(
        2 * math.log10(2),
        "You took the logarithm to the base 10. A nat goes with the natural logarithm, base e.",
    ),
    probabilities=(
        (1 / 2 + 1 / 4 + 1 / 8) / 3,
        "This is the mean of the probabilities. The loss is the mean of −log p.",
    ),
    product=(1 / 64, "This is the product of the probabilities. The loss is the mean of −log p."),
    last_letter=(3 * LOG2, "This is −log p of the last letter alone. The loss is the mean over all three."),
    sum_with_its_sign=(
        -6 * LOG2,
        "The minus is missing, and it is the sum of three logarithms: the loss is the mean of −log p.",
    ),
    sign=(-2 * LOG2, "The minus is missing: the logarithm of a probability is negative, and a loss is not."),
)


@loss.law
def product_of_probabilities(answer, generator):
    """The three probabilities multiplied are e to −3 times the loss. Yours are not."""
    return abs(3 * float(answer()) + math.log(1 / 64)) < 0.02


perplexity = Exercise("7.1", cell="by-hand", inputs=lambda generator: (), tol=6e-3, hints=loss.hints)
perplexity.wrong_numbers(
    the_loss_again=(2 * LOG2, "This is the loss again. The perplexity is e to the loss."),
    upside_down=(
        0.25,
        "Your loss is right. This is e to *minus* the loss, the probability of a letter; the perplexity is e to "
        "the loss.",
    ),
    mean_of_probabilities=(
        24 / 7,
        "Your loss is right. This is 1 over the mean of the probabilities; the perplexity is e to the loss.",
    ),
    two_to_two=(2 * 2 * LOG2, "Your loss is right. The perplexity is e to the loss, not twice the loss."),
    with_2=(
        2 ** (2 * LOG2),
        "Your loss is right. The perplexity turns *that* logarithm around, so it is e to the loss, not 2 to the loss.",
    ),
    mean_of_reciprocals=(
        14 / 3,
        "Your loss is right. The perplexity is not the mean of 2, 4 and 8: it is e to the loss, their geometric mean.",
    ),
    product=(
        64.0,
        "Your loss is right. 64 is how many texts of three letters the model hesitates between; for one letter it is "
        "the third root.",
    ),
)


@perplexity.law
def power_of_e(answer, generator):
    """The perplexity must be e to the loss."""
    return abs(math.log(max(float(answer()), 1e-9)) - 2 * LOG2) < 0.02


after_two = Exercise(
    "7.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "The mean of 0, 0 and 6 is 2. Look at how far each token is from it: −2, −2, 4.",
        "A step of length Δt moves a token by Δt times (mean − token). The mean stays where it is.",
        "The step of length 1/2 takes half of each distance away, the step of length 1/4 a quarter of what is left.",
    ),
)
after_two.wrong_numbers(
    one_step=(
        (1.5, 1.5, 3.0),
        "A quarter of each distance is left: so it is after one step of length 3/4, or after two of length 1/2. These "
        "are two, of 1/2 and 1/4, and the second starts where the first has ended.",
    ),
    second_step_only=(
        (0.5, 0.5, 5.0),
        "This is one step of length 1/4 alone, from the start. The first step, of length 1/2, is missing.",
    ),
    two_quarters=(
        (0.875, 0.875, 4.25),
        "You made two steps of 1/4. The first one has the length 1/2.",
    ),
    whole_steps=(
        (2.0, 2.0, 2.0),
        "All your tokens are at the mean: Δt is missing, a step moves by Δt times the distance.",
    ),
    distances_left=(
        (-0.75, -0.75, 1.5),
        "These are the distances to the mean, not the places of the tokens: add the mean 2.",
    ),
    shares_of_the_start=((0.75, 0.75, 1.5), "These are no places: add the mean 2 to the distances −3/4, −3/4 and 3/2."),
    the_sum=((3.75, 3.75, 4.5), "All hear the sum 6 in yours. What they hear is the mean, 2."),
    eighths=(
        (0.25, 0.25, 5.5),
        "You multiplied the two lengths, 1/8. A step takes its share of the distance that is left.",
    ),
    first_step_only=(
        (1.0, 1.0, 4.0),
        "This is where the tokens are after the first step. The second one is missing.",
    ),
    depths=(
        (1.75, 1.75, 2.5),
        "You made steps of 1/2 and 3/4: those are the depths at which they end. The second goes from 1/2 to 3/4, so "
        "its length is 1/4.",
    ),
    away=((-1.75, -1.75, 9.5), "Your tokens flee from the mean: the velocity is mean − u, not u − mean."),
    river=(
        tuple(2 + math.exp(-0.75) * z for z in (-2, -2, 4)),
        "This is the river itself, e^(−3/4) of each distance. The question is where two steps end.",
    ),
)


@after_two.law
def mean_is_two(answer, generator):
    """All hear the mean equally loud, so it stays at 2. Yours has moved."""
    mean = sum(answer()) / 3
    return abs(mean - 2) < 0.007 or f"The mean of your three tokens is {mean:.3g}; each is at 2 plus its distance."


@after_two.law
def distances(answer, generator):
    """The step of length 1/2 must take half of each distance to the mean away, the step of length 1/4 a quarter of what
    is left."""
    return all(abs((z - 2) / 0.75 / 0.5 - start) < 0.03 for z, start in zip(answer(), (-2, -2, 4)))


def check_by_hand(nats, bytes_, after) -> None:
    """Check the numbers of task 7.1: loss, perplexity, three tokens."""
    if as_tensor(nats, "loss").shape != () or as_tensor(bytes_, "perplexity").shape != ():
        raise CheckFailed("loss and perplexity must be one number each")
    tokens = three_numbers(after, "after").tolist()
    loss.examine(lambda: float(nats))
    perplexity.examine(lambda: float(bytes_))
    after_two.check(lambda: tokens)


class Loudness:
    """g(t) = low + high · e^{−((t − middle)/width)²}, of a number or of a tensor."""

    def __init__(self, low: float, high: float, middle: float, width: float):
        self.low, self.high, self.middle, self.width = low, high, middle, width

    def __call__(self, t):
        t = torch.as_tensor(t, dtype=torch.float64)
        return self.low + self.high * (-(((t - self.middle) / self.width) ** 2)).exp()


def loudness(generator) -> Loudness:
    """Loud at one depth, and quiet elsewhere."""
    return Loudness(
        uniform(generator, 0.1, 0.3),
        uniform(generator, 3, 5),
        uniform(generator, 0.8, 3.2),
        uniform(generator, 0.3, 0.5),
    )


def rivers(generator):
    """u (3, 2), uneven weights (3,) that sum to 1, a loudness, depths (5,) from 0 to T at uneven distances."""
    u, loud = draw(generator, 3, 2), loudness(generator)
    weights, lengths = (torch.rand(n, generator=generator, dtype=torch.float64) + 0.2 for n in (3, 4))
    depths = torch.cat([torch.zeros(1, dtype=torch.float64), HORIZON * lengths.cumsum(0) / lengths.sum()])
    return u, weights / weights.sum(), loud, depths


march = Exercise(
    "7.2",
    cell="march",
    inputs=rivers,
    hints=(
        "A loop over neighbouring depths: for start, end in zip(depths[:-1], depths[1:]). Δt is end − start.",
        "What all hear is one row for the whole field: Σ_j w_j u_j, shape (feature,), which is weights @ u.",
        "One step: u + Δt · g((start + end)/2) · (weights @ u − u). The next step starts from that u.",
    ),
)


def take_steps(u, weights, pairs, *, sign=1.0, own=1.0, frozen=False):
    """What the wrong ways have in common: steps of length Δt at loudness g, for pairs (Δt, g)."""
    first = u
    for dt, g in pairs:
        at = first if frozen else u
        u = u + sign * dt * g * (weights @ at - own * at)
    return u


def steps(depths, loud, at=0.5):
    """(Δt, g) of each step, the loudness taken at a share `at` of the step."""
    return [(b - a, loud(a + at * (b - a))) for a, b in zip(depths[:-1], depths[1:])]


def equal_middles(z):
    """The middles that the steps would have if they were equal."""
    return [z[-1] * (k + 0.5) / (len(z) - 1) for k in range(len(z) - 1)]


@march.wrong
def loudness_of_the_start(u, w, g, z):
    """You took the loudness at the beginning of each step. As in chapter 07, a step uses the parameters of its
    middle."""
    return take_steps(u, w, steps(z, g, 0.0))


@march.wrong
def loudness_of_the_end(u, w, g, z):
    """You took the loudness at the end of each step. As in chapter 07, a step uses the parameters of its middle."""
    return take_steps(u, w, steps(z, g, 1.0))


@march.wrong
def counted_middles(u, w, g, z):
    """Step k takes its loudness at (k + ½)T/N in your answer. That is the middle of an *equal* step; these are uneven,
    and the middle is that of the two depths."""
    return take_steps(u, w, zip(z.diff(), map(g, equal_middles(z))))


@march.wrong
def equal_lengths(u, w, g, z):
    """All your steps have the length T/N. The depths say how long each one is."""
    return take_steps(u, w, [(z[-1] / (len(z) - 1), loud) for _, loud in steps(z, g)])


@march.wrong
def depth_for_length(u, w, g, z):
    """You used the depth at which a step ends as its length. The length is the difference of two neighbouring
    depths."""
    return take_steps(u, w, [(b, loud) for b, (_, loud) in zip(z[1:], steps(z, g))])


@march.wrong
def unweighted(u, w, g, z):
    """The tokens hear the plain mean in your answer. A mean over the domain is an integral: each token counts with its
    weight."""
    return take_steps(u, torch.full_like(w, 1 / len(w)), steps(z, g))


@march.wrong
def away(u, w, g, z):
    """Your tokens flee from the mean. The velocity is g (mean − u), towards it."""
    return take_steps(u, w, steps(z, g), sign=-1.0)


@march.wrong
def no_own_part(u, w, g, z):
    """The − u is missing: the mean is added to each token, and nothing holds it back."""
    return take_steps(u, w, steps(z, g), own=0.0)


@march.wrong
def all_from_the_start(u, w, g, z):
    """All your steps take the velocity of the first field. Each step starts from where the one before has ended."""
    return take_steps(u, w, steps(z, g), frozen=True)


@march.wrong
def last_step_missing(u, w, g, z):
    """The last step is missing: N + 1 depths are N steps."""
    return take_steps(u, w, steps(z, g)[:-1])


@march.wrong
def exponential(u, w, g, z):
    """You multiplied by e^(−gΔt), which is exact where g does not change. This task asks for the step of a Transformer,
    u + Δt·velocity, with its error."""
    return take_steps(u, w, [(1.0, 1 - (-dt * loud).exp()) for dt, loud in steps(z, g)])


@march.wrong
def over_the_features(u, weights, loud, depths):
    """You averaged over the features of a token. What is heard is the mean over the *tokens*, for each feature."""
    for dt, g in steps(depths, loud):
        u = u + dt * g * (u.mean(-1, keepdim=True) - u)
    return u


def returned(u, w, g, z):
    """All fields, one below the other."""
    fields = [u]
    for pair in steps(z, g):
        fields.append(take_steps(fields[-1], w, [pair]))
    return torch.stack(fields)


def one_after_the_other(u, w, g, z):
    """Each token hears a mean in which those before it have moved already."""
    u = u.clone()
    for dt, loud in steps(z, g):
        for i in range(len(u)):
            u[i] = u[i] + dt * loud * (w @ u - u[i])
    return u


march.wrong_ways(
    all_fields=(returned, "You return all fields. The last one is asked for: (token, feature)."),
    first_step_alone=(
        lambda u, w, g, z: take_steps(u, w, steps(z, g)[:1]),
        "Only the first step is taken. Does return stand inside of the loop?",
    ),
    first_step_missing=(
        lambda u, w, g, z: take_steps(u, w, steps(z, g)[1:]),
        "The first step is missing: N + 1 depths are N steps.",
    ),
    sum_of_the_tokens=(
        lambda u, w, g, z: take_steps(u, torch.ones_like(w), steps(z, g)),
        "What is heard is the sum of the tokens in your answer, without weights. It is the mean, Σ w u.",
    ),
    mean_divided_again=(
        lambda u, w, g, z: take_steps(u, w / len(w), steps(z, g)),
        "The weighted mean is divided by the number of tokens once more. The weights sum to 1 already: Σ w u.",
    ),
    weights_outside=(
        lambda u, w, g, z: weighted_velocity(u, w, steps(z, g), u.mean(0)),
        "Your weights multiply the velocity of each token. They belong into the mean that all hear, Σ w u.",
    ),
    weights_outside_and_inside=(
        lambda u, w, g, z: weighted_velocity(u, w, steps(z, g), None),
        "Your weights multiply the velocity of each token as well. They belong into the mean that all hear, Σ w "
        "u, alone.",
    ),
    mean_of_both_ends=(
        lambda u, w, g, z: take_steps(u, w, [(b - a, (g(a) + g(b)) / 2) for a, b in zip(z[:-1], z[1:])]),
        "You took the mean of g at both ends of the step. A step takes g in its middle.",
    ),
    half_of_the_length=(
        lambda u, w, g, z: take_steps(u, w, [(b - a, g((b - a) / 2)) for a, b in zip(z[:-1], z[1:])]),
        "You took g at half of the step's *length*. The middle of a step is (start + end)/2: the sum, not the "
        "difference.",
    ),
    sum_of_the_depths=(
        lambda u, w, g, z: take_steps(u, w, [(b - a, g(a + b)) for a, b in zip(z[:-1], z[1:])]),
        "You took g at start + end. The middle of a step is half of that.",
    ),
    no_loudness=(
        lambda u, w, g, z: take_steps(u, w, [(dt, 1.0) for dt, _ in steps(z, g)]),
        "g, the loudness, is missing: the velocity is g (mean − u).",
    ),
    first_length=(
        lambda u, w, g, z: take_steps(u, w, [(z[1] - z[0], loud) for _, loud in steps(z, g)]),
        "All your steps have the length of the first one. Each has its own, end − start.",
    ),
    one_after_the_other=(
        one_after_the_other,
        "Your tokens move one after the other: a later one hears a mean in which the earlier ones have moved "
        "already. All "
        "move at the same time.",
    ),
    features_backwards=(
        lambda u, w, g, z: take_steps(u, w, steps(z, g)).flip(-1),
        "The features of your field run backwards: the last axis is reversed.",
    ),
    transposed=(
        lambda u, w, g, z: take_steps(u, w, steps(z, g)).mT,
        "Your field is transposed: it is (token, feature).",
    ),
    velocity_returned=(
        lambda u, w, g, z: take_steps(u, w, steps(z, g)) - u,
        "You return the change of the field, without the start u.",
    ),
)


def weighted_velocity(u, w, pairs, mean):
    """Steps whose velocity is multiplied by each token's weight."""
    for dt, g in pairs:
        u = u + dt * g * w[:, None] * ((w @ u if mean is None else u.mean(0)) - u)
    return u


@march.law
def still(answer, generator):
    """Where all tokens are alike nothing may move: they hear what they are."""
    u, weights, loud, depths = rivers(generator)
    same = torch.full_like(u, 3.0)
    return bool((as_tensor(answer(same, weights, loud, depths), "march(…)") - same).abs().max() < 1e-6)


@march.law
def mean_stays(answer, generator):
    """The weighted mean of the field must stay: what one token gains, the others lose."""
    u, weights, loud, depths = rivers(generator)
    end = as_tensor(answer(u, weights, loud, depths), "march(…)")
    return end.shape == u.shape and bool((weights @ (end - u)).abs().max() < 1e-6)


@march.law
def one_step(answer, generator):
    """One step from 0 to T must leave 1 − T·g(T/2) of each distance to the mean."""
    u, weights, loud, depths = rivers(generator)
    end, mean = as_tensor(answer(u, weights, loud, depths[[0, -1]]), "march(…)"), weights @ u
    return bool(((end - mean) - (1 - HORIZON * loud(HORIZON / 2)) * (u - mean)).abs().max() < 1e-5)


@march.law
def step_of_length_0(answer, generator):
    """A step of length 0 must change nothing: repeat a depth, and the end stays the same."""
    u, weights, loud, depths = rivers(generator)
    ends = [as_tensor(answer(u, weights, loud, z), "march(…)") for z in (depths, torch.cat([depths[:2], depths[1:]]))]
    return bool((ends[0] - ends[1]).abs().max() < 1e-6)


@march.law
def limit(answer, generator):
    """With many short steps the distances to the mean must tend to e^(−∫g dt) of what they were."""
    u, weights, loud, _ = rivers(generator)
    fine = HORIZON * torch.linspace(0, 1, 601, dtype=torch.float64) ** 1.3
    end, mean = as_tensor(answer(u, weights, loud, fine), "march(…)"), weights @ u
    return bool(((end - mean) - math.exp(-integral(loud)) * (u - mean)).abs().max() < 0.02)


def integral(loud, power: int = 1) -> float:
    """∫ g^power dt from 0 to T."""
    middles = (torch.arange(4000, dtype=torch.float64) + 0.5) * HORIZON / 4000
    return (loud(middles) ** power).mean().item() * HORIZON


def needs(generator):
    """need (8,) > 0 at the middles of 8 equal cells, 5 steps, a horizon that is not 1."""
    need = torch.rand(8, generator=generator, dtype=torch.float64) ** 3 * 4 + 0.2
    return need, 5, uniform(generator, 2, 4)


by_need = Exercise(
    "7.2",
    cell="by-need",
    inputs=needs,
    hints=(
        "How much has been needed up to the edge of each cell? That is a cumulated sum with a 0 in front; divide by "
        "the last entry.",
        "You look for the depths at which that share is 0, 1/n, 2/n, …, 1. So the share is given and the depth is "
        "asked for: read the curve from the other side.",
        "np.interp(wanted, shares, edges) reads off a curve of straight lines: shares are the cumulated ones, edges "
        "the m + 1 edges of the cells, wanted n + 1 numbers from 0 to 1.",
    ),
)


def cumulate(need, horizon):
    """Edges of the cells, and the share of the need that lies before each."""
    shares = torch.cat([torch.zeros(1, dtype=need.dtype), need.cumsum(0)]) / need.sum()
    return torch.linspace(0, float(horizon), len(need) + 1, dtype=need.dtype), shares


def interpolate(x, xs, ys):
    """The curve of straight lines through (xs, ys) at x."""
    k = torch.searchsorted(xs, x, right=True).clamp(1, len(xs) - 1)
    share = ((x - xs[k - 1]) / (xs[k] - xs[k - 1])).clamp(0, 1)
    return ys[k - 1] + share * (ys[k] - ys[k - 1])


def invert(need, n, horizon, first=0):
    """The depths at which n equal shares of `need` are reached, the first cells left out."""
    edges, shares = cumulate(need, horizon)
    return interpolate(fractions(n).clamp(min=shares[first]), shares[first:], edges[first:])


def fractions(n):
    """0, 1/n, 2/n, …, 1."""
    return torch.linspace(0, 1, n + 1, dtype=torch.float64)


@by_need.wrong
def equal_steps(need, n, T):
    """These are equal steps: the need is not used."""
    return T * fractions(n)


@by_need.wrong
def long_where_needed(need, n, T):
    """Your steps are long where much is needed. A step is *short* there: cumulate the need itself, not 1/need."""
    return invert(1 / need, n, T)


@by_need.wrong
def not_turned_around(need, n, T):
    """You read off how much has been needed at equal depths. It is the other way around: the shares are equal, and the
    depths are what you look for."""
    return T * interpolate(T * fractions(n), *cumulate(need, T))


@by_need.wrong
def no_horizon(need, n, T):
    """Your depths end at 1. The river ends at T, `horizon`."""
    return invert(need, n, 1.0)


@by_need.wrong
def no_zero_in_front(need, n, T):
    """Your curve begins with the whole first cell, and not at t = 0, where nothing has been needed yet: put a 0 in
    front of the cumulated sum."""
    return invert(need, n, T, 1)


@by_need.wrong
def n_depths(need, n, T):
    """You return n depths, and so n − 1 steps. A fence of n pieces has n + 1 posts."""
    return invert(need, n - 1, T)


@by_need.wrong
def square_root(need, n, T):
    """You took the square root of the need. This function is given the density of steps as it is: the root belongs to
    7.4, where the density comes from an error."""
    return invert(need.sqrt(), n, T)


@by_need.wrong
def whole_cells(need, n, horizon):
    """Your depths all lie on edges of cells. The n-th part of the need may be reached within a cell: go on along the
    straight line."""
    edges, shares = cumulate(need, horizon)
    return edges[torch.searchsorted(shares, fractions(n) - 1e-9).clamp(max=len(need))]


by_need.wrong_ways(
    square=(
        lambda need, n, T: invert(need**2, n, T),
        "You took the square of the need. It is given as the density of steps, as it is.",
    ),
    edges_only=(
        lambda need, n, T: (
            T * torch.searchsorted(cumulate(need, T)[1][1:].contiguous(), fractions(n)).double() / len(need)
        ),
        "Your depths all lie on edges of cells. The n-th part of the need may be reached within a cell: interpolate.",
    ),
    backwards=(
        lambda need, n, T: T - invert(need, n, T),
        "Your depths run backwards, T − t: they must rise from 0 to T.",
    ),
    need_backwards=(
        lambda need, n, T: invert(need.flip(0), n, T),
        "You use the need in reverse order: its first value belongs to the cell at t = 0.",
    ),
    lengths=(
        lambda need, n, T: invert(need, n, T).diff(),
        "These are the lengths of the steps. The n + 1 depths between them are asked for, from 0 to T.",
    ),
    zero_left_out=(
        lambda need, n, T: invert(need, n, T)[1:],
        "The depth 0 is left out: n steps have n + 1 depths.",
    ),
    end_left_out=(
        lambda need, n, T: invert(need, n, T)[:-1],
        "The last depth, T, is left out: n steps have n + 1 depths.",
    ),
    one_step_too_many=(
        lambda need, n, T: invert(need, n + 1, T),
        "You return n + 2 depths, and so n + 1 steps, one too many.",
    ),
    not_normalised=(
        lambda need, n, T: interpolate(fractions(n), cumulate(need, T)[1] * need.sum(), cumulate(need, T)[0]),
        "The need is not divided by its sum: the shares must run from 0 to 1.",
    ),
    need_times_cell=(
        lambda need, n, T: interpolate(
            fractions(n), cumulate(need, T)[1] * need.sum() * T / len(need), cumulate(need, T)[0]
        ),
        "The need is not divided by its whole integral: the shares must run from 0 to 1.",
    ),
    middles_for_edges=(
        lambda need, n, T: interpolate(
            fractions(n), cumulate(need, T)[1][1:], T * (fractions(len(need))[:-1] + 0.5 / len(need))
        ),
        "Your curve stands on the middles of the cells. What has been needed is known at their edges, with 0 at t = 0.",
    ),
    edges_too_few=(
        lambda need, n, T: interpolate(fractions(n), cumulate(need, T)[1][1:], T * fractions(len(need) - 1)),
        "The 0 in front of the cumulated sum is missing: m cells have m + 1 edges, and nothing has been needed "
        "at t = 0.",
    ),
)


def ask_depths(answer, need, n, horizon) -> Tensor:
    """The n + 1 depths of the answer."""
    depths = as_tensor(answer(need, n, horizon), "by_need(need, n, horizon)")
    if depths.shape != (n + 1,):
        raise CheckFailed(f"7.2: {n} steps have {n + 1} depths, got the shape {tuple(depths.shape)}")
    return depths


@by_need.law
def ends(answer, generator):
    """The first depth must be 0, the last one T, and each larger than the one before."""
    need, n, horizon = needs(generator)
    depths = ask_depths(answer, need, n, horizon)
    on_edges = (depths * len(need) / horizon - (depths * len(need) / horizon).round()).abs().max()
    if on_edges < 1e-6:
        return "All of yours lie on edges of cells. The n-th part may be reached within a cell: interpolate."
    return abs(depths[0].item()) < 1e-5 and abs(depths[-1].item() - horizon) < 1e-5 and bool((depths.diff() > 0).all())


@by_need.law
def shares_alike(answer, generator):
    """Every step must get the same share of ∫ need dt."""
    need, n, horizon = needs(generator)
    got = interpolate(ask_depths(answer, need, n, horizon), *cumulate(need, horizon)).diff()
    return bool((got - 1 / n).abs().max() < 1e-5) or f"Yours get {', '.join(f'{z:.3f}' for z in got)}."


def gain_inputs(generator):
    """u, weights, a loudness, T and a number of steps."""
    u, weights, loud, _ = rivers(generator)
    return u, weights, loud, HORIZON, 24


def loud_cells(loud, T):
    """g at the middles of 1000 equal cells."""
    return loud((torch.arange(1000, dtype=torch.float64) + 0.5) * T / 1000)


def end_of(u, w, loud, T, G=None, mean=None):
    """Where the river ends, for some G and some mean."""
    mean = w @ u if mean is None else mean
    G = loud_cells(loud, T).mean() * T if G is None else G
    return mean + (u - mean) * torch.exp(-torch.as_tensor(G, dtype=torch.float64))


def two_errors(u, w, loud, T, n, *, end=None, need=None, measure=lambda z: z.abs().max(), equal=None):
    """The errors of equal steps and of steps by need, with something else in them."""
    end = end_of(u, w, loud, T) if end is None else end
    g = loud_cells(loud, T)
    both = (T * fractions(equal or n), invert(g if need is None else need(g), n, T))
    return [measure(take_steps(u, w, steps(z, loud)) - end) for z in both]


def ratio(**other):
    """The quotient of the two errors, with something else in them: other=value, or a function of (u, w, loud, T)."""

    def way(u, w, loud, T, n):
        made = {key: value(u, w, loud, T) if key == "end" else value for key, value in other.items()}
        first, second = two_errors(u, w, loud, T, n, **made)
        return first / second

    return way


gain = Exercise(
    "7.3",
    cell="gain",
    inputs=gain_inputs,
    tol=1e-5,
    hints=(
        "Three fields: where the river ends, n equal steps, and n steps by need. Two errors, one ratio.",
        "The mean stays, and the river ends at mean + (u − mean)·e^(−G) with G = ∫g dt: T times the mean of g over the "
        "middles of many cells.",
        "middles = (torch.arange(1000) + 0.5) · T/1000 serve twice: loud(middles) is the need, and its mean times T "
        "is G.",
    ),
)


gain.wrong_ways(
    upside_down_ratio=(
        lambda *given: 1 / ratio()(*given),
        "Your ratio is upside down: it is the error of equal steps, divided by the error of steps by need.",
    ),
    difference=(
        lambda *given: (lambda a, b: a - b)(*two_errors(*given)),
        "This is the difference of the two errors. Divide the first by the second.",
    ),
    equal_alone=(
        lambda *given: two_errors(*given)[0],
        "This is the error of the equal steps alone. It is divided by the error of the steps by need.",
    ),
    by_need_alone=(
        lambda *given: two_errors(*given)[1],
        "This is the error of the steps by need alone. The error of equal steps is divided by it.",
    ),
    mean_square=(
        ratio(measure=lambda z: z.square().mean()),
        "Your errors are mean squares. The largest absolute difference is asked for.",
    ),
    root_of_the_need=(ratio(need=lambda g: g.sqrt()), "Your steps stand by √g. The need is g itself here."),
    square_of_the_need=(ratio(need=lambda g: g**2), "Your steps stand by g². The need is g itself here."),
    inverse_need=(ratio(need=lambda g: 1 / g), "Your steps stand by 1/g, long where it is loud. The need is g itself."),
    plain_mean=(
        ratio(end=lambda u, w, g, T: end_of(u, w, g, T, mean=u.mean(0))),
        "The end of your river lies around the plain mean. The mean that stays is the weighted one.",
    ),
    dies_to_the_mean=(
        ratio(end=lambda u, w, g, T: (w @ u).expand_as(u)),
        "You compare with the mean, where the river would end after an infinite time. At T the part e^(−G) of "
        "each distance is left.",
    ),
    mean_dies=(
        ratio(end=lambda u, w, g, T: u * torch.exp(-loud_cells(g, T).mean() * T)),
        "In your end the mean dies out as well, u e^(−G). The mean stays: mean + (u − mean) e^(−G).",
    ),
    only_the_distance=(
        ratio(end=lambda u, w, g, T: (u - w @ u) * torch.exp(-loud_cells(g, T).mean() * T)),
        "Your end is the distance alone; the mean is not added: mean + (u − mean) e^(−G).",
    ),
    no_horizon=(
        ratio(end=lambda u, w, g, T: end_of(u, w, g, T, G=loud_cells(g, T).mean())),
        "Your G is the mean of g. The integral is T times that: G = T · mean.",
    ),
    grows=(
        ratio(end=lambda u, w, g, T: end_of(u, w, g, T, G=-loud_cells(g, T).mean() * T)),
        "The sign in your exponent is wrong: distances die out as e^(−G).",
    ),
    n_depths=(
        lambda u, w, loud, T, n: two_errors(u, w, loud, T, n, equal=n - 1)[0] / two_errors(u, w, loud, T, n)[1],
        "Your equal steps are n − 1: n steps have n + 1 depths.",
    ),
    twice_the_steps=(
        ratio(end=lambda u, w, g, T: take_steps(u, w, steps(T * fractions(8 * 24), g))),
        "You compare with more steps in place of the end of the river, which is known exactly: mean + (u − "
        "mean) e^(−G).",
    ),
)


def ask_gain(answer, generator, n, loud) -> float:
    """One number, for a field that the generator draws."""
    u, weights, *_ = rivers(generator)
    value = as_tensor(answer(u, weights, loud, HORIZON, n), "gain(…)")
    if value.ndim or not value.isfinite():
        raise CheckFailed(f"7.3: gain must return one number, got {value.tolist()}")
    return value.item()


@gain.law
def constant_loudness(answer, generator):
    """Where the loudness is the same at every depth, the steps by need *are* the equal ones, and the gain is 1."""
    found = ask_gain(answer, generator, 16, Loudness(0.8, 0.0, 1.0, 1.0))
    return abs(found - 1) < 1e-3 or f"Yours is {found:.3f}."


@gain.law
def upside_down(answer, generator):
    """Steps by need must have the smaller error, so the gain is above 1. Is your ratio upside down, or your need?"""
    return ask_gain(answer, generator, 200, loudness(generator)) > 1


@gain.law
def rate(answer, generator):
    """With many steps the gain must come near to what the formula in 7.4 gives."""
    loud = loudness(generator)
    found, expected = ask_gain(answer, generator, 300, loud), HORIZON * integral(loud, 2) / integral(loud) ** 2
    return abs(found / expected - 1) < 0.1 or f"For this loudness that is {expected:.2f}, and yours is {found:.2f}."


@cache
def tiny_elastic():
    """The flow of tiny-elastic, a first field, and where it ends when the steps are small."""
    from flowlib.models import FlowLM, shipped

    model = FlowLM.load(shipped("tiny-elastic")).double()
    model.flow.checks = False
    u0 = model.initial_field(model.config.vocabulary.encode("the value"))
    fine = model.flow.by("strang", substep="midpoint", tangent=True)
    return model.flow, u0, fine(u0, 48, save="final").final


@torch.no_grad()
def trained_error(depths) -> float:
    """Error of tiny-elastic's last field, for one text, in steps of its own scheme between these depths, 0 to 4."""
    flow, u, truth = tiny_elastic()
    for start, end in zip(depths[:-1], depths[1:]):
        terms = flow.depth([(float(start) + float(end)) / 2 / flow.horizon])[0]
        for term, constraint in zip(terms, flow.constraints):
            u = constraint.project(u + (float(end) - float(start)) * term(u))
    return (u - truth).square().mean().sqrt().item()
