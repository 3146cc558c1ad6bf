"""Particles on the sphere against the theory of their clusters, and the measures of clusters against built cases."""

import math

import pytest
import torch

from flowlib.measure.clustering import (
    clusters,
    collapse_time,
    cosines,
    equiangular,
    equiangular_cosine,
    equiangular_rate,
    equiangular_time,
    mean_cosine,
    particles,
    tail_rate,
)

CASES = [(8, 0.0, 1.0), (16, -0.05, 2.0), (4, 0.3, 4.0)]  # n, first cosine, β


@pytest.mark.claim("C9.5")
@pytest.mark.parametrize("n, start, beta", CASES)
def test_particles_follow_the_equiangular_equation_to_its_tail(measured, n, start, beta):
    way = particles(n, beta, horizon=12.0, steps=400)(equiangular(n, start))
    theory = equiangular_cosine(start, n, beta, way.times)
    pairs = ~torch.eye(n, dtype=torch.bool)
    apart = (cosines(way.fields)[:, pairs] - theory[:, None]).abs().max()
    measured.at_most("largest distance of a cosine from the equiangular equation", apart, 1e-8)
    measured.near("rate r of the tail 1 − c ~ e^−rt", tail_rate(way.times, mean_cosine(way.fields)), 2.0, within=0.002)
    assert clusters(way.fields)[[0, -1]].tolist() == [n, 1]
    reached = collapse_time(way.times, theory)
    assert reached == pytest.approx(equiangular_time(start, 0.99, n, beta), abs=1e-3)


WIDE = [(3, 0.2, 0.01), (8, 0.0, 1.0), (4, 0.9, 20.0), (8, 0.9, 50.0), (4, 0.999, 1e3), (16, 0.9999, 1e4)]


@pytest.mark.claim("C9.5")
@pytest.mark.parametrize("n, start, beta", WIDE)
def test_the_tail_has_the_rate_2_for_any_beta_where_it_has_begun(measured, n, start, beta):
    """It begins where both 1 − c and β (1 − c) are small: before, e^{−β (1 − c)} slows it."""
    way = particles(n, beta, horizon=12.0, steps=400)(equiangular(n, start))
    cosine = mean_cosine(way.fields)
    apart = (cosine - equiangular_cosine(start, n, beta, way.times)).abs().max()
    measured.at_most("largest distance of a cosine from the equiangular equation", apart, 1e-8)
    rate = tail_rate(way.times, cosine, below=min(1e-3, 0.02 / beta))
    measured.near("rate r of the tail, β from 0.01 to 10,000", rate, 2.0, within=0.002)
    early = tail_rate(way.times, cosine, below=1e-3)
    assert (early < 1.995) == (beta >= 1000)


def test_particles_are_of_order_4_and_stay_on_the_sphere():
    start = equiangular(6, 0.1)
    exact = equiangular_cosine(0.1, 6, 2.0, [0.0, 2.0], substeps=2000)[-1]
    errors = []
    for steps in (10, 20, 40):
        end = particles(6, 2.0, horizon=2.0, steps=steps)(start).final
        assert (end.norm(dim=-1) - 1).abs().max() < 1e-14
        errors.append((mean_cosine(end) - exact).abs().item())
    slopes = [math.log2(a / b) for a, b in zip(errors, errors[1:])]
    assert slopes == pytest.approx([4, 4], abs=0.2)


def test_particles_of_random_places_gather_too_and_no_faster_than_the_rate():
    torch.manual_seed(0)
    start = torch.nn.functional.normalize(torch.randn(12, 8, dtype=torch.float64), dim=-1)
    way = particles(8, 1.0, horizon=12.0, steps=240)(start)
    assert tail_rate(way.times, mean_cosine(way.fields)) == pytest.approx(2.0, rel=0.02)


def test_what_is_taken_away_drives_apart():
    """With V = −u the mean of all goes to zero, so the mean cosine to −1/(n−1), the least that there is."""
    start = equiangular(6, 0.8)
    start = torch.nn.functional.normalize(start + 0.01 * torch.eye(6).roll(1, 0), dim=-1)
    end = particles(6, 1.0, horizon=30.0, steps=300, value=-1.0)(start).final
    assert mean_cosine(end).item() == pytest.approx(-1 / 5, abs=1e-6)


