"""Chapter 06: what its claims need beyond the tests of the library. A layer against its own refined flow."""

import math

import pytest
import torch
from torch import nn

from flowlib.flow import Flow, Scheme
from flowlib.flow.conditions import order_of, shares
from flowlib.measure import errors_against, order
from flowlib.models import FlowLM, from_torch, shipped
from flowlib.operators import Attention, Local, Moments, project_moments

FINE = 128  # steps per layer; the error left is about 1/FINE of that of one step


@torch.no_grad()
def missed(flow, u0, steps):
    """The distance to the refined flow after each number of steps, in units of the way that the flow goes."""
    river = flow(u0, FINE, save="final").final
    return [((flow(u0, n, save="final").final - river).norm() / (river - u0).norm()).item() for n in steps]


@pytest.mark.claim("C6.7")
def test_a_trained_layer_is_far_from_its_refined_flow(measured):
    model = FlowLM.load(shipped("tiny")).double()
    with torch.no_grad():
        fields = model.trajectory("the value of the argument is returned as a list").fields
    for u0, terms in zip(fields, model.flow.depth.layers):
        layer = Flow(list(terms), Moments(eps=1e-5), horizon=1.0)
        gaps = missed(layer, u0, [1, 4, 8])
        measured.between("ρ of a trained layer, one step", gaps[0], 1 / 3, 0.6)
        measured.near("order of ρ in the steps per layer", order(gaps[1:], [4, 8]), 1, within=0.2)


HELP = [
    "the value of the argum",
    "If the object is a string, the result is the same",
    "Return a list of the names in the file.",
    "def f(x):\n    return x + 1\n",
    "The default is to raise an exception when",
    "    is equivalent to the following",
    "a mapping from keys to values, see the",
    "class, which is called with the arguments",
    " pattern is fixed-length",
    "an object indirectly, by means of their\ncomparis",
    "--------------------------------------------+\n\nI",
]
OTHER = [
    "aaaaaaaaaaaa",
    "\n\n\n\n",
    "0123456789 !?#$%",
    "x",
    "qzxjkvb",
    "ÄÖü€",
    " " * 32,
    "((((([[[[[",
    "THE QUICK BROWN FOX",
]


@pytest.mark.claim("C6.7")
@pytest.mark.parametrize(("kind", "texts", "low", "high"), [("help", HELP, 0.25, 2 / 3), ("other", OTHER, 0.2, 0.7)])
@torch.no_grad()
def test_a_trained_layer_is_far_from_its_refined_flow_on_many_texts(measured, kind, texts, low, high):
    model = FlowLM.load(shipped("tiny")).double()
    for text in texts:
        for u0, terms in zip(model.trajectory(text).fields, model.flow.depth.layers):
            gap = missed(Flow(list(terms), Moments(eps=1e-5), horizon=1.0), u0, [1])[0]
            measured.between(f"ρ of a trained layer, one step, {kind} texts", gap, low, high)


@pytest.mark.claim("C6.7")
@pytest.mark.parametrize(("d", "heads"), [(16, 2), (32, 4), (128, 8)])
@pytest.mark.parametrize("gain, low, high", [(0.25, 0.0, 0.03), (1.0, 0.1, 0.3), (2.0, 0.5, 1.0)])
def test_random_layers_of_other_widths_and_seeds_are_alike(measured, gain, low, high, d, heads):
    for seed in (1, 2, 3):
        measured.between(f"ρ of random layers, gain {gain:g}", rho_of_random(gain, d, heads, seed), low, high)


@pytest.mark.claim("C6.7")
@pytest.mark.parametrize("gain, low, high", [(0.25, 0.0, 0.03), (1.0, 0.1, 0.3), (2.0, 0.5, 1.0)])
def test_a_random_layer_is_close_to_its_flow_where_its_matrices_are_small(measured, gain, low, high):
    measured.between(f"ρ of a random layer, gain {gain:g}", rho_of_random(gain, 32, 4, 0), low, high)


def rho_of_random(gain, d, heads, seed):
    torch.manual_seed(seed)
    layer = nn.TransformerEncoderLayer(d, heads, 4 * d, 0.0, batch_first=True, dtype=torch.float64).eval()
    u0 = project_moments(torch.randn(16, d, dtype=torch.float64))
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(gain if p.ndim == 2 else 1.0)
    return missed(from_torch(layer), u0, [1])[0]


FOUR = Scheme("four paths", 1, lambda n: [(0.25, p) for p in (((0, 1.0),) * 2, ((1, 1.0),) * 2, THERE_AND_BACK, ())])
THERE_AND_BACK = ((0, 1.0), (1, 1.0), (1, 1.0), (0, 1.0))
KEPT = {
    "free": {},
    "tangent": dict(constraints=Moments(), tangent=True),
    "plain projection": dict(constraints=Moments()),
}


