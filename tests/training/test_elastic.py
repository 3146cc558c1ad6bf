"""Depth that can change: knots are doubled without loss, and a trained flow runs in any number of steps."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import flowlib
from flowlib.flow import Flow, PiecewiseLinear, double_knots
from flowlib.measure import order
from flowlib.models import FlowConfig, FlowLM, Vocabulary
from flowlib.operators import Attention, Local, Moments, PreNorm

TEXT = "the river flows, and the river remembers"


def model(**changes):
    torch.manual_seed(0)
    config = dict(
        vocabulary=Vocabulary.characters(TEXT),
        context=16,
        width=16,
        heads=2,
        layers=4,
        knots=3,
        depth="piecewise_linear",
    )
    lm = FlowLM(FlowConfig(**config | changes)).double().eval()
    for p in lm.flow.parameters():
        nn.init.normal_(p, std=0.3)
    return lm


def theta(depth, s):
    return torch.cat([p.flatten() for term in depth([s])[0] for p in term.parameters()])


def flow_of(knots, middles=False, **options):
    torch.manual_seed(0)
    pattern = [Attention(8, 2).double(), PreNorm(Local(8, 16, "tanh"), Moments()).double()]
    return Flow(pattern, Moments(), "lie", PiecewiseLinear(knots, 4, middles=middles), **options)


@pytest.mark.parametrize("middles", [False, True])
@pytest.mark.parametrize("knots", [2, 3, 5])
def test_doubled_knots_are_the_same_function_of_the_depth(knots, middles):
    coarse, fine = flow_of(knots, middles), flow_of(2 * knots - 1, middles)
    fine.load_state_dict(double_knots(coarse.state_dict(), "depth.layers."))
    for s in torch.linspace(0, 1, 33).tolist():
        torch.testing.assert_close(theta(fine.depth, s), theta(coarse.depth, s), rtol=0, atol=1e-12)
    u0 = torch.randn(5, 8, dtype=torch.float64)
    for steps in (1, 3, 4, 8):
        torch.testing.assert_close(fine(u0, steps).fields, coarse(u0, steps).fields, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scheme", ["lie", "strang"])
def test_an_elastic_model_is_the_discrete_one_in_as_many_steps_as_layers(scheme):
    """Knots in the middles of the steps: the same bits, the same gradients, no interpolation; and it can be refined."""
    elastic, discrete = (model(depth=d, knots=None, layers=7, scheme=scheme) for d in ("elastic", "per_step"))
    tokens = torch.randint(0, len(elastic.config.vocabulary), (2, 9))
    assert torch.equal(elastic(tokens), discrete(tokens))
    for lm in (elastic, discrete):
        lm.loss(tokens, tokens).backward()
    assert all(torch.equal(p.grad, q.grad) for p, q in zip(elastic.parameters(), discrete.parameters()))
    assert elastic.flow.depth([0.5 / 7])[0][0] is elastic.flow.depth([0.0])[0][0]  # constant beyond the ends
    assert not torch.equal(elastic(tokens, 14), discrete(tokens, 14))
    torch.testing.assert_close(elastic.double_knots()(tokens), elastic(tokens), rtol=0, atol=1e-12)


def test_a_doubled_model_says_the_same():
    lm = model()
    fine = lm.double_knots()
    assert fine.config.knots == 5 and fine.config.layers == 4 and not fine.training
    tokens = torch.randint(0, len(lm.config.vocabulary), (2, 9))
    for steps in (None, 2, 7):
        torch.testing.assert_close(fine(tokens, steps), lm(tokens, steps), rtol=0, atol=1e-12)
    assert fine.double_knots().config.knots == 9


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: model(depth="per_step", knots=None).double_knots(), "only elastic and piecewise_linear .* have knots"),
        (lambda: model(knots=1).double_knots(), "at least 2 knots"),
        (lambda: double_knots({"weight": torch.ones(1)}), "at least 2 knots under 'layers.', got 0"),
        (lambda: PiecewiseLinear(3, 1, middles=True), "one step has one middle"),
        (lambda: PiecewiseLinear(3, 0), "steps must be a whole number ≥ 1"),
        (lambda: FlowConfig(knots=3), "belong to depth elastic or piecewise_linear; got 3 for per_step"),
        (lambda: FlowConfig(knots=0, depth="piecewise_linear"), "knots must be ≥ 1"),
        (lambda: FlowConfig(first="both"), "unknown first 'both'; known: attention, local"),
        (lambda: FlowConfig(substep="rk8"), "unknown substep 'rk8'; known: euler"),
        (lambda: FlowConfig(norm="pre", tangent=True), "tangent needs a constraint"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_gradients_are_shared_among_the_knots_beside_a_step():
    """With hats h_k(t): ∂loss/∂θ_k = Σ_n h_k(t_n) ∂loss/∂θ(t_n), and a fine knot has half of its neighbours' width."""
    depth = PiecewiseLinear(3, 4).attach([nn.Linear(2, 2)])
    sum(term[0].weight.sum() for term in depth([1 / 8, 3 / 8, 5 / 8, 7 / 8])).backward()
    assert [layer[0].weight.grad.unique().tolist() for layer in depth.layers] == [[1.0], [2.0], [1.0]]


