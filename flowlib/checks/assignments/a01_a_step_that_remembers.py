"""Assignment 01: a step that remembers, the two-step method of Adams and Bashforth through the layers of a network.

The step of the assignment is u_{n+1} = u_n + Δt (3/2 f_n − 1/2 f_{n−1}), the first one Euler's. What is written here
are the ways in which it goes wrong, and laws that a right answer obeys.
"""

import torch
from torchdiffeq import odeint

from flowlib.checks.compare import as_tensor
from flowlib.checks.exercises import Exercise, draw, name_measure, three_numbers

by_hand = Exercise(
    "1.1",
    cell="by-hand",
    inputs=lambda generator: (),
    tol=1e-6,
    hints=(
        "Three rows: f_0 at u_0, then u_1 by Euler's step, then f_1 at u_1. Keep f_0, you need it again.",
        "The second step adds 3/4 f_1 and takes away 1/4 f_0: both halves carry Δt = 1/2.",
        "For the first token u_0 = 4, f_0 = −4, u_1 = 2, f_1 = 2 − 8 = −6.",
    ),
)
by_hand.wrong_numbers(
    euler_twice=(
        [[2.0, 0, 1], [-1.0, 1, 0]],
        "These are two Euler steps. The second step must remember f_0: 3/2 of the new velocity, less 1/2 of the old "
        "one.",
    ),
    plus=(
        [[2.0, 0, 1], [-3.5, 1.5, -1]],
        "You added half of the old velocity. The step looks ahead along the *change* of velocity, f_1 + 1/2 (f_1 − "
        "f_0): the old one is taken away.",
    ),
    swapped=(
        [[2.0, 0, 1], [0.5, -0.5, 0]],
        "The factors have changed places: 3/2 belongs to the new velocity f_1, −1/2 to the old f_0.",
    ),
    old_layer_at_the_new_place=(
        [[2.0, 0, 1], [-2.0, 1.5, -0.25]],
        "You took f_0 at u_1. What is remembered is the velocity that was seen at u_0: nothing is evaluated twice.",
    ),
    no_dt=(
        [[2.0, 0, 1], [-5.0, 3, -1]],
        "Δt = 1/2 is missing in the second step: it multiplies the whole bracket.",
    ),
    velocity_away_from_zero=(
        [[6.0, 0, 3], [-9.5, 1.5, -4]],
        "You took f_0(u) = +u. The minus is part of the layer: f_0 pulls towards 0.",
    ),
    new_velocity_at_the_old_place=(
        [[2.0, 0, 1], [-7.5, 1.5, -3]],
        "You took f_1 at u_0. The second layer looks at where the tokens stand by then, at u_1.",
    ),
    second_step_from_the_start=(
        [[2.0, 0, 1], [0.5, 1.5, 1]],
        "Your second step starts from u_0. It begins where the first one has ended, at u_1.",
    ),
    constant_lost=(
        [[2.0, 0, 1], [-3.0, 0, -1.5]],
        "You took f_1(u) = −4u: the constant 2 in f_1 = 2 − 4u is lost.",
    ),
    second_velocity_turned=(
        [[2.0, 0, 1], [7.5, -1.5, 3]],
        "You took f_1(u) = 4u − 2: its sign is the other way round, f_1 = 2 − 4u.",
    ),
    no_dt_at_all=(
        [[0.0, 0, 0], [5.0, 3, 4]],
        "Δt = 1/2 is missing in both steps: it multiplies every velocity.",
    ),
    memory_in_the_first_step=(
        [[1.0, 0, 0.5], [0.5, 1.5, 1]],
        "You took 3/2 f_0 in the first step. There is nothing to remember yet: it is Euler's, u_0 + Δt f_0.",
    ),
    layers_exchanged=(
        [[-3.0, 1, -1], [2.75, -0.25, 1.25]],
        "The layers have changed places: f_0(u) = −u comes first, then f_1(u) = 2 − 4u.",
    ),
    nothing_taken_away=(
        [[2.0, 0, 1], [-2.5, 1.5, -0.5]],
        "In the second step you took 3/2 f_1 and left the memory out: 1/2 of the old velocity f_0 is taken away.",
    ),
    whole_step_ahead=(
        [[2.0, 0, 1], [-2.0, 2, 0]],
        "You took 2f_1 − f_0, a whole step ahead. Half a step ahead is 3/2 f_1 − 1/2 f_0.",
    ),
    dt_on_one_half=(
        [[2.0, 0, 1], [-0.5, 1.5, 0.5]],
        "Δt multiplies the whole bracket, the old velocity as well: 3/4 f_1 − 1/4 f_0.",
    ),
    mean=(
        [[2.0, 0, 1], [-0.5, 0.5, 0]],
        "You took the mean of the two velocities. They lie at the start of this step and of the one before; their "
        "mean is the velocity half a step *ago*.",
    ),
)


