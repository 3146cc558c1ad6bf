"""What a reader's notebook imports: set-up, figures, predictions, checks, explorers, progress.

    from flowlib.notebook import close, explorer, fails, figures, palette, predict, predict_number, setup, show

`figures` holds the pictures that the chapters share. IPython and ipywidgets wait until something is displayed.
"""

from flowlib.checks.compare import close, fails
from flowlib.checks.misconceptions import misconception
from flowlib.notebook import figures
from flowlib.notebook.explore import choice, explorer, slider, sweep, switch
from flowlib.notebook.figures import palette
from flowlib.notebook.predict import predict, predict_number, predict_order, progress
from flowlib.notebook.progress import forget
from flowlib.notebook.setup import setup
from flowlib.notebook.show import show, show_live

__all__ = [
    "choice",
    "close",
    "explorer",
    "fails",
    "figures",
    "forget",
    "misconception",
    "palette",
    "predict",
    "predict_number",
    "predict_order",
    "progress",
    "setup",
    "show",
    "show_live",
    "slider",
    "sweep",
    "switch",
]
