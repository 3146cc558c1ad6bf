"""The benchmark's statistics are right, and it runs; how fast anything is, `flowlib bench` says and no test does."""

import json
import random

import pytest
import torch

from flowlib import cli
from flowlib.measure.flops import flops
from flowlib.measure.ratios import in_turns, median_interval, speed_ratio
from flowlib.models import FlowConfig, FlowLM
from flowlib.studies import bench

TINY = "--layers 2 --width 16 --heads 2 --context 8 --batch 2 --device cpu --rounds 2 --seconds 0".split()


@pytest.mark.parametrize("n, rank", [(6, 1), (8, 1), (9, 2), (20, 6), (40, 14)])
def test_the_interval_of_a_median_is_the_textbooks(n, rank):
    """Ranks of the 95 % interval for a median (e.g. Conover, Practical Nonparametric Statistics, table A3)."""
    interval = median_interval([float(i) for i in range(1, n + 1)])
    assert (interval.low, interval.high) == (rank, n + 1 - rank) and interval.coverage >= 0.95


def test_it_covers_the_true_median_as_often_as_it_says():
    draw, hits = random.Random(0), 0
    for _ in range(2000):
        interval = median_interval([draw.lognormvariate(0.0, 1.0) for _ in range(20)])  # skewed; its median is 1
        hits += interval.low <= 1 <= interval.high
    assert hits / 2000 == pytest.approx(interval.coverage, abs=0.015) and interval.coverage > 0.95


def test_few_values_say_how_little_they_are_worth():
    assert median_interval([3.0, 1.0, 2.0]).coverage == 0.75
    assert median_interval([5.0]).coverage == 0
    with pytest.raises(ValueError, match="at least one value"):
        median_interval([])


def test_a_drift_of_the_machine_cancels():
    """A clock that runs ever slower: seconds drift tenfold, the ratio of paired rounds does not."""
    now, taken = 0.0, 0

    def work(seconds):
        nonlocal now, taken
        taken += 1
        now += seconds * (1 + taken / 20)

    calls = {"ours": lambda: work(1.0), "theirs": lambda: work(2.0)}
    seconds = in_turns(calls, 60, clock=lambda: now)
    assert seconds["ours"][-1] > 4 * seconds["ours"][0]
    ratio = speed_ratio(seconds["ours"], seconds["theirs"])
    assert ratio.median == pytest.approx(2, abs=0.02) and ratio.low <= 2 <= ratio.high
    with pytest.raises(ValueError, match="paired"):
        speed_ratio([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="at least one call"):
        in_turns({}, 3)


def test_turns_alternate_and_repeat_short_calls():
    order, now = [], 0.0

    def call(name, seconds):
        nonlocal now
        order.append(name)
        now += seconds

    in_turns({"a": lambda: call("a", 1.0), "b": lambda: call("b", 0.25)}, 2, least_seconds=1.0, clock=lambda: now)
    assert "".join(order) == "aaabbb" + "abbbb" + "bbbba"


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_operations_are_counted(norm):
    """Two for each product and sum: 12 d² a token and layer, attention 4 n d of them, and the read-out."""
    d, n, layers = 16, 8, 2
    lm = FlowLM(FlowConfig(context=n, width=d, heads=2, layers=layers, norm=norm)).eval()
    tokens = torch.zeros(3, n, dtype=torch.int64)
    with torch.no_grad():
        forward = flops(lambda: lm(tokens))
    assert forward == 3 * n * (layers * (2 * 12 * d * d + 4 * n * d) + 2 * d * 256)
    assert flops(lambda: lm.loss(tokens, tokens).backward()) > 2.5 * forward


def test_all_contestants_have_one_shape():
    models = bench.Bencher(bench.Bench(layers=2, width=16, heads=2, context=8, batch=2, device="cpu")).models
    count = {name: sum(p.numel() for p in model.parameters() if p.ndim > 1) for name, model in models.items()}
    assert len({count[name] for name in count if name != "half the knots"}) == 1
    work = {name: flops(lambda m=model: m(torch.zeros(1, 8, dtype=torch.int64))) for name, model in models.items()}
    assert len(set(work.values())) == 1


def test_the_command(capsys, tmp_path):
    assert cli.main(["bench", *TINY, "--json", str(tmp_path / "bench.json")]) == 0
    out = capsys.readouterr().out
    assert f"torch {torch.__version__}" in out and "float32" in out and "flow / discrete" in out
    result = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    assert result["machine"]["threads"] == torch.get_num_threads() and result["machine"]["device"] == "cpu"
    assert [r["target"] for r in result["ratios"] if r["target"]] == [0.98, 0.95, 0.9]
    training = result["speeds"]["training"]
    assert all(f["memory"] > 0 and f["flops"] > 0 and f["tokens_per_second"] > 0 for f in training.values())
    for r in result["ratios"]:
        assert 0 < r["low"] <= r["median"] <= r["high"] and r["rounds"] == 2
    assert cli.main(["bench", *TINY, "--json", "-", "--clock", "cpu", "--dtype", "bfloat16"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"]["dtype"] == "bfloat16"
