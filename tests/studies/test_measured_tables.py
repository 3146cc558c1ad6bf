"""The tables of the page "What was measured" are those of the runs that are stored beside the shipped models."""

import json
import re
from pathlib import Path

import pytest

from flowlib.models import shipped
from flowlib.studies import bench, compare

PAGE = Path(__file__).parents[2] / "chapters" / "measured.md"
STORED = shipped("tiny").parent
NORMS = ("bench", "bench-pre", "bench-sphere")
TABLES = {
    "bench": bench.markdown,
    "schemes": lambda result: compare.table(result, seconds=False),
    "depth": lambda result: compare.table(result, seconds=False),
    "dial": lambda result: compare.table(result, seconds=False),
    "warmups": lambda result: compare.table(result, seconds=False),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_page_says_what_was_measured(name):
    stored = json.loads((STORED / f"{name}.json").read_text("utf-8"))
    expected = TABLES[name](stored)
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert found, f"measured.md lacks the table between <!-- {name} --> and <!-- /{name} -->:\n{expected}"
    assert found[1] == expected, f"measured.md must say, between <!-- {name} --> and <!-- /{name} -->:\n{expected}"


def test_the_page_says_how_fast_each_norm_is():
    stored = [json.loads((STORED / f"{name}.json").read_text("utf-8")) for name in NORMS]
    alike = [{k: v for k, v in run["shape"].items() if k not in ("norm", "json")} for run in stored]
    assert alike[0] == alike[1] == alike[2] and [run["shape"]["norm"] for run in stored] == ["post", "pre", "sphere"]
    assert f"<!-- norms -->\n{bench.table_of_norms(stored)}\n<!-- /norms -->" in PAGE.read_text("utf-8")


def test_a_longer_warm_up_lets_post_norm_learn_at_twice_the_rate():
    stored = json.loads((STORED / "warmups.json").read_text("utf-8"))["variants"]
    final = {name: [run["final"] for run in facts["runs"]] for name, facts in stored.items()}
    frequencies = 3.25
    for rate, warmup, learns in ((0.004, 50, False), (0.004, 150, True), (0.008, 150, False)):
        losses = final[f"post-norm, rate {rate:g}, warm-up {warmup}"]
        assert all((loss < frequencies - 0.2) == learns for loss in losses), (rate, warmup, losses)
    assert all(loss < frequencies - 0.5 for name, losses in final.items() for loss in losses if name.startswith("pre"))


def test_a_longer_warm_up_brings_the_seeds_of_tangent_strang_together():
    runs = json.loads((STORED / "schemes.json").read_text("utf-8"))["variants"]["tangent Strang"]["runs"]
    longer = json.loads((STORED / "tangent.json").read_text("utf-8"))
    before, after = [run["best"] for run in runs], [run["validation_losses"][-1][1] for run in longer.values()]
    assert max(after) - min(after) < (max(before) - min(before)) / 3
    page = " ".join(PAGE.read_text("utf-8").split())
    for said, losses in (("far apart, at", before), ("with 600 they reach", after)):
        assert f"{said} {losses[0]:.3f}, {losses[1]:.3f} and {losses[2]:.3f}" in page


def test_the_page_says_what_two_learning_rates_did():
    stored = json.loads((STORED / "rates.json").read_text("utf-8"))
    losses = {name: dict(run["validation_losses"]) for name, run in stored.items()}
    knots, thrown, common = losses.values()
    text = " ".join(PAGE.read_text("utf-8").split())
    assert stored["half the knots, rate 0.004"]["command"] in text
    assert f"At 0.004 they reach {knots[2000]:.4f}" in text and knots[2000] < common[2000]
    assert f"{thrown[750]:.2f} after 750 updates, against {common[750]:.2f}" in text


def without_seeds(stored):
    """The losses of the runs that differ in nothing but the seed, together."""
    runs: dict[str, list[dict]] = {}
    for name, run in stored.items():
        runs.setdefault(re.sub(r", seed \d", "", name), []).append(run["at"])
    return runs


def test_the_page_says_what_one_model_did_on_shakespeare():
    """Each row of the table is the mean of the stored runs that differ in nothing but the seed."""
    stored = json.loads((STORED / "elastic.json").read_text("utf-8"))
    found = re.search(r"<!-- elastic -->\n(.*?)\n<!-- /elastic -->", PAGE.read_text("utf-8"), re.DOTALL)
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]
    said = {name: {n: float(loss) for n, loss in zip(head[1:], losses) if loss} for name, *losses in rows}
    assert all(run["command"].startswith("flowlib train shakespeare-") for run in stored.values())
    runs = without_seeds(stored)
    means = {name: {n: sum(at[n] for at in ats) / len(ats) for n in ats[0]} for name, ats in runs.items()}
    assert list(said) == [f"{name} ({len(ats)})" for name, ats in runs.items()]
    for losses, mean in zip(said.values(), means.values(), strict=True):
        assert losses == pytest.approx(mean, abs=5.1e-5)


def test_on_shakespeare_one_model_is_ahead_or_level_up_to_16_steps():
    stored = json.loads((STORED / "elastic.json").read_text("utf-8"))
    mean = lambda of, n: sum(run["at"][n] for name, run in stored.items() if re.match(f"{of}, seed .$", name)) / 3
    page = " ".join(PAGE.read_text("utf-8").split())
    for n in ("4", "6", "8", "12", "16"):
        behind = mean("one for all, terraces", n) - mean(f"{n} steps alone, rate 0.003, alike", n)
        assert behind < (0.01 if n == "16" else 0.0), n
    assert f"it has {mean('one for all, terraces', '8'):.4f} at 8 steps" in page
    best = min(run["at"]["8"] for name, run in stored.items() if name.startswith("8 steps alone"))
    assert mean("one for all, terraces", "8") < best
    for n, behind in (("4", 0.0), ("16", 0.01)):  # of whatever rate, begun alike or not
        alone = [ats for name, ats in without_seeds(stored).items() if name.startswith(f"{n} steps alone")]
        assert mean("one for all, terraces", n) < min(sum(at[n] for at in ats) / len(ats) for ats in alone) + behind


def test_the_page_says_what_is_on_the_card_of_an_hour():
    card = (shipped("shakespeare-hour") / "CARD.md").read_text("utf-8")
    page = " ".join(PAGE.read_text("utf-8").split())
    loss = r"([\d.]+)"
    said = re.search(rf"{loss} at 8 steps, {loss} at 4, {loss} at 16, {loss} at 12, {loss} at 32 and {loss} at 6", page)
    assert f"best {said[1]}" in card
    assert f"4: {said[2]}, 6: {said[6]}, 12: {said[4]}, 16: {said[3]}, 32: {said[5]}" in card
    seconds = int(re.search(r", (\d+) s;", card)[1])
    assert f"in {round(seconds / 60)} minutes" in page