@by_hand.law
def first_step(answer, generator):
    """The first step is Euler's: u_1 = u_0 + Δt f_0(u_0), with Δt = 1/2."""
    return bool((answer()[0] - torch.tensor([2.0, 0, 1])).abs().max() < 1e-6)


@by_hand.law
def second_token(answer, generator):
    """Look at the second token: it stays at 0 in the first step, so f_0 = 0 and f_1 = 2 there. Its second step is 1/2 ·
    3/2 · 2."""
    return abs(answer()[1, 1].item() - 1.5) < 1e-6


@by_hand.law
def first_token(answer, generator):
    """The first token of u_2 does not agree. Check f_1 = 2 − 4u_1 with u_1 = 2, and the sign in −1/2 · f_0 with
    f_0 = −4."""
    return abs(answer()[1, 0].item() + 1.5) < 1e-6


@by_hand.law
def third_token(answer, generator):
    """The third token of u_2 does not agree. Check f_1 = 2 − 4u_1 with u_1 = 1, and f_0 = −2."""
    return abs(answer()[1, 2].item()) < 1e-6


def check_by_hand(first, second) -> None:
    """Check the two fields of task 1.1."""
    both = torch.stack([three_numbers(first, "u_1"), three_numbers(second, "u_2")])
    by_hand.check(lambda: both)


def inputs(generator):
    """u (3, 2), five layers, a Δt that is neither 0 nor 1."""
    u, matrices = draw(generator, 3, 2), draw(generator, 5, 2, 2)
    layers = [lambda u, m=m: u.to(m).tanh() @ m.T + m[0] for m in matrices]
    return u, layers, 0.2 + 0.3 * torch.rand((), generator=generator, dtype=torch.float64).item()


step = Exercise(
    "1.2",
    tensor=True,
    cell="two-step",
    inputs=inputs,
    hints=(
        "One loop over the layers, and one variable that outlives a turn of the loop: the last velocity.",
        "In each turn: call the layer once, make the step, and only then put the velocity into the memory.",
        "Start with the memory None. Where it is None the push is f, otherwise it is built from f and the memory.",
    ),
)


def march(u, layers, dt, push):
    """Steps of push(n, places, velocities), one for each layer."""
    places, velocities = [u], []
    for n, layer in enumerate(layers):
        velocities.append(layer(places[-1]))
        places.append(places[-1] + dt * push(n, places, velocities))
    return places[-1]


@step.wrong
def euler_steps(u, layers, dt):
    """These are Euler's steps: the velocity of the last step is not used."""
    return march(u, layers, dt, lambda n, u, f: f[n])


@step.wrong
def memory_added(u, layers, dt):
    """You add half of the old velocity. A velocity that does not change would then push twice: the factors must sum to
    1, so it is 3/2 and −1/2."""
    return march(u, layers, dt, lambda n, u, f: 1.5 * f[n] + 0.5 * f[n - 1] if n else f[n])


@step.wrong
def factors_swapped(u, layers, dt):
    """The factors have changed places: 3/2 belongs to the new velocity. You walk along the old one and away from what
    you see now."""
    return march(u, layers, dt, lambda n, u, f: 1.5 * f[n - 1] - 0.5 * f[n] if n else f[n])


@step.wrong
def mean_of_two(u, layers, dt):
    """You take the mean of the last two velocities. It belongs half a step *before* u_n; what is wanted belongs half a
    step after it."""
    return march(u, layers, dt, lambda n, u, f: (f[n] + f[n - 1]) / 2 if n else f[n])


