"""What cannot be read, and is refused by name: architectures, and settings of those that can."""

from typing import Any

from torch import nn

from flowlib.models.zoo.parts import Config

EPS = ("norm_eps", "layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps")
UNSET_EPS = {1e-5, 1e-12}  # of architectures where it is no setting
OF_HEADS = {"classifier_dropout", "classifier_dropout_prob", "summary_first_dropout", "summary_last_dropout"}
OF_HEADS |= {"qa_dropout", "seq_classif_dropout"}
# Whose readers know a sliding window:
WINDOWED = ("mistral", "mixtral", "qwen2", "smollm3", "qwen3", "phi3", "gemma2", "gemma3_text", "modernbert")

CHOOSES = "a local term that each token chooses (a mixture of experts)"
RELATIVE = "a kernel whose weights depend on x − x̃ by a learned table"

NEEDED = {
    "qwen2_moe": CHOOSES,
    "qwen3_moe": CHOOSES,
    "gpt_oss": f"{CHOOSES}, and a kernel that may hear nothing",
    "deberta": RELATIVE,
    "deberta-v2": RELATIVE,
    "clip": "to be read in two: model.text_model and model.vision_model are two flows",
    "gemma3": "to be read in two: model.language_model is a flow, and pictures need a start that mixes both",
    "mamba": "a term with a memory of its own, in place of the integral",
    "mamba2": "a term with a memory of its own, in place of the integral",
}


def what_it_needs(kind: str) -> str:
    """The end of a sentence that refuses an architecture; empty for one of which nothing is known."""
    return f"; it needs {NEEDED[kind]}" if kind in NEEDED else ""


def check_settings(body: nn.Module) -> None:
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
