"""Training: text, pictures and shapes into batches, the loop, checkpoints, presets. Each is loaded when asked for."""

import importlib

_HOME = {
    "Corpus": "data",
    "load_corpus": "data",
    "split": "data",
    "batch": "data",
    "windows": "data",
    "full_loss": "evaluation",
    "quick_loss": "evaluation",
    "TrainConfig": "config",
    "PicturesConfig": "config",
    "ShapesConfig": "config",
    "prepare": "tasks",
    "load_pictures": "pictures",
    "Surface": "surfaces",
    "learning_rate": "config",
    "train": "loop",
    "TrainResult": "loop",
    "Interrupted": "interrupt",
    "read_metrics": "runs",
    "find_model": "checkpoints",
    "newest_checkpoint": "checkpoints",
    "preset": "presets",
    "preset_names": "presets",
    "preset_table": "presets",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
