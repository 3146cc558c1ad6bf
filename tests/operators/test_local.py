"""The local term acts at one token alone; which activations are proximal maps is measured on their slopes."""

import pytest
import torch
import torch.nn.functional as F

from flowlib.operators import Affine, Attention, GatedLocal, LiteralLocal, Local, Pull, Sphere
from flowlib.operators.local import ACTIVATIONS

X = torch.linspace(-8, 8, 200_001, dtype=torch.float64)


def slopes(f):
    return torch.diff(f(X)) / torch.diff(X)


@pytest.mark.claim("C5.1")
def test_a_change_at_one_token_stays_there(measured):
    torch.manual_seed(0)
    u = torch.randn(6, 8, dtype=torch.float64)
    moved = u.clone()
    moved[2] += 1
    for activation in ACTIVATIONS:
        local = Local(8, activation=activation).double()
        change = (local(moved) - local(u)).abs().amax(-1)
        assert change[2] > 0
        measured.at_most("change at the other tokens", change[[0, 1, 3, 4, 5]].max(), 0)
    attention = Attention(8, 2).double()
    change = (attention(moved) - attention(u)).abs().amax(-1)  # the non-local term moves them all
    measured.at_least("change at every token, attention", change.min(), 1e-6)


@pytest.mark.claim("C5.1")
def test_the_jacobian_is_block_diagonal_over_tokens(measured):
    torch.manual_seed(0)
    local, u = Local(3, 5, "tanh").double(), torch.randn(4, 3, dtype=torch.float64)
    jacobian = torch.func.jacrev(local)(u)  # (token, feature, token, feature)
    blocks = jacobian.abs().amax((1, 3))
    assert (blocks.diagonal() > 0).all()
    off = blocks - torch.diag(blocks.diagonal())
    measured.at_most("largest derivative off the diagonal", off.max(), 0)


@pytest.mark.claim("C5.3")
@pytest.mark.parametrize(
    "name, f", [("softplus", F.softplus), ("sigmoid", torch.sigmoid), ("tanh", torch.tanh), ("relu", F.relu)]
)
def test_proximal_maps_have_slopes_between_zero_and_one(measured, name, f):
    s = slopes(f)
    measured.at_least(f"least slope, {name}", s.min(), 0)
    measured.at_most(f"largest slope, {name}", s.max(), 1 + 1e-9)


@pytest.mark.claim("C5.3")
@pytest.mark.parametrize("name, f", [("gelu", F.gelu), ("silu", F.silu)])
def test_gelu_and_silu_are_not_monotone(measured, name, f):
    s = slopes(f)
    measured.at_most(f"least slope, {name}", s.min(), -0.05)
    measured.at_least(f"largest slope, {name}", s.max(), 1.05)


@pytest.mark.claim("C5.5")
def test_an_euler_substep_absorbs_the_identity(measured):
    """Ŵ = I + Δt W: a linear layer is one Euler step of the velocity W v + b with W = (Ŵ − I)/Δt."""
    torch.manual_seed(0)
    hat, b, v = torch.randn(5, 5).double(), torch.randn(5).double(), torch.randn(7, 5).double()
    for dt in (1.0, 0.25):
        w = (hat - torch.eye(5)) / dt
        gap = (v + dt * (v @ w.T + b / dt) - (v @ hat.T + b)).abs().max()
        measured.at_most("Euler substep against linear layer", gap, 1e-12)


@pytest.mark.claim("C5.6")
def test_literal_substeps_give_half_of_skip_plus_feed_forward(measured):
    torch.manual_seed(0)
    literal = LiteralLocal([6, 24, 6]).double()
    local = Local(6, 24, "relu").double()
    local.up.load_state_dict(literal.maps[0].state_dict())
    local.down.load_state_dict(literal.maps[1].state_dict())
    u = torch.randn(5, 6, dtype=torch.float64)
    gap = (2 * literal(u, 1.0) - (u + local(u))).abs().max()
    measured.at_most("twice the literal substeps against skip + FFN", gap, 1e-12)
    left = (literal(u, 1e-6) - u).abs().max()  # it does not tend to the identity: the sieve stays whole
    measured.at_least("literal substeps, Δt = 1e-6: moved by", left, 0.1)
    measured.at_most("local substep, Δt = 1e-6: moved by", (1e-6 * local(u)).abs().max(), 1e-5)


def test_affine_is_an_euler_step_of_a_velocity():
    affine = Affine(4).double()
    torch.nn.init.normal_(affine.scale)
    torch.nn.init.normal_(affine.shift)
    u = torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(u + affine(u), affine.scale * u + affine.shift)


def test_a_gate_is_a_product_of_two_maps():
    torch.manual_seed(0)
    gated = GatedLocal(6, 10, bias=True).double()
    u = torch.randn(5, 6, dtype=torch.float64)
    expected = gated.down(F.silu(gated.gate(u)) * gated.up(u))
    assert torch.equal(gated(u), expected)
    gated.gate.weight.data.zero_()
    gated.gate.bias.data.fill_(40.0)  # silu(40) = 40: the gate is open, and the field is affine in u
    straight = gated(u) + gated(-u) - 2 * gated(torch.zeros_like(u))
    assert straight.abs().max() < 1e-12 and GatedLocal(6).up.out_features == 24


def test_a_pull_ends_at_the_point_that_it_is_drawn_to():
    """With A(u) = c the flow on the sphere ends at c/|c|; at that point the pull is zero."""
    torch.manual_seed(0)
    constant = Local(4, 3).double()
    for p in constant.parameters():
        p.data.zero_()
    constant.down.bias.data.copy_(torch.tensor([3.0, 0.0, 4.0, 0.0]))
    pull = Pull(constant, Sphere(), 4, rate=0.5).double()
    goal = torch.tensor([0.6, 0.0, 0.8, 0.0], dtype=torch.float64)
    u = Sphere().project(torch.randn(5, 4, dtype=torch.float64))
    for _ in range(60):
        u = Sphere().project(u + pull(u))
    assert (u - goal).abs().max() < 1e-12 and pull(goal.expand(5, -1)).abs().max() < 1e-15
    assert not pull.sees_other_tokens and Pull(Attention(4), Sphere(), 4).sees_other_tokens


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="activation must be one of 'relu', .*, got 'swish'"):
        GatedLocal(4, activation="swish")
    with pytest.raises(ValueError, match="activation must be one of 'relu', .*, got 'swish'"):
        Local(4, activation="swish")
    with pytest.raises(ValueError, match="start and end with the field's own number"):
        LiteralLocal([4, 16, 5])
