"""Assignment 05: another sieve, the proximal map of a price λ|u| between two walls.

What is written here are the ways in which it goes wrong, and laws that a right answer obeys: above all that no other
place is a better bargain.
"""

import math

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
by_hand.wrong_numbers(
    relu=(
        [[3.0, 0, 0], GOOD],
        "These are ReLU's places. Its price is a wall at 0; the price |u| is the same on either side.",
    ),
    one_side=(
        [[2.0, 0, 0], GOOD],
        "A negative token moves towards 0 as well: −2 goes to −1. What you did is a ReLU that opens at 1.",
    ),
    all_moved=(
        [[2.0, 0.5, -1], GOOD],
        "You moved every token by 1 towards 0, and −1/2 went past it. Beyond 0 the price rises again: it must stay "
        "there.",
    ),
    hard=(
        [[3.0, 0, -2], GOOD],
        "You kept the tokens beyond the threshold as they are. There a step towards 0 still pays, until the parabola "
        "is as steep as the price.",
    ),
    twice=(
        [[1.0, 0, 0], GOOD],
        "You moved by 2. The ½ in front of the square makes its slope u − v, so the way is λ = 1.",
    ),
    half=(
        [[1.5, -0.25, -1], GOOD],
        "Halving is what the price ½u² does. For |u| the slope of the price is the same at every u > 0.",
    ),
)


@by_hand.law
def best_places(answer, generator):
    """One of the three places is not the best bargain. Compare the cost ½(u − v)² + |u| with that of a place
    beside it."""
    u, v = answer()[0], torch.tensor([3, -0.5, -2]).double()
    return bool(((u - v).square() / 2 + u.abs() <= torch.tensor(GOOD).double() + 1e-5).all())


@by_hand.law
def costs(answer, generator):
    """The places are right. The cost of a place is ½(u − v)² + |u|: distance and price, both."""
    return bool((answer()[1] - torch.tensor(GOOD).double()).abs().max() < 6e-3)


V = torch.tensor([3, -0.5, -2]).double()
WRONG_PLACES = {
    "nothing_moves": (
        [3, -0.5, -2],
        "No token moved: these are v itself. A step towards 0 costs little distance and saves price.",
    ),
    "all_at_0": (
        [0, 0, 0],
        "All tokens are at 0: only the price is looked at, and for 3 and −2 the distance is too dear.",
    ),
    "relu": (
        [3, 0, 0],
        "These are ReLU's places, a wall at 0. The price |u| is the same on either side: it pulls towards 0 by 1.",
    ),
    "one_side": (
        [2, 0, 0],
        "The negative token −2 moves towards 0 as well, to −1. What you did is a ReLU that opens at 1.",
    ),
    "past_0": (
        [2, 0.5, -1],
        "The token −1/2 is moved past 0. Beyond 0 the price rises again: it must stay at the corner, 0.",
    ),
    "one_everywhere": ([2, -1.5, -3], "You took 1 off everywhere. Below 0 the way towards 0 leads up: v + 1."),
    "away": ([4, -1.5, -3], "You moved away from 0. The price pulls towards 0."),
    "hard": (
        [3, 0, -2],
        "You kept what is beyond the threshold as it is. A step towards 0 still pays there: it moves by λ = 1.",
    ),
    "clamped": (
        [1, -0.5, -1],
        "You cut off at −1 and 1, as walls do. There are no walls here: the price pulls towards 0 by 1.",
    ),
    "half_a_step": ([2.5, 0, -1.5], "You moved by 1/2. The slope of ½(u − v)² is u − v, so the way is λ = 1."),
    "two_steps": (
        [1, 0, 0],
        "You moved by 2. The ½ in front of the square makes its slope u − v, so the way is λ = 1.",
    ),
    "small_stays": (
        [2, -0.5, -1],
        "The small token −1/2 stayed. It is nearer to 0 than λ: the corner at 0 is its best place.",
    ),
    "sign_lost": ([2, 0, 1], "The sign of the third token is lost: −2 goes to −1, on its own side."),
    "halved": ([1.5, -0.25, -1], "You halved. That is what the price ½u² does; the price |u| moves by λ = 1."),
}
for name, (at, said) in WRONG_PLACES.items():
    u = torch.tensor(at).double()
    true_costs = (u - V).square() / 2 + u.abs()
    by_hand.wrong_numbers(**{f"{name}_at_their_cost": (torch.stack([u, true_costs]), said)})
    if name not in ("relu", "one_side", "past_0", "hard", "two_steps", "halved"):
        by_hand.wrong_numbers(**{f"{name}_at_least_cost": (torch.stack([u, torch.tensor(GOOD).double()]), said)})
