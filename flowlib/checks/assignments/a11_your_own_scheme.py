"""Assignment 11: many stages, one long step.

The scheme of the assignment takes s evaluations of the velocity; its critical step grows like s² (Chebyshev).
What is written here are the ways in which it goes wrong, and laws that a right answer obeys.
"""

import cmath

import torch
from torch import Tensor

from flowlib.checks.compare import CheckFailed, as_tensor
from flowlib.checks.exercises import Exercise, draw, three_numbers, uniform


def integer(generator, low: int, high: int) -> int:
    """A whole number from low to high."""
    return int(torch.randint(low, high + 1, (), generator=generator))


after_step = Exercise(
    "11.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "The mean of 0, 0 and 6 is 2, and stays. Follow the distances −2, −2, 4: the velocity is −4 times a distance.",
        "The first stage goes h/s² = 1/8 along the velocity: a distance δ becomes δ − ½δ.",
        "The second is twice the first stage, minus the start, plus 2/8 of the velocity *at the first stage*: 2·½δ − δ "
        "− ½δ.",
    ),
)
after_step.wrong_numbers(
    sign_only=(
        (4.0, 4.0, -2.0),
        "Each distance has changed its sign and nothing else. So does one Euler step of length 1/2; the two stages do "
        "not, with h/s² = 1/8 and the second velocity taken at the first stage.",
    ),
    two_euler_steps=(
        (2.0, 2.0, 2.0),
        "All tokens are at the mean: that is two Euler steps of length 1/4. The second stage does not go on from the "
        "first like this, it also subtracts the start.",
    ),
    first_stage=((1.0, 1.0, 4.0), "This is the first stage (or the second one without − u⁰)."),
    factor_lost=(
        (1.5, 1.5, 3.0),
        "In the second stage the velocity does not count twice in yours, or these are Euler steps of length "
        "h/s²: it is 2u¹ − u⁰ + (2h/s²) f(u¹).",
    ),
    distances_alone=(
        (1.0, 1.0, -2.0),
        "These are the distances to the mean. The places are asked for: add the mean 2.",
    ),
    wrong_side=((-1.0, -1.0, 8.0), "Your tokens move away from the mean: the sign of the velocity is 4 (mean − u)."),
    start_added=(
        (5.0, 5.0, -4.0),
        "The start is taken off once more, or added, with another sign: the second stage is 2u¹ − u⁰ + …",
    ),
    no_square=((9.0, 9.0, -12.0), "h is not divided by s² = 4: the stages go h/s² and 2h/s²."),
    nothing_happens=(
        (0.0, 0.0, 6.0),
        "Nothing has moved in the end: the second stage takes the velocity at the first stage, f(u¹), times 2h/s².",
    ),
    backwards=(
        (3.0, 0.0, 3.0),
        "The order is another one: the first two tokens start alike, and the third one is alone.",
    ),
    reversed_order=((0.0, 3.0, 3.0), "The order is reversed: the third token is the one that started at 6."),
    no_factor_2=((2.5, 2.5, 1.0), "In the second stage the velocity counts twice: 2h/s², not h/s²."),
    river=(
        tuple(2 + cmath.exp(-2).real * z for z in (-2, -2, 4)),
        "This is the river itself, e^(−2) of each distance. Asked is where the step ends.",
    ),
)


@after_step.law
def mean(answer, generator):
    """All hear the mean equally loud, so it stays at 2. Yours has moved."""
    return abs(sum(answer()) - 6) < 0.02


@after_step.law
def distances(answer, generator):
    """The two stages make R(−2) of a distance, with R(z) = 1 + z + z²/8. Yours make something else: write the first
    stage, u¹, then 2u¹ − u⁰ + (2h/s²) f(u¹), for each token in its order."""
    return all(abs((z - 2) - (1 - 2 + 4 / 8) * start) < 0.02 for z, start in zip(answer(), (-2, -2, 4)))


