"""What a GPU has to show, in one command and nine minutes: tests, speeds, a trained model and an elastic one.

    make gpu                          into build/gpu
    make gpu GPU_ARGS="--dry"         the same on a CPU with small numbers: a minute
    python etc/gpu.py --out FOLDER --minutes 9

It fetches nothing. Tiny Shakespeare is read from FLOWLIB_DATA or, without that, from build/data/tinyshakespeare.txt; it
needs torch, numpy, safetensors, accelerate, tqdm, filelock and jaxtyping, for the tests also pytest, hypothesis and
beartype, for the figure matplotlib. Each part is a process of its own with a limit, and leaves what it has: a training
that is stopped leaves its best model. The trainings and the tests run side by side, then the speeds, each alone.

    FOLDER/report.md        what was measured, the cards, samples
          /results.json     the same figures, for a program
          /curves.png       validation losses
          /NAME-1-of-2.safetensors, …   the models in float16, in parts of at most 15 MiB; their settings are in results

Runs, logs and each part's figures lie in FOLDER-work; the trainings go on there when the command is given again.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
TOGETHER = ("flow", "elastic", "tests")
LIMITS = {"bench-10m": 40, "bench-124m": 60, "bench-10m-compiled": 120, "bench-124m-compiled": 200}  # seconds
ALONE = tuple(LIMITS)
LAST = 25  # seconds that are kept for the report
PART = 15 * 2**20  # bytes of a file of tensors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build/gpu", help="the folder that everything goes to")
    parser.add_argument("--minutes", type=float, default=9.0, help="when all has to be over")
    parser.add_argument("--dry", action="store_true", help="small numbers, on the CPU")
    parser.add_argument("--parts", nargs="+", choices=TOGETHER + ALONE, default=TOGETHER + ALONE, help="some of them")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        return run_part(asked.part, asked.out, asked.dry)
    import torch

    if not asked.dry and not torch.cuda.is_available():
        print("make gpu needs a CUDA device, and torch finds none; try it on a CPU: make gpu GPU_ARGS=--dry")
        return 2
    began, work = time.monotonic(), asked.out.with_name(asked.out.name + "-work")
    for folder in (asked.out, work):
        folder.mkdir(parents=True, exist_ok=True)
    for old in work.glob("*.json"):
        old.unlink()
    left = lambda: 60 * asked.minutes - (time.monotonic() - began) - LAST
    started = [start(name, work, asked.dry) for name in TOGETHER if name in asked.parts]
    then = 0.0 if asked.dry else max(0.0, left() - 300.0)  # what is left when these have to be over
    for name, process in started:
        wait(name, process, work, left() - then)
    for name in (name for name in ALONE if name in asked.parts):
        if left() > 10:
            most = left() if asked.dry else min(LIMITS[name], left())
            wait(*start(name, work, asked.dry), work, most)
        else:
            (work / f"{name}.json").write_text(json.dumps({"ended": "not begun: no time was left"}))
    report(work, asked.out, time.monotonic() - began)
    return 0


def start(name: str, work: Path, dry: bool) -> tuple[str, subprocess.Popen]:
    """A part, in a process of its own; what it says goes to work/NAME.log."""
    command = [sys.executable, __file__, "--part", name, "--out", str(work), *(["--dry"] if dry else [])]
    return name, subprocess.Popen(command, stdout=open(work / f"{name}.log", "w"), stderr=subprocess.STDOUT, cwd=ROOT)


def wait(name: str, process: subprocess.Popen, work: Path, seconds: float) -> None:
    """Until the part ends; after `seconds` it is asked to stop, and a little later made to."""
    stopped = None
    for stop, grace in ((process.terminate, max(seconds, 1.0)), (process.kill, 20.0)):
        try:
            process.wait(grace)
            break
        except subprocess.TimeoutExpired:
            stopped = f"stopped after {seconds:.0f} s"
            stop()
    process.wait()
    file = work / f"{name}.json"
    found = json.loads(file.read_text()) if file.is_file() else {}
    if stopped or process.returncode:
        found["ended"] = stopped or f"exit code {process.returncode}"
        found["log"] = (work / f"{name}.log").read_text(errors="replace")[-1500:]
        file.write_text(json.dumps(found))
    print(f"{name}: {found.get('ended', 'done')}", flush=True)


def run_part(name: str, work: Path, dry: bool) -> int:
    """In a process of its own: measure, and write work/NAME.json after each figure."""
    data = ROOT / "build/data"
    if "FLOWLIB_DATA" not in os.environ and data.is_dir():
        os.environ["FLOWLIB_DATA"] = str(data)
    write = lambda figures: (work / f"{name}.json").write_text(json.dumps(figures, default=str))
    if name == "tests":
        return run_tests(write)
    if name in ("flow", "elastic"):
        return train_model(name, work, dry, write)
    measure_speeds(name, dry, write)
    return 0


def run_tests(write) -> int:
    """The tests that need a CUDA device; elsewhere they are skipped, and say so."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/training/test_hardware.py"]
    ran = subprocess.run([*command, "-k", "gpu"], cwd=ROOT, capture_output=True, text=True)
    write({"passes": ran.returncode == 0, "said": (ran.stdout + ran.stderr).strip().splitlines()[-8:]})
    return ran.returncode


