"""Assignment 06: substeps that take turns at being first.

The scheme of the assignment turns the order of the substeps round in every second step. What is written here are the
ways in which it goes wrong, and laws that a right answer obeys.
"""

import torch

from flowlib.checks.compare import CheckFailed, as_tensor
from flowlib.checks.exercises import Exercise, draw, three_tokens
from flowlib.flow import SCHEMES

TOKENS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]], dtype=torch.float64)
A, B = torch.tensor([[[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [-1.0, 0.0]]], dtype=torch.float64)


def walk(path, h=0.5):
    """The three tokens after the substeps of a path, in this order, each for h."""
    u = TOKENS
    for name in path:
        u = u + h * u @ (A if name == "A" else B).T
    return u


def walk_matrix(order, lengths):
    """The substeps of a walk as one matrix, for tokens as rows."""
    whole = torch.eye(2, dtype=torch.float64)
    for letter, h in zip(order, lengths):
        whole = whole @ (torch.eye(2, dtype=torch.float64) + h * {"A": A, "B": B}[letter].T)
    return whole


by_hand = Exercise(
    "6.1",
    cell="arrive",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "Write the path of a token as a row of five points: the start, and one after each substep. A changes the first "
        "number only, B the second only.",
        "The order of the four substeps is A, B, B, A, each with h = 1/2. The newest numbers are used each time.",
        "The token (1, 0): A moves nothing, since its second number is 0. Each B takes 1/2 from the second number.",
    ),
)
by_hand.wrong_numbers(
    lie=(walk("ABAB"), "You took A, B and again A, B: that is Lie splitting. In the second step B comes first."),
    starts_with_b=(walk("BAAB"), "You began with B. The first step is A then B, the second B then A."),
    always_b_first=(
        walk("BABA"),
        "You took B, A and again B, A. The first step is A then B, and only the second is reversed.",
    ),
    one_step=(walk("AB"), "That is one step. There are two of them, four substeps in all."),
    step_of_1=(walk("ABBA", 1.0), "You took h = 1 in each substep. Two steps of 1/2 lead to t = 1."),
    quarter=(
        walk("ABBA", 0.25),
        "You took h = 1/4 in each substep, as if both together had to take Δt. Each term acts for the whole Δt = 1/2.",
    ),
    at_once=(
        TOKENS @ torch.linalg.matrix_power(torch.eye(2, dtype=torch.float64) + (A + B).T / 2, 2),
        "Both substeps of a step started from the same numbers: that is additive splitting. The second substep starts "
        "where the first one arrived.",
    ),
    one_b=(
        walk("ABA"),
        "B acted once, for 1/2, between the two A. There are two of it in a row, one from each step.",
    ),
    bb_first=(
        walk("BBAA"),
        "You took B twice, then A twice. The order is A, B in the first step and B, A in the second.",
    ),
    aa_first=(
        walk("AABB"),
        "You took A twice, then B twice. The order is A, B in the first step and B, A in the second.",
    ),
    three_steps=(walk("ABBAAB"), "You took three steps, six substeps. Two steps are asked for."),
    four_steps=(walk("ABBAABBA"), "You took four steps, eight substeps. Two steps are asked for."),
    one_a=(walk("ABB"), "The last substep, A, is left out: the second step is B, then A."),
    strang=(
        walk("A", 0.25) @ walk_matrix("BAAB", (0.5, 0.25, 0.25, 0.5)) @ walk_matrix("A", (0.25,)),
        "This is Strang splitting: A for half a step, B, A for half a step. Here nothing is halved.",
    ),
    second_step_half=(
        walk("AB") @ walk_matrix("BA", (0.25, 0.25)),
        "In the second step you took half of the length, 1/4. Both steps are 1/2 long.",
    ),
    other_way_round=(
        walk("ABBA", -0.5),
        "The signs of both substeps are exchanged: yours turns the other way, back in time.",
    ),
    plus_in_b=(
        walk("A") @ walk_matrix("BB", (-0.5, -0.5)) @ walk_matrix("A", (0.5,)),
        "The sign in B is a minus: u_2 ← u_2 − h u_1.",
    ),
    minus_in_a=(
        walk("A", -0.5) @ walk_matrix("BB", (0.5, 0.5)) @ walk_matrix("A", (-0.5,)),
        "The sign in A is a plus: u_1 ← u_1 + h u_2.",
    ),
    third_is_a_sum=(
        torch.stack([walk("ABBA")[0], walk("ABBA")[1], 2 * walk("ABBA")[0] + walk("ABBA")[1]]),
        "The third token is twice the first *minus* the second; you added.",
    ),
    third_is_a_difference=(
        torch.stack([walk("ABBA")[0], walk("ABBA")[1], walk("ABBA")[0] - walk("ABBA")[1]]),
        "The third token is *twice* the first minus the second.",
    ),
    the_river=(
        TOKENS @ torch.linalg.matrix_exp(A + B).T,
        "That is where the river arrives. The scheme arrives beside it.",
    ),
)