u = torch.tensor([2.0, 0, -1]).double()
square, size = (u - V).square(), u.abs()
by_hand.wrong_numbers(
    **{
        name: (torch.stack([u, cost]), f"The places are right, the costs are not: {said}")
        for name, cost, said in (
            ("no_half", square + size, "the ½ in front of the square is missing."),
            ("distance_alone", square / 2, "the price |u| is missing."),
            ("square_alone", square, "the price |u| is missing, and the ½ in front of the square."),
            ("price_alone", size, "the distance ½(u − v)² is missing, this is only the price."),
            ("no_size", square / 2 + u, "you took u in place of |u|: a price is never negative."),
            ("price_subtracted", square / 2 - size, "the price is subtracted, look at its sign."),
            ("price_of_v", square / 2 + V.abs(), "you took the price of v, |v|. What is paid for is the place u."),
            (
                "zero_is_free",
                square / 2 + size - torch.tensor([0, 0.125, 0]).double(),
                "the place 0 costs no price, but the distance, 1/8.",
            ),
            ("doubled", square + 2 * size, "all are doubled, a factor 2: ½(u − v)² + |u|."),
            ("distance_not_squared", (u - V).abs() / 2 + size, "the distance is not squared."),
            ("distance_as_it_is", (u - V).abs() + size, "the distance is not squared: ½(u − v)²."),
            ("sign_of_the_third", (u + V.abs()).square() / 2 + size, "you measured from |v|, the sign of v is lost."),
        )
    }
)
by_hand.wrong_numbers(
    exchanged=(torch.stack([torch.tensor(GOOD).double(), u]), "Places and costs are exchanged."),
)


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
    tensor=True,
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


def shrink(v, way):
    """Moved towards 0 by `way`, and not past it."""
    return v - v.clamp(-way, way)


@sieve.wrong
def walls_first(v, price, low, high):
    """You go to the walls first and pay the price afterwards. Far out that ends inside of the wall, where a step
    outwards would pay. First the price, then the wall."""
    return shrink(v.clamp(low, high), price)


@sieve.wrong
def walls_only(v, price, low, high):
    """These are the walls alone, the projection onto [low, high]. The price λ|u| is missing."""
    return v.clamp(low, high)


@sieve.wrong
def price_only(v, price, low, high):
    """The price is paid, but the walls are missing: nothing outside [low, high] is allowed."""
    return shrink(v, price)


@sieve.wrong
def hard(v, price, low, high):
    """In your answer, what lies beyond the threshold stays as it is. It must move towards 0 by λ: up to there a step
    pays."""
    return F.hardshrink(v, price).clamp(low, high)


@sieve.wrong
def one_side(v, price, low, high):
    """Negative features are set to 0. That is a shifted ReLU; the price |u| is the same on either side."""
    return (v - price).clamp(min=0).clamp(low, high)


@sieve.wrong
def past_zero(v, price, low, high):
    """Small features go past 0 and come out with the other sign. Beyond 0 the price rises again: |v| ≤ λ must give
    exactly 0."""
    return (v - price * v.sign()).clamp(low, high)


@sieve.wrong
def sign_lost(v, price, low, high):
    """The size is right and the sign is lost: multiply by the sign of v."""
    return shrink(v, price).abs().clamp(low, high)


