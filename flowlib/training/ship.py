"""A trained model to give away: its best checkpoint, its metrics, and a card that says how it was made."""

import json
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowlib.files import replace_folder
from flowlib.models.language import FlowConfig
from flowlib.models.shape import FlowModel, FlowShape
from flowlib.models.vision import VisionConfig
from flowlib.training import checkpoints, runs
from flowlib.training.config import PicturesConfig, ShapesConfig, TrainConfig
from flowlib.training.evaluation import full_loss
from flowlib.training.tasks import Task, Text, prepare


def ship(run: str | Path, folder: str | Path, command: str, at: Sequence[int] = ()) -> Path:
    """Write folder/{model.safetensors, config.json, run.json, metrics.jsonl, CARD.md} from a finished run.

    command: what made the run, as one types it; it goes on the card.
    at: numbers of steps of the flow, at which its loss on the validation split is measured, for the card.
    Raises: FileNotFoundError or ValueError where the run is not one, or has not finished.
    """
    run = Path(run)
    for part in ("config.json", "metrics.jsonl", "best"):
        if not (run / part).exists():
            raise FileNotFoundError(f"{run} is not the folder of a run: {part} is missing; give one such as runs/tiny")
    record = checkpoints.load_json(run / "config.json")
    metrics = runs.read_metrics(run)
    evaluations = [line for line in metrics if "validation_loss" in line]
    if not evaluations or metrics[-1]["step"] != record["train"]["steps"]:
        raise ValueError(f"{run} is not a finished run; go on with: flowlib train --resume")
    task = _task(record)
    model = task.kind.load(run / "best")
    newest = checkpoints.newest_checkpoint(run)
    made_on = checkpoints.load_state(newest)["versions"] if newest else runs.versions()
    card = _card(record, evaluations, model, made_on, metrics[-1]["wall_seconds"], command, _measured(task, model, at))

    def write(new: Path) -> None:
        for name in ("model.safetensors", "config.json"):
            shutil.copyfile(run / "best" / name, new / name)
        (new / "run.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        (new / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in evaluations), "utf-8")
        (new / "CARD.md").write_text(card, "utf-8")

    return replace_folder(folder, write)


def _card(
    record: dict[str, Any],
    evaluations,
    model: FlowModel,
    made_on,
    seconds: float,
    command: str,
    measured: dict[str, str],
) -> str:
    c, train = model.config, record["train"]
    best = min(evaluations, key=lambda line: line["validation_loss"])
    curve = ", ".join(f"{line['step']}: {line['validation_loss']:.3f}" for line in evaluations)
    parameters = sum(p.numel() for p in model.parameters())
    rows = {
        "made by": f"`{command}` (flowlib {made_on['flowlib']}, commit {_commit()})",
        "data": ", ".join(f"{name} {value}" for name, value in (record.get("corpus") or record["data"]).items()),
        "model": f"{c.layers} steps, {c.heads} heads, {c.width} features, {_tokens(c)}, {c.norm}-norm, "
        f"scheme {c.scheme}, parameters {c.depth} in depth, dropout {c.dropout:g}; {parameters:,} parameters",
        "training": f"{train['steps']} updates of {train['batch']} {'windows' if 'corpus' in record else 'examples'}, "
        f"AdamW, learning rate up to {train['learning_rate']:g}, seed {train['seed']}",
        "loss": f"best {best['validation_loss']:.4f} at step {best['step']} (the model here), last "
        f"{evaluations[-1]['validation_loss']:.4f}; nats, mean over the whole validation split",
        **measured,
        "curve": curve,
        "hardware": f"{made_on['machine']} {made_on.get('device', 'CPU')}, {made_on.get('processes', 1)} process(es), "
        f"{made_on['threads']} threads, {seconds:.0f} s; Python "
        f"{made_on['python']}, torch {made_on['torch']}, {platform.system()}",
    }
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows.items() if value)


def _tokens(config: FlowShape) -> str:
    """What a model's input is made of."""
    if isinstance(config, VisionConfig):
        return f"{config.tokens} × {config.tokens} patches of {config.patch} × {config.patch}"
    return f"context {config.context}" if isinstance(config, FlowConfig) else "scattered points"


def _measured(task: Task, model: FlowModel, at: Sequence[int]) -> dict[str, str]:
    """Rows of the card: the test split of what classifies; the loss of a text at each of these numbers of steps."""
    if isinstance(task, Text):
        losses = (f"{n}: {full_loss(model, task.validation, context=task.context, steps=n):.4f}" for n in at)
        return {"loss at other numbers of steps": ", ".join(losses)}
    loss, accuracy = task.measure(model, task.test)
    return {"test": f"accuracy {accuracy:.4f}, loss {loss:.4f}, on {len(task.test[1])} {task.unit}s kept aside"}


def _task(record: dict[str, Any]) -> Task:
    """The task of a run, from what it wrote down."""
    kind = TrainConfig if "corpus" in record else PicturesConfig if "data" in record["train"] else ShapesConfig
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in record["train"].items()}
    return prepare(kind(**values | {"model": type(kind().model).from_dict(values["model"])}))


def _commit() -> str:
    """The commit of the checkout that this runs from, with a + where it has changes."""
    here = Path(__file__).parent
    try:
        git = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--exclude=*"]
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
