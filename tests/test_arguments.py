"""A likely mistake is met in words, by flowlib itself, and the message names the argument."""

import traceback

import numpy as np
import pytest
import torch

from flowlib.arguments import describe
from flowlib.fields import Grid
from flowlib.flow import Constant, Flow, PerStep, PiecewiseLinear, Scheme, double_knots, paper_substeps
from flowlib.flow.conditions import order_of, shares
from flowlib.operators import (
    Affine,
    Attention,
    GatedLocal,
    LiteralLocal,
    Local,
    Moments,
    Neighbourhood,
    NonNegative,
    Normalise,
    PreNorm,
    Pull,
    Rotary,
    Sphere,
    UnitLength,
    attend,
    project_moments,
    project_nonnegative,
    project_sphere,
)

nan, inf = float("nan"), float("inf")
u, z, w = torch.randn(2, 5, 4), torch.randn(5, 4), torch.ones(5)
yes = torch.ones(5, dtype=torch.bool)


def flow(**how):
    return Flow([Attention(4), Local(4)], Moments(eps=1e-5), **how)


def near(points):
    return Flow([Attention(4, near=Neighbourhood(4, 0.1))])(u, weights=points)


def scheme_of(paths):
    return lambda: flow(scheme=Scheme("mine", 1, paths))


