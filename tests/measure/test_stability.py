"""Rates and critical steps: on linear maps, where they are known, and then where a projection changes them."""

import math

import pytest
import torch
from torchdiffeq import odeint

from flowlib.flow import Flow
from flowlib.measure.stability import (
    breaking_step,
    critical_step,
    growth,
    jacobian,
    lipschitz,
    outward,
    rates,
    sharpness,
    token_rates,
)
from flowlib.operators import Attention, Local, Moments, Sphere


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def linear(M):
    return lambda u: u @ M.T


def test_a_linear_velocity_has_the_jacobian_of_its_matrix():
    M, u = torch.randn(5, 5), torch.randn(5)
    assert torch.allclose(jacobian(linear(M), u), M, atol=1e-14)
    assert abs(lipschitz(linear(M), u, tolerance=1e-12) - torch.linalg.matrix_norm(M, 2)) < 1e-6
    expected = torch.linalg.eigvals(M)
    assert torch.allclose(rates(linear(M), u).abs().sort().values, expected.abs().sort().values, atol=1e-12)


def test_the_lipschitz_estimate_is_the_largest_singular_value_of_attention():
    attention, u = Attention(8, 2, causal=True), torch.randn(6, 8)
    exact = torch.linalg.matrix_norm(jacobian(attention, u), 2).item()
    assert abs(lipschitz(attention, u, tolerance=1e-10) / exact - 1) < 1e-5


@pytest.mark.parametrize("causal, same", [(True, True), (False, False)])
def test_under_a_causal_kernel_each_token_has_its_own_rates(causal, same):
    """The Jacobian is block triangular then: the eigenvalues of the whole are those of the blocks."""
    flow, u = Flow([Attention(6, 2, causal=causal), Local(6)], Moments()), Moments().project(torch.randn(4, 6))
    f = lambda v: flow.velocity(v, 0.0)
    gap = lambda z, w: max(
        (z[:, None] - w[None]).abs().min(1).values.max().item(), (z[:, None] - w[None]).abs().min(0).values.max().item()
    )
    apart = gap(rates(f, u), token_rates(f, u).flatten())
    assert apart < 1e-6 if same else apart > 1e-2


@pytest.mark.parametrize(
    "rate, step", [(-4.0, 0.5), (-1 + 2j, 0.4), (-0.1 + 1j, 0.2 / 1.01), (3.0, math.inf), (2j, math.inf)]
)
def test_the_critical_step_of_one_rate(rate, step):
    assert critical_step(rate) == pytest.approx(step)


def test_of_many_rates_the_strictest_dying_one_decides():
    assert critical_step(torch.tensor([-1.0, -8, 100, 0])) == pytest.approx(0.25)
    assert critical_step(torch.tensor([1.0, 0])) == math.inf


def euler(f, u, h, n):
    for _ in range(n):
        u = u + h * f(u)
    return u.norm().item()


def test_euler_on_a_linear_flow_breaks_at_the_critical_step():
    """Far from normal, too: after enough steps the rates rule. Before that, even a dying flow may grow."""
    M = torch.tensor([[-1.0, 30], [0, -4]])
    f, u = linear(M), torch.tensor([1.0, 1])
    step = critical_step(rates(f, u))
    assert step == pytest.approx(0.5)
    assert euler(f, u, 0.99 * step, 3000) < 1e-6 and euler(f, u, 1.01 * step, 3000) > 1e6
    assert euler(f, u, 0.5 * step, 2) > 4 * u.norm()  # what J is, far from normal
    assert lipschitz(f, u) > 7 * rates(f, u).abs().max()


def sieve(dim=8):
    """L(u) = −Wᵀ tanh(W u): downhill on Σ log cosh, so it comes to rest, on S1 too."""
    local = Local(dim, 4 * dim, "tanh", bias=False).requires_grad_(False)
    local.down.weight.copy_(-local.up.weight.normal_(std=dim**-0.5).T)
    return local


def echo(dim=8):
    """Attention with Q = K = V = I, which gathers all tokens at one point."""
    attention = Attention(dim, bias=False).requires_grad_(False)
    attention.qkv.weight.copy_(torch.eye(dim).repeat(3, 1))
    attention.out.weight.copy_(torch.eye(dim))
    return attention