@step.wrong
def whole_step_ahead(u, layers, dt):
    """2f_n − f_{n−1} looks ahead by a whole step: that is the velocity at the *end* of it. A step is well served by the
    velocity in its middle, half a step ahead."""
    return march(u, layers, dt, lambda n, u, f: 2 * f[n] - f[n - 1] if n else f[n])


@step.wrong
def no_first_step(u, layers, dt):
    """In the first step you have 3/2 f_0 and nothing to take away. There is no memory yet: that step is Euler's."""
    return march(u, layers, dt, lambda n, u, f: 1.5 * f[n] - (0.5 * f[n - 1] if n else 0))


@step.wrong
def memory_stands_still(u, layers, dt):
    """The memory is never renewed: every step takes away half of f_0. Put the new velocity into it at the end of each
    turn."""
    return march(u, layers, dt, lambda n, u, f: 1.5 * f[n] - 0.5 * f[0] if n else f[n])


@step.wrong
def last_layer_asked_again(u, layers, dt):
    """You ask layer n−1 again, at the new place u_n. What must be remembered is the velocity that it had at u_{n−1}, so
    that no layer is asked twice."""
    return march(u, layers, dt, lambda n, u, f: 1.5 * f[n] - 0.5 * layers[n - 1](u[n]) if n else f[n])


@step.wrong
def this_layer_at_the_last_place(u, layers, dt):
    """You ask layer n at the last place as well. What must be remembered is the velocity that layer n−1 had there."""
    return march(u, layers, dt, lambda n, u, f: 1.5 * f[n] - 0.5 * layers[n](u[n - 1]) if n else f[n])


@step.wrong
def heun(u, layers, dt):
    """This is Heun's method, which looks at both ends of each step and asks a layer twice. Here the second look is the
    memory."""
    return march(u, layers, dt, lambda n, u, f: (f[n] + layers[n](u[n] + dt * f[n])) / 2)


@step.wrong
def midpoint(u, layers, dt):
    """This is the midpoint method, which asks a layer twice. Here the second look is the memory."""
    return march(u, layers, dt, lambda n, u, f: layers[n](u[n] + dt / 2 * f[n]))


@step.wrong
def dt_on_one_half(u, layers, dt):
    """Δt multiplies the whole bracket, the old velocity as well."""
    return march(u, layers, dt, lambda n, u, f: 1.5 * f[n] - 0.5 * f[n - 1] / dt if n else f[n])


def ahead(n, u, f):
    return f[n] + (f[n] - f[n - 1]) / 2 if n else f[n]


def velocity_at_the_end(u, layers, dt):
    """What the last layer says at the place that it is asked at."""
    return layers[-1](march(u, layers[:-1], dt, ahead))


