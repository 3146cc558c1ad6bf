"""Assignment 05: another sieve, the proximal map of a price λ|u| between two walls.

What is written here are the ways in which it goes wrong, and laws that a right answer obeys: above all that no other
place is a better bargain.
"""

import torch
import torch.nn.functional as F

from flowlib.checks.compare import as_tensor
from flowlib.checks.exercises import Exercise, draw, three_numbers

by_hand = Exercise(
    "5.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=1e-6,
    hints=(
        "For each token draw the cost ½(u − v)² + |u| over u: a parabola with a roof-shaped price on it.",
        "For u > 0 the slope of the cost is u − v + 1, for u < 0 it is u − v − 1. Where is it 0, and is that place on "
        "the side that you assumed?",
        "For v = −1/2: on the right the slope is u + 3/2 > 0, on the left u − 1/2 < 0. So the best place is 0, at the "
        "cost ½ · ¼.",
    ),
)
GOOD = [2.5, 0.125, 1.5]
by_hand.wrong("ReLU", "These are ReLU's places. Its price is a wall at 0; the price |u| is the same on either side.")(
    lambda: [[3.0, 0, 0], GOOD]
)
by_hand.wrong(
    "one side", "A negative token moves towards 0 as well: −2 goes to −1. What you did is a ReLU that opens at 1."
)(lambda: [[2.0, 0, 0], GOOD])
by_hand.wrong(
    "all moved",
    "You moved every token by 1 towards 0, and −1/2 went past it. Beyond 0 the price rises again: it must stay there.",
)(lambda: [[2.0, 0.5, -1], GOOD])
by_hand.wrong(
    "hard",
    "You kept the tokens beyond the threshold as they are. There a step towards 0 still pays, until "
    "the parabola is as steep as the price.",
)(lambda: [[3.0, 0, -2], GOOD])
by_hand.wrong("twice", "You moved by 2. The ½ in front of the square makes its slope u − v, so the way is λ = 1.")(
    lambda: [[1.0, 0, 0], GOOD]
)
by_hand.wrong("half", "Halving is what the price ½u² does. For |u| the slope of the price is the same at every u > 0.")(
    lambda: [[1.5, -0.25, -1], GOOD]
)


@by_hand.law(
    "places",
    "One of the three places is no best bargain. Compare the cost ½(u − v)² + |u| with that of a place beside it.",
)
def _(answer, generator):
    u, v = answer()[0], torch.tensor([3, -0.5, -2]).double()
    return bool(((u - v).square() / 2 + u.abs() <= torch.tensor(GOOD).double() + 1e-5).all())


@by_hand.law("costs", "The places are right. The cost of a place is ½(u − v)² + |u|: distance and price, both.")
def _(answer, generator):
    return bool((answer()[1] - torch.tensor(GOOD).double()).abs().max() < 6e-3)


def check_by_hand(places, costs) -> None:
    """Check the numbers of task 5.1."""
    both = [three_numbers(places, "places"), three_numbers(costs, "costs")]
    right = (both[1] - torch.tensor(GOOD).double()).abs().max() < 6e-3
    by_hand.check(lambda: torch.stack([both[0], torch.tensor(GOOD).double() if right else both[1]]))


def inputs(generator):
    """v (5, 40) over all zones, a price, and walls that are not symmetric."""
    price, low, high = (0.4 + 0.5 * torch.rand(3, generator=generator, dtype=torch.float64)).tolist()
    return 2.5 * draw(generator, 5, 40), price, -low - 0.7, high + 0.4


sieve = Exercise(
    "5.2",
    cell="sieve",
    inputs=inputs,
    tol=1e-5,
    hints=(
        "Forget the walls first: three zones of v, as in 5.1, with λ in place of 1.",
        "Then the walls. The cost is a convex function of one number: where its lowest point is shut out, the best "
        "place left is the wall next to it.",
        "v.abs() - price, clamped at 0, is the size; v.sign() is the sign; clamp(low, high) comes last.",
    ),
)


