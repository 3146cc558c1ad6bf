"""Attention is an integral: exactness against the formula, orders on grids, masks, and what it refuses."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlib.fields import Grid
from flowlib.measure import order
from flowlib.operators import Attention, attend
from flowlib.operators.attention import integrate, relative_log

SIZES = [32, 64, 128, 256]


def by_hand(q, k, v, weights=None, causal=False, mask=None, temperature=1.0):
    """The formula, one line for each sign in it."""
    scores = q @ k.mT / (temperature * math.sqrt(q.shape[-1]))
    gamma = scores.exp() if weights is None else scores.exp() * weights.unsqueeze(-2)
    if causal:
        gamma = gamma.tril()
    if mask is not None:
        gamma = gamma * mask
    total = gamma.sum(-1, keepdim=True)
    return torch.where(total > 0, gamma / total.clamp(min=1e-300), 0.0) @ v


def qkv(*lead, n=7, m=None, d=4, dv=None, dtype=torch.float64):
    m, dv = m or n, dv or d
    return (torch.randn(*lead, k, w, dtype=dtype) for k, w in ((n, d), (m, d), (m, dv)))


@pytest.mark.claim("C3.1")
@pytest.mark.parametrize("ride", ["mask", "feature"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_formula(measured, weighted, masked, causal, ride):
    torch.manual_seed(0)
    q, k, v = qkv(3, 2, n=9)
    w = torch.rand(9, dtype=torch.float64) + 0.1 if weighted else None
    mask = (torch.rand(3, 1, 9, 9) > 0.3) | torch.eye(9, dtype=torch.bool) if masked else None
    ours = integrate(q, k, v, relative_log(w, 9), causal=causal, mask=mask, temperature=0.7, ride=ride)
    gap = (ours - by_hand(q, k, v, w, causal, mask, 0.7)).abs().max()
    measured.at_most("gap to the formula", gap, 1e-12)
    torch.testing.assert_close(ours, attend(q, k, v, w, causal=causal, mask=mask, temperature=0.7), rtol=0, atol=1e-12)


@pytest.mark.claim("C3.1")
@pytest.mark.parametrize("causal", [False, True])
def test_with_equal_weights_it_is_torchs_softmax_attention(measured, causal):
    torch.manual_seed(0)
    q, k, v = qkv(3, 2, n=9)
    torchs = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    for w in (None, torch.full((9,), 0.3, dtype=torch.float64)):
        gap = (attend(q, k, v, w, causal=causal) - torchs).abs().max()
        measured.at_most("gap to torch's softmax attention, equal weights", gap, 1e-12)


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(1, 9),
    st.floats(0.2, 5.0),
    st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_every_row_of_the_kernel_integrates_to_one(n, m, d, dv, temperature, seed):
    torch.manual_seed(seed)
    q, k, v = qkv(n=n, m=m, d=d, dv=dv)
    w = torch.rand(m, dtype=torch.float64) + 0.01
    ours = attend(q, k, torch.ones_like(v), w, temperature=temperature)
    torch.testing.assert_close(ours, torch.ones(n, dv, dtype=torch.float64))
    torch.testing.assert_close(
        attend(q, k, v, w, temperature=temperature), by_hand(q, k, v, w, temperature=temperature)
    )


@pytest.mark.claim("C3.1")
def test_kernel_rows_sum_to_one_and_give_the_operator_back(measured):
    torch.manual_seed(0)
    attention = Attention(8, 2, causal=True).double()
    u = torch.randn(3, 5, 8, dtype=torch.float64)
    log_w = relative_log(torch.rand(5, dtype=torch.float64) + 0.1, 5)
    gamma = attention.kernel(u, log_w)
    assert gamma.shape == (3, 2, 5, 5)
    measured.at_most("∫γ dx̃ − 1, every row", (gamma.sum(-1) - 1).abs().max(), 1e-12)
    v = attention.qkv(u)[..., 16:].unflatten(-1, (2, 4)).transpose(1, 2)
    torch.testing.assert_close(attention.out((gamma @ v).transpose(1, 2).flatten(-2)), attention(u, log_w))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("ride", ["mask", "feature"])
@pytest.mark.parametrize("power", [2.0, 4.0])
def test_weights_cost_no_accuracy_in_half_precision(dtype, ride, power):
    """The error against float64 on the same rounded inputs is that of torch's own kernel without weights."""
    torch.manual_seed(0)
    low = [torch.randn(16, 64, 32, dtype=torch.float64).to(dtype) for _ in range(3)]
    q, k, v = (z.double() for z in low)
    w = Grid.graded(64, power).weights

    def error(ours, exact):
        return ((ours.double() - exact).norm() / exact.norm()).item()

    torchs = error(torch.nn.functional.scaled_dot_product_attention(*low), by_hand(q, k, v))
    assert error(integrate(*low, relative_log(w, 64), ride=ride), by_hand(q, k, v, w)) < 1.5 * torchs


