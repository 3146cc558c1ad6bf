"""What a reader may give a measure by mistake: each time flowlib says which argument it is, and what it wants."""

import math
import traceback

import numpy as np
import pytest
import torch
from torch import nn

from flowlib.fields import Grid
from flowlib.flow import Flow, PerStep
from flowlib.measure import (
    ablation,
    budgets,
    clustering,
    convergence,
    descent,
    evaluations,
    examples,
    flops,
    kernels,
    lyapunov,
    ratios,
    readings,
    scaling,
    spectra,
    stability,
)
from flowlib.measure.defects import defects
from flowlib.models import FlowConfig, FlowLM
from flowlib.operators import Attention, Local, Moments, Neighbourhood

torch.manual_seed(0)
NAN, INF = math.nan, math.inf
MODEL = FlowLM(FlowConfig(width=8, heads=2, layers=2))
FLOW = Flow([Attention(8, 2), Local(8)], Moments(eps=1e-5), depth=PerStep(2)).eval()
LOCAL = Flow([Local(8)], Moments(eps=1e-5))
DROPS = Flow([Attention(8, 2, dropout=0.5), Local(8)], Moments(eps=1e-5)).train()
NEAR = Flow([Attention(8, 2, near=Neighbourhood(8, 0.2, dims=1))], Moments(eps=1e-5)).eval()
U, TEXTS, R = torch.randn(5, 8), torch.randn(3, 5, 8), torch.randn(3, 8)
HOLES = U.clone()
HOLES[1, 2] = NAN
P = torch.full((4, 4), 0.25)
LAST = lambda u: u[..., -1, :]
drift = lambda u: -u
parameter = torch.ones(3, requires_grad=True)
loss = lambda: (parameter**4).sum()
way = FLOW(U)
T, C = torch.linspace(0, 9, 40).double(), 1 - torch.exp(-torch.linspace(0, 9, 40).double())