@by_hand.law
def linear(answer, generator):
    """The substeps are linear. Where the third token starts at twice the first minus the second, it must arrive
    there."""
    first, second, third = as_tensor(answer(), "arrive")
    return bool((2 * first - second - third).abs().max() < 2e-2)


@by_hand.law
def area(answer, generator):
    """Every substep keeps areas. Your first two tokens span a different area than at the start: look at the signs, and
    whether each substep used the newest numbers."""
    first, second, _ = as_tensor(answer(), "arrive")
    return abs(first[0] * second[1] - first[1] * second[0] - 1).item() < 2e-2


@by_hand.law
def back(answer, generator):
    """The path A, B, B, A is its own mirror image. Walked from the end with h = −1/2 it must lead back to the start;
    yours does not. Write down the point after each substep."""
    u = as_tensor(answer(), "arrive")
    for matrix in (A, B, B, A):
        u = u - 0.5 * u @ matrix.T
    return bool((u - TOKENS).abs().max() < 3e-2)


def check_arrive(arrive) -> None:
    """Check the three tokens of task 6.1."""
    given = three_tokens(arrive, "arrive", 2)
    by_hand.check(lambda: given)


def inputs(generator):
    """Three substeps that are no exact flows and do not commute, u (4, 3), Δt, five steps."""
    maps = draw(generator, 3, 3, 3)
    substeps = [lambda z, h, M=M: z + h * torch.tanh(z @ M) for M in maps]
    for place, substep in enumerate(substeps):
        substep.place = place
    dt = 0.3 + 0.2 * torch.rand((), generator=generator, dtype=torch.float64).item()
    return substeps, draw(generator, 4, 3), dt, 5


turns = Exercise(
    "6.2",
    cell="turns",
    inputs=inputs,
    hints=(
        "Two loops: over the steps, and inside over the substeps. Which of the two decides in what order?",
        "Count the steps from 0: an even one takes the list as it is, an odd one takes it backwards.",
        "substeps[::-1] is a reversed copy. substeps.reverse() reverses the caller's list itself, and returns None.",
    ),
)


def sort_substeps(substeps):
    """The substeps as they were drawn, even where an answer has turned the list round."""
    return sorted(substeps, key=lambda substep: getattr(substep, "place", 0))


def follow(substeps, u, path):
    """u after the substeps i, for h each, of a path of (i, h)."""
    substeps = sort_substeps(substeps)
    for i, h in path:
        u = substeps[i](u, h)
    return u


def make_path(substeps, dt, steps, backward):
    """A path of `steps` steps; backward(k) says whether step k is turned round."""
    there = [(i, dt) for i in range(len(substeps))]
    return [pair for k in range(steps) for pair in (there[::-1] if backward(k) else there)]


