"""Models of the package `transformers` as flows: embed → flow → last norm. The package itself is not needed here."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from flowlib.flow.equation import Flow
from flowlib.models.zoo import (
    barts,
    berts,
    bloom,
    clip,
    decoders,
    dinov2,
    encoders,
    gemmas,
    llamas,
    mixtral,
    modernbert,
    opt,
    t5,
    whisper,
)
from flowlib.models.zoo.embedded import EmbeddedFlow, EmbeddedPair
from flowlib.models.zoo.heads import EncoderDecoder, Head, tied
from flowlib.models.zoo.listening import Listening
from flowlib.models.zoo.parts import Config, Parameters
from flowlib.models.zoo.refusals import check_settings, what_it_needs
from flowlib.models.zoo.selfcheck import must_be_equal, small_inputs
from flowlib.operators import Attention

# A reader takes a model's configuration and its parameters, and gives the embedding of its tokens and the flow (or,
# where one field listens to another, the pair). A new architecture is one such function and one row here, under the
# `model_type` of its configuration.
Reader = Callable[[Config, Parameters], tuple[nn.Module, Flow] | EmbeddedPair]
READERS: dict[str, Reader] = {
    "bert": encoders.bert,
    "albert": encoders.albert,
    "vit": encoders.vit,
    "dinov2": dinov2.dinov2,
    "roberta": berts.roberta,
    "xlm-roberta": berts.roberta,
    "electra": berts.electra,
    "distilbert": berts.distilbert,
    "gpt2": decoders.gpt2,
    "gptj": decoders.gptj,
    "gpt_neox": decoders.gpt_neox,
    "opt": opt.opt,
    "phi": decoders.phi,
    "bloom": bloom.bloom,
    "llama": llamas.llama,
    "mistral": llamas.mistral,
    "qwen2": llamas.qwen2,
    "smollm3": llamas.smollm3,
    "qwen3": llamas.qwen3,
    "phi3": llamas.phi3,
    "mixtral": mixtral.mixtral,
    "gemma": gemmas.gemma,
    "gemma2": gemmas.gemma2,
    "gemma3_text": gemmas.gemma3,
    "modernbert": modernbert.modernbert,
    "clip_text_model": clip.clip_text,
    "clip_vision_model": clip.clip_vision,
    "t5": t5.t5,
    "mt5": t5.t5,
    "umt5": t5.t5,
    "bart": barts.bart,
    "mbart": barts.mbart,
    "pegasus": barts.pegasus,
    "marian": barts.marian,
    "whisper": whisper.whisper,
}
UNUSED = ("pooler.", "embeddings.mask_token", "post_layernorm.", "shared.")  # read off the last field, or for training
MISFITS = (RuntimeError, TypeError, AttributeError, KeyError, IndexError, ZeroDivisionError, StopIteration)


def from_huggingface(model: nn.Module, *, verify: bool = True) -> EmbeddedFlow:
    """A `transformers` model as embed → flow → last norm:  .final is the model's last_hidden_state at valid tokens.

    Reads what has a row in `READERS` (BERT, ViT, GPT-2, Llama, BART and their relatives), with or without a head: of a
    model with a head, the flow is that of the body, model.base_model, and `.logits(…)` are the model's logits.
    Parameters are copied; one that is used twice (the keys of grouped queries, a norm that two terms share) becomes
    two, but a head that is tied to the embedding stays tied. Device, dtype and mode are the model's, and what is frozen
    (requires_grad=False) stays frozen: of what is made from several parameters (queries, keys and values are one
    matrix), if all of them are. What listens to another field (BART) is read as an `EmbeddedPair`.
    verify: run both on 2 × 7 tokens (or a picture) and compare, which finds a model that was changed after it was
    built: another activation, a hook, a subclass, an edited configuration. The model is left as it was.
    Error: exact at steps = number of layers, relative to the largest entry: 1e-5 in float32, 1e-12 in float64. Llama
           and its relatives keep 1e-5 in float64, for the RMS norm is computed in float32 there (by `transformers`, not
           here), and so do GPT-J where its scores are (before version 5.24 of it, and with eager attention), and
           ModernBERT, whose rotations are.
    Raises: TypeError for what is no `transformers` model. ValueError for an architecture that is not known (the message
            lists those that are), a setting that is not (cross-attention, relative positions, a window or frequencies
            of a kind that is not known, an activation), dropout in training mode, parameters missing or left over, and
            an output that is not the model's.
    """
    kind = getattr(getattr(model, "config", None), "model_type", None)
    if not isinstance(model, nn.Module) or kind is None:
        raise TypeError(
            f"from_huggingface reads models of the package transformers, got {type(model).__name__}; "
            "from_torch reads torch's own encoder"
        )
    if kind not in READERS:
        raise ValueError(
            f"the architecture {kind!r} ({type(model).__name__}) is not known; known: {', '.join(READERS)}"
            f"{what_it_needs(kind)}"
        )
    body = body_of(model)
    check_settings(body)
    read = _read(kind, body)
    read.train(model.training)
    if verify:
        inputs = _inputs_of(read, body)
        finer = lambda: copy.deepcopy(read).double()(**inputs).final
        must_be_equal(lambda: read(**inputs).final, lambda: body(**inputs)[0], body, "last_hidden_state", finer)
    if body is not model:
        _put_on_head(read, model, body, verify)
    return read


def body_of(model: nn.Module) -> nn.Module:
    """What of a model makes the last_hidden_state: all but its head."""
    body: nn.Module = getattr(model, "base_model", model)
    if body is model and EncoderDecoder.stands_beside_a_head(model):  # T5
        return EncoderDecoder(model)
    parts = [getattr(model, name, None) for name in ("text_model", "vision_model", "model")]
    found = [part for part in parts if isinstance(part, nn.Module)]  # where a model names no base: CLIP, older Gemma 3
    return found[0] if body is model and len(found) == 1 else body


def _read(kind: str, body: nn.Module) -> EmbeddedFlow:
    """The reader's flow, on the model's device and in its dtype, with what was frozen frozen."""
    config: Config = body.config
    theirs = dict(body.named_parameters(remove_duplicate=False))
    buffers = {name for name, _ in body.named_buffers()}

    def build(tensors: dict[str, Any]) -> tuple[EmbeddedFlow, Parameters]:
        parameters = Parameters(tensors, type(body).__name__, buffers)
        try:
            found = READERS[kind](config, parameters)
        except MISFITS as error:
            raise ValueError(
                f"the configuration of {parameters.owner} does not fit its parameters ({type(error).__name__}: "
                f"{str(error):.200}); it must be the one that the model was built with"
            ) from error
        return (found if isinstance(found, EmbeddedPair) else EmbeddedFlow(*found)), parameters

    read, parameters = build(theirs)
    if left := [name for name in parameters.unread if not name.startswith(UNUSED)]:
        raise ValueError(
            f"{parameters.owner} has parameters that a known {kind!r} does not have: {', '.join(left[:4])}; "
            "adapters must be merged into the model first"
        )
    _check_alike(theirs, parameters.owner)
    _check_heads(read, body)
    like = next(read.flow.parameters())
    read.to(device=like.device, dtype=like.dtype)
    if not all(p.requires_grad for p in theirs.values()):
        trained = _find_trained(lambda marks: build(marks)[0], theirs)
        for name, mine in read.named_parameters():
            mine.requires_grad_(name in trained)
    return read


def _check_alike(theirs: dict[str, nn.Parameter], owner: str) -> None:
    """Raises: ValueError for parameters of several dtypes, or on several devices."""
    for what in ("dtype", "device"):
        if len(kinds := {str(getattr(p, what)) for p in theirs.values()}) > 1:
            raise ValueError(
                f"the parameters of {owner} must be of one {what}, got {', '.join(sorted(kinds))}; try model.float() "
                "for the one, model.cpu() for the other"
            )


def _check_heads(read: EmbeddedFlow, body: nn.Module) -> None:
    """Raises: ValueError where heads have other features than the model's, as in a configuration that was edited."""
    names = ("head_dim", "attention_head_size", "head_size")
    theirs = {size for part in body.modules() for name in names if isinstance(size := getattr(part, name, None), int)}
    kernels = [part for part in read.modules() if isinstance(part, (Attention, Listening))]
    ours = {part.out.in_features // part.heads for part in kernels}
    if theirs and theirs != ours:
        raise ValueError(
            f"the heads of {type(body).__name__} have {sorted(theirs)} features, but its configuration says "
            f"{sorted(ours)}; give it the configuration that it was built with"
        )


def _find_trained(build: Callable[[dict[str, Any]], nn.Module], theirs: dict[str, nn.Parameter]) -> set[str]:
    """Which parameters of a reading are made of one that is trained.

    It is built once more from marks, NaN for what is trained and 0 for what is frozen: NaN reaches what is made of it.
    """
    if not any(p.requires_grad for p in theirs.values()):
        return set()
    marks = {
        name: p.detach().new_tensor(torch.nan if p.requires_grad else 0.0).expand_as(p) for name, p in theirs.items()
    }
    return {name for name, mark in build(marks).named_parameters() if mark.isnan().any()}


def _put_on_head(read: EmbeddedFlow, model: nn.Module, body: nn.Module, verify: bool) -> None:
    """Copy what the model has beside its body; where that cannot be done, `read.headless` says why."""
    name = type(model).__name__
    try:
        head = Head(model, body, tied(body, getattr(read.embed, "token", None)))
    except Exception as error:
        read.headless = f"the head of {name} cannot be copied ({type(error).__name__}: {str(error):.200})"
        return
    read.head = head.eval()
    try:
        if verify:
            inputs = _inputs_of(read, body)
            finer = lambda: copy.deepcopy(read).double().logits(**inputs)
            must_be_equal(lambda: read.logits(**inputs), lambda: model(**inputs)[0], model, "the head's output", finer)
        head.train(model.training)
    except ValueError as error:
        read.head, read.headless = None, f"{name} was read without its head: {error}"


def _inputs_of(read: EmbeddedFlow, body: nn.Module) -> dict[str, Any]:
    inputs = small_inputs(read.embed, body)
    if not isinstance(read, EmbeddedPair):
        return inputs
    heard = small_inputs(read.encoder.embed, body)
    batch = len(next(iter(heard.values())))
    return heard | dict(decoder_input_ids=inputs["input_ids"][:batch].flip(-1))
