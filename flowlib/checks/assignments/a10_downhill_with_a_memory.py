"""Assignment 10: downhill with a memory.

The step of the assignment is θ_{n+1} = θ_n − η ∇L(θ_n) + β (θ_n − θ_{n−1}), the first one without memory. On a loss
with the curvature λ it breaks at η = 2 (1 + β) / λ. What is written here are the ways in which it goes wrong, and laws
that a right answer obeys.
"""

import cmath
from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.checks.compare import CheckFailed, as_tensor
from flowlib.checks.exercises import Exercise, draw, three_numbers, uniform

CURVATURES, RATE, MEMORY = (1.0, 4.0, 8.0), 0.25, 0.5  # of 10.1a
MEMORIES = (0.0, 0.5, 0.9)  # of 10.1b

after_steps = Exercise(
    "10.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "The three parameters do not know of each other. The slope of each is its curvature times its value.",
        "The first step has nothing to remember: 1 − ¼·1·1 = ¾ for the first parameter, 1 − ¼·4·1 = 0 for the second.",
        "The second step for the first parameter: ¾ − ¼·¾ + ½·(¾ − 1). The last part is the memory, half of a step.",
    ),
)
after_steps.wrong_numbers(
    no_memory=((0.5625, 0.0, 1.0), "Those are two plain steps. The second one also goes on by half of the first."),
    first_step=((0.75, 0.0, -1.0), "There they are after one step. Asked is where they are after two."),
    memory_backwards=(
        (0.6875, 0.5, 2.0),
        "Your memory pulls back: you took β(θ₀ − θ₁). It goes on in the direction of the last step, θ₁ − θ₀.",
    ),
    averaged_slope=(
        (0.703125, 0.0, -0.5),
        "You took the slope times 1 − β, as where slopes are averaged. Here the slope counts whole, and the memory is "
        "added.",
    ),
    whole_memory=((0.3125, -1.0, -1.0), "You added the whole of the last step. The memory is ½ of it."),
)


@after_steps.law
def recurrence(answer, generator):
    """Not yet. Write down the first step, then θ₂ = θ₁ − ¼·curvature·θ₁ + ½(θ₁ − 1) for each parameter."""
    right = [roll(lambda v, z=z: z * v, 1.0, RATE, MEMORY, 2) for z in CURVATURES]
    return all(abs(mine - z) < 0.01 for mine, z in zip(answer(), right))


critical = Exercise(
    "10.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "At the edge the parameter jumps from one side to the other and keeps its size: θ = 1, −1, 1, −1, …",
        "Put it into the rule, with θ_{n−1} = 1, θ_n = −1, θ_{n+1} = 1. The memory is β(−1 − 1).",
        "1 = −1 + 8η − 2β, so η = 2(1 + β)/8.",
    ),
)
critical.wrong_numbers(
    memory_ignored=(
        (0.25, 0.25, 0.25),
        "That is 2/8, three times. The memory moves the edge: put θ = 1, −1, 1 into the rule.",
    ),
    one_minus_beta=(
        (0.25, 0.125, 0.025),
        "You have 2(1 − β)/8. At the edge each step turns round, and the memory works *against* it: 1 + β.",
    ),
    as_on_a_slope=(
        (0.25, 0.5, 2.5),
        "You divided by 1 − β. On a long even slope that is what the memory is worth. At the edge each step turns "
        "round: put θ = 1, −1, 1 into the rule.",
    ),
    curvature_forgotten=(
        (2.0, 3.0, 3.8),
        "These are values of ηλ, or learning rates for the curvature 1. The steepest parameter, with 8, breaks first.",
    ),
    fastest=(
        (0.125, 0.1875, 0.2375),
        "This is half of it. The edge is where θ keeps its size, and not where it is 0 at once.",
    ),
)


