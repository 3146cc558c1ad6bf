"""Models of the package `transformers`, opened for a look: their tensors stay in the file, their heads are read."""

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.models.inputs import check_text
from flowlib.models.mapped import Mapping
from flowlib.models.subject import ReadOut, Subject, check_length
from flowlib.models.wide import widen_flow
from flowlib.models.zoo import from_huggingface
from flowlib.models.zoo.table import describe

GENERATES = ("ForCausalLM", "LMHeadModel")
TELLS = "ForImageClassification"
INSTALL = "the package transformers reads this model: pip install transformers, or flowlib's extra 'pretrained'"
NEAREST = "This model has no read-out of words: what stands here is the nearest row of its input embedding (by cosine)."
SILENT = "This model has no read-out, so it says nothing on its way."
MARKS = {"Ġ": " ", "▁": " ", "Ċ": "\n", "ĉ": "\t"}  # how tokenizers write white space


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
    model, inside = _map_model(folder, config)
    if hasattr(config, "image_size") and not hasattr(config, "vocab_size"):
        return model, _read_pixel_scale(folder), inside
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # it has many kinds
        raise ValueError(f"{folder} has no tokenizer that can be read ({str(error):.200})") from None
    return model, tokenizer, inside


def _map_model(folder: Path, config: Any) -> tuple[nn.Module, AbstractContextManager]:
    """The model with its tensors left in the files, or loaded as transformers does where they do not fit."""
    from accelerate import init_empty_weights  # type: ignore[import-untyped]

    auto = _choose_class(config)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{folder} has no .safetensors file; save the model with save_pretrained, then look again")
    mapping = Mapping(files)
    with init_empty_weights(include_buffers=False):
        model = auto.from_config(config)
    model.load_state_dict(_rename(mapping.tensors, model), strict=False, assign=True)
    model.tie_weights()
    if any(z.is_meta for z in model.parameters()) or len({z.dtype for z in model.parameters()}) > 1:
        loaded = auto.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        return loaded.eval().requires_grad_(False), nullcontext()
    embedding = model.get_input_embeddings()
    mapping.copied = [embedding.weight] if isinstance(embedding, nn.Embedding) else []
    return model.eval().requires_grad_(False), mapping


def _choose_class(config: Any) -> Any:
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForImageClassification

    written = (getattr(config, "architectures", None) or [""])[0]
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


def from_outside(model: Any, tokenizer: Any, text: Any, name: str, most: int) -> Subject:
    """A text (or a picture) in a model of `transformers`. Raises: as `open_subject` and `from_huggingface` do."""
    pictures = hasattr(model.config, "image_size") and not hasattr(model.config, "vocab_size")
    tokens, words = (None, ()) if pictures else _encode(tokenizer, text, _longest(model.config, most))
    pixels = _picture(model.config, tokenizer, text) if pictures else None
    read: Any = from_huggingface(getattr(model, "base_model", model))
    flow = widen_flow(read.flow)
    inputs = tokens if pixels is None else pixels.to(read.embed.map.weight)
    start = read.embed(inputs)[0].detach().float()
    causal = any(term.causal for term in flow.terms)
    if pictures:
        side = read.embed.counts[1]
        words = ("[CLS]", *(f"{k // side},{k % side}" for k in range(len(start) - 1)))
    readout, note = _find_readout(model, tokenizer, tokens, start, flow)
    at = -1 if causal else 0 if pictures else None
    row = describe(flow)
    heads, steps = _heads(flow), flow.steps
    kind = (
        f"{model.config.model_type}: {steps} steps, {start.shape[-1]} features, {heads} heads, {row.scheme}, {row.norm}"
    )
    size = sum(z.nbytes for z in model.parameters())
    return Subject(name, kind, flow, start, words, readout, at, {}, note, size)


def _heads(flow: Any) -> int:
    return next(m.heads for term in flow.terms for m in term.modules() if hasattr(m, "heads"))


def _longest(config: Any, most: int) -> int:
    return min(most, getattr(config, "max_position_embeddings", None) or most)


