"""Training with changing depth, and the comparisons: equal work, resumable, and the same bits after a kill."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flowlib import cli
from flowlib.models import FlowConfig, FlowLM
from flowlib.studies import compare as comparing
from flowlib.training import TrainConfig, preset, train
from flowlib.training.checkpoints import find_model
from flowlib.training.elastic import coarse_to_fine, refine
from flowlib.training.schedule import draw_steps
from flowlib.training.tasks import Text

MODEL = FlowConfig(context=8, width=8, heads=2, layers=4, depth="elastic")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("the river is the flow and the flow is the river; " * 20)
    return tmp_path


def config(**changes) -> TrainConfig:
    small = dict(steps=6, batch=2, eval_every=3, log_every=1, warmup=1, device="cpu")
    return TrainConfig(corpus="text.txt", model=MODEL, **small | changes)


def test_the_number_of_steps_is_a_function_of_seed_and_update():
    drawn = [draw_steps((2, 4, 8), 0, update) for update in range(600)]
    assert drawn == [draw_steps((2, 4, 8), 0, update) for update in range(600)]
    assert drawn != [draw_steps((2, 4, 8), 1, update) for update in range(600)]
    assert all(150 < drawn.count(n) < 250 for n in (2, 4, 8)) and draw_steps((), 0, 0) is None


def test_elastic_training_resumes_bit_for_bit():
    whole = train(config(flow_steps=(2, 4, 8)), "whole", progress=False)
    train(config(flow_steps=(2, 4, 8)), "cut", progress=False, until=2)
    assert json.loads(Path("cut/metrics.jsonl").read_text().splitlines()[-1])["step"] == 2
    resumed = train(config(flow_steps=(2, 4, 8)), "cut", resume=True, progress=False)
    losses = lambda r: [(m["step"], m.get("train_loss"), m.get("validation_loss")) for m in r.metrics]
    assert losses(resumed) == losses(whole)
    assert all(torch.equal(p, q) for p, q in zip(resumed.model.parameters(), whole.model.parameters()))
    other = train(config(), "fixed", progress=False)
    assert losses(other) != losses(whole)


def test_a_run_from_before_elastic_training_can_be_resumed():
    assert "flow_steps" not in config().to_dict() and config(flow_steps=(2,)).to_dict()["flow_steps"] == [2]
    with pytest.raises(ValueError, match="flow_steps must be whole numbers from 1 up"):
        config(flow_steps=(0, 2))


def test_a_refined_run_goes_on_with_the_same_function_and_moments():
    coarse = replace(config(), model=replace(MODEL, depth="piecewise_linear", knots=3, steps=2))
    train(coarse, "coarse", progress=False, until=3)
    fine = replace(coarse, model=replace(coarse.model, knots=5, steps=4))
    refine("coarse", "fine", fine)
    before, after = (FlowLM.load(find_model(Path(run) / "checkpoints/step-000003")) for run in ("coarse", "fine"))
    tokens = torch.randint(0, 256, (2, 8))
    torch.testing.assert_close(after(tokens, 2), before(tokens))
    moments = {run: comparing_moments(run) for run in ("coarse", "fine")}
    for name, part in (("exp_avg", 0.5), ("exp_avg_sq", 0.25)):
        old = moments["coarse"][f"flow.depth.layers.1.0.qkv.weight/{name}"]
        torch.testing.assert_close(moments["fine"][f"flow.depth.layers.2.0.qkv.weight/{name}"], part * old)
    assert torch.equal(moments["fine"]["embed.weight/exp_avg"], moments["coarse"]["embed.weight/exp_avg"])
    result = train(fine, "fine", resume=True, progress=False)
    assert [m["step"] for m in result.metrics] == list(range(7)) and result.model.config.knots == 5
    with pytest.raises(FileExistsError):
        refine("coarse", "fine", fine)
    with pytest.raises(ValueError, match="only steps may differ"):
        refine("coarse", "other", replace(fine, model=replace(fine.model, knots=7)))
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        refine("nowhere", "other", fine)


def test_refining_deletes_nothing_that_it_did_not_make(monkeypatch, die_at):
    coarse = replace(config(), model=replace(MODEL, depth="piecewise_linear", knots=3, steps=2))
    train(coarse, "coarse", progress=False, until=3)
    fine = replace(coarse, model=replace(coarse.model, knots=5, steps=4))
    draft = Path(".fine.draft")
    with monkeypatch.context() as patch, pytest.raises(die_at.Killed):
        die_at(patch, 8)
        refine("coarse", "fine", fine)
    assert [p for p in draft.rglob("*") if p.is_file()] and not Path("fine").exists()
    (draft / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="fine.draft is needed .*holds other files; move them"):
        refine("coarse", "fine", fine)
    assert (draft / "thesis.tex").read_text() == "years of work"
    (draft / "thesis.tex").unlink()
    refine("coarse", "fine", fine)  # over what the kill left
    assert not draft.exists() and find_model("fine")
    Path("other").symlink_to("nowhere")
    with pytest.raises(FileExistsError, match="other is there already"):
        refine("coarse", "other", fine)


def comparing_moments(run):
    from flowlib.files import load_tensors

    return load_tensors(Path(run) / "checkpoints/step-000003/optimizer.safetensors")


def test_coarse_to_fine_goes_on_where_it_was(monkeypatch):
    whole = coarse_to_fine(config(), "whole", progress=False)
    shape = whole.model.config
    assert (shape.knots, shape.steps, shape.layers) == (5, 4, 4) and whole.metrics[-1]["step"] == 6
    coarse = [FlowLM.load(find_model(f"whole/level-{i}")).config for i in range(2)]
    assert [(c.knots, c.steps) for c in coarse] == [(2, 1), (3, 2)]

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("flowlib.training.elastic.refine", die)
        coarse_to_fine(config(), "cut", progress=False)
    resumed = coarse_to_fine(config(), "cut", progress=False)
    assert all(torch.equal(p, q) for p, q in zip(resumed.model.parameters(), whole.model.parameters()))
    with pytest.raises(ValueError, match="multiple of 8"):
        coarse_to_fine(config(), "more", levels=4, progress=False)


@pytest.mark.parametrize("layers, within", [(8, 0.05), (4, 0.4)])
def test_schemes_have_the_same_parameters_and_nearly_the_same_work(layers, within):
    base = replace(preset("shakespeare-cpu"), model=replace(preset("shakespeare-cpu").model, layers=layers))
    models = {name: variant.config.model for name, variant in comparing.schemes(base).items()}
    assert len({sum(p.numel() for p in FlowLM(model).parameters()) for model in models.values()}) == 1
    work = {name: comparing.flops_per_token(model) for name, model in models.items()}
    assert all(abs(w / work["post-norm"] - 1) < within for w in work.values())
    if layers == 8:
        assert (models["Macaron"].steps, models["tangent Strang"].steps, models["additive"].steps) == (5, 3, None)


SMALL = (
    "--corpus text.txt --device cpu --steps 2 --batch 2 --eval-every 1 --warmup 1 --seeds 2 "
    "--model.context 8 --model.width 8 --model.heads 2 --model.layers 4"
).split()


def test_the_command_makes_a_table_and_repeats_nothing(capsys, monkeypatch):
    assert cli.main(["compare", "schemes", "tiny", *SMALL, "--runs", "r", "--json", "t.json"]) == 0
    out = capsys.readouterr().out
    result = json.loads(Path("t.json").read_text("utf-8"))
    assert set(result["variants"]) == {"post-norm", "pre-norm", "RMS sphere", "additive", "Macaron", "tangent Strang"}
    for name, facts in result["variants"].items():
        assert f"| {name} |" in out and [run["seed"] for run in facts["runs"]] == [0, 1]
        assert all(run["best"] <= run["final"] and Path(run["folder"]).is_dir() for run in facts["runs"])
    assert "2 seeds" in out and "±" in out
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: pytest.fail("a finished run was trained again"))
    assert cli.main(["compare", "schemes", "tiny", *SMALL, "--runs", "r", "--json", "-"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["variants"]["Macaron"]["runs"] == result["variants"]["Macaron"]["runs"]
    assert cli.main(["compare", "shapes"]) == 2
    assert "compare what? known are schemes, depth" in capsys.readouterr().err


def test_depths_are_compared_at_other_numbers_of_steps(capsys):
    assert cli.main(["compare", "depth", "tiny", *SMALL, "--runs", "r", "--json", "-", "--seeds", "1"]) == 0
    variants = json.loads(capsys.readouterr().out)["variants"]
    at = {name: set(facts["runs"][0]["at"]) for name, facts in variants.items()}
    assert at["elastic"] == at["free layers"] == at["coarse to fine"] == {"2", "4", "8"}
    assert at["trained at L/2"] == {"2"} and at["trained at 2L"] == {"8"}
    assert variants["half the knots"]["parameters"] < variants["elastic"]["parameters"]
    base = Text(replace(config(), model=replace(MODEL, layers=3))).config
    with pytest.raises(ValueError, match="multiple of 4"):
        comparing.depths(base)


def test_one_model_for_all_steps_is_compared_with_one_for_each(capsys):
    four = ["4" if word == "2" and SMALL[k - 1] == "--batch" else word for k, word in enumerate(SMALL)]
    asked = [*four, "--steps", "10", "--runs", "r", "--json", "-", "--seeds", "1"]
    assert cli.main(["compare", "dial", "tiny", *asked]) == 0
    variants = json.loads(capsys.readouterr().out)["variants"]
    one, terraces = (variants[f"one for all, {said}"] for said in ("straight lines", "terraces"))
    alone = variants["4 steps alone"]
    assert [each["model"]["depth"] for each in (one, terraces, alone)] == ["elastic", "terraced", "elastic"]
    assert terraces["flops_of_training"] == one["flops_of_training"] and terraces["steps"] == one["steps"]
    assert one["steps"] == "2 or 4 or 8" and set(one["runs"][0]["at"]) == {"2", "3", "4", "6", "8", "16"}
    assert list(variants)[2:] == [f"{n} steps alone{said}" for said in ("", ", alike") for n in (2, 4, 8)]
    assert alone["training_ratio"] == 1.0 and 0.85 < one["training_ratio"] <= 1.0
    assert one["parameters"] == alone["parameters"] and set(alone["runs"][0]["at"]) == {"4"}
    table = comparing.table({"variants": variants})
    assert table.splitlines()[0].endswith("| training | seconds |") and "| × 1.00 |" in table
    with pytest.raises(ValueError, match="must be a multiple of 4, got 6"):
        comparing.dial(replace(config(batch=4), model=replace(MODEL, layers=6)))
    with pytest.raises(ValueError, match="even number of layers, got 3"):
        comparing.dial(replace(config(batch=4), model=replace(MODEL, layers=3)))
    with pytest.raises(ValueError, match="cannot be split evenly over 4 parts"):
        comparing.dial(config())
