"""Settings of a `transformers` configuration in flowlib's words."""

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


def activation(theirs) -> str:
    """Raises: ValueError for an activation that flowlib does not have."""
    if theirs not in ACTIVATION_NAMES:
        raise ValueError(f"unknown activation {theirs!r}; known: {', '.join(ACTIVATION_NAMES)}")
    return ACTIVATION_NAMES[theirs]