critical = Exercise(
    "11.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "What does one step make of a distance δ, as a function of z = −4h? A distance dies as long as that factor "
        "lies between −1 and 1.",
        "Euler: 1 + z. Two halves: (1 + z/2)². The two stages: 2(1 + z/4) − 1 + (z/2)(1 + z/4) = 1 + z + z²/8.",
        "The factors leave [−1, 1] at z = −2, −4 and −8. And z = −4h.",
    ),
)
critical.wrong_numbers(
    fastest=(
        (0.25, 0.5, 1.0),
        "At these steps the factors are 0: a distance dies at once. They break where a factor is 1 or −1.",
    ),
    all_alike=(
        (0.5, 0.5, 0.5),
        "You gave Euler's critical step three times. Two evaluations reach farther, and two stages farther still: s².",
    ),
    shorter=(
        (0.5, 0.25, 0.125),
        "Yours get shorter with more evaluations. It is the other way round: two of them reach farther.",
    ),
    each_half=(
        (0.5, 0.5, 2.0),
        "For two Euler steps of h/2 you gave the length of one, h/2. The whole step h is twice as long.",
    ),
    backwards=((2.0, 1.0, 0.5), "The order is reversed: first one Euler step, then two, then the two stages."),
    negative=((-0.5, -1.0, -2.0), "These are negative, z/4: a step is positive, h = |z|/4 as the rate is −4."),
    rate_2=((1.0, 2.0, 4.0), "These are twice as long as they may be: the rate of a distance is −4."),
    too_far=(
        (0.5, 1.0, 4.0),
        "The third is twice as long as it may be: the factor 1 + z + z²/8 leaves [−1, 1] at z = −8, so where "
        "two stages end.",
    ),
    taylor=(
        (0.5, 1.0, 0.5),
        "For the two stages you took the factor 1 + z + z²/2, as a second order scheme has. Theirs is 1 + z + z²/8.",
    ),
    root=(
        (0.5, 1.0, 2**0.5),
        "The third grows like s² with the number of stages, not like a root: solve 1 + z + z²/8 = 1.",
    ),
    halves_halved=(
        (0.5, 0.25, 2.0),
        "You halved Euler's critical step for the two half steps. Each half may be as long as a whole one was, so "
        "together they are twice as long.",
    ),
    in_proportion=(
        (0.5, 1.0, 1.0),
        "Two evaluations, twice the step: so it is for two half steps. The two stages do better. Where does 1 + z + "
        "z²/8 leave [−1, 1]?",
    ),
    z_for_h=(
        (2.0, 4.0, 8.0),
        "These are values of |z|. The step is h = |z|/4, since the rate of a distance is −4.",
    ),
)


@critical.law
def factors_at_the_edge(answer, generator):
    """At a critical step the factor is 1 or −1. Write the factors as functions of z = −4h."""
    ways = (
        ("Euler", lambda z: 1 + z),
        ("two halves", lambda z: (1 + z / 2) ** 2),
        ("two stages", lambda z: 1 + z + z**2 / 8),
    )
    for (name, way), h in zip(ways, answer()):
        factor = way(-4 * h)
        if h <= 0 or abs(abs(factor) - 1) > 0.05:
            return f"For {name} your step gives the factor {factor:.3f}."
        if abs(way(-4 * 1.05 * h)) <= 1:
            return (
                f"For {name} your step gives the factor {factor:.3f}, but no distance grows in a step that is a "
                f"little longer: the factor must leave [−1, 1] there."
            )
    return True


def check_by_hand(after, steps) -> None:
    """Check the numbers of task 11.1: three tokens, three critical steps."""
    tokens = three_numbers(after, "after", each="of the three tokens").tolist()
    schemes = three_numbers(steps, "steps", each="of the three schemes").tolist()
    after_step.examine(lambda: tokens)
    critical.check(lambda: schemes)


class Sieve:
    """f(u) = tanh(u Wᵀ) − u, row by row: a velocity that is not linear. It counts how often it is asked."""

    def __init__(self, matrix: Tensor):
        self.matrix, self.asked = matrix, 0

    def __call__(self, u: Tensor) -> Tensor:
        self.asked += 1
        return (u @ self.matrix.mT.to(u)).tanh() - u