# ---- quadrature ----

GAMMA_Q, GAMMA_K = (lambda x: torch.stack([x.cos(), (2 * x).sin()], -1)), (lambda x: torch.stack([x.exp(), 1 - x], -1))
VALUE = lambda x: torch.stack([(3 * x).sin(), x**2], -1)
QUERY = torch.linspace(0, 1, 5, dtype=torch.float64)


def cross(grid, weights):
    """Attention from five fixed queries to a field on the grid."""
    return attend(GAMMA_Q(QUERY), GAMMA_K(grid.x), VALUE(grid.x), weights)


EXACT = cross(Grid.gauss(64), Grid.gauss(64).weights)


def slope(make, weighted):
    errors = [(cross(g, g.weights if weighted else None) - EXACT).abs().max() for g in map(make, SIZES)]
    return order(errors, SIZES), errors


@pytest.mark.claim("C3.2")
@pytest.mark.parametrize("rule", ["midpoint", "trapezoid"])
def test_order_two_on_uniform_grids_with_weights(measured, rule):
    measured.near(f"order, {rule}", slope(lambda n: Grid.uniform(n, rule), weighted=True)[0], 2, within=0.1)


@pytest.mark.claim("C3.2")
def test_plain_softmax_on_a_grid_with_both_ends_is_only_first_order(measured):
    plain = slope(lambda n: Grid.uniform(n, "trapezoid"), weighted=False)[0]
    measured.near("order, both ends counted whole", plain, 1, within=0.1)


@pytest.mark.claim("C3.3")
@pytest.mark.parametrize("power", [2.0, 3.0])
def test_graded_grid_needs_weights(measured, power):
    stalls, errors = slope(lambda n: Grid.graded(n, power), weighted=False)
    measured.near("order, plain softmax", stalls, 0, within=0.1)
    measured.at_least("error left, 256 tokens against 32", errors[-1] / errors[0], 0.5)
    measured.at_least("order, with weights", slope(lambda n: Grid.graded(n, power), weighted=True)[0], 1.9)


def test_constant_weights_cancel():
    """Why graded grids are where one has to look: on a midpoint grid nobody sees whether weights were used."""
    grid = Grid.uniform(16)
    assert torch.equal(cross(grid, grid.weights), cross(grid, None))


@pytest.mark.claim("C3.4")
def test_sixteen_gauss_points_beat_ten_thousand_uniform_ones(measured):
    few = (cross(Grid.gauss(16), Grid.gauss(16).weights) - EXACT).abs().max()
    many = (cross(Grid.uniform(10_000), None) - EXACT).abs().max()
    measured.at_most("error, 16 Gauss against 10,000 uniform", few / many, 1)


