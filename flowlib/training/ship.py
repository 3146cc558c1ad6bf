"""A trained model to give away: its best checkpoint, its metrics, and a card that says how it was made."""

import json
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowlib.models.files import replace_folder
from flowlib.models.language import FlowLM
from flowlib.training import checkpoints, data, runs
from flowlib.training.evaluation import full_loss


def ship(run: str | Path, folder: str | Path, command: str, at: Sequence[int] = ()) -> Path:
    """Write folder/{model.safetensors, config.json, run.json, metrics.jsonl, CARD.md} from a finished run.

    command: what made the run, as one types it; it goes on the card.
    at: numbers of steps of the flow, at which its loss on the validation split is measured, for the card.
    Raises: FileNotFoundError or ValueError where the run is not one, or has not finished.
    """
    run = Path(run)
    record = checkpoints.load_json(run / "config.json")
    metrics = runs.read_metrics(run)
    evaluations = [line for line in metrics if "validation_loss" in line]
    if not evaluations or metrics[-1]["step"] != record["train"]["steps"]:
        raise ValueError(f"{run} is not a finished run; go on with: flowlib train --resume")
    model = FlowLM.load(run / "best")
    newest = checkpoints.newest_checkpoint(run)
    made_on = checkpoints.load_state(newest)["versions"] if newest else runs.versions()
    card = _card(record, evaluations, model, made_on, metrics[-1]["wall_seconds"], command, _losses(record, model, at))

    def write(new: Path) -> None:
        for name in ("model.safetensors", "config.json"):
            shutil.copyfile(run / "best" / name, new / name)
        (new / "run.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        (new / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in evaluations), "utf-8")
        (new / "CARD.md").write_text(card, "utf-8")

    return replace_folder(folder, write)


def _card(record: dict[str, Any], evaluations, model: FlowLM, made_on, seconds: float, command: str,
          losses: dict[int, float]) -> str:
    c, train, corpus = model.config, record["train"], record["corpus"]
    best = min(evaluations, key=lambda line: line["validation_loss"])
    curve = ", ".join(f"{line['step']}: {line['validation_loss']:.3f}" for line in evaluations)
    parameters = sum(p.numel() for p in model.parameters())
    rows = {
        "made by": f"`{command}` (flowlib {made_on['flowlib']}, commit {_commit()})",
        "data": ", ".join(f"{name} {value}" for name, value in corpus.items()),
        "model": f"{c.layers} steps, {c.heads} heads, {c.width} features, context {c.context}, {c.norm}-norm, "
        f"scheme {c.scheme}, parameters {c.depth} in depth, dropout {c.dropout:g}; {parameters:,} parameters",
        "training": f"{train['steps']} updates of {train['batch']} windows, AdamW, learning rate up to "
        f"{train['learning_rate']:g}, seed {train['seed']}",
        "loss": f"best {best['validation_loss']:.4f} at step {best['step']} (the model here), last "
        f"{evaluations[-1]['validation_loss']:.4f}; nats per token on the whole validation split",
        "loss at other numbers of steps": ", ".join(f"{n}: {loss:.4f}" for n, loss in losses.items()),
        "curve": curve,
        "hardware": f"{made_on['machine']} {made_on.get('device', 'CPU')}, {made_on.get('processes', 1)} process(es), "
        f"{made_on['threads']} threads, {seconds:.0f} s; Python "
        f"{made_on['python']}, torch {made_on['torch']}, {platform.system()}",
    }
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows.items() if value)


def _losses(record: dict[str, Any], model: FlowLM, at: Sequence[int]) -> dict[int, float]:
    """The loss on the whole validation split, at each of these numbers of steps."""
    if not at:
        return {}
    context = model.config.context
    _, tokens = data.load_corpus(record["train"]["corpus"]).tokens(model.config.vocabulary, context)
    return {n: full_loss(model, tokens, context=context, steps=n) for n in at}


def _commit() -> str:
    """The commit of the checkout that this runs from, with a + where it has changes."""
    here = Path(__file__).parent
    try:
        git = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--exclude=*"]
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
