"""Settings of a `transformers` configuration, in flowlib's words."""

from typing import Any

from flowlib.models.zoo.rope import scaled_rotary
from flowlib.operators import Rotary

ACTIVATION_NAMES = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
    "linear": "identity",
}


def activation(theirs: str) -> str:
    """Raises: ValueError for an activation that flowlib does not have."""
    if theirs not in ACTIVATION_NAMES:
        raise ValueError(f"unknown activation {theirs!r}; known: {', '.join(ACTIVATION_NAMES)}")
    return ACTIVATION_NAMES[theirs]


def rotary(config: Any, head_dim: int, share: float = 1.0) -> Rotary | None:
    """The rotation of the first `share` of a head's features, with angles in float32 as `transformers` has them.

    Of an odd number of features n, `transformers` turns one more, by the angles ω_j = base^(−2j/n): those of n + 1
    features with another base. Of none at all there is no rotation.
    Raises: ValueError for frequencies that are scaled in a way that is not known (`LAWS`).
    """
    settings = _rope_settings(config)
    kind = settings.get("rope_type") or settings.get("type") or "default"
    base: Any = (
        settings.get("rope_theta") or getattr(config, "rope_theta", None) or getattr(config, "rotary_emb_base", 10000.0)
    )
    turned = int(head_dim * share)
    if turned and kind != "default":
        return scaled_rotary(kind, turned, float(base), settings, config.max_position_embeddings)
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
