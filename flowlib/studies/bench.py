"""How fast the flow transformer is, beside a discrete one, a plain GPT and torch's own encoder, all of one shape.

Everything is measured in one run, in turns, and told as a ratio of paired rounds with its median and 95 % interval.
"""

import platform
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch

from flowlib.cores import count_cores
from flowlib.measure.flops import flops
from flowlib.measure.ratios import Interval, in_turns, speed_ratio
from flowlib.studies.workloads import CLOCKS, Bench, Bencher, Call

Seconds = dict[str, dict[str, list[float]]]  # mode → contestant → of each round

# What must hold, and what is compared for interest (None).
RATIOS = (
    ("flow", "discrete", "training", 0.98, "parameters in depth cost nothing that can be measured"),
    ("flow", "discrete", "forward", None, ""),
    ("half the knots", "discrete", "training", None, "every step lies between two knots"),
    ("flow", "plain GPT", "training", 0.95, "nn.Modules and scaled_dot_product_attention"),
    ("flow", "plain GPT", "forward", None, ""),
    ("flow", "torch encoder", "training", None, "nn.TransformerEncoder"),
    ("flow", "torch encoder", "forward", None, ""),
    ("weighted flow", "flow", "training", 0.9, "quadrature weights of the token grid"),
    ("weighted flow", "flow", "forward", None, ""),
    ("weighted kernel", "kernel", "kernel", None, "attention alone, forward and backward"),
    ("keeping the past", "not keeping it", "generation", None, "one text, to the end of the context"),
    ("flow", "plain GPT", "sliding", None, "one text, past the end of the context"),
)


def bench(asked: Bench, progress: bool = True) -> dict[str, Any]:
    """Measure everything; a dictionary ready for JSON.

    machine, shape    what it ran on, and what was asked for
    speeds            mode → contestant → tokens a second, seconds of a call, and for training memory and operations
    ratios            ours, theirs, mode, median, low, high, rounds, the target if there is one, and whether it is met
    """
    bencher = Bencher(asked)
    peak, modes = bencher.peak(), bencher.calls()
    seconds = _take_times(bencher, modes, progress)
    speeds = {mode: _compute_speeds(times, bencher.tokens_of(mode)) for mode, times in seconds.items()}
    for name, call in modes["training"].items():
        speeds["training"][name] |= _measure_work(bencher, name, call, speeds["training"][name]["seconds"], peak)
    return {
        "machine": describe_machine(bencher.device) | {"peak_flops": peak},
        "shape": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(bencher.asked).items()},
        "speeds": speeds,
        "ratios": [_compare(seconds, *row) for row in RATIOS],
    }


def _take_times(bencher: Bencher, modes: dict[str, dict[str, Call]], progress: bool) -> Seconds:
    from tqdm import tqdm

    asked, seconds = bencher.asked, {}
    total = asked.rounds * sum(map(len, modes.values()))
    with tqdm(total=total, unit="measurement", disable=None if progress else True, leave=False) as bar:
        how = {"least_seconds": asked.seconds, "wait": bencher.wait, "clock": CLOCKS[asked.clock]}
        for mode, calls in modes.items():
            bencher.set_mode(mode)
            bar.set_description(mode)
            seconds[mode] = in_turns(calls, asked.rounds, progress=bar.update, **how)
    return seconds


def _compute_speeds(times: dict[str, list[float]], tokens: int) -> dict[str, dict[str, Any]]:
    return {
        name: {"tokens_per_second": tokens / median(taken), "seconds": median(taken)} for name, taken in times.items()
    }


def _measure_work(bencher: Bencher, name: str, call: Call, seconds: float, peak: float) -> dict[str, Any]:
    """What a training call needs: memory, parameters, operations, and the share of the device's peak that these are."""
    model = bencher.models[name].train()
    work = flops(bencher.training(model, compile=False) if bencher.asked.compile else call)  # compiled, none is counted
    return {
        "memory": bencher.memory(call),
        "parameters": sum(p.numel() for p in model.parameters()),
        "flops": work,
        "of_peak": work / seconds / peak,
    }


