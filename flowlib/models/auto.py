"""A FlowLM as a model of the package `transformers`: AutoModelForCausalLM, pipelines and evaluation harnesses take it.

    from flowlib.models.auto import register, wrap

    register()                                           AutoModelForCausalLM.from_pretrained(folder of a FlowLM)
    model, tokenizer = wrap(FlowLM.load("runs/tiny"))    pipeline("text-generation", model, tokenizer=tokenizer)

lm-eval wants a token to begin with: HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", prefix_token_id=10).

It needs `transformers`. Texts may be padded on the left or on the right: positions count the tokens, and no padding.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

try:
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        GenerationMixin,
        PretrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerFast,
    )
    from transformers.modeling_outputs import CausalLMOutput
except ImportError:
    raise ModuleNotFoundError(
        "a FlowLM becomes a model of transformers where that package is: pip install transformers"
    ) from None

from flowlib.models.hub import KIND
from flowlib.models.language import FlowConfig, FlowLM
from flowlib.models.vocabulary import Vocabulary


class FlowAutoConfig(PretrainedConfig):
    """The settings of a FlowLM, as `transformers` keeps settings: flow holds them."""

    model_type = KIND

    def __init__(self, flow: dict | None = None, **more: Any):
        flow = {k: more.pop(k) for k in FlowConfig.names() & set(more)} if flow is None else flow
        self.flow = flow or FlowConfig().to_dict()
        config = self.settings()
        self.vocab_size, self.max_position_embeddings = len(config.vocabulary), config.context
        self.hidden_size, self.num_hidden_layers = config.width, config.layers
        self.num_attention_heads = config.heads
        more.setdefault("pad_token_id", 0)
        super().__init__(**{"use_cache": False, "tie_word_embeddings": False} | more)

    def settings(self) -> FlowConfig:
        return FlowConfig.from_dict(self.flow)


class FlowForCausalLM(PreTrainedModel, GenerationMixin):
    """model(input_ids, attention_mask=…, labels=…).logits (batch, token, vocabulary): those of the FlowLM inside."""

    config_class = FlowAutoConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"

    def __init__(self, config: FlowAutoConfig):
        super().__init__(config)
        self.model = FlowLM(config.settings())
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None, **_: Any
    ) -> CausalLMOutput:
        """Error: exact, the FlowLM's own logits of each text alone; those of padding mean nothing."""
        valid = None if attention_mask is None else attention_mask.bool()
        if valid is None or bool(valid.all()):
            logits = self.model(input_ids)
        else:
            places = (valid.cumsum(-1) - 1).clamp(min=0)
            u = self.model.initial_field(input_ids, positions=places)
            logits = self.model.read_out(self.model.flow(u, valid=valid, save="final").final)
        loss = None if labels is None else F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits)

    def prepare_inputs_for_generation(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> dict:
        """The last tokens, as many as the context holds: the window slides."""
        most = self.model.config.context
        mask = None if attention_mask is None else attention_mask[:, -most:]
        return {"input_ids": input_ids[:, -most:], "attention_mask": mask}

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.model.embed

    def _init_weights(self, module: torch.nn.Module) -> None:
        """The FlowLM has done it."""


def wrap(model: FlowLM) -> tuple[FlowForCausalLM, PreTrainedTokenizerFast]:
    """The model as one of `transformers`, its parameters shared, and its tokenizer.

    Raises: ValueError for GPT-2's byte pairs, whose tokenizer `transformers` has itself.
    """
    register()
    wrapped = FlowForCausalLM(FlowAutoConfig(model.config.to_dict()))
    wrapped.model = model
    return wrapped.train(model.training), make_tokenizer(model.config.vocabulary, model.config.context)


def make_tokenizer(vocabulary: Vocabulary, longest: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `transformers` for bytes, or for the characters of an alphabet; token 0 fills up on the left."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    if vocabulary.bpe:
        raise ValueError("GPT-2's byte pairs have a tokenizer of their own: AutoTokenizer.from_pretrained('gpt2')")
    if vocabulary.alphabet is None:
        numbers = {letter: byte for byte, letter in enumerate(_bytes_as_letters())}
        made = Tokenizer(models.BPE(numbers, []))
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    else:
        numbers = {letter: k for k, letter in enumerate(vocabulary.alphabet)}
        made = Tokenizer(models.WordLevel(numbers, unk_token=vocabulary.alphabet[0]))
        made.pre_tokenizer, made.decoder = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated"), decoders.Fuse()
    first = next(iter(numbers))
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=first, padding_side="left", model_max_length=longest,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def _bytes_as_letters() -> list[str]:
    """GPT-2's letter for each byte: what can be printed is itself, the others follow from 256 on."""
    itself = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in itself]
    letters = {byte: chr(byte) for byte in itself} | {byte: chr(256 + k) for k, byte in enumerate(rest)}
    return [letters[byte] for byte in range(256)]


def register() -> None:
    """Let `transformers` know the kind, so that AutoModelForCausalLM opens what `save_pretrained` wrote."""
    AutoConfig.register(KIND, FlowAutoConfig, exist_ok=True)
    AutoModelForCausalLM.register(FlowAutoConfig, FlowForCausalLM, exist_ok=True)


def save_for_transformers(model: FlowLM, folder: str | Path) -> Path:
    """A folder that AutoModelForCausalLM (after `register`) and AutoTokenizer open."""
    wrapped, tokenizer = wrap(model)
    wrapped.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)