def tasks(generator):
    """A velocity, u (3, 2), a length, and 4 or 5 stages."""
    return (Sieve(2 * draw(generator, 2, 2)), draw(generator, 3, 2), uniform(generator, 2, 4), integer(generator, 4, 5))


step = Exercise(
    "11.2",
    cell="chebyshev-step",
    inputs=tasks,
    hints=(
        "Two fields are enough: the last stage and the one before it. Begin with u and with the first stage.",
        "In a loop over j = 2, …, s: the new stage is 2 · last − before + (2h/s²) · velocity(last). Then the last "
        "becomes the one before.",
        "For s = 1 the loop is empty, and the result is the first stage: an Euler step of length h.",
    ),
)


def run_stages(f, u, h, stages, *, first=1.0, later=2.0, share=None, at="last", minus="before", count=None):
    """What the wrong ways have in common: a recurrence of stages, some part of which is another one."""
    h = h / stages**2 if share is None else h * share
    before, last = u, u + first * h * f(u)
    for _ in range((stages if count is None else count) - 1):
        where = {"last": last, "before": before, "start": u}[at]
        off = {"before": before, "start": u, "last": last}[minus]
        before, last = last, 2 * last - off + later * h * f(where)
    return last


def euler_steps(f, u, h, count):
    """u after `count` Euler steps of length h."""
    for _ in range(count):
        u = u + h * f(u)
    return u


@step.wrong
def divided_by_s(f, u, h, s):
    """You divided h by s. It is h/s²: the stages get longer from one to the next, and their sum is h."""
    return run_stages(f, u, h, s, share=1 / s)


@step.wrong
def not_divided(f, u, h, s):
    """You did not divide h by s²: each stage goes the whole way."""
    return run_stages(f, u, h, s, share=1.0)


@step.wrong
def no_factor_two(f, u, h, s):
    """From the second stage on the velocity counts twice: 2h/s²."""
    return run_stages(f, u, h, s, later=1.0)


@step.wrong
def two_in_the_first(f, u, h, s):
    """The first stage goes h/s² along the velocity, not 2h/s²: the 2 is for the later ones."""
    return run_stages(f, u, h, s, first=2.0)


@step.wrong
def velocity_of_the_start(f, u, h, s):
    """This is one Euler step of length h, and no more. It also comes out where all stages take the velocity at u: stage
    j takes it at stage j − 1."""
    return run_stages(f, u, h, s, at="start")


@step.wrong
def velocity_of_the_one_before(f, u, h, s):
    """You took the velocity at stage j − 2. It is that of stage j − 1, the last one."""
    return run_stages(f, u, h, s, at="before")


@step.wrong
def minus_the_start(f, u, h, s):
    """You subtracted u in every stage. It is stage j − 2 that is subtracted; only for j = 2 is that u."""
    return run_stages(f, u, h, s, minus="start")


@step.wrong
def nothing_subtracted(f, u, h, s):
    """You left out 2u^(j−1) − u^(j−2) and only added to the last stage. The doubling, less the one before, is what
    makes later stages longer."""
    return run_stages(f, u, h, s, minus="last")


@step.wrong
def short_euler_steps(f, u, h, s):
    """These are s Euler steps of length h/s²: they end at h/s, and not at h."""
    return euler_steps(f, u, h / s**2, s)


@step.wrong
def full_euler_steps(f, u, h, s):
    """These are s Euler steps of length h/s. They cost the same, but their critical step is only s times Euler's: that
    is what the stages improve on."""
    return euler_steps(f, u, h / s, s)


@step.wrong
def one_too_many(f, u, h, s):
    """You took s + 1 stages. The first one, before the loop, counts."""
    return run_stages(f, u, h, s, count=s + 1)


@step.wrong
def one_too_few(f, u, h, s):
    """You took s − 1 stages, one too few: the loop goes from 2 to s, and the last stage is returned, not the
    one before."""
    return run_stages(f, u, h, s, count=s - 1)


