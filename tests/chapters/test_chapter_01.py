"""Chapter 01: steps and the flow that they follow, measured on flowlib's own functions."""

import itertools
import math

import pytest
import torch
import torchdiffeq

from flowlib.flow import Constant, Flow, PerStep, PiecewiseLinear
from flowlib.flow.splitting import INTEGRATORS, euler
from flowlib.measure import order
from flowlib.models import FlowLM, shipped
from flowlib.operators import Local

PAGE = (
    "A function is called with a list of arguments. If an argument has a default value, it may be omitted, and the "
    "value is the one that was given when the function was defined. The names of the arguments are local to the "
    "function, and the object that is returned is the value of the expression in the return statement. "
)
SIZES = [64, 128, 256, 512, 1024]
DRAWS = 1000


@pytest.fixture(autouse=True)
def exactly():
    """float64, no gradients, one seed."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    with torch.no_grad():
        yield
    torch.set_default_dtype(before)


def solved(velocity, u0, T=1.0):
    times = torch.linspace(0, T, 4)
    return torchdiffeq.odeint(lambda t, u: velocity(u, t), u0, times, rtol=1e-10, atol=1e-10)[-1]


def linear(mean: torch.Tensor) -> Local:
    """W tanh(u) as a feed-forward network: the first map is the identity, the second is W."""
    term = Local(2, 2, "tanh", bias=False)
    term.up.weight.data, term.down.weight.data = torch.eye(2), mean.clone()
    return term


def networks(N: int, scale: float, mean: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """The ends of DRAWS networks of N independent layers u + scale · W_n tanh(u), W_n = mean + noise. (draw, 2)"""
    noise = torch.Generator().manual_seed(seed + N)
    u = torch.tensor([1.0, 0.5]).expand(DRAWS, 2)
    for _ in range(N):
        W = mean + torch.randn(DRAWS, 2, 2, generator=noise)
        u = euler(lambda v: (W @ v.tanh()[..., None])[..., 0], u, scale)  # noqa: B023 (called at once)
    return u


def spread(u: torch.Tensor, centre: torch.Tensor) -> float:
    return (u - centre).square().sum(-1).mean().sqrt().item()


def gap_of_laws(a: torch.Tensor, b: torch.Tensor) -> float:
    """sup |F_a − F_b| of two samples' distribution functions (Kolmogorov-Smirnov)."""
    at = torch.cat([a, b])
    shares = [torch.searchsorted(sample.sort().values, at, right=True) / len(sample) for sample in (a, b)]
    return (shares[0] - shares[1]).abs().max().item()


@pytest.mark.claim("C1.1")
def test_a_residual_network_is_a_row_of_euler_steps(measured):
    flow = Flow([Local(3, 16, "tanh")], depth=PerStep(4))
    u0 = torch.randn(5, 3)
    u = u0
    for (layer,) in flow.depth.layers:
        u = u + layer(u)
    assert flow.horizon / 4 == 1
    measured.at_most("residual network against Euler steps", (flow(u0, 4).final - u).abs().max(), 1e-14)
    torch.testing.assert_close(flow(u0).final, u, atol=1e-14, rtol=0)