def test_a_term_at_a_depth_is_a_module_like_any_other():
    """Its kernel, its children and its gradients are those of that depth, and the knots stay as they are."""
    flow = flow_of(2)
    attention, local = flow.depth([0.25])[0]
    u = torch.randn(4, 8, dtype=torch.float64)
    own = Attention(8, 2).double()
    own.load_state_dict({name: p.detach() for name, p in attention.named_parameters()})
    torch.testing.assert_close(attention.kernel(u), own.kernel(u))
    assert isinstance(attention.qkv, nn.Linear) and isinstance(local.term.up, nn.Linear)
    before = [p.clone() for p in flow.parameters()]
    attention(u).sum().backward()
    assert all(torch.equal(p, q) for p, q in zip(flow.parameters(), before))
    assert flow.depth.layers[0][0].qkv.weight.grad is not None


def test_any_number_of_steps_tends_to_one_flow():
    """Parameters continuous in t, fewer knots than steps: first order in the step, as the scheme has it."""
    flow, steps = flow_of(3, horizon=1.0), [32, 64, 128, 256]
    u0 = torch.randn(5, 8, dtype=torch.float64)
    with torch.no_grad():
        exact = flow.by("strang", substep="midpoint", tangent=True)(Moments().project(u0), 2048, save="final").final
        errors = [(flow(Moments().project(u0), n, save="final").final - exact).abs().max() for n in steps]
    assert order(errors, steps) == pytest.approx(1, abs=0.06)


def test_the_same_equation_by_another_scheme_shares_its_parameters():
    flow = flow_of(3)
    other = flow.by("strang", substep="heun", tangent=True)
    assert other.depth is flow.depth and (flow.scheme.name, flow.tangent, flow.substep) == ("lie", False, "euler")
    assert (other.scheme.name, other.tangent, other.substep) == ("strang", True, "heun")
    with pytest.raises(ValueError, match="unknown scheme"):
        flow.by("leapfrog")
    with pytest.raises(ValueError, match="substep must be one of"):
        flow.by("lie", substep="rk8")
    with pytest.raises(ValueError, match="one and the same constraint"):
        Flow([Local(4, 4)]).by("lie", tangent=True)


@pytest.mark.since_torch("2.12")  # older ones cannot follow how `between` makes its module
def test_it_compiles_to_one_graph():
    """In a process of its own, since torch.compile cannot follow the shape checks of these tests."""
    script = (
        "import torch; from flowlib.models import FlowConfig, FlowLM;"
        "lm = FlowLM(FlowConfig(context=8, width=8, heads=2, layers=4, depth='piecewise_linear', knots=3));"
        "tokens = torch.randint(0, 256, (2, 8));"
        "torch.testing.assert_close(torch.compile(lm, backend='eager', fullgraph=True)(tokens), lm(tokens))"
    )
    root = Path(flowlib.__file__).parents[1]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True)


def test_macaron_and_the_sphere():
    """Strang from the other end: half the feed-forward network, attention, the other half; and RMS norm's sphere."""
    lm = model(scheme="strang", first="local", norm="sphere", substep="midpoint", tangent=True)
    assert [type(term).__name__ for term in lm.flow.depth.layers[0]] == ["Local", "Attention"]
    fields = lm.trajectory("the river", 6).fields
    assert lm.constraint.defect(fields[1:]).max() < 1e-3 and lm.constraint.radius == 4.0
    torch.testing.assert_close(fields[1].norm(dim=-1), torch.full((9,), 4.0, dtype=torch.float64), rtol=1e-4, atol=0)


def test_older_configurations_mean_what_they_meant():
    config = FlowConfig(depth="piecewise_linear")
    assert not {"knots", "first", "substep", "tangent"} & set(config.to_dict())
    assert FlowConfig.from_dict(config.to_dict()) == config
    changed = FlowConfig(depth="piecewise_linear", knots=2, tangent=True, first="local", substep="heun")
    assert FlowConfig.from_dict(changed.to_dict()) == changed
    assert FlowLM(config).flow.depth.copies == 5