step.wrong_ways(
    last_layer_left_out=(
        lambda u, layers, dt: march(u, layers[:-1], dt, ahead),
        "The last layer is left out: all N layers make a step.",
    ),
    first_layer_left_out=(
        lambda u, layers, dt: march(u, layers[1:], dt, ahead),
        "The first layer is left out: its step is Euler's, and it moves the field like the others.",
    ),
    first_layer_only_remembered=(
        lambda u, layers, dt: march(u, layers, dt, lambda n, u, f: ahead(n, u, f) if n else 0 * f[n]),
        "The first layer does not move the field: its velocity is only remembered. The first step is Euler's.",
    ),
    first_layer_alone=(
        lambda u, layers, dt: march(u, layers[:1], dt, ahead),
        "Only the first layer is at work. Does return stand inside of the loop?",
    ),
    first_layer_twice=(
        lambda u, layers, dt: (
            march(march(u, layers[:1], dt, ahead), layers, dt, lambda n, u, f: ahead(n, u, f))
            if len(layers) < 2
            else march(u, [layers[0], *layers], dt, ahead)
        ),
        "The first layer is used twice: each layer makes one step.",
    ),
    layers_from_the_end=(
        lambda u, layers, dt: march(u, layers[::-1], dt, ahead),
        "The layers come in the wrong order, from the last one backwards.",
    ),
    no_dt=(lambda u, layers, dt: march(u, layers, 1.0, ahead), "Δt is missing: a step is u + Δt · (…)."),
    dt_squared=(lambda u, layers, dt: march(u, layers, dt**2, ahead), "Δt stands there twice: a step is u + Δt · (…)."),
    dt_shared_out=(
        lambda u, layers, dt: march(u, layers, dt / len(layers), ahead),
        "You divide Δt by the number of layers: dt is already the length of one step.",
    ),
    minus_the_velocity=(
        lambda u, layers, dt: march(u, layers, -dt, ahead),
        "The sign of the step is wrong: you go against the velocity, u − Δt · (…).",
    ),
    nothing_taken_away=(
        lambda u, layers, dt: march(u, layers, dt, lambda n, u, f: 1.5 * f[n] if n else f[n]),
        "You take 3/2 of the new velocity and leave the memory out: 1/2 of the old one is taken away.",
    ),
    always_three_halves=(
        lambda u, layers, dt: march(u, layers, dt, lambda n, u, f: 1.5 * f[n]),
        "You take 3/2 f_n in every step and leave the memory out: 1/2 f_{n−1} is taken away, and the first step is "
        "Euler's.",
    ),
    old_velocity_alone=(
        lambda u, layers, dt: march(u, layers, dt, lambda n, u, f: f[n - 1] if n else f[n]),
        "You step along the old velocity alone: the new one, f_n, has the factor 3/2.",
    ),
    field_remembered=(
        lambda u, layers, dt: march(u, layers, dt, lambda n, u, f: 1.5 * f[n] - 0.5 * u[n] if n else f[n]),
        "You remember the field and not its velocity: what is taken away is 1/2 f_{n−1}.",
    ),
    old_field_remembered=(
        lambda u, layers, dt: march(u, layers, dt, lambda n, u, f: 1.5 * f[n] - 0.5 * u[n - 1] if n else f[n]),
        "You remember the field and not its velocity: what is taken away is 1/2 f_{n−1}.",
    ),
    velocity_returned=(velocity_at_the_end, "You return the last velocity; the field u_N is asked for."),
    start_taken_off=(
        lambda u, layers, dt: march(u, layers, dt, ahead) - u,
        "You return the change of the field, u_N − u_0. The start belongs to u_N.",
    ),
    last_but_one=(
        lambda u, layers, dt: march(u, layers, dt, ahead) - march(u, layers[:-1], dt, ahead),
        "You return the last step alone; the field u_N is asked for.",
    ),
)


@step.law
def shape(answer, generator):
    """The result is the field after the last layer: it has the shape of u."""
    u, layers, dt = inputs(generator)
    shape = tuple(as_tensor(answer(u, layers, dt), "the result").shape)
    return shape == tuple(u.shape) or f"Yours has {shape}, u has {tuple(u.shape)}."


@step.law
def asked_once(answer, generator):
    """Each layer must be asked once, one evaluation a step: that is what the memory is for."""
    u, layers, dt = inputs(generator)
    asked = [0] * len(layers)

    def count(n, layer):
        def velocity(u):
            asked[n] += 1
            return layer(u)

        return velocity

    answer(u, [count(n, layer) for n, layer in enumerate(layers)], dt)
    if 0 in asked:
        return f"Yours never asks layer {asked.index(0)} of five (they are counted from 0)."
    return asked == [1] * len(layers) or f"Yours asks the five layers {asked} times."


def distance(answer, *values):
    """How far the answer goes through layers of constant velocity, in steps of 1/4, in units of the step."""
    layers = [lambda u, c=c: torch.full((2,), c, dtype=torch.float64) for c in values]
    return as_tensor(answer(torch.zeros(2, dtype=torch.float64), layers, 0.25), "the result")[0].item() * 4


@step.law
def one_layer(answer, generator):
    """A network of one layer is one Euler step: there is nothing to remember yet."""
    went = distance(answer, 1.0)
    return abs(went - 1) < 1e-6 or f"With f_0 = 1 yours goes {went:.4g} Δt."


@step.law
def constant_velocity(answer, generator):
    """Six layers with the same constant velocity c must carry u by 6 Δt c, as any method does."""
    went = distance(answer, *[1.0] * 6)
    return abs(went - 6) < 1e-6 or f"With c = 1 yours goes {went:.4g} Δt."


