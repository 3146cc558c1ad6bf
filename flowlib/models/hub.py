"""Models as others expect them: from_pretrained, save_pretrained, push_to_hub, with the files that the hub has.

The hub's own mixin is not a parent of `FlowModel`: it would be imported, with its network, wherever a model is. What
talks to the hub is loaded when it is called; huggingface_hub comes with accelerate, which flowlib stands on.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from torch import nn

import flowlib
from flowlib.files import as_path, replace_file, write_text
from flowlib.models.disk import CONFIG, TENSORS, find_shipped

CARD, KIND = "README.md", "flowlib"
MARK = f"library_name: {KIND}"
HUB_NAME = r"[\w.-]+(/[\w.-]+)?"


class Saved(Protocol):
    """What is asked of a model here: `FlowModel` has it, and imports this module."""

    config: Any
    card: str

    def save(self, folder: str | Path) -> Path: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


def find_pretrained(name: str | Path, **hub: Any) -> Path:
    """The folder of a saved model: that folder, one that comes with flowlib, or the hub's, fetched once.

    hub: revision, token, cache_dir, local_files_only, as huggingface_hub has them.
    Raises: FileNotFoundError where there is none, and where the hub has none or cannot be reached.
    """
    path = as_path(name, "name")
    if path.exists():
        return path
    if shipped := find_shipped(str(name)):
        return shipped
    if not re.fullmatch(HUB_NAME, str(name)):
        raise FileNotFoundError(f"there is no folder {name}, and the hub has no such names; OWNER/NAME is one")
    return fetch(str(name), [TENSORS, CONFIG, CARD], **hub)


def fetch(name: str, patterns: list[str], **hub: Any) -> Path:
    """A folder with those files of the hub's repository. Raises: FileNotFoundError, ModuleNotFoundError."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ModuleNotFoundError("the hub is reached by huggingface_hub: pip install huggingface_hub") from None
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, **hub))
    except Exception as error:  # of the network, or of the hub: it has many kinds, and they differ with its version
        raise FileNotFoundError(
            f"there is no folder {name!r}, and it could not be had from Hugging Face's hub "
            f"({type(error).__name__}: {str(error).strip():.160})"
        ) from error


def check_class(folder: Path, wanted: str) -> None:
    """Raises: ValueError where config.json names another class."""
    try:
        said = json.loads((folder / CONFIG).read_bytes()).get("architectures") or [wanted]
    except (OSError, ValueError, AttributeError):
        return  # what is wrong with it, loading says
    if wanted not in said:
        raise ValueError(f"{folder} holds a {said[0]}, not a {wanted}: load it with {said[0]}.from_pretrained")


def save_for_hub(model: Saved, folder: str | Path) -> Path:
    """Write the model, its class and flowlib's version into config.json, and a card (README.md).

    A card that somebody else wrote stays. Raises: FileExistsError as `FlowModel.save` does.
    """
    folder = model.save(folder)
    said = {"architectures": [type(model).__name__], "model_type": KIND, "flowlib_version": flowlib.__version__}
    text = json.dumps(said | model.config.to_dict(), indent=1, ensure_ascii=False) + "\n"
    replace_file(folder / CONFIG, lambda new: write_text(text, new))
    card = folder / CARD
    if not card.exists() or MARK in card.read_text("utf-8", errors="replace")[:400]:
        replace_file(card, lambda new: write_text(write_card(model), new))
    return folder


def write_card(model: Saved) -> str:
    """What the model is, its parameters counted, how it is loaded; and after it, what came with it (`model.card`)."""
    kind, c = type(model).__name__, model.config
    count = sum(z.numel() for z in model.parameters())
    use = f'from flowlib.models import {kind}\n\nmodel = {kind}.from_pretrained("OWNER/NAME")'
    about = (
        f"A flow transformer ({kind}): {c.layers} steps at Δt = 1, {c.width} features, {c.heads} heads, {count:,} "
        f"parameters; scheme {c.scheme}, norm {c.norm}, parameters in depth {c.depth}. "
        f"Saved by flowlib {flowlib.__version__}."
    )
    front = f"---\n{MARK}\ntags:\n- flow-transformer\n---\n\n"
    return f"{front}# {kind}\n\n{about}\n\n```python\n{use}\n```\n" + (
        f"\n{model.card.strip()}\n" if model.card else ""
    )


def read_card(folder: Path) -> str:
    """The card that lies beside a model, as flowlib ships it (CARD.md); empty where there is none."""
    file = folder / "CARD.md"
    return file.read_text("utf-8") if file.is_file() else ""


def push(model: Saved, name: str, *, private: bool | None, token: str | None, message: str) -> str:
    """Save the model, and upload it to the hub as OWNER/NAME; the address of the commit.

    Raises: ValueError for what is no name; what the hub says otherwise comes as it is.
    """
    if not re.fullmatch(HUB_NAME, str(name)):
        raise ValueError(f"a repository on the hub has a name such as OWNER/NAME, got {name!r:.80}")
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise ModuleNotFoundError("the hub is reached by huggingface_hub: pip install huggingface_hub") from None
    api = HfApi(token=token)
    where = api.create_repo(name, private=private, exist_ok=True).repo_id
    with tempfile.TemporaryDirectory() as folder:
        save_for_hub(model, Path(folder) / "model")
        return str(api.upload_folder(repo_id=where, folder_path=Path(folder) / "model", commit_message=message))