def repeat_scheme(name, substeps, u, dt, steps):
    """A scheme of the library in every step."""
    for _ in range(steps):
        u = SCHEMES[name].step(sort_substeps(substeps), u, dt)
    return u


@turns.wrong
def lie(substeps, u, dt, steps):
    """The order never changes: this is Lie splitting. Every second step must be taken backwards."""
    return repeat_scheme("lie", substeps, u, dt, steps)


@turns.wrong
def strang(substeps, u, dt, steps):
    """You take half steps there and back in every step: this is Strang splitting. Here nothing is halved, and the way
    back is the next step."""
    return repeat_scheme("strang", substeps, u, dt, steps)


@turns.wrong
def symmetrised(substeps, u, dt, steps):
    """You take the mean of both orders in every step: symmetrised splitting, at twice the cost. Here a step has one
    order."""
    return repeat_scheme("symmetrised", substeps, u, dt, steps)


@turns.wrong
def additive(substeps, u, dt, steps):
    """All substeps of a step start from the same u: additive splitting. Then there is no order that could change. Each
    substep starts where the last one arrived."""
    return repeat_scheme("additive", substeps, u, dt, steps)


@turns.wrong
def always_backwards(substeps, u, dt, steps):
    """Every step is taken backwards. Only every second one is: check what `k % 2` says, and that it is the step that is
    counted."""
    return follow(substeps, u, make_path(substeps, dt, steps, lambda k: True))


@turns.wrong
def backwards_first(substeps, u, dt, steps):
    """The first step is taken backwards. It goes in the order of the list; the second one is reversed."""
    return follow(substeps, u, make_path(substeps, dt, steps, lambda k: k % 2 == 0))


