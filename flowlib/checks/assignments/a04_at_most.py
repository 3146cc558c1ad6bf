"""Assignment 04: a spread of at most σ2.

The set of the assignment is S = {u : mean over the features σ1, spread at most σ2}. What is written here are the ways
in which its projection goes wrong, and laws that a right answer obeys.
"""

import math

import torch

from flowlib.checks.compare import CheckFailed, as_tensor
from flowlib.checks.exercises import Exercise, draw, three_tokens


def spread(v, keepdim=False):
    """The root of the mean square deviation of each token, over its features."""
    return (v - v.mean(-1, keepdim=True)).square().mean(-1, keepdim=keepdim).sqrt()


FIELD = torch.tensor([[9.0, 3, 3, 1], [6, 4, 6, 4], [7, 7, 7, 7]], dtype=torch.float64)
LEVEL, MOST = 1.0, 1.5  # σ1, σ2


def stack(*tokens):
    """The tokens as a field, (3, 4)."""
    return torch.stack(tokens)


by_hand = Exercise(
    "4.1",
    cell="nearest",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "Write three numbers beside each token: its mean, its deviations from the mean, and the root of their mean "
        "square.",
        "The means are 4, 5 and 7, the spreads 3, 1 and 0. All means must become 1. Which spreads are too large?",
        "For the first token the deviations are (5, −1, −1, −3). Shrink them until their spread is 1.5, and add 1.",
    ),
)
by_hand.wrong_numbers(
    layer_norm=(
        stack(*(LEVEL + MOST * (v - v.mean()) / spread(v) for v in FIELD[:2]), FIELD[2] * 0 + 1),
        "The second token had the spread 1 and has 1.5 now. That is layer norm, which stretches as well. Here 1 is "
        "allowed: at most 1.5.",
    ),
    unbiased=(
        stack(LEVEL + MOST * (FIELD[0] - 4) / FIELD[0].std(), FIELD[1] - 4, FIELD[2] - 6),
        "For the spread of the first token you divided 36 by 3. Nothing is estimated here: divide by the number of "
        "features, 4.",
    ),
    only_where_too_large=(
        stack(LEVEL + (FIELD[0] - 4) / 2, FIELD[1], FIELD[2]),
        "You changed only the token whose spread is too large. S asks for the mean as well: it must be 1 in all three.",
    ),
    mean_forgotten=(
        stack((FIELD[0] - 4) / 2, FIELD[1] - 5, FIELD[2] - 7),
        "These tokens have mean 0. S asks for mean 1.",
    ),
    variance=(
        stack(LEVEL + MOST * (FIELD[0] - 4) / 9, FIELD[1] - 4, FIELD[2] - 6),
        "You divided by the variance, 9. The spread is its root, 3.",
    ),
    no_shrinking=(
        FIELD - FIELD.mean(-1, keepdim=True) + LEVEL,
        "The means are right, and the spread of the first token is still 3. At most 1.5 is allowed: shrink it "
        "to the rim.",
    ),
    spread_1=(
        stack(LEVEL + (FIELD[0] - 4) / 3, FIELD[1] - 4, FIELD[2] - 6),
        "Your first token has the spread 1. S allows up to σ2 = 1.5, and the nearest point lies on the rim.",
    ),
    means_kept=(
        stack(4 + (FIELD[0] - 4) / 2, FIELD[1], FIELD[2]),
        "The spreads are right, but every token keeps its own mean. S asks for mean 1.",
    ),
    whole_token_scaled=(
        stack(FIELD[0] / 2, FIELD[1], FIELD[2]),
        "You scaled the whole first token and left the mean of all three as it came out. S asks for mean 1: set "
        "the mean, "
        "and shrink the deviations only.",
    ),
    quotient_of_variances=(
        stack(LEVEL + (FIELD[0] - 4) / 4, FIELD[1] - 4, FIELD[2] - 6),
        "You shrank the first token by 2.25/9, the quotient of the variances. The factor is that of the "
        "spreads, 1.5/3.",
    ),
    length=(
        stack(LEVEL + (FIELD[0] - 4) / 4, LEVEL + (FIELD[1] - 5) * 0.75, FIELD[2] - 6),
        "You took the length, the root of the sum of squares, for the spread. The spread is the root of their mean.",
    ),
    second_shrunk=(
        stack(LEVEL + (FIELD[0] - 4) / 2, LEVEL + (FIELD[1] - 5) / 1.5, FIELD[2] - 6),
        "You divided the second token's deviations by 1.5. Its spread 1 is small enough already: it stays.",
    ),
    upside_down=(
        stack(LEVEL + (FIELD[0] - 4) * 2, FIELD[1] - 4, FIELD[2] - 6),
        "The factor is upside down: the first token became wider. It must shrink by 1.5/3.",
    ),
    mean_and_spread_exchanged=(
        stack(1.5 + (FIELD[0] - 4) / 3, FIELD[1] - 3.5, FIELD[2] - 5.5),
        "Mean and spread are exchanged: the mean is σ1 = 1 and the spread at most σ2 = 1.5.",
    ),
    level_subtracted=(
        FIELD - 1,
        "You subtracted σ1 from every feature. That does not set the mean to 1: subtract each token's own mean, "
        "and add 1.",
    ),
    all_in_the_middle=(
        torch.ones(3, 4),
        "You sent all tokens to the constant one. It lies in S, and a point of S with the token's own shape is nearer: "
        "shrink the spread only as far as you must.",
    ),
    constant_kept=(
        stack(LEVEL + (FIELD[0] - 4) / 2, FIELD[1] - 4, FIELD[2]),
        "The third token stayed where it was. Its spread is 0, but its mean is 7 and must be 1.",
    ),
    features_cut_off=(
        stack(LEVEL + (FIELD[0] - 4).clamp(-MOST, MOST), FIELD[1] - 4, FIELD[2] - 6),
        "You cut off each feature by itself where it is more than 1.5 from the mean. σ2 bounds the spread of the "
        "whole token: shrink all its deviations by one factor.",
    ),
)


