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
    """Not yet. With R(z) = 1 + z + z²/8, what the step makes of a distance is R(−2)."""
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
    after_step.check(lambda: tokens)
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
    """You took s − 1 stages: the loop goes from 2 to s, and includes s."""
    return run_stages(f, u, h, s, count=s - 1)


def ask_step(answer, f, u, h, stages) -> Tensor:
    """The field after one step of the answer."""
    end = as_tensor(answer(f, u, h, stages), "chebyshev_step(…)")
    if end.shape != u.shape:
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


def ask_number(answer, *given, name: str) -> float:
    """One finite number."""
    value = as_tensor(answer(*given), name)
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


measured = Exercise(
    "11.3",
    cell="measured",
    inputs=lambda generator: (),
    hints=(
        "The velocity is lambda u: u @ matrix.mT. Start from random numbers, take a few hundred steps of length h, and "
        "look whether the field is smaller than at the start.",
        "stability.breaking_step(rests, low, high) does the bisection; `rests(h)` is to be True where the field has "
        "become smaller. With steps that are far too long it is infinite or NaN, and `<` says False.",
        "low must be a step at which it rests: one shorter than Euler's will do, 0.01 for the matrices here. For high "
        "take 1000.",
    ),
)


def spiral(generator) -> Tensor:
    """A direction that turns while it dies: the rates −a ± bi, with b > a."""
    a = uniform(generator, 0.8, 1.2)
    b = a * uniform(generator, 1.2, 2.2)
    return torch.tensor([[-a, b], [-b, -a]], dtype=torch.float64)


@measured.law
def real_rates(answer, generator):
    """For a symmetric matrix your step is not where the scheme breaks (2 % are allowed)."""
    return check_edge(answer, *decay(generator), 0.02, "measured(matrix, stages)")


@measured.law
def turning_rates(answer, generator):
    """For a direction that turns while it dies, with the rates −a ± bi, your step is not where the scheme breaks. Did
    you run the scheme, or a formula for real rates?"""
    return check_edge(answer, spiral(generator), integer(generator, 2, 4), 0.02, "measured(matrix, stages)")