@sieve.wrong
def half_the_way(v, price, low, high):
    """You move by λ/2. With the ½ in front of the square its slope is u − v: the way is λ."""
    return shrink(v, price / 2).clamp(low, high)


@sieve.wrong
def twice_the_way(v, price, low, high):
    """You move by 2λ. The square has the factor ½ in front: the way is λ."""
    return shrink(v, 2 * price).clamp(low, high)


@sieve.wrong
def rubber(v, price, low, high):
    """v/(1 + λ) is the proximal map of ½λu². It makes all features smaller by a factor and sets none to 0."""
    return (v / (1 + price)).clamp(low, high)


@sieve.wrong
def token_as_a_whole(v, price, low, high):
    """You made the whole token shorter by λ: that is the price λ times the length of the token. Here each feature pays
    for itself."""
    return (v * (1 - price / v.norm(dim=-1, keepdim=True)).clamp(min=0)).clamp(low, high)


@sieve.wrong
def outside_to_zero(v, price, low, high):
    """What lies outside the walls is set to 0. The nearest allowed place is the wall itself."""
    u = shrink(v, price)
    return torch.where((u >= low) & (u <= high), u, 0.0)


@sieve.wrong
def walls_on_v(v, price, low, high):
    """Features beyond a wall go to it at once. Pay the price first: after the step towards 0 a feature just beyond the
    wall may be inside it."""
    u = torch.where(v > high, high, shrink(v, price))
    return torch.where(v < low, low, u).clamp(low, high)


sieve.wrong_ways(
    taken_off_everywhere=(
        lambda v, price, low, high: (v - price).clamp(low, high),
        "You take λ off everywhere. Negative features move towards 0 as well, up by λ: the sign of v decides.",
    ),
    away_from_0=(
        lambda v, price, low, high: (v + price * v.sign()).clamp(low, high),
        "You move away from 0, by λ. The price pulls towards 0: minus.",
    ),
    walls_moved_down=(
        lambda v, price, low, high: shrink(v, price).clamp(low - price, high - price),
        "You move the walls by λ as well. They stay at low and high: only v is moved.",
    ),
    walls_moved_out=(
        lambda v, price, low, high: shrink(v, price).clamp(low - price, high + price),
        "You move the walls by λ as well. They stay at low and high: only v is moved.",
    ),
    no_upper_wall=(
        lambda v, price, low, high: shrink(v, price).clamp(min=low),
        "The upper wall is missing: nothing above high is allowed.",
    ),
    no_lower_wall=(
        lambda v, price, low, high: shrink(v, price).clamp(max=high),
        "The lower wall is missing: nothing below low is allowed.",
    ),
    scaled=(
        lambda v, price, low, high: (v * (1 - price)).clamp(low, high),
        "You scale v by 1 − λ. The price |u| moves every feature by the same amount λ, whatever its size.",
    ),
    price_1=(
        lambda v, price, low, high: shrink(v, 1.0).clamp(low, high),
        "You move by 1, as in 5.1. Here the price λ is an argument.",
    ),
    price_half=(
        lambda v, price, low, high: shrink(v, 0.5).clamp(low, high),
        "You move by 0.5, softshrink's default. Here the price λ is an argument.",
    ),
    square_of_the_price=(
        lambda v, price, low, high: shrink(v, price**2).clamp(low, high),
        "You move by λ². The way is λ.",
    ),
    small_stays=(
        lambda v, price, low, high: torch.where(v.abs() > price, v - price * v.sign(), v).clamp(low, high),
        "Small features stay where they are in yours. What is nearer to 0 than λ goes to 0.",
    ),
    walls_first_then_past=(
        lambda v, price, low, high: v.clamp(low, high) - price * v.clamp(low, high).sign(),
        "You go to the walls first and pay the price afterwards, past 0. First the price, then the wall.",
    ),
    summed=(
        lambda v, price, low, high: shrink(v, price).clamp(low, high).sum(),
        "You return the sum of all features: the result has the shape of v, each feature for itself.",
    ),
)