@pytest.mark.claim("C1.1")
@pytest.mark.parametrize("name, expected", [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_orders_of_the_steps(measured, name, expected):
    """On a random feed-forward network with constant parameters, against a solver of high order."""
    flow = Flow([Local(3, 16, "tanh")], depth=Constant(steps=2), substep=name)
    for p in flow.parameters():
        torch.nn.init.normal_(p, std=0.5)
    u0 = torch.randn(5, 3)
    reference = solved(flow.velocity, u0, T=2.0)
    steps = [64, 128, 256, 512]
    errors = [(flow(u0, N).final - reference).abs().max() for N in steps]
    assert INTEGRATORS[name].__name__ == name
    measured.near(f"order, {name}", order(errors, steps), expected, within=0.06)


@pytest.mark.claim("C1.3")
@pytest.mark.parametrize("substep, expected", [("euler", 1), ("heun", 2)])
def test_layers_that_sample_a_path_approach_its_equation(measured, substep, expected):
    flow = Flow([Local(3, 16, "tanh")], depth=PiecewiseLinear(4), substep=substep)
    for p in flow.parameters():
        torch.nn.init.normal_(p, std=0.6)
    u0 = torch.randn(5, 3)
    reference = solved(flow.velocity, u0, T=3.0)
    steps = [96, 192, 384, 768]
    errors = [(flow(u0, N).final - reference).abs().max() for N in steps]
    measured.near(f"order, knots in depth, {substep}", order(errors, steps), expected, within=0.06)


@pytest.mark.claim("C1.3")
def test_a_network_for_each_depth_with_parameters_from_one_smooth_function(measured):
    """N layers of their own, layer n with θ(n/N): a Flow with PerStep(N) and horizon 1."""

    def path(s):
        turns = 2 + 2 * torch.as_tensor(3 * s).sin()
        return torch.stack([-0.5 + 0 * turns, -turns, turns, -0.5 + 0 * turns]).reshape(2, 2)

    u0 = torch.tensor([[1.0, 0.5]])
    reference = solved(lambda u, t: u.tanh() @ path(t).T, u0)
    sizes, errors = [64, 128, 256, 512], []
    for N in sizes:
        flow = Flow([linear(torch.eye(2))], depth=PerStep(N), horizon=1.0)
        for n, (layer,) in enumerate(flow.depth.layers):
            layer.up.weight.data, layer.down.weight.data = torch.eye(2), path(n / N)
        errors.append((flow(u0).final - reference).abs().max())
    measured.near("order, N layers of their own", order(errors, sizes), 1, within=0.06)


@pytest.mark.claim("C1.4")
def test_independent_layers_average_out(measured):
    mean = torch.tensor([[-0.5, -2.0], [2.0, -0.5]])
    averaged = solved(Flow([linear(mean)]).velocity, torch.tensor([[1.0, 0.5]]))[0]
    errors = [spread(networks(N, 1 / N, mean), averaged) for N in SIZES]
    measured.near("order, to the averaged flow", order(errors, SIZES), 0.5, within=0.1)


@pytest.mark.claim("C1.5")
@pytest.mark.parametrize("power, slope", [(-0.5, 0.0), (0.0, 0.5)])
def test_independent_layers_at_larger_scales_do_not_come_together(measured, power, slope):
    ends = [networks(N, N**power, torch.zeros(2, 2)) for N in SIZES]
    spreads = [spread(u, u.mean(0)) for u in ends]
    scale = "1/√N" if power else "1"
    measured.near(f"spread ~ N^p, Δt = {scale}: p", -order(spreads, SIZES), slope, within=0.1)
    measured.at_least(f"spread, 1,024 layers, Δt = {scale}", spreads[-1], 1)


@pytest.mark.claim("C1.5")
def test_at_root_n_the_distribution_settles_while_draws_do_not(measured):
    """128 and 512 layers: at N^-½ samples of one law, at 1 not; and two draws of one depth stay strangers."""
    zero = torch.zeros(2, 2)
    settled = 1.95 * math.sqrt(2 / DRAWS)  # Kolmogorov-Smirnov at 0.1 %
    not_settled = 1.5 * settled
    shallow, deep, again = (networks(N, N**-0.5, zero, seed)[:, 0] for N, seed in ((128, 0), (512, 0), (512, 7)))
    measured.at_most("gap of laws, 128 and 512 layers, Δt = 1/√N", gap_of_laws(shallow, deep), settled)
    unsettled = gap_of_laws(*(networks(N, 1.0, zero)[:, 0] for N in (128, 512)))
    measured.at_least("gap of laws, 128 and 512 layers, Δt = 1", unsettled, not_settled)
    assert gap_of_laws(*(networks(N, 1 / N, torch.eye(2))[:, 0] for N in (128, 512))) > not_settled
    assert (again - deep).square().mean().sqrt() > deep.std()  # independent draws: √2 standard deviations apart


@pytest.mark.claim("C1.6")
@pytest.mark.parametrize("seed", [0, 1])
def test_layers_of_a_path_may_be_swapped_with_their_neighbours_and_not_shuffled(measured, seed):
    torch.manual_seed(seed)
    flow = Flow([Local(3, 16, "tanh")], depth=PiecewiseLinear(4))
    for p in flow.parameters():
        torch.nn.init.normal_(p, std=0.6)
    u0 = torch.randn(5, 3)

    def walk(depths):
        u = u0
        for (layer,) in flow.depth(depths.tolist()):
            u = euler(layer, u, 3 / len(depths))
        return u

    sizes, swapped, shuffled = [96, 192, 384], [], []
    for N in sizes:
        middles = (torch.arange(N) + 0.5) / N
        end = walk(middles)
        assert (end - flow(u0, N).final).abs().max() < 1e-12  # they are the layers of the flow
        swapped.append((walk(middles.view(-1, 2).flip(1).flatten()) - end).norm() / end.norm())
        shuffled.append((walk(middles[torch.randperm(N)]) - end).norm() / end.norm())
    measured.near(f"order, neighbours swapped, seed {seed}", order(swapped, sizes), 2, within=0.06)
    measured.at_least(f"way of the end, all shuffled, seed {seed}", min(shuffled), 0.1)


@pytest.mark.claim("C1.6")
def test_the_order_of_trained_layers_is_the_best_of_24(measured):
    model = FlowLM.load(shipped("tiny"))
    windows = model.config.vocabulary.encode(PAGE).unfold(0, 61, 60)
    heard, said = windows[:, :-1], windows[:, 1:].flatten()

    def loss(numbers):
        u = model.initial_field(heard)
        for term in (term for k in numbers for term in model.flow.depth.layers[k]):
            u = model.constraint.project(u + term(u))
        return torch.nn.functional.cross_entropy(model.read_out(u).flatten(0, 1), said).item()

    losses = {numbers: loss(numbers) for numbers in itertools.permutations(range(4))}
    share = torch.bincount(said).double() / len(said)
    frequencies = -(share * share.clamp(min=1e-300).log()).sum().item()
    trained = losses.pop((0, 1, 2, 3))
    measured.at_least("second best order, loss above the trained one", min(losses.values()) - trained, 0.5)
    measured.near("orders worse than letter frequencies", sum(x > frequencies for x in losses.values()), 11, within=1)


@pytest.mark.claim("C1.7")
@pytest.mark.parametrize("norm, power", [("none", 0.5), ("pre", 0.5), ("post", 0.0)])
def test_a_random_layer_steps_as_far_in_a_deep_network_with_layer_norm_or_without(measured, norm, power):
    d, sizes, spreads, steps = 16, [32, 64, 128, 256], [], []
    noise = torch.Generator().manual_seed(0)
    for N in sizes:
        u = torch.nn.functional.layer_norm(torch.randn(d, generator=noise), (d,)).expand(200, d)
        for _ in range(N):
            matrix = torch.randn(200, d, d, generator=noise) / d**0.5
            read = torch.nn.functional.layer_norm(u, (d,)) if norm == "pre" else u
            v = u + (matrix @ read.tanh()[..., None])[..., 0]
            v = torch.nn.functional.layer_norm(v, (d,)) if norm == "post" else v
            u, step = v, (v - u).square().mean().sqrt().item()
        spreads.append(spread(u, u.mean(0)))
        steps.append(step)
    measured.near(f"spread ~ N^p, Δt = 1, norm: {norm}: p", -order(spreads, sizes), power, within=0.1)
    measured.near(f"last step, 256 layers against 32, norm: {norm}", steps[-1] / steps[0], 1, within=0.15)


@pytest.mark.claim("C1.2")
@pytest.mark.parametrize("z, fate", [(0.5, "rest"), (1.5, "rest"), (1.95, "rest"), (2.05, "grows"), (3.0, "grows")])
@pytest.mark.parametrize("dt", [1.0, 0.125])
def test_stability_limit(measured, z, fate, dt):
    """u' = −λ u with λ Δt = z: the limit lies at 2, whatever λ and Δt are by themselves."""
    u = torch.tensor(1.0)
    for _ in range(400):
        u = euler(lambda v: -(z / dt) * v, u, dt)
    if fate == "rest":
        measured.at_most(f"|u| after 400 steps, λΔt = {z:g}", u.abs(), 1e-3)
    else:
        measured.at_least(f"|u| after 400 steps, λΔt = {z:g}", u.abs(), 1e3)


@pytest.mark.claim("C1.2")
def test_at_the_limit_the_steps_jump_between_two_places(measured):
    u = [torch.tensor(1.0)]
    for _ in range(100):
        u.append(euler(lambda v: -2 * v, u[-1], 1.0))
    jumps = torch.tensor([1.0, -1.0] * 50 + [1.0])
    measured.at_most("λΔt = 2: distance from 1, −1, 1, …", (torch.stack(u) - jumps).abs().max(), 0)


@pytest.mark.parametrize(
    "steps, strength, rests", [(60, 1.9, True), (60, 2.1, False), (120, 3.8, True), (120, 4.2, False)]
)
def test_a_network_with_strong_weights_leaves_its_flow(steps, strength, rests):
    """−Wᵀ tanh(W u) with WᵀW = λ I: its flow goes to rest for every λ, its steps only for λ Δt < 2."""
    term = Local(4, 8, "tanh", bias=False)
    W = torch.linalg.qr(torch.randn(8, 4)).Q * strength**0.5
    term.up.weight.data, term.down.weight.data = W, -W.T.contiguous()
    flow = Flow([term], depth=Constant(steps=60))
    left = flow(torch.ones(1, 4), steps).final.norm()
    assert left < 0.05 if rests else left > 0.2
    assert flow(torch.ones(1, 4), 1200).final.norm() < 1e-6


def test_euler_on_a_rotation_grows_at_every_step_length():
    for dt in (1.0, 0.1, 0.01):
        u = euler(lambda v: torch.stack([-v[1], v[0]]), torch.tensor([1.0, 0.0]), dt)
        assert u.norm() == pytest.approx(math.sqrt(1 + dt**2), abs=1e-14)


def test_coarse_steps_take_the_layer_at_their_midpoint():
    flow = Flow([Local(2, 2)], depth=PerStep(4))
    number = {id(layer[0]): n for n, layer in enumerate(flow.depth.layers, 1)}
    for steps, expected in ((2, [2, 4]), (4, [1, 2, 3, 4]), (8, [1, 1, 2, 2, 3, 3, 4, 4])):
        used = [number[id(terms[0])] for terms in flow.depth([(n + 0.5) / steps for n in range(steps)])]
        assert used == expected