def ask_nearest(answer):
    """The three tokens of the answer, (3, 4)."""
    return as_tensor(answer(), "nearest")


@by_hand.law
def mean_is_one(answer, generator):
    """Every point of S has mean 1: that is the first condition."""
    off = (ask_nearest(answer).mean(-1) - LEVEL).abs()
    return bool(off.max() < 6e-3) or f"Look at token {int(off.argmax()) + 1}."


@by_hand.law
def constant_token(answer, generator):
    """The third token is constant. Without its mean nothing is left of it, so there is nothing to shrink."""
    return bool(spread(ask_nearest(answer)[2]) < 6e-3)


@by_hand.law
def inside(answer, generator):
    """The second token has a spread that S allows. Going straight down to the plane brings it into S, and no way is
    shorter: its deviations from the mean stay as they are."""
    return bool((ask_nearest(answer)[1] - LEVEL - FIELD[1] + 5).abs().max() < 6e-3)


@by_hand.law
def same_shape(answer, generator):
    """The first token must keep its shape: the deviations from the mean stand as 5 : −1 : −1 : −3."""
    u = ask_nearest(answer)[0] - LEVEL
    return bool((u - u[0] / 5 * (FIELD[0] - 4)).abs().max() < 1.2e-2 and u[0] > 0)


@by_hand.law
def rim(answer, generator):
    """The first token had too much spread, so its nearest point lies on the rim of S: spread 1.5."""
    has = spread(ask_nearest(answer)[0]).item()
    return abs(has - MOST) < 6e-3 or f"Yours has {has:.3f}."


def check_nearest(nearest) -> None:
    """Check the three tokens of task 4.1."""
    given = three_tokens(nearest, "nearest", 4)
    by_hand.check(lambda: given)


def inputs(generator):
    """Six tokens with five features, three of them inside, none with the right mean; σ1 and σ2 that are not 0 and 1."""
    n = draw(generator, 6, 5)
    n = (n - n.mean(-1, keepdim=True)) / spread(n, True)
    mean, std = (0.5 + torch.rand(2, generator=generator, dtype=torch.float64)).tolist()
    std += 0.6
    sizes = torch.tensor([0.3, 2.0, 0.6, 1.4, 0.8, 4.0], dtype=torch.float64)[:, None]
    return 2 + draw(generator, 6, 1) + std * sizes * n, mean, std


project = Exercise(
    "4.2",
    cell="at-most",
    inputs=inputs,
    hints=(
        "Two legs, as in the chapter: down to the plane (set the mean), then along the ray (set the spread). Which "
        "tokens need the second one?",
        "The second leg multiplies v − m by a number, one for each token: 1 for the tokens inside. What is it outside?",
        "Take care with the constant token: a division 0/0 gives nan. Keep s from getting smaller than something, or "
        "choose with torch.where.",
    ),
)


def rays(v, mean, std, s=None, at_most=1.0, at_least=0.0, m=None):
    """mean + a factor (v − m), the factor from the spread s: what all wrong ways have in common."""
    factor = std / (spread(v, True) if s is None else s)
    return mean + factor.clamp(at_least, at_most) * (v - (v.mean(-1, keepdim=True) if m is None else m))


