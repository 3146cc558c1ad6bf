"""Assignment 02: Simpson's rule on tokens that stand where they like.

The weights of the assignment integrate 1, x and x² exactly on each panel of three tokens. What is written here are the
ways in which that goes wrong, and laws that a right answer obeys.
"""

import math

import torch

from flowlib.checks.compare import as_tensor
from flowlib.checks.exercises import Exercise, three_numbers
from flowlib.fields import Grid

by_hand = Exercise(
    "2.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=6e-3,
    hints=(
        "Three equations for three numbers: what do the weights give for 1, for x and for x², and what must it be?",
        "w0 + w1 + w2 = 3, w1 + 3 w2 = 9/2, and for x²: w1 + 9 w2 = 9.",
        "Take the second equation from the third: 6 w2 = 9/2.",
    ),
)
by_hand.wrong_numbers(
    trapezoid=(
        [0.5, 1.5, 1.0],
        "These are the trapezoidal weights, half the gap on either side. They are exact for 1 and x; for x² they give "
        "10.5, and it must be 9.",
    ),
    equal_gaps=(
        [0.5, 2.0, 0.5],
        "These are Simpson's weights for equal gaps. The middle token stands at 1, not at 1.5: for x you get 3.5, and "
        "it must be 4.5.",
    ),
    all_alike=(
        [1.0, 1.0, 1.0],
        "All tokens have the same weight here. That is right for the field 1, and for x it gives 4 in place of 4.5.",
    ),
    mirrored=([0.75, 2.25, 0.0], "These are the weights of tokens at 0, 2, 3: yours come in reverse order."),
    mean=(
        [0.0, 0.75, 0.25],
        "These sum to 1. Weights have the unit of dx: they sum to the length of the river, 3.",
    ),
    second_and_third_swapped=(
        [0.0, 0.75, 2.25],
        "The second and the third weight have changed places: look at the order.",
    ),
    left_ends=(
        [1.0, 2.0, 0.0],
        "Each token has the gap to its right: rectangles, exact for the field 1 alone. For x they give 2 in "
        "place of 4.5.",
    ),
    right_ends=(
        [0.0, 1.0, 2.0],
        "Each token has the gap to its left: rectangles, exact for the field 1 alone. For x they give 7 in "
        "place of 4.5.",
    ),
    one_four_one=(
        [1.0, 4.0, 1.0],
        "1, 4, 1 is the pattern for equal gaps, and its factor h/3 is missing. Here the gaps are 1 and 2.",
    ),
    one_four_one_thirds=(
        [1 / 3, 4 / 3, 1 / 3],
        "This is 1/3 · (1, 4, 1), for equal gaps of 1. Here the gaps are 1 and 2.",
    ),
    two_thirds=([2 / 3, 8 / 3, 2 / 3], "This is 2/3 · (1, 4, 1), for equal gaps of 2. Here the gaps are 1 and 2."),
    four_times=([0.0, 9.0, 3.0], "These are four times the weights: was the factor 1/4 lost? They must sum to 3."),
    twice=([0.0, 4.5, 1.5], "These are twice the weights: they sum to 6 and must sum to 3."),
    rounded_down=(
        [0.0, 2.0, 0.0],
        "These are whole numbers: // divides and rounds down. Write 9 / 4 and 3 / 4.",
    ),
    gaps=([1.0, 1.0, 2.0], "These are gaps. For the field 1 the weights must give 3, for x 4.5 and for x² 9."),
    powers_without_their_divisor=(
        [6.0, -9.0, 6.0],
        "You asked for x = 9 and x² = 27: the integral of x is x²/2 and that of x² is x³/3, so 9/2 and 9.",
    ),
    half_length=(
        [0.5, 1.0, 0.5],
        "These sum to 2, and the river is 3 long. The pattern (1, 2, 1) or (1, 4, 1) is for equal gaps.",
    ),
    first_and_last=(
        [1.5, 0.0, 1.5],
        "The middle token has no share. Ends alone are exact for 1 and x, but for x² they give 13.5 in place of 9.",
    ),
)


def by_hand_integral(answer, k, must):
    """Whether the three weights give `must` for the field x^k."""
    came = (as_tensor(answer(), "weights") * torch.tensor([0.0, 1, 3]).double() ** k).sum().item()
    return abs(came - must) < 0.02 * 3**k or f"Yours give {came:.4g}."