def soft(v, way):
    """Moved towards 0 by `way`, and not past it."""
    return v - v.clamp(-way, way)


@sieve.wrong(
    "walls first",
    "You go to the walls first and pay the price afterwards. Far out that ends inside of the "
    "wall, where a step outwards would pay. First the price, then the wall.",
)
def _(v, price, low, high):
    return soft(v.clamp(low, high), price)


@sieve.wrong("walls only", "These are the walls alone, the projection onto [low, high]. The price λ|u| is missing.")
def _(v, price, low, high):
    return v.clamp(low, high)


@sieve.wrong("price only", "The price is paid, but the walls are missing: nothing outside of [low, high] is allowed.")
def _(v, price, low, high):
    return soft(v, price)


@sieve.wrong(
    "hard",
    "What lies beyond the threshold stays as it is with you. It must move towards 0 by λ: up to there a step pays.",
)
def _(v, price, low, high):
    return F.hardshrink(v, price).clamp(low, high)


@sieve.wrong(
    "one side", "Negative features are set to 0. That is a shifted ReLU; the price |u| is the same on either side."
)
def _(v, price, low, high):
    return (v - price).clamp(min=0).clamp(low, high)


@sieve.wrong(
    "past 0",
    "Small features go past 0 and come out with the other sign. Beyond 0 the price rises again: "
    "|v| ≤ λ must give exactly 0.",
)
def _(v, price, low, high):
    return (v - price * v.sign()).clamp(low, high)


@sieve.wrong("sign lost", "The size is right and the sign is lost: multiply by the sign of v.")
def _(v, price, low, high):
    return soft(v, price).abs().clamp(low, high)


@sieve.wrong("half", "You move by λ/2. With the ½ in front of the square its slope is u − v: the way is λ.")
def _(v, price, low, high):
    return soft(v, price / 2).clamp(low, high)


@sieve.wrong("twice", "You move by 2λ. The square has the factor ½ in front: the way is λ.")
def _(v, price, low, high):
    return soft(v, 2 * price).clamp(low, high)


@sieve.wrong(
    "rubber", "v/(1 + λ) is the proximal map of ½λu². It makes all features smaller by a factor and sets none to 0."
)
def _(v, price, low, high):
    return (v / (1 + price)).clamp(low, high)


@sieve.wrong(
    "token",
    "You made the whole token shorter by λ: that is the price λ times the length of the token. Here "
    "each feature pays for itself.",
)
def _(v, price, low, high):
    return (v * (1 - price / v.norm(dim=-1, keepdim=True)).clamp(min=0)).clamp(low, high)


@sieve.wrong(
    "outside to 0", "What lies outside of the walls is set to 0. The nearest allowed place is the wall itself."
)
def _(v, price, low, high):
    u = soft(v, price)
    return torch.where((u >= low) & (u <= high), u, 0.0)


@sieve.wrong(
    "walls on v",
    "Features beyond a wall go to it at once. Pay the price first: after the step towards 0 a "
    "feature just beyond the wall may be inside of it.",
)
def _(v, price, low, high):
    u = torch.where(v > high, high, soft(v, price))
    return torch.where(v < low, low, u).clamp(low, high)


@sieve.law("shape", "The result has the shape of v: each feature goes through the sieve by itself.")
def _(answer, generator):
    v, *rest = inputs(generator)
    return as_tensor(answer(v, *rest), "the result").shape == v.shape


@sieve.law("walls", "Nothing may come out outside of [low, high].")
def _(answer, generator):
    v, price, low, high = inputs(generator)
    u = as_tensor(answer(v, price, low, high), "the result")
    return bool((u >= low - 1e-5).all() and (u <= high + 1e-5).all())


