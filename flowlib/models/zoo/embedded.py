"""Embed → flow → read out: what a model of the package `transformers` becomes."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.arguments import check_tensor
from flowlib.flow.equation import Flow, Trajectory
from flowlib.flow.twin import twin, twin_with
from flowlib.models.zoo.embedding import check_places
from flowlib.models.zoo.heads import Head
from flowlib.models.zoo.listening import listen_to
from flowlib.operators import Rotary


class EmbeddedFlow(nn.Module):
    """tokens ↦ u(0) = embed(tokens) ↦ the trajectory of `flow` from there; `.final` is after the last norm.

    A call takes what the model it was read from takes, by the same names:
    input_ids       tokens (batch, token), or
    inputs_embeds   their features (batch, token, ·), in place of what `embed` would look up, or
    pixel_values    pictures (batch, channel, height, width), or
    input_features  sounds (batch, band, frame).
    attention_mask  (batch, token), 1 or True = a valid token; padded tokens hear nothing and are not heard, so that
                    their own features differ from the model's, and only they.
    token_type_ids  (batch, token), where the architecture has types.
    position_ids    (batch, token), where the tokens are, if not at 0, 1, 2, …
    steps, save     as in a flow; by default a step is a layer.
    `logits` takes the same, and gives what the model's head makes of the end; `read_out` is that head alone.
    torch.compile(fullgraph=True) and torch.export follow it; compiled, it does not look at the values of its inputs.
    Raises: ValueError for tokens, types, pixels or masks that do not fit, each saying what would; TypeError for what is
            no tensor.
    """

    def __init__(self, embed: nn.Module, flow: Flow, head: Head | None = None):
        super().__init__()
        self.embed, self.flow, self.head = embed, flow, head
        self.headless = "this model was read without a head; read one that has it, such as …ForCausalLM"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        pixel_values: Tensor | None = None,
        input_features: Tensor | None = None,
        steps: int | None = None,
        save: str = "all",
    ) -> Trajectory:
        given = [z for z in (input_ids, inputs_embeds, pixel_values, input_features) if z is not None]
        if len(given) != 1:
            raise ValueError(
                "give input_ids (tokens), pixel_values (pictures) or input_features (sounds), and not both; or "
                "inputs_embeds alone"
            )
        valid, sensed = _valid(attention_mask), input_features if pixel_values is None else pixel_values
        if sensed is not None:
            refuse_unknown(token_type_ids=token_type_ids, position_ids=position_ids)
            u0, flow = self.embed(sensed), self.flow
        else:
            more = dict(token_type_ids=token_type_ids, places=position_ids, features=inputs_embeds)
            more |= dict(valid=valid) if getattr(self.embed, "counts", False) else {}
            u0 = self.embed(input_ids, **{name: z for name, z in more.items() if z is not None})
            flow = self._at(position_ids, u0, attention_mask)
        if valid is not None and valid.shape != u0.shape[:-1]:
            raise ValueError(
                f"attention_mask must be (batch, token) = {tuple(u0.shape[:-1])}, got {tuple(valid.shape)}"
            )
        return flow(u0, steps, valid=valid, save=save)

    def logits(self, input_ids: Tensor | None = None, *, steps: int | None = None, **inputs: Any) -> Tensor:
        """What the model's head makes of the end of the trajectory: the same numbers as the model's own logits.

        Takes what a call takes. Error: as a call's. Raises: ValueError where the model was read without a head.
        """
        inputs = {name: z for name, z in (dict(input_ids=input_ids) | inputs).items() if z is not None}
        return self.read_out(self(**inputs, steps=steps, save="final").final, **inputs)

    def read_out(self, u: Tensor, **inputs: Tensor) -> Tensor:
        """The head of a field u (…, token, feature) as it is after the last norm: logits of tokens, of classes, ….

        What would be said at another depth is read_out(flow.readout(u)) where the flow has a last norm.
        inputs: what the field came from, where the head looks at it (the last token that is no padding, say).
        Raises: ValueError where the model was read without a head, or with one that cannot be copied.
        """
        if self.head is None:
            raise ValueError(self.headless)
        return self.head(u, **inputs)

    def _at(self, places: Tensor | None, u0: Tensor, mask: Tensor | None) -> Flow:
        """The flow of tokens that are at these places."""
        if places is None:
            return self.flow
        check_places(places, u0.shape[:-1])
        turns = any(isinstance(part, Rotary) for part in self.flow.modules())
        if not turns and getattr(self.embed, "position", None) is None:
            raise ValueError("this architecture knows the order of tokens, and no positions; leave position_ids out")
        alone = mask is None and any(term.causal for term in self.flow.terms)
        if alone and not torch.compiler.is_compiling() and (places.diff(dim=-1) != 1).any():
            raise ValueError(  # `transformers` takes them for several texts, of which none hears another
                "position_ids must go up by one from token to token where there is no attention_mask: several texts in "
                "one row are not read; give each a row, and the padding as attention_mask"
            )
        return twin_with(self.flow, Rotary, partial(_placed, places=places)) if turns else self.flow


class EmbeddedPair(EmbeddedFlow):
    """A field that listens to another one: the encoder's flow first, then the decoder's, which hears the former's end.

        v_s = A(v) + L(v)  up to its last depth,  then  u_t = A(u) + B(u; v) + L(u).

    input_ids, attention_mask, inputs_embeds are the encoder's (or input_features, a sound, which is heard whole: its
    silence is no padding); those of the decoder begin with decoder_. The trajectory and `.flow` are the decoder's;
    `.encoder` is an `EmbeddedFlow`, `listen(input_ids)` the decoder's flow for one text: an ordinary flow. steps: of
    the decoder; the encoder takes its own number.
    """

    def __init__(self, encoder: EmbeddedFlow, embed: nn.Module, flow: Flow, head: Head | None = None):
        super().__init__(embed, flow, head)
        self.encoder = encoder

    def listen(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **inputs: Any) -> Flow:
        """The decoder's flow, told what it listens to. Raises: ValueError for a sound with an attention_mask."""
        if inputs.get("input_features") is not None:
            refuse_unknown(attention_mask=attention_mask)
        heard = self.encoder(input_ids, attention_mask, **inputs, save="final").final
        return listen_to(self.flow, heard, _valid(attention_mask))

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
        input_features: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        steps: int | None = None,
        save: str = "all",
    ) -> Trajectory:
        if (decoder_input_ids is None) == (decoder_inputs_embeds is None):
            raise ValueError("give decoder_input_ids or decoder_inputs_embeds: what the field that listens begins with")
        flow = self.listen(input_ids, attention_mask, inputs_embeds=inputs_embeds, input_features=input_features)
        listener = EmbeddedFlow(self.embed, flow)
        return listener(
            decoder_input_ids, decoder_attention_mask, inputs_embeds=decoder_inputs_embeds, steps=steps, save=save
        )


def refuse_unknown(**given: Tensor | None) -> None:
    """Raises: ValueError for what goes with tokens alone."""
    if names := [name for name, z in given.items() if z is not None]:
        raise ValueError(f"pictures and sounds have no {' and no '.join(names)}; leave them out")


def _placed(turn: Rotary, places: Tensor) -> Rotary:
    mine = twin(turn)
    mine.__dict__["places"] = places[..., None, :]  # (…, 1, token): the same for every head
    return mine


def _valid(mask: Tensor | None) -> Tensor | None:
    """Raises: TypeError for what is no tensor; ValueError for other numbers than 0 and 1, as in an additive mask."""
    if mask is None:
        return None
    check_tensor(mask, "attention_mask", "a tensor (batch, token) of 1 (valid) and 0 (padded)")
    if not torch.compiler.is_compiling() and mask.dtype != torch.bool and not ((mask == 0) | (mask == 1)).all():
        raise ValueError(f"attention_mask must hold 1 (valid) and 0 (padded) only, got {mask.min()} … {mask.max()}")
    return mask.bool()