MISTAKES = [  # the name that the message must have, and the call
    # a model or anything else where a flow is meant, and starts that are none
    ("flow", lambda: budgets.budget(MODEL, U)),
    ("give model.flow", lambda: kernels.kernels_of(MODEL, U)),
    ("flow", lambda: lyapunov.exponents(nn.Linear(8, 8), U)),
    ("flow", lambda: ablation.without(MODEL, 0, 0)),
    ("flow", lambda: ablation.effect_of_tokens(None, U, R[0])),
    ("flow", lambda: evaluations.evaluations(MODEL)),
    ("flow", lambda: evaluations.solution("lie", U)),
    ("flow", lambda: evaluations.compare_work(MODEL, U)),
    ("flow", lambda: readings.pushes_of_terms(MODEL, TEXTS, R, LAST)),
    ("flow", lambda: readings.attention_to_tokens(MODEL, TEXTS)),
    ("u0", lambda: budgets.budget(FLOW, U.tolist())),
    ("u0", lambda: budgets.budget(FLOW, U.numpy())),
    ("u0", lambda: budgets.budget(FLOW, U.long())),
    ("u0", lambda: budgets.budget(FLOW, HOLES)),
    ("u0", lambda: budgets.budget(FLOW, U[0])),
    ("u0", lambda: kernels.kernels_of(FLOW, "the value")),
    ("u0", lambda: lyapunov.exponents(FLOW, U[:0], 1)),
    ("u0", lambda: lyapunov.exponents(FLOW, HOLES, 1)),
    ("u0", lambda: ablation.effect_of_tokens(FLOW, TEXTS, R[0])),
    ("u0", lambda: readings.effects_of_tokens(FLOW, U, R)),
    ("steps", lambda: budgets.budget(FLOW, U, 0)),
    ("steps", lambda: budgets.budget(FLOW, U, 2.0)),
    ("steps", lambda: kernels.kernels_of(FLOW, U, -1)),
    ("steps", lambda: lyapunov.exponents(FLOW, U, 1, 0)),
    ("steps", lambda: evaluations.evaluations(FLOW, 0)),
    ("steps", lambda: evaluations.evaluations(FLOW, 2.5)),
    ("steps", lambda: ablation.without(FLOW, 0, 0, "4")),
    ("steps", lambda: ablation.without(FLOW, 0, 0, 2.0)),
    ("step", lambda: ablation.without(FLOW, None, 0)),
    ("step", lambda: ablation.without(FLOW, -1, 0)),
    ("term", lambda: ablation.without(FLOW, 0, "attention")),
    # heads and kernels of what has none, read-outs that do not fit
    ("attention", lambda: kernels.kernels_of(LOCAL, U)),
    ("heads", lambda: kernels.kernels_of(Flow([Attention(8, 2), Attention(8, 4)], Moments()), U)),
    ("heads", lambda: budgets.budget(FLOW.by("lie", tangent=True), U, heads=True)),
    ("readout", lambda: budgets.budget(FLOW, U).along(R[0].tolist())),
    ("readout", lambda: budgets.budget(FLOW, U).along(torch.zeros(8, 2, 2))),
    ("readout", lambda: budgets.budget(FLOW, U).along(torch.tensor(1.0))),
    ("readout", lambda: ablation.effect_of_tokens(FLOW, U, torch.zeros(7))),
    ("readouts", lambda: readings.pushes_of_terms(FLOW, TEXTS, R[:2], LAST)),
    ("readouts", lambda: readings.effects_of_terms(FLOW, TEXTS, R[0], LAST)),
    ("readouts", lambda: readings.effects_of_tokens(FLOW, TEXTS, None)),
    ("at", lambda: readings.pushes_of_terms(FLOW, TEXTS, R, -1)),
    ("at", lambda: readings.attention_to_tokens(FLOW, TEXTS, 5)),
    ("at", lambda: ablation.effect_of_tokens(FLOW, U, R[0], 0.5)),
    ("tokens", lambda: ablation.silence_tokens(4, torch.tensor([4]))),
    ("tokens", lambda: ablation.silence_tokens(4, torch.tensor([0.5]))),
    ("n", lambda: ablation.silence_tokens(0)),
    ("n", lambda: ablation.silence_tokens(U)),
    # flows that do something else each time, or hear outside of the mask
    ("flow.eval()", lambda: ablation.effect_of_tokens(DROPS, U, R[0])),
    ("flow.eval()", lambda: readings.effects_of_terms(DROPS, TEXTS, R, LAST)),
    ("flow.eval()", lambda: lyapunov.exponents(DROPS, U, 1)),
    ("flow.eval()", lambda: evaluations.solution(DROPS, U)),
    ("flow.eval()", lambda: evaluations.work(DROPS, U, U)),
    ("neighbourhood", lambda: ablation.effect_of_tokens(NEAR, U, R[0], weights=Grid.uniform(5))),
    # exponents
    ("k", lambda: lyapunov.exponents(FLOW, U, 2.0)),
    ("k", lambda: lyapunov.exponents(FLOW, U, True)),
    ("k", lambda: lyapunov.exponents(FLOW, U, None)),
    ("token", lambda: lyapunov.exponents(FLOW, U, 1, token=5)),
    ("token", lambda: lyapunov.exponents(FLOW, U, 1, token=-6)),
    ("sweeps", lambda: lyapunov.exponents(FLOW, U, 1, sweeps=0)),
    # tolerances with which a search would never end, and searches without room
    ("tolerance", lambda: evaluations.solution(FLOW, U, 0.0)),
    ("tolerance", lambda: evaluations.solution(FLOW, U, -1e-3)),
    ("tolerance", lambda: evaluations.solution(FLOW, U, NAN)),
    ("tolerance", lambda: evaluations.work(FLOW, U, U, 0.0)),
    ("tolerance", lambda: evaluations.compare_work(FLOW, U, 0)),
    ("tolerance", lambda: stability.lipschitz(drift, U, tolerance=0.0)),
    ("tolerance", lambda: stability.lipschitz(drift, U, tolerance=None)),
    ("tolerance", lambda: stability.sharpness(loss, [parameter], tolerance=-1.0)),
    ("tolerance", lambda: stability.breaking_step(lambda h: h < 1, 0.1, 10, 0.0)),
    ("tolerance", lambda: stability.breaking_step(lambda h: h < 1, 0.1, 10, NAN)),
    ("high", lambda: stability.breaking_step(lambda h: h < 1, 0.1, INF)),
    ("low", lambda: stability.breaking_step(lambda h: h < 1, 0.0, 10)),
    ("low < high", lambda: stability.breaking_step(lambda h: h < 1, 0.5, 0.1)),
    ("rests", lambda: stability.breaking_step(0.5, 0.1, 10)),
    ("above", lambda: clustering.tail_rate(T, C, above=0.0)),
    ("above", lambda: clustering.tail_rate(T, C, above=-1e-9)),
    ("below", lambda: clustering.tail_rate(T, C, below=1e-12)),
    ("most", lambda: evaluations.solution(FLOW, U, most=2)),
    ("most", lambda: evaluations.work(FLOW, U, U, most=1)),
    ("most", lambda: evaluations.solution(FLOW, U, most=1e4)),
    ("iterations", lambda: stability.lipschitz(drift, U, iterations=0)),
    ("iterations", lambda: stability.sharpness(loss, [parameter], iterations=0)),
    ("reference", lambda: evaluations.work(FLOW, U, HOLES)),
    ("reference", lambda: evaluations.work(FLOW, U, U[0])),
    ("reference", lambda: evaluations.error(U, U[:3])),
    ("field", lambda: evaluations.error(U.tolist(), U)),
    # velocities
    ("velocity", lambda: stability.rates(FLOW, U)),
    ("velocity", lambda: stability.jacobian(None, U)),
    ("velocity", lambda: stability.rates(lambda u: u.sum(), U)),
    ("velocity", lambda: stability.lipschitz(lambda u: u[:2], U)),
    ("velocity", lambda: stability.token_rates(lambda u: u[:, :3], U)),
    ("velocity", lambda: stability.outward(lambda u: None, U)),
    ("step", lambda: stability.growth(lambda u: FLOW(u), U)),
    ("u", lambda: stability.rates(drift, U.tolist())),
    ("u", lambda: stability.rates(drift, torch.arange(3))),
    ("u", lambda: stability.token_rates(drift, torch.randn(3))),
    ("u", lambda: stability.lipschitz(drift, torch.zeros(0))),
    ("rate", lambda: stability.critical_step("−1")),
    ("rate", lambda: stability.critical_step(None)),
    ("rates", lambda: stability.critical_step(complex(NAN, 1))),
    ("outward", lambda: stability.critical_step(-1.0, NAN)),
    ("outward", lambda: stability.critical_step(-1.0, torch.ones(3))),
    # losses
    ("loss", lambda: stability.sharpness(1.0, [parameter])),
    ("loss", lambda: stability.sharpness(lambda: parameter, [parameter])),
    ("loss", lambda: stability.sharpness(lambda: loss().item(), [parameter])),
    ("loss", lambda: descent.descend(lambda: torch.tensor(1.0), [parameter], 0.1)),
    ("every parameter", lambda: stability.sharpness(loss, [torch.ones(3)])),
    ("number 1", lambda: stability.sharpness(loss, [parameter, torch.ones(2, requires_grad=True)])),
    ("parameters", lambda: stability.sharpness(loss, parameter)),
    ("parameters", lambda: descent.descend(loss, iter([]), 0.1)),
    ("rate", lambda: descent.descend(loss, [parameter], NAN)),
    ("rate", lambda: descent.descend(loss, [parameter], "0.1")),
    ("steps", lambda: descent.descend(loss, [parameter], 0.1, 2.5)),
    # kernels
    ("p", lambda: kernels.entropy(P.tolist())),
    ("p", lambda: kernels.entropy(P[0])),
    ("p", lambda: kernels.reach(None)),
    ("row", lambda: kernels.entropy(P * NAN)),
    ("never negative", lambda: kernels.entropy(torch.tensor([[2.0, -1.0], [0.0, 1.0]]))),
    ("weights", lambda: kernels.entropy(P, [1, 1, 1, 1])),
    ("weights", lambda: kernels.entropy(P, torch.tensor([1.0, 0.0, 1.0, 1.0]))),
    ("allowed", lambda: kernels.evenness(P, allowed=torch.ones(4, 4))),
    ("allowed", lambda: kernels.evenness(P, allowed=torch.ones(3, 3, dtype=torch.bool))),
    ("points", lambda: kernels.reach(P, [0.0, 1, 2, 3])),
    ("points", lambda: kernels.reach(P, torch.zeros(4, 2, 2))),
    # clusters
    ("dim", lambda: clustering.particles(2.5)),
    ("β", lambda: clustering.particles(4, NAN)),
    ("β", lambda: clustering.particles(4, "strong")),
    ("steps", lambda: clustering.particles(4, steps=0)),
    ("value", lambda: clustering.particles(4, value=NAN)),
    ("n", lambda: clustering.equiangular(4.0, 0.5)),
    ("cosine", lambda: clustering.equiangular(4, NAN)),
    ("n", lambda: clustering.equiangular_rate(0.5, 1)),
    ("cosine", lambda: clustering.equiangular_rate(None, 4)),
    ("times", lambda: clustering.equiangular_cosine(0.5, 4, 1.0, None)),
    ("times", lambda: clustering.equiangular_cosine(0.5, 4, 1.0, [])),
    ("times", lambda: clustering.equiangular_cosine(0.5, 4, 1.0, [0.0, NAN])),
    ("start", lambda: clustering.equiangular_cosine(NAN, 4, 1.0, [0.0, 1.0])),
    ("substeps", lambda: clustering.equiangular_cosine(0.5, 4, 1.0, [0.0, 1.0], 0)),
    ("level", lambda: clustering.equiangular_time(0.0, "all", 4)),
    ("u", lambda: clustering.mean_cosine(U.tolist())),
    ("u", lambda: clustering.mean_cosine(U[0])),
    ("u", lambda: clustering.clusters(HOLES)),
    ("u", lambda: clustering.cosines(way)),
    ("cosine", lambda: clustering.clusters(U, NAN)),
    ("cosine", lambda: clustering.clusters(U, None)),
    ("times", lambda: clustering.collapse_time([0.0, 1.0], C[:2])),
    ("cosine", lambda: clustering.collapse_time(T, C * NAN)),
    ("level", lambda: clustering.collapse_time(T, C, NAN)),
    ("times", lambda: clustering.tail_rate(None, C)),
    ("cosine", lambda: clustering.tail_rate(T, C[:7])),
    # orders, defects, spectra
    ("errors", lambda: convergence.order(None, [1, 2])),
    ("errors", lambda: convergence.order(0.5, [1, 2])),
    ("errors", lambda: convergence.order(["a", "b"], [1, 2])),
    ("steps", lambda: convergence.order([0.1, 0.2], [None, 2])),
    ("errors", lambda: convergence.order(torch.zeros(2, 2), [1, 2])),
    ("solve(N)", lambda: convergence.errors_against(U, lambda n: FLOW(U, n), [1, 2])),
    ("solve(N)", lambda: convergence.errors_against(U, lambda n: U[0], [1, 2])),
    ("solve", lambda: convergence.errors_against(U, U, [1, 2])),
    ("reference", lambda: convergence.errors_against(way, lambda n: U, [1, 2])),
    ("steps", lambda: convergence.errors_against(U, lambda n: U, [1.5])),
    ("constraint", lambda: defects(way, Moments())),
    ("trajectory", lambda: defects(Moments(), U)),
    ("trajectory", lambda: defects(Moments(), FLOW)),
    ("attention", lambda: spectra.qk(FLOW)),
    ("attention", lambda: spectra.ov(Local(8))),
    # ranks, ratios, examples
    ("a", lambda: readings.rank_correlation([1, 2], [1, 2])),
    ("a and b", lambda: readings.rank_correlation(torch.zeros(3), torch.zeros(4))),
    ("b", lambda: readings.correlation(torch.arange(3.0), torch.tensor([NAN, 1, 2]))),
    ("z", lambda: readings.ranks(None)),
    ("every value", lambda: ratios.median_interval([1.0, NAN])),
    ("values", lambda: ratios.median_interval(3.0)),
    ("confidence", lambda: ratios.median_interval([1.0, 2.0], 95)),
    ("calls", lambda: ratios.in_turns([lambda: 0], 2)),
    ("calls['a']", lambda: ratios.in_turns({"a": 1.0}, 2)),
    ("rounds", lambda: ratios.in_turns({"a": lambda: 0}, 1.5)),
    ("ours", lambda: ratios.speed_ratio([0.0], [1.0])),
    ("call", lambda: flops.flops(MODEL(torch.arange(3)))),
    ("dim", lambda: examples.downhill_sieve("8")),
    ("spread", lambda: examples.downhill_sieve(8, 0.0)),
    ("horizon", lambda: examples.find_rest(Local(8), 8, -1)),
    ("tokens", lambda: examples.echo(0)),
    ("spread", lambda: scaling.sizes_at_width(8, NAN)),
    ("dim", lambda: scaling.sizes_at_width(8.5, 0.1)),
]


