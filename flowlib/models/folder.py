"""A folder with a model of the package `transformers`: its tensors stay in their files, whole or in shards."""

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.models.mapped import Mapping
from flowlib.models.zoo.huggingface import UNUSED

# How the classes of models end that
GENERATES = ("ForCausalLM", "LMHeadModel")  # go on with a text
ANSWERS = ("ForConditionalGeneration", "MTModel")  # say something to a text: one field of words listens to another
ENCODES = "EncoderModel"  # are one half of such a model, and hear a text
TELLS = "ForImageClassification"
INSTALL = "the package transformers reads this model: pip install transformers, or flowlib's extra 'pretrained'"


def open_folder(folder: Path) -> tuple[nn.Module, Any, AbstractContextManager]:
    """The model of `transformers` in a folder, its tokenizer (None for pictures), and what to enter while it is used.

    Its tensors stay in its safetensors files, where their names are those of this version's; otherwise it is loaded.
    Raises: ValueError for a folder without a model, ModuleNotFoundError without the package.
    """
    try:
        from transformers import AutoConfig, AutoTokenizer
    except ImportError:
        raise ModuleNotFoundError(INSTALL) from None
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} is no folder of a model that can be read ({str(error):.200})") from None
    refuse_sounds(config, folder.name)
    model, inside = _map_model(folder, config)
    if hasattr(config, "image_size") and not hasattr(config, "vocab_size"):
        return model, _read_pixel_scale(folder), inside
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # it has many kinds
        raise ValueError(f"{folder} has no tokenizer that can be read ({str(error):.200})") from None
    return model, tokenizer, inside


def refuse_sounds(config: Any, name: str) -> None:
    """Raises: ValueError for a model that hears sounds."""
    if hasattr(config, "num_mel_bins"):
        raise ValueError(f"{name} ({config.model_type}) hears sounds; look takes a model of text or of pictures")


def _map_model(folder: Path, config: Any) -> tuple[nn.Module, AbstractContextManager]:
    """The model with its tensors left in the files, or loaded as transformers does where they do not fit."""
    from accelerate import init_empty_weights  # type: ignore[import-untyped]

    auto = _choose_class(config)
    mapping = Mapping(find_shards(folder))
    with init_empty_weights(include_buffers=False):
        model = auto.from_config(config)
    model.load_state_dict(_rename(mapping.tensors, model), strict=False, assign=True)
    model.tie_weights()
    if any(z.is_meta for z in model.parameters()) or len({z.dtype for z in model.parameters()}) > 1:
        return _load(auto, folder), nullcontext()
    embedding = model.get_input_embeddings()
    mapping.copied = [embedding.weight] if isinstance(embedding, nn.Embedding) else []
    return model.eval().requires_grad_(False), mapping


def _load(auto: Any, folder: Path) -> nn.Module:
    """The model as transformers loads it. Raises: ValueError where its files lack what a reading needs."""
    model, info = auto.from_pretrained(folder, local_files_only=True, dtype=torch.float32, output_loading_info=True)
    if lacking := [name for name in sorted(info["missing_keys"]) if not any(part in name for part in UNUSED)]:
        raise ValueError(
            f"the files in {folder} lack parameters of a {type(model).__name__}, which would be drawn at random: "
            f"{', '.join(lacking[:3])}; save the model whole, with its class in config.json (architectures)"
        )
    loaded: nn.Module = model.eval().requires_grad_(False)
    return loaded


def find_shards(folder: Path) -> list[Path]:
    """The files that hold a model's tensors: model.safetensors, or those that its index names.

    Raises: ValueError where there is none, and for an index that is none, or names a file that is not there.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file() or not index.is_file():
        files = [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))
        if not files:
            held = ", ".join(file.name for file in sorted(folder.glob("pytorch_model*"))[:2])
            held = f", but {held}, which may run code when it is read" if held else ""
            raise ValueError(
                f"{folder} has no .safetensors file{held}; save the model with save_pretrained, then look again"
            )
        return files
    try:
        named = json.loads(index.read_bytes())["weight_map"].values()
        files = [folder / name for name in sorted({Path(name).name for name in named})]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is no index of safetensors files ({type(error).__name__}: {error!s:.80})") from None
    if missing := [file.name for file in files if not file.is_file()]:
        raise ValueError(f"{index} names files that are not there: {', '.join(missing[:3])}; fetch the model whole")
    return files


def _choose_class(config: Any) -> Any:
    from transformers import (
        AutoModel,
        AutoModelForCausalLM,
        AutoModelForImageClassification,
        AutoModelForSeq2SeqLM,
        AutoModelForTextEncoding,
    )

    written = (getattr(config, "architectures", None) or [""])[0]
    if getattr(config, "is_encoder_decoder", False) and written.endswith(ANSWERS):
        return AutoModelForSeq2SeqLM
    if written.endswith(ENCODES):
        return AutoModelForTextEncoding
    if written.endswith(GENERATES):
        return AutoModelForCausalLM
    return AutoModelForImageClassification if written.endswith(TELLS) else AutoModel


def _rename(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The names that the model has: with the prefix of its body, without it, or as they are: whichever fits most."""
    wanted, prefix = set(model.state_dict()), f"{getattr(model, 'base_model_prefix', '')}."
    ways = (
        tensors,
        {prefix + k: z for k, z in tensors.items()},
        {k.removeprefix(prefix): z for k, z in tensors.items()},
    )
    return max(ways, key=lambda names: len(wanted & set(names)))


def _read_pixel_scale(folder: Path) -> tuple[list[float], list[float]] | None:
    """Mean and spread of the pixels, as the folder says them."""
    file = folder / "preprocessor_config.json"
    said = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return (said["image_mean"], said["image_std"]) if {"image_mean", "image_std"} <= set(said) else None