@sieve.law("bargain", "There is a better bargain: a place in [low, high] with a smaller ½(u − v)² + λ|u|.")
def _(answer, generator):
    for low_up in (0.0, 1.5):  # the second time 0 lies outside of the walls
        v, price, low, high = inputs(generator)
        low, high = low + 2 * low_up, high + 2 * low_up
        u = as_tensor(answer(v, price, low, high), "the result")
        places = torch.linspace(low, high, 801, dtype=torch.float64)
        best, at = ((places - v[..., None]).square() / 2 + price * places.abs()).min(-1)
        worse = (u - v).square() / 2 + price * u.abs() - best
        if worse.max() > 1e-6:
            k = worse.argmax()
            return (
                f"With v = {v.flatten()[k]:.3f}, λ = {price:.3f} and walls at {low:.2f} and {high:.2f} yours goes "
                f"to {u.flatten()[k]:.3f}; {places[at.flatten()[k]]:.3f} costs less."
            )
    return True


@sieve.law("firm", "It must be firmly non-expansive: |p − q|² ≤ ⟨p − q, v − w⟩.")
def _(answer, generator):
    v, price, low, high = inputs(generator)
    p, q = (as_tensor(answer(z, price, low, high), "the result") for z in (v, v.flip(-1)))
    return bool(((p - q).square().sum(-1) <= ((p - q) * (v - v.flip(-1))).sum(-1) + 1e-5).all())


def settle_inputs(generator):
    wind, price = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    v = torch.cat([torch.tensor([-2.0, 3.0], dtype=torch.float64), 2 * draw(generator, 4)])  # one that crosses 0
    return v, 1.2 + wind, 0.1 + 0.1 * price, 1.7, 9


settle = Exercise(
    "5.3",
    cell="settle",
    inputs=settle_inputs,
    tol=1e-5,
    hints=(
        "A loop over N steps of length Δt = T/N, two lines in it: an Euler step of c − u, then the sieve.",
        "The price must be paid for a time Δt only: hand λΔt to the sieve.",
        "Walls that are never met: -math.inf and math.inf, or -1e9 and 1e9.",
    ),
)


def march(v, wind, dt, steps, after):
    for _ in range(steps):
        v = after(v + dt * (wind - v))
    return v


@settle.wrong(
    "whole price", "The sieve acts whole in each step, however short: λ in place of λΔt. A price is paid per time."
)
def _(v, wind, price, T, N):
    return march(v, wind, T / N, N, lambda u: soft(u, price))


@settle.wrong("price for all of T", "In each step the sieve takes λT, the price of the whole way. Its share is λΔt.")
def _(v, wind, price, T, N):
    return march(v, wind, T / N, N, lambda u: soft(u, price * T))


@settle.wrong("Δt = 1/N", "You took Δt = 1/N. The way is of length T: Δt = T/N.")
def _(v, wind, price, T, N):
    return march(v, wind, 1 / N, N, lambda u: soft(u, price / N))


@settle.wrong("price/N", "The price of a step is λΔt = λT/N, and you took λ/N.")
def _(v, wind, price, T, N):
    return march(v, wind, T / N, N, lambda u: soft(u, price / N))


@settle.wrong("no sieve", "This is the flow without a sieve.")
def _(v, wind, price, T, N):
    return march(v, wind, T / N, N, lambda u: u)


@settle.wrong("sieve at the end", "The sieve acts once, at the end. It is a substep: once in each step.")
def _(v, wind, price, T, N):
    return soft(march(v, wind, T / N, N, lambda u: u), price * T)


@settle.wrong(
    "velocity",
    "You put −λ sign(u) into the velocity. Near 0 such a step jumps from side to side; the sieve stops there.",
)
def _(v, wind, price, T, N):
    for _ in range(N):
        v = v + T / N * (wind - v - price * v.sign())
    return v


@settle.wrong("walls at ReLU", "What is negative was lost: the walls must lie where they are never met.")
def _(v, wind, price, T, N):
    return march(v, wind, T / N, N, lambda u: soft(u, price * T / N).clamp(min=0))