def train_model(name: str, work: Path, dry: bool, write) -> int:
    """Train to the end or until stopped; then the loss of the best model at several steps, a sample, its tensors."""
    from flowlib.training import Interrupted, preset, read_metrics, train

    config = preset({"flow": "shakespeare-gpu", "elastic": "shakespeare-gpu-elastic"}[name])
    if dry:
        small = replace(config.model, context=16, width=12, heads=2)
        config = replace(config, model=small, corpus=str(ROOT / "LICENSE"), steps=8, batch=8, eval_every=4)
        config = replace(config, device="cpu", compile="no", warmup=2)
    run = work / "runs" / (f"{name}-dry" if dry else name)
    try:
        train(config, run, resume=True, progress=False)
        ended = "the end"
    except Interrupted as stopped:
        ended = str(stopped)
    metrics = read_metrics(run)
    losses = [(line["step"], line["validation_loss"]) for line in metrics if "validation_loss" in line]
    figures: dict[str, Any] = {"until": ended, "curve": losses, "best": min(loss for _, loss in losses)}
    figures |= {"seconds": metrics[-1]["wall_seconds"], "updates": metrics[-1]["step"]}
    write(figures)
    figures |= read_model(config, run, figures["seconds"], write_to=work / name)
    write(figures)
    return 0