@step.law
def new_velocity(answer, generator):
    """Let the first layer say 0 and the second one 1: then the way is 3/2 Δt."""
    went = distance(answer, 0.0, 1.0)
    return abs(went - 1.5) < 1e-6 or f"Yours goes {went:.4g} Δt."


@step.law
def forgets(answer, generator):
    """A velocity is remembered for one step, not longer: if the first layer says 1 and three others say 0, the way is 1
    − 1/2 of Δt."""
    went = distance(answer, 1.0, 0.0, 0.0, 0.0)
    return abs(went - 0.5) < 1e-6 or f"Yours goes {went:.4g} Δt."


def smooth_path(generator):
    """A smooth function of s with values (2, 2), and a start."""
    a, b, c = draw(generator, 3, 2, 2)

    def path(s):
        s = torch.as_tensor(s, dtype=torch.float64)
        return a + b * (3 * s).sin() + c * (2 * s).cos()

    return path, draw(generator, 2)


def error_inputs(generator):
    """N = 8, a path, a start, and an end that is anywhere."""
    path, u0 = smooth_path(generator)
    return 8, path, u0, draw(generator, 2)


error = Exercise(
    "1.3",
    cell="path-error",
    inputs=error_inputs,
    hints=(
        "Build a list of N layers, each a function of u, and hand it to two_step with Δt = 1/N.",
        "Layer n is u ↦ path(n/N) @ tanh(u). Take care that each one keeps its own n: lambda u, n=n: …, or a function "
        "that makes layers.",
        "Ask path for its N matrices first, in a list, and let the n-th layer use the n-th of them.",
    ),
)


@error.wrong
def euler_error(N, path, u0, end):
    """This is the error of Euler's steps. Send the layers through your two_step."""
    return (
        march(u0, [lambda u, n=n: path(n / N) @ u.tanh() for n in range(N)], 1 / N, lambda n, u, f: f[n]) - end
    ).norm()


def through(matrices, u0, dt=None, layer=lambda W, u: W @ u.tanh()):
    """u_N after these layers."""
    layers = [lambda u, W=W: layer(W, u) for W in matrices]
    return march(u0, layers, 1 / len(matrices) if dt is None else dt, ahead)


def samples(N, path, first=0.0, gap=None):
    """N matrices of the path, from the place first/N on."""
    return [path((n + first) * (1 / N if gap is None else gap)) for n in range(N)]


error.wrong_ways(
    end_not_subtracted=(
        lambda N, path, u0, end: through(samples(N, path), u0).norm(),
        "This is the length of u_N itself: end is not subtracted.",
    ),
    start_in_place_of_the_end=(
        lambda N, path, u0, end: (through(samples(N, path), u0) - u0).norm(),
        "This is how far u_0 has come, |u_N − u_0|; the difference to end is asked for.",
    ),
    no_tanh=(
        lambda N, path, u0, end: (through(samples(N, path), u0, layer=lambda W, u: W @ u) - end).norm(),
        "tanh is missing: layer n is u ↦ W(n/N) tanh(u).",
    ),
    tanh_outside=(
        lambda N, path, u0, end: (through(samples(N, path), u0, layer=lambda W, u: (W @ u).tanh()) - end).norm(),
        "Your layer is tanh(W u). tanh stands inside: W tanh(u).",
    ),
    matrix_from_the_right=(
        lambda N, path, u0, end: (through(samples(N, path), u0, layer=lambda W, u: u.tanh() @ W) - end).norm(),
        "The matrix acts from the wrong side: u.tanh() @ W is its transpose at work. Write W @ u.tanh().",
    ),
    long_steps=(
        lambda N, path, u0, end: (through(samples(N, path), u0, 1.0) - end).norm(),
        "Your steps have Δt = 1. N of them lead from t = 0 to t = 1 with Δt = 1/N.",
    ),
    end_of_the_step=(
        lambda N, path, u0, end: (through(samples(N, path, 1.0), u0) - end).norm(),
        "You take the matrix at (n + 1)/N, the end of the step. Layer n is at s = n/N.",
    ),
    middle_of_the_step=(
        lambda N, path, u0, end: (through(samples(N, path, 0.5), u0) - end).norm(),
        "You take the matrix in the middle of the step. Layer n is at s = n/N.",
    ),
    both_ends=(
        lambda N, path, u0, end: (through(samples(N, path, 0.0, 1 / (N - 1)), u0) - end).norm(),
        "You take the matrix at n/(N − 1). N layers of length 1/N begin at n/N.",
    ),
    relative_error=(
        lambda N, path, u0, end: (through(samples(N, path), u0) - end).norm() / end.norm(),
        "This is the relative error: nothing is divided here, the length of u_N − end is asked for.",
    ),
    a_layer_too_many=(
        lambda N, path, u0, end: (through([path(n / N) for n in range(N + 1)], u0, 1 / N) - end).norm(),
        "Yours has N + 1 layers, one too many: n goes from 0 to N − 1.",
    ),
    a_layer_too_few=(
        lambda N, path, u0, end: (through(samples(N, path)[:-1], u0, 1 / N) - end).norm(),
        "Yours has N − 1 layers, one too few: n goes from 0 to N − 1.",
    ),
)


