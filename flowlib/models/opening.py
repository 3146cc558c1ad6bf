"""A model by its name: one that comes with flowlib, a folder, a name on the hub, or the model itself."""

import json
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from flowlib.models.disk import CONFIG, find_shipped, keep_settings, list_shipped
from flowlib.models.folder import open_folder
from flowlib.models.hub import HUB_NAME, KIND, fetch
from flowlib.models.inputs import check_text
from flowlib.models.language import FlowLM
from flowlib.models.outside import find_picture, from_outside
from flowlib.models.points import FlowPoints
from flowlib.models.shape import FlowModel, find_kind
from flowlib.models.subject import ReadOut, Subject, check_length
from flowlib.models.vision import FlowVision

MOST = 128  # tokens of one look: more have no room in its pictures
PRETRAINED = "minilm"
PLAIN: AbstractContextManager = nullcontext()  # a model in memory needs nothing around it


class Opened(NamedTuple):
    """What is looked at, and what must be entered (`with`) for as long as one looks: a model may lie in its file."""

    subject: Subject
    inside: AbstractContextManager


def open_subject(model: Any, text: Any, tokenizer: Any = None) -> Opened:
    """What a look is taken at.

    model: the name of a shipped model ("tiny"; "minilm" where that is installed), the folder of a saved one (of flowlib
    or of `transformers`), a name on Hugging Face's hub, a FlowLM or FlowVision, a model of `transformers` (then with
    its tokenizer). text: a text; for a model of pictures the path of one, or a tensor (channel, row, column).
    Raises: ValueError for an unknown name, no text, too long a text; TypeError for what is none of these;
            FileNotFoundError for a picture that is not there; ModuleNotFoundError where `transformers` is needed.
    """
    if isinstance(model, tuple) and len(model) == 2:  # (tokenizer, model), as minilm() gives it
        tokenizer, model = model
    name, inside = type(model).__name__, PLAIN
    if isinstance(model, str | Path):
        name = Path(model).name if Path(model).exists() else str(model)
        model, tokenizer, inside = find_model(str(model))
    if isinstance(model, FlowLM):
        return Opened(of_language(model, text, name), inside)
    if isinstance(model, FlowVision):
        return Opened(of_vision(model, text, name), inside)
    if isinstance(model, FlowPoints):
        raise ValueError(f"{name} models shapes; look takes a model of text or of pictures, such as tiny or digits")
    if isinstance(model, nn.Module) and hasattr(model, "config"):
        with inside:
            return Opened(from_outside(model, tokenizer, text, name, MOST), inside)
    raise TypeError(
        f"model must be a name, a folder, a FlowLM, a FlowVision, or one of transformers, got {type(model).__name__}"
    )


def find_model(name: str) -> tuple[nn.Module, Any, AbstractContextManager]:
    """The model, its tokenizer (if it is not ours), and what to enter while it is used. Raises: as `open_subject`."""
    folder = Path(name)
    if not folder.is_dir() and "/" not in name:
        folder = find_shipped(name) or folder
    if folder.is_dir():
        if _is_ours(folder):
            return load_ours(folder), None, PLAIN
        return open_folder(folder)
    if name == PRETRAINED:
        from flowlib.models.zoo import minilm

        tokenizer, model = minilm()
        return model, tokenizer, PLAIN
    return open_folder(_fetch(name))


def load_ours(folder: Path) -> FlowModel:
    """The flow transformer in a folder, of whatever kind it is. Raises: as `FlowModel.load` does."""
    kind = find_kind(keep_settings(_read_json(folder / CONFIG))) or FlowLM
    return kind.load(folder)


def _is_ours(folder: Path) -> bool:
    """Whether no other package's config.json lies there: theirs name another model_type."""
    said = _read_json(folder / CONFIG)
    return not isinstance(said, dict) or said.get("model_type", KIND) == KIND


def _read_json(file: Path) -> Any:
    """What a file says; nothing, where it is none, or none of JSON: loading tells."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def _fetch(name: str) -> Path:
    """A folder with the files of that name on the hub, or its copy on this machine. Raises: ValueError."""
    known = ", ".join(list_shipped())
    said = f"there is no model {name!r:.200}: none of those that come with flowlib ({known}), no folder"
    if not re.fullmatch(HUB_NAME, name):
        raise ValueError(f"{said}, and no name on Hugging Face's hub, as OWNER/NAME is one")
    try:
        return fetch(name, ["*.json", "*.safetensors", "*.txt", "*.model"])
    except FileNotFoundError as error:
        raise ValueError(f"{said}; {str(error).partition(', and ')[2]}") from error


def of_language(model: FlowLM, text: Any, name: str) -> Subject:
    """A text in a flow transformer of ours."""
    check_text(text, "text")
    tokens = model.config.vocabulary.encode(text)
    check_length(len(tokens), min(MOST, model.config.context))
    letters = tuple(_letter(model, i) for i in tokens.tolist())
    head = ReadOut(model.embed.weight.detach(), lambda i: _letter(model, i))
    start = model.initial_field(tokens.to(model.embed.weight.device)).detach()
    return Subject(name, _describe(model), model.flow, start, letters, head, -1, size=_count_bytes(model))


def of_vision(model: FlowVision, picture: Any, name: str) -> Subject:
    """A picture in a flow transformer of ours: its patches are the tokens, the prediction is the mean's."""
    c = model.config
    pixels = find_picture(picture, c.channels, (c.pixels, c.pixels)).to(model.head.weight)
    start = model.initial_field(pixels).detach()
    side = c.tokens
    places = tuple(f"{k // side},{k % side}" for k in range(side * side))
    head = ReadOut(model.head.weight.detach(), str, model.head.bias.detach())
    context = {"weights": model.grid}
    return Subject(name, _describe(model), model.flow, start, places, head, None, context, size=_count_bytes(model))


def _letter(model: FlowLM, i: int) -> str:
    return model.config.vocabulary.decode(torch.tensor([i]))


def _describe(model: FlowModel) -> str:
    c: Any = model.config
    norms = {"post": "projected onto S1 after each term", "pre": "S1 inside each term", "sphere": "on a sphere"}
    return f"{type(model).__name__}: {c.layers} steps, {c.width} features, {c.heads} heads, {c.scheme}, {norms[c.norm]}"


def _count_bytes(model: nn.Module) -> int:
    tensors: list[Tensor] = list(model.parameters())
    return sum(z.nbytes for z in tensors)
