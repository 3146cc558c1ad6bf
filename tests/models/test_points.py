"""Shapes as fields: where a shape is, how large and how it lies does not matter; and what is no shape."""

import pytest
import torch

from flowlib.fields import Grid
from flowlib.models import FlowPoints, PointsConfig
from flowlib.models.points import normalise_cloud
from flowlib.training import surfaces
from flowlib.training.surfaces import rotations

SMALL = PointsConfig(width=16, heads=2, layers=2, hidden=2, waves=3)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return FlowPoints(SMALL).double().eval()


@pytest.fixture(scope="module")
def ellipsoid():
    """Three different axes."""
    return surfaces.ellipsoid(0.4, 0.7, 1.0).grid(16)


def test_a_shape_is_moved_scaled_and_turned_by_integrals(ellipsoid):
    x = normalise_cloud(3 * ellipsoid.points + 5, ellipsoid.weights)
    share = ellipsoid.weights / ellipsoid.measure
    assert (share @ x).abs().max() < 1e-12
    moments = x.mT @ (share[:, None] * x)
    assert moments.trace().item() == pytest.approx(1) and (moments - moments.diagonal().diag()).abs().max() < 1e-12
    assert (moments.diagonal().diff() > 0).all()


def test_where_it_is_and_how_it_lies_does_not_matter_but_for_the_signs_of_the_axes(ellipsoid):
    turned = 0.3 * ellipsoid.points @ rotations(1, torch.Generator().manual_seed(2))[0] - 1
    here, there = (normalise_cloud(p, ellipsoid.weights) for p in (ellipsoid.points, turned))
    assert torch.allclose(here.abs(), there.abs(), atol=1e-9)


@torch.no_grad()
def test_the_unit_of_the_weights_and_the_order_of_the_points_do_not_matter(model, ellipsoid):
    scores = model(ellipsoid)
    assert scores.shape == (8,)
    points, weights = ellipsoid.points, ellipsoid.weights
    assert torch.allclose(model(points, weights=1000 * weights), scores, atol=1e-9)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    here, there = normalise_cloud(points, weights)[order], normalise_cloud(points[order], weights[order])
    assert torch.allclose(here, there * (here * there).sum(0).sign(), atol=1e-9)  # but for the signs of the axes
    u0 = model.initial_field(points, weights)[order]
    final = model.flow(u0, weights=weights[order]).final
    assert torch.allclose(model.read_out(final, weights[order]), scores, atol=1e-9)


@torch.no_grad()
def test_a_batch_is_its_clouds_and_equal_weights_are_none(model):
    packed, _ = surfaces.clouds(8, 40, seed=0, bias=1.0)
    points, weights = packed[..., :3].double(), packed[..., 3].double()
    scores = model(points, weights=weights)
    for k in range(8):
        assert torch.allclose(model(points[k], weights=weights[k]), scores[k], atol=1e-9)
    assert torch.allclose(model(points, weights=torch.full_like(weights, 0.2)), model(points), atol=1e-9)
    assert (model(points) - scores).abs().max() > 1e-4
    fields = model.trajectory(points, weights=weights).fields
    assert torch.allclose(model.read_out(fields[-1], weights), scores, atol=1e-9)


@torch.no_grad()
def test_two_points_in_the_place_of_one_share_its_weight(model, ellipsoid):
    """A point counted twice, each time with half of its area, is the same surface: to round-off."""
    points, weights = ellipsoid.points, ellipsoid.weights
    twice = Grid(torch.cat([points, points[:50]]), torch.cat([weights[:50] / 2, weights[50:], weights[:50] / 2]))
    assert torch.allclose(model(twice), model(ellipsoid), atol=1e-8)
    assert (model(twice.points) - model(points)).abs().max() > 1e-4


def test_every_parameter_learns_and_a_saved_model_says_the_same(ellipsoid, tmp_path):
    model = FlowPoints(SMALL)
    packed, classes = surfaces.clouds(8, 40, seed=0)
    model.loss(packed[..., :3], targets=classes, weights=packed[..., 3]).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.save(tmp_path / "m")
    loaded = FlowPoints.load(tmp_path / "m")
    with torch.no_grad():
        assert loaded.config == SMALL and torch.equal(loaded(ellipsoid), model.eval()(ellipsoid))


@pytest.mark.parametrize(
    ("points", "weights", "what"),
    [
        (torch.zeros(0, 3), None, "the point cloud is empty: a surface needs at least 2 points"),
        (torch.zeros(2, 0, 3), None, "the point cloud is empty"),
        (torch.rand(9, 2), None, r"must be floats \(…, point, 3\), got torch.float32 of shape \(9, 2\)"),
        (torch.zeros(9, 3, dtype=torch.int64), None, "must be floats"),
        (torch.full((9, 3), torch.nan), None, "points must be finite, got NaN or infinity; drop those points"),
        (torch.ones(9, 3), None, "all points of a cloud are the same"),
        (torch.rand(9, 3), torch.ones(8), r"one weight per point: points \(9, 3\) need weights \(9,\), got \(8,\)"),
        (torch.rand(9, 3), torch.zeros(9), "weights must be positive and finite"),
        (torch.rand(9, 3), torch.arange(9.0) - 1, "weights must be positive and finite"),
    ],
)
def test_what_is_no_shape_is_said(points, weights, what):
    with pytest.raises(ValueError, match=what):
        FlowPoints(SMALL)(points, weights=weights)


def test_an_empty_grid_is_none():
    with pytest.raises(ValueError, match="a grid needs points .* with n ≥ 1"):
        Grid.scattered(torch.zeros(0, 3))