@error.law
def length(answer, generator):
    """The error is the length of the vector u_N − end, one number. On a path of zeros nothing moves, so with u_0 − end
    = (3, −4) it is 5."""
    end = torch.zeros(2, dtype=torch.float64)
    value = as_tensor(
        answer(4, lambda s: torch.zeros(2, 2, dtype=torch.float64), end + torch.tensor([3.0, -4]), end), "the error"
    )
    said = name_measure(value, torch.tensor([3.0, -4]))
    return value.numel() == 1 and abs(value.item() - 5) < 1e-6 or f"Yours is {value.tolist()}. {said}"


@error.law
def places(answer, generator):
    """Layer n takes the parameters at s = n/N, n = 0, …, N−1."""
    N, path, u0, end = error_inputs(generator)
    asked = []

    def note(s):
        asked.append(round(float(as_tensor(s, "s").reshape(-1)[0]), 6))
        return path(s)

    answer(N, note, u0, end)
    if len(asked) > 1 and len(set(asked)) == 1:
        return (
            f"All of yours are at s = {asked[0]:g}: a lambda looks n up when it is called, and by then the loop is "
            f"over. Write lambda u, n=n: …"
        )
    return set(asked) == {round(n / N, 6) for n in range(N)} or f"With N = {N} yours are at {sorted(set(asked))}."


@error.law
def velocity(answer, generator):
    """The velocity is W tanh(u): through one layer u_0 comes to u_0 + W(0) tanh(u_0), and yours does not."""
    path, u0 = smooth_path(generator)
    return as_tensor(answer(1, path, u0, u0 + path(0.0) @ u0.tanh()), "the error").abs().max().item() < 1e-5


@error.law
def order_2(answer, generator):
    """On a smooth path the error must fall like N⁻²: four times smaller for twice as many layers."""
    path, u0 = smooth_path(generator)
    unit = torch.tensor([0.0, 1.0], dtype=torch.float64)
    end = odeint(lambda s, u: path(s) @ u.tanh(), u0, unit, rtol=1e-11, atol=1e-12)[-1]
    errors = [float(as_tensor(answer(N, path, u0, end), "the error")) for N in (64, 128, 256, 512)]
    falls = [a / max(b, 1e-300) for a, b in zip(errors, errors[1:])]
    said = " The velocity is W tanh(u), and Δt = 1/N." if errors[-1] > 0.05 else ""
    return abs(falls[-1] - 4) < 0.8 or f"From 256 to 512 layers yours changes by a factor of {falls[-1]:.2f}.{said}"


rest = Exercise(
    "1.4",
    cell="left-over",
    inputs=lambda generator: (0.2 + 0.5 * torch.rand((), generator=generator, dtype=torch.float64).item(), 7),
    hints=(
        "All N layers are the same function, u ↦ −λu. Hand N of them to two_step.",
        "[layer] * N is a list of N layers.",
        "Start at torch.tensor(1.0, dtype=torch.float64), take Δt = 1, and return the absolute value.",
    ),
)


@rest.wrong
def euler_left_over(strength, N):
    """This is |1 − λ|^N, what Euler's steps leave over. Use your two_step."""
    return abs(1 - strength) ** N