@by_hand.law
def constant_by_hand(answer, generator):
    """For the field 1 the weights must give the length of the river, 3."""
    return by_hand_integral(answer, 0, 3.0)


@by_hand.law
def line_by_hand(answer, generator):
    """For the field x they must give 9/2."""
    return by_hand_integral(answer, 1, 4.5)


@by_hand.law
def parabola_by_hand(answer, generator):
    """For the field x² they must give 9."""
    return by_hand_integral(answer, 2, 9.0)


def check_by_hand(weights) -> None:
    """Check the three weights of task 2.1."""
    given = three_numbers(weights, "weights")
    by_hand.check(lambda: given)


def inputs(generator):
    """Nine points with uneven gaps; the second one is three times as long as the first."""
    gaps = torch.rand(8, generator=generator, dtype=torch.float64) + 0.4
    gaps[1] = 3 * gaps[0]
    start = torch.randn((), generator=generator, dtype=torch.float64)
    return (start + torch.cat([gaps.new_zeros(1), gaps.cumsum(0)]),)


rule = Exercise(
    "2.2",
    tensor=True,
    cell="simpson-weights",
    inputs=inputs,
    hints=(
        "First the weights of one panel, as a function of its two gaps. Then a loop over panels: 0, 2, 4, …",
        "With z = x − x0 the panel's equations have the rows (1, 1, 1), z, z² and the right sides H, H²/2, H³/3, where "
        "H is the length of the panel.",
        "Start with zeros and add: weights[i : i + 3] += …, for i = 0, 2, 4, …, n − 3.",
    ),
)


def panels(x, weigh, stride=2, add=True):
    """Weights from weigh(first gap, second gap) on each panel."""
    w = torch.zeros_like(x)
    for i in range(0, len(x) - 2, stride):
        of_panel = torch.stack(weigh(x[i + 1] - x[i], x[i + 2] - x[i + 1]))
        w[i : i + 3] = (w[i : i + 3] if add else 0) + of_panel
    return w


def equal_gaps(a, b):
    """H/6 · (1, 4, 1), whatever the gaps are."""
    return (a + b) / 6, 4 * (a + b) / 6, (a + b) / 6


def swap_gaps(a, b):
    """The weights of a panel whose gaps have changed places."""
    H = a + b
    return H / 6 * (2 - a / b), H**3 / (6 * a * b), H / 6 * (2 - b / a)


def mirror(a, b):
    """The panel from its other end: the weights in the other order, for the gaps in the other order."""
    return tuple(reversed(swap_gaps(a, b)))


@rule.wrong
def trapezoid(x):
    """These are the trapezoidal weights, half the gap on either side: exact for straight lines only. A parabola needs
    all three tokens of a panel at once."""
    return panels(x, lambda a, b: (a / 2, (a + b) / 2, b / 2))


@rule.wrong
def equal_gaps_in_a_panel(x):
    """Your panel is H/6 · (1, 4, 1), which is right for equal gaps only. Solve the three equations with the gaps as
    they are."""
    return panels(x, equal_gaps)


@rule.wrong
def textbook(x):
    """These are h/3 · (1, 4, 2, …, 4, 1) with one h for all: the textbook's rule, for equal spacing. Here the gaps
    differ."""
    return pattern(x, 4.0, 2.0)


def pattern(x, odd, inner, end=1.0):
    """h/3 · (end, odd, inner, odd, …, end), with one h for all."""
    w = torch.full_like(x, inner)
    w[1::2] = odd
    w[0] = w[-1] = end
    return w * (x[-1] - x[0]) / (len(x) - 1) / 3


@rule.wrong
def four_and_two_swapped(x):
    """The middle of each panel must weigh most. You gave the 4 to the points between two panels, and you took one
    spacing for all."""
    return pattern(x, 2.0, 4.0)


@rule.wrong
def gaps_swapped(x):
    """The two gaps of each panel have changed places. If the second gap is the longer one, it is the *last* token that
    must count more."""
    return panels(x, swap_gaps)


@rule.wrong
def overwritten(x):
    """A point between two panels belongs to both. Yours has the weight of the later one only: add (+=), do not
    assign."""
    return panels(x, mirror, add=False)


@rule.wrong
def overlapping_panels(x):
    """Your panels begin at every point, so nearly every stretch is counted twice. The next panel begins where the last
    one ends: 0, 2, 4, …"""
    return panels(x, mirror, stride=1)


