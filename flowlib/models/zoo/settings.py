"""Settings of a `transformers` configuration, in flowlib's words."""

from typing import Any

from flowlib.models.zoo.rope import scaled_rotary
from flowlib.operators import Rotary

ACTIVATION_NAMES = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",  # its √(2/π) is rounded to ten digits there: up to 1e-10 apart in float64
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "quick_gelu": "quick_gelu",
    "swish": "silu",
    "tanh": "tanh",
    "linear": "identity",
}


def activation(theirs: str) -> str:
    """Raises: ValueError for an activation that flowlib does not have."""
    if theirs not in ACTIVATION_NAMES:
        raise ValueError(f"unknown activation {theirs!r}; known: {', '.join(ACTIVATION_NAMES)}")
    return ACTIVATION_NAMES[theirs]


def rotary(config: Any, head_dim: int, share: float = 1.0, kind: str | None = None) -> Rotary | None:
    """The rotation of the first `share` of a head's features, with angles in float32 as `transformers` has them.

    Of an odd number of features n, `transformers` turns one more, by the angles ω_j = base^(−2j/n): those of n + 1
    features with another base. Of none at all there is no rotation.
    kind: of the layer ("full_attention", "sliding_attention"), where frequencies change with depth.
    Raises: ValueError for frequencies that are scaled in a way that is not known (`LAWS`), or change with depth where
            the architecture's do not.
    """
    settings = _rope_settings(config) if kind is None else _rope_settings_of(config, kind)
    if any(isinstance(value, dict) for value in settings.values()):
        raise ValueError(
            f"rotary frequencies that change with depth ({', '.join(settings)}) cannot be read in a {config.model_type}"
        )
    law = settings.get("rope_type") or settings.get("type") or "default"
    base: Any = (
        settings.get("rope_theta") or getattr(config, "rope_theta", None) or getattr(config, "rotary_emb_base", 10000.0)
    )
    turned = int(head_dim * share)
    if turned and law != "default":
        return scaled_rotary(law, turned, float(base), settings, config.max_position_embeddings)
    if turned % 2:
        turned, base = turned + 1, float(base) ** ((turned + 1) / turned)
    return Rotary(turned, float(base)) if turned else None


def rotary_share(config: Any) -> float:
    """Which share of a head's features is turned."""
    share: Any = _rope_settings(config).get("partial_rotary_factor")
    if share is None:
        share = getattr(config, "partial_rotary_factor", None)
    return getattr(config, "rotary_pct", 1.0) if share is None else share


def _rope_settings(config: Any) -> dict[str, Any]:
    """What a configuration says of rotary positions, before and after version 5 of `transformers`."""
    older: dict[str, Any] = getattr(config, "rope_scaling", None) or {}
    trained = getattr(config, "original_max_position_embeddings", None)
    known = {} if trained is None else dict(original_max_position_embeddings=trained)
    return known | older | (getattr(config, "rope_parameters", None) or {})


OLDER_BASES = {  # before version 5 of `transformers`, by kind of layer
    "full_attention": ("global_rope_theta", "rope_theta"),
    "sliding_attention": ("local_rope_theta", "rope_local_base_freq"),
}


def _rope_settings_of(config: Any, kind: str) -> dict[str, Any]:
    """The same of the layers of one kind. Raises: ValueError where nothing is said of them."""
    if (newer := getattr(config, "rope_parameters", None)) is not None:
        if not isinstance(newer.get(kind), dict):
            raise ValueError(f"rope_parameters must say what the layers of {kind} have, got {newer}")
        return dict(newer[kind])
    base = next((b for name in OLDER_BASES[kind] if (b := getattr(config, name, None)) is not None), None)
    base = getattr(config, "global_rope_theta", None) if base is None else base  # ModernBERT without a local one
    scaled = _rope_settings(config) if kind == "full_attention" else {}
    return scaled | dict(rope_theta=base)
