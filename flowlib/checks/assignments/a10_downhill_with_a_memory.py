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
        "Your memory has the wrong sign, it pulls back: you took β(θ₀ − θ₁). It goes on in the direction of the "
        "last step, θ₁ − θ₀.",
    ),
    averaged_slope=(
        (0.703125, 0.0, -0.5),
        "You took the slope times 1 − β, as where slopes are averaged. Here the slope counts whole, and the memory is "
        "added.",
    ),
    uphill=(
        tuple((1 + c / 4) ** 2 + c / 8 for c in CURVATURES),
        "You went uphill: the sign of the slope is minus.",
    ),
    uphill_plain=(
        tuple((1 + c / 4) ** 2 for c in CURVATURES),
        "You went uphill, the sign of the slope is minus, and left the memory out.",
    ),
    slope_of_the_start=(
        (0.375, -1.5, -4.0),
        "You took the slope at the start in both steps. The second step takes the slope at θ₁.",
    ),
    slope_of_the_start_plain=(
        (0.5, -1.0, -3.0),
        "You took the slope at the start in both steps, and left the memory out.",
    ),
    memory_of_the_place=(
        tuple(1.5 * z - z * c / 4 for c, z in ((1, 0.75), (4, 0.0), (8, -1.0))),
        "You added half of θ₁, the place. The memory is half of the last *step*, θ₁ − θ₀.",
    ),
    no_rate=(
        tuple(-(c - 1) - c * (1 - c) + 0.5 * -c for c in CURVATURES),
        "η = 1/4 is missing: each slope is multiplied by the learning rate.",
    ),
    no_rate_plain=(
        tuple((1 - c) ** 2 for c in CURVATURES),
        "η = 1/4 is missing, and the memory as well: each slope is multiplied by the learning rate.",
    ),
    curvature_1=(
        (0.4375, 0.4375, 0.4375),
        "You took the curvature 1 for all three. The slopes are 1, 4 and 8 times the value.",
    ),
    backwards=((0.0, -0.5, 0.4375), "The order is reversed: the first parameter has the curvature 1."),
    whole_memory=((0.3125, -1.0, -1.0), "You added the whole of the last step. The memory is ½ of it."),
)