@sieve.law
def shape(answer, generator):
    """The result has the shape of v: each feature goes through the sieve by itself."""
    v, *rest = inputs(generator)
    return as_tensor(answer(v, *rest), "the result").shape == v.shape


@sieve.law
def walls(answer, generator):
    """Nothing may come out outside [low, high]."""
    v, price, low, high = inputs(generator)
    u = as_tensor(answer(v, price, low, high), "the result")
    return bool((u >= low - 1e-5).all() and (u <= high + 1e-5).all())


@sieve.law
def bargain(answer, generator):
    """There is a better bargain: a place in [low, high] with a smaller ½(u − v)² + λ|u|."""
    v, price, low, high = inputs(generator)
    high, low = high + 3, high + 0.5
    u = as_tensor(answer(v, price, low, high), "the result")
    if (u - v.clamp(low, high)).abs().max() < 1e-6:
        return f"Where 0 lies outside of the walls ({low:.2f} and {high:.2f}) yours pays no price λ|u|."
    if (u - shrink(v, price).clamp(-abs(low), abs(high))).abs().max() < 1e-6:
        return (
            f"With walls at {low:.2f} and {high:.2f} yours goes below the lower one: 0 need not lie between the walls."
        )
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


@sieve.law
def firm(answer, generator):
    """It must be firmly non-expansive: |p − q|² ≤ ⟨p − q, v − w⟩."""
    v, price, low, high = inputs(generator)
    p, q = (as_tensor(answer(z, price, low, high), "the result") for z in (v, v.flip(-1)))
    return bool(((p - q).square().sum(-1) <= ((p - q) * (v - v.flip(-1))).sum(-1) + 1e-5).all())


def settle_inputs(generator):
    """v (6,), a wind, a price below it, T, and nine steps."""
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
    """Euler steps of c − u, with `after` acting at the end of each."""
    for _ in range(steps):
        v = after(v + dt * (wind - v))
    return v


@settle.wrong
def whole_price(v, wind, price, T, N):
    """The sieve acts whole in each step, however short: λ in place of λΔt. A price is paid per time."""
    return march(v, wind, T / N, N, lambda u: shrink(u, price))


@settle.wrong
def price_of_the_whole_way(v, wind, price, T, N):
    """In each step the sieve takes λT, the price of the whole way. Its share is λΔt."""
    return march(v, wind, T / N, N, lambda u: shrink(u, price * T))


@settle.wrong
def dt_one_over_n(v, wind, price, T, N):
    """You took Δt = 1/N. The whole way has the length T: Δt = T/N."""
    return march(v, wind, 1 / N, N, lambda u: shrink(u, price / N))


@settle.wrong
def price_one_over_n(v, wind, price, T, N):
    """The price of a step is λΔt = λT/N, and you took λ/N."""
    return march(v, wind, T / N, N, lambda u: shrink(u, price / N))


@settle.wrong
def no_sieve(v, wind, price, T, N):
    """This is the flow without a sieve."""
    return march(v, wind, T / N, N, lambda u: u)


@settle.wrong
def sieve_at_the_end(v, wind, price, T, N):
    """The sieve acts once, at the end. It is a substep: once in each step."""
    return shrink(march(v, wind, T / N, N, lambda u: u), price * T)


@settle.wrong
def price_in_the_velocity(v, wind, price, T, N):
    """You put −λ sign(u) into the velocity. Near 0 such a step jumps from side to side; the sieve stops there."""
    for _ in range(N):
        v = v + T / N * (wind - v - price * v.sign())
    return v


@settle.wrong
def walls_at_relu(v, wind, price, T, N):
    """What is negative was lost: the walls must lie where they are never met."""
    return march(v, wind, T / N, N, lambda u: shrink(u, price * T / N).clamp(min=0))


def paid(dt, price):
    return lambda u: shrink(u, price * dt)


