"""Surfaces: the weights of their points integrate, at the order of their rule, and the data made of them."""

import math

import pytest
import torch

from flowlib.measure import order
from flowlib.training import surfaces
from flowlib.training.surfaces import FAMILIES, cloud, clouds, rotations, tilted

KNOWN = {
    "sphere": surfaces.sphere(0.7),
    "spheroid": surfaces.ellipsoid(0.5, 0.5, 1.2),
    "torus": surfaces.torus(1.0, 0.4),
    "cylinder": surfaces.cylinder(0.5, 1.3),
    "cone": surfaces.cone(0.6, 1.1),
    "box": surfaces.box(1.0, 0.7, 1.4),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", KNOWN)
def test_the_weights_add_up_to_the_area_at_order_two(name):
    """Sphere and spheroid: order 2. Torus: the midpoint rule is spectral on it. The others: area elements are linear in
    the parameters, and the midpoint rule is exact for those."""
    surface = KNOWN[name]
    missed = [abs(surface.grid(n).measure - surface.area) / surface.area for n in (8, 16, 32)]
    if name in ("sphere", "spheroid"):
        assert order(missed, [8, 16, 32]) == pytest.approx(2, abs=0.06) and missed[-1] < 1e-3
    else:
        assert missed[-1] < 1e-12


def test_functions_are_integrated_at_order_two():
    """∫ z² over the sphere is 4πr⁴/3, ∫ |x|² over the unit cube's surface 6 (1/4 + 1/6); ∫ x² over a can."""
    r, h = 0.5, 1.3
    cases = [
        (surfaces.sphere(0.7), lambda x: x[:, 2] ** 2, 4 * math.pi * 0.7**4 / 3),
        (surfaces.box(1, 1, 1), lambda x: x.square().sum(-1), 6 * (1 / 4 + 1 / 6)),
        (surfaces.cylinder(r, h), lambda x: x[:, 0] ** 2, math.pi * r**3 * h + math.pi * r**4 / 2),
    ]
    for surface, f, exact in cases:
        missed = [abs(surface.grid(n).integrate(f) - exact) for n in (8, 16, 32)]
        assert order(missed, [8, 16, 32]) == pytest.approx(2, abs=0.05), surface.name


def test_the_klein_bottle_closes_and_the_moebius_strip_has_an_edge():
    """Their areas have no elementary formula: the bottle's is the same on two grids, the strip's near 2π × width."""
    bottle, strip = surfaces.klein_bottle(2.5), surfaces.moebius_strip(1.0, 0.8)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    at = lambda surface, s, t: surface.at(torch.full_like(t, s), t)[0]
    assert torch.allclose(at(bottle, 0.0, t), at(bottle, 1.0, 1 - t), atol=1e-12)
    assert torch.allclose(at(strip, 0.0, t), at(strip, 1.0, 1 - t), atol=1e-12)
    assert abs(bottle.grid(32).measure / bottle.grid(64).measure - 1) < 1e-4
    assert 2 * math.pi * 0.8 < strip.grid(64).measure < 1.05 * 2 * math.pi * 0.8


@pytest.mark.parametrize("bias", [0.0, 1.5])
def test_scattered_points_integrate_better_than_independent_ones(bias):
    """At 1/n, whatever their density: ∫ z² over the sphere, root mean square over 60 draws."""
    surface, exact, ns = surfaces.sphere(), 4 * math.pi / 3, [32, 128, 512]
    missed = []
    for n in ns:
        draws = generator(n)
        found = [
            surface.scatter(n, draws, tilted(bias, draws) if bias else None).integrate(lambda x: x[:, 2] ** 2)
            for _ in range(60)
        ]
        missed.append((torch.stack(found) - exact).square().mean().sqrt())
    assert order(missed, ns) == pytest.approx(1, abs=0.12)
    assert missed[-1] / exact < 0.02


def test_evenly_drawn_points_have_equal_weights_and_a_density_is_undone():
    draws = generator()
    surface = surfaces.torus(1.0, 0.4)
    even = surface.scatter(500, draws)
    assert even.weights.max() - even.weights.min() < 1e-12 * even.weights.max()
    assert even.measure == pytest.approx(surface.area, rel=0.01)
    dense = surface.scatter(500, draws, lambda x: x[:, 0].exp())
    assert dense.points[:, 0].mean() > 0.3 and abs((dense.points.T @ dense.weights)[0] / dense.measure) < 0.03
    assert dense.measure == pytest.approx(surface.area, rel=0.1)


def test_an_impossible_sampling_is_said():
    with pytest.raises(ValueError, match="at least 2 points, got 1"):
        surfaces.sphere().scatter(1, generator())
    with pytest.raises(ValueError, match="a density must be positive and finite everywhere, its smallest value is -1"):
        surfaces.sphere().scatter(8, generator(), lambda x: x[:, 0].clamp(-1, 1) * 0 - 1)
    with pytest.raises(ValueError, match=f"each of the {len(FAMILIES)} families is needed, got 3"):
        clouds(3, 16, seed=0)


def test_rotations_are_rotations_and_even():
    r = rotations(2000, generator())
    assert torch.allclose(r @ r.mT, torch.eye(3, dtype=torch.float64).expand_as(r), atol=1e-12)
    assert torch.allclose(torch.linalg.det(r), torch.ones(2000, dtype=torch.float64))
    assert r.mean(0).abs().max() < 0.05  # E r = 0, each entry with spread 1/√3


def test_clouds_are_a_function_of_their_seed():
    packed, classes = clouds(16, 32, seed=3, bias=1.0)
    assert packed.shape == (16, 32, 4) and packed.dtype == torch.float32 and torch.bincount(classes).tolist() == [2] * 8
    assert torch.equal(packed, clouds(16, 32, seed=3, bias=1.0)[0])
    assert not torch.equal(packed, clouds(16, 32, seed=4, bias=1.0)[0])
    even = clouds(8, 32, seed=0)[0][..., 3]
    assert torch.equal(even, even[:, :1].expand_as(even))  # equal to the last bit, so that attention may skip them


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gives_a_cloud(name):
    grid = cloud(name, 64, generator(1), bias=1.0)
    assert grid.dim == 3 and len(grid) == 64 and grid.measure > 0
