"""Models of the package `transformers`, opened for a look: what is given to them, and what their heads say."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.models.folder import ANSWERS, GENERATES, TELLS, refuse_sounds
from flowlib.models.inputs import check_text
from flowlib.models.subject import ReadOut, Subject, check_length
from flowlib.models.wide import widen_flow
from flowlib.models.zoo import EmbeddedPair, from_huggingface, listen_to
from flowlib.models.zoo.huggingface import body_of
from flowlib.models.zoo.table import describe

WRITTEN = 12  # tokens that a model which listens writes, at most, before one looks at it
NEAREST = "This model has no read-out of words: what stands here is the nearest row of its input embedding (by cosine)."
SILENT = "This model has no read-out, so it says nothing on its way."
MARKS = {"Ġ": " ", "▁": " ", "Ċ": "\n", "ĉ": "\t"}  # how tokenizers write white space


def from_outside(model: Any, tokenizer: Any, text: Any, name: str, most: int) -> Subject:
    """A text (or a picture) in a model of `transformers`. Raises: as `open_subject` and `from_huggingface` do.

    Where one field listens to another (BART, T5), the text is what is heard; what is looked at is the decoder's flow
    while it says its answer, which it writes before, the likeliest token each time.
    """
    config = model.config
    refuse_sounds(config, name)
    pictures = hasattr(config, "image_size") and not hasattr(config, "vocab_size")
    inputs = _picture(config, tokenizer, text) if pictures else _encode(tokenizer, text, _longest(config, most))
    read: Any = from_huggingface(body_of(model))
    told: dict[str, Tensor] = {}
    flow, embed, causal = read.flow, read.embed, any(term.causal for term in read.flow.terms)
    if isinstance(read, EmbeddedPair):
        told, flow = dict(input_ids=inputs), _listen(read, inputs)
        inputs = _begin_answer(model)
    flow = widen_flow(flow)
    readout, note = _find_readout(model, tokenizer, inputs, told, _begin(embed, inputs), flow)
    if told:
        inputs = _write_answer(flow, embed, readout, inputs, told["input_ids"], config)
    words = _name_patches(embed) if pictures else tuple(_word(tokenizer, i) for i in inputs[0].tolist())
    at = -1 if causal else 0 if pictures else None
    start = _begin(embed, inputs)
    kind = _describe(config, flow, start.shape[-1]) + (f", listening to {text!r:.80}" if told else "")
    size = sum(z.nbytes for z in model.parameters())
    return Subject(name, kind, flow, start, words, readout, at, {}, note, size)


def _describe(config: Any, flow: Any, width: int) -> str:
    row, heads = describe(flow), next(m.heads for m in flow.depth.modules() if hasattr(m, "heads"))
    return f"{config.model_type}: {flow.steps} steps, {width} features, {heads} heads, {row.scheme}, {row.norm}"


def _name_patches(embed: Any) -> tuple[str, ...]:
    """What the tokens of a picture are called: the first one, then its patches, row,column."""
    rows, columns = embed.counts
    return ("[CLS]", *(f"{k // columns},{k % columns}" for k in range(rows * columns)))


def _listen(read: Any, heard: Tensor) -> Any:
    """The decoder's flow, told what the encoder makes of the tokens heard (1, token), in single precision."""
    encoder = widen_flow(read.encoder.flow)
    return listen_to(read.flow, encoder(_begin(read.encoder.embed, heard), save="final").final.detach())


def _begin(embed: Any, inputs: Tensor) -> Tensor:
    """u(0), (token, feature), in single precision."""
    like = next(embed.parameters()) if inputs.is_floating_point() else inputs
    begun: Tensor = embed(inputs.to(like))[0].detach().float()
    return begun


def _begin_answer(model: Any) -> Tensor:
    """The token (1, 1) that an answer begins with. Raises: ValueError where nothing says which."""
    places = (model.config, getattr(model, "generation_config", None))
    said = (getattr(one, "decoder_start_token_id", None) for one in places)
    first = next((k for k in said if k is not None), None)
    if first is None:
        raise ValueError(f"{type(model).__name__} does not say what an answer begins with: set decoder_start_token_id")
    return torch.tensor([[first]])


@torch.no_grad()
def _write_answer(flow: Any, embed: Any, readout: ReadOut | None, first: Tensor, heard: Tensor, config: Any) -> Tensor:
    """`first` (1, 1) and the likeliest tokens after it, until the text ends; without a head, what is heard."""
    if readout is None or readout.kind != "head":
        return torch.cat([first, heard], -1)
    written = first
    while written.shape[-1] < WRITTEN:
        u = flow(_begin(embed, written), save="final").final[-1]
        new = readout.scores(u).argmax()
        if new == config.eos_token_id:
            break
        written = torch.cat([written, new.view(1, 1)], -1)
    return written


def _longest(config: Any, most: int) -> int:
    return min(most, getattr(config, "max_position_embeddings", None) or most)


def _encode(tokenizer: Any, text: Any, most: int) -> Tensor:
    """The numbers (1, token) of a text."""
    check_text(text, "text")
    if not text:
        raise ValueError("a look needs a text, got an empty one; give a sentence, such as 'the value of the argum'")
    if not callable(tokenizer):
        raise TypeError("a model of transformers needs its tokenizer: look(model, text, tokenizer=…)")
    numbers = list(tokenizer(text)["input_ids"])
    check_length(len(numbers), most)
    return torch.tensor([numbers])


def _word(tokenizer: Any, number: int) -> str:
    """What a token is called, its white space as such."""
    word = tokenizer.convert_ids_to_tokens(int(number))
    if word is None:
        return f"<{number}>"
    for mark, meaning in MARKS.items():
        word = word.replace(mark, meaning)
    return str(word)


def _find_readout(
    model: Any, tokenizer: Any, inputs: Tensor, told: dict[str, Tensor], start: Tensor, flow: Any
) -> tuple[ReadOut | None, str]:
    """The head where it is s W N(u) + b, as one try tells; else the input embedding, where it fits."""
    kind, config = type(model).__name__, model.config
    if kind.endswith(TELLS) and isinstance(head := getattr(model, "classifier", None), nn.Linear):
        return ReadOut(head.weight, lambda i: str(config.id2label.get(i, i)), head.bias), ""
    word = lambda i: _word(tokenizer, i)
    if kind.endswith(GENERATES + ANSWERS) and isinstance(head := model.get_output_embeddings(), nn.Linear):
        shift = getattr(model, "final_logits_bias", None)  # BART's
        bias = head.bias if shift is None else shift[0]
        asked = dict(told, decoder_input_ids=inputs) if told else dict(input_ids=inputs)
        for scale in (1.0, start.shape[-1] ** -0.5):  # the second is T5's, where its head is its embedding
            found = ReadOut(head.weight, word, bias, scale=scale)
            if _is_linear(model, found, asked, start, flow):
                return found, ""
        return None, "This model's head does more to its last field than a linear map, so it is not read here."
    embedding = None if inputs.is_floating_point() else model.get_input_embeddings()
    if isinstance(embedding, nn.Embedding) and embedding.weight.shape[-1] == start.shape[-1]:
        return ReadOut(embedding.weight, word, None, "nearest"), NEAREST
    return None, SILENT


@torch.no_grad()
def _is_linear(model: Any, readout: ReadOut, asked: dict[str, Tensor], start: Tensor, flow: Any) -> bool:
    """Whether the model's own logits of the last token are the read-out of the flow's last field."""
    theirs = model(**asked).logits[0, -1].float()
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
