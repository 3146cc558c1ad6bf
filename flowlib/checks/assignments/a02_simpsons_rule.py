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
        "All tokens count alike here. That is right for the field 1, and for x it gives 4 in place of 4.5.",
    ),
    mirrored=([0.75, 2.25, 0.0], "These are the weights of tokens at 0, 2, 3: from the wrong end."),
    mean=(
        [0.0, 0.75, 0.25],
        "These sum to 1. Weights have the unit of dx: they sum to the length of the river, 3.",
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


@error.law
def the_integral_itself(answer, generator):
    """The error is the distance from exact: if exact is moved far away, the error must be about as large."""
    values = [float(as_tensor(answer(r, 9, smooth, SMOOTH - 100), "the error")) for r in (MIDPOINT, SIMPSON)]
    return all(abs(v - 100) < 1 for v in values) or f"Moved by 100, yours is {values[0]:.4g} and {values[1]:.4g}."


@error.law
def absolute(answer, generator):
    """The error is an absolute value, never below 0."""
    return all(float(answer(r, 9, smooth, SMOOTH + d)) >= 0 for r in (MIDPOINT, SIMPSON) for d in (-1, 1))


@error.law
def order_2(answer, generator):
    """The midpoint rule has order 2 on a smooth field: four times smaller at twice as many tokens."""
    a, b = (float(answer(MIDPOINT, n, smooth, SMOOTH)) for n in (40, 80))
    return abs(a / max(b, 1e-300) - 4) < 0.2 or f"From 40 to 80 tokens yours changes by a factor of {a / b:.2f}."


@error.law
def order_4(answer, generator):
    """Simpson's rule has order 4 on a smooth field: 16 times smaller at twice as many gaps."""
    a, b = (float(answer(SIMPSON, n, smooth, SMOOTH)) for n in (21, 41))
    return (
        abs(a / max(b, 1e-300) - 16) < 1.5
        or f"From 20 to 40 gaps yours changes by a factor of {a / b:.2f}. Are "
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
