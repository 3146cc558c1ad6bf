"""Chapter 08: pictures and shapes on tokens that the models were not trained on."""

import json

import pytest
import torch

from flowlib.fields import Grid
from flowlib.measure import order
from flowlib.models import FlowLM, FlowPoints, FlowVision, shipped
from flowlib.models.vision import square
from flowlib.studies import transfer
from flowlib.training import load_pictures, preset, surfaces

MODELS = {"digits": FlowVision, "shapes": FlowPoints}


@pytest.fixture(scope="module")
def digits():
    return FlowVision.load(shipped("digits"))


@pytest.fixture(scope="module")
def unseen():
    """The 360 digits that no training saw."""
    pytest.importorskip("sklearn")
    return load_pictures("digits")[2]


@pytest.fixture(scope="module")
def shapes():
    return FlowPoints.load(shipped("shapes"))


@pytest.fixture(scope="module")
def even():
    """Surfaces of another seed than any that was trained, validated or tested on, evenly drawn."""
    return surfaces.clouds(240, 128, seed=999)


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_classifier_is_the_model_of_its_preset(name):
    folder = shipped(name)
    run = json.loads((folder / "run.json").read_text("utf-8"))
    assert run["train"] | {"device": "auto"} == json.loads(json.dumps(preset(name).to_dict()))
    assert MODELS[name].load(folder).config == preset(name).model
    assert (folder / "model.safetensors").stat().st_size < 1.5e6
    card = (folder / "CARD.md").read_text("utf-8")
    assert f"`flowlib train {name}`" in card and "| test | accuracy 0.99" in card


@pytest.mark.claim("C8.1")
@torch.no_grad()
def test_what_was_not_seen_is_classified(measured, digits, unseen, shapes, even):
    found = transfer.on_grid(digits, *unseen, square(8))
    measured.at_least("digits: accuracy on 360 unseen pictures", found.weighted, 0.97)
    measured.at_least("shapes: accuracy on 240 unseen surfaces", transfer.on_clouds(shapes, *even).weighted, 0.95)


@pytest.mark.claim("C8.2")
def test_the_weights_of_a_surface_integrate(measured):
    ns = [8, 16, 32]
    for surface in (surfaces.sphere(0.7), surfaces.ellipsoid(0.5, 0.5, 1.2)):
        missed = [abs(surface.grid(n).measure - surface.area) for n in ns]
        measured.near(f"{surface.name}: order of the area", order(missed, ns), 2, within=0.06)
    exact = (surfaces.torus(1, 0.4), surfaces.cylinder(0.5, 1.3), surfaces.cone(0.6, 1.1), surfaces.box(1, 0.7, 1.4))
    for surface in exact:
        wrong = abs(surface.grid(16).measure / surface.area - 1)
        measured.at_most("torus, can, cone, box: relative error of the area", wrong, 1e-12)
    counts, errors = [64, 256, 1024], []
    for n in counts:
        draws = torch.Generator().manual_seed(n)
        sums = [
            surfaces.sphere().scatter(n, draws, surfaces.tilted(1.0, draws)).integrate(lambda x: x[:, 2] ** 2)
            for _ in range(40)
        ]
        errors.append((torch.stack(sums) - 4 * torch.pi / 3).square().mean().sqrt())
    measured.at_least("scattered points, bias 1: order in the number of points", order(errors, counts), 0.85)


@pytest.mark.claim("C8.3")
@torch.no_grad()
def test_on_uniform_grids_weights_cancel_and_coordinates_carry_over(measured, digits, unseen):
    exact, few = FlowVision.load(shipped("digits")).double(), unseen[0][:20].double()
    for n in (4, 16):
        apart = exact(few, grid=square(n)) - exact(few, grid=Grid.scattered(square(n).points))
        measured.at_most("half and double resolution: scores with weights less without", apart.abs().max(), 1e-12)
    some = unseen[0][:180], unseen[1][:180]
    before = transfer.on_grid(digits, *some, square(8))
    assert before.weighted == before.unweighted == before.by_index
    lost = transfer.drop(transfer.on_grid(digits, *some, square(16)), before.weighted)
    measured.at_most("double resolution, coordinates: accuracy lost", lost.weighted, 0.01)
    measured.at_least("double resolution, counted tokens: accuracy lost", lost.by_index, 0.5)