@project.wrong
def layer_norm(v, mean, std):
    """This is layer norm: tokens inside S are stretched until their spread is σ2. A smaller spread is allowed here, and
    going out to the rim is a detour."""
    return rays(v, mean, std, at_most=math.inf)


@project.wrong
def mean_kept_inside(v, mean, std):
    """Tokens with little spread stay where they are, mean and all. S has two conditions: whatever the spread, the mean
    must become σ1."""
    return torch.where(spread(v, True) <= std, v, rays(v, mean, std, at_most=math.inf))


@project.wrong
def mean_kept(v, mean, std):
    """The spread is right, but each token keeps its own mean. S asks for the mean σ1."""
    return rays(v, v.mean(-1, keepdim=True), std)


@project.wrong
def mean_forgotten(v, mean, std):
    """The mean is removed, and σ1 is not put in its place."""
    return rays(v, 0.0, std)


@project.wrong
def unbiased(v, mean, std):
    """The spread is divided by d − 1. It belongs to this one token and estimates nothing: divide by d
    (`correction=0`)."""
    return rays(v, mean, std, v.std(-1, keepdim=True))


@project.wrong
def variance(v, mean, std):
    """You compare with the variance and divide by it. The spread is its root."""
    return rays(v, mean, std, spread(v, True) ** 2)


@project.wrong
def norm(v, mean, std):
    """You took the length |v − m|, the root of the *sum* of squares. The spread is the root of their mean: it is √d
    times smaller."""
    return rays(v, mean, std, (v - v.mean(-1, keepdim=True)).norm(dim=-1, keepdim=True))


@project.wrong
def spread_about_the_new_mean(v, mean, std):
    """The spread is measured from σ1 while the token still has its own mean, so a token with another mean seems wide.
    First the mean, then the spread: in the other order it ends too near to the centre."""
    return rays(v, mean, std, (v - mean).square().mean(-1, keepdim=True).sqrt())


@project.wrong
def features_cut_off(v, mean, std):
    """Each feature is cut off by itself. σ2 bounds the spread of the token: the nearest point keeps the shape, so one
    factor multiplies all deviations."""
    return mean + (v - v.mean(-1, keepdim=True)).clamp(-std, std)


@project.wrong
def at_least(v, mean, std):
    """This is the spread *at least* σ2: small tokens are stretched and wide ones stay. Turn the comparison around."""
    return rays(v, mean, std, at_most=math.inf, at_least=1.0)


@project.wrong
def over_the_tokens(v, mean, std):
    """Mean and spread are taken over the tokens. A constraint of term II hears one token at a time: take them over the
    features, the last axis."""
    return rays(v.mT, mean, std).mT


@project.wrong
def one_spread_for_all(v, mean, std):
    """One spread is taken for the whole field. Each token has its own: use dim=-1 and keepdim=True."""
    return rays(v, mean, std, spread(v).square().mean().sqrt())


@project.wrong
def ball_without_a_mean(v, mean, std):
    """The mean is not set at all: you shrink v − σ1 as if S were a ball. S is a disc in the plane of the tokens with
    mean σ1."""
    return rays(v, mean, std, (v - mean).square().mean(-1, keepdim=True).sqrt(), m=mean)


def of(v):
    """Each token's deviations from its mean."""
    return v - v.mean(-1, keepdim=True)