@after_steps.law
def recurrence(answer, generator):
    """One of the three is another number. Write down the first step, then θ₂ = θ₁ − ¼·curvature·θ₁ + ½(θ₁ − 1) for each
    parameter."""
    right = [roll(lambda v, z=z: z * v, 1.0, RATE, MEMORY, 2) for z in CURVATURES]
    off = [f"curvature {c:g}" for mine, z, c in zip(answer(), right, CURVATURES) if abs(mine - z) > 0.01]
    return not off or f"Look at the parameter with {', '.join(off)}: the slope, the last step, and β times it."


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
    upside_down=(
        (4.0, 8 / 3, 8 / 3.8),
        "These are upside down: λ/(2(1 + β)). The critical rate is 1 over that.",
    ),
    divided=(
        (0.25, 0.25 / 1.5, 0.25 / 1.9),
        "You divided by 1 + β. The memory works against the jump at the edge, so the critical rate is larger: "
        "times 1 + β.",
    ),
    divided_for_curvature_1=(
        (2.0, 2 / 1.5, 2 / 1.9),
        "You divided by 1 + β, and not by the curvature 8: it is 2(1 + β)/8.",
    ),
    memory_once=(
        (0.25, 0.3125, 0.3625),
        "You took (2 + β)/8. The memory β(θ_n − θ_{n−1}) is β(−1 − 1) at the edge, so it counts twice: 2(1 + β)/8.",
    ),
    memory_thrice=(
        (0.25, 0.5, 0.7),
        "You took 2(1 + 2β)/8. At the edge it is 2(1 + β)/8: put θ = 1, −1, 1 into the rule.",
    ),
    memory_outside=(
        (0.25, 0.75, 1.15),
        "You took 2/8 + β. The memory is divided by the curvature as well: 2(1 + β)/8.",
    ),
    curvature_4=(
        (0.5, 0.75, 0.95),
        "These are the rates for the curvature 4. The third parameter has 8, and breaks first.",
    ),
    backwards=((0.475, 0.375, 0.25), "The order is reversed: first the memory 0, then ½, then 0.9."),
    largest_of_all=((0.475, 0.475, 0.475), "You gave the rate of β = 0.9 three times: each memory has its own."),
    fastest=(
        (0.125, 0.1875, 0.2375),
        "This is half of it, a factor 2 is missing. The edge is where θ keeps its size, and not where it is 0 at once.",
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
    after_steps.examine(lambda: parameters)
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


def with_memory_of(way):
    """Steps whose memory is way(last, before, slope, rate, memory), each with the new slope."""

    def descend(slope, theta, rate, memory, steps):
        before = last = theta
        for _ in range(steps):
            before, last = last, way(last, before, slope(last), rate, memory)
        return last

    return descend


def fading(slope, theta, rate, memory, steps):
    """A rate that gets smaller by β in each step."""
    for k in range(steps):
        theta = theta - rate * memory**k * slope(theta)
    return theta


def slope_alone(slope, theta, rate, memory, steps):
    """The last slope alone is remembered."""
    old = 0 * theta
    for _ in range(steps):
        new = slope(theta)
        theta, old = theta - rate * new - memory * rate * old, new
    return theta


def one_behind(slope, theta, rate, memory, steps):
    """The step is taken before the slope is seen."""
    v = 0 * theta
    for _ in range(steps):
        theta, v = theta - rate * v, memory * v + slope(theta - rate * v)
    return theta


descend.wrong_ways(
    memory_of_the_place=(
        with_memory_of(lambda last, before, g, rate, memory: last - rate * g + memory * last),
        "You add β times the *place* θ_n. The memory is β times the last *step*, θ_n − θ_{n−1}.",
    ),
    memory_of_the_old_place=(
        with_memory_of(lambda last, before, g, rate, memory: last - rate * g + memory * before),
        "You add β times the *place* before. The memory is β times the last *step*, θ_n − θ_{n−1}.",
    ),
    start_at_0=(
        lambda slope, theta, rate, memory, steps: started(slope, theta, rate, memory, steps, 0 * theta),
        "Your first step remembers θ_{−1} = 0. It has nothing to remember: θ_{−1} = θ_0, so it is a plain one.",
    ),
    no_rate=(
        lambda slope, theta, rate, memory, steps: roll(slope, theta, 1.0, memory, steps),
        "The learning rate η is missing: the slope is multiplied by `rate`.",
    ),
    whole_memory=(
        lambda slope, theta, rate, memory, steps: roll(slope, theta, rate, 1.0, steps),
        "Your memory is the whole last step, β = 1: multiply it by `memory`.",
    ),
    square_of_the_memory=(
        lambda slope, theta, rate, memory, steps: roll(slope, theta, rate, memory**2, steps),
        "Your memory is β² times the last step. It is β times.",
    ),
    memory_with_the_rate=(
        with_memory_of(lambda last, before, g, rate, memory: last - rate * g + rate * memory * (last - before)),
        "Your memory is multiplied by the rate η as well: only the slope is. Look at the bracket.",
    ),
    memory_in_the_bracket=(
        with_memory_of(lambda last, before, g, rate, memory: last - rate * (g + memory * (last - before))),
        "Your memory stands in the bracket with the slope: it gets the rate η and a minus. It is + β(θ_n − "
        "θ_{n−1}), outside.",
    ),
    larger_rate=(
        lambda slope, theta, rate, memory, steps: roll(slope, theta, rate * (1 + memory), 0.0, steps),
        "These are plain steps with a larger rate, η(1 + β). A memory adds β times the last step, not the "
        "present slope.",
    ),
    much_larger_rate=(
        lambda slope, theta, rate, memory, steps: roll(slope, theta, rate / (1 - memory), 0.0, steps),
        "These are plain steps with a larger rate, η/(1 − β). A memory adds β times the last step, not the "
        "present slope.",
    ),
    smaller_rate=(
        lambda slope, theta, rate, memory, steps: roll(slope, theta, rate * (1 - memory), 0.0, steps),
        "These are plain steps with a smaller rate, η(1 − β), a mean of the new place and the old one. A memory "
        "adds β times "
        "the last step.",
    ),
    fading_rate=(fading, "These are plain steps whose rate fades. A memory adds β times the last step."),
    all_at_once=(
        lambda slope, theta, rate, memory, steps: theta - steps * rate * slope(theta),
        "You take all steps at once, with the slope of the start. Each step asks for a slope of its own.",
    ),
    change_alone=(
        lambda slope, theta, rate, memory, steps: roll(slope, theta, rate, memory, steps) - theta,
        "You return the change, without the start theta.",
    ),
    size_alone=(
        lambda slope, theta, rate, memory, steps: roll(slope, theta, rate, memory, steps).norm(),
        "You return the length of θ, its norm. The place is asked for, of the shape of theta.",
    ),
)


def started(slope, theta, rate, memory, steps, before):
    """The rule from another place before the start."""
    last = theta
    for _ in range(steps):
        before, last = last, last - rate * slope(last) + memory * (last - before)
    return last


def ask_place(answer, slope, theta: Tensor, rate: float, memory: float, steps: int) -> Tensor:
    """Where the answer's descent ends."""
    end = as_tensor(answer(slope, theta, rate, memory, steps), "descend(…)")
    if end.shape != theta.shape:
        if end.ndim == theta.ndim + 1:
            raise CheckFailed("10.2: return the last place alone, of the shape of theta, and not all of them")
        raise CheckFailed(f"10.2: the result must have theta's shape {tuple(theta.shape)}, got {tuple(end.shape)}")
    return end


@descend.law
def no_step(answer, generator):
    """With 0 steps nothing moves: the start must come back."""
    slope, theta, rate, memory, _ = tasks(generator)
    return bool((ask_place(answer, slope, theta, rate, memory, 0) - theta).abs().max() < 1e-12)


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


predicted.wrong_ways(
    mean_of_the_curvatures=(
        lambda m, memory: 2 * (1 + memory) / torch.linalg.eigvalsh(m).mean().item(),
        "You took the mean of the curvatures. The largest one breaks first, and decides.",
    ),
    frobenius=(
        lambda m, memory: 2 * (1 + memory) / m.norm().item(),
        "You divided by the Frobenius norm of the matrix. One curvature decides, the largest eigenvalue.",
    ),
    determinant=(
        lambda m, memory: 2 * (1 + memory) / torch.linalg.det(m).item(),
        "You divided by the determinant, the product of all curvatures. One decides, the largest eigenvalue.",
    ),
    upside_down=(
        lambda m, memory: sharpest(m) / (2 * (1 + memory)),
        "Your result is upside down: a large curvature makes the critical rate small.",
    ),
    divided_by_the_memory=(
        lambda m, memory: 2 / (1 + memory) / sharpest(m),
        "You divided by 1 + β. The memory works against the jump at the edge, so the critical rate is larger: "
        "times 1 + β.",
    ),
    memory_twice=(
        lambda m, memory: 2 * (1 + 2 * memory) / sharpest(m),
        "You have 2(1 + 2β)/λ: the memory counts twice in yours. Put θ = 1, −1, 1 into the rule: 1 + β.",
    ),
    memory_half=(
        lambda m, memory: (2 + memory) / sharpest(m),
        "You have (2 + β)/λ. At the edge the memory is β(−1 − 1), so it counts twice: 2(1 + β)/λ … put θ = 1, "
        "−1, 1 into "
        "the rule.",
    ),
    twice=(lambda m, memory: 4 * (1 + memory) / sharpest(m), "This is twice the critical rate."),
    the_bowl=(
        lambda m, memory: 2 * (1 + memory) / 8,
        "You took the curvature 8 of the bowl in 10.1. The matrix is an argument: its largest eigenvalue decides.",
    ),
    memory_outside=(
        lambda m, memory: 2 / sharpest(m) + memory,
        "You added β to 2/λ. The memory is divided by the curvature as well: the factor is 1 + β.",
    ),
    each_direction=(
        lambda m, memory: 2 * (1 + memory) / torch.linalg.eigvalsh(m),
        "You return one rate for each direction. One number is asked for, that of the direction that breaks first.",
    ),
)


def ask_rate(answer, matrix: Tensor, memory: float, name: str) -> float:
    """One finite number."""
    came = answer(matrix, memory)
    if isinstance(came, bool):
        raise CheckFailed(f"10.3: {name} must return a number, the rate at which it breaks, got {came}")
    value = as_tensor(came, name)
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
    inputs=valley,
    tol=5e-3,
    hints=(
        "The gradient is lambda theta: matrix @ theta. Start from random numbers, take a few hundred steps with "
        "`descend`, and look whether the result is smaller than the start.",
        "stability.breaking_step(rests, low, high) does the bisection; `rests(rate)` is to be True where the result "
        "has become smaller. Far beyond the edge it is infinite or NaN, and `<` says False.",
        "low must be a rate at which it rests: 0.01 will do for the matrices here. For high take 100.",
    ),
)