@rule.wrong
def sums_to_one(x):
    """Your weights sum to 1, so they give the mean of the field. Weights have the unit of dx and sum to the length of
    the domain."""
    return panels(x, mirror) / (x[-1] - x[0])


@rule.wrong
def factor_3(x):
    """All weights are three times too large: for the field 1 they must give the length of the domain."""
    return panels(x, mirror) * 3


@rule.wrong
def factor_2(x):
    """All weights are twice as large as they must be: for the field 1 they must give the length of the domain."""
    return panels(x, mirror) * 2


@rule.wrong
def no_negative_weights(x):
    """You set negative weights to 0. The requirement can lead to them, and then they belong to the rule: 2.5
    asks what to think of that."""
    return panels(x, mirror).clamp(min=0)


@rule.wrong
def alike(x):
    """All your weights are equal. That is a mean of the readings, which knows nothing about the gaps."""
    return torch.full_like(x, ((x[-1] - x[0]) / len(x)).item())


@rule.wrong
def one_panel_only(x):
    """Only the first panel has weights. Go on with the next one, from x2 to x4."""
    w = torch.zeros_like(x)
    w[:3] = panels(x[:3], mirror)
    return w


def solve_panels(x, matrix, right):
    """Weights of each panel from three equations, which matrix(z) and right(H) give; z from 0 to H."""

    def weigh(a, b):
        z = torch.stack([0 * a, a, a + b])
        return tuple(torch.linalg.solve(matrix(z), torch.stack(right(a + b))))

    return panels(x, weigh)


def rows(z):
    return torch.stack([z**0, z, z**2])


def one_polynomial(x):
    """The weights of the one polynomial through all points."""
    z = (x - x[0]) / (x[-1] - x[0])
    n = len(x)
    powers = torch.stack([z**k for k in range(n)])
    integrals = torch.tensor([1 / (k + 1) for k in range(n)], dtype=x.dtype)
    return torch.linalg.solve(powers, integrals) * (x[-1] - x[0])


def middle(a, b, factor):
    """A panel whose middle weight is multiplied."""
    first, between, last = mirror(a, b)
    return first, between * factor(a, b), last


def first_alone(x):
    """Points between two panels keep what the earlier one gave them."""
    w = panels(x, mirror)
    w[2:-1:2] = torch.stack([mirror(x[i + 1] - x[i], x[i + 2] - x[i + 1])[2] for i in range(0, len(x) - 3, 2)])
    return w