def _encode(tokenizer: Any, text: Any, most: int) -> tuple[Tensor, tuple[str, ...]]:
    """The numbers (1, token) of a text, and what they are called."""
    check_text(text, "text")
    if not text:
        raise ValueError("a look needs a text, got an empty one; give a sentence, such as 'the value of the argum'")
    if not callable(tokenizer):
        raise TypeError("a model of transformers needs its tokenizer: look(model, text, tokenizer=…)")
    numbers = list(tokenizer(text)["input_ids"])
    check_length(len(numbers), most)
    return torch.tensor([numbers]), tuple(_word(tokenizer, i) for i in numbers)


def _word(tokenizer: Any, number: int) -> str:
    """What a token is called, its white space as such."""
    word = tokenizer.convert_ids_to_tokens(int(number))
    if word is None:
        return f"<{number}>"
    for mark, meaning in MARKS.items():
        word = word.replace(mark, meaning)
    return str(word)


def _find_readout(
    model: Any, tokenizer: Any, tokens: Tensor | None, start: Tensor, flow: Any
) -> tuple[ReadOut | None, str]:
    """The head where it is W N(u) + b, as one try tells; else the input embedding, where it fits."""
    kind, config = type(model).__name__, model.config
    if kind.endswith(TELLS) and isinstance(head := getattr(model, "classifier", None), nn.Linear):
        return ReadOut(head.weight, lambda i: str(config.id2label.get(i, i)), head.bias), ""
    word = lambda i: _word(tokenizer, i)
    if kind.endswith(GENERATES) and isinstance(head := model.get_output_embeddings(), nn.Linear):
        found = ReadOut(head.weight, word, head.bias)
        if _is_linear(model, found, tokens, start, flow):
            return found, ""
        return None, "This model's head does more to its last field than a linear map, so it is not read here."
    embedding = None if tokens is None else model.get_input_embeddings()
    if isinstance(embedding, nn.Embedding) and embedding.weight.shape[-1] == start.shape[-1]:
        return ReadOut(embedding.weight, word, None, "nearest"), NEAREST
    return None, SILENT


@torch.no_grad()
def _is_linear(model: Any, readout: ReadOut, tokens: Tensor | None, start: Tensor, flow: Any) -> bool:
    """Whether the model's own logits of the last token are the read-out of the flow's last field."""
    theirs = model(tokens).logits[0, -1].float()
    ours = readout.scores(flow(start, save="final").final[-1])
    bound = 1e-4 if next(model.parameters()).dtype.itemsize == 4 else 0.1
    return bool((ours - theirs).abs().max() <= bound * theirs.abs().max())


def find_picture(picture: Any, channels: int, size: tuple[int, int]) -> Tensor:
    """A picture (channel, row, column) with numbers from 0 to 1: a tensor, or a file, brought to the size.

    Raises: FileNotFoundError, ValueError for a file that is no picture; TypeError for what is neither.
    """
    if isinstance(picture, Tensor):
        return picture
    if not isinstance(picture, str | Path) or not str(picture):
        raise TypeError(f"this model looks at pictures: give the path of one, got {picture!r:.80}")
    if not Path(picture).is_file():
        raise FileNotFoundError(
            f"this model looks at pictures, and there is no file {picture!s:.200}; give a picture's path"
        )
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(picture) as opened:
            image = opened.convert("L" if channels == 1 else "RGB").resize(size[::-1], Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise ValueError(f"{picture} is no picture that can be read ({error})") from None
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).float() / 255
    return values.view(*size, -1).movedim(-1, 0)


def _picture(config: Any, scale: Any, picture: Any) -> Tensor:
    """The pixels (1, channel, row, column) that a model of pictures was trained on."""
    size = config.image_size if isinstance(config.image_size, list | tuple) else (config.image_size,) * 2
    pixels = find_picture(picture, config.num_channels, tuple(size))
    mean, std = (torch.tensor(z).view(-1, 1, 1) for z in (scale or ([0.5], [0.5])))
    return (pixels if isinstance(picture, Tensor) else (pixels - mean) / std)[None]


def _read_pixel_scale(folder: Path) -> tuple[list[float], list[float]] | None:
    """Mean and spread of the pixels, as the folder says them."""
    file = folder / "preprocessor_config.json"
    said = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return (said["image_mean"], said["image_std"]) if {"image_mean", "image_std"} <= set(said) else None
