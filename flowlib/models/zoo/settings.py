"""Settings of a `transformers` configuration, in flowlib's words."""

from typing import Any

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


def rotary(config: Any, head_dim: int, share: float = 1.0) -> Rotary:
    """The rotation of the first `share` of a head's features, with angles in float32 as `transformers` has them.

    Raises: ValueError for frequencies that are scaled to reach longer texts ("linear", "dynamic", "yarn", "llama3", …).
    """
    ours: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    older = getattr(config, "rope_scaling", None) or {}
    kind = ours.get("rope_type") or older.get("rope_type") or older.get("type") or "default"
    if kind != "default":
        raise ValueError(f"rotary frequencies scaled by {kind!r} cannot be read; known: 'default', which is unscaled")
    base: Any = (
        ours.get("rope_theta") or getattr(config, "rope_theta", None) or getattr(config, "rotary_emb_base", 10000.0)
    )
    return Rotary(int(head_dim * share), float(base))


def rotary_share(config: Any) -> float:
    """GPT-NeoX: which share of a head's features is turned."""
    ours: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    share: Any = ours.get("partial_rotary_factor") or getattr(config, "rotary_pct", 1.0)
    return share
