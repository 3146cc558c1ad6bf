"""A flow under torch.compile, torch.export and torch.func.vmap: one graph, the same values; and what it prints."""

import subprocess
import sys

import pytest
import torch
from torch.utils._pytree import tree_map

from flowlib.fields import Grid
from flowlib.flow import SCHEMES, Flow, PerStep, Trajectory
from flowlib.operators import Attention, Local, Moments, PreNorm, Pull, Rotary, Sphere

pytestmark = pytest.mark.no_shape_check  # which no compiler can follow

FLOWS = {
    "post-norm": lambda: Flow([Attention(4, 2), Local(4)], Moments(eps=1e-5), depth=PerStep(2)),
    "exact": lambda: Flow([Attention(4, 2, causal=True), Local(4)], Moments(), "strang", PerStep(2)),
    "tangent": lambda: Flow([Attention(4), Local(4)], Moments(), "symmetrised", substep="heun", tangent=True),
    "volterra": lambda: Flow([PreNorm(Attention(4, causal="volterra"), Moments(eps=1e-5))], None, steps=2),
    "sphere": lambda: Flow([Pull(Attention(4, prepare=Rotary(4)), Sphere(), 4)], Sphere(), "additive"),
}


@pytest.fixture(params=FLOWS)
def flow(request):
    torch.manual_seed(0)
    torch._dynamo.reset()
    return FLOWS[request.param]().double()


def given():
    torch.manual_seed(1)
    u = torch.randn(3, 5, 4, dtype=torch.float64)
    return u, dict(valid=torch.arange(5) < torch.tensor([[5], [4], [2]]), weights=torch.ones(5).double())


def near(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_it_compiles_in_one_graph_with_the_same_values(flow):
    u, how = given()
    compiled = torch.compile(flow, backend="aot_eager", fullgraph=True)
    for more in ({}, how):
        near(compiled(u, **more).fields, flow(u, **more).fields)


def test_it_exports_with_the_same_values(flow):
    u, how = given()
    program = torch.export.export(flow, (u,), how).module()
    out = program(u, **how)
    assert isinstance(out, Trajectory)
    near(out.fields, flow(u, **how).fields)


BETWEEN_KNOTS = """
import torch
from flowlib.flow import Flow, PiecewiseLinear
from flowlib.operators import Attention, Local, Moments
flow = Flow([Attention(4, 2, causal=True), Local(4)], Moments(), "strang", PiecewiseLinear(2, 2)).double()
u = torch.randn(3, 5, 4, dtype=torch.float64)
exported = torch.export.export(flow, (u,), strict=True).module()
for traced in (torch.compile(flow, backend="aot_eager", fullgraph=True), exported):
    torch.testing.assert_close(traced(u).fields, flow(u).fields, rtol=0, atol=1e-12)
"""


def test_parameters_between_knots_compile_and_export_strictly():
    """In a process of its own: the modules between knots are made on the way, and the tests' shape check wraps them."""
    subprocess.run([sys.executable, "-c", BETWEEN_KNOTS], check=True, timeout=300)


def test_it_vectorises_over_fields_weights_and_padding(flow):
    u, how = given()
    w = torch.rand(3, 5, dtype=torch.float64) + 0.5
    ours = torch.func.vmap(lambda u, w, valid: flow(u, weights=w, valid=valid))(u, w, how["valid"])
    near(ours.final, flow(u, weights=w, valid=how["valid"]).final)
    assert ours.fields.shape[:2] == (3, len(flow(u)))


def test_a_trajectory_is_a_tree_of_its_tensors():
    u, _ = given()
    trajectory = FLOWS["post-norm"]().double()(u)
    half = tree_map(lambda z: z.float(), trajectory)
    assert isinstance(half, Trajectory) and half.final.dtype == half.times.dtype == torch.float32
    assert repr(half) == "Trajectory(3 times, fields float32 of shape (3, 3, 5, 4))"


def test_nothing_prints_its_tensors(flow):
    told = []
    trajectory = flow(given()[0], weights=Grid.uniform(5), watch=told.append)
    things = [flow, trajectory, told[0], Grid.gauss(3), SCHEMES["lie"], *flow.terms, *flow.constraints, flow.depth]
    for thing in things:
        assert "tensor(" not in repr(thing) and " at 0x" not in repr(thing) and repr(thing)[0].isupper()
    for setting in ("scheme=", "substep=", "tangent=", "horizon=", "steps=", "causal=", "temperature=", "dropout="):
        assert setting in repr(flow)
