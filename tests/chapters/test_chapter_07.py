"""Chapter 07: what becomes of a trained model when its depth is changed, and what its scheme costs."""

import json
from dataclasses import replace

import pytest
import torch

from flowlib.measure.evaluations import compare_work
from flowlib.models import FlowLM, shipped
from flowlib.training import data, preset

TEXT, MORE = "the value of the argum", "ent is"


@pytest.fixture(scope="module")
def unseen():
    """A sixth of the validation split: every sixth window. Skips where Python's help texts are others."""
    run = json.loads((shipped("tiny") / "run.json").read_text("utf-8"))
    corpus = data.load_corpus("embedded")
    if corpus.describe()["sha256"] != run["corpus"]["sha256"]:
        pytest.skip("another Python version, with other help texts than the models were trained on")
    _, tokens = corpus.tokens(preset("tiny").model.vocabulary, 64)
    return tokens.unfold(0, 65, 64)[::6]


@torch.no_grad()
def risen(model, windows, steps):
    """By how much the loss lies above that at 4 steps, at each number of steps."""
    at = lambda n: model.loss(windows[:, :-1], windows[:, 1:], steps=n).item()
    return {n: at(n) - at(4) for n in steps}


@pytest.mark.claim("C7.1")
@pytest.mark.parametrize("name", ["tiny", "tiny-elastic"])
@pytest.mark.parametrize("steps", [3, 4, 64])
def test_what_has_flowed_stays_when_a_text_goes_on(measured, name, steps):
    model = FlowLM.load(shipped(name)).double()
    short, long = (model.trajectory(text, steps).fields for text in (TEXT, TEXT + MORE))
    change = (long[:, : len(TEXT)] - short).abs().max()
    measured.at_most("largest change of a trajectory when letters are appended", change, 1e-12)
    assert (long[:, -1] - short[:, -1]).abs().max() > 0.1  # the last letters do differ
    how = dict(tokens=8, temperature=0.7, seed=0, steps=steps)
    assert model.generate(TEXT, **how) == model.generate(TEXT, keep_past=False, **how)


@pytest.mark.claim("C7.2")
def test_a_model_of_one_depth_breaks_at_others(measured, unseen):
    above = risen(FlowLM.load(shipped("tiny")), unseen, [2, 8, 32])
    measured.at_least("tiny, 2 steps: nats above its loss at 4", above[2], 1.4)
    measured.at_least("tiny, 8 steps: nats above its loss at 4", above[8], 0.1)
    measured.at_least("tiny, 32 steps: nats above its loss at 4", above[32], 0.25)


@pytest.mark.claim("C7.3")
def test_an_elastic_model_degrades_little(measured, unseen):
    rises = risen(FlowLM.load(shipped("tiny-elastic")), unseen, [2, 8, 16, 32])
    for steps, rise in rises.items():
        measured.between(f"tiny-elastic, {steps} steps: nats above its loss at 4", rise, 0.0, 0.08)


@pytest.mark.claim("C7.4")
def test_random_steps_mend_it_and_continuity_alone_does_not(measured, unseen):
    """Trainings are stored, with the command that repeats them; what was trained at 4 steps is measured here."""
    stored = json.loads((shipped("tiny").parent / "remedies.json").read_text("utf-8"))
    assert stored["command"].startswith("flowlib compare remedies tiny")
    for name, facts in stored["variants"].items():
        at = {int(n): loss for n, loss in facts["runs"][0]["at"].items()}
        if "random" in name:
            worst = max(at[n] - at[4] for n in (2, 8, 16, 32))
            measured.at_most(f"{name} (stored run): nats above its loss at 4, from 2 to 32 steps", worst, 0.07)
    tiny = FlowLM.load(shipped("tiny"))
    continuous = FlowLM(replace(tiny.config, depth="elastic")).eval()  # the same bits in 4 steps, so the same training
    continuous.load_state_dict(tiny.state_dict())
    above = {name: risen(model, unseen, [2, 8]) for name, model in (("tiny", tiny), ("continuous", continuous))}
    for n in (2, 8):
        more = above["continuous"][n] - above["tiny"][n]
        measured.at_least(f"trained at 4 steps, run in {n}: nats that continuity adds to the rise", more, 0.3)