@rest.wrong
def the_flow(strength, N):
    """This is e^(−λN), what the *flow* leaves over. What do the steps do?"""
    return torch.tensor(-strength * N, dtype=torch.float64).exp()


def pull(strength, N, dt=1.0, start=1.0, push=ahead):
    """|u_N| behind N layers u ↦ −λu."""
    return march(torch.tensor(start).double(), [lambda u: -strength * u] * N, dt, push).abs()


def left_with_sign(strength, N):
    """u_N where it is below 0; elsewhere there is nothing to see."""
    end = march(torch.tensor(1.0).double(), [lambda u: -strength * u] * N, 1.0, ahead)
    return end if end < 0 else None


rest.wrong_ways(
    pushed_away=(
        lambda strength, N: pull(-strength, N),
        "The sign of your layer is wrong: f(u) = −λu pulls towards 0, yours pushes away.",
    ),
    short_steps=(lambda strength, N: pull(strength, N, 1 / N), "Your steps have Δt = 1/N. In this task Δt = 1."),
    a_layer_too_few=(lambda strength, N: pull(strength, N - 1), "Yours has N − 1 layers, one too few."),
    a_layer_too_many=(lambda strength, N: pull(strength, N + 1), "Yours has N + 1 layers, one too many."),
    square=(lambda strength, N: pull(strength, N) ** 2, "This is the square |u_N|²; the size |u_N| is asked for."),
    strength_not_used=(lambda strength, N: pull(1.0, N), "λ is not used: the layer is f(u) = −strength · u."),
    starts_at_the_strength=(
        lambda strength, N: pull(strength, N, start=strength),
        "Yours starts at λ. The start is u_0 = 1.",
    ),
    three_halves_in_every_step=(
        lambda strength, N: abs(1 - 1.5 * strength) ** N,
        "This is |1 − 3/2 λ|^N: you left out the memory, which takes away 1/2 f_{n−1}. Use your two_step.",
    ),
    three_halves=(
        lambda strength, N: pull(strength, N, push=lambda n, u, f: 1.5 * f[n] if n else f[n]),
        "The memory is left out: 3/2 f_n, and 1/2 f_{n−1} is taken away. Use your two_step.",
    ),
    memory_added=(
        lambda strength, N: pull(strength, N, push=lambda n, u, f: 1.5 * f[n] + 0.5 * f[n - 1] if n else f[n]),
        "You add the memory: its sign is minus, 3/2 f_n − 1/2 f_{n−1}. Use your two_step.",
    ),
    starts_at_0=(lambda strength, N: 0.0 * N, "Nothing is left over in yours. The start is u_0 = 1, not 0."),
)


@rest.law
def after_one_layer(answer, generator):
    """After one layer 1 − λ is left, in absolute value: the first step is Euler's."""
    if any(float(as_tensor(answer(1.5, N), "left_over(1.5, …)")) < 0 for N in (1, 2, 3)):
        return "Yours is below 0 for λ = 1.5: the size |u_N| is asked for, take abs."
    value = float(as_tensor(answer(0.25, 1), "left_over(0.25, 1)"))
    said = " Does f pull towards 0? f(u) = −λu." if value > 1 else ""
    return abs(value - 0.75) < 1e-6 or f"With λ = 1/4 yours leaves {value:.4g}.{said}"


@rest.law
def at_1(answer, generator):
    """At λ = 1 the steps jump between 1/3 and −1/3 in the end: 1/3 must be left after many layers."""
    values = [float(as_tensor(answer(1.0, N), "left_over")) for N in (60, 61)]
    return (
        all(abs(v - 1 / 3) < 1e-5 for v in values)
        or f"Yours leaves {values[0]:.4g} after 60 and {values[1]:.4g} after 61."
    )


@rest.law
def threshold(answer, generator):
    """Below λ = 1 the steps come to rest, above they grow."""
    below, above = (float(as_tensor(answer(s, 300), "left_over")) for s in (0.95, 1.05))
    return below < 1e-4 and above > 1e4 or f"After 300 layers yours leaves {below:.1e} at 0.95 and {above:.1e} at 1.05."