@pytest.mark.claim("C8.4")
@pytest.mark.parametrize("power", [1.5, 2.0])
@torch.no_grad()
def test_attention_converges_on_graded_grids_with_weights_alone(measured, power):
    model, at, rows = FlowVision.load(shipped("digits")).double(), square(5), [24, 32, 48, 64]
    pixels = square(256).points
    spots = [(pixels - torch.tensor(c)).square().sum(-1).mul(-50).exp() for c in ([0.4, 0.5], [0.65, 0.6])]
    picture = sum(spots).reshape(1, 256, 256)
    fine = transfer.heard(model, picture, at, Grid.product(Grid.gauss(64), Grid.gauss(64)))
    missed = lambda grid: (transfer.heard(model, picture, at, grid) - fine).abs().max()
    grids = [transfer.graded(n, power) for n in rows]
    measured.at_least(f"power {power:g}: order with weights", order([missed(g) for g in grids], rows), 1.9)
    without = [missed(Grid.scattered(g.points)) for g in grids]
    measured.at_most(f"power {power:g}: order without weights", order(without, rows), 0.1)


def test_what_is_heard_is_the_attention_term_itself(digits, unseen):
    """With listeners and tokens on one grid, `heard` is the model's own first term."""
    with torch.no_grad():
        grid, picture = transfer.graded(8, 2.0), unseen[0][0]
        logs = grid.weights.log() - grid.weights.log().mean()
        own = digits.flow.depth.layers[0][0](digits.initial_field(picture, grid), weights=logs)
        assert torch.allclose(transfer.heard(digits, picture, grid, grid), own, atol=1e-5)


@pytest.mark.claim("C8.5")
@torch.no_grad()
def test_on_graded_grids_weights_keep_the_accuracy(measured, digits, unseen):
    """Every sixth picture; each grading crowded in each of the four corners."""
    some = unseen[0][::6], unseen[1][::6]
    before = transfer.on_grid(digits, *some, square(8)).weighted
    lost = transfer.drop(transfer.mean(transfer.on_graded_grids(digits, *some).values()), before)
    measured.at_most("graded grids: accuracy lost, weighted over unweighted", lost.weighted / lost.unweighted, 1 / 3)
    measured.at_least("graded grids: accuracy lost without weights", lost.unweighted, 0.3)
    measured.at_least("graded grids: accuracy lost by counting", lost.by_index, 0.5)


@pytest.mark.claim("C8.6")
@torch.no_grad()
def test_on_dense_sides_weights_keep_the_accuracy(measured, shapes, even):
    before = transfer.on_clouds(shapes, *even).weighted
    lost = transfer.drop(transfer.mean(transfer.on_dense_sides(shapes, count=48).values()), before)
    measured.at_most("dense sides: accuracy lost, weighted over unweighted", lost.weighted / lost.unweighted, 1 / 3)
    measured.at_least("dense sides: accuracy lost without weights", lost.unweighted, 0.3)


@pytest.mark.claim("C8.7")
def test_letters_pictures_and_surfaces_flow_by_the_same_classes(measured, digits, shapes):
    def built_of(model):
        layer = model.flow.depth.layers[0]
        bare = [getattr(term, "term", term) for term in layer]  # without the pre-norm around it
        return [(type(term), sorted(name for name, _ in term.named_parameters())) for term in bare]

    text = FlowLM.load(shipped("tiny"))
    kinds = {str(built_of(model)) for model in (text, digits, shapes)}
    measured.near("different sets of classes and parameters in three models", len(kinds), 1, within=0)
    assert len({type(model.flow) for model in (text, digits, shapes)}) == 1
    assert [model.config.norm for model in (text, digits, shapes)] == ["post", "post", "pre"]


def test_without_weights_the_corner_counts_as_its_crowd():
    """Question Q8.4: tokens for each area at (0.01, 0.01) against (0.25, 0.25)."""
    grid = transfer.graded(200, 2.0)
    inside = lambda x: ((grid.points - x).abs() < 0.2 * x).all(-1).sum() / (0.4 * x) ** 2
    assert (inside(0.01) / inside(0.25)).item() == pytest.approx(25, rel=0.1)
