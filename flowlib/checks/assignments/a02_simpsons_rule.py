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
by_hand.wrong(
    "trapezoid",
    "These are the trapezoidal weights, half the gap on either side. They are exact for 1 and "
    "x; for x² they give 10.5, and it must be 9.",
)(lambda: [0.5, 1.5, 1.0])
by_hand.wrong(
    "equal gaps",
    "These are Simpson's weights for equal gaps. The middle token stands at 1, not at 1.5: for "
    "x you get 3.5, and it must be 4.5.",
)(lambda: [0.5, 2.0, 0.5])
by_hand.wrong(
    "all alike", "All tokens count alike here. That is right for the field 1, and for x it gives 4 in place of 4.5."
)(lambda: [1.0, 1.0, 1.0])
by_hand.wrong("mirrored", "These are the weights of tokens at 0, 2, 3: from the wrong end.")(lambda: [0.75, 2.25, 0.0])
by_hand.wrong("mean", "These sum to 1. Weights have the unit of dx: they sum to the length of the river, 3.")(
    lambda: [0.0, 0.75, 0.25]
)
by_hand.wrong(
    "first and last",
    "The middle token has no share. Ends alone are exact for 1 and x, but for x² they give 13.5 in place of 9.",
)(lambda: [1.5, 0.0, 1.5])


def _moment(k, must):
    def holds(answer, generator):
        came = (as_tensor(answer(), "weights") * torch.tensor([0.0, 1, 3]).double() ** k).sum().item()
        return abs(came - must) < 0.02 * 3**k or f"Yours give {came:.4g}."

    return holds


by_hand.law("one", "For the field 1 the weights must give the length of the river, 3.")(_moment(0, 3.0))
by_hand.law("x", "For the field x they must give 9/2.")(_moment(1, 4.5))
by_hand.law("x²", "For the field x² they must give 9.")(_moment(2, 9.0))


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


def even(a, b):
    return (a + b) / 6, 4 * (a + b) / 6, (a + b) / 6


def backwards(a, b):
    """The weights of a panel whose gaps have changed places."""
    H = a + b
    return H / 6 * (2 - a / b), H**3 / (6 * a * b), H / 6 * (2 - b / a)


def turned(a, b):
    """The panel from its other end: the weights in the other order, for the gaps in the other order."""
    return tuple(reversed(backwards(a, b)))


@rule.wrong(
    "trapezoid",
    "These are the trapezoidal weights, half the gap on either side: exact for straight lines "
    "only. A parabola needs all three tokens of a panel at once.",
)
def _(x):
    return panels(x, lambda a, b: (a / 2, (a + b) / 2, b / 2))


@rule.wrong(
    "equal gaps in a panel",
    "Your panel is H/6 · (1, 4, 1), which is right for equal gaps only. Solve the "
    "three equations with the gaps as they are.",
)
def _(x):
    return panels(x, even)


@rule.wrong(
    "textbook",
    "These are h/3 · (1, 4, 2, …, 4, 1) with one h for all: the textbook's rule, for equal "
    "spacing. Here the gaps differ.",
)
def _(x):
    return pattern(x, 4.0, 2.0)


def pattern(x, odd, inner, end=1.0):
    w = torch.full_like(x, inner)
    w[1::2] = odd
    w[0] = w[-1] = end
    return w * (x[-1] - x[0]) / (len(x) - 1) / 3


@rule.wrong(
    "4 and 2 swapped",
    "The middle of each panel must weigh most. You gave the 4 to the points between two "
    "panels, and you took one spacing for all.",
)
def _(x):
    return pattern(x, 2.0, 4.0)


@rule.wrong(
    "gaps swapped",
    "The two gaps of each panel have changed places. If the second gap is the longer one, it "
    "is the *last* token that must count more.",
)
def _(x):
    return panels(x, backwards)


@rule.wrong(
    "overwritten",
    "A point between two panels belongs to both. Yours has the weight of the later one only: add (+=), do not assign.",
)
def _(x):
    return panels(x, turned, add=False)


@rule.wrong(
    "overlapping panels",
    "Your panels begin at every point, so nearly every stretch is counted twice. The "
    "next panel begins where the last one ends: 0, 2, 4, …",
)
def _(x):
    return panels(x, turned, stride=1)


@rule.wrong(
    "mean",
    "Your weights sum to 1, so they give the mean of the field. Weights have the unit of dx and sum to "
    "the length of the domain.",
)
def _(x):
    return panels(x, turned) / (x[-1] - x[0])


@rule.wrong(
    "factor 3", "All weights are three times too large: for the field 1 they must give the length of the domain."
)
def _(x):
    return panels(x, turned) * 3


@rule.wrong(
    "factor 2",
    "All weights are twice as large as they must be: for the field 1 they must give the length of the domain.",
)
def _(x):
    return panels(x, turned) * 2


@rule.wrong(
    "no negative weights",
    "You set negative weights to 0. The demand can ask for them, and then they belong "
    "to the rule: 2.5 asks what to think of it.",
)
def _(x):
    return panels(x, turned).clamp(min=0)


@rule.wrong("alike", "All your weights are equal. That is a mean of the readings, which knows nothing of the gaps.")
def _(x):
    return torch.full_like(x, ((x[-1] - x[0]) / len(x)).item())


