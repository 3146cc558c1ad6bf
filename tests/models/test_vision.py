"""Pictures as fields: tokens anywhere, the same class; the convolution of CvT on any grid; and what is no picture."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from flowlib.fields import Grid
from flowlib.flow import Flow
from flowlib.flow.depth import PerStep
from flowlib.measure import order
from flowlib.models import FlowLM, FlowPoints, FlowVision, VisionConfig
from flowlib.models.classifier import integral_mean
from flowlib.models.vision import index_positions, sample, square, standardise
from flowlib.operators import Attention, Neighbourhood

SMALL = VisionConfig(width=16, heads=2, layers=2, hidden=2, patch=3, near=3)


def shaken(config=SMALL, seed=0):
    """A model whose every number matters: no zero biases, no kernel that is nearly even."""
    torch.manual_seed(seed)
    model = FlowVision(config).double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.3 * torch.randn_like(p) / max(1, p.shape[-1]) ** 0.5
    return model


@pytest.fixture(scope="module")
def model():
    return shaken()


@pytest.fixture(scope="module")
def pictures():
    torch.manual_seed(1)
    return torch.rand(4, 1, 8, 8, dtype=torch.float64)


def graded(n, power):
    return Grid.product(Grid.graded(n, power), Grid.graded(n, power))


# The picture as a function


def test_a_picture_is_what_its_pixels_are_where_they_are_and_linear_between(pictures):
    assert torch.allclose(sample(pictures, square(8).points), pictures.flatten(-2), atol=1e-12)
    middle = torch.tensor([[1 / 8, 1 / 8], [0.0, 0.0], [0.5 / 8, 1.0]], dtype=torch.float64)
    values = sample(pictures, middle)[:, 0]
    assert torch.allclose(values[:, 0], pictures[:, 0, :2, :2].mean((-2, -1)))  # the corner that four pixels share
    assert torch.allclose(values[:, 1], pictures[:, 0, 0, 0]) and torch.allclose(values[:, 2], pictures[:, 0, 0, 7])


def test_brightness_and_contrast_do_not_matter(model, pictures):
    plain = standardise(pictures)
    assert plain.mean((-3, -2, -1)).abs().max() < 1e-12
    assert torch.allclose(plain.std((-3, -2, -1), correction=0), torch.ones(4, dtype=torch.float64))
    assert torch.allclose(model(3 * pictures + 7), model(pictures), atol=1e-10)


@torch.no_grad()
def test_the_default_grid_is_the_one_of_training_and_a_batch_is_its_pictures(model, pictures):
    scores = model(pictures)
    assert scores.shape == (4, 10)
    assert torch.equal(model(pictures, grid=square(8)), scores)
    for one, alone in zip(pictures, scores):
        assert torch.allclose(model(one), alone, atol=1e-12)
    assert torch.allclose(model.read_out(model.trajectory(pictures).fields[-1], square(8)), scores, atol=1e-12)


@torch.no_grad()
def test_on_the_grid_of_training_indices_are_coordinates(model, pictures):
    assert torch.equal(index_positions(8, 8, 8), square(8).points)
    finer = model(pictures, grid=square(16), positions=index_positions(16, 16, 8))
    assert (finer - model(pictures, grid=square(16))).abs().max() > 0.1


# Weights


@torch.no_grad()
@pytest.mark.parametrize("n", [4, 8, 16])
def test_on_a_uniform_grid_weights_cancel(model, pictures, n):
    grid = square(n)
    assert torch.allclose(model(pictures, grid=grid), model(pictures, grid=Grid.scattered(grid.points)), atol=1e-12)


@torch.no_grad()
def test_on_graded_grids_the_scores_converge_with_weights_and_not_without(model):
    """A smooth picture, so that the grid is all that is wrong."""
    at = square(64).points
    wave = torch.sin(3 * at[:, 0] + 1) * torch.cos(2 * at[:, 1])
    picture = wave.reshape(1, 64, 64)
    reference = model(picture, grid=Grid.product(Grid.gauss(40), Grid.gauss(40)))
    ns = [12, 16, 24, 32]
    missed = lambda weights: [
        (model(picture, grid=g if weights else Grid.scattered(g.points)) - reference).abs().max()
        for g in (graded(n, 2.0) for n in ns)
    ]
    assert order(missed(True), ns) > 1.6
    assert missed(False)[-1] > 20 * missed(True)[-1]


# The convolution before Q, K and V


def test_the_convolution_reads_the_field_beside_a_point_off_any_grid():
    """∫ g(x + δ, x̃) u(x̃) dx̃ of a linear field is its value at x + δ, away from the border."""
    near = Neighbourhood(1, spacing=1 / 8, size=3).double()
    grid = graded(48, 1.5)
    u = 2 * grid.points[:, :1] - grid.points[:, 1:]
    attention = Attention(1, 1, near=near).double()
    q, k, v, temperature = near.questions(u, grid.points)
    kernel = torch.softmax(q @ k.mT / (temperature * q.shape[-1] ** 0.5) + grid.weights.log(), -1)
    seen = kernel @ v
    inside = ((grid.points > 0.35) & (grid.points < 0.65)).all(-1)
    for shift, values in zip(near.shifts, seen):
        there = grid.points + shift
        assert torch.allclose(values[inside], 2 * there[inside, :1] - there[inside, 1:], atol=2e-3)
    near.share.data.normal_()
    weights = grid.weights.log() - grid.weights.log().mean()
    mixed = near(u, grid.points, weights)
    assert torch.allclose(mixed[1], u + (near.share[1][:, None] * seen).sum(0), atol=1e-9)
    heads = attention._heads(u, grid.points, weights)
    values = F.linear(mixed[2], attention.qkv.weight[2:], attention.qkv.bias[2:])
    assert torch.allclose(heads[2].squeeze(-3), values, atol=1e-9)


@torch.no_grad()
def test_a_convolution_that_adds_nothing_is_none(pictures):
    model = shaken()
    for module in model.modules():
        if isinstance(module, Neighbourhood):
            module.share.zero_()
    plain = FlowVision(replace(SMALL, near=0)).double().eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if ".near." not in k})
    assert torch.allclose(plain(pictures), model(pictures), atol=1e-10)


def test_every_parameter_learns(pictures):
    model = FlowVision(replace(SMALL, norm="pre", bias=True, near=3)).double()
    model.loss(pictures, targets=torch.tensor([0, 1, 2, 3])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.flow.depth.layers[1][0].term.near.share.grad.abs().max() > 0


def test_a_flow_with_neighbours_must_know_where_its_tokens_are():
    flow = Flow([Attention(4, 2, near=Neighbourhood(4, 0.1))], None, "lie", PerStep(1))
    with pytest.raises(ValueError, match=r"looks at neighbours, so it needs to know.*give weights=Grid.*got NoneType"):
        flow(torch.randn(5, 4))
    with pytest.raises(ValueError, match="size must be odd"):
        Neighbourhood(4, 0.1, size=2)
    with pytest.raises(ValueError, match="near must be odd"):
        VisionConfig(near=2)


# On disk


@torch.no_grad()
def test_a_saved_model_says_the_same_and_is_told_from_others(model, pictures, tmp_path):
    model.float().save(tmp_path / "m")
    loaded = FlowVision.load(tmp_path / "m")
    assert loaded.config == SMALL and not loaded.training
    assert torch.equal(loaded(pictures.float()), model(pictures.float()))
    model.double()
    for other in (FlowLM, FlowPoints):
        with pytest.raises(ValueError, match="config.json does not describe a flow transformer .*not a flow transf"):
            other.load(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"width": 32}))
    with pytest.raises(ValueError, match="does not fit its config.json"):
        FlowVision.load(tmp_path / "m")


# What is no picture


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda p: p.expand(-1, 3, -1, -1), r"must be floats \(…, channel = 1, row, column\), got .*\(4, 3, 8, 8\)"),
        (lambda p: p[0, 0], r"for grey pictures \(…, row, column\) use pictures"),
        (lambda p: (255 * p).long(), "must be floats"),
        (lambda p: p.where(p < 0.99, torch.nan), "pictures must be finite, got NaN"),
        (lambda p: torch.cat([p[:2], 0 * p[2:]]), r"picture \[2\] is constant: it shows nothing.*leave it out"),
        (lambda p: torch.ones_like(p[0]), "the picture is constant"),
    ],
)
def test_what_is_no_picture_is_said(model, pictures, spoil, what):
    pictures[0, 0, 0, 0] = 0.995
    with pytest.raises(ValueError, match=what):
        model(spoil(pictures))


def test_a_grid_that_does_not_fit_is_said(model, pictures):
    with pytest.raises(ValueError, match="lie in the plane: the grid must have dim 2, got 1"):
        model(pictures, grid=Grid.uniform(64))
    with pytest.raises(ValueError, match=r"one weight per token: 64 tokens, but weights have shape \(16,\)"):
        integral_mean(torch.zeros(64, 8), square(4).weights)
    with pytest.raises(ValueError, match=r"one weight per key token: 64 keys, but weights have shape \(16,\)"):
        model.flow(model.initial_field(pictures), weights=square(4))
    with pytest.raises(ValueError, match="positions: one point for each of the 64 tokens"):
        model(pictures, positions=index_positions(4, 4, 8))