project.wrong_ways(
    whole_field=(
        lambda v, mean, std: mean + std / (v - v.mean()).square().mean().sqrt().clamp(min=std) * (v - v.mean()),
        "One mean and one spread are taken for the whole field. Each token has its own: dim=-1 and keepdim=True.",
    ),
    own_mean_not_removed=(
        lambda v, mean, std: rays(v, mean, std, m=0.0),
        "You scale v, and not v − m: the token's own mean is still in it. Take the mean off first.",
    ),
    mean_scaled_as_well=(
        lambda v, mean, std: (std / spread(v, True)).clamp(max=1.0) * (of(v) + mean),
        "You scale after σ1 was added, so the mean shrinks as well. Scale v − m, then add σ1.",
    ),
    rim_at_the_square=(
        lambda v, mean, std: mean + std / spread(v, True).clamp(min=std**2) * of(v),
        "You compare the spread with σ2². The rim is where the spread is σ2: s.clamp(min=std).",
    ),
    clamped_at_1=(
        lambda v, mean, std: mean + std / spread(v, True).clamp(min=1.0) * of(v),
        "You compare the spread with 1. The rim is where the spread is σ2, the argument std.",
    ),
    shrunk_to_1=(
        lambda v, mean, std: mean + of(v) / spread(v, True).clamp(min=1.0),
        "The rim of yours is at 1. It is at σ2, the argument std.",
    ),
    quotient_of_variances=(
        lambda v, mean, std: rays(v, mean, std**2, spread(v, True) ** 2),
        "You shrink by σ2²/s², the quotient of the variances. The factor is σ2/s: take the root.",
    ),
    mean_absolute_deviation=(
        lambda v, mean, std: rays(v, mean, std, of(v).abs().mean(-1, keepdim=True)),
        "You took the mean of |v − m| for the spread. The spread is the root of the mean square.",
    ),
    largest_deviation=(
        lambda v, mean, std: rays(v, mean, std, of(v).abs().amax(-1, keepdim=True)),
        "You took the largest |v − m| for the spread. The spread is the root of the mean square.",
    ),
    mean_in_the_spread=(
        lambda v, mean, std: rays(v, mean, std, v.square().mean(-1, keepdim=True).sqrt()),
        "You took the root of the mean of v², with the mean still in it. The spread is measured from the "
        "token's own mean.",
    ),
    mirrored=(
        lambda v, mean, std: mean - (std / spread(v, True)).clamp(max=1.0) * of(v),
        "The sign is wrong: yours is σ1 − …, the mirror image of the token.",
    ),
    layer_norm_with_eps=(
        lambda v, mean, std: mean + std * of(v) / (spread(v, True).square() + 1e-5).sqrt(),
        "This is layer norm, with its ε: tokens inside S are stretched to the rim. At most σ2 is asked for.",
    ),
    layer_norm_with_eps_outside=(
        lambda v, mean, std: mean + std * of(v) / (spread(v, True) + 1e-5),
        "This is layer norm, with an ε: tokens inside S are stretched to the rim. At most σ2 is asked for.",
    ),
    mean_not_added_outside=(
        lambda v, mean, std: torch.where(spread(v, True) <= std, v, (std / spread(v, True)) * of(v)),
        "Inside, tokens keep their own mean, and outside σ1 is not added. Both must have the mean σ1.",
    ),
)


def distance(a, b) -> float:
    """max |a − b|; infinite where a number is missing."""
    return (a - b).abs().max().nan_to_num(nan=math.inf).item()


def ask_at_most(answer, *args):
    """What the answer returns, as a tensor."""
    return as_tensor(answer(*args), "at_most")


@project.law
def shape(answer, generator):
    """The result must have the shape of v, (…, feature), for one token and for a batch as well."""
    v, mean, std = inputs(generator)
    for z in (v, v[0], v.expand(2, 6, 5)):
        if ask_at_most(answer, z, mean, std).shape != z.shape:
            return f"For {tuple(z.shape)} yours has {tuple(ask_at_most(answer, z, mean, std).shape)}."
    batch = ask_at_most(answer, v.expand(2, 6, 5), mean, std)
    return (
        distance(batch[1], ask_at_most(answer, v, mean, std)) < 1e-5
        or "In a batch a token goes to another place than alone."
    )


@project.law
def constant(answer, generator):
    """The constant token has a nearest point in S: the one with σ1 in every feature."""
    _, mean, std = inputs(generator)
    got = ask_at_most(answer, torch.full((1, 5), 7.0, dtype=torch.float64), mean, std)
    if not got.isfinite().all():
        return "Yours gives nan: 0/0, where its spread is divided by itself."
    return distance(got, torch.tensor(mean, dtype=torch.float64)) < 1e-5


@project.law
def inside_the_set(answer, generator):
    """The result must lie in S: mean σ1, spread at most σ2."""
    v, mean, std = inputs(generator)
    u = ask_at_most(answer, v, mean, std)
    if distance(u.mean(-1), torch.tensor(mean, dtype=torch.float64)) > 1e-5:
        return f"Yours has means from {u.mean(-1).min():.3f} to {u.mean(-1).max():.3f}, and σ1 is {mean:.3f}."
    return bool(spread(u).max() < std + 1e-5) or f"Yours has a spread of {spread(u).max():.3f}, and σ2 is {std:.3f}."


@project.law
def idempotent(answer, generator):
    """A projection leaves the points of S where they are. Projecting twice must be projecting once."""
    v, mean, std = inputs(generator)
    once = ask_at_most(answer, v, mean, std)
    return distance(once, ask_at_most(answer, once, mean, std)) < 1e-5


@project.law
def nearest(answer, generator):
    """A point of S is nearer to v than yours."""
    v, mean, std = inputs(generator)
    u = ask_at_most(answer, v, mean, std)
    wide = (spread(v) - std).clamp(min=0)
    gap = (u - v).square().mean(-1).sqrt() - ((v.mean(-1) - mean) ** 2 + wide**2).sqrt()
    worst = int(gap.abs().argmax())
    return bool(gap.abs().max() < 1e-5) or f"Token {worst} goes {gap[worst].item():.2g} further than it has to."