def _compare(seconds: Seconds, ours: str, theirs: str, mode: str, target: float | None, what: str) -> dict[str, Any]:
    interval = speed_ratio(seconds[mode][ours], seconds[mode][theirs])
    return {
        "ours": ours,
        "theirs": theirs,
        "mode": mode,
        "what": what,
        **asdict(interval),
        "rounds": len(seconds[mode][ours]),
        "target": target,
        "met": None if target is None else interval.median >= target,
    }


def describe_machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    names = [line.partition(":")[2].strip() for line in _read_cpuinfo() if line.startswith("model name")]
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": count_cores(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _read_cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []


def table(result: dict[str, Any]) -> str:
    """The figures as one reads them."""
    rounds = result["ratios"][0]["rounds"]
    return "\n".join(
        [
            *_head_lines(result["machine"], result["shape"]),
            "",
            f"{'':16} {'':20} {'tokens/s':>12} {'ms':>9} {'MB':>8} {'of peak':>8}",
            *(_speed_line(mode, *row) for mode, speeds in result["speeds"].items() for row in speeds.items()),
            "",
            f"speed as a multiple: median [95 % interval] of {rounds} paired rounds",
            *map(_ratio_line, result["ratios"]),
        ]
    )


def _head_lines(m: dict[str, Any], s: dict[str, Any]) -> list[str]:
    return [
        f"{m['device']}, {m['cpu']}, {m['threads']} of {m['cores']} threads, torch {m['torch']}, "
        f"Python {m['python']}, {m['system']}; {s['dtype']}{', compiled' if s['compile'] else ''}, {s['clock']} clock",
        f"{s['layers']} layers, {s['heads']} heads, {s['width']} wide, context {s['context']}, batch {s['batch']}, "
        f"{s['norm']}-norm, {s['knots'] or s['layers']} knots",
        f"a large matrix product reaches {m['peak_flops'] / 1e9:,.0f} GFLOP/s",
    ]


def _speed_line(mode: str, name: str, figures: dict[str, Any]) -> str:
    line = f"{mode:16} {name:20} {figures['tokens_per_second']:12,.0f} {1e3 * figures['seconds']:9.2f}"
    if "memory" not in figures:
        return line
    share = f"{figures['of_peak']:8.0%}" if figures["of_peak"] else ""
    return line + f" {figures['memory'] / 1e6:8.1f} {share}"


def _ratio_line(r: dict[str, Any]) -> str:
    wanted = "" if r["target"] is None else f"  wanted ≥ {r['target']:g}: {'met' if r['met'] else 'MISSED'}"
    return f"{r['mode']:11} {r['ours'] + ' / ' + r['theirs']:34} {_interval(r)!s:24}{wanted}"


def _interval(r: dict[str, Any]) -> Interval:
    return Interval(r["median"], r["low"], r["high"], r["coverage"])


def markdown(result: dict[str, Any]) -> str:
    """The ratios as a Markdown table, for a page."""
    lines = ["| mode | ours / theirs | speed as a multiple, median [95 % interval] | wanted |", "|---|---|---|---|"]
    for r in result["ratios"]:
        wanted = "" if r["target"] is None else f"≥ {r['target']:g}"
        lines.append(f"| {r['mode']} | {r['ours']} / {r['theirs']} | {_interval(r)} | {wanted} |")
    return "\n".join(lines)


def table_of_norms(results: list[dict[str, Any]]) -> str:
    """Flow beside plain GPT as a Markdown table: a row for each run, by its norm."""
    modes = ("training", "forward", "sliding")
    lines = [f"| norm of the flow | {' | '.join(modes)} |", "|---|---|---|---|"]
    for result in results:
        found = {r["mode"]: _interval(r) for r in result["ratios"] if (r["ours"], r["theirs"]) == ("flow", "plain GPT")}
        lines.append(f"| {result['shape']['norm']} | {' | '.join(str(found[mode]) for mode in modes)} |")
    return "\n".join(lines)