measured.wrong_ways(
    without_memory=(
        lambda m, memory: 2 / sharpest(m),
        "This is where plain descent breaks, without memory: hand `memory` on to descend.",
    ),
    gradient_is_the_place=(
        lambda m, memory: 2 * (1 + memory),
        "Your gradient is θ itself: the matrix is not used. The gradient of ½ θᵀMθ is M θ.",
    ),
    twice_the_gradient=(
        lambda m, memory: (1 + memory) / sharpest(m),
        "This is half of it: your gradient is twice as large as it must be. The gradient of ½ θᵀMθ is M θ.",
    ),
    half_the_gradient=(
        lambda m, memory: 4 * (1 + memory) / sharpest(m),
        "This is twice of it: your gradient is half as large as it must be. The gradient of ½ θᵀMθ is M θ.",
    ),
    diagonal=(
        lambda m, memory: 2 * (1 + memory) / m.diagonal().max().item(),
        "Your gradient takes the diagonal of the matrix alone. It is M θ, with all of the matrix.",
    ),
    flattest=(
        lambda m, memory: 2 * (1 + memory) / torch.linalg.eigvalsh(m).min().item(),
        "This is where the flattest direction breaks. All directions must rest: start with a part in each of them.",
    ),
    search_ends=(
        lambda m, memory: 0.1,
        "Yours is 0.1 whatever the matrix is: does the range of your search end there?",
    ),
)


