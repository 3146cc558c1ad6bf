"""A trained model to give away: its best checkpoint, its metrics, and a card that says how it was made."""

import json
import platform
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flowlib.files import Write, as_path, check_place, load_metadata, write_into, write_tensors, write_text
from flowlib.models import disk
from flowlib.models.language import FlowConfig
from flowlib.models.shape import FlowModel, FlowShape
from flowlib.models.vision import VisionConfig
from flowlib.training import checkpoints, runs
from flowlib.training.config import PicturesConfig, ShapesConfig, TrainConfig, Training
from flowlib.training.evaluation import full_loss
from flowlib.training.schedule import describe_steps
from flowlib.training.tasks import Classes, Task, Text, prepare

CARD = "CARD.md"
SHIPPED = (disk.TENSORS, disk.CONFIG, "run.json", "metrics.jsonl", CARD)
HEAD = "| | |\n|---|---|\n"
MOST_LOST = 1e-3  # nats, by storing parameters in float16


def ship(run: str | Path, folder: str | Path, command: str, at: Sequence[int] = (), *, half: bool = False) -> Path:
    """Write folder/{model.safetensors, config.json, run.json, metrics.jsonl, CARD.md} from a finished run.

    What else lies in the folder stays. The card comes last: a folder without one was not shipped to its end.
    command: what made the run, as one types it; it goes on the card.
    at: numbers of steps of the flow, at which its loss on the validation split is measured, for the card.
    half: store the parameters in float16 (they are float32 again when loaded): half the size, for a text model whose
        loss that changes by less than 0.001 nats; the card says by how much.
    Raises: FileNotFoundError or ValueError where the run is not one, has not finished, or loses too much by half;
        FileExistsError where a file of the folder has one of these names and is none that this wrote.
    """
    run, folder = as_path(run, "run"), as_path(folder, "folder")
    asked, metrics = _read_finished(run)
    check_place(folder, SHIPPED, _is_shipped)
    evaluations = [line for line in metrics if "validation_loss" in line]
    task = _prepare_task(asked)
    model = task.kind.load(run / "best")
    stored = _halve(task, model) if half else ""
    rows = {
        **_describe_making(run, command),
        **_describe_training(asked, model, task.config),
        "loss": _describe_loss(evaluations),
        **_measure(task, model, at),
        "stored": stored,
        "curve": ", ".join(f"{line['step']}: {line['validation_loss']:.3f}" for line in evaluations),
        "hardware": _describe_hardware(run, metrics[-1]["wall_seconds"]),
    }
    card = HEAD + "".join(f"| {name} | {value} |\n" for name, value in rows.items() if value)

    writers: dict[str, Write] = {
        "run.json": lambda new: write_text(json.dumps(asked, indent=1) + "\n", new),
        disk.TENSORS: partial(_write_half, run / "best", model)
        if half
        else partial(_copy, run / "best" / disk.TENSORS),
        disk.CONFIG: partial(_copy, run / "best" / disk.CONFIG),
        "metrics.jsonl": lambda new: write_text("".join(json.dumps(line) + "\n" for line in evaluations), new),
        CARD: lambda new: write_text(card, new),
    }
    write_into(folder, writers, _is_shipped, seal=CARD)
    return folder


def _halve(task: Task, model: FlowModel) -> str:
    """Round the parameters to float16, in place; what that changes, for the card. Raises: ValueError: too much."""
    if not isinstance(task, Text):
        raise ValueError(f"half is for models of text, whose loss says what it costs, not for a {type(model).__name__}")
    if not all(p.detach().half().isfinite().all() for p in model.parameters()):
        raise ValueError("float16 holds numbers up to 65504, and some parameters are beyond; ship it without half")
    before = full_loss(model, task.validation, context=task.context)
    for p in model.parameters():
        p.data = p.data.half().float()
    lost = full_loss(model, task.validation, context=task.context) - before
    if not abs(lost) < MOST_LOST:
        raise ValueError(f"float16 changes the loss by {lost:.4f} nats, allowed are {MOST_LOST}; ship it without half")
    return f"float16, which changes the loss by {lost:+.0e} nats"


def _write_half(folder: Path, model: FlowModel, new: Path) -> None:
    halved = {name: tensor.half() for name, tensor in model.state_dict().items()}
    write_tensors(halved, new, load_metadata(folder / disk.TENSORS))


def _copy(file: Path, new: Path) -> None:
    new.write_bytes(file.read_bytes())


def _is_shipped(file: Path) -> bool:
    """Whether a file of this name is one that `ship` wrote."""
    if file.name in (disk.TENSORS, disk.CONFIG):
        return disk.is_of_a_model(file)
    try:
        text = file.read_text("utf-8")
        if file.name == CARD:
            return text.startswith(HEAD)
        first = json.loads(text if file.name == "run.json" else text.partition("\n")[0])
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and ({"format", "train"} if file.name == "run.json" else {"step"}) <= set(first)


