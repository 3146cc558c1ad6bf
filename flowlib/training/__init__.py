"""Training: text, pictures and shapes into batches, the loop, checkpoints, presets."""

from flowlib.training.checkpoints import find_model, newest_checkpoint
from flowlib.training.config import PicturesConfig, ShapesConfig, TrainConfig
from flowlib.training.data import Corpus, batch, load_corpus, split, windows
from flowlib.training.evaluation import full_loss, quick_loss
from flowlib.training.interrupt import Interrupted
from flowlib.training.loop import TrainResult, train
from flowlib.training.pictures import load_pictures
from flowlib.training.presets import preset, preset_names, preset_table
from flowlib.training.runs import read_metrics
from flowlib.training.schedule import learning_rate
from flowlib.training.surfaces import Surface
from flowlib.training.tasks import prepare

__all__ = [
    "Corpus",
    "Interrupted",
    "PicturesConfig",
    "ShapesConfig",
    "Surface",
    "TrainConfig",
    "TrainResult",
    "batch",
    "find_model",
    "full_loss",
    "learning_rate",
    "load_corpus",
    "load_pictures",
    "newest_checkpoint",
    "prepare",
    "preset",
    "preset_names",
    "preset_table",
    "quick_loss",
    "read_metrics",
    "split",
    "train",
    "windows",
]
