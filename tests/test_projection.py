"""Constraints: projections are nearest points, ε is what it is said to be, tangents are tangent."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlib.fields import Grid
from flowlib.operators import Moments, NonNegative, Sphere, project_moments, project_nonnegative, project_sphere


def on_s1(*shape, mean=0.0, std=1.0):
    return project_moments(torch.randn(*shape, dtype=torch.float64), mean, std)


@pytest.mark.claim("C4.1")
@given(st.integers(2, 9), st.floats(-2, 2), st.floats(0.1, 3), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_layer_norm_is_the_nearest_point_of_s1(d, mean, std, seed):
    torch.manual_seed(seed)
    v = torch.randn(4, d, dtype=torch.float64)
    p = project_moments(v, mean, std)
    torch.testing.assert_close(p.mean(-1), torch.full((4,), mean, dtype=torch.float64))
    torch.testing.assert_close(p.std(-1, correction=0), torch.full((4,), std, dtype=torch.float64))
    others = on_s1(
        500, 4, d, mean=mean, std=std
    )  # a nearly constant draw lands on S1 with its round-off magnified (C4.4)
    assert ((others - v).norm(dim=-1) >= (p - v).norm(dim=-1) - 1e-9).all()


@pytest.mark.claim("C4.1")
def test_nearest_point_with_weights_over_the_features():
    torch.manual_seed(0)
    w = Grid.graded(6, 2.0).weights
    v = torch.randn(5, 6, dtype=torch.float64)
    p = project_moments(v, 0.3, 2.0, weights=w)
    distance = lambda a: ((a - v) ** 2 * w).sum(-1)
    others = project_moments(torch.randn(500, 5, 6, dtype=torch.float64), 0.3, 2.0, weights=w)
    assert (distance(others) >= distance(p) - 1e-12).all()
    torch.testing.assert_close((p * w).sum(-1) / w.sum(), torch.full((5,), 0.3, dtype=torch.float64))


@pytest.mark.claim("C4.2")
def test_projections_are_idempotent():
    torch.manual_seed(0)
    v = torch.randn(6, 8, dtype=torch.float64)
    for p in (lambda z: project_moments(z, 0.5, 2.0), project_nonnegative, lambda z: project_sphere(z, 3.0)):
        torch.testing.assert_close(p(p(v)), p(v), rtol=0, atol=1e-14)


@pytest.mark.claim("C4.3")
def test_epsilon_sets_the_spread():
    torch.manual_seed(0)
    for scale in (1e-4, 1e-2, 1.0):
        v = scale * torch.randn(7, 16, dtype=torch.float64)
        s = v.std(-1, correction=0)
        out = project_moments(v, eps=1e-5)
        torch.testing.assert_close(out.std(-1, correction=0), s / (s**2 + 1e-5).sqrt(), rtol=0, atol=1e-12)
        torch.testing.assert_close(out, F.layer_norm(v, (16,), eps=1e-5), rtol=0, atol=1e-12)


@pytest.mark.claim("C4.4")
def test_not_non_expansive_local_lipschitz_is_std_over_spread():
    torch.manual_seed(0)
    for s in (0.1, 0.5, 2.0):
        v = on_s1(16, std=s)
        jacobian = torch.func.jacrev(lambda z: project_moments(z, std=1.5))(v)
        assert torch.linalg.matrix_norm(jacobian, 2) == pytest.approx(1.5 / s, rel=1e-10)
    a, b = on_s1(16, std=0.01), on_s1(16, std=0.01)
    assert (project_moments(a) - project_moments(b)).norm() > 50 * (a - b).norm()  # nearby points are torn apart


@pytest.mark.claim("C4.5")
def test_constant_token_is_equally_far_from_all_of_s1():
    v = torch.full((8,), 0.7, dtype=torch.float64)
    distances = (on_s1(1000, 8) - v).norm(dim=-1)
    torch.testing.assert_close(distances, torch.full_like(distances, math.sqrt(8 * (0.7**2 + 1))))
    with pytest.raises(ValueError, match="constant over its features"):
        project_moments(torch.stack([on_s1(8), v]))
    assert torch.equal(project_moments(v, mean=0.2, eps=1e-5), torch.full_like(v, 0.2))


def test_inside_a_flow_a_constant_token_goes_to_its_mean_with_a_finite_gradient():
    v = torch.full((2, 4), 3.0, dtype=torch.float64, requires_grad=True)
    out = Moments(mean=0.5)(v)
    assert (out == 0.5).all() and (Moments(mean=0.5).defect(out) > 0.9).all()
    out.sum().backward()
    assert torch.isfinite(v.grad).all()


@pytest.mark.claim("C4.6")
def test_rms_norm_is_the_projection_onto_a_sphere():
    torch.manual_seed(0)
    v = torch.randn(7, 16, dtype=torch.float64)
    torch.testing.assert_close(
        project_sphere(v, 4.0, eps=16 * 1e-6), F.rms_norm(v, (16,), eps=1e-6), rtol=0, atol=1e-12
    )
    p = project_sphere(v, 2.0)
    others = project_sphere(torch.randn(500, 7, 16, dtype=torch.float64), 2.0)
    assert ((others - v).norm(dim=-1) >= (p - v).norm(dim=-1)).all()


@pytest.mark.claim("C4.6")
def test_layer_norm_is_centre_then_sphere():
    v = torch.randn(7, 16, dtype=torch.float64)
    torch.testing.assert_close(project_sphere(v - v.mean(-1, keepdim=True), 4.0), project_moments(v))


@pytest.mark.claim("C4.7")
def test_scale_and_shift_leave_s1():
    torch.manual_seed(0)
    a, b = torch.randn(2, 8, dtype=torch.float64)
    u = on_s1(50, 8)
    moved = a * u + b
    assert Moments().defect(moved).min() > 0.01
    assert moved.std(-1, correction=0).std() > 0.01  # each token's spread is another one: no S1(σ1, σ2) holds them all
    twice = a * project_moments(moved) + b
    assert (twice - moved).abs().max() > 0.1  # not idempotent, so no projection at all


@pytest.mark.parametrize(
    "set_, point",
    [
        (Moments(0.3, 1.5), lambda: on_s1(9, 7, mean=0.3, std=1.5)),
        (Sphere(2.0), lambda: project_sphere(torch.randn(9, 7).double(), 2.0)),
    ],
)
def test_tangent_velocity_keeps_the_constraint_to_first_order(set_, point):
    torch.manual_seed(0)
    u = point()
    v = set_.tangent(u, torch.randn_like(u))
    torch.testing.assert_close(set_.tangent(u, v), v)
    assert set_.defect(u).max() < 1e-12
    small, smaller = (set_.defect(u + h * v).max() for h in (1e-3, 1e-4))
    assert smaller < 0.02 * small  # the defect falls as h², not as h


@pytest.mark.claim("C4.8")
def test_a_moving_constraint_carries_its_points():
    torch.manual_seed(0)
    set_ = Moments(mean=lambda t: 0.3 * t**2, std=lambda t: 1 + t / 2)
    u = on_s1(5, 8, mean=0.3 * 0.4**2, std=1.2)
    h = 1e-6
    rate = (set_.carry(u, 0.4, 0.4 + h) - u) / h
    torch.testing.assert_close(set_.velocity(u, 0.4), rate, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        set_.velocity(u, 0.4), 0.6 * 0.4 + 0.5 / 1.2 * (u - 0.3 * 0.4**2)
    )  # σ1' + (σ2'/σ2)(u − σ1)
    assert set_.defect(set_.carry(u, 0.4, 2.0), 2.0).max() < 1e-12


@pytest.mark.claim("C5.4")
def test_the_sign_of_the_normal_cone_shows_on_the_boundary_of_s2():
    """u_t ∈ f − N_S(u): at u = 0 a velocity that points out of u ≥ 0 is removed, one that points in is kept."""
    set_, f = NonNegative(), torch.tensor([-1.0, 1.0])
    u = torch.zeros(2)
    assert torch.equal(set_.tangent(u, f), torch.tensor([0.0, 1.0]))
    h = 1e-3
    euler = (project_nonnegative(u + h * f) - u) / h  # what a projected step really does
    torch.testing.assert_close(euler, set_.tangent(u, f))
    normal = f - set_.tangent(u, f)  # N_S(0) = {n ≤ 0}: it is subtracted
    assert (normal <= 0).all() and normal[0] == -1
    assert not torch.allclose(euler, f + normal)  # with the other sign the field would leave S2 twice as fast


@pytest.mark.claim("C5.2")
def test_relu_is_the_nearest_point_of_a_convex_cone():
    torch.manual_seed(0)
    v, w = torch.randn(2, 50, 6, dtype=torch.float64)
    p = project_nonnegative(v)
    others = torch.rand(500, 50, 6, dtype=torch.float64) * 3
    assert ((others - v).norm(dim=-1) >= (p - v).norm(dim=-1)).all()
    step, moved = v - w, p - project_nonnegative(w)
    assert ((moved * step).sum(-1) >= moved.square().sum(-1) - 1e-12).all()  # firmly non-expansive


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: project_moments(torch.tensor([1.0, float("nan")])), "finite field, but v\\[1\\] is nan"),
        (lambda: project_moments(torch.randn(3), std=0.0), "std must be > 0"),
        (lambda: project_moments(torch.randn(3), eps=-1.0), "eps must be ≥ 0"),
        (lambda: project_moments(torch.randn(3, 1)), "at least 2 features"),
        (lambda: project_moments(torch.randn(3), weights=torch.ones(4)), "one weight per feature: 3"),
        (lambda: project_moments(torch.randn(3), weights=torch.tensor([1.0, 0.0, 1.0])), "every weight must be > 0"),
        (lambda: project_nonnegative(torch.tensor([float("inf")])), "finite field"),
        (lambda: project_sphere(torch.zeros(2, 3)), "equally near"),
        (lambda: project_sphere(torch.ones(3), radius=-1.0), "radius must be > 0"),
        (lambda: Moments(std=-1.0), "std must be > 0"),
        (lambda: Moments(std=lambda t: 1 - t).project(torch.randn(3), 2.0), "std at t = 2 must be > 0"),
        (lambda: Sphere(0.0), "radius must be > 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
