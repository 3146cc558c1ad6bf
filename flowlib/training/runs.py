"""The folder of a run: begin or resume it, and its metrics.

metrics.jsonl holds one JSON object a line, in the order of the steps, with the keys step, train_loss (of that step's
batch), validation_loss (at evaluations; with validation_accuracy, where something is classified), learning_rate, tokens
(seen so far; or pictures, or shapes), and flow_steps (of the flow in that update; several: the batch was split over
them) where a run chooses them. Between equal runs all of these are equal; only keys that begin with `wall_` tell
of the clock.
"""

import errno
import json
import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import flowlib
from flowlib.files import save_text
from flowlib.training import checkpoints
from flowlib.training.config import HOW, Training

if TYPE_CHECKING:
    from accelerate import Accelerator

FORMAT = 1
METRICS = "metrics.jsonl"
PLACE = {"corpus.name", "train.corpus"}  # where a text lies; its sha256 says which one it is


@dataclass(frozen=True)
class Start:
    """Where a run begins: at step 0, or where a checkpoint left it."""

    step: int = 0
    checkpoint: Path | None = None
    best_loss: float = math.inf
    seconds: float = 0.0


def begin(run: Path, config: Training, data: dict[str, Any], resume: bool, accelerator: "Accelerator") -> Start:
    """Open the folder of a run: write its configuration, or make sure that it is the one of the run to resume.

    data: which they are, so that one can tell later whether they were the same.
    Raises: FileExistsError, ValueError (the configuration or the text is another one; a damaged file).
    """
    asked = {"format": FORMAT, "train": config.to_dict(), **data}
    asked = json.loads(json.dumps(asked))  # tuples become lists, as they will be when read back
    exists = (run / "config.json").exists() or checkpoints.newest_checkpoint(run) is not None
    if exists and not resume:
        raise FileExistsError(f"{run} already holds a run; resume it (resume=True, or --resume), or give another name")
    if not exists and (run / METRICS).exists():
        raise FileExistsError(f"{run / METRICS} lies there without a run's config.json, and would be replaced; move it")
    if exists:
        _must_be_the_same(checkpoints.load_json(run / "config.json"), asked, type(config)().to_dict(), run)
    checkpoint = checkpoints.newest_checkpoint(run)
    start = _read_start(checkpoint) if checkpoint else Start()
    accelerator.wait_for_everyone()  # all processes have looked before one of them writes
    if accelerator.is_main_process:
        checkpoints.remove_leftovers(run)
        save_text(json.dumps(asked, indent=1) + "\n", run / "config.json")
        before = [line for line in read_metrics(run) if checkpoint and line["step"] <= start.step]
        save_text("".join(json.dumps(line) + "\n" for line in before), run / METRICS)
    return start


def read_metrics(run: str | Path) -> list[dict[str, Any]]:
    """The complete lines of a run's metrics; a last line that was torn by a kill is left out.

    Raises: ValueError that names the file and the line.
    """
    path = Path(run) / METRICS
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    lines = []
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), start=1):
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}, is not JSON ({error}); delete that line") from None
    return lines


def append_metrics(run: Path, line: dict[str, Any], durable: bool) -> None:
    """Add a line; `durable` waits until it is on the disk, as before a checkpoint that counts on it.

    Raises: FileNotFoundError where `begin` has made no file for it, or somebody has deleted it since.
    """
    path = run / METRICS
    if not path.exists():  # a new one would lack what came before
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(line) + "\n")
        if durable:
            file.flush()
            os.fsync(file.fileno())


def versions(device: torch.device | None = None, processes: int = 1) -> dict[str, str | int]:
    """What the bits of a run depend on besides its configuration."""
    return {
        "device": _name_device(device or torch.device("cpu")),
        "processes": processes,
        "flowlib": flowlib.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def _name_device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return {"cpu": "CPU", "mps": "Apple GPU (mps)"}.get(device.type, device.type)


def _read_start(checkpoint: Path) -> Start:
    state = checkpoints.load_state(checkpoint)
    return Start(state["step"], checkpoint, state["best_loss"], state.get("wall_seconds", 0.0))


def _must_be_the_same(before: dict[str, Any], asked: dict[str, Any], default: dict[str, Any], run: Path) -> None:
    default = _flatten({"train": default})  # of settings that the run is older than
    old, new = default | _flatten(before), _flatten(asked)
    free = {f"train.{how}" for how in HOW}
    if "corpus.sha256" in new and new["corpus.sha256"] == old.get("corpus.sha256"):
        free |= PLACE  # the same text, moved or named from another folder
    differ = [
        f"{name} was {old.get(name)!r}, now {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name not in free
    ]
    if differ:
        raise ValueError(
            f"the run in {run} must be resumed as it was configured, but {'; '.join(differ)}; "
            "give the same settings, or another name for a new run"
        )


def _flatten(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for k, v in value.items() for key, leaf in _flatten(v, f"{name}.{k}" if name else k).items()}