@critical.law
def at_the_edge(answer, generator):
    """At these rates the parameter with the curvature 8 must jump from side to side, and keep its size."""
    for rate, memory in zip(answer(), MEMORIES):
        size = multiplier(8 * rate, memory)
        if abs(size - 1) > 0.02 or multiplier(8 * 1.05 * rate, memory) <= 1:
            return f"With the memory {memory:g} and your rate {rate:.4g} a step multiplies it by {size:.3f}."
    return True


def check_by_hand(after, rates) -> None:
    """Check the numbers of task 10.1: three parameters, three critical learning rates."""
    parameters = three_numbers(after, "after", each="parameter").tolist()
    largest = three_numbers(rates, "rates", each="memory").tolist()
    after_steps.check(lambda: parameters)
    critical.check(lambda: largest)


def multiplier(curved: float | complex, memory: float) -> float:
    """The larger |μ| of μ² − (1 + β − ηλ) μ + β = 0, by which many steps multiply; curved = ηλ."""
    b = 1 + memory - curved
    root = cmath.sqrt(b * b - 4 * memory)
    return max(abs(b + root), abs(b - root)) / 2


def roll(slope: Callable, theta, rate: float, memory: float, steps: int, *, gain: float = 1.0, at: str = "last"):
    """What the wrong ways have in common: the rule, another factor or another place for the slope."""
    start = before = last = theta
    for _ in range(steps):
        place = {"last": last, "ahead": last + memory * (last - before), "before": before, "start": start}[at]
        before, last = last, last - gain * rate * slope(place) + memory * (last - before)
    return last


class Slope:
    """∇L of L = Σ log cosh(W θ): not linear. It counts how often it is asked."""

    def __init__(self, matrix: Tensor):
        self.matrix, self.asked = matrix, 0

    def __call__(self, theta: Tensor) -> Tensor:
        self.asked += 1
        return self.matrix.mT.to(theta) @ (self.matrix.to(theta) @ theta).tanh()


def tasks(generator):
    """∇L, θ (4,), a learning rate, a memory, and 4 or 5 steps."""
    steps = int(torch.randint(4, 6, (), generator=generator))
    return (
        Slope(draw(generator, 6, 4)),
        draw(generator, 4),
        uniform(generator, 0.1, 0.2),
        uniform(generator, 0.4, 0.8),
        steps,
    )


descend = Exercise(
    "10.2",
    cell="descend",
    inputs=tasks,
    hints=(
        "Keep two places: the last one and the one before. In the beginning both are theta: nothing to remember.",
        "In a loop over the steps: new = last − rate · gradient(last) + memory · (last − before).",
        "Then the last becomes the one before, and the new one the last: before, last = last, new. Return the last.",
    ),
)


@descend.wrong
def plain(slope, theta, rate, memory, steps):
    """This is plain gradient descent: your steps remember nothing."""
    return roll(slope, theta, rate, 0.0, steps)


@descend.wrong
def averaged(slope, theta, rate, memory, steps):
    """You took the slope times 1 − β, as where slopes are averaged. Here the slope counts whole."""
    return roll(slope, theta, rate, memory, steps, gain=1 - memory)


@descend.wrong
def backwards(slope, theta, rate, memory, steps):
    """Your memory has the wrong sign: it pulls back to the place before, and must go on in the direction of the last
    step."""
    return roll(slope, theta, rate, -memory, steps)


@descend.wrong
def looks_ahead(slope, theta, rate, memory, steps):
    """You took the slope where the memory alone would lead. That is Nesterov's step, a good one, and not this one: take
    it at the last place."""
    return roll(slope, theta, rate, memory, steps, at="ahead")


@descend.wrong
def slope_before(slope, theta, rate, memory, steps):
    """You took the slope at the place before the last."""
    return roll(slope, theta, rate, memory, steps, at="before")


@descend.wrong
def slope_of_the_start(slope, theta, rate, memory, steps):
    """You took the slope at the start in every step. It changes as you go."""
    return roll(slope, theta, rate, memory, steps, at="start")


