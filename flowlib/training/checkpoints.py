"""Checkpoints: a folder each, complete or not there at all, and plain numbers only.

    RUN/best/                        the model with the lowest validation loss: model.safetensors, config.json
    RUN/checkpoints/step-000400/     the same two, and optimizer.safetensors, state.json: all that resuming needs

A checkpoint is written under a hidden name, flushed to the disk, and renamed: a kill at any moment leaves either the
whole of it or nothing. Reading one never runs code: safetensors and JSON hold numbers and words, not objects.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.files import (
    NO_SYNC,
    as_path,
    load_tensors,
    remove_owned,
    rename,
    replace_folder,
    unfinished,
    write_tensors,
    write_text,
)
from flowlib.models.language import FlowLM
from flowlib.models.shape import FlowModel

FORMAT = 1
HIDDEN = re.compile(r"\.(best|step-\d+)\.(old|(old\.)?[a-z0-9_]{8})")  # names that `replace_folder` and `_delete` give
FILES = ("model.safetensors", "config.json", "optimizer.safetensors", "state.json")
MOMENTS = {"step", "exp_avg", "exp_avg_sq"}  # what AdamW keeps for each parameter


def save_checkpoint(
    run: Path,
    model: FlowModel,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    keep: int = 2,
    write_here: bool = True,
) -> Path:
    """Write RUN/checkpoints/step-N with N = state["step"], then delete all but the `keep` newest.

    Every process has to call it, since each may hold a part of the parameters; one of them writes (`write_here`).
    """
    final = run / "checkpoints" / f"step-{state['step']:06d}"
    parameters, moments = gather_all(model.state_dict()), gather_all(_collect_moments(model, optimizer))
    if not write_here:
        return final

    def write(folder: Path) -> None:
        model.save(folder, parameters)
        write_tensors(moments, folder / "optimizer.safetensors")
        write_text(json.dumps({"format": FORMAT, **state}, indent=1) + "\n", folder / "state.json")

    replace_folder(final, write, FILES)
    _flush_names(final.parent)
    for old in complete_checkpoints(run)[:-keep]:
        _delete(old)
    return final


def _delete(checkpoint: Path) -> None:
    """Delete a checkpoint's own files, and its folder, where nobody has put anything else there."""
    if any(inner.name not in FILES for inner in checkpoint.iterdir()):
        (checkpoint / "state.json").unlink()  # first: it is no checkpoint without
        return remove_owned(checkpoint, FILES)
    hidden = checkpoint.with_name(f".{checkpoint.name}.old")  # a half-deleted checkpoint must not look like one
    rename(checkpoint, hidden)
    remove_owned(hidden, FILES)


def remove_leftovers(run: Path) -> None:
    """Delete what a kill left half-written or half-deleted: it has hidden names. What is not a run's own stays."""
    for hidden in (*(run / "checkpoints").glob(".step-*"), *run.glob(".best.*")):
        if hidden.is_dir() and HIDDEN.fullmatch(hidden.name):
            remove_owned(hidden, FILES)
    for name in ("config.json", "metrics.jsonl"):
        for hidden in unfinished(run / name):
            hidden.unlink()