@pytest.mark.parametrize(("name", "call"), MISTAKES)
def test_a_likely_mistake_is_named_by_flowlib_itself(name, call):
    with pytest.raises((ValueError, TypeError)) as said:
        call()
    message = str(said.value)
    assert message.startswith(f"{name} must be") if len(name) == 1 else name in message
    assert "flowlib" in traceback.extract_tb(said.value.__traceback__)[-1].filename


NANS = lambda u: u * NAN


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_linear_algebra_sees_a_nan(dtype):
    """LAPACK answers one with a bare error, or ends the process (eigvals in float32)."""
    u, broken = U.to(dtype), Attention(8, 2).to(dtype)
    with torch.no_grad():
        broken.qkv.weight.fill_(NAN)
        broken.out.weight.fill_(INF)
    blown = lambda v: (v * 1e3).exp().exp()  # finite at u, and infinite in its derivative
    calls = [
        lambda f: stability.rates(f, u),
        lambda f: stability.token_rates(f, u),
        lambda f: stability.growth(f, u),
        lambda f: stability.lipschitz(f, u),
    ]
    for call in calls:
        for f in (NANS, blown):
            with pytest.raises(ValueError, match="must be finite, but entry .* look at what made it"):
                call(f)
    for found in (spectra.qk(broken), spectra.ov(broken)):
        for name in ("eigenvalues", "singular_values", "positive_share"):
            with pytest.raises(ValueError, match="must be finite"):
                getattr(found, name)


def test_exponents_of_a_derivative_that_is_none_or_nothing():
    class Bent(Local):
        def forward(self, u):
            return torch.sqrt(u - u) * u  # 0, with a derivative that is no number

    with pytest.raises(ValueError, match="the derivative of a step must be finite"):
        lyapunov.exponents(Flow([Bent(8)]), U, 2)

    class Gone(Local):
        def forward(self, u):
            return -u  # u + Δt A(u) = 0, whatever u was

    assert lyapunov.exponents(Flow([Gone(8)]), U, 2).tolist() == [-INF, -INF]


def test_numbers_of_numpy_and_tensors_count_as_numbers():
    assert evaluations.evaluations(FLOW, np.int64(2)) == evaluations.evaluations(FLOW, torch.tensor(2)) == 4
    assert stability.critical_step(-4.0, np.float64(0.0)) == stability.critical_step(-4.0, torch.tensor(0.0)) == 0.5