def read_model(config: Any, run: Path, seconds: float, write_to: Path) -> dict[str, Any]:
    """The losses of the best model at several numbers of steps, in float32 and from float16; a sample; a card."""
    import torch

    from flowlib.models import FlowLM
    from flowlib.training import find_model
    from flowlib.training.evaluation import full_loss
    from flowlib.training.schedule import describe_steps
    from flowlib.training.tasks import Text

    device = torch.device("cuda" if torch.cuda.is_available() and config.device == "auto" else "cpu")
    model, text = FlowLM.load(find_model(run), device), Text(config)
    layers = config.model.layers
    steps = {layers // 2, layers, 3 * layers // 2, 2 * layers, 4 * layers} if config.flow_steps else {layers}
    loss = lambda n: full_loss(model, text.validation, context=text.context, device=device, steps=n)
    at = {n: loss(n) for n in sorted(steps)}
    sample = model.generate("\n", tokens=300, temperature=0.8, top_k=50, seed=0)
    halved = {key: value.half().cpu() for key, value in model.state_dict().items()}
    model.load_state_dict({key: value.float() for key, value in halved.items()})
    write_parts(halved, write_to)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    how = f"{config.steps} updates of {config.batch}, learning rate {config.learning_rate:g}, seed {config.seed}"
    card = {
        "training": how,
        "steps in training": describe_steps(config) or f"{layers}",
        "hardware": f"{where}, torch {torch.__version__}, {seconds:.0f} s, beside another training",
    }
    settings = {"train": config.to_dict(), "model": model.config.to_dict()}
    return {
        "at": at,
        "lost by float16": loss(layers) - at[layers],
        "sample": sample,
        "card": card,
        "settings": settings,
    }


def write_parts(tensors: dict[str, Any], write_to: Path) -> None:
    """The tensors, in as many files of at most PART bytes as they need."""
    from safetensors.torch import save_file

    groups: list[dict[str, Any]] = [{}]
    size = 0
    for key, value in tensors.items():
        if groups[-1] and size + value.nbytes > PART:
            groups, size = [*groups, {}], 0
        groups[-1][key], size = value.contiguous(), size + value.nbytes
    for k, group in enumerate(groups, 1):
        save_file(group, write_to.with_name(f"{write_to.name}-{k}-of-{len(groups)}.safetensors"))


def measure_speeds(name: str, dry: bool, write) -> None:
    """Training of flow, weighted flow and plain GPT in turns: ratios, tokens a second, share of the peak."""

    from flowlib.measure.flops import flops
    from flowlib.measure.ratios import in_turns, speed_ratio
    from flowlib.studies.workloads import Bench, Bencher

    shape = dict(layers=6, width=384, heads=6, context=256, batch=64)
    if "124m" in name:
        shape = dict(layers=12, width=768, heads=12, context=1024, batch=12)
    if dry:
        shape = dict(layers=2, width=16, heads=2, context=16, batch=2)
    how = dict(norm="pre", dtype="bfloat16", rounds=2 if dry else 20, seconds=0.0 if dry else 0.1)
    asked = Bench(**shape, **how, compile=name.endswith("compiled") and not dry, device="cpu" if dry else "auto")
    bencher = Bencher(asked)
    models = {key: bencher.models[key].train() for key in ("flow", "plain GPT", "weighted flow")}
    figures: dict[str, Any] = {"shape": asdict(asked), "peak": bencher.peak(), "speeds": {}}
    figures["parameters"] = sum(p.numel() for p in models["flow"].parameters())
    work = {key: flops(bencher.training(model, compile=False)) for key, model in models.items()}
    write(figures)
    calls = {key: bencher.training(model) for key, model in models.items()}
    for ours in ("flow", "weighted flow"):  # a pair at a time: where time runs out, the first is there
        pair = {key: calls[key] for key in (ours, "plain GPT")}
        times = in_turns(pair, asked.rounds, least_seconds=asked.seconds, wait=bencher.wait)
        for key, taken in times.items():
            seconds = sorted(taken)[len(taken) // 2]
            rate = {"tokens/s": bencher.tokens.numel() / seconds, "TFLOP/s": work[key] / seconds / 1e12}
            figures["speeds"][key] = rate | {"of the product's peak": work[key] / seconds / figures["peak"]}
            if bencher.device.type == "cuda":  # the data sheet's, dense, of an H100 or H200 (SXM)
                figures["speeds"][key]["of 989 TFLOP/s"] = work[key] / seconds / 989e12
        figures[f"{ours} / plain GPT"] = str(speed_ratio(times[ours], times["plain GPT"]))
        write(figures)


def report(work: Path, out: Path, seconds: float) -> None:
    """results.json, report.md, the models and, where matplotlib is there, curves.png; all files lie side by side."""
    results = {file.stem: json.loads(file.read_text()) for file in sorted(work.glob("*.json"))}
    (out / "results.json").write_text(json.dumps(results | {"seconds": seconds}, indent=1))
    said = ["# What the GPU showed", "", f"All of it took {seconds:.0f} s."]
    for name, found in results.items():
        said += ["", f"## {name}", "", *describe(found)]
    (out / "report.md").write_text("\n".join(said) + "\n")
    for file in work.glob("*.safetensors"):
        file.replace(out / file.name)
    draw(results, out / "curves.png")


def describe(found: dict[str, Any]) -> list[str]:
    """The figures of a part in lines: a table of speeds, the card, a sample, and what else there is."""
    apart = ("settings", "shape", "speeds", "sample", "card")
    lines = [f"- {key}: {value}" for key, value in found.items() if key not in apart]
    lines += [f"- {key}: {value}" for key, value in found.get("card", {}).items()]
    if speeds := found.get("speeds"):
        names = list(next(iter(speeds.values())))
        lines += ["", f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        lines += [f"| {key} | {' | '.join(f'{row[n]:,.3g}' for n in names)} |" for key, row in speeds.items()]
    return lines + (["", "```", found["sample"].strip(), "```"] if "sample" in found else [])


def draw(results: dict[str, Any], file: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name in ("flow", "elastic"):
        if curve := results.get(name, {}).get("curve"):
            axes.plot(*zip(*curve), marker="o", label=f"{name}, best {results[name]['best']:.4f}")
    axes.set(xlabel="updates", ylabel="validation loss, nats per letter")
    axes.legend()
    figure.savefig(file, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    sys.exit(main())