@pytest.mark.claim("C3.6")
@pytest.mark.parametrize("weighted", [False, True])
def test_volterra_restores_order_two(measured, weighted):
    def causal(n, kind, grid):
        g = grid(n)
        return attend(GAMMA_Q(g.x), GAMMA_K(g.x), VALUE(g.x), g.weights if weighted else None, causal=kind), g

    def exact(grid):  # for each query, Gauss–Legendre on [0, x_i]
        rows = [VALUE(grid.x[:1])[0]]
        for x in grid.x[1:]:
            g = Grid.gauss(40, (0.0, x.item()))
            rows.append(attend(GAMMA_Q(x[None]), GAMMA_K(g.x), VALUE(g.x), g.weights)[0])
        return torch.stack(rows)

    def measured_order(kind, grid):
        errors = []
        for n in SIZES:
            ours, g = causal(n, kind, grid)
            errors.append((ours - exact(g)).abs().max())
        return order(errors, SIZES)

    trapezoid = lambda n: Grid.uniform(n, "trapezoid")
    how = "grid's weights" if weighted else "no weights"
    measured.near(f"order, half at both ends, {how}", measured_order("volterra", trapezoid), 2, within=0.1)
    measured.near(f"order, all counted whole, {how}", measured_order(True, trapezoid), 1, within=0.1)


MAKE = {
    "midpoint": Grid.uniform,
    "trapezoid": lambda n: Grid.uniform(n, "trapezoid"),
    "graded 2": lambda n: Grid.graded(n, 2.0),
    "graded 3": lambda n: Grid.graded(n, 3.0),
    "gauss": Grid.gauss,
}


def volterra_gaps(grid):
    """How far each query is from its own Gauss–Legendre integral over [0, x]."""
    ours = attend(GAMMA_Q(grid.x), GAMMA_K(grid.x), VALUE(grid.x), grid.weights, causal="volterra")
    fine = [Grid.gauss(40, (0.0, max(x, 1e-12))) for x in grid.x.tolist()]
    exact = [attend(GAMMA_Q(x[None]), GAMMA_K(g.x), VALUE(g.x), g.weights)[0] for x, g in zip(grid.x, fine)]
    return (ours - torch.stack(exact)).abs().amax(-1)


@pytest.mark.parametrize("kind", MAKE)
def test_volterra_has_order_two_with_the_weights_of_every_grid(measured, kind):
    """Equal weights are weights, too. On midpoints the first few queries, an O(h) from the start, are of order 1."""
    gaps, grids = [], [MAKE[kind](n) for n in SIZES]
    for grid in grids:
        gap = volterra_gaps(grid)
        gaps.append([gap[-1], gap[grid.x > 0.25].max(), gap.max()])
    last, far, whole = (order(column, SIZES) for column in zip(*gaps))
    measured.near(f"order of the last query, {kind}", last, 2, within=0.1)
    measured.near(f"order of the queries beyond 1/4, {kind}", far, 2, within=0.1)
    measured.near(f"order of all queries, {kind}", whole, 1 if kind == "midpoint" else 2, within=0.1)


