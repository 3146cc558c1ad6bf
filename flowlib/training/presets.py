"""Configurations with a name.

`tiny` trains on Python's own help texts, offline, in about three minutes on two CPU cores. Its warm-up is long: with
100 steps up to 3e-3 this post-norm flow falls back to the frequencies of single bytes and stays there.
`shakespeare-cpu` has the shape of nanoGPT's example for a CPU, whose published validation loss is 1.88; twice nanoGPT's
learning rate, with the same long warm-up, reaches below that here (with 1e-3 it does not).
"""

from flowlib.models.language import FlowConfig
from flowlib.training.config import TrainConfig

_PRESETS = {
    "tiny": TrainConfig(
        corpus="embedded", vocabulary="bytes", model=FlowConfig(context=64, width=128, heads=4, layers=4),
        steps=1500, batch=12, learning_rate=2e-3, final_learning_rate=1e-4, warmup=300, eval_every=250,
    ),
    "shakespeare-cpu": TrainConfig(
        corpus="shakespeare", vocabulary="characters", model=FlowConfig(context=64, width=128, heads=4, layers=4),
        steps=2000, batch=12, learning_rate=2e-3, final_learning_rate=1e-4, warmup=300, eval_every=250,
    ),
}


def preset_names() -> list[str]:
    """The names that `preset` knows."""
    return sorted(_PRESETS)


def preset(name: str) -> TrainConfig:
    """The configuration of that name. Raises: ValueError that lists the known ones."""
    if name not in _PRESETS:
        raise ValueError(f"unknown preset {name!r}; known are {', '.join(preset_names())}")
    return _PRESETS[name]
