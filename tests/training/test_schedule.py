"""A schedule of steps: few at first, then a batch split over several, from knots that begin alike."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from flowlib.models import FlowConfig, FlowLM, shipped
from flowlib.models.points import FlowPoints, PointsConfig
from flowlib.models.vision import FlowVision, VisionConfig
from flowlib.training import TrainConfig, preset, train
from flowlib.training.heap import keep_heap
from flowlib.training.schedule import describe_steps, draw_steps, find_steps, list_steps
from flowlib.training.ship import _prepare_task, ship
from flowlib.training.updates import _make_model

MODEL = FlowConfig(context=8, width=8, heads=2, layers=4, depth="elastic")
RECIPE = dict(flow_steps=(2, 4, 8), flow_split=True, flow_coarse=0.5, alike=True)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("the river is the flow and the flow is the river; " * 20)
    return tmp_path


def config(**changes) -> TrainConfig:
    small = dict(steps=6, batch=6, eval_every=3, log_every=1, warmup=1, device="cpu", model=MODEL)
    return TrainConfig(corpus="text.txt", **small | changes)


@pytest.mark.parametrize(
    "settings, steps",
    [
        ({}, [None] * 6),
        (dict(flow_steps=(2,)), [2] * 6),
        (RECIPE, [2, 2, 2, (2, 4, 8), (2, 4, 8), (2, 4, 8)]),
        (RECIPE | dict(flow_coarse=0.0), [(2, 4, 8)] * 6),
        (RECIPE | dict(flow_coarse=1.0), [2] * 6),
        (RECIPE | dict(flow_coarse=0.4, flow_steps=(8, 4)), [4, 4, 4, (8, 4), (8, 4), (8, 4)]),
    ],
)
def test_the_first_updates_are_coarse_and_the_others_split(settings, steps):
    c = config(**settings)
    assert [find_steps(update, c) for update in range(6)] == steps
    assert set(list_steps(c)) == set(steps) and len(list_steps(c)) == len(set(steps))


def test_without_a_split_one_is_drawn_after_the_coarse_updates():
    c = config(flow_steps=(2, 4, 8), flow_coarse=0.5, steps=40)
    steps = [find_steps(update, c) for update in range(40)]
    assert steps == [2] * 20 + [draw_steps((2, 4, 8), 0, update) for update in range(20, 40)]
    assert set(steps[20:]) == {2, 4, 8} == set(list_steps(c))


def test_all_knots_begin_as_copies_of_the_first():
    made = {}
    for alike in (False, True):
        task = _prepare_task({"corpus": {}, "train": config(alike=alike).to_dict()})
        torch.manual_seed(0)
        made[alike] = _make_model(task)
    layers = {
        alike: [torch.cat([p.flatten() for p in k.parameters()]) for k in made[alike].flow.depth.layers]
        for alike in made
    }
    assert all(torch.equal(layers[True][0], layer) for layer in layers[True])
    assert torch.equal(layers[True][0], layers[False][0]) and not torch.equal(*layers[False][:2])
    assert torch.equal(made[True].embed.weight, made[False].embed.weight)
    knots = [p.data_ptr() for p in made[True].parameters()]
    assert len(set(knots)) == len(knots)  # copies, and not one tensor: each is trained by itself
    tokens = torch.arange(8)[None]
    one = FlowLM(replace(made[True].config, depth="constant"))
    one.load_state_dict({k: v for k, v in made[True].state_dict().items() if "layers." not in k or "layers.0." in k})
    for steps in (2, 5, 8):  # θ(t) = θ_0: an autonomous flow, at any number of steps
        torch.testing.assert_close(made[True](tokens, steps), one(tokens, steps))


def test_a_split_batch_is_its_parts_one_after_the_other():
    torch.manual_seed(0)
    lm = FlowLM(MODEL)
    tokens, targets = torch.randint(0, 256, (2, 8, 8))
    apart = torch.cat([lm(tokens[:4], 2), lm(tokens[4:6], 4), lm(tokens[6:], 8)])
    together = lm(tokens, (2, 4, 2, 8))  # 2 is named twice, and has two parts
    torch.testing.assert_close(together, apart[[0, 1, 2, 3, 4, 5, 6, 7]])
    assert torch.equal(lm(tokens, (4,)), lm(tokens, 4))
    lm.loss(tokens, targets, (2, 8)).backward()
    split = [p.grad.clone() for p in lm.parameters()]
    lm.zero_grad()
    parts = zip(tokens.chunk(2), targets.chunk(2), (2, 8))
    sum(F.cross_entropy(lm(x, n).flatten(0, 1), y.flatten()) / 2 for x, y, n in parts).backward()
    for p, grad in zip(lm.parameters(), split):
        torch.testing.assert_close(grad, p.grad, rtol=1e-4, atol=1e-7)
    with pytest.raises(ValueError, match="need a batch that splits evenly over 3 parts, got a field .8, 8, 8."):
        lm(tokens, (2, 4, 8))
    with pytest.raises(ValueError, match="steps must be a whole number ≥ 1"):
        lm(tokens, (2, 0))


def test_pictures_and_shapes_are_split_with_their_weights():
    torch.manual_seed(0)
    pictures, see = torch.rand(4, 1, 8, 8), FlowVision(VisionConfig(patch=2, tokens=4, width=8, heads=2, layers=2))
    torch.testing.assert_close(see(pictures, (1, 3)), torch.cat([see(pictures[:2], 1), see(pictures[2:], 3)]))
    points, feel = torch.rand(4, 6, 3), FlowPoints(PointsConfig(width=8, heads=2, layers=2))
    for weights in (torch.rand(4, 6) + 0.5, torch.rand(6) + 0.5):
        first, last = (weights, weights) if weights.ndim == 1 else weights.chunk(2)
        parts = [feel(points[:2], 1, weights=first), feel(points[2:], 3, weights=last)]
        torch.testing.assert_close(feel(points, (1, 3), weights=weights), torch.cat(parts))


def test_a_run_by_the_recipe_resumes_bit_for_bit_and_says_its_steps():
    whole = train(config(**RECIPE), "whole", progress=False)
    assert [line["flow_steps"] for line in whole.metrics] == [2] * 4 + [[2, 4, 8]] * 3
    for until in (2, 3, 4):  # before, at and after the change
        train(config(**RECIPE), f"cut-{until}", progress=False, until=until)
        resumed = train(config(**RECIPE), f"cut-{until}", resume=True, progress=False)
        told = lambda r: [{k: v for k, v in line.items() if not k.startswith("wall_")} for line in r.metrics]
        assert told(resumed) == told(whole)
        assert all(torch.equal(p, q) for p, q in zip(resumed.model.parameters(), whole.model.parameters()))
    for name, other in (("flow_split", False), ("flow_coarse", 0.0), ("alike", False)):
        with pytest.raises(ValueError, match=f"train.{name} was"):
            train(config(**RECIPE | {name: other}), "whole", resume=True, progress=False)


def test_on_terraces_the_layers_of_a_coarse_step_stay_copies_until_finer_steps_tell_them_apart():
    terraced = RECIPE | dict(model=replace(MODEL, depth="terraced"))
    for coarse, alike in ((1.0, True), (0.5, False)):
        model = train(config(**terraced | dict(flow_coarse=coarse)), f"run-{coarse}", progress=False).model
        layers = [torch.cat([p.flatten() for p in layer.parameters()]) for layer in model.flow.depth.layers]
        assert not torch.equal(layers[1], layers[2])
        assert all(torch.equal(layers[k], layers[k + 1]) == alike for k in (0, 2))


def test_micro_batches_are_split_too_and_must_fit():
    whole = train(config(**RECIPE, batch=12), "whole", progress=False)
    parts = train(config(**RECIPE, batch=12, micro_batch=6), "parts", progress=False)
    assert whole.metrics[1]["train_loss"] == pytest.approx(parts.metrics[1]["train_loss"], rel=1e-5)
    with pytest.raises(ValueError, match="give a micro_batch that is a multiple of 3"):
        train(config(**RECIPE, batch=12, micro_batch=4), "odd", progress=False)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(flow_split=True), "flow_split needs flow_steps"),
        (dict(flow_coarse=0.5), "flow_coarse needs flow_steps"),
        (dict(flow_steps=(2, 4), flow_coarse=1.5), "flow_coarse must be a share of the updates, from 0 to 1"),
        (dict(flow_steps=(2, 4), flow_coarse=float("nan")), "flow_coarse must be a share"),
        (
            RECIPE | dict(batch=4),
            "a batch of 4 cannot be split evenly over 3 parts .flow_steps 2, 4, 8.; .* multiple of 3",
        ),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        config(**settings)


def test_older_runs_lack_the_settings_and_mean_what_they_meant():
    assert not {"flow_steps", "flow_split", "flow_coarse", "alike"} & set(config().to_dict())
    assert set(config(**RECIPE).to_dict()) - set(config().to_dict()) == set(RECIPE)
    for name in ("tiny", "tiny-elastic"):
        asked = json.loads((shipped(name) / "run.json").read_text("utf-8"))
        again = json.loads(json.dumps(_prepare_task(asked).config.to_dict()))
        kept = [name for name in asked["train"] if name != "model"]
        assert {name: again[name] for name in kept} == {name: asked["train"][name] for name in kept}
        assert not (set(again) - set(asked["train"])) & set(RECIPE)


def test_the_card_says_the_schedule():
    train(config(**RECIPE), "run", progress=False)
    card = (ship("run", "given", "flowlib train", at=(2, 8)) / "CARD.md").read_text("utf-8")
    assert "| steps in training | 2 steps in the first 3 updates, then every batch split over 2, 4, 8 steps |" in card
    assert "all sets of parameters begin as copies of one" in card
    assert describe_steps(config()) == "" and "one drawn for each update" in describe_steps(config(flow_steps=(2, 4)))


def test_the_preset_is_the_recipe_at_fewer_operations_than_eight_steps():
    c = preset("shakespeare-elastic")
    dedicated, layers = preset("shakespeare-cpu").steps, c.model.layers
    taken = [find_steps(update, c) for update in range(c.steps)]
    work = sum(n if isinstance(n, int) else sum(n) / len(n) for n in taken)
    assert 0.9 < work / (dedicated * layers) <= 1.0


def test_the_heap_is_kept_where_glibc_is():
    import platform

    assert keep_heap() == (platform.libc_ver()[0] == "glibc")