def order_with_euler(scheme, width=8, seed=0, constraints=None, tangent=False):
    """Of two terms with random parameters, with Euler substeps, against tangent Strang with midpoint substeps."""
    torch.manual_seed(seed)
    terms = [Local(width, 2 * width, "tanh"), Attention(width, 2)]
    for p in (p for term in terms for p in term.parameters()):
        nn.init.normal_(p, std=0.3)
    flow = Flow(terms, constraints, scheme, horizon=1.0, tangent=tangent).double()
    u0, steps = project_moments(torch.randn(5, width, dtype=torch.float64)), [32, 64, 128]
    fine = flow.by("strang", substep="midpoint", tangent=constraints is not None)
    coarse, exact = (fine(u0, n, save="final").final for n in (256, 512))
    exact = exact + (exact - coarse) / 3  # Richardson
    return order(errors_against(exact, lambda n: flow(u0, n, save="final").final, steps), steps)


@pytest.mark.claim("C6.8")
@pytest.mark.parametrize("kept", KEPT)
@torch.no_grad()
def test_an_average_of_paths_without_whole_shares_can_be_of_order_two(measured, kept):
    assert order_of(FOUR) == 1 and shares(FOUR) == [1.0, 1.0]  # with exact substeps; with Euler's it gains one
    for width, seed in ((8, 0), (4, 1), (16, 2)):
        expected = 1 if kept == "plain projection" else 2
        found = order_with_euler(FOUR, width, seed, **KEPT[kept])
        measured.near(f"order, four paths, Euler, {kept}", found, expected, within=0.06)


@pytest.mark.claim("C6.3")
@torch.no_grad()
def test_an_average_of_paths_with_whole_shares_is_of_order_one(measured):
    """Random arrangements: as many pieces as they like, each term 1 in all; means of one to three such paths."""
    generator = torch.Generator().manual_seed(0)
    random = lambda k: torch.rand(k, generator=generator).double()
    for number in (1, 2, 3):
        weights, paths = random(number) + 0.1, []
        for _ in range(number):
            pieces = [(i, a) for i in (0, 1) for a in (lambda z: z / z.sum())(random(3) + 0.1).tolist()]
            paths.append(tuple(pieces[k] for k in torch.randperm(6, generator=generator)))
        table = list(zip((weights / weights.sum()).tolist(), paths))
        squares = sum(c * sum(a * a for i, a in path if i == 0) for c, path in table)
        assert (1 - squares) / 2 < 0.5  # the coefficient of A'A, ½ in the river
        for how in ({}, KEPT["tangent"]):
            found = order_with_euler(Scheme("random", 1, lambda n, table=table: table), seed=number, **how)
            measured.near("order, random averages of whole paths, Euler", found, 1, within=0.06)


@pytest.mark.claim("C6.4")
@pytest.mark.parametrize("d", [3, 16, 128])
def test_the_averaged_skip_shows_by_three_halves_of_epsilon_over_the_squared_spread(measured, d):
    for seed in range(3):
        torch.manual_seed(seed)
        u = project_moments(torch.randn(100, d, dtype=torch.float64)) * torch.linspace(0.2, 5, 100)[:, None]
        s = u.std(-1, correction=0)
        whole, half = Moments(eps=1e-5).project(u), Moments(eps=1e-5).project(u / 2)
        shorter = 1 - half.norm(dim=-1) / whole.norm(dim=-1)
        for found in (shorter * s**2 / 1e-5).aminmax():
            measured.near("what a token loses of its length, in units of ε/s²", found, 1.5, within=0.002)


@pytest.mark.claim("C6.6")
@torch.no_grad()
def test_the_literal_reading_collapses_onto_the_largest_feature(measured):
    """Refined, the literal substeps leave one feature at √(d−1), the largest, and all others at −1/√(d−1)."""
    torch.manual_seed(0)
    d = 8
    layer = nn.TransformerEncoderLayer(d, 2, 32, 0.0, batch_first=True, dtype=torch.float64).eval()
    u0 = project_moments(torch.randn(5, d, dtype=torch.float64))
    end = from_torch(layer, "literal")(u0, 2048, save="final").final
    high, low = u0.new_tensor([math.sqrt(d - 1), -1 / math.sqrt(d - 1)])
    spike = torch.where(nn.functional.one_hot(u0.argmax(-1), d) == 1, high, low)
    measured.at_most("literal, 2,048 steps: distance from the spike", (end - spike).abs().max(), 0.01)
    local = from_torch(layer, "local")(u0, 256, save="final").final
    assert (local - u0).norm() < (spike - u0).norm() / 2


@torch.no_grad()
def advance_literally(layer, v, h):
    """Rows 3 to 5 at Δt = h, written out: two linear substeps, the first with the sieve, and the averaged skip."""
    wide, narrow = layer.linear1, layer.linear2
    same = nn.functional.pad(v, (0, wide.out_features - v.shape[-1]))
    hidden = (same + h * (wide(v) - same)).relu()
    back = hidden[..., : v.shape[-1]]
    back = back + h * (narrow(hidden) - back)
    return (v + back) / 2


