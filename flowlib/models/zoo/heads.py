"""Heads stay on: what a model's own head makes of a field.

A head is the model as its package wrote it, in which the body is replaced by a field that is given. So every kind of
head is read, and none is written anew.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.flow.twin import twin


class Head(nn.Module):
    """u ↦ the head of the model: logits of tokens, of classes, ….

    model: with a head; body: the part of it that makes the field. The model is copied without its body; what the two
    share (tied embeddings) is taken from `shared`: {a parameter of the model: what stands for it here}.
    """

    def __init__(self, model: nn.Module, body: nn.Module, shared: dict[nn.Parameter, nn.Parameter]):
        super().__init__()
        parts = [body] if not isinstance(body, EncoderDecoder) else [body.encoder, body.decoder]
        self.names = [name for name, part in model.named_children() if any(part is one for one in parts)]
        if len(self.names) < len(parts):
            raise ValueError(f"the body of {type(model).__name__} is not a part of its own")
        memo: dict[int, Any] = {id(theirs): mine for theirs, mine in shared.items()}
        memo |= {id(part): Given(body) for part in parts}
        self.model = copy.deepcopy(model, memo)

    def forward(self, u: Tensor, **inputs: Tensor) -> Tensor:
        model = twin(self.model)
        for name in self.names:
            place: Any = self.model._modules[name]
            given = twin(place)
            given.field, model._modules[name] = u, given
        found: Tensor = model(**inputs)[0]
        return found


class EncoderDecoder(nn.Module):
    """The body of a model whose encoder and decoder stand beside its head, as T5's do: their parts, shared."""

    def __init__(self, model: Any):
        super().__init__()
        self.config, self.shared, self.training = model.config, model.shared, model.training
        self.encoder, self.decoder = model.encoder, model.decoder

    @staticmethod
    def stands_beside_a_head(model: nn.Module) -> bool:
        parts = {name for name, _ in model.named_children()}
        return parts > {"shared", "encoder", "decoder"}

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
    ) -> Any:
        heard = self.encoder(input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds)[0]
        return self.decoder(
            decoder_input_ids,
            attention_mask=decoder_attention_mask,
            inputs_embeds=decoder_inputs_embeds,
            encoder_hidden_states=heard,
            encoder_attention_mask=attention_mask,
        )

    def get_input_embeddings(self) -> Any:
        return self.shared


class Given(nn.Module):
    """In a body's place: hands on a field that it is given, and what the body's own pooler makes of it."""

    field: Tensor | None = None

    def __init__(self, body: nn.Module):
        super().__init__()
        self.pool = _pooler_of(body)

    @property
    def decoder(self) -> "Given":
        return self  # some heads ask the body's decoder

    def forward(self, input_ids: Tensor | None = None, *_: Any, **more: Any) -> "Answer":
        assert self.field is not None
        if self.pool is None:
            return Answer([self.field])
        asks = (self.field, input_ids) if isinstance(self.pool, AtEnd) else (self.field,)
        return Answer([self.field, self.pool(*asks)])


class First(nn.Module):
    """u(x_0): the first token's features."""

    def forward(self, u: Tensor) -> Tensor:
        return u[:, 0]


class AtEnd(nn.Module):
    """u(x) where the text ends: at its first token `end` or, where that is 2 (older models), at its largest one."""

    def __init__(self, end: int):
        super().__init__()
        self.end = end

    def forward(self, u: Tensor, tokens: Tensor) -> Tensor:
        places = tokens.argmax(-1) if self.end == 2 else (tokens == self.end).int().argmax(-1)
        return u[torch.arange(len(u), device=u.device), places]


def _pooler_of(body: nn.Module) -> nn.Module | None:
    """A copy of what gives a body's pooled output from its last field."""
    names = ("pooler", "pooler_activation", "post_layernorm")
    pooler: Any
    pooler, squash, normalise = (copy.deepcopy(getattr(body, name, None)) for name in names)
    if normalise is not None:  # CLIP's pictures
        return nn.Sequential(First(), normalise)
    end: Any = getattr(body, "eos_token_id", None)
    if end is not None and hasattr(body, "final_layer_norm"):  # CLIP's texts
        return AtEnd(end)
    return pooler if squash is None else nn.Sequential(First(), pooler, squash)  # ALBERT's is squashed apart


class Answer(tuple[Tensor, ...]):
    """What a body answers, by number and by name; what it does not have is None."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Tensor | None:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "last_hidden_state":
            return self[0]
        return self[1] if name == "pooler_output" and len(self) > 1 else None


def tied(body: nn.Module, table: nn.Module | None) -> dict[nn.Parameter, nn.Parameter]:
    """Which parameter of the model the embedding's table stands for, so that a tied head stays tied."""
    found: Any = getattr(body, "get_input_embeddings", lambda: None)()
    theirs, mine = getattr(found, "weight", None), getattr(table, "weight", None)
    if not isinstance(theirs, nn.Parameter) or not isinstance(mine, nn.Parameter):
        return {}
    same = theirs.shape == mine.shape and torch.equal(theirs, mine)
    return {theirs: mine} if same else {}