def hard_coded(f, u, h, s):
    """s² = 4, whatever s is."""
    return run_stages(f, u, h, s, share=1 / 4)


def recurrence(combine):
    """Stages u^j = combine(last, before, way) with the way (2h/s²) f(last)."""

    def scheme(f, u, h, s):
        before, last = u, u + h / s**2 * f(u)
        for _ in range(s - 1):
            before, last = last, combine(last, before, 2 * h / s**2 * f(last))
        return last

    return scheme


step.wrong_ways(
    two_stages_hard_coded=(hard_coded, "You divide by 4 whatever s is, as for two stages. It is s², with s = stages."),
    divided_by_s_later=(
        lambda f, u, h, s: run_stages(f, u, h, s, later=2.0 * s),
        "In the later stages you divide by s. It is 2h/s² there, as in the first stage h/s².",
    ),
    divided_by_s_first=(
        lambda f, u, h, s: run_stages(f, u, h, s, first=float(s)),
        "In the first stage you divide by s. It is h/s².",
    ),
    no_h_later=(
        lambda f, u, h, s: run_stages(f, u, h, s, later=2.0 / h),
        "In the later stages h is missing: 2h/s².",
    ),
    rounded_down=(
        lambda f, u, h, s: run_stages(f, u, h, s, later=(2 * h // s**2) / (h / s**2)),
        "You divide with //, which rounds down to a whole number: write /.",
    ),
    midpoint=(
        lambda f, u, h, s: u + h * f(u + h / 2 * f(u)),
        "This is a midpoint step, whatever the number of stages is.",
    ),
    doubled_not=(
        recurrence(lambda last, before, way: last - before + way),
        "You took u^(j−1) − u^(j−2): the factor 2 before the last stage is missing.",
    ),
    added=(
        recurrence(lambda last, before, way: 2 * last + before + way),
        "You add u^(j−2). Its sign is minus: 2u^(j−1) − u^(j−2) + …",
    ),
    doubled_alone=(
        recurrence(lambda last, before, way: 2 * last + way),
        "u^(j−2) is not subtracted: 2u^(j−1) − u^(j−2) + …",
    ),
    against=(
        lambda f, u, h, s: run_stages(f, u, -h, s),
        "The sign of the velocity is wrong: your stages go against it, minus in place of plus.",
    ),
    against_later=(
        lambda f, u, h, s: run_stages(f, u, h, s, later=-2.0),
        "In the later stages the sign of the velocity is wrong: plus (2h/s²) f.",
    ),
    change_alone=(
        lambda f, u, h, s: run_stages(f, u, h, s) - u,
        "You return the change, without u: the field where the step ends is asked for.",
    ),
    place_for_velocity=(
        lambda f, u, h, s: place_for_velocity(f, u, h, s),
        "In the first stage you took u in place of the velocity f(u).",
    ),
    later_place_for_velocity=(
        lambda f, u, h, s: later_place(f, u, h, s),
        "In the later stages you took the field in place of its velocity f.",
    ),
    mean_of_the_tokens=(
        lambda f, u, h, s: run_stages(f, u, h, s).mean(-2),
        "You return a mean over the tokens: the field keeps its shape, (…, token, feature).",
    ),
)


def first_stage_missing(f, u, h, s):
    """The later rule from the first stage on."""
    before = last = u
    for _ in range(s):
        before, last = last, 2 * last - before + 2 * h / s**2 * f(last)
    return last


def place_for_velocity(f, u, h, s):
    before, last = u, u + h / s**2 * u
    for _ in range(s - 1):
        before, last = last, 2 * last - before + 2 * h / s**2 * f(last)
    return last


def later_place(f, u, h, s):
    before, last = u, u + h / s**2 * f(u)
    for _ in range(s - 1):
        before, last = last, 2 * last - before + 2 * h / s**2 * last
    return last


def ask_step(answer, f, u, h, stages) -> Tensor:
    """The field after one step of the answer."""
    end = as_tensor(answer(f, u, h, stages), "chebyshev_step(…)")
    if end.shape != u.shape:
        if end.ndim == u.ndim + 1:
            raise CheckFailed("11.2: return the last stage alone, a field of the shape of u, and not all of them")
        raise CheckFailed(f"11.2: the field must keep its shape {tuple(u.shape)}, got {tuple(end.shape)}")
    return end


@step.law
def one_stage(answer, generator):
    """With one stage it must be an Euler step of length h."""
    f, u, h, _ = tasks(generator)
    return bool((ask_step(answer, f, u, h, 1) - euler_steps(f, u, h, 1)).abs().max() < 1e-5)


@step.law
def constant(answer, generator):
    """Where the velocity is the same everywhere, a step must go exactly h along it: this is order 1."""
    _, u, h, stages = tasks(generator)
    end = ask_step(answer, lambda v: torch.full_like(v, 3.0), u, h, stages)
    return bool((end - u - 3 * h).abs().max() < 1e-4) or f"Yours goes {(end - u).mean() / 3 / h:.3f} of it."


@step.law
def evaluations(answer, generator):
    """A step of s stages must ask for the velocity s times, and no more: that is its price."""
    f, u, h, stages = tasks(generator)
    ask_step(answer, f, u, h, stages)
    return f.asked == stages or f"With {stages} stages yours asks {f.asked} times."


@step.law
def edge_of_stability(answer, generator):
    """For u' = λu and h = 2s²/|λ| what a step multiplies by must be 1 or −1: the edge of what is stable."""
    _, u, h, stages = tasks(generator)
    end = ask_step(answer, lambda v: -2 * stages**2 / h * v, u, h, stages)
    return bool((end.abs() - u.abs()).abs().max() < 1e-4)


@step.law
def chebyshev_factor(answer, generator):
    """For u' = λu a step must multiply by T_s(1 + z/s²), z = hλ. Yours does not."""
    _, u, h, stages = tasks(generator)
    rate = -uniform(generator, 0.2, 1.8) * stages**2 / h
    end = ask_step(answer, lambda v: rate * v, u, h, stages)
    return bool((end - amplification(stages, h * rate).real * u).abs().max() < 1e-4)


def amplification(stages: int, z: complex) -> complex:
    """T_s(1 + z/s²), by way of the hyperbolic cosine."""
    return cmath.cosh(stages * cmath.acosh(1 + z / stages**2))


def decay(generator):
    """A symmetric matrix (3, 3) with rates below 0, and 3 to 5 stages."""
    turn = torch.linalg.qr(draw(generator, 3, 3)).Q
    rates = -torch.tensor([uniform(generator, 6, 9), uniform(generator, 2, 4), uniform(generator, 0.5, 1.5)]).double()
    matrix = turn * rates @ turn.mT
    return (matrix + matrix.mT) / 2, integer(generator, 3, 5)


predicted = Exercise(
    "11.3",
    cell="predicted",
    inputs=decay,
    hints=(
        "A step multiplies a direction with the rate λ by T_s(1 + hλ/s²), and |T_s(x)| ≤ 1 for −1 ≤ x ≤ 1.",
        "So the direction dies as long as 1 + hλ/s² ≥ −1. Which of the directions is the first to break this?",
        "Solve 1 − h|λ|/s² = −1 for h, with the largest |λ| among the eigenvalues (torch.linalg.eigvals(matrix)).",
    ),
)


def largest_rate(matrix) -> float:
    """The largest |λ| of a symmetric matrix."""
    return torch.linalg.eigvalsh(matrix).abs().max().item()


@predicted.wrong
def eulers(m, s):
    """This is Euler's critical step. With s stages a step may be much longer."""
    return 2 / largest_rate(m)


@predicted.wrong
def s_euler_steps(m, s):
    """This is s times Euler's: what s Euler steps in a row allow. The stages allow more."""
    return 2 * s / largest_rate(m)


@predicted.wrong
def half(m, s):
    """There 1 + z/s² = 0. It breaks where it is −1, and that is twice as far."""
    return s**2 / largest_rate(m)


@predicted.wrong
def slowest(m, s):
    """You took the slowest direction. The fastest dying one breaks first, and decides."""
    return 2 * s**2 / torch.linalg.eigvalsh(m).abs().min().item()


@predicted.wrong
def diagonal(m, s):
    """You read the rates off the diagonal. There they stand for a triangle; in general they are the eigenvalues."""
    return 2 * s**2 / m.diagonal().abs().max().item()


@predicted.wrong
def norm(m, s):
    """You divided by the Frobenius norm, which counts all directions together. One decides, the fastest dying one."""
    return 2 * s**2 / m.norm().item()


@predicted.wrong
def sign(m, s):
    """A step is positive: take |λ|."""
    return -2 * s**2 / largest_rate(m)


predicted.wrong_ways(
    trace=(
        lambda m, s: 2 * s**2 / abs(m.trace().item()),
        "You divided by the trace, the sum of all rates. One decides, the fastest dying one: an eigenvalue.",
    ),
    mean_rate=(
        lambda m, s: 2 * s**2 / torch.linalg.eigvalsh(m).abs().mean().item(),
        "You took the mean of the rates. The fastest dying one, the largest |λ|, decides.",
    ),
    upside_down=(
        lambda m, s: largest_rate(m) / (2 * s**2),
        "Your result is upside down: a fast rate makes the critical step short.",
    ),
    fourth_power=(
        lambda m, s: 2 * s**4 / largest_rate(m),
        "You took s⁴. The critical step grows with the square of the stages, s².",
    ),
    slowest_with_its_sign=(
        lambda m, s: 2 * s**2 / torch.linalg.eigvalsh(m).max().item(),
        "You took the largest λ with its sign, and rates are negative: that is the slowest direction, and a "
        "step below 0. Take "
        "the largest |λ|.",
    ),
    four_times=(lambda m, s: 4 * s**2 / largest_rate(m), "This is twice the critical step: a factor 2 too many."),
    each_direction=(
        lambda m, s: 2 * s**2 / torch.linalg.eigvalsh(m).abs(),
        "You return one step for each direction. One number is asked for, that of the direction that breaks first.",
    ),
)


def spiral(generator) -> Tensor:
    """A direction that turns while it dies: the rates −a ± bi, with b > a."""
    a = uniform(generator, 0.8, 1.2)
    b = a * uniform(generator, 1.2, 2.2)
    return torch.tensor([[-a, b], [-b, -a]], dtype=torch.float64)


def turned(generator):
    """A matrix that is not symmetric, whose rates are no real numbers and no singular values."""
    m = spiral(generator)
    return m + torch.tensor([[0.0, 0.7], [0.0, 0.0]], dtype=torch.float64), integer(generator, 3, 5)


def ask_number(answer, *given, name: str) -> float:
    """One finite number."""
    came = answer(*given)
    if isinstance(came, bool):
        raise CheckFailed(f"11.3: {name} must return a number, the step at which it breaks, got {came}")
    value = as_tensor(came, name)
    if value.ndim or not value.isfinite():
        raise CheckFailed(f"11.3: {name} must return one number, got {value.tolist()}")
    return value.item()


def growth(matrix: Tensor, stages: int, h: float) -> float:
    """The largest |factor| by which a step multiplies a direction."""
    return max(abs(amplification(stages, h * z)) for z in torch.linalg.eigvals(matrix).tolist())


def check_edge(answer, matrix, stages, slack: float, name: str) -> bool | str:
    """Whether all directions die in steps a little shorter than the answer, and one grows in steps a little longer."""
    h = ask_number(answer, matrix, stages, name=name)
    if h <= 0:
        return f"Yours is {h:.3g}."
    below, above = (growth(matrix, stages, h * z) for z in (1 - slack, 1 + slack))
    if below > 1 + 1e-9:
        return f"Yours is {h:.3g}: in steps a little shorter than that a direction grows already."
    return above > 1 or f"Yours is {h:.3g}: in steps a little longer than that all directions still die."


@predicted.law
def edge_predicted(answer, generator):
    """At a critical step the first direction must stop dying."""
    return check_edge(answer, *decay(generator), 1e-4, "predicted(matrix, stages)")


@predicted.law
def any_matrix(answer, generator):
    """The matrix need not be symmetric, and its rates not real: |λ| is the size of an eigenvalue,
    torch.linalg.eigvals."""
    m, s = turned(generator)
    h = ask_number(answer, m, s, name="predicted(matrix, stages)")
    known = {
        "Yours takes the real part alone.": torch.linalg.eigvals(m).real.abs().max(),
        "Yours treats it as symmetric, eigvalsh: take eigvals.": torch.linalg.eigvalsh(m).abs().max(),
        "Yours treats it as symmetric, eigvalsh: take eigvals. ": torch.linalg.eigvalsh(m, UPLO="U").abs().max(),
        "Yours takes the largest singular value, the norm of the matrix.": torch.linalg.matrix_norm(m, 2),
        "Yours takes the imaginary part alone.": torch.linalg.eigvals(m).imag.abs().max(),
    }
    must = 2 * s**2 / torch.linalg.eigvals(m).abs().max().item()
    if abs(h / must - 1) < 1e-4:
        return True
    return next((said for said, rate in known.items() if abs(h * rate.item() / (2 * s**2) - 1) < 1e-6), True)


measured = Exercise(
    "11.3",
    cell="measured",
    inputs=decay,
    tol=5e-3,
    hints=(
        "The velocity is lambda u: u @ matrix.mT. Start from random numbers, take a few hundred steps of length h, and "
        "look whether the field is smaller than at the start.",
        "stability.breaking_step(rests, low, high) does the bisection; `rests(h)` is to be True where the field has "
        "become smaller. With steps that are far too long it is infinite or NaN, and `<` says False.",
        "low must be a step at which it rests: one shorter than Euler's will do, 0.01 for the matrices here. For high "
        "take 1000.",
    ),
)


measured.wrong_ways(
    eulers=(
        lambda m, s: 2 / largest_rate(m),
        "This is where Euler's step breaks, one stage: hand `stages` on to your chebyshev_step.",
    ),
    s_times_eulers=(
        lambda m, s: 2 * s / largest_rate(m),
        "This is s times Euler's critical step. Run your chebyshev_step with its stages.",
    ),
    s_times_too_long=(
        lambda m, s: 2 * s**3 / largest_rate(m),
        "This is s times too long: was the step h divided by s once more? chebyshev_step wants the length h of "
        "the whole step.",
    ),
    slowest=(
        lambda m, s: 2 * s**2 / torch.linalg.eigvalsh(m).abs().min().item(),
        "This is where the slowest direction breaks. All must rest: start with a part in every direction.",
    ),
    search_ends=(
        lambda m, s: 0.1,
        "Yours is 0.1 whatever the matrix is: does the range of your search end there?",
    ),
)


def explain_measured(answer, m, s) -> bool | str:
    """check_edge with what may be the cause."""
    held = check_edge(answer, m, s, 0.02, "measured(matrix, stages)")
    if held is True:
        return True
    if growth(m, s, 0.98 * ask_number(answer, m, s, name="measured(matrix, stages)")) < 1:
        return f"{held} Is your search fine enough (bisection, not a coarse list of steps)?"
    return f"{held} Do you take enough steps, a hundred or more?"


@measured.law
def real_rates(answer, generator):
    """For a symmetric matrix your step is not where the scheme breaks (2 % are allowed)."""
    return explain_measured(answer, *decay(generator))


@measured.law
def turning_rates(answer, generator):
    """For a direction that turns while it dies, with the rates −a ± bi, your step is not where the scheme breaks. Did
    you run the scheme, or a formula for real rates?"""
    return check_edge(answer, spiral(generator), integer(generator, 2, 4), 0.02, "measured(matrix, stages)")