@pytest.mark.claim("C6.9")
@pytest.mark.parametrize("hidden", [8, 32])
@torch.no_grad()
def test_the_averaged_skip_halves_term_three(measured, hidden):
    """On u > 0, where the sieve of a short step does nothing to u: (literal − u)/Δt → ½ Σ_j (W_j u + b_j)."""
    for seed in range(3):
        torch.manual_seed(seed)
        layer = nn.TransformerEncoderLayer(8, 2, hidden, 0.0, batch_first=True, dtype=torch.float64).eval()
        u = torch.rand(5, 8, dtype=torch.float64) + 0.5
        wide = nn.functional.pad(u, (0, hidden - 8))
        term = (layer.linear1(u) - wide)[:, :8] + layer.linear2(wide) - u
        gaps = {h: (advance_literally(layer, u, h) - u) / h for h in (1e-3, 1e-4, 1e-5)}
        share = ((gaps[1e-5] * term).sum() / term.square().sum()).item()
        measured.near("velocity of rows 3 to 5, in units of term III", share, 0.5, within=1e-4)
        apart = [(gap - term / 2).norm().item() for gap in gaps.values()]
        measured.near("order in Δt at which the half is reached", order(apart, [1e3, 1e4, 1e5]), 1, within=0.06)
        flow = from_torch(layer, "literal")
        sieve = next(term for term in flow.depth.layers[0] if term.is_substep)
        torch.testing.assert_close(sieve(u, 1e-3), advance_literally(layer, u, 1e-3), rtol=0, atol=1e-14)


@pytest.mark.claim("C6.6")
@torch.no_grad()
def test_refined_literally_the_ends_converge_and_the_path_does_not(measured):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 8, 0.0, batch_first=True, dtype=torch.float64).eval()
    flow, u0 = from_torch(layer, "literal"), project_moments(torch.randn(5, 8, dtype=torch.float64))
    ends = [flow(u0, n, save="final").final for n in (64, 128, 256, 512)]
    gaps = [(finer - coarse).abs().max().item() for coarse, finer in zip(ends, ends[1:])]
    measured.near("order at which the literal end states converge", order(gaps, [64, 128, 256]), 1, within=0.06)

    def length(steps):
        u, total = u0, 0.0
        for _ in range(steps):
            h = 1 / steps
            v = project_moments(u + h * layer.self_attn(u, u, u, need_weights=False)[0])
            hidden = (v + h * (layer.linear1(v) - v)).relu()
            back = hidden + h * (layer.linear2(hidden) - hidden)
            points = [u, v, hidden, back, (v + back) / 2, project_moments((v + back) / 2)]
            total += sum((b - a).norm().item() for a, b in zip(points, points[1:]))
            u = points[-1]
        return total

    for steps, low, high in ((64, 0.85, 0.98), (512, 0.95, 1.0)):
        power = -order([length(steps), length(2 * steps)], [steps, 2 * steps])
        measured.between(f"length of the literal way ~ N^p, from {steps} to {2 * steps} steps: p", power, low, high)


def second_order(u, h=1e-3):
    """The number before h² of a scheme for one number: u(h) from u(0) = 1, its first order given by u(h) − u(−h)."""
    return (u(h) + u(-h) - 2) / (2 * h * h)


def test_the_smallest_case_of_the_proof():
    """Cell 37's table: A(u) = u in Euler pieces, and the four paths with A(u) = B(u) = u."""
    for pieces, number in ((1, 0), (2, 1 / 4), (4, 3 / 8)):
        assert second_order(lambda h, n=pieces: (1 + h / n) ** n) == pytest.approx(number, abs=1e-5)
    assert second_order(math.exp) == pytest.approx(1 / 2, abs=1e-5)
    four = lambda h: ((1 + h) ** 2 + (1 + h) ** 2 + (1 + h) ** 4 + 1) / 4
    assert second_order(four) == pytest.approx(2, abs=1e-5) == second_order(lambda h: math.exp(2 * h))
    assert (four(1e-4) - four(-1e-4)) / 2e-4 == pytest.approx(2, abs=1e-5)


def test_a_projected_step_on_the_circle_is_short_by_the_square_of_its_length():
    """At (1, 0) with the velocity (1, 1): the angle after an Euler step and the projection, as the chapter has it."""
    angle = lambda h: math.atan(h / (1 + h))
    assert [round(angle(h), 4) for h in (0.1, 0.05)] == [0.0907, 0.0476]
    short = [h - angle(h) for h in (0.1, 0.05)]
    assert [round(z, 4) for z in short] == [0.0093, 0.0024] and short[0] / short[1] == pytest.approx(4, rel=0.05)