@settle.law("rest", "If |c| < λ, the feature must come to rest at 0, exactly, in finite time.")
def _(answer, generator):
    v = torch.tensor([1.0, -1.0, 0.3], dtype=torch.float64)
    return bool((as_tensor(answer(v, 0.5, 1.0, 4.0, 40), "the result") == 0).all())


@settle.law(
    "order 1",
    "The error must fall like N⁻¹. A feature from 2, with c = 1 and λ = 1/2, tends to 1/2: at T it "
    "is at 1/2 + 3/2 e^(−T).",
)
def _(answer, generator):
    v, T = torch.tensor([2.0], dtype=torch.float64), 1.5
    exact = 0.5 + 1.5 * torch.tensor(-T, dtype=torch.float64).exp()
    a, b = ((as_tensor(answer(v, 1.0, 0.5, T, N), "the result") - exact).abs().item() for N in (100, 200))
    fall = a / max(b, 1e-300)
    return abs(fall - 2) < 0.2 or f"From 100 to 200 steps yours changes by a factor of {fall:.2f}."


def turn_inputs(generator):
    M = draw(generator, 4, 4)
    return lambda v: v.detach().to(M) @ M.T + 0.2 * v.detach().to(M) ** 2, draw(generator, 4)


turn = Exercise(
    "5.4",
    cell="asymmetry",
    inputs=turn_inputs,
    tol=1e-3,
    hints=(
        "Move one feature of v by a small h, and see how all results answer: that is a column of J.",
        "Column j: (f(v + h e_j) − f(v − h e_j)) / 2h, with h = 1e-5 in float64.",
        "Stack the columns, and take the largest entry of |J − Jᵀ|.",
    ),
)


def slopes(f, v, h=1e-5):
    steps = h * torch.eye(len(v), dtype=torch.float64)
    return torch.stack([(f(v + e) - f(v - e)) / (2 * h) for e in steps], -1)


@turn.wrong("largest slope", "This is the largest entry of J itself. Compare each entry with its mirror image.")
def _(f, v):
    return slopes(f, v).abs().max()


@turn.wrong("sum", "You added the transposed matrix: J + Jᵀ is always symmetric. Subtract it.")
def _(f, v):
    J = slopes(f, v)
    return (J + J.T).abs().max()


@turn.wrong("h forgotten", "The differences are not divided by the step: your number shrinks with h.")
def _(f, v):
    return v.new_zeros(())


@turn.wrong(
    "half",
    "Half of it: each h must be counted once. A central difference f(v+h) − f(v−h) is divided by 2h, a "
    "one-sided one by h.",
)
def _(f, v):
    J = slopes(f, v)
    return (J - J.T).abs().max() / 2


@turn.wrong("twice", "Twice as much as it must be: a central difference f(v+h) − f(v−h) is divided by 2h.")
def _(f, v):
    J = slopes(f, v)
    return (J - J.T).abs().max() * 2


@turn.wrong("norm", "This is the root of the sum of squares of J − Jᵀ. The largest entry is asked for.")
def _(f, v):
    J = slopes(f, v)
    return (J - J.T).norm()


@turn.law("number", "asymmetry(f, v) must be one number, not below 0.")
def _(answer, generator):
    value = as_tensor(answer(*turn_inputs(generator)), "the result")
    return value.numel() == 1 and value.item() >= 0


@turn.law(
    "wheel", "The map (a, b) ↦ (−b, a) turns by a right angle: J has 1 and −1 off the diagonal, so the answer is 2."
)
def _(answer, generator):
    value = float(answer(lambda v: torch.stack([-v[1], v[0]]).detach(), draw(generator, 2)))
    return abs(value - 2) < 1e-3 or f"Yours is {value:.4g}."


@turn.law("symmetric", "The map v ↦ |v|² v has a symmetric J: the answer is 0.")
def _(answer, generator):
    value = float(answer(lambda v: ((v @ v) * v).detach(), draw(generator, 3)))
    return abs(value) < 1e-2 or f"Yours is {value:.4g}."