@pytest.fixture(scope="module")
def dial():
    """The stored trainings of one model for three depths and of models for one: (variant, steps) ↦ mean of 3 seeds."""
    stored = json.loads((shipped("tiny").parent / "dial.json").read_text("utf-8"))
    assert stored["command"].startswith("flowlib compare dial tiny --seeds 3") and stored["seeds"] == 3
    mean = lambda name, n: sum(run["at"][str(n)] for run in stored["variants"][name]["runs"]) / 3
    return stored["variants"], mean


def above_alone(dial, name, n):
    """How many nats one model for all is above the better of the two kinds that take n steps alone."""
    _, mean = dial
    return mean(name, n) - min(mean(f"{n} steps alone{said}", n) for said in ("", ", alike"))


@pytest.mark.claim("C7.7")
def test_one_model_for_three_depths_is_level_with_one_for_each(measured, dial):
    one = "one for all, straight lines"
    for n in (2, 4, 8):
        above, most = above_alone(dial, one, n), 0.02 if n == 8 else 0.0
        measured.at_most(f"{n} steps (stored runs): nats above the better model for them alone", above, most)
    ratio = dial[0][one]["training_ratio"]
    measured.at_most("operations of its training over those of 4 steps alone (stored runs)", ratio, 1.0)


@pytest.mark.claim("C7.8")
@torch.no_grad()
def test_terraces_and_steps_that_fit_them_have_no_weak_number_from_two_on(measured, unseen, dial):
    """The trained model is read here; the trainings are stored, with the command that repeats them."""
    straight = FlowLM.load(shipped("tiny-elastic"))
    terraces = FlowLM(replace(straight.config, depth="terraced")).eval()
    terraces.load_state_dict(straight.state_dict())
    lost = {name: risen(model, unseen, [3])[3] for name, model in (("lines", straight), ("terraces", terraces))}
    measured.at_least("tiny-elastic, straight lines: nats that 3 steps cost", lost["lines"], 0.11)
    measured.at_most("the same parameters in terraces: nats that 3 steps cost", lost["terraces"], 0.05)
    one, (_, mean) = "one for all, terraces", dial
    for n in (2, 4, 8):
        measured.at_most(f"{n} steps, trained with terraces: nats above models alone", above_alone(dial, one, n), 0.0)
    worst = max(mean(one, n) - mean(one, 4) for n in (3, 6, 8, 16))
    measured.at_most("trained with terraces: nats above its loss at 4, at 3, 6, 8 and 16 steps", worst, 0.05)


@pytest.mark.claim("C7.5")
@torch.no_grad()
def test_a_trained_model_says_the_same_with_doubled_knots(measured):
    model = FlowLM.load(shipped("tiny-elastic")).double()
    tokens = model.config.vocabulary.encode(TEXT)[None]
    for finer in (model.double_knots(), model.double_knots().double_knots()):
        for steps in (2, 3, 4, 16):
            change = (finer(tokens, steps) - model(tokens, steps)).abs().max()
            measured.at_most("largest change of a logit with doubled knots", change, 1e-12)


@pytest.mark.claim("C7.6")
@torch.no_grad()
def test_a_better_scheme_reaches_the_flows_own_end_with_less_work(measured):
    model = FlowLM.load(shipped("tiny")).double()
    lie, _, tangent = compare_work(model.flow, model.trajectory(TEXT[:6]).fields[0])
    ratio = tangent.evaluations / lie.evaluations
    measured.at_most("evaluations to an error of 1e-3, tangent Strang over Lie", ratio, 0.25)