@project.law
def no_scale(answer, generator):
    """Nothing in S has a size of its own: v, σ1 and σ2 a thousand times smaller must give a result a thousand times
    smaller. Is there an ε in your formula?"""
    v, mean, std = inputs(generator)
    small = ask_at_most(answer, v / 1000, mean / 1000, std / 1000)
    return distance(1000 * small, ask_at_most(answer, v, mean, std)) < 1e-4


def winds(generator):
    """t, a, b, c, σ2: a start inside, b not small, and a time at which the token has slid along the rim for a while."""
    r = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
    std, c = 1.2 + 0.6 * r[0], 1.5 + r[1]
    a, b = std * (0.5 * r[2] - 0.4), std * (0.4 + 0.4 * r[3])
    b = b if torch.rand(1, generator=generator) < 0.5 else -b
    return (math.sqrt(std**2 - b**2) - a) / c + 0.4 + 0.4 * r[4], a, b, c, std


river = Exercise(
    "4.3",
    cell="river",
    inputs=winds,
    hints=(
        "Free flight changes a and leaves b. At which a does it end?",
        "The rim is met at a = √(σ2² − b²), at the time t0 = (√(σ2² − b²) − a)/c. Where t ≤ t0 you are done.",
        "math.atan2(b, a) gives the angle at the landing. Put t − t0 into the formula, and go back with cos and sin.",
    ),
)


def landing(b, std):
    """a where the token meets the rim: √(σ2² − b²)."""
    return math.sqrt(std**2 - b**2)


def slide(time, x, b, c, std, half=2.0, rate=None):
    """From (x, b) along the rim for a while: tan(θ/2) = e^{−(c/σ2) t} tan(θ0/2)."""
    start = math.tan(math.atan2(b, x) / half)
    angle = half * math.atan(math.exp(-(c / std if rate is None else rate) * time) * start)
    return [std * math.cos(angle), std * math.sin(angle)]


@river.wrong
def no_rim(t, a, b, c, std):
    """The token flies on, out of S. From the rim on the constraint takes away what leads out. (The rim is met at t0,
    the way to it divided by c.)"""
    return [a + c * t, b]


@river.wrong
def sticks(t, a, b, c, std):
    """The token sticks where it lands. The normal cone there takes away the part of the wind that points out of S, and
    not the part along the rim: the token slides."""
    return [landing(b, std), b]


@river.wrong
def a_cut_off(t, a, b, c, std):
    """You cut off a at σ2 and keep b. The rim is a² + b² = σ2²."""
    return [min(a + c * t, std), b]


@river.wrong
def one_projection(t, a, b, c, std):
    """You let the token fly all the way and project once, at the end. The constraint holds at every moment, not only at
    the last one."""
    r = math.hypot(a + c * t, b)
    return [(a + c * t) * std / r, b * std / r]


@river.wrong
def slides_from_the_start(t, a, b, c, std):
    """It slides for the whole time t. Only t − t0 is left after the free flight."""
    return slide(t, landing(b, std), b, c, std)


@river.wrong
def starts_on_the_rim(t, a, b, c, std):
    """You take the angle of the start and let it slide at once, as on the circle of layer norm. The token starts
    inside, and flies first."""
    return slide(t, a, b, c, std)


@river.wrong
def rate_c(t, a, b, c, std):
    """The angle turns at the rate c/σ2, not c: on a wider circle the same wind takes longer to turn a token."""
    return slide(t - (landing(b, std) - a) / c, landing(b, std), b, c, std, rate=c)


@river.wrong
def whole_angle(t, a, b, c, std):
    """The formula is for the tangent of *half* the angle, θ/2."""
    return slide(t - (landing(b, std) - a) / c, landing(b, std), b, c, std, half=1.0)


def slid(t, a, b, c, std, x=None, left=None, **other):
    """Free flight, then the slide, with some other landing or time."""
    x = landing(b, std) if x is None else x
    return slide(t - (x - a) / c if left is None else left, x, b, c, std, **other)


