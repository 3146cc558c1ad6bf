"""Models of the package `transformers` as flows: embed → flow → last norm. The package itself is not needed here."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.arguments import check_tensor
from flowlib.flow.equation import Flow, Trajectory
from flowlib.models.zoo import berts, bloom, decoders, dinov2, encoders, llamas, opt
from flowlib.models.zoo.embedding import CountedEmbedding, PatchEmbedding
from flowlib.models.zoo.parts import Config, Parameters
from flowlib.models.zoo.selfcheck import must_be_equal
from flowlib.models.zoo.unread import what_it_needs

# A reader takes a model's configuration and its parameters, and gives the embedding of its tokens and the flow.
# A new architecture is one such function and one row here, under the `model_type` of its configuration.
Reader = Callable[[Config, Parameters], tuple[nn.Module, Flow]]
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
    "gemma": llamas.gemma,
}
EPS = ("layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps")
OF_HEADS = {"classifier_dropout", "classifier_dropout_prob", "summary_first_dropout", "summary_last_dropout"}
OF_HEADS |= {"qa_dropout", "seq_classif_dropout"}
WINDOWED = ("mistral", "qwen2", "smollm3", "qwen3", "phi3")  # whose readers know a sliding window
UNUSED = ("pooler.", "embeddings.mask_token")  # read off the last field, or for training only


class EmbeddedFlow(nn.Module):
    """tokens ↦ u(0) = embed(tokens) ↦ the trajectory of `flow` from there; `.final` is after the last norm.

    A call takes what the model it was read from takes, by the same names:
    input_ids       tokens (batch, token), or
    pixel_values    pictures (batch, channel, height, width).
    attention_mask  (batch, token), 1 or True = a valid token; padded tokens hear nothing and are not heard, so that
                    their own features differ from the model's, and only they.
    token_type_ids  (batch, token), where the architecture has types.
    steps, save     as in a flow; by default a step is a layer.
    torch.compile(fullgraph=True) and torch.export follow it; compiled, it does not look at the values of its inputs.
    Raises: ValueError for tokens, types, pixels or masks that do not fit, each saying what would; TypeError for what is
            no tensor.
    """

    def __init__(self, embed: nn.Module, flow: Flow):
        super().__init__()
        self.embed, self.flow = embed, flow

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        pixel_values: Tensor | None = None,
        steps: int | None = None,
        save: str = "all",
    ) -> Trajectory:
        if (input_ids is None) == (pixel_values is None):
            raise ValueError("give input_ids (tokens) or pixel_values (pictures), and not both")
        inputs = pixel_values if input_ids is None else input_ids
        given: dict[str, Tensor] = {} if token_type_ids is None else dict(token_type_ids=token_type_ids)
        if attention_mask is not None:
            _check_mask(attention_mask)
            given |= dict(valid=attention_mask.bool()) if isinstance(self.embed, CountedEmbedding) else {}
        u0 = self.embed(inputs, **given)
        if attention_mask is not None and attention_mask.shape != u0.shape[:-1]:
            raise ValueError(
                f"attention_mask must be (batch, token) = {tuple(u0.shape[:-1])}, got {tuple(attention_mask.shape)}"
            )
        valid = None if attention_mask is None else attention_mask.bool()
        return self.flow(u0, steps, valid=valid, save=save)


def _check_mask(mask: Tensor) -> None:
    """Raises: TypeError for what is no tensor; ValueError for other numbers than 0 and 1, as in an additive mask."""
    check_tensor(mask, "attention_mask", "a tensor (batch, token) of 1 (valid) and 0 (padded)")
    if not torch.compiler.is_compiling() and mask.dtype != torch.bool and not ((mask == 0) | (mask == 1)).all():
        raise ValueError(f"attention_mask must hold 1 (valid) and 0 (padded) only, got {mask.min()} … {mask.max()}")


def from_huggingface(model: nn.Module, *, verify: bool = True) -> EmbeddedFlow:
    """A `transformers` model as embed → flow → last norm:  .final is the model's last_hidden_state at valid tokens.

    Reads what has a row in `READERS` (BERT, ViT, GPT-2, Llama and their relatives), with or without a head: of a model
    with a head it reads the body, model.base_model, for that is what computes last_hidden_state. Parameters are copied;
    one that is used twice (the keys of grouped queries, a norm that two terms share) becomes two. The result is in
    evaluation mode.
    verify: run both on 2 × 7 tokens (or a picture) and compare, which finds a model that was changed after it was
    built: another activation, a hook, a subclass, an edited configuration. The model is left as it was.
    Error: exact at steps = number of layers, relative to the largest entry: 1e-5 in float32, 1e-12 in float64. Llama
           and its relatives keep 1e-5 in float64, for the RMS norm is computed in float32 there (by `transformers`, not
           here), and so does GPT-J where its scores are: before version 5.24 of it, and with eager attention.
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
    body = getattr(model, "base_model", model)
    _check_settings(body)
    parameters = Parameters(dict(body.named_parameters(remove_duplicate=False)), type(body).__name__)
    embed, flow = READERS[kind](body.config, parameters)
    if left := [name for name in parameters.unread if not name.startswith(UNUSED)]:
        raise ValueError(
            f"{parameters.owner} has parameters that a known {kind!r} does not have: {', '.join(left[:4])}; "
            "adapters must be merged into the model first"
        )
    like = next(flow.parameters())
    read = EmbeddedFlow(embed, flow).to(device=like.device, dtype=like.dtype).eval()
    if verify:
        inputs = _small_inputs(read.embed, body)
        must_be_equal(lambda: read(**inputs).final, lambda: body(**inputs)[0], body, "last_hidden_state")
    return read