rule.wrong_ways(
    earlier_panel_alone=(
        first_alone,
        "A point between two panels belongs to both. Yours has the weight of the earlier one only: add (+=), do not "
        "assign.",
    ),
    middle_of_equal_gaps=(
        lambda x: panels(x, lambda a, b: middle(a, b, lambda a, b: 4 * a * b / (a + b) ** 2)),
        "The middle weight of your panels is 4H/6, which is right for equal gaps only: it is H³/(6ab) with the "
        "gaps a, b.",
    ),
    middle_divided_by_H=(
        lambda x: panels(x, lambda a, b: middle(a, b, lambda a, b: 1 / (a + b))),
        "The middle weight of your panels lacks a factor H: it is H³/(6ab), a length.",
    ),
    ends_twice=(
        lambda x: panels(x, lambda a, b: tuple(w * f for w, f in zip(mirror(a, b), (2, 1, 2)))),
        "The end weights of your panels are twice as large as they must be: H/6 is their factor, not H/3.",
    ),
    first_sign=(
        lambda x: panels(x, lambda a, b: tuple(w * f for w, f in zip(mirror(a, b), (-1, 1, 1)))),
        "The first weight of each of your panels has the wrong sign: look for a minus.",
    ),
    last_sign=(
        lambda x: panels(x, lambda a, b: tuple(w * f for w, f in zip(mirror(a, b), (1, 1, -1)))),
        "The last weight of each of your panels has the wrong sign: look for a minus.",
    ),
    negative_first_gap=(
        lambda x: panels(x, lambda a, b: mirror(-a, b)),
        "The first gap of each of your panels has the wrong sign: it is x1 − x0, above 0.",
    ),
    negative_second_gap=(
        lambda x: panels(x, lambda a, b: mirror(a, -b)),
        "The second gap of each of your panels has the wrong sign: it is x2 − x1, above 0.",
    ),
    no_divisors=(
        lambda x: solve_panels(x, rows, lambda H: (H, H**2, H**3)),
        "Your equations have the right sides H, H², H³. The integral of z is H²/2 and that of z² is H³/3.",
    ),
    transposed_equations=(
        lambda x: solve_panels(x, lambda z: rows(z).mT, lambda H: (H, H**2 / 2, H**3 / 3)),
        "The matrix of your equations is transposed: there is one row for each of 1, x, x², and one column for "
        "each token.",
    ),
    transposed_equations_at_their_places=(
        lambda x: torch.cat([transposed_at(x, i) for i in (0,)]),
        "The matrix of your equations is transposed: there is one row for each of 1, x, x², and one column for "
        "each token.",
    ),
    last_panel_left_out=(
        lambda x: torch.cat([panels(x[:-2], mirror), x.new_zeros(2)]),
        "The last panel is left out: the last one begins at n − 3.",
    ),
    first_panel_left_out=(
        lambda x: torch.cat([x.new_zeros(2), panels(x[2:], mirror)]),
        "The first panel is left out: the first one begins at 0.",
    ),
    one_polynomial_through_all=(
        one_polynomial,
        "This integrates one polynomial through all points. Simpson's rule takes a parabola in each panel of three.",
    ),
    times_n=(
        lambda x: panels(x, mirror) * len(x),
        "All weights are n times too large: for the field 1 they must sum to the length of the domain.",
    ),
    negative=(lambda x: -panels(x, mirror), "Every sign is the other way round: is a gap x0 − x1 in place of x1 − x0?"),
    textbook_on_the_unit_interval=(
        lambda x: pattern(x, 4.0, 2.0) / (x[-1] - x[0]),
        "This is the textbook's rule with h = 1/(n − 1), for equal gaps on [0, 1]. Here the points are where x says.",
    ),
    trapezoid_on_the_unit_interval=(
        lambda x: Grid.uniform(len(x), "trapezoid").weights,
        "These are the trapezoidal weights of equal gaps on [0, 1], whatever the points x are.",
    ),
    backwards=(
        lambda x: panels(x, mirror).flip(0),
        "Your weights come in reverse order: the last point has the first weight.",
    ),
)


def transposed_at(x, start):
    """Panels with the transposed equations, x measured from 0 and not from the panel's first point."""
    w = torch.zeros_like(x)
    for i in range(start, len(x) - 2, 2):
        t = x[i : i + 3]
        right = torch.stack([(t[2] ** (k + 1) - t[0] ** (k + 1)) / (k + 1) for k in range(3)])
        w[i : i + 3] += torch.linalg.solve(rows(t).mT, right)
    return w


@rule.law
def shape(answer, generator):
    """There must be one weight for each point."""
    (x,) = inputs(generator)
    shape = tuple(as_tensor(answer(x), "the weights").shape)
    return shape == (9,) or f"For 9 points yours has the shape {shape}."


def power_integral(answer, generator, k):
    """Whether the answer's weights integrate z^k exactly, z from 0 at the first point."""
    (x,) = inputs(generator)
    z = x - x[0]  # 0 … H
    came = (as_tensor(answer(x), "the weights") * z**k).sum().item()
    must = z[-1].item() ** (k + 1) / (k + 1)
    said = f"With x measured from the first point, yours give {came:.5g} and not {must:.5g}."
    return abs(came - must) < 1e-6 * max(1, must) or said


@rule.law
def constant(answer, generator):
    """The field 1 must be integrated exactly: the weights sum to the length of the domain."""
    return power_integral(answer, generator, 0)


@rule.law
def line(answer, generator):
    """The field x must be integrated exactly."""
    return power_integral(answer, generator, 1)


@rule.law
def parabola(answer, generator):
    """The field x² must be integrated exactly."""
    return power_integral(answer, generator, 2)


@rule.law
def one_panel(answer, generator):
    """On one panel, three tokens with two different gaps, x² must be integrated exactly."""
    (x,) = inputs(generator)
    z = x[2:5] - x[2]
    must = z[-1].item() ** 3 / 3
    came = (as_tensor(answer(z), "the weights") * z**2).sum().item()
    return abs(came - must) < 1e-6 * max(1, must)


