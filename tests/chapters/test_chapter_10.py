"""Chapter 10: forecasts against measurements, the hits and the misses."""

import math

import pytest
import torch

from flowlib.flow import Flow
from flowlib.measure import clustering, descent, evaluations, examples, order, scaling, stability
from flowlib.models import FlowConfig, FlowLM, shipped
from flowlib.operators import Moments
from flowlib.studies import blueprint
from flowlib.training import load_corpus


def rests(flow, start, there, h, steps=150):
    """As the chapter has it: is the difference from there(u) at most half as long after many steps of length h?"""
    flow.horizon = h * steps
    end = flow(start, steps, save="final").final
    return bool((end - there(end)).norm() < (start - there(start)).norm() / 2)


@pytest.mark.claim("C10.2")
@torch.no_grad()
def test_a_projection_multiplies_by_what_the_formula_says(measured, float64, dim=16):
    """At rest on S1, all the multipliers of one step, for steps short and long."""
    term, S1 = examples.downhill_sieve(dim), Moments()
    rest, held = examples.find_rest(term, dim), Flow([term], S1)
    rates, a = stability.rates(lambda u: held.velocity(u, 0.0), rest), stability.outward(term, rest).item()
    held.horizon = h = 0.15
    found = stability.rates(lambda u: held(u, 1, save="final").final, rest).real.sort().values
    inside = rates.real.sort().values[: dim - 2]  # the other two directions lead out of S1, and are taken away
    predicted = (1 + h * inside / (1 + h * a)).sort().values
    gap = (found[found.abs().argsort(descending=True)][: dim - 2].sort().values - predicted).abs().max()
    measured.at_most("multipliers of a projected step: gap to the formula", gap, 1e-4)
    near = S1.project(rest + 1e-3 * torch.randn_like(rest))
    for way, tangent, out in (("tangent", True, 0.0), ("projected", False, a)):
        flow = held.by("lie", tangent=tangent)
        stays = lambda h, flow=flow: rests(flow, near, lambda u: rest, h)
        ratio = stability.breaking_step(stays, 0.05, 5.0) / stability.critical_step(rates, out)
        measured.near(f"downhill sieve on S1, {way}: breaking step over the predicted one", ratio, 1.0, within=0.04)


@pytest.mark.claim("C10.2")
@torch.no_grad()
def test_attention_gathers_in_steps_of_any_length_when_projected(measured, float64):
    echo, near = examples.echo()
    middle = lambda u: u.mean(-2, keepdim=True)
    stays = lambda h, tangent: rests(echo.by("lie", tangent=tangent), near, middle, h)
    step = stability.breaking_step(lambda h: stays(h, True), 0.1, 100.0)
    measured.near("echo, tangent: breaking step", step, 2.0, within=0.05)
    flow = echo.by("lie")
    for h in (1.0, 10.0, 1000.0):
        flow.horizon = h
        spread = lambda u: (u - u.mean(0)).norm()
        factor = spread(flow(near, 1, save="final").final) / spread(near) * (1 + h)
        measured.near("echo, projected: one step's factor times 1 + Δt", factor, 1.0, within=0.01)


@pytest.mark.claim("C10.3")
@torch.no_grad()
def test_the_rates_of_a_trained_flow_do_not_say_where_it_breaks(measured, elastic, float64):
    river = elastic.trajectory("the value of", 64)
    rates = [
        stability.token_rates(lambda u, t=t: elastic.flow.velocity(u, t), river.fields[int(16 * t)])
        for t in (0.25, 1.5, 2.5, 3.75)
    ]
    fastest = -min(r.real.min().item() for r in rates)
    measured.between("tiny-elastic: 2/|λ| of its fastest rate", 2 / fastest, 0.8, 1.3)
    windows = load_corpus("embedded").tokens(FlowConfig().vocabulary, 64)[1].unfold(0, 65, 64)[::24]
    model = FlowLM.load(shipped("tiny-elastic"))
    loss = {n: model.loss(windows[:, :-1], windows[:, 1:], steps=n).item() for n in (1, 2, 4)}
    measured.at_most("tiny-elastic, Δt = 2: nats above its loss at Δt = 1", loss[2] - loss[4], 0.1)
    measured.at_least("tiny-elastic, Δt = 4: nats above its loss at Δt = 1", loss[1] - loss[4], 1.0)


@pytest.mark.claim("C10.3")
@torch.no_grad()
def test_order_one_predicts_the_error_in_few_steps(measured, elastic, solved):
    u0, truth = solved
    miss = lambda n: evaluations.error(elastic.flow(u0, n, save="final").final, truth)
    ratio = miss(4) / (16 * miss(64))
    measured.near("tiny-elastic: error in 4 steps over 16 times that in 64", ratio, 1.0, within=0.15)