river.wrong_ways(
    start_angle=(
        lambda t, a, b, c, std: angled(t - (landing(b, std) - a) / c, math.atan2(b, a), c, std),
        "You take the angle of the start, (a, b). The slide begins where the token lands, at (√(σ2² − b²), b).",
    ),
    rim_at_the_radius=(
        lambda t, a, b, c, std: slid(t, a, b, c, std, x=std),
        "You let the token land at a = σ2. The rim is a² + b² = σ2², so it lands at a = √(σ2² − b²).",
    ),
    rim_at_the_difference=(
        lambda t, a, b, c, std: slid(t, a, b, c, std, x=std - abs(b)),
        "You let the token land at a = σ2 − |b|. The rim is a circle: a = √(σ2² − b²), with squares and a root.",
    ),
    rim_at_the_signed_difference=(
        lambda t, a, b, c, std: slid(t, a, b, c, std, x=std - b),
        "You let the token land at a = σ2 − b. The rim is a circle: a = √(σ2² − b²), with squares and a root.",
    ),
    unit_circle=(
        lambda t, a, b, c, std: [z / std for z in slid(t, a, b, c, std)],
        "Your token ends on the circle of radius 1. The rim has the radius σ2: (a, b) = σ2 (cos θ, sin θ).",
    ),
    half_the_angle=(
        lambda t, a, b, c, std: angled_by(0.5, *slid(t, a, b, c, std)),
        "You use θ/2 as the angle. The arc tangent gives half of θ: multiply it by 2.",
    ),
    time_not_divided=(
        lambda t, a, b, c, std: slid(t, a, b, c, std, left=t - (landing(b, std) - a)),
        "Your t0 is the way to the rim, not the time for it: divide by the speed c of the wind.",
    ),
    sine_and_cosine=(
        lambda t, a, b, c, std: slid(t, a, b, c, std)[::-1],
        "The two coordinates are exchanged: (a, b) = σ2 (cos θ, sin θ), in this order.",
    ),
    against_the_wind=(
        lambda t, a, b, c, std: slid(t, a, b, c, std, rate=-c / std),
        "Your token slides against the wind: the sign of the exponent is minus, −c (t − t0)/σ2.",
    ),
    size_of_a=(
        lambda t, a, b, c, std: slid(t, a, b, c, std, left=t - (landing(b, std) - abs(a)) / c) if a < 0 else None,
        "You took |a| for a. A token that starts on the left, a < 0, has the longer way to the rim.",
    ),
    side_of_b_lost=(
        lambda t, a, b, c, std: (lambda x, y: [x, abs(y)])(*slid(t, a, b, c, std)) if b < 0 else None,
        "The sign of b is lost: a token that starts below the wind, b < 0, stays below.",
    ),
    other_side=(
        lambda t, a, b, c, std: (lambda x, y: [x, -y])(*slid(t, a, b, c, std)),
        "The sign of b is turned: a token stays on its side of the wind.",
    ),
    from_the_middle=(
        lambda t, a, b, c, std: slid(t, a, b, c, std, left=t - landing(b, std) / c),
        "Your t0 is the time from a = 0. The token starts at a, so it has √(σ2² − b²) − a to go.",
    ),
    twice_the_rate=(
        lambda t, a, b, c, std: slid(t, a, b, c, std, rate=2 * c / std),
        "Your exponent is twice as large as it must be: it is −c (t − t0)/σ2, for the tangent of θ/2.",
    ),
    rate_multiplied=(
        lambda t, a, b, c, std: slid(t, a, b, c, std, rate=c * std),
        "Your exponent is multiplied by σ2. It is divided: −c (t − t0)/σ2.",
    ),
)


def angled(time, angle, c, std):
    """The slide from an angle."""
    angle = 2 * math.atan(math.exp(-c * time / std) * math.tan(angle / 2))
    return [std * math.cos(angle), std * math.sin(angle)]


def angled_by(factor, x, y):
    """The point of the circle with a multiple of the angle."""
    r, angle = math.hypot(x, y), factor * math.atan2(y, x)
    return [r * math.cos(angle), r * math.sin(angle)]


def ask_river(answer, *args):
    """a and b, as a tensor (2,)."""
    place = as_tensor(answer(*args), "river")
    if place.shape != (2,):
        raise CheckFailed(f"river must return two numbers, a and b at time t; its shape is {tuple(place.shape)}")
    return place


@river.law
def free_flight(answer, generator):
    """Before it meets the rim the token flies freely, to (a + ct, b): inside, S takes nothing away."""
    _, a, b, c, std = winds(generator)
    t0 = (landing(b, std) - a) / c
    for z in (0.3, 0.9):
        got = ask_river(answer, z * t0, a, b, c, std)
        if distance(got, torch.tensor([a + z * t0, b]).double()) < 1e-5:
            return "Yours goes a + t: the wind's speed c is missing."
        if distance(got, torch.tensor([a + c * z * t0, b]).double()) > 1e-5:
            return "Yours slides although it has not reached the rim: ask first whether t ≤ t0."
    return True