@rule.law
def panels_add_up(answer, generator):
    """The rule on nine points must be that on the first five and that on the last five, added up."""
    (x,) = inputs(generator)
    whole, left, right = (as_tensor(answer(z), "the weights") for z in (x, x[:5], x[4:]))
    both = torch.cat([left, right[1:]])
    both[4] += right[0]
    return bool((whole - both).abs().max() < 1e-6)


@rule.law
def even_number(answer, generator):
    """An even number of points cannot be cut into panels of three, and one point is no panel: raise a ValueError
    there."""
    (x,) = inputs(generator)
    for n in (8, 4, 2, 1):
        try:
            answer(x[:n])
        except Exception as error:  # from the grader's side of the line it has another type, and says its kind
            kind = getattr(error, "kind", type(error).__name__)
            if kind != "ValueError":
                return f"With {n} points yours raises a {kind}."
        else:
            return f"With {n} points yours returns weights."
    return True


def smooth(x):
    """e^{3x/2}, with the integral SMOOTH."""
    return torch.exp(1.5 * x)


SMOOTH = (math.exp(1.5) - 1) / 1.5
MIDPOINT, SIMPSON = "midpoint", "simpson"
error = Exercise(
    "2.3",
    cell="rule-error",
    inputs=lambda generator: (
        SIMPSON,
        9,
        lambda x: (3 * x).cos(),
        torch.rand((), generator=generator, dtype=torch.float64).item(),
    ),
    hints=(
        "Make points and weights for each rule. Then the rest is one line: the weighted sum of f(x), less exact.",
        "Simpson's points: torch.linspace(0, 1, n, dtype=torch.float64). Midpoint's: Grid.uniform(n).",
        "abs((weights * f(x)).sum().item() - exact)",
    ),
)


@error.wrong
def trapezoid_error(rule, n, f, exact):
    """With the rule 'simpson' this is the error of the trapezoidal rule: use your weights."""
    return abs(Grid.uniform(n, "trapezoid").integrate(f).item() - exact)


@error.wrong
def midpoint_always(rule, n, f, exact):
    """With the rule 'simpson' this is the midpoint rule's error: look at the argument rule."""
    return abs(Grid.uniform(n).integrate(f).item() - exact)


@error.wrong
def plain_mean(rule, n, f, exact):
    """You take the plain mean of the readings. Use your weights."""
    return abs(f(Grid.uniform(n, "trapezoid").x).mean().item() - exact)


def places_and_weights(answer, rule, n):
    """Where the answer asks f, and with what weights."""
    places = []

    def note(x):
        places.append(as_tensor(x, "x"))
        return torch.zeros_like(x)

    answer(rule, n, note, 100.0)
    far = 1000.0
    one = torch.eye(places[0].numel(), dtype=torch.float64)
    return places[0], [far - float(answer(rule, n, lambda x, e=e: e.to(x.dtype), far)) for e in one]


def name_points(x, n):
    """What the points are, in words; "" for other ones."""
    k = torch.arange(n, dtype=torch.float64)
    known = {
        "They are left ends of cells, and a cell's reading is taken in its middle.": k / n,
        "They are right ends of cells, and a cell's reading is taken in its middle.": (k + 1) / n,
        "They are middles of cells, without the ends 0 and 1.": (k + 0.5) / n,
        "They have equal spacing from 0 to 1, both ends included, as for Simpson's rule.": k / (n - 1),
        "They are Gauss points.": Grid.gauss(n).x,
    }
    if len(x) != n:
        return f"They are {len(x)}, and n = {n}."
    return next((said for said, points in known.items() if (x - points).abs().max() < 1e-5), "")


def simpson_sum(f, way=lambda weights, x, f: (weights * f(x)).sum(), n=9):
    """What Simpson's points and weights make of f."""
    x = torch.linspace(0, 1, n, dtype=torch.float64)
    return way(pattern(x, 4.0, 2.0), x, f).item()


error.wrong_ways(
    sum_is_a_mean=(
        lambda rule, n, f, exact: abs(simpson_sum(f, lambda w, x, f: (w * f(x)).mean(), n) - exact),
        "You take the mean of w · f. The weights sum to 1 already: take the sum.",
    ),
    square=(
        lambda rule, n, f, exact: (simpson_sum(f, n=n) - exact) ** 2,
        "This is the square of the error; its absolute value is asked for.",
    ),
    relative=(
        lambda rule, n, f, exact: abs(simpson_sum(f, n=n) - exact) / abs(exact),
        "This is a relative error: nothing is divided by exact.",
    ),
    no_truth=(
        lambda rule, n, f, exact: abs(simpson_sum(f, n=n)),
        "This is the integral itself: exact is not subtracted.",
    ),
)