def push(v, T, N, price, velocity=None, first=False, step=None):
    """N steps of some velocity, with the sieve before or after each."""
    dt = T / N
    for _ in range(N):
        v = shrink(v, price * dt) if first else v
        v = step(v, dt) if step else v + dt * velocity(v)
        v = v if first else shrink(v, price * dt)
    return v


settle.wrong_ways(
    no_pull=(
        lambda v, wind, price, T, N: push(v, T, N, price, lambda u: wind),
        "The −u is missing: the wind's velocity is c − u, a pull towards c.",
    ),
    pull_alone=(
        lambda v, wind, price, T, N: push(v, T, N, price, lambda u: -u),
        "The wind c is missing: the velocity is c − u.",
    ),
    wind_added_to_u=(
        lambda v, wind, price, T, N: push(v, T, N, price, lambda u: wind + u),
        "You took c + u, the sign of u is wrong: the velocity is c − u, towards c.",
    ),
    blown_away=(
        lambda v, wind, price, T, N: push(v, T, N, price, lambda u: u - wind),
        "You took u − c: the sign is wrong, yours blows away from c. The velocity is c − u.",
    ),
    sieve_first=(
        lambda v, wind, price, T, N: push(v, T, N, price, lambda u: wind - u, first=True),
        "Your sieve comes before the Euler step. The order is: first the step, after it the sieve.",
    ),
    walls_at_1=(
        lambda v, wind, price, T, N: march(v, wind, T / N, N, lambda u: shrink(u, price * T / N).clamp(-1, 1)),
        "There are walls at −1 and 1 in yours. Here there are none: put them where they are never met, at −inf "
        "and inf.",
    ),
    implicit=(
        lambda v, wind, price, T, N: push(v, T, N, price, step=lambda u, dt: (u + dt * wind) / (1 + dt)),
        "You take an implicit step, (u + Δt c)/(1 + Δt). An Euler step of c − u is asked for: u + Δt (c − u).",
    ),
    exact_step=(
        lambda v, wind, price, T, N: push(v, T, N, price, step=lambda u, dt: wind + (u - wind) * math.exp(-dt)),
        "You take the exact step of c − u, with an exponential. An Euler step is asked for: u + Δt (c − u).",
    ),
    dt_left_out=(
        lambda v, wind, price, T, N: march(v, wind, 1.0, N, lambda u: shrink(u, price * T / N)),
        "Δt is missing in the Euler step: u + Δt (c − u).",
    ),
    dt_is_T=(
        lambda v, wind, price, T, N: march(v, wind, T, N, lambda u: shrink(u, price * T)),
        "You took Δt = T. There are N steps: Δt = T/N.",
    ),
    no_dt_at_all=(
        lambda v, wind, price, T, N: march(v, wind, 1.0, N, lambda u: shrink(u, price)),
        "Δt is missing, in the Euler step and in the price: Δt = T/N.",
    ),
    one_step_too_few=(
        lambda v, wind, price, T, N: march(v, wind, T / N, N - 1, lambda u: shrink(u, price * T / N)),
        "Yours takes N − 1 steps, one too few.",
    ),
    one_step_too_many=(
        lambda v, wind, price, T, N: march(v, wind, T / N, N + 1, lambda u: shrink(u, price * T / N)),
        "Yours takes N + 1 steps, one too many.",
    ),
    one_sieve_of_its_share=(
        lambda v, wind, price, T, N: shrink(march(v, wind, T / N, N, lambda u: u), price * T / N),
        "The sieve acts once, at the end. It is a substep: once in each step.",
    ),
    hard_sieve=(
        lambda v, wind, price, T, N: march(v, wind, T / N, N, lambda u: F.hardshrink(u, price * T / N)),
        "In your steps what lies beyond the threshold stays as it is. Use your sieve, which moves it by λΔt.",
    ),
    first_feature_alone=(
        lambda v, wind, price, T, N: march(v, wind, T / N, N, lambda u: shrink(u, price * T / N))[0],
        "You return the first feature alone: the result has the shape of v.",
    ),
)