CALLS = {
    # grids
    "points": [
        lambda: Grid([[0.0], [1.0]], torch.ones(2)),
        lambda: Grid(np.zeros((2, 1)), torch.ones(2)),
        lambda: Grid(None, w),
        lambda: Grid(torch.zeros(5, 1, dtype=torch.complex64), w),
        lambda: Grid(torch.zeros(5), w),
        lambda: Grid(torch.full((5, 1), nan), w),
        lambda: Grid.scattered([0.1, 0.4]),
        lambda: Grid.scattered(np.array([0.1, 0.4])),
        lambda: Grid.scattered(torch.tensor(0.3)),
        lambda: near(Grid.uniform(5).to(torch.float32)),
    ],
    "weights": [
        lambda: Grid(torch.zeros(5, 1), [1, 1, 1, 1, 1]),
        lambda: Grid(torch.zeros(5, 1), torch.ones(4)),
        lambda: Grid(torch.zeros(5, 1), yes),
        lambda: attend(z, z, z, [1.0] * 5),
        lambda: attend(z, z, z, np.ones(5)),
        lambda: attend(z, z, z, torch.ones(4)),
        lambda: attend(z, z, z, torch.ones(3, 5)),
        lambda: attend(z, z, z, -w),
        lambda: attend(z, z, z, yes),
        lambda: attend(z, z, z, w.to("meta")),
        lambda: flow()(u, weights=[1.0] * 5),
        lambda: flow()(u, weights=torch.ones(4)),
        lambda: flow()(u, weights=torch.ones(3, 5)),
        lambda: flow()(u, weights=Grid.uniform(6)),
        lambda: flow()(u, weights=w * nan),
        lambda: flow()(u, weights=w.to("meta")),
        lambda: flow()(u, weights="equal"),
        lambda: near(None),
        lambda: project_moments(z, weights=torch.ones(3)),
        lambda: project_moments(z, weights=[1.0] * 4),
        lambda: Moments(weights=torch.zeros(4)),
        lambda: Moments(weights=-torch.ones(4)),
        lambda: Moments(weights=torch.ones(2, 4)),
        lambda: Moments(weights=[1.0] * 4),
        lambda: Moments(weights=torch.ones(3)).project(u),
        lambda: Moments(weights=torch.ones(1)).project(u),
    ],
    "n must be": [
        lambda: Grid.uniform(0),
        lambda: Grid.uniform(4.0),
        lambda: Grid.uniform("4"),
        lambda: Grid.uniform(True),
        lambda: Grid.gauss(2.5),
        lambda: Grid.graded(None),
        lambda: PerStep(True),
        lambda: PerStep(2.0),
    ],
    "rule": [lambda: Grid.uniform(4, "simpson"), lambda: Grid.uniform(4, None)],
    "domain": [
        lambda: Grid.uniform(4, domain=1.0),
        lambda: Grid.uniform(4, domain=(0, 1, 2)),
        lambda: Grid.uniform(4, domain=("0", 1)),
        lambda: Grid.uniform(4, domain=(1, 0)),
        lambda: Grid.gauss(4, domain=(0, inf)),
    ],
    "power": [lambda: Grid.graded(4, "2"), lambda: Grid.graded(4, nan), lambda: Grid.graded(4, 0.5)],
    "measure": [lambda: Grid.scattered(w, measure="1"), lambda: Grid.scattered(w, measure=-1.0)],
    "grid": [lambda: Grid.product(), lambda: Grid.product(Grid.uniform(2), 3), lambda: Grid.product([Grid.uniform(2)])],
    "values": [
        lambda: Grid.uniform(3).integrate([1.0, 2.0, 3.0]),
        lambda: Grid.uniform(3).integrate(np.ones(3)),
        lambda: Grid.uniform(3).integrate(lambda x: 3.0),
        lambda: Grid.uniform(3).integrate(torch.ones(4)),
        lambda: Grid.uniform(3).integrate(None),
    ],
    "dim": [
        lambda: Grid.uniform(3).integrate(torch.ones(3), dim=2),
        lambda: Grid.uniform(3).integrate(torch.ones(3), dim="x"),
        lambda: Attention(4.0),
        lambda: Attention(0),
        lambda: Attention(6, 4),
        lambda: Local("4"),
        lambda: GatedLocal(-1),
        lambda: Affine(2.0),
        lambda: Rotary(3),
        lambda: Rotary(4.0),
        lambda: Neighbourhood(0, 0.1),
        lambda: Pull(Local(4), Sphere(), 0),
    ],
    # kernels
    "q": [
        lambda: attend(z.tolist(), z, z),
        lambda: attend(z.numpy(), z, z),
        lambda: attend(None, z, z),
        lambda: attend(z.long(), z, z),
        lambda: attend(z.double(), z, z),
        lambda: attend(z[0], z, z),
        lambda: attend(z[:, :3], z, z),
        lambda: attend(z * nan, z, z),
    ],
    "k": [lambda: attend(z, z.to("meta"), z), lambda: attend(u, torch.randn(3, 5, 4), u), lambda: attend(z, "k", z)],
    "v": [lambda: attend(z, z, z.half()), lambda: attend(z, z, z * inf), lambda: attend(z, z, z[:4])],
    "causal": [
        lambda: attend(z, z, z, causal="Volterra"),
        lambda: attend(z, z, z, causal=1),
        lambda: attend(z, z, z, causal=None),
        lambda: attend(z[:3], z, z, causal=True),
        lambda: Attention(4, causal="Volterra"),
        lambda: Attention(4, causal=0),
        lambda: Attention(4, causal=["volterra"]),
    ],
    "temperature": [
        *(lambda t=t: attend(z, z, z, temperature=t) for t in (0, -1.0, nan, inf, "1", None, True)),
        *(lambda t=t: Attention(4, temperature=t) for t in (0.0, -1.0, nan, inf, 1e-40, "1", torch.ones(2))),
    ],
    "mask": [
        lambda: attend(z, z, z, mask=torch.ones(5, 5)),
        lambda: attend(z, z, z, mask=[[True] * 5] * 5),
        lambda: attend(z, z, z, mask=np.ones((5, 5), dtype=bool)),
        lambda: attend(z, z, z, mask=yes[:4]),
        lambda: flow()(u, mask=w),
        lambda: flow()(u, mask=[True] * 5),
        lambda: flow()(u, mask=yes[:4]),
        lambda: flow()(u, mask=yes.expand(3, 5)),
        lambda: flow()(u, mask=yes.expand(7, 5, 5)),
        lambda: flow()(u, mask=yes.to("meta")),
        lambda: flow()(torch.randn(5, 5, 4), mask=yes.expand(5, 5)),
        lambda: flow().maps(torch.randn(5, 5, 4), mask=yes.expand(5, 5)),
        lambda: flow().velocity(torch.randn(5, 5, 4), 0.0, mask=yes.expand(5, 5)),
    ],
    "valid": [
        lambda: flow()(u, valid=w),
        lambda: flow()(u, valid=[True] * 5),
        lambda: flow()(u, valid=yes[:4]),
        lambda: flow()(u, valid=yes[:1]),
        lambda: flow()(u, valid=yes.expand(2, 5, 5)),
        lambda: flow().maps(u, valid=w),
        lambda: flow().velocity(u, 0.0, valid=w),
    ],
    "heads": [lambda: Attention(4, 0), lambda: Attention(4, True), lambda: Attention(4, 2.0), lambda: UnitLength(0, 4)],
    "head_dim": [lambda: Attention(4, head_dim=0), lambda: Attention(4, head_dim=2.5), lambda: UnitLength(1, 0)],
    "dropout": [lambda p=p, T=T: T(4, dropout=p) for p in (-0.1, 1.0, nan, "0.1") for T in (Attention, Local)],
    "bias": [lambda: Attention(4, bias=None), lambda: Local(4, bias="no"), lambda: Affine(4, bias=1)],
    "prepare": [lambda: Attention(4, prepare="rotary")],
    "near": [lambda: Attention(4, near=0.1)],
    "base": [lambda b=b: Rotary(4, b) for b in (0, -1.0, nan, inf, "10000")],
    "precision": [lambda: Rotary(4, precision=torch.int64), lambda: Rotary(4, precision="float32")],
    "spacing": [lambda s=s: Neighbourhood(4, s) for s in (0, -1.0, nan, inf, "0.1")],
    "size": [lambda: Neighbourhood(4, 0.1, 2), lambda: Neighbourhood(4, 0.1, 3.0)],
    # local terms
    "hidden": [lambda: Local(4, 0), lambda: Local(4, 2.5), lambda: GatedLocal(4, -1)],
    "activation": [lambda: Local(4, activation="swish"), lambda: GatedLocal(4, activation=torch.relu)],
    "widths": [lambda k=k: LiteralLocal(k) for k in ([4], [4, 8, 5], 4, [4, 8.0, 4])],
    "constraint": [
        lambda: PreNorm(Local(4), "norm"),
        lambda: Normalise(None),
        lambda: Pull(Local(4), None, 4),
        lambda: Flow([Local(4)], "moments"),
        lambda: Flow([Local(4)], [torch.nn.LayerNorm(4)]),
        lambda: Flow([Local(4)], [Moments(), None]),
    ],
    "rate": [lambda: Pull(Local(4), Sphere(), 4, nan), lambda: Pull(Local(4), Sphere(), 4, "0.1")],
    # projections
    "v must be": [
        lambda: project_moments(z.tolist()),
        lambda: project_moments(z.numpy()),
        lambda: project_moments(z.long()),
        lambda: project_nonnegative(None),
        lambda: project_nonnegative([1.0, -1.0]),
        lambda: project_sphere(z.long()),
        lambda: project_sphere(torch.tensor(1.0)),
        lambda: Moments().project(z.numpy()),
        lambda: Sphere().project([1.0]),
        lambda: NonNegative().project(z.numpy()),
        lambda: Moments()(z.long()),
    ],
    "std": [
        *(lambda s=s: Moments(std=s) for s in (0.0, -1.0, nan, inf, "1", None, torch.tensor([1.0, 0.0]))),
        *(lambda s=s: project_moments(z, std=s) for s in (0, nan, "1", -torch.ones(5, 1))),
    ],
    "mean": [lambda m=m: Moments(mean=m) for m in (nan, inf, "0", None, torch.tensor(nan))]
    + [lambda: project_moments(z, nan)],
    "eps": [lambda e=e, T=T: T(eps=e) for e in (-1.0, nan, inf, "0", None) for T in (Moments, Sphere)],
    "radius": [lambda r=r: Sphere(r) for r in (0.0, -1.0, nan, inf, "1")] + [lambda: project_sphere(z, nan)],
    # flows
    "u0": [
        lambda: flow()(u.tolist()),
        lambda: flow()(u.numpy()),
        lambda: flow()(None),
        lambda: flow()(u.long()),
        lambda: flow()(u.to(torch.complex64)),
        lambda: flow()(u.double()),
        lambda: flow()(u.half()),
        lambda: flow()(u[..., :3]),
        lambda: flow()(u[0, 0]),
        lambda: flow()(u[:, :0]),
        lambda: flow()(u.to("meta")),
        lambda: flow()(u * nan),
        lambda: flow().maps(u.long()),
        lambda: flow().velocity(u.double(), 0.0),
        lambda: Flow([Affine(4)])(u[..., :1]),
        lambda: Flow([GatedLocal(3)])(u),
        lambda: Flow([LiteralLocal([3, 5, 3])])(u),
        lambda: Attention(4)(u[..., :3]),
        lambda: Attention(4)(u[0, 0]),
        lambda: Local(4)(u.tolist()),
    ],
    "steps": [
        *(lambda n=n: flow()(u, n) for n in (2.0, 0, -1, True, "2", nan)),
        lambda: flow().maps(u, 2.5),
        lambda: flow(steps=0),
        lambda: flow(steps=2.0),
        lambda: Constant(0),
        lambda: Constant(True),
        lambda: PiecewiseLinear(2, 1.5),
    ],
    "save": [lambda: flow()(u, save="al"), lambda: flow()(u, save=True), lambda: flow()(u, save=["all"])],
    "past": [lambda p=p: Flow([Attention(4, causal=True)])(u, past=p) for p in ([], 3)],
    "watch": [lambda: flow()(u, watch=[])],
    "t must be": [lambda: flow().velocity(u, "0"), lambda: flow().velocity(u, nan)],
    "terms": [
        lambda: Flow(Local(4)),
        lambda: Flow("attention"),
        lambda: Flow([torch.nn.Linear(4, 4)]),
        lambda: order_of("lie", 0),
        lambda: shares("lie", 2.0),
    ],
    "term": [lambda: Flow([]), lambda: PreNorm(torch.nn.Linear(4, 4), Moments())],
    "scheme": [
        lambda: flow(scheme="leapfrog"),
        lambda: flow(scheme=None),
        lambda: flow(scheme=["lie"]),
        lambda: flow().by("leapfrog"),
        lambda: flow().by(2),
        lambda: order_of("leapfrog"),
    ],
    "paths": [
        lambda: Scheme("mine", 1, [(1.0, ((0, 1.0),))]),
        scheme_of(lambda n: []),
        scheme_of(lambda n: None),
        scheme_of(lambda n: [(1.0, ((2, 1.0),))]),
        scheme_of(lambda n: [(1.0, ((-1, 1.0),))]),
        scheme_of(lambda n: [(nan, ((0, 1.0), (1, 1.0)))]),
        scheme_of(lambda n: [(1.0, ((0, "1"),))]),
        scheme_of(lambda n: [(1.0, (0, 1))]),
        scheme_of(lambda n: [((0, 1.0), (1, 1.0), (0, 1.0))]),
        lambda: order_of(Scheme("mine", 1, lambda n: [(1.0, ((5, 1.0),))])),
    ],
    "name": [lambda: Scheme(None, 1, lambda n: []), lambda: double_knots({"layers.x.weight": w})],
    "order": [lambda: Scheme("mine", "2", lambda n: []), lambda: Scheme("mine", -1, lambda n: [])],
    "depth": [lambda: flow(depth=3), lambda: flow(depth="per_step"), lambda: flow(depth=PerStep)],
    "substep": [lambda: flow(substep="rk8"), lambda: flow(substep=["euler"]), lambda: flow().by("lie", substep=None)],
    "tangent": [lambda: flow(tangent="yes"), lambda: flow().by("lie", tangent=1)],
    "horizon": [lambda T=T: flow(horizon=T) for T in (0, -1.0, nan, inf, "1")],
    "readout": [lambda: flow(readout=torch.relu)],
    "knots": [lambda: PiecewiseLinear(0), lambda: PiecewiseLinear(2.0), lambda: PiecewiseLinear(True)],
    "middles": [lambda: PiecewiseLinear(3, middles="yes")],
    "tensors": [lambda: double_knots([w])],
    "J": [lambda: paper_substeps(0), lambda: paper_substeps(1.5), lambda: paper_substeps("2")],
}  # fmt: skip
TABLE = [(name, k, call) for name, calls in CALLS.items() for k, call in enumerate(calls)]


@pytest.mark.no_shape_check
@pytest.mark.parametrize("name, call", [(name, call) for name, _, call in TABLE], ids=[f"{n} {k}" for n, k, _ in TABLE])
def test_a_likely_mistake_is_met_in_words(name, call):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    where = traceback.extract_tb(caught.value.__traceback__)[-1].filename
    assert "/flowlib/" in where, f"raised by {where}: {caught.value}"
    assert name in str(caught.value)


def test_a_value_is_told_without_its_entries():
    assert describe(torch.ones(2, 3)) == "float32 of shape (2, 3)"
    assert describe(np.ones(3)) == "a numpy array of shape (3,)"
    assert describe([1, 2]) == "a list of 2" and describe("al") == "'al'" and describe(torch.relu) == "relu"
