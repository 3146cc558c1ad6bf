"""Macaron and nGPT, built from terms and a scheme, against their published formulas written out."""

import pytest
import torch
import torch.nn.functional as F

from flowlib.flow import Flow
from flowlib.measure.convergence import order
from flowlib.models.zoo import ARCHITECTURES, describe, macaron, ngpt
from flowlib.operators import Local, Moments, Rotary

WIDTH, HEADS, LAYERS, HIDDEN = 12, 3, 3, 20
ROWS = {row.name: row for row in ARCHITECTURES}


def randomised(flow, spread=0.4):
    for p in flow.parameters():
        p.data += spread * torch.randn_like(p)
    return flow.double().requires_grad_(False)


def field(sphere=False):
    torch.manual_seed(1)
    u = torch.randn(2, 6, WIDTH, dtype=torch.float64)
    return F.normalize(u, dim=-1) if sphere else Moments().project(u)


def heads(z):
    return z.unflatten(-1, (HEADS, -1)).transpose(1, 2)


@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("shared", [False, True], ids=["two local terms", "one local term"])
def test_macaron(measured, shared):
    """x ← LN(x + ½ FFN x), LN(x + attention x), LN(x + ½ FFN' x), the layer norm without learned scale."""
    torch.manual_seed(0)
    flow, u = randomised(macaron(WIDTH, HEADS, LAYERS, HIDDEN, shared=shared)), field()
    x = u
    for layer in flow.depth.layers:
        first, kernel, second = (layer[0], layer[1], layer[0]) if shared else layer
        for ffn in (first, None, second):
            if ffn is None:
                q, k, v = (heads(z) for z in F.linear(x, kernel.qkv.weight, kernel.qkv.bias).chunk(3, -1))
                gamma = (q @ k.mT / (WIDTH / HEADS) ** 0.5).softmax(-1)
                x = x + F.linear((gamma @ v).transpose(1, 2).flatten(2), kernel.out.weight, kernel.out.bias)
            else:
                x = x + F.linear(F.linear(x, ffn.up.weight, ffn.up.bias).relu(), ffn.down.weight, ffn.down.bias) / 2
            x = F.layer_norm(x, x.shape[-1:], eps=1e-5)
    measured.at_most("Macaron, float64", (flow(u).final - x).abs().max() / x.abs().max(), 1e-12)
    single = (flow.float()(u.float()).final - x).abs().max() / x.abs().max()
    measured.at_most("Macaron, float32", single, 1e-5)


def published_ngpt(x, layer, s_up, s_gate):
    """One layer as Loshchilov et al. write it, with matrices whose rows (columns) have length 1."""
    attention, local = layer[0].term, layer[1].term
    d, unit = WIDTH // HEADS, lambda z: F.normalize(z, dim=-1)
    turn, scale = Rotary(d), attention.prepare.scale
    q, k, v = (heads(x @ w.T) for w in attention.qkv.weight.chunk(3))
    q, k = (scale * unit(turn(z)) for z in (q, k))
    scores = (q @ k.mT * d**0.5).masked_fill(~torch.ones(6, 6, dtype=torch.bool).tril(), float("-inf"))
    target = unit((scores.softmax(-1) @ v).transpose(1, 2).flatten(2) @ attention.out.weight.T)
    x = unit(x + layer[0].rate * (target - x))
    up = s_up * (x @ unit(local.up.weight).T)
    gate = s_gate * WIDTH**0.5 * (x @ unit(local.gate.weight).T)
    target = unit((up * F.silu(gate)) @ local.down.weight.T)
    return unit(x + layer[1].rate * (target - x))


@pytest.mark.claim("C11.1")
def test_ngpt(measured):
    torch.manual_seed(0)
    flow, x = ngpt(WIDTH, HEADS, LAYERS, HIDDEN, rate=0.2).double().requires_grad_(False), field(sphere=True)
    u = x
    for layer in flow.depth.layers:
        s_up, s_gate = torch.rand(2, HIDDEN, dtype=torch.float64) + 0.5
        local = layer[1].term  # a learned scale is the length of a row
        local.up.weight.copy_(s_up[:, None] * F.normalize(local.up.weight, dim=1))
        local.gate.weight.copy_(s_gate[:, None] * WIDTH**0.5 * F.normalize(local.gate.weight, dim=1))
        layer[0].term.prepare.scale += 0.3 * torch.randn(HEADS, 1, WIDTH // HEADS, dtype=torch.float64)
        layer[0].rate += 0.1 * torch.rand(WIDTH, dtype=torch.float64)
        x = published_ngpt(x, layer, s_up, s_gate)
    found = flow(u)
    measured.at_most("nGPT, float64", (found.final - x).abs().max() / x.abs().max(), 1e-12)
    measured.at_most("nGPT, distance from the sphere", (found.fields.norm(dim=-1) - 1).abs().max(), 1e-14)
    single = (flow.float()(u.float()).final - x).abs().max() / x.abs().max()
    measured.at_most("nGPT, float32", single, 1e-5)


def test_ngpt_starts_with_unit_rows_and_columns():
    layer = ngpt(WIDTH, HEADS, 2, HIDDEN).depth.layers[1]
    attention, local = layer[0].term, layer[1].term
    for rows in (attention.qkv.weight, attention.out.weight.T, local.up.weight, local.down.weight.T):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    torch.testing.assert_close(local.gate.weight.norm(dim=1), torch.full((HIDDEN,), WIDTH**0.5))


ORDERS = [
    ("Macaron with one local term", lambda: macaron(WIDTH, HEADS, 1, HIDDEN, shared=True, activation="tanh"), False),
    ("nGPT", lambda: ngpt(WIDTH, HEADS, 1, HIDDEN, rate=0.2), True),
]


@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("name, make, sphere", ORDERS, ids=[row[0] for row in ORDERS])
def test_they_are_steps_of_a_flow(measured, name, make, sphere):
    """Euler substeps and plain projection: order 1, Strang or not; tangent midpoint substeps under Strang: order 2."""
    torch.manual_seed(0)
    flow, u = make().double().requires_grad_(False), field(sphere)
    second = flow.by("strang", substep="midpoint", tangent=True)
    exact = second(u, 384, save="final").final
    steps = torch.tensor([12, 24, 48])
    for kind, scheme, expected in (("Euler substeps", flow, 1), ("tangent midpoint substeps", second, 2)):
        errors = [(scheme(u, n, save="final").final - exact).norm().item() for n in steps.tolist()]
        measured.near(f"order of {name}, {kind}", order(errors, steps.tolist()), expected, within=0.06)


def test_rows_of_the_table():
    flows = {"Macaron": macaron(WIDTH, HEADS, 1), "nGPT": ngpt(WIDTH, HEADS, 1)}
    for name, flow in flows.items():
        assert describe(flow, name, ROWS[name].source, ROWS[name].exact) == ROWS[name]
    assert describe(macaron(WIDTH, HEADS, 1, shared=True)).scheme == "strang"
    assert len(ROWS) == len(ARCHITECTURES)


def test_what_has_no_row():
    with pytest.raises(ValueError, match="lacks one of them"):
        describe(Flow([Local(4)]))
    with pytest.raises(ValueError, match="multiple of heads"):
        macaron(10, 3, 1)
    with pytest.raises(ValueError, match="multiple of heads"):
        ngpt(10, 4, 1)
    with pytest.raises(ValueError, match="must be even"):
        ngpt(9, 3, 1)