def _small_inputs(embed: nn.Module, body: nn.Module) -> dict[str, Tensor]:
    """2 × 7 tokens (more, where a window is wider) that are no padding, or one picture; always the same ones."""
    generator, like = torch.Generator().manual_seed(0), next(body.parameters())
    if isinstance(embed, PatchEmbedding):
        return dict(pixel_values=torch.randn(1, *embed.shape, generator=generator).to(like))
    known, most = getattr(body.config, "vocab_size", None), getattr(embed, "longest", None)
    if known is None:
        raise ValueError(f"{type(body).__name__} takes no tokens, so it cannot be tried; read it with verify=False")
    window = getattr(body.config, "sliding_window", None) or 0
    longest = window + 2 if 5 < window < 100 else 7  # so many that a window bites, if it is not too wide
    longest = longest if most is None else min(longest, most)
    tokens = torch.randint(0, known, (2, longest), generator=generator)
    if (padding := getattr(body.config, "pad_token_id", None)) is not None:
        tokens = torch.where(tokens == padding, (padding + 1) % known, tokens)
    return dict(input_ids=tokens.to(like.device))


def _check_settings(body: nn.Module) -> None:
    """What no reader knows, whatever the architecture. Raises: ValueError."""
    config: Any = body.config
    name = type(body).__name__
    refused = {
        "cross-attention": getattr(config, "add_cross_attention", False),
        "a sliding window": getattr(config, "sliding_window", None) and config.model_type not in WINDOWED,
        # With padding, `transformers` computes it causal, and without it not: there is no one map to be equal to.
        "bidirectional attention in a decoder": getattr(config, "use_bidirectional_attention", False),
        "relative positions": getattr(config, "position_embedding_type", None) not in (None, "absolute"),
        "a causal BERT (is_decoder)": getattr(config, "is_decoder", False),
    }
    for what, has in refused.items():
        if has:
            raise ValueError(f"{name} has {what}, which from_huggingface cannot read; known is the model without it")
    _check_eps(body)
    if rate := _dropout(body):
        raise ValueError(f"{name} is in training mode with dropout {rate}; a flow has none: call model.eval() first")


def _check_eps(body: nn.Module) -> None:
    """Raises: ValueError for a norm with another ε than the configuration says."""
    said = {getattr(body.config, name) for name in EPS if hasattr(body.config, name)}
    for name, part in body.named_modules():
        eps = getattr(part, "variance_epsilon", getattr(part, "eps", None))
        if said and isinstance(eps, float) and eps not in said:
            raise ValueError(
                f"{name} of {type(body).__name__} has ε = {eps:g}, but its configuration says "
                f"{', '.join(f'{e:g}' for e in said)}; set it there, if it is the same in all norms"
            )


def _dropout(body: nn.Module) -> float:
    """The largest dropout rate in what of the body (and not of a head) is in training mode."""
    config: Config = body.config
    rates = [config.to_dict() if body.training else {}, *(vars(part) for part in body.modules() if part.training)]
    found = [v for some in rates for k, v in some.items() if "drop" in k and isinstance(v, float) and k not in OF_HEADS]
    return max(
        [*found, *(part.p for part in body.modules() if isinstance(part, nn.Dropout) and part.training)], default=0
    )