def complete_checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run that have all their files, oldest first."""
    step_of = lambda folder: folder.name.removeprefix("step-")
    found = (folder for folder in (run / "checkpoints").glob("step-*") if step_of(folder).isdecimal())
    complete = (folder for folder in found if all((folder / name).is_file() for name in FILES))
    return sorted(complete, key=lambda folder: int(step_of(folder)))


def newest_checkpoint(run: str | Path) -> Path | None:
    """The newest complete checkpoint of a run, or None."""
    complete = complete_checkpoints(Path(run))
    return complete[-1] if complete else None


def find_model(path: str | Path) -> Path:
    """The folder to load a model from: `path` itself, or the best/ or the newest checkpoint of the run at `path`.

    Raises: FileNotFoundError; TypeError for what is no path.
    """
    path = as_path(path, "path")
    for folder in (path, path / "best", newest_checkpoint(path)):
        if folder is not None and (folder / "model.safetensors").is_file():
            return folder
    raise FileNotFoundError(
        f"no model in {path}: neither model.safetensors, nor best/, nor a complete checkpoint; "
        "give a run folder, for example runs/tiny, or train one with: flowlib train"
    )


def load_state(checkpoint: Path) -> dict[str, Any]:
    """state.json of a checkpoint. Raises: FileNotFoundError, ValueError that names the file."""
    path = checkpoint / "state.json"
    state = load_json(path)
    step, best_loss = state.get("step"), state.get("best_loss")
    if state.get("format") != FORMAT or type(step) is not int or step < 0 or type(best_loss) is not float:
        raise ValueError(
            f"{path} is not the state of a flowlib checkpoint of format {FORMAT} (format {state.get('format')!r}, "
            f"step {step!r}, best loss {best_loss!r}); {_advise(checkpoint)}"
        )
    return state


def load_model(checkpoint: Path, kind: type[FlowModel] = FlowLM) -> FlowModel:
    """The model of a checkpoint. Raises: FileNotFoundError, ValueError that names the file."""
    with _add_advice(checkpoint):
        return kind.load(checkpoint)


def load_optimizer(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put the moments of optimizer.safetensors back, on the device of the parameters.

    Raises: FileNotFoundError, ValueError that names the file.
    """
    path = checkpoint / "optimizer.safetensors"
    with _add_advice(checkpoint):
        tensors = load_tensors(path)
    parameters = _name_parameters(model, optimizer)
    moments, known = _sort_moments(tensors), dict(parameters)
    for name, values in moments.items():
        if not _fit(values, known.get(name)):
            raise ValueError(f"{path} belongs to another model (at parameter {name!r}); {_advise(checkpoint)}")
    state = {
        index: {moment: _spread_like(value, parameter) for moment, value in moments[name].items()}
        for index, (name, parameter) in enumerate(parameters)
        if name in moments
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _sort_moments(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """parameter → moment → value."""
    moments: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        parameter, _, moment = name.rpartition("/")
        moments.setdefault(parameter, {})[moment] = tensor
    return moments


def _fit(moments: dict[str, Tensor], parameter: Tensor | None) -> bool:
    """Whether these are AdamW's moments of that parameter."""
    return (
        parameter is not None
        and set(moments) == MOMENTS
        and all(value.shape == (() if name == "step" else parameter.shape) for name, value in moments.items())
    )


def load_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises: FileNotFoundError, ValueError that names the file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; put it back, {_advise(path.parent)}")
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:  # not UTF-8, or not JSON
        raise ValueError(f"{path} is truncated or not JSON ({error}); put it back, {_advise(path.parent)}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, but holds a {type(value).__name__}; {_advise(path.parent)}")
    return value


def _advise(folder: Path) -> str:
    return f"or delete {folder} to go on from an older checkpoint, or from the start if there is none"


@contextmanager
def _add_advice(checkpoint: Path) -> Iterator[None]:
    """Add to an error of reading a checkpoint how the run can go on without it."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; {_advise(checkpoint)}") from None
    except ValueError as error:
        raise ValueError(f"{error}; {_advise(checkpoint)}") from None


def _name_parameters(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[tuple[str, Tensor]]:
    """(name, parameter) in the order in which the optimizer counts them."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [(names[p], p) for group in optimizer.param_groups for p in group["params"]]


def _collect_moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimizer keeps, under the names of the parameters: "embed.weight/exp_avg"."""
    state = optimizer.state_dict()["state"]
    return {
        f"{name}/{moment}": value
        for index, (name, _) in enumerate(_name_parameters(model, optimizer))
        for moment, value in state.get(index, {}).items()
    }


def gather(tensor: Tensor) -> Tensor:
    """A tensor that FSDP has spread over processes (all of which have to ask) in one piece; another one as it is."""
    return getattr(tensor, "full_tensor", lambda: tensor)()


def gather_all(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """All of them in one piece."""
    return {name: gather(tensor) for name, tensor in tensors.items()}


def _spread_like(value: Tensor, parameter: Tensor) -> Tensor:
    """A moment spread over processes as its parameter is, if that is."""
    if not hasattr(parameter, "full_tensor") or value.shape != parameter.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(parameter, DTensor)
    return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)


def _flush_names(folder: Path) -> None:
    """Ask the system to put the renaming itself on disk; Windows and some file systems (SMB, FUSE) have no way to."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(handle)
