"""Constraints: projections are nearest points, ε is what it is said to be, tangents are tangent."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowlib.fields import Grid
from flowlib.operators import Moments, NonNegative, Sphere, project_moments, project_nonnegative, project_sphere
from flowlib.operators.constraint import are_same

COLLECTS = [HealthCheck.function_scoped_fixture]  # `measured` gathers the figures of all examples, on purpose


def on_s1(*shape, mean=0.0, std=1.0):
    return project_moments(torch.randn(*shape, dtype=torch.float64), mean, std)


@pytest.mark.claim("C4.1")
@given(st.integers(2, 9), st.floats(-2, 2), st.floats(0.1, 3), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None, suppress_health_check=COLLECTS)
def test_layer_norm_is_the_nearest_point_of_s1(measured, d, mean, std, seed):
    torch.manual_seed(seed)
    v = torch.randn(4, d, dtype=torch.float64)
    p = project_moments(v, mean, std)
    torch.testing.assert_close(p.mean(-1), torch.full((4,), mean, dtype=torch.float64))
    torch.testing.assert_close(p.std(-1, correction=0), torch.full((4,), std, dtype=torch.float64))
    others = on_s1(
        500, 4, d, mean=mean, std=std
    )  # a nearly constant draw lands on S1 with its round-off magnified (C4.4)
    nearer = ((p - v).norm(dim=-1) - (others - v).norm(dim=-1)).max()  # how much nearer the nearest of the others is
    measured.at_most("another point of S1 is nearer by", nearer, 1e-9)


@pytest.mark.claim("C4.1")
def test_nearest_point_with_weights_over_the_features(measured):
    torch.manual_seed(0)
    w = Grid.graded(6, 2.0).weights
    v = torch.randn(5, 6, dtype=torch.float64)
    p = project_moments(v, 0.3, 2.0, weights=w)
    distance = lambda a: ((a - v) ** 2 * w).sum(-1)
    others = project_moments(torch.randn(500, 5, 6, dtype=torch.float64), 0.3, 2.0, weights=w)
    measured.at_most("another point is nearer by, weights over y", (distance(p) - distance(others)).max(), 1e-12)
    torch.testing.assert_close((p * w).sum(-1) / w.sum(), torch.full((5,), 0.3, dtype=torch.float64))


@pytest.mark.claim("C4.2")
def test_projections_are_idempotent(measured):
    torch.manual_seed(0)
    v = torch.randn(6, 8, dtype=torch.float64)
    for p in (lambda z: project_moments(z, 0.5, 2.0), project_nonnegative, lambda z: project_sphere(z, 3.0)):
        measured.at_most("twice against once", (p(p(v)) - p(v)).abs().max(), 1e-14)


@pytest.mark.claim("C4.3")
def test_epsilon_sets_the_spread(measured):
    torch.manual_seed(0)
    for scale in (1e-4, 1e-2, 1.0):
        v = scale * torch.randn(7, 16, dtype=torch.float64)
        s = v.std(-1, correction=0)
        out = project_moments(v, eps=1e-5)
        gap = (out.std(-1, correction=0) - s / (s**2 + 1e-5).sqrt()).abs().max()
        measured.at_most("spread against s/√(s²+ε)", gap, 1e-12)
        measured.at_most("gap to torch's layer norm", (out - F.layer_norm(v, (16,), eps=1e-5)).abs().max(), 1e-12)
    twice = project_moments(project_moments(1e-3 * v, eps=1e-5), eps=1e-5)
    measured.at_least("twice against once, s = 0.001", (twice - project_moments(1e-3 * v, eps=1e-5)).abs().max(), 0.1)


@pytest.mark.claim("C4.4")
def test_not_non_expansive_local_lipschitz_is_std_over_spread(measured):
    torch.manual_seed(0)
    for s in (0.1, 0.5, 2.0):
        v = on_s1(16, std=s)
        jacobian = torch.func.jacrev(lambda z: project_moments(z, std=1.5))(v)
        constant = torch.linalg.matrix_norm(jacobian, 2) / (1.5 / s)
        measured.near("local Lipschitz constant in units of σ2/s", constant, 1, within=1e-10)
    a, b = on_s1(16, std=0.01), on_s1(16, std=0.01)
    growth = (project_moments(a) - project_moments(b)).norm() / (a - b).norm()  # nearby points are torn apart
    measured.at_least("growth of a distance, s = 0.01", growth, 50)
    middle = (project_moments(a) + project_moments(b)) / 2  # half way between two points of S1
    measured.at_least("defect half way between two points of S1", Moments().defect(middle), 0.1)


@pytest.mark.claim("C4.5")
def test_constant_token_is_equally_far_from_all_of_s1(measured):
    v = torch.full((8,), 0.7, dtype=torch.float64)
    distances = (on_s1(1000, 8) - v).norm(dim=-1)
    gap = (distances - math.sqrt(8 * (0.7**2 + 1))).abs().max()
    measured.at_most("difference of the distances to 1,000 points of S1", gap, 1e-12)
    with pytest.raises(ValueError, match="constant over its features"):
        project_moments(torch.stack([on_s1(8), v]))
    placed = project_moments(v, mean=0.2, eps=1e-5)
    assert torch.equal(placed, torch.full_like(v, 0.2))
    measured.near("defect of where ε puts it", Moments(0.2).defect(placed), 1, within=1e-12)


def test_inside_a_flow_a_constant_token_goes_to_its_mean_with_a_finite_gradient():
    v = torch.full((2, 4), 3.0, dtype=torch.float64, requires_grad=True)
    out = Moments(mean=0.5)(v)
    assert (out == 0.5).all() and (Moments(mean=0.5).defect(out) > 0.9).all()
    out.sum().backward()
    assert torch.isfinite(v.grad).all()


@pytest.mark.claim("C4.6")
def test_rms_norm_is_the_projection_onto_a_sphere(measured):
    torch.manual_seed(0)
    v = torch.randn(7, 16, dtype=torch.float64)
    gap = (project_sphere(v, 4.0, eps=16 * 1e-6) - F.rms_norm(v, (16,), eps=1e-6)).abs().max()
    measured.at_most("gap to torch's RMSNorm", gap, 1e-12)
    p = project_sphere(v, 2.0)
    others = project_sphere(torch.randn(500, 7, 16, dtype=torch.float64), 2.0)
    nearer = ((p - v).norm(dim=-1) - (others - v).norm(dim=-1)).max()
    measured.at_most("another point of the sphere is nearer by", nearer, 0)


@pytest.mark.claim("C4.6")
def test_layer_norm_is_centre_then_sphere(measured):
    torch.manual_seed(0)
    v = torch.randn(7, 16, dtype=torch.float64)
    gap = (project_sphere(v - v.mean(-1, keepdim=True), 4.0) - project_moments(v)).abs().max()
    measured.at_most("mean removed, then sphere, against layer norm", gap, 1e-12)


@pytest.mark.claim("C4.7")
def test_scale_and_shift_leave_s1(measured):
    torch.manual_seed(0)
    a, b = torch.randn(2, 8, dtype=torch.float64)
    u = on_s1(50, 8)
    moved = a * u + b
    assert Moments().defect(moved).min() > 0.01
    # each token's spread is another one: no S1(σ1, σ2) holds them all
    measured.at_least("spread of the tokens' spreads", moved.std(-1, correction=0).std(), 0.01)
    twice = a * project_moments(moved) + b
    measured.at_least("twice against once", (twice - moved).abs().max(), 0.1)  # not idempotent, so no projection


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
def test_a_moving_constraint_carries_its_points(measured):
    torch.manual_seed(0)
    set_ = Moments(mean=lambda t: 0.3 * t**2, std=lambda t: 1 + t / 2)
    u = on_s1(5, 8, mean=0.3 * 0.4**2, std=1.2)
    h = 1e-6
    rate = (set_.carry(u, 0.4, 0.4 + h) - u) / h
    formula = 0.6 * 0.4 + 0.5 / 1.2 * (u - 0.3 * 0.4**2)
    measured.at_most("velocity against a difference quotient", (set_.velocity(u, 0.4) - rate).abs().max(), 1e-5)
    measured.at_most("velocity against σ1' + (σ2'/σ2)(u − σ1)", (set_.velocity(u, 0.4) - formula).abs().max(), 1e-10)
    measured.at_most("defect after being carried", set_.defect(set_.carry(u, 0.4, 2.0), 2.0).max(), 1e-12)


@pytest.mark.claim("C5.4")
def test_the_sign_of_the_normal_cone_shows_on_the_boundary_of_s2(measured):
    """u_t ∈ f − N_S(u): at u = 0 a velocity that points out of u ≥ 0 is removed, one that points in is kept."""
    set_, f = NonNegative(), torch.tensor([-1.0, 1.0])
    u = torch.zeros(2)
    assert torch.equal(set_.tangent(u, f), torch.tensor([0.0, 1.0]))
    h = 1e-3
    euler = (project_nonnegative(u + h * f) - u) / h  # what a projected step really does
    measured.at_most("projected step against f − N_S2(u)", (euler - set_.tangent(u, f)).abs().max(), 1e-4)
    normal = f - set_.tangent(u, f)  # N_S(0) = {n ≤ 0}: it is subtracted
    assert (normal <= 0).all() and normal[0] == -1
    other = u + h * (f + normal)  # with the other sign the field would leave S2 twice as fast
    measured.near("least u/Δt after a step with the other sign", other.min() / h, -2, within=1e-4)


@pytest.mark.claim("C5.4")
def test_on_s1_the_sign_of_the_normal_cone_cannot_be_seen(measured):
    """N_S1(u) is a linear space: what it adds to a velocity, or takes from it, the tangent part does not notice."""
    torch.manual_seed(0)
    set_, u, f = Moments(), on_s1(5, 8), torch.randn(5, 8, dtype=torch.float64)
    normal = f - set_.tangent(u, f)
    for sign in (1, -1):
        gap = (set_.tangent(u, f + sign * normal) - set_.tangent(u, f)).abs().max()
        measured.at_most("on S1: plus or minus the normal part", gap, 1e-12)


@pytest.mark.claim("C5.2")
def test_relu_is_the_nearest_point_of_a_convex_cone(measured):
    torch.manual_seed(0)
    v, w = torch.randn(2, 50, 6, dtype=torch.float64)
    p = project_nonnegative(v)
    others = torch.rand(500, 50, 6, dtype=torch.float64) * 3
    nearer = ((p - v).norm(dim=-1) - (others - v).norm(dim=-1)).max()
    measured.at_most("another point of S2 is nearer by", nearer, 0)
    step, moved = v - w, p - project_nonnegative(w)
    broken = (moved.square().sum(-1) - (moved * step).sum(-1)).max()
    measured.at_most("ReLU: |p−q|² − ⟨p−q, v−w⟩", broken, 1e-12)  # firmly non-expansive
    near, by = 0.1 * v, 0.1 * w  # tokens of little spread, which layer norm stretches
    moved = project_moments(near) - project_moments(by)
    growth = (moved.norm(dim=-1) / (near - by).norm(dim=-1)).max()
    measured.at_least("layer norm: growth of a distance", growth, 2)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: project_moments(torch.tensor([1.0, float("nan")])), "finite field, but v\\[1\\] is nan"),
        (lambda: project_moments(torch.randn(3), std=0.0), "std must be > 0"),
        (lambda: project_moments(torch.randn(3), eps=-1.0), "eps must be ≥ 0"),
        (lambda: project_moments(torch.randn(3, 1)), "at least 2 features"),
        (lambda: project_moments(torch.randn(3), weights=torch.ones(4)), "one weight per feature: 3"),
        (
            lambda: project_moments(torch.randn(3), weights=torch.tensor([1.0, 0.0, 1.0])),
            "every weight in weights must be > 0",
        ),
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


# ---- every finite field ----

EXTREMES = [(torch.float32, 1e25), (torch.float32, 1e-25), (torch.float64, 1e200), (torch.float64, 1e-200)]
EXTREMES += [(torch.float32, 3e37), (torch.float32, 1e-40), (torch.bfloat16, 1e30), (torch.bfloat16, 1e-30)]


@pytest.mark.parametrize("dtype, size", EXTREMES)
def test_a_field_whose_squares_are_no_numbers_is_projected(dtype, size):
    torch.manual_seed(0)
    base = torch.randn(3, 5, 6, dtype=torch.float64).to(dtype)
    v = (base * size).to(dtype)
    bound = 2e-2 if dtype.itemsize == 2 else 1e-4 if size == 1e-40 else 1e-6
    close = lambda a, b: torch.testing.assert_close(a, b, rtol=0, atol=bound)
    for constraint, project in ((Moments(), project_moments), (Sphere(), project_sphere)):
        for f in (project, constraint.project):
            close(f(v), f(base))
        assert constraint.defect(project(v).double()).max() < 10 * bound
        far = constraint.defect(base.double() * 1e9) / 1e9 if size > 1 else torch.ones(3, 5).double()
        ours = constraint.defect(v).double() / max(size, 1)
        torch.testing.assert_close(ours, far, rtol=bound, atol=bound)
        close(constraint.tangent(v, base), constraint.tangent(base, base))
        close(torch.compile(constraint.project, backend="eager", fullgraph=True)(v), constraint.project(base))
    weights = torch.arange(1, 7).to(dtype)
    close(project_moments(v, weights=weights), project_moments(base, weights=weights))
    close((NonNegative().defect(v).double() / size).to(dtype), NonNegative().defect(base))


@pytest.mark.parametrize("eps", [1e-5, 1e-1])
@pytest.mark.parametrize("dtype, size", [(torch.float32, 1e25), (torch.float64, 1e200), (torch.bfloat16, 1e30)])
def test_with_eps_a_large_field_is_projected_too(dtype, size, eps):
    torch.manual_seed(0)
    base = torch.randn(3, 6, dtype=torch.float64).to(dtype)
    bound = 1e-2 if dtype.itemsize == 2 else 1e-6
    torch.testing.assert_close(project_moments(base * size, eps=eps), project_moments(base), rtol=0, atol=bound)
    torch.testing.assert_close(project_sphere(base * size, eps=eps), project_sphere(base), rtol=0, atol=bound)
    weights = torch.arange(1, 7).to(dtype)
    for f in (lambda v: project_moments(v, eps=eps, weights=weights), Moments(eps=eps, weights=weights).project):
        torch.testing.assert_close(f(base * size), project_moments(base, weights=weights), rtol=0, atol=bound)


def test_scaling_changes_no_digit():
    torch.manual_seed(0)
    v = torch.randn(7, 5)
    for power in (-90, -3, 1, 90):
        assert torch.equal(project_moments(v * 2.0**power), project_moments(v))
        assert torch.equal(project_sphere(v * 2.0**power), project_sphere(v))
    mean = v.mean(-1, keepdim=True)
    assert torch.equal(project_moments(v), (v - mean) / (v - mean).square().mean(-1, keepdim=True).sqrt())


def test_the_gradient_of_a_scaled_projection_is_that_of_the_formula():
    torch.manual_seed(0)
    base = torch.randn(3, 5, dtype=torch.float64)
    for f in (project_moments, project_sphere):
        ours = torch.autograd.functional.jacobian(f, base * 2.0**600) * 2.0**600
        torch.testing.assert_close(ours, torch.autograd.functional.jacobian(f, base))


# ---- weights over the features ----


def test_the_weights_of_moments_move_with_it_and_are_no_state():
    constraint = Moments(weights=torch.arange(1.0, 5))
    assert not constraint.state_dict() and not list(constraint.parameters())
    assert constraint.double().weights.dtype == torch.float64
    assert constraint.to("meta").weights.device.type == "meta"
    Moments(weights=torch.ones(4)).load_state_dict({})


def test_constraints_say_their_settings_and_print_no_tensors():
    assert repr(Moments(weights=torch.ones(4))) == "Moments(mean=0.0, std=1.0, eps=0.0, weights=float32 of shape (4,))"
    assert "tensor" not in repr(Moments(mean=torch.zeros(4, 1), std=torch.ones(4, 1)))
    assert repr(Sphere(2.0, 1e-3)) == "Sphere(radius=2.0, eps=0.001)"


def test_the_same_set_is_known_by_its_settings_and_tensors():
    a, b = torch.ones(4), torch.arange(1.0, 5)
    level = lambda t: t
    assert are_same(Moments(weights=a), Moments(weights=a.clone())) and are_same(Moments(level), Moments(level))
    others = [Moments(), Moments(weights=b), Moments(eps=1e-5), Moments(lambda t: t), Sphere()]
    assert not any(are_same(Moments(weights=a), other) for other in others)
    assert not are_same(Moments(level), Moments(lambda t: t))