@rule.wrong("one panel only", "Only the first panel has weights. Go on with the next one, from x2 to x4.")
def _(x):
    w = torch.zeros_like(x)
    w[:3] = panels(x[:3], turned)
    return w


@rule.law("shape", "There must be one weight for each point.")
def _(answer, generator):
    (x,) = inputs(generator)
    shape = tuple(as_tensor(answer(x), "the weights").shape)
    return shape == (9,) or f"For 9 points yours has the shape {shape}."


def _exact(k):
    def holds(answer, generator):
        (x,) = inputs(generator)
        z = x - x[0]  # 0 … H
        came = (as_tensor(answer(x), "the weights") * z**k).sum().item()
        must = z[-1].item() ** (k + 1) / (k + 1)
        return (
            abs(came - must) < 1e-6 * max(1, must)
            or f"With x measured from the first point, yours give {came:.5g} and not {must:.5g}."
        )

    return holds


rule.law("1", "The field 1 must be integrated exactly: the weights sum to the length of the domain.")(_exact(0))
rule.law("x", "The field x must be integrated exactly.")(_exact(1))
rule.law("x²", "The field x² must be integrated exactly.")(_exact(2))


@rule.law("panel", "On one panel, three tokens with two different gaps, x² must be integrated exactly.")
def _(answer, generator):
    (x,) = inputs(generator)
    z = x[2:5] - x[2]
    must = z[-1].item() ** 3 / 3
    came = (as_tensor(answer(z), "the weights") * z**2).sum().item()
    return abs(came - must) < 1e-6 * max(1, must)


@rule.law("panels", "The rule on nine points must be that on the first five and that on the last five, added up.")
def _(answer, generator):
    (x,) = inputs(generator)
    whole, left, right = (as_tensor(answer(z), "the weights") for z in (x, x[:5], x[4:]))
    both = torch.cat([left, right[1:]])
    both[4] += right[0]
    return bool((whole - both).abs().max() < 1e-6)


@rule.law(
    "even number",
    "An even number of points cannot be cut into panels of three, and one point is no panel: raise a ValueError there.",
)
def _(answer, generator):
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


@error.wrong("trapezoid", "With the rule 'simpson' this is the error of the trapezoidal rule: use your weights.")
def _(rule, n, f, exact):
    return abs(Grid.uniform(n, "trapezoid").integrate(f).item() - exact)


@error.wrong("midpoint always", "With the rule 'simpson' this is the midpoint rule's error: look at the argument rule.")
def _(rule, n, f, exact):
    return abs(Grid.uniform(n).integrate(f).item() - exact)


@error.wrong("mean", "You take the plain mean of the readings. Use your weights.")
def _(rule, n, f, exact):
    return abs(f(Grid.uniform(n, "trapezoid").x).mean().item() - exact)


@error.law(
    "the integral itself",
    "The error is the distance from exact: if exact is moved far away, the error must be about as large.",
)
def _(answer, generator):
    values = [float(as_tensor(answer(r, 9, smooth, SMOOTH - 100), "the error")) for r in (MIDPOINT, SIMPSON)]
    return all(abs(v - 100) < 1 for v in values) or f"Moved by 100, yours is {values[0]:.4g} and {values[1]:.4g}."


@error.law("absolute", "The error is an absolute value, never below 0.")
def _(answer, generator):
    return all(float(answer(r, 9, smooth, SMOOTH + d)) >= 0 for r in (MIDPOINT, SIMPSON) for d in (-1, 1))


@error.law("order 2", "The midpoint rule has order 2 on a smooth field: four times smaller at twice as many tokens.")
def _(answer, generator):
    a, b = (float(answer(MIDPOINT, n, smooth, SMOOTH)) for n in (40, 80))
    return abs(a / max(b, 1e-300) - 4) < 0.2 or f"From 40 to 80 tokens yours changes by a factor of {a / b:.2f}."


@error.law("order 4", "Simpson's rule has order 4 on a smooth field: 16 times smaller at twice as many gaps.")
def _(answer, generator):
    a, b = (float(answer(SIMPSON, n, smooth, SMOOTH)) for n in (21, 41))
    return (
        abs(a / max(b, 1e-300) - 16) < 1.5
        or f"From 20 to 40 gaps yours changes by a factor of {a / b:.2f}. Are "
        f"points and weights in float64, and are both ends included?"
    )


@error.law("cubic", "Simpson's rule is exact for x³ at equal spacing, up to rounding in float64.")
def _(answer, generator):
    return float(answer(SIMPSON, 7, lambda x: x**3, 0.25)) < 1e-12


@error.law("kink", "At a kink Simpson's rule falls back to order 2.")
def _(answer, generator):
    places = (0.2 + 0.6 * torch.rand(60, generator=generator, dtype=torch.float64)).tolist()

    def rms(n):
        errors = [float(answer(SIMPSON, n, lambda x, c=c: (x - c).abs(), (c * c + (1 - c) ** 2) / 2)) for c in places]
        return math.sqrt(sum(e * e for e in errors) / len(errors))

    p = math.log(rms(17) / max(rms(129), 1e-300), 8)
    return 1.6 < p < 2.4 or f"Yours has {p:.1f}."