def explain_measured(answer, m, memory) -> bool | str:
    """check_edge with what may be the cause."""
    held = check_edge(answer, m, memory, 0.02, "measured(matrix, memory)")
    if held is True:
        return True
    times = ask_rate(answer, m, memory, "measured(matrix, memory)") * sharpest(m) / (2 * (1 + memory))
    if 0.5 < times < 0.98:
        return f"{held} Is your search fine enough (bisection, not a coarse list of rates)?"
    return f"{held} Do you take enough steps, a few hundred, and does the start have a part in every direction?"


def axes(generator):
    """A diagonal matrix whose sharpest direction is not the first, and a memory."""
    curvatures = torch.tensor([uniform(generator, 0.8, 1.5), uniform(generator, 5, 9), uniform(generator, 2, 4)])
    return torch.diag(curvatures.double()), uniform(generator, 0.3, 0.8)


@measured.law
def edge_measured(answer, generator):
    """Your rate is not where the descent breaks (2 % are allowed)."""
    return explain_measured(answer, *valley(generator))


@measured.law
def edge_without_memory(answer, generator):
    """Without memory your rate is not where plain descent breaks (2 % are allowed). Did you pass the memory on?"""
    return check_edge(answer, valley(generator)[0], 0.0, 0.02, "measured(matrix, memory)")


@measured.law
def every_direction(answer, generator):
    """Where the directions are the axes your rate is not where the descent breaks (2 % are allowed)."""
    return explain_measured(answer, *axes(generator))