@descend.wrong
def uphill(slope, theta, rate, memory, steps):
    """You go uphill: the slope must be subtracted."""
    return roll(slope, theta, -rate, memory, steps)


@descend.wrong
def from_the_start(slope, theta, rate, memory, steps):
    """Your memory is the way from the start, θ_n − θ_0. It is the last step only, θ_n − θ_{n−1}."""
    last = theta
    for _ in range(steps):
        last = last - rate * slope(last) + memory * (last - theta)
    return last


@descend.wrong
def one_slope_back(slope, theta, rate, memory, steps):
    """You remember the slope before the last, and no earlier one. The last *step* holds all of them, each weaker than
    the next."""
    last, old = theta, None
    for _ in range(steps):
        new = slope(last)
        last, old = last - rate * (new if old is None else new + memory * old), new
    return last


@descend.wrong
def one_too_many(slope, theta, rate, memory, steps):
    """You took one step too many. The first one, without memory, counts."""
    return roll(slope, theta, rate, memory, steps + 1)


@descend.wrong
def one_too_few(slope, theta, rate, memory, steps):
    """You took one step too few."""
    return roll(slope, theta, rate, memory, steps - 1)


def ask_place(answer, slope, theta: Tensor, rate: float, memory: float, steps: int) -> Tensor:
    """Where the answer's descent ends."""
    end = as_tensor(answer(slope, theta, rate, memory, steps), "descend(…)")
    if end.shape != theta.shape:
        raise CheckFailed(f"10.2: the result must have theta's shape {tuple(theta.shape)}, got {tuple(end.shape)}")
    return end


@descend.law
def one_step(answer, generator):
    """The first step has nothing to remember: it must be a plain one."""
    slope, theta, rate, memory, _ = tasks(generator)
    return bool((ask_place(answer, slope, theta, rate, memory, 1) - (theta - rate * slope(theta))).abs().max() < 1e-6)


@descend.law
def even_slope(answer, generator):
    """On an even slope each step must be the slope, plus β times the step before: 1, 1 + β, 1 + β + β², …"""
    _, theta, rate, memory, steps = tasks(generator)
    way = sum((1 - memory**n) / (1 - memory) for n in range(1, steps + 1))
    end = ask_place(answer, lambda v: torch.full_like(v, 2.0), theta, rate, memory, steps)
    return bool((end - (theta - 2 * rate * way)).abs().max() < 1e-6)


@descend.law
def asks_once(answer, generator):
    """A step must ask for the slope once: that is its price."""
    slope, theta, rate, memory, steps = tasks(generator)
    ask_place(answer, slope, theta, rate, memory, steps)
    return slope.asked == steps or f"In {steps} steps yours asks {slope.asked} times."


@descend.law
def parabola(answer, generator):
    """On a parabola with the curvature λ the places must follow θ_{n+1} = (1 + β − ηλ)θ_n − βθ_{n−1}."""
    _, theta, rate, memory, steps = tasks(generator)
    curved = uniform(generator, 1, 4)
    before, last = theta, theta - rate * curved * theta
    for _ in range(steps - 1):
        before, last = last, (1 + memory - rate * curved) * last - memory * before
    return bool((ask_place(answer, lambda v: curved * v, theta, rate, memory, steps) - last).abs().max() < 1e-6)


def valley(generator):
    """A symmetric matrix (3, 3) of second derivatives, all curvatures positive, and a memory."""
    turn = torch.linalg.qr(draw(generator, 3, 3)).Q
    curvatures = torch.tensor([uniform(generator, 6, 9), uniform(generator, 2, 4), uniform(generator, 0.8, 1.5)])
    matrix = turn * curvatures.double() @ turn.mT
    return (matrix + matrix.mT) / 2, uniform(generator, 0.3, 0.8)