@turns.wrong
def first_half_there(substeps, u, dt, steps):
    """You take all steps there, and then all steps back. The turn is in every second step."""
    return follow(substeps, u, make_path(substeps, dt, steps, lambda k: k >= steps // 2))


@turns.wrong
def one_term_per_step(substeps, u, dt, steps):
    """In each step only one substep acts, and the terms take turns: each gets a part of the time. In a step each term
    must act for the whole Δt."""
    return follow(substeps, u, [(k % len(substeps), dt) for k in range(steps)])


@turns.wrong
def handed_on(substeps, u, dt, steps):
    """You move the first substep to the end of the list each time: A B C, then B C A. The second step is the mirror
    image: C B A."""
    return follow(substeps, u, [((i + k) % len(substeps), dt) for k in range(steps) for i in range(len(substeps))])


@turns.wrong
def twice_the_time(substeps, u, dt, steps):
    """Each of your steps goes there *and* back, so the river flows for twice the time. There and back are two steps."""
    return follow(substeps, u, make_path(substeps, dt, 2 * steps, lambda k: k % 2))


@turns.wrong
def half_the_time(substeps, u, dt, steps):
    """The order is right, and each substep has half of Δt, as if there and back were one step. Each term acts for Δt in
    each step."""
    return follow(substeps, u, make_path(substeps, dt / 2, steps, lambda k: k % 2))


@turns.wrong
def odd_step_lost(substeps, u, dt, steps):
    """One step is lost where their number is odd: you count pairs. The last step then goes there, and not back."""
    return follow(substeps, u, make_path(substeps, dt, steps - steps % 2, lambda k: k % 2))


@turns.wrong
def merged(substeps, u, dt, steps):
    """You merge two equal substeps into one of 2Δt. That is right for exact substeps only, and these are not: Φ(2Δt) is
    not Φ(Δt)Φ(Δt)."""
    path = []
    for i, h in make_path(substeps, dt, steps, lambda k: k % 2):
        path[-1:] = [(i, 2 * h)] if path and path[-1][0] == i else [*path[-1:], (i, h)]
    return follow(substeps, u, path)


def taken(way):
    """A wrong way from a path: way(number of substeps, dt, steps) → pairs (i, h)."""
    return lambda substeps, u, dt, steps: follow(substeps, u, way(len(substeps), dt, steps))


def there_and_back(n, steps, second=None):
    """The substeps of each step, as lists of numbers; second(k, n) in place of the way back."""
    back = (lambda k, n: range(n)[::-1]) if second is None else second
    return [list(back(k, n)) if k % 2 else list(range(n)) for k in range(steps)]


def velocities(substeps, u, dt, steps):
    """Each substep's result taken for a velocity."""
    for i, h in make_path(substeps, dt, steps, lambda k: k % 2):
        u = u + dt * sort_substeps(substeps)[i](u, h)
    return u


turns.wrong_ways(
    first_step_alone=(
        taken(lambda n, dt, steps: [(i, dt) for i in range(n)]),
        "Only the first step is taken. Does return stand inside of the loop?",
    ),
    one_step_too_many=(
        taken(lambda n, dt, steps: [(i, dt) for row in there_and_back(n, steps + 1) for i in row]),
        "Yours takes steps + 1 steps, one too many.",
    ),
    nothing_moves=(
        lambda substeps, u, dt, steps: u,
        "u comes back as it was at the start: nothing moves it. A substep returns the new field, so write u = "
        "substep(u, dt).",
    ),
    rotated=(
        taken(lambda n, dt, steps: [(i, dt) for row in there_and_back(n, steps, rotate) for i in row]),
        "In every second step the first substep is put last: A B C, then B C A. The list must be reversed, C B A.",
    ),
    rotated_the_other_way=(
        taken(lambda n, dt, steps: [(i, dt) for row in there_and_back(n, steps, rotate_back) for i in row]),
        "In every second step the last substep is put first: A B C, then C A B. The list must be reversed, C B A.",
    ),
    first_two_swapped=(
        taken(lambda n, dt, steps: [(i, dt) for row in there_and_back(n, steps, swap_two) for i in row]),
        "In every second step you swap the first two. The whole list must be reversed, C B A.",
    ),
    two_of_them=(
        taken(lambda n, dt, steps: [(i, dt) for row in there_and_back(2, steps) for i in row]),
        "Yours takes the first two substeps alone. The list may have any number of them: loop over all.",
    ),
    every_third=(
        taken(lambda n, dt, steps: [(i, dt) for k in range(steps) for i in (range(n)[::-1] if k % 3 else range(n))]),
        "Only every third step goes in the order of the list. Every second one does: k % 2.",
    ),
    shared_out=(
        taken(lambda n, dt, steps: [(i, dt / n) for row in there_and_back(n, steps) for i in row]),
        "You divide Δt by the number of substeps. Each of them acts for the whole Δt.",
    ),
    divided_by_steps=(
        taken(lambda n, dt, steps: [(i, dt / steps) for row in there_and_back(n, steps) for i in row]),
        "You divide dt by the number of steps. dt is the length of one step already.",
    ),
    multiplied_by_steps=(
        taken(lambda n, dt, steps: [(i, dt * steps) for row in there_and_back(n, steps) for i in row]),
        "You multiply dt by the number of steps. dt is the length of one step already.",
    ),
    growing=(
        taken(lambda n, dt, steps: [(i, k * dt) for k, row in enumerate(there_and_back(n, steps)) for i in row]),
        "You hand the time k·dt to the substeps. What they want is the length of the step, dt.",
    ),
    last_left_out_on_the_way_back=(
        taken(
            lambda n, dt, steps: [
                (i, dt) for row in there_and_back(n, steps, lambda k, n: range(n - 1)[::-1]) for i in row
            ]
        ),
        "On the way back the last substep of the list is left out. It is taken twice where two steps meet, once "
        "for each.",
    ),
    meeting_ones_once=(
        taken(
            lambda n, dt, steps: [
                (i, dt) for k, row in enumerate(there_and_back(n, steps)) for i in row[1 if k else 0 :]
            ]
        ),
        "Where two steps meet, the substep that stands on both sides is taken once. It belongs to both: take it twice.",
    ),
    merged_in_pairs=(
        taken(lambda n, dt, steps: [pair for _ in range((steps + 1) // 2) for pair in pair_of_steps(n, dt)]),
        "You merge the two that meet into one of 2Δt, and count steps in pairs. Φ(2Δt) is not Φ(Δt)Φ(Δt) for Euler.",
    ),
    a_velocity=(
        velocities,
        "You add dt times what the substep returns, as if that were a velocity. It is the new field already: u "
        "= substep(u, dt).",
    ),
)


def rotate(k, n):
    return [*range(1, n), 0]


def rotate_back(k, n):
    return [n - 1, *range(n - 1)]


def swap_two(k, n):
    return [1, 0, *range(2, n)]


def pair_of_steps(n, dt):
    """Two steps, the substep in the middle once, for 2 dt."""
    there = [(i, dt) for i in range(n - 1)]
    return [*there, (n - 1, 2 * dt), *there[::-1]]


def watch_substeps(answer, n, steps, dt=0.25):
    """Which substeps were taken, as (i, h), in their order."""
    seen: list[tuple[int, float]] = []

    def substep(i):
        def move(u, h):
            seen.append((i, float(h)))
            return u + h

        return move

    end = as_tensor(answer([substep(i) for i in range(n)], torch.zeros(2, dtype=torch.float64), dt, steps), "turns")
    return seen, end


@turns.law
def time(answer, generator):
    """In each step each term acts for Δt. With the terms u' = 1 the result must grow by Δt for each of them and each
    step."""
    _, end = watch_substeps(answer, 3, 4)
    right = end.shape == (2,) and bool((end - 3.0).abs().max() < 1e-6)
    return right or f"Three terms, 4 steps of 1/4: yours gives {end.tolist()}."


@turns.law
def count(answer, generator):
    """In n steps each substep is taken n times, for Δt each."""
    for n, steps in ((2, 4), (3, 5)):
        seen, _ = watch_substeps(answer, n, steps)
        if sorted(i for i, _ in seen) != sorted(list(range(n)) * steps) or any(abs(h - 0.25) > 1e-6 for _, h in seen):
            return f"With {n} terms and {steps} steps of 0.25 yours takes (term, h): {seen[:6]} …"
    return True


@turns.law
def first_step(answer, generator):
    """The first step takes the substeps in the order of the list."""
    return [i for i, _ in watch_substeps(answer, 4, 3)[0]][:4] == [0, 1, 2, 3]


@turns.law
def turn(answer, generator):
    """Where two steps meet, the same substep stands on both sides: the last one of a step is the first one of the
    next."""
    seen = [i for i, _ in watch_substeps(answer, 4, 5)[0]]
    return all(seen[4 * k - 1] == seen[4 * k] for k in range(1, 5)) or f"Yours takes {seen[:8]} …"


@turns.law
def mirror(answer, generator):
    """Two steps are a mirror image of themselves."""
    seen = [i for i, _ in watch_substeps(answer, 4, 2)[0]]
    return seen == seen[::-1] or f"Yours takes {seen}."


def matrices(generator):
    """A, B (2, 2) that do not commute, u (2,), steps, a kind of substep."""
    return *0.7 * draw(generator, 2, 2, 2), 1 + torch.rand(2, generator=generator, dtype=torch.float64), 5, "exact"


error = Exercise(
    "6.3",
    cell="turns-error",
    inputs=matrices,
    tol=1e-9,
    hints=(
        "Make two functions (v, h) ↦ Φ(h) v, one for A and one for B, and give them to your turns in a list.",
        "The step is 1/steps. The truth is torch.linalg.matrix_exp(A + B) @ u. The distance is the norm of the "
        "difference.",
        "torch.exp takes e to the power of each entry. The exponential of a matrix is torch.linalg.matrix_exp.",
    ),
)


def flows(*maps):
    """The exact substep of each matrix: v ↦ e^{hM} v."""
    return [lambda v, h, M=M: torch.linalg.matrix_exp(h * M) @ v for M in maps]


def miss(end, P, Q, u):
    """|end − e^(P+Q) u|."""
    return (end - torch.linalg.matrix_exp(P + Q) @ u).norm()


@error.wrong
def lie_error(P, Q, u, n, kind):
    """This is the error of Lie splitting. Is it your turns that takes the steps?"""
    return miss(repeat_scheme("lie", flows(P, Q), u, 1 / n, n), P, Q, u)


@error.wrong
def strang_error(P, Q, u, n, kind):
    """This is the error of Strang splitting. Is it your turns that takes the steps?"""
    return miss(repeat_scheme("strang", flows(P, Q), u, 1 / n, n), P, Q, u)


@error.wrong
def b_first(P, Q, u, n, kind):
    """B is the first in your list, and A the second."""
    return miss(follow(flows(Q, P), u, make_path([P, Q], 1 / n, n, lambda k: k % 2)), P, Q, u)


@error.wrong
def product(P, Q, u, n, kind):
    """You compare with e^B e^A u. Together the terms flow as e^(A+B), and that is not the product where AB ≠ BA: the
    difference is what splitting costs."""
    end = follow(flows(P, Q), u, make_path([P, Q], 1 / n, n, lambda k: k % 2))
    return (end - torch.linalg.matrix_exp(Q) @ torch.linalg.matrix_exp(P) @ u).norm()


def ask_error(answer, *args):
    """One number, not below 0."""
    value = as_tensor(answer(*args), "turns_error")
    if value.ndim or not value.isfinite() or value < 0:
        raise CheckFailed(f"turns_error must return one number, not below 0; got {value.tolist()}")
    return value.item()


KINDS = {
    "exact": lambda M: lambda v, h: torch.linalg.matrix_exp(h * M) @ v,
    "euler": lambda M: lambda v, h: v + h * (M @ v),
    "midpoint": lambda M: lambda v, h: v + h * (M @ (v + h / 2 * (M @ v))),
}


def reach(P, Q, u, n, way, steps=None, dt=None):
    """Where taking turns leads with some substeps."""
    steps, dt = n if steps is None else steps, 1 / n if dt is None else dt
    return follow([way(P), way(Q)], u, make_path([P, Q], dt, steps, lambda k: k % 2))


def measured(measure, P, Q, u, n, kind, **other):
    """measure(u_N − e^(P+Q) u), with something else in the steps."""
    return measure(reach(P, Q, u, n, KINDS[kind], **other) - torch.linalg.matrix_exp(P + Q) @ u)


def length(z):
    return z.norm()


error.wrong_ways(
    square=(
        lambda P, Q, u, n, kind: measured(lambda z: z.square().sum(), P, Q, u, n, kind),
        "This is the square of the distance: its root is missing.",
    ),
    largest=(
        lambda P, Q, u, n, kind: measured(lambda z: z.abs().max(), P, Q, u, n, kind),
        "This is the largest difference of a feature. The distance is the length of the vector: norm.",
    ),
    sum_of_sizes=(
        lambda P, Q, u, n, kind: measured(lambda z: z.abs().sum(), P, Q, u, n, kind),
        "This is the sum of the absolute differences. The distance is the length of the vector: norm.",
    ),
    root_mean_square=(
        lambda P, Q, u, n, kind: measured(lambda z: z.square().mean().sqrt(), P, Q, u, n, kind),
        "This is the root of the mean square. The distance is the length of the vector: norm.",
    ),
    relative=(
        lambda P, Q, u, n, kind: measured(length, P, Q, u, n, kind) / u.norm(),
        "This is the distance divided by |u|. Nothing is divided: the length of the difference is asked for.",
    ),
    relative_to_the_truth=(
        lambda P, Q, u, n, kind: measured(length, P, Q, u, n, kind) / (torch.linalg.matrix_exp(P + Q) @ u).norm(),
        "This is a relative error. Nothing is divided: the length of the difference is asked for.",
    ),
    no_truth=(
        lambda P, Q, u, n, kind: reach(P, Q, u, n, KINDS[kind]).norm(),
        "This is the length of u_N itself: the truth e^(A+B) u is not subtracted.",
    ),
    long_steps=(
        lambda P, Q, u, n, kind: measured(length, P, Q, u, n, kind, dt=1.0),
        "Your steps have Δt = 1. N steps lead to t = 1 with Δt = 1/N.",
    ),
    half_of_the_steps=(
        lambda P, Q, u, n, kind: measured(length, P, Q, u, n, kind, steps=n // 2),
        "Yours takes half of the steps: it does not reach t = 1.",
    ),
    one_step_too_few=(
        lambda P, Q, u, n, kind: measured(length, P, Q, u, n, kind, steps=n - 1),
        "Yours takes N − 1 steps, one too few to reach t = 1.",
    ),
    truth_after_one_step=(
        lambda P, Q, u, n, kind: (reach(P, Q, u, n, KINDS[kind]) - torch.linalg.matrix_exp((P + Q) / n) @ u).norm(),
        "You compare with the river after one step, e^((A+B)/N) u. The truth is at t = 1: e^(A+B) u.",
    ),
    other_product=(
        lambda P, Q, u, n, kind: (
            reach(P, Q, u, n, KINDS[kind]) - torch.linalg.matrix_exp(P) @ torch.linalg.matrix_exp(Q) @ u
        ).norm(),
        "You compare with e^A e^B u. Together the terms flow as e^(A+B), and that is no product where AB ≠ BA.",
    ),
    euler_for_exact=(
        lambda P, Q, u, n, kind: measured(length, P, Q, u, n, "euler"),
        "For 'exact' you take Euler's substep. Exact is e^{hA} u: torch.linalg.matrix_exp(h * A) @ u.",
    ),
    midpoint_for_exact=(
        lambda P, Q, u, n, kind: measured(length, P, Q, u, n, "midpoint"),
        "For 'exact' you take the midpoint substep. Exact is e^{hA} u: torch.linalg.matrix_exp(h * A) @ u.",
    ),
    exp_of_the_entries=(
        lambda P, Q, u, n, kind: (
            reach(P, Q, u, n, lambda M: lambda v, h: torch.exp(h * M) @ v) - torch.linalg.matrix_exp(P + Q) @ u
        ).norm(),
        "You take e to the power of each entry, torch.exp. The exponential of a matrix is torch.linalg.matrix_exp.",
    ),
    matrix_from_the_right=(
        lambda P, Q, u, n, kind: (reach(P.T, Q.T, u, n, KINDS[kind]) - torch.linalg.matrix_exp(P + Q) @ u).norm(),
        "The matrices act from the wrong side, u @ A: that is the transpose at work. Write A @ u.",
    ),
    both_in_one=(
        lambda P, Q, u, n, kind: 0 * u.norm(),
        "Yours has no error at all: A + B acts as one substep, so nothing is split. Give turns the two, A and B.",
    ),
)


def known_substeps(kind):
    """Wrong substeps for a kind: what they are called, and the substep."""
    return {
        "Yours is the exact one, e^{hA} u, whatever `substep` says.": KINDS["exact"],
        "Yours is Euler's, u + h A u.": KINDS["euler"],
        "Yours is the midpoint rule's.": KINDS["midpoint"],
        "In yours the inner step has the length h, and must have h/2.": lambda M: (
            lambda v, h: v + h * (M @ (v + h * (M @ v)))
        ),
        "In yours the matrix acts from the wrong side, v @ M: write M @ v.": lambda M: lambda v, h: v + h * (v @ M),
        "In yours h is missing in the inner step.": lambda M: lambda v, h: v + h * (M @ (v + (M @ v) / 2)),
        "In yours the inner place is h/2 A u, without u.": lambda M: lambda v, h: v + h * (M @ (h / 2 * (M @ v))),
        "In yours u + is missing.": lambda M: lambda v, h: h * (M @ v),
        "In yours the matrix h A is added, and not h A u: write M @ v.": lambda M: lambda v, h: v + h * M,
    }


def of_kind(answer, generator, kind):
    """Whether the substep of a kind is right; else what it is, if it is known."""
    P, Q, u, n, _ = matrices(generator)
    got = as_tensor(answer(P, Q, u, n, kind), "turns_error")
    if near_number(got, measured(length, P, Q, u, n, kind)):
        return True
    for said, way in known_substeps(kind).items():
        end = reach(P, Q, u, n, way)
        if near_number(got, (end - (torch.linalg.matrix_exp(P + Q) @ u)).norm()):
            return said
    return False


def near_number(a, b):
    return a.numel() == 1 and abs(a.item() - b.item()) < 1e-5 * max(1.0, abs(b.item()))


@error.law
def euler_substep(answer, generator):
    """With substep = "euler" each term is advanced by u + h A u. Yours is another one."""
    return of_kind(answer, generator, "euler")


@error.law
def midpoint_substep(answer, generator):
    """With substep = "midpoint" each term is advanced by u + h A (u + h/2 A u). Yours is another one."""
    return of_kind(answer, generator, "midpoint")


@error.law
def nothing_moves(answer, generator):
    """Where A and B are 0 nothing moves, so the error must be 0. Is it the exponential of a matrix,
    torch.linalg.matrix_exp, that you take?"""
    none = torch.zeros(2, 2, dtype=torch.float64)
    u = torch.ones(2, dtype=torch.float64)
    return all(ask_error(answer, none, none, u, 4, kind) < 1e-5 for kind in ("exact", "euler", "midpoint"))


@error.law
def commuting(answer, generator):
    """Where AB = BA, splitting with exact substeps makes no error. Do the steps end at t = 1?"""
    P, _, u, _, _ = matrices(generator)
    got = ask_error(answer, P, 2 * P @ P - P, u, 6, "exact")
    return got < 1e-5 or f"Yours is {got:.1e}."


@error.law
def one_step(answer, generator):
    """One step is a Lie step, whose error is known: the length of e^B e^A u − e^(A+B) u."""
    P, Q, u, _, _ = matrices(generator)
    must = miss(torch.linalg.matrix_exp(Q) @ torch.linalg.matrix_exp(P) @ u, P, Q, u).item()
    got = ask_error(answer, P, Q, u, 1, "exact")
    return abs(got - must) < 1e-5 or f"It is {must:.4f} here, yours says {got:.4f}."


def fall(answer, kind, rate):
    """Whether twice as many steps with this kind of substep make the error 2^rate times smaller."""
    turn, fade = torch.tensor([[[0.0, 2.0], [-2.0, 0.0]], [[0.0, 0.0], [0.0, -1.0]]], dtype=torch.float64)
    u = torch.tensor([1.0, 0.5], dtype=torch.float64)
    coarse, fine = (ask_error(answer, turn, fade, u, n, kind) for n in (32, 64))
    ratio = coarse / max(fine, 1e-300)
    why = " Is it Δt = 1/steps, and the truth e^(A+B) u?" if ratio < 1.3 else f" Do you look at substep = {kind!r}?"
    return abs(ratio / 2**rate - 1) < 0.15 or f"From 32 to 64 steps yours is divided by {ratio:.2f}.{why}"


@error.law
def order_exact(answer, generator):
    """With exact substeps the error must be divided by about 4 for twice as many steps."""
    return fall(answer, "exact", 2)


@error.law
def order_euler(answer, generator):
    """With euler substeps the error must be divided by about 2 for twice as many steps."""
    return fall(answer, "euler", 1)


@error.law
def order_midpoint(answer, generator):
    """With midpoint substeps the error must be divided by about 4 for twice as many steps."""
    return fall(answer, "midpoint", 2)