def test_large_beta_is_metastable():
    """Two tight pairs far apart: each pair joins at once, and the two wait for each other."""
    angles = torch.tensor([0.0, 0.2, 2.0, 2.2], dtype=torch.float64)
    start = torch.stack([angles.cos(), angles.sin()], -1)
    gentle, strong = (particles(2, beta, horizon=8.0, steps=160)(start) for beta in (1.0, 12.0))
    assert clusters(strong.fields, 0.9999)[[0, -1]].tolist() == [4, 2]
    assert clusters(gentle.fields, 0.9999)[-1] == 1


@pytest.mark.parametrize("n, beta", [(2, 0.5), (10, 3.0)])
def test_the_rate_is_the_derivative_of_the_cosine(n, beta):
    start = equiangular(n, 0.2)
    flow = particles(n, beta)
    u, v = start, flow.velocity(start, 0.0)
    change = (v[0] * u[1] + u[0] * v[1]).sum()
    assert change.item() == pytest.approx(equiangular_rate(torch.tensor(0.2, dtype=torch.float64), n, beta).item())


def test_equiangular_vectors_have_one_cosine():
    for n, cosine, dim in ((3, -0.5, 3), (5, 0.9, 8)):
        u = equiangular(n, cosine, dim)
        expected = torch.eye(n).double() * (1 - cosine) + cosine
        assert u.shape == (n, dim) and (u @ u.T - expected).abs().max() < 1e-14


def test_mean_cosine_and_clusters_of_built_fields():
    e = torch.eye(4, dtype=torch.float64)
    u = torch.stack([e[0], 3 * e[0], -e[1], e[2]])  # one pair of six has cosine 1, the others 0
    assert mean_cosine(u).item() == pytest.approx(1 / 6)
    assert clusters(u).item() == 3
    chain = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 2.0], dtype=torch.float64)  # neighbours are near, the ends are not
    arc = torch.stack([chain.cos(), chain.sin()], -1)
    assert clusters(arc, math.cos(0.11)).item() == 2
    assert clusters(arc.flip(0), math.cos(0.11)).item() == 2
    assert clusters(torch.stack([arc, arc]), math.cos(0.09)).tolist() == [6, 6]


def test_collapse_time_and_tail_of_a_known_curve():
    t = torch.linspace(0, 10, 1001, dtype=torch.float64)
    c = 1 - torch.exp(-1.5 * t)
    assert collapse_time(t, c, 0.99) == pytest.approx(math.log(100) / 1.5, abs=1e-4)
    assert collapse_time(t, c, 0.0) == 0.0
    assert collapse_time(t, c * 0.5, 0.9) == math.inf
    assert tail_rate(t, c) == pytest.approx(1.5, abs=1e-9)


def test_what_cannot_be_is_said():
    u = torch.ones(1, 3)
    for message, call in {
        "β must be positive": lambda: particles(4, 0.0),
        "−1/\\(n−1\\) ≤ cosine": lambda: equiangular(4, -0.5),
        "dim ≥ n": lambda: equiangular(4, 0.5, 3),
        "start < level < 1": lambda: equiangular_time(0.5, 0.4, 4),
        "a cosine is of two tokens": lambda: mean_cosine(u),
        "above −1": lambda: clusters(u, -1.0),
        "one cosine for each time": lambda: collapse_time(torch.zeros(3), torch.zeros(2)),
        "a rate needs 3": lambda: tail_rate(torch.arange(3.0), torch.zeros(3)),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()


def test_bounds_belong_to_what_they_bound():
    e = torch.eye(3, dtype=torch.float64)
    assert clusters(torch.stack([e[0], e[0], e[1]]), 1.0).item() == 2  # a cosine of 1 is reached by equal tokens
    assert clusters(e, 0.0).item() == 1 and clusters(e, 1e-9).item() == 3
    assert mean_cosine(torch.stack([e[0], e[0]])).item() == 1  # two tokens are enough
    left, times = torch.tensor([2.0**-k for k in (9, 10, 11, 12, 13)]).double(), torch.arange(5.0)
    assert tail_rate(times, 1 - left, 2.0**-10, 2.0**-12) == pytest.approx(math.log(2))  # three times, ends counted
    with pytest.raises(ValueError, match="at 2 times, and a rate needs 3"):
        tail_rate(times, 1 - left, 2.0**-10, 2.0**-11)