predicted = Exercise(
    "10.3",
    cell="predicted",
    inputs=valley,
    hints=(
        "Each eigenvector of the matrix is a direction of its own, its eigenvalue the curvature. Which breaks first?",
        "For one direction you have the critical rate from 10.1b: 2(1 + β)/λ.",
        "The largest eigenvalue: torch.linalg.eigvalsh(matrix).max().",
    ),
)


def sharpest(matrix: Tensor) -> float:
    """The largest curvature."""
    return torch.linalg.eigvalsh(matrix).max().item()


@predicted.wrong
def without_memory(m, memory):
    """This is 2/λ, the critical rate without memory."""
    return 2 / sharpest(m)


@predicted.wrong
def memory_against(m, memory):
    """You have 2(1 − β)/λ. It is 1 + β: at the edge each step turns round, and the memory works against it."""
    return 2 * (1 - memory) / sharpest(m)


@predicted.wrong
def carried_on(m, memory):
    """You divided by 1 − β. That is what the memory is worth on an even slope; at the edge each step turns round."""
    return 2 / (1 - memory) / sharpest(m)


@predicted.wrong
def half_way(m, memory):
    """This is half of it. It breaks where a parameter keeps its size from step to step, on the other side each time."""
    return (1 + memory) / sharpest(m)


@predicted.wrong
def flattest(m, memory):
    """You took the flattest direction. The sharpest breaks first, and decides."""
    return 2 * (1 + memory) / torch.linalg.eigvalsh(m).min().item()


@predicted.wrong
def on_the_diagonal(m, memory):
    """You read the curvatures off the diagonal. They are the eigenvalues."""
    return 2 * (1 + memory) / m.diagonal().max().item()


@predicted.wrong
def all_together(m, memory):
    """You added all curvatures up. One decides, the sharpest."""
    return 2 * (1 + memory) / m.trace().item()


def ask_rate(answer, matrix: Tensor, memory: float, name: str) -> float:
    """One finite number."""
    value = as_tensor(answer(matrix, memory), name)
    if value.ndim or not value.isfinite():
        raise CheckFailed(f"10.3: {name} must return one number, got {value.tolist()}")
    return value.item()


def check_edge(answer, matrix: Tensor, memory: float, slack: float, name: str) -> bool | str:
    """Whether all directions die at rates a little below the answer, and one grows a little above."""
    rate = ask_rate(answer, matrix, memory, name)
    if rate <= 0:
        return f"Yours is {rate:.3g}."
    below, above = (multiplier(z * rate * sharpest(matrix), memory) for z in (1 - slack, 1 + slack))
    if below > 1 + 1e-9:
        return f"Yours is {rate:.3g}: a little below that a direction grows already."
    return above > 1 or f"Yours is {rate:.3g}: a little above that all directions still die."


@predicted.law
def edge_predicted(answer, generator):
    """At a critical rate the first direction must stop dying."""
    return check_edge(answer, *valley(generator), 1e-4, "predicted(matrix, memory)")


measured = Exercise(
    "10.3",
    cell="measured",
    inputs=lambda generator: (),
    hints=(
        "The gradient is lambda theta: matrix @ theta. Start from random numbers, take a few hundred steps with "
        "`descend`, and look whether the result is smaller than the start.",
        "stability.breaking_step(rests, low, high) does the bisection; `rests(rate)` is to be True where the result "
        "has become smaller. Far beyond the edge it is infinite or NaN, and `<` says False.",
        "low must be a rate at which it rests: 0.01 will do for the matrices here. For high take 100.",
    ),
)


@measured.law
def edge_measured(answer, generator):
    """Your rate is not where the descent breaks (2 % are allowed)."""
    return check_edge(answer, *valley(generator), 0.02, "measured(matrix, memory)")


@measured.law
def edge_without_memory(answer, generator):
    """Without memory your rate is not where plain descent breaks (2 % are allowed). Did you pass the memory on?"""
    return check_edge(answer, valley(generator)[0], 0.0, 0.02, "measured(matrix, memory)")
