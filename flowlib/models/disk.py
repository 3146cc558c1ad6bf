"""A model on disk: model.safetensors and config.json in a folder, which hold numbers and words, and no code.

model.safetensors carries its configuration along, so that a kill between two files leaves the old model or the new one:
which configuration its tensors were saved with is never in doubt.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.files import Write, as_path, load_metadata, unfinished, write_into, write_tensors, write_text

TENSORS, CONFIG = "model.safetensors", "config.json"
SHIPPED = Path(__file__).parent / "shipped"  # the models that come with flowlib
KEY = "flowlib"  # of the configuration, in what the tensors say of themselves
MORE = ("architectures", "model_type", "flowlib_version")  # what config.json says on the hub, and no setting
ALWAYS = {"width", "heads", "layers", "hidden", "norm", "scheme", "depth", "activation", "bias"}  # in every config.json


def find_shipped(name: str) -> Path | None:
    """The folder of a trained model that comes with flowlib; None where none has that name."""
    folder = SHIPPED / name
    return folder if (folder / TENSORS).is_file() else None


def list_shipped() -> list[str]:
    """The names of the trained models that come with flowlib."""
    return sorted(file.parent.name for file in SHIPPED.glob(f"*/{TENSORS}"))


def save_model(config: dict[str, Any], tensors: Mapping[str, Tensor], folder: str | Path) -> Path:
    """Write a model into a folder. Raises: FileExistsError where a file that is none of a model's is in the way."""
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    writers: dict[str, Write] = {
        TENSORS: lambda new: write_tensors(tensors, new, {KEY: text, "format": "pt"}),  # older transformers ask for it
        CONFIG: lambda new: write_text(text, new),
    }
    folder = as_path(folder, "folder")
    write_into(folder, writers, is_of_a_model)
    return folder


def is_of_a_model(file: Path) -> bool:
    """Whether flowlib wrote this file: a configuration, or tensors that carry one or lie beside one."""
    if file.name == TENSORS:
        return KEY in load_metadata(file) or _is_config(file.with_name(CONFIG))
    return file.name == CONFIG and _is_config(file)


def read_config(folder: Path, from_dict: Callable[[Any], Any]) -> Any:
    """The configuration of the model in a folder.

    Raises: FileNotFoundError where there is none, ValueError where it is none, or another one than the tensors'.
    """
    file, carried = folder / CONFIG, load_metadata(folder / TENSORS).get(KEY)
    if carried is not None and unfinished(file):  # a kill came after the new tensors, and before their configuration
        return from_dict(keep_settings(json.loads(carried)))
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; a saved model is a folder with {TENSORS} and {CONFIG}")
    try:
        config = from_dict(keep_settings(json.loads(file.read_bytes())))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} does not describe a flow transformer ({error})") from None
    if carried is not None and config != (saved := from_dict(keep_settings(json.loads(carried)))):
        raise ValueError(
            f"{folder / TENSORS} does not fit its {CONFIG}: it was saved with {_tell_apart(saved, config)}; put the "
            "one back that belongs to it, or save the model again"
        )
    return config


def keep_settings(values: Any) -> Any:
    """The settings in what a config.json says."""
    return {k: v for k, v in values.items() if k not in MORE} if isinstance(values, dict) else values


def check_folder(folder: object) -> Path:
    """The folder of a model. Raises: TypeError for what is no path, FileNotFoundError where there is no such folder."""
    path = as_path(folder, "folder")
    if path.is_file():
        raise FileNotFoundError(f"{path} is a file; give the folder of a saved model, such as {path.parent}")
    if not path.exists():
        raise FileNotFoundError(
            f"{path / TENSORS} is missing, as there is no such folder; give the folder of a saved model, such as "
            "runs/tiny/best, or flowlib.models.shipped('tiny')"
        )
    return path


def find_device(device: str | torch.device | None) -> torch.device:
    """The device of that name; the CPU without one. Raises: ValueError for a name that torch does not know."""
    try:
        return torch.device("cpu" if device is None else device)
    except (RuntimeError, TypeError):
        raise ValueError(f"device must be one of torch's, such as 'cpu', 'cuda' or 'mps', got {device!r:.80}") from None


def fill(model: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Put the tensors in their places. Raises: ValueError where they are not this model's."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{file} has {name} in {tensor.dtype}; a flow's parameters are floats: save it again")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        last = str(error).splitlines()[-1].strip()
        raise ValueError(f"{file} does not fit its {CONFIG} ({last:.300})") from None


def _is_config(file: Path) -> bool:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and ALWAYS <= set(found)


def _tell_apart(saved: Any, config: Any) -> str:
    """What differs between two configurations."""
    differ = [name for name in vars(saved) if getattr(saved, name) != getattr(config, name)]
    return ", ".join(f"{name} {getattr(saved, name)!r:.40}, not {getattr(config, name)!r:.40}" for name in differ)