@river.law
def on_the_rim(answer, generator):
    """After t0 the token must be on the rim, at the distance σ2 from the centre."""
    t, a, b, c, std = winds(generator)
    return abs(ask_river(answer, t, a, b, c, std).norm().item() - std) < 1e-5


@river.law
def mirror(answer, generator):
    """Turn b into −b, and the way must be the mirror image."""
    t, a, b, c, std = winds(generator)
    mirror = torch.tensor([1.0, -1.0], dtype=torch.float64)
    return distance(ask_river(answer, t, a, -b, c, std), mirror * ask_river(answer, t, a, b, c, std)) < 1e-5


@river.law
def no_jump(answer, generator):
    """The token must not jump: just before and just after t0 it is in the same place."""
    _, a, b, c, std = winds(generator)
    t0 = (landing(b, std) - a) / c
    return distance(ask_river(answer, t0 - 1e-7, a, b, c, std), ask_river(answer, t0 + 1e-7, a, b, c, std)) < 1e-5


@river.law
def speed(answer, generator):
    """On the rim the token must obey θ' = −(c/σ2) sin θ."""
    t, a, b, c, std = winds(generator)
    before, now, after = (
        math.atan2(*ask_river(answer, t + z, a, b, c, std).flip(0).tolist()) for z in (-1e-4, 0, 1e-4)
    )
    turns, must = (after - before) / 2e-4, -c / std * math.sin(now)
    return abs(turns - must) < 1e-3 * c or f"Yours has θ' = {turns:.4f} where {must:.4f} must be."


E3 = torch.tensor([1.0, 0, -1], dtype=torch.float64) * 1.5**0.5
K3 = torch.tensor([1.0, -2, 1], dtype=torch.float64) / 2**0.5


def project_3(u, std):
    """u shrunk to the rim where it is wider; its mean is 0."""
    return u * min(1.0, std / max(spread(u).item(), 1e-300))


def stepped(n, a, b, c, std, push=None, first=False, every=True, rim=None, dt=None):
    """n steps with the wind, with some other push, rim or order, on three features."""
    u, rim = a * E3 + b * K3, std if rim is None else rim
    for _ in range(n):
        u = project_3(u, rim) if every and first else u
        u = u + (c * E3 if push is None else push) * (1 / n if dt is None else dt)
        u = project_3(u, rim) if every and not first else u
    return u


def reached(t, a, b, c, std):
    """The river's token at time t."""
    x, y = slid(t, a, b, c, std) if t > (landing(b, std) - a) / c else (a + c * t, b)
    return x * E3 + y * K3


def rms(z):
    return z.square().mean().sqrt()


def steps_inputs(generator):
    """n, and a start and a wind that bring the token to the rim well before t = 1."""
    _, a, b, c, std = winds(generator)
    return int(4 + 8 * torch.rand((), generator=generator)), a, b, 1.5 * c, std


error = Exercise(
    "4.3",
    cell="steps-error",
    inputs=steps_inputs,
    tol=1e-9,
    hints=(
        "Start with u = a E + b K. Then n times: a step of length 1/n with the wind c E, and at_most with σ1 = 0.",
        "The river's two numbers make the token river(…)[0] E + river(…)[1] K.",
        "The distance is the root of the mean of the squared differences: (u − v).square().mean().sqrt().",
    ),
)


def missed(measure=rms, time=1.0, **other):
    """A wrong way: how far the steps are from the river, with something else in them."""
    return lambda n, a, b, c, std: measure(stepped(n, a, b, c, std, **other) - reached(time, a, b, c, std))