@pytest.mark.claim("C10.4")
def test_gradient_descent_beyond_the_critical_rate_is_not_lost(measured):
    model = FlowLM.load(shipped("tiny-elastic"))
    texts = load_corpus("embedded").tokens(FlowConfig().vocabulary, 64)[0].unfold(0, 65, 64)[::800][:8]
    loss, weights = lambda: model.loss(texts[:, :-1], texts[:, 1:]), list(model.parameters())
    before = [p.detach().clone() for p in weights]
    critical = 2 / stability.sharpness(loss, weights)
    below, above = (descent.descend(loss, weights, k * critical) for k in (0.7, 2.0))
    assert all(torch.equal(p, q) for p, q in zip(weights, before)) and below[0] == above[0]
    rises = [later - one for one, later in zip(below, below[1:])]
    measured.at_most("0.7 critical rates: largest rise of the loss in a step", max(rises), 0.0)
    measured.at_least("2 critical rates: how far the loss rises above its start", max(above) - above[0], 0.05)
    measured.at_most("2 critical rates: loss after 24 steps less that before", above[-1] - above[0], 0.0)


@pytest.mark.claim("C10.5")
def test_width_enters_as_the_scale_of_the_numbers_says(measured, float64):
    widths = [32, 64, 128, 256, 512]
    for law, spread, p in (("fixed", lambda d: 0.1, 1), ("1/√d", lambda d: d**-0.5, 0), ("1/d", lambda d: 1 / d, -1)):
        rows = [scaling.sizes_at_width(d, spread(d)) for d in widths]
        velocity, step = (-order([row[key] for row in rows], widths) for key in ("velocity", "step"))
        measured.near(f"spread {law}: power of d in the velocity", velocity, p, within=0.1)
        measured.near(f"spread {law}: power of d in the critical step", step, -p, within=0.1)
        if p == 0:
            for row in rows:
                measured.near("spread 1/√d: entropy less log 32", row["entropy"] - math.log(32), -0.5, within=0.15)


@pytest.mark.claim("C10.6")
@torch.no_grad()
def test_when_tokens_gather(measured, elastic, float64):
    rivers, theory = blueprint.tokens_that_gather(), clustering.equiangular_time(0.0, 0.9, 16)
    late = {
        name: clustering.collapse_time(r.times, clustering.mean_cosine(r.fields), 0.9) / theory
        for name, r in rivers.items()
    }
    measured.near("echo, 128 dimensions: time to gather over the forecast", late["echo, 128 dimensions"], 1, within=0.1)
    measured.at_least("echo, 4 dimensions: time to gather over the forecast", late["echo, 4 dimensions"], 1.1)
    measured.at_least("random Q, K, V: time to gather over the forecast", late["random Q, K, V"], 1.25)
    cosine = clustering.mean_cosine(elastic.trajectory("the value of the", 64).fields)
    measured.at_most("tiny-elastic: mean cosine at the end less that at the start", cosine[-1] - cosine[0], 0.0)


@torch.no_grad()
def test_the_pictures_of_the_explorers_hold_what_they_say(float64):
    term, S1 = examples.downhill_sieve(16), Moments()
    rest = examples.find_rest(term, 16)
    for what, way, ratio, dies in (
        ("echo", "tangent", 0.9, True),
        ("echo", "tangent", 1.1, False),
        ("echo", "projected", 1.6, True),
        ("sieve", "tangent", 0.9, True),
        ("sieve", "projected", 0.95, False),
    ):
        gap, _ = blueprint.differences(what, way, ratio, term, rest)
        assert (gap[-1].norm() < gap[0].norm()) == dies, (what, way, ratio)
    assert S1.defect(rest).max() < 1e-9


@torch.no_grad()
def test_how_many_rates_lie_outside_of_the_circles(elastic):
    """What the spectrum's caption says, to a tenth: rates that die, and that Euler steps of 1 and 2 let grow."""
    fields = elastic.trajectory("the value of", 64).fields
    at = lambda t: stability.token_rates(lambda u: elastic.flow.velocity(u, t), fields[int(16 * t)])
    rates = torch.stack([at(t) for t in (0.25, 1.5, 2.5, 3.75)])
    dying = rates[rates.real < 0]
    outside = [((1 + h * dying).abs() > 1).sum().item() for h in (1, 2)]
    assert outside == pytest.approx([64, 271], rel=0.1) and len(dying) == pytest.approx(5364, rel=0.01)
