"""What a notebook needs and a reader need not read: set-up, figures, predictions, checks, explorers.

    from flowlib.notebook import close, explorer, fails, palette, plots, predict, predict_number, setup, show

Importing it loads neither matplotlib nor IPython nor ipywidgets: they wait until something is drawn.
`flowlib.notebook.execute` and `flowlib.notebook.rules` are for authors, and imported from their modules.
"""

from importlib import import_module

from flowlib.notebook import palette
from flowlib.notebook.check import close, fails, misconception
from flowlib.notebook.explore import choice, explorer, slider, sweep, switch
from flowlib.notebook.predict import predict, predict_number, predict_order, progress
from flowlib.notebook.record import forget
from flowlib.notebook.setup import setup
from flowlib.notebook.show import show, show_live

__all__ = [
    "choice",
    "close",
    "explorer",
    "fails",
    "forget",
    "misconception",
    "palette",
    "plots",
    "predict",
    "predict_number",
    "predict_order",
    "progress",
    "samples",
    "setup",
    "show",
    "show_live",
    "slider",
    "sweep",
    "switch",
]


def __getattr__(name: str):
    if name in ("plots", "samples"):  # the modules here that need matplotlib to be imported
        return import_module(f"flowlib.notebook.{name}")
    raise AttributeError(f"flowlib.notebook has no {name!r}; it has {', '.join(__all__)}")