@settle.law
def rest(answer, generator):
    """If |c| < λ, the feature must come to rest at 0, exactly, in finite time."""
    v = torch.tensor([1.0, -1.0, 0.3], dtype=torch.float64)
    return bool((as_tensor(answer(v, 0.5, 1.0, 4.0, 40), "the result") == 0).all())


@settle.law
def order_1(answer, generator):
    """The error must fall like N⁻¹. A feature from 2, with c = 1 and λ = 1/2, tends to 1/2: at T it is at 1/2 + 3/2
    e^(−T)."""
    v, T = torch.tensor([2.0], dtype=torch.float64), 1.5
    exact = 0.5 + 1.5 * torch.tensor(-T, dtype=torch.float64).exp()
    a, b = ((as_tensor(answer(v, 1.0, 0.5, T, N), "the result") - exact).abs().item() for N in (100, 200))
    fall = a / max(b, 1e-300)
    return abs(fall - 2) < 0.2 or f"From 100 to 200 steps yours changes by a factor of {fall:.2f}."


def turn_inputs(generator):
    """A map of (4,) to (4,) that is not linear, without gradients, and a place."""
    M = draw(generator, 4, 4)

    def bend(v):
        v = v.detach().to(M)
        return v @ M.T + 0.2 * v**2 + 0.3 * v * v.sum() + 0.1 * v * (v**3).sum()

    return bend, draw(generator, 4)


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
    """J_ij = ∂f_i/∂v_j, by central differences."""
    steps = h * torch.eye(len(v), dtype=torch.float64)
    return torch.stack([(f(v + e) - f(v - e)) / (2 * h) for e in steps], -1)


@turn.wrong
def largest_slope(f, v):
    """This is the largest entry of J itself. Compare each entry with its mirror image."""
    return slopes(f, v).abs().max()


@turn.wrong
def transpose_added(f, v):
    """You added the transposed matrix: J + Jᵀ is always symmetric. Subtract it."""
    J = slopes(f, v)
    return (J + J.T).abs().max()


@turn.wrong
def h_forgotten(f, v):
    """Yours finds no slope at all. Are the differences divided by the step? Autograd finds none in a black box: take
    difference quotients."""
    return v.new_zeros(())


@turn.wrong
def half_of_it(f, v):
    """Half of it: each h must be counted once. A central difference f(v+h) − f(v−h) is divided by 2h, a one-sided one
    by h."""
    J = slopes(f, v)
    return (J - J.T).abs().max() / 2


@turn.wrong
def twice_as_much(f, v):
    """Twice as much as it must be: a central difference f(v+h) − f(v−h) is divided by 2h."""
    J = slopes(f, v)
    return (J - J.T).abs().max() * 2


@turn.wrong
def norm(f, v):
    """This is the root of the sum of squares of J − Jᵀ. The largest entry is asked for."""
    J = slopes(f, v)
    return (J - J.T).norm()


def misses(v):
    """J − Jᵀ of a map at v."""
    return lambda f, h=1e-5: slopes(f, v, h) - slopes(f, v, h).T


turn.wrong_ways(
    mean_of_it=(
        lambda f, v: misses(v)(f).abs().mean(),
        "This is the mean of |J − Jᵀ|. The largest entry is asked for.",
    ),
    sum_of_it=(
        lambda f, v: misses(v)(f).abs().sum(),
        "This is the sum of all |J − Jᵀ|, each pair counted twice. The largest entry is asked for.",
    ),
    square_of_it=(
        lambda f, v: misses(v)(f).square().max(),
        "This is the square of the largest entry of J − Jᵀ. Its absolute value is asked for.",
    ),
    at_the_origin=(
        lambda f, v: misses(torch.zeros_like(v))(f).abs().max(),
        "You took the difference quotients at 0. They belong at the point v.",
    ),
    **{
        f"large_step_{h}": (
            lambda f, v, h=h: rough(f, v, h),
            "Your step h is too large: a difference quotient is a slope only for small h, such as 1e-5.",
        )
        for h in (1.0, 0.5)  # at 0.1 it is right to a thousandth, for the errors of J and its transpose are alike
    },
    all_features_at_once=(
        lambda f, v: moved_together(f, v),
        "You move all features at once. Column j is what one feature does: v + h e_j, with all others kept.",
    ),
    nothing_subtracted=(
        lambda f, v: undivided(f, v),
        "You divide f(v + h e_j) by h, and nothing is subtracted: a quotient of differences is (f(v + h e_j) − "
        "f(v))/h.",
    ),
    first_pair=(
        lambda f, v: misses(v)(f)[0, 1].abs(),
        "You compare the first two features alone. There are d of them: take the largest over all pairs.",
    ),
)