@pytest.mark.no_shape_check  # which no compiler can follow
@pytest.mark.parametrize("causal", [False, True, "volterra"])
def test_nothing_depends_on_whether_weights_happen_to_be_equal(causal):
    """The result, its gradient and its compiled value are those of weights that differ in the last digits."""
    torch.manual_seed(0)
    q, k, v = qkv(2, n=6)
    equal = torch.full((6,), 0.25, dtype=torch.float64)
    nearly = equal * (1 + 1e-12 * torch.arange(6))
    f = lambda w: attend(q, k, v, w, causal=causal)
    torch.testing.assert_close(f(equal), f(nearly), rtol=0, atol=1e-10)
    torch.testing.assert_close(torch.compile(f, backend="eager", fullgraph=True)(equal), f(equal), rtol=0, atol=1e-12)
    jacobian = torch.autograd.functional.jacobian
    assert jacobian(f, equal).abs().max() > 1e-3
    torch.testing.assert_close(jacobian(f, equal), jacobian(f, nearly), rtol=0, atol=1e-9)
    forwards = torch.func.jvp(f, (equal,), (torch.arange(6).double(),))[1]
    torch.testing.assert_close(forwards, jacobian(f, equal) @ torch.arange(6).double(), rtol=0, atol=1e-12)
    with torch.autograd.forward_ad.dual_level():
        dual = f(torch.autograd.forward_ad.make_dual(equal, torch.arange(6).double()))
        tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(tangent, forwards, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype, size", [(torch.float32, 1e25), (torch.float64, 1e200), (torch.bfloat16, 1e30)])
@pytest.mark.parametrize("causal", [False, True, "volterra"])
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_that_overflow_have_an_integral(dtype, size, causal, weighted):
    """The kernel is then 1 at the largest score, and shared where that is reached twice."""
    torch.manual_seed(0)
    q, k, v = (z.to(dtype) for z in qkv(2, n=5))
    q, k, v = q * size, (k * size).round(), v
    k[:, 1] = k[:, 0]  # a tie
    w = torch.tensor([1.0, 3, 1, 2, 1]) if weighted else None
    ours = attend(q, k, v, w, causal=causal)
    scores = (q.double() / size) @ (k.double() / size).mT
    allowed = torch.ones(5, 5).tril().bool() if causal else torch.ones(5, 5).bool()
    top = scores.masked_fill(~allowed, -math.inf)
    hit = ((top - top.amax(-1, keepdim=True)).abs() < 1e-9).double() * allowed
    weights = torch.ones(5, 5).double() if w is None else w.double().expand(5, 5)
    if causal == "volterra":
        weights = weights.clone()
        weights[:, 0] *= 0.5 if w is None else 1
        weights = weights * (1 - 0.5 * torch.eye(5))
        if w is not None and w[-1] < 0.75 * w[-2]:
            weights[-1, -1] = w[-1]
    gamma = hit * weights / (hit * weights).sum(-1, keepdim=True)
    torch.testing.assert_close(ours.double(), gamma @ v.double(), rtol=0, atol=0.03 if dtype.itemsize == 2 else 1e-6)


def test_a_temperature_as_small_as_it_gets_picks_the_largest_score():
    q, k, v = qkv(n=5)
    assert torch.equal(attend(q, k, v, temperature=1e-310), v[(q @ k.mT).argmax(-1)])


@pytest.mark.parametrize("grid", [Grid.uniform(65, "trapezoid"), Grid.graded(64, 2.0)], ids=["trapezoid", "graded"])
def test_volterra_weights_of_a_grid(grid):
    """The weights of row i sum to the length from the start to x_i, so that v = 1/w·… integrates at order 2."""
    n = len(grid)
    gamma = attend(
        torch.zeros(n, 2).double(), torch.zeros(n, 2).double(), torch.eye(n).double(), grid.weights, causal="volterra"
    )
    mean_of_x = (gamma @ grid.x)[-1] / grid.x[-1]
    assert mean_of_x == pytest.approx(0.5, abs=2 / n**2 * 10)


# ---- what the kernel sees ----


@pytest.mark.claim("C3.5")
@pytest.mark.parametrize("d", [4, 16, 64, 256])
def test_the_fit_of_independent_features_has_spread_root_d(measured, d):
    torch.manual_seed(0)
    q, k = torch.randn(2, 20_000, d, dtype=torch.float64)
    measured.near("spread of q·k in units of √d", (q * k).sum(-1).std() / math.sqrt(d), 1, within=0.02)


@pytest.mark.claim("C3.7")
def test_attention_does_not_see_the_order_of_its_tokens(measured):
    torch.manual_seed(0)
    q, k, v = qkv(n=9)
    w, shuffle = torch.rand(9, dtype=torch.float64) + 0.1, torch.randperm(9)
    gap = (attend(q, k[shuffle], v[shuffle], w[shuffle]) - attend(q, k, v, w)).abs().max()
    measured.at_most("gap, tokens shuffled", gap, 1e-12)
    attention, u = Attention(4, 2).double(), torch.randn(9, 4, dtype=torch.float64)
    torch.testing.assert_close(attention(u[shuffle]), attention(u)[shuffle])
    causal = Attention(4, 2, causal=True).double()
    moved = (causal(u[shuffle]) - causal(u)[shuffle]).abs().max()  # the moving end does see it
    measured.at_least("gap, tokens shuffled, causal", moved, 1e-3)


# ---- masks and padding ----


def test_padded_tokens_get_zeros_and_have_a_finite_gradient():
    torch.manual_seed(0)
    q, k, v = (z.requires_grad_() for z in qkv(2, n=5))
    valid = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    pairs = valid[:, :, None] & valid[:, None]
    for causal in (False, True, "volterra"):
        for w in (None, torch.rand(5, dtype=torch.float64) + 0.1):
            out = attend(q, k, v, w, causal=causal, mask=pairs)
            assert (out[0, 3:] == 0).all() and torch.isfinite(out).all()
            grads = torch.autograd.grad(out.square().sum(), (q, k, v))
            assert all(torch.isfinite(g).all() for g in grads)


@pytest.mark.parametrize("causal", [False, True])
def test_a_row_with_nothing_to_attend_is_an_error(causal):
    torch.manual_seed(0)
    q, k, v = qkv(n=4)
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[2] = False
    with pytest.raises(ValueError, match="query 2 .* has nothing to attend to"):
        attend(q, k, v, mask=mask, causal=causal)
    future = ~torch.ones(4, 4, dtype=torch.bool).tril()
    future[3] = True
    with pytest.raises(ValueError, match="nothing to attend to"):
        attend(q, k, v, mask=future, causal=True)
    with pytest.raises(ValueError, match="nothing to attend to"):  # across two grids nobody is padded
        attend(q[:2], k, v, mask=torch.zeros(2, 4, dtype=torch.bool))


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(weights=torch.ones(3)), "one weight per key token: 5 keys"),
        (dict(weights=torch.tensor([1.0, 1, 0, 1, 1])), "must be positive and finite"),
        (dict(weights=torch.tensor([1.0, 1, -2, 1, 1])), "must be positive and finite"),
        (dict(weights=torch.tensor([1.0, 1, float("nan"), 1, 1])), "must be positive and finite"),
        (dict(temperature=0.0), "temperature must be > 0"),
        (dict(causal="strict"), "causal must be one of False, True, 'volterra'"),
        (dict(mask=torch.ones(5, 5)), "mask must be bool"),
        (dict(mask=torch.ones(4, 5, dtype=torch.bool)), r"broadcast to \(…, query, key\)"),
        (dict(q=torch.full((5, 4), float("nan"))), r"q must be finite, but q\[0, 0\] is nan"),
        (dict(v=torch.full((5, 4), float("inf"))), r"v must be finite"),
        (dict(q=torch.zeros(3, 4), causal=True), "3 queries and 5 keys"),
        (dict(q=torch.zeros(5, 3)), r"attend needs q \(…, query, d\)"),
        (dict(k=torch.zeros(6, 4)), r"attend needs q \(…, query, d\)"),
    ],
)
@pytest.mark.no_shape_check
def test_bad_input_is_named(change, message):
    given = dict(q=torch.zeros(5, 4), k=torch.zeros(5, 4), v=torch.zeros(5, 4)) | change
    with pytest.raises(ValueError, match=message):
        attend(**given)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of heads, got dim 6 and heads 4"):
        Attention(6, 4)


@pytest.mark.no_shape_check
def test_works_without_checks_under_compile():
    """One graph, no waiting: the value checks step aside while torch.compile traces."""
    torch.manual_seed(0)
    q, k, v = qkv(n=6)
    graph = torch.export.export(Wrapped(), (q, k, v)).module()
    torch.testing.assert_close(graph(q, k, v), attend(q, k, v, causal=True))


class Wrapped(torch.nn.Module):
    def forward(self, q, k, v):
        return attend(q, k, v, causal=True)