error.wrong_ways(
    dt_left_out=(missed(dt=1.0), "Δt is missing: each of the n steps has the length 1/n."),
    rim_at_1=(missed(rim=1.0), "Your steps project onto a rim at 1: hand std on, at_most(…, 0.0, std)."),
    length=(
        missed(lambda z: z.norm()),
        "This is the length of the difference, √3 times too large: take the root of the mean.",
    ),
    mean_square=(
        missed(lambda z: z.square().mean()),
        "This is the mean square of the difference: its root is missing.",
    ),
    sum_of_squares=(missed(lambda z: z.square().sum()), "This is the sum of the squares: take the root of their mean."),
    largest=(
        missed(lambda z: z.abs().max()),
        "This is the largest difference: the root of the mean square is asked for.",
    ),
    mean_size=(
        missed(lambda z: z.abs().mean()),
        "This is the mean of the absolute differences: take the root of the mean square.",
    ),
    projected_first=(
        missed(first=True),
        "You project before the step, so the last step is not projected: first the step, then P_S.",
    ),
    projected_at_the_end=(
        lambda n, a, b, c, std: rms(project_3(stepped(n, a, b, c, std, every=False), std) - reached(1.0, a, b, c, std)),
        "You project once, at the end: the projection belongs after each step, inside of the loop.",
    ),
    not_projected=(
        missed(every=False),
        "Nothing is projected: the token flies freely through the rim. Use at_most in each step.",
    ),
    other_axis=(
        lambda n, a, b, c, std: rms(stepped(n, a, b, c, std, push=c * K3) - reached(1.0, a, b, c, std)),
        "Your wind blows along K, the wrong axis: it is c E.",
    ),
    no_speed=(
        lambda n, a, b, c, std: rms(stepped(n, a, b, c, std, push=E3) - reached(1.0, a, b, c, std)),
        "The wind's speed c is missing: the push is c E.",
    ),
    against_the_wind=(
        lambda n, a, b, c, std: rms(stepped(n, a, b, c, std, push=-c * E3) - reached(1.0, a, b, c, std)),
        "Your steps go against the wind: the sign of c E is plus.",
    ),
    start_exchanged=(
        lambda n, a, b, c, std: rms(stepped(n, b, a, c, std) - reached(1.0, a, b, c, std)),
        "Your start has a and b exchanged: it is a E + b K.",
    ),
    start_at_0=(
        lambda n, a, b, c, std: rms(stepped(n, 0, 0, c, std) - reached(1.0, a, b, c, std)),
        "Your token starts at 0: it starts at a E + b K.",
    ),
    no_river=(
        lambda n, a, b, c, std: rms(stepped(n, a, b, c, std)),
        "This is the size of the token itself: the river is not subtracted.",
    ),
    river_at_n=(
        lambda n, a, b, c, std: rms(stepped(n, a, b, c, std) - reached(n, a, b, c, std)),
        "You compare with the river at time n. n steps of 1/n lead to t = 1.",
    ),
    river_at_1_over_n=(
        lambda n, a, b, c, std: rms(stepped(n, a, b, c, std) - reached(1 / n, a, b, c, std)),
        "You compare with the river at time 1/n. n steps of 1/n lead to t = 1.",
    ),
    one_step_too_few=(
        lambda n, a, b, c, std: rms(stepped(n - 1, a, b, c, std, dt=1 / n) - reached(1.0, a, b, c, std)),
        "Yours takes n − 1 steps, one too few.",
    ),
    one_step_too_many=(
        lambda n, a, b, c, std: rms(stepped(n + 1, a, b, c, std, dt=1 / n) - reached(1.0, a, b, c, std)),
        "Yours takes n + 1 steps, one too many.",
    ),
)


def ask_steps_error(answer, *args):
    """One number, not below 0."""
    value = as_tensor(answer(*args), "steps_error")
    if value.ndim or not value.isfinite() or value < 0:
        raise CheckFailed(f"steps_error must return one number, not below 0; got {value.tolist()}")
    return value.item()


@error.law
def exact_in_free_flight(answer, generator):
    """A weak wind does not bring the token to the rim within t = 1. Then an Euler step is exact, and the error must be
    0. Does your step stretch a token that is inside, as layer norm does? Are there n steps of 1/n?"""
    _, a, b, _, std = winds(generator)
    got = ask_steps_error(answer, 10, a, b, 0.4 * (landing(b, std) - a), std)
    return got < 1e-5 or f"Yours is {got:.1e}."


@error.law
def order(answer, generator):
    """The error must fall like 1/n: by half for twice as many steps."""
    _, a, b, c, std = winds(generator)
    coarse, fine = (ask_steps_error(answer, n, a, b, 1.5 * c, std) for n in (64, 128))
    ratio = coarse / max(fine, 1e-300)
    why = " More steps do not help: is the projection inside the loop?" if ratio < 1.3 else ""
    return abs(ratio - 2) < 0.3 or f"From 64 to 128 steps yours is divided by {ratio:.2f}.{why}"


@error.law
def one_step(answer, generator):
    """One step from the top of the rim, (0, σ2), lands at (c, σ2), and is then projected along its ray."""
    _, _, _, c, std = winds(generator)
    turned = math.atan2(std, c) - 2 * math.atan(math.exp(-c / std))
    must, got = 2 * std * abs(math.sin(turned / 2)), ask_steps_error(answer, 1, 0.0, std, c, std)
    if abs(got - 3**0.5 * must) < 1e-5:
        return (
            "Your distance is √3 times too large: it is the length of the difference, not the root of its mean square."
        )
    return abs(got - must) < 1e-5 or f"From the river it is then {must:.4f} away, yours says {got:.4f}."