def _read_finished(run: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a run was asked for, and its metrics. Raises: FileNotFoundError, ValueError where it has not finished."""
    for part in ("config.json", "metrics.jsonl", "best"):
        if not (run / part).exists():
            raise FileNotFoundError(f"{run} is not the folder of a run: {part} is missing; give one such as runs/tiny")
    asked, metrics = checkpoints.load_json(run / "config.json"), runs.read_metrics(run)
    if not any("validation_loss" in line for line in metrics) or metrics[-1]["step"] != asked["train"]["steps"]:
        raise ValueError(f"{run} is not a finished run; go on with: flowlib train --resume")
    return asked, metrics


def _prepare_task(asked: dict[str, Any]) -> Task:
    """The task of a run, from what it wrote down."""
    kind: Any = TrainConfig if "corpus" in asked else PicturesConfig if "data" in asked["train"] else ShapesConfig
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in asked["train"].items()}
    model = type(kind().model).from_dict(values.pop("model"))
    return prepare(kind(model=model, **values))


def _find_versions(run: Path) -> dict[str, Any]:
    newest = checkpoints.newest_checkpoint(run)
    return checkpoints.load_state(newest)["versions"] if newest else runs.versions()


# The rows of the card


def _describe_making(run: Path, command: str) -> dict[str, str]:
    return {"made by": f"`{command}` (flowlib {_find_versions(run)['flowlib']}, commit {_commit()})"}


def _describe_training(asked: dict[str, Any], model: FlowModel, config: Training) -> dict[str, str]:
    c, train = model.config, asked["train"]
    parameters = sum(p.numel() for p in model.parameters())
    data, example = (asked["corpus"], "windows") if "corpus" in asked else (asked["data"], "examples")
    return {
        "data": ", ".join(f"{name} {value}" for name, value in data.items()),
        "model": f"{c.layers} steps, {c.heads} heads, {c.width} features, {_describe_input(c)}, {c.norm}-norm, "
        f"scheme {c.scheme}, parameters {c.depth} in depth, dropout {c.dropout:g}; {parameters:,} parameters",
        "training": f"{train['steps']} updates of {train['batch']} {example}, "
        f"AdamW, learning rate up to {train['learning_rate']:g}, seed {train['seed']}"
        + (", all sets of parameters begin as copies of one" if config.alike else ""),
        "steps in training": describe_steps(config),
    }


def _describe_input(config: FlowShape) -> str:
    """What a model's input is made of."""
    if isinstance(config, VisionConfig):
        return f"{config.tokens} × {config.tokens} patches of {config.patch} × {config.patch}"
    return f"context {config.context}" if isinstance(config, FlowConfig) else "scattered points"


def _describe_loss(evaluations: list[dict[str, Any]]) -> str:
    best = min(evaluations, key=lambda line: line["validation_loss"])
    return (
        f"best {best['validation_loss']:.4f} at step {best['step']} (the model here), last "
        f"{evaluations[-1]['validation_loss']:.4f}; nats, mean over the whole validation split"
    )


def _measure(task: Task, model: FlowModel, at: Sequence[int]) -> dict[str, str]:
    """The test split of what classifies; the loss of a text at each of these numbers of steps."""
    if isinstance(task, Text):
        losses = (f"{n}: {full_loss(model, task.validation, context=task.context, steps=n):.4f}" for n in at)
        return {"loss at other numbers of steps": ", ".join(losses)}
    assert isinstance(task, Classes)
    loss, accuracy = task.measure(model, task.test)
    return {"test": f"accuracy {accuracy:.4f}, loss {loss:.4f}, on {len(task.test[1])} {task.unit}s kept aside"}


def _describe_hardware(run: Path, seconds: float) -> str:
    made_on = _find_versions(run)
    return (
        f"{made_on['machine']} {made_on.get('device', 'CPU')}, {made_on.get('processes', 1)} process(es), "
        f"{made_on['threads']} threads, {seconds:.0f} s; Python {made_on['python']}, torch {made_on['torch']}, "
        f"{platform.system()}"
    )


def _commit() -> str:
    """The commit of the checkout that this runs from, with a + where it has changes; of no other repository."""
    here = Path(__file__).resolve().parent
    try:
        if not _ask_git("ls-files", Path(__file__).name, at=here):  # flowlib is installed inside of some other checkout
            return "unknown"
        return _ask_git("describe", "--always", "--dirty=+", "--exclude=*", at=here)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _ask_git(*words: str, at: Path) -> str:
    return subprocess.run(["git", "-C", str(at), *words], capture_output=True, text=True, check=True).stdout.strip()