@error.law
def the_integral_itself(answer, generator):
    """The error is the distance from exact: if exact is moved far away, the error must be about as large."""
    values = [float(as_tensor(answer(r, 9, smooth, SMOOTH - 100), "the error")) for r in (MIDPOINT, SIMPSON)]
    said = {
        "That is a relative error: nothing is divided by exact.": 100 / abs(SMOOTH - 100),
        "That is the square of the error.": 1e4,
        "That is the integral itself: exact is not subtracted.": SMOOTH,
    }
    known = next((words for words, v in said.items() if abs(v - values[1]) < 0.01 * v), "")
    return (
        all(abs(v - 100) < 1 for v in values) or f"Moved by 100, yours is {values[0]:.4g} and {values[1]:.4g}. {known}"
    )


@error.law
def absolute(answer, generator):
    """The error is an absolute value, never below 0."""
    return all(float(answer(r, 9, smooth, SMOOTH + d)) >= 0 for r in (MIDPOINT, SIMPSON) for d in (-1, 1))


@error.law
def simpson_points(answer, generator):
    """Simpson's rule takes n points with equal spacing from 0 to 1, both ends included, in float64."""
    x, _ = places_and_weights(answer, SIMPSON, 11)
    must = torch.arange(11).double() / 10
    if len(x) == 11 and (x - must).abs().max() < 1e-5:
        return (
            bool((x - must).abs().max() < 1e-12) or "Yours are in single precision, float32: say dtype=torch.float64."
        )
    return f"Yours are others. {name_points(x, 11)}".rstrip()


@error.law
def midpoint_points(answer, generator):
    """The midpoint rule takes the middles of n cells of equal length."""
    x, _ = places_and_weights(answer, MIDPOINT, 11)
    right = len(x) == 11 and bool((x - (torch.arange(11).double() + 0.5) / 11).abs().max() < 1e-5)
    return right or f"Yours are others. {name_points(x, 11)}".rstrip()


@error.law
def midpoint_weights(answer, generator):
    """With the midpoint rule every token has the weight 1/n, the length of a cell."""
    _, weights = places_and_weights(answer, MIDPOINT, 11)
    return (
        all(abs(w - 1 / 11) < 1e-6 for w in weights) or f"With n = 11 yours begin {weights[0]:.4g}, {weights[1]:.4g}."
    )


@error.law
def order_2(answer, generator):
    """The midpoint rule has order 2 on a smooth field: four times smaller at twice as many tokens."""
    a, b = (float(answer(MIDPOINT, n, smooth, SMOOTH)) for n in (40, 80))
    return (
        abs(a / max(b, 1e-300) - 4) < 0.2
        or f"From 40 to 80 tokens yours changes by a factor of {a / max(b, 1e-300):.3g}."
    )


@error.law
def order_4(answer, generator):
    """Simpson's rule has order 4 on a smooth field: 16 times smaller at twice as many gaps."""
    a, b = (float(answer(SIMPSON, n, smooth, SMOOTH)) for n in (21, 41))
    return (
        abs(a / max(b, 1e-300) - 16) < 1.5
        or f"From 20 to 40 gaps yours changes by a factor of {a / max(b, 1e-300):.3g}. Are "
        f"points and weights in float64, and are both ends included?"
    )


@error.law
def cubic(answer, generator):
    """Simpson's rule is exact for x³ at equal spacing, up to rounding in float64."""
    return float(answer(SIMPSON, 7, lambda x: x**3, 0.25)) < 1e-12


@error.law
def kink(answer, generator):
    """At a kink Simpson's rule falls back to order 2."""
    places = (0.2 + 0.6 * torch.rand(60, generator=generator, dtype=torch.float64)).tolist()

    def rms(n):
        errors = [float(answer(SIMPSON, n, lambda x, c=c: (x - c).abs(), (c * c + (1 - c) ** 2) / 2)) for c in places]
        return math.sqrt(sum(e * e for e in errors) / len(errors))

    p = math.log(rms(17) / max(rms(129), 1e-300), 8)
    return 1.6 < p < 2.4 or f"Yours has {p:.1f}."