def rough(f, v, h):
    """One-sided differences with a large step."""
    J = torch.stack([(f(v + e) - f(v)) / h for e in h * torch.eye(len(v), dtype=torch.float64)], -1)
    return (J - J.T).abs().max()


def undivided(f, v, h=1e-5):
    """f(v + h e)/h without a difference, at the step that it shows at."""
    J = torch.stack([f(v + e) / h for e in h * torch.eye(len(v), dtype=torch.float64)], 1)
    return (J - J.T).abs().max()


def moved_together(f, v, h=1e-5):
    """The differences of a step in all features, as the columns (or the rows) of a matrix."""
    J = torch.stack([(f(v + h) - f(v - h)) / (2 * h)] * len(v), 1)
    return (J - J.T).abs().max()


def curved(generator):
    """A map whose slopes change with the step that one takes."""
    v = 0.3 + torch.rand(3, generator=generator, dtype=torch.float64)
    return lambda u: torch.stack([(3 * u[0]).sin() * u[1] ** 2, u[0] ** 4, u[2] ** 2]).detach(), v


@turn.law
def black_box(answer, generator):
    """f takes a float64 tensor, and gives numbers without derivatives: v + h e_j and v − h e_j, as they are."""
    f, v = turn_inputs(generator)
    note, asked = seen(f, v)
    answer(note, v)
    if any(isinstance(u, torch.Tensor) and u.requires_grad for u in asked):
        return "Yours asks autograd, which finds no derivative in a black box: take difference quotients."
    return (
        all(u.dtype == torch.float64 for u in asked)
        or "Yours asks in single precision, float32: rounding errors divided by h."
    )


@turn.law
def number(answer, generator):
    """asymmetry(f, v) must be one number, not below 0."""
    value = as_tensor(answer(*turn_inputs(generator)), "the result")
    return value.numel() == 1 and value.item() >= 0


@turn.law
def wheel(answer, generator):
    """The map (a, b) ↦ (−b, a) turns by a right angle: J has 1 and −1 off the diagonal, so the answer is 2."""
    value = float(answer(lambda v: torch.stack([-v[1], v[0]]).detach(), draw(generator, 2)))
    huge = " Is f(v) subtracted before you divide by h?" if value > 100 else ""
    return abs(value - 2) < 1e-3 or f"Yours is {value:.4g}.{huge}"


@turn.law
def symmetric(answer, generator):
    """The map v ↦ |v|² v has a symmetric J: the answer is 0."""
    value = float(answer(lambda v: ((v @ v) * v).detach(), draw(generator, 3)))
    return abs(value) < 1e-2 or f"Yours is {value:.4g}."


@turn.law
def small_steps(answer, generator):
    """Take small steps: a difference quotient is a slope only for a small h, such as 1e-5, and in float64."""
    f, v = curved(generator)
    right = (slopes(f, v) - slopes(f, v).T).abs().max().item()
    value = float(answer(f, v))
    return (
        abs(value - right) < 1e-3 * max(1, right)
        or f"For one map yours is {value:.4g}, with h = 1e-5 it is {right:.4g}."
    )


def seen(f, v):
    """Where f is asked, and in what precision."""
    asked = []

    def note(u):
        asked.append(u)
        return f(u)

    return note, asked