def rest(term, S, tokens, dim=8):
    flow = Flow([term], S, tangent=True, substep="midpoint", horizon=40.0)
    return flow(S.project(torch.randn(tokens, dim)), 400, save="final").final


@torch.no_grad()
@pytest.mark.parametrize("make, S, tokens", [(sieve, Moments(), 1), (sieve, Sphere(2.0), 1), (echo, Moments(), 3)])
def test_a_projection_moves_the_critical_step(make, S, tokens):
    """Inward velocities make it shorter, outward ones longer, here infinite; tangent Euler has 2/|λ|."""
    term = make()
    u = rest(term, S, tokens)
    f = Flow([term], S)
    r, a = rates(lambda v: f.velocity(v, 0.0), u), outward(term, u)
    assert a.max() - a.min() < 1e-9
    free, held = critical_step(r), critical_step(r, a[0].item())
    one = lambda h, tangent: lambda v: Flow([term], S, tangent=tangent, horizon=h)(v, 1, save="final").final
    assert free == pytest.approx(2 / r.real.min().abs().item())
    assert growth(one(0.99 * free, True), u) <= 1 + 1e-7 < 1.01 < growth(one(1.01 * free, True), u)
    if make is echo:
        assert a[0] == pytest.approx(1) and held == math.inf and growth(one(100.0, False), u) <= 1 + 1e-7
    else:
        assert a[0] < 0 and held < free
        assert growth(one(0.99 * held, False), u) <= 1 + 1e-7 < 1.01 < growth(one(1.01 * held, False), u)


@torch.no_grad()
def test_outward_is_the_rate_at_which_the_free_velocity_stretches():
    term, S = sieve(), Moments()
    u = S.project(torch.randn(3, 8))
    spread = lambda t: odeint(lambda _, v: term(v), u, torch.tensor([0.0, t]), method="rk4")[-1].std(-1, correction=0)
    assert torch.allclose((spread(1e-4).log() - spread(-1e-4).log()) / 2e-4, outward(term, u), atol=1e-6)


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="too large"):
        jacobian(linear(torch.eye(2)), torch.zeros(3000, 2))
    with pytest.raises(ValueError, match="one text at a time"):
        token_rates(linear(torch.eye(2)), torch.zeros(1, 3, 2))
    with pytest.raises(ValueError, match="must stand still"):
        lipschitz(linear(torch.randn(50, 50)), torch.zeros(50), iterations=3)
    with pytest.raises(ValueError, match="rates must be finite"):
        critical_step(math.nan)


def test_a_scheme_breaks_where_running_it_says():
    rests = lambda h: abs(1 - 4 * h) <= 1
    assert breaking_step(rests, 0.01, 10) == pytest.approx(0.5, rel=0.01)
    assert breaking_step(rests, 0.01, 0.3) == math.inf
    with pytest.raises(ValueError, match="must come to rest at the shortest step"):
        breaking_step(rests, 1.0, 2.0)


def test_the_sharpness_is_the_largest_eigenvalue_of_the_hessian():
    half = torch.randn(6, 6)
    H, theta = half @ half.T, torch.randn(6, requires_grad=True)
    two = [torch.randn(2, requires_grad=True), torch.randn(4, requires_grad=True)]
    exact = torch.linalg.eigvalsh(H).max().item()
    assert sharpness(lambda: theta @ H @ theta / 2, [theta], tolerance=1e-9) == pytest.approx(exact, rel=1e-4)
    loss = lambda: torch.cat(two) @ H @ torch.cat(two) / 2
    assert sharpness(loss, two, tolerance=1e-9) == pytest.approx(exact, rel=1e-4)
    with pytest.raises(ValueError, match="sharpness must stand still"):
        sharpness(loss, two, iterations=2, tolerance=1e-12)


def test_what_dies_slowly_dies_and_what_only_rounds_does_not():
    assert critical_step(-1e-3 + 1j) == pytest.approx(0.002 / (1 + 1e-6))
    assert critical_step(-1e-12 + 1j) == math.inf


@pytest.mark.parametrize("edge", [0.013, 0.3, 0.77, 9.0])
def test_a_breaking_step_is_found_to_the_tolerance(edge):
    rests = lambda h: h < edge
    assert breaking_step(rests, 0.01, 10) == pytest.approx(edge, rel=0.01)
    assert breaking_step(rests, 0.01, 10, 1e-300) == pytest.approx(edge, rel=1e-14)  # round-off ends it
