"""What a reader's notebook imports: set-up, figures, questions, checks, explorers, progress.

    from flowlib.notebook import close, explorer, fails, figures, palette, predict, predict_number, setup, show

setup                                     the same seeds, figures and digits for every reader
show, show_live; figures, palette         pictures with words, and what draws them
predict, predict_number, predict_order    questions before their answers
progress, forget                          what is open here, how far the whole course is; the answers wiped
self_test                                 six questions about what the course takes for granted
close, fails, misconception               is my result near the reference? does this break? why was I wrong?
explorer, sweep; slider, switch, choice   a figure with controls
look                                      inside a model, on one text: paths, pushes, kernels, other orders

IPython and ipywidgets wait until something is displayed. Four functions (setup, show, predict, progress) have the
name of the module that they come from: what is imported from here is the function.
"""

from flowlib.checks.compare import close, fails
from flowlib.checks.misconceptions import misconception
from flowlib.notebook import figures
from flowlib.notebook.controls import choice, slider, switch
from flowlib.notebook.explore import explorer, sweep
from flowlib.notebook.figures import palette
from flowlib.notebook.inside import look
from flowlib.notebook.predict import predict, predict_number, predict_order, progress
from flowlib.notebook.prerequisites import self_test
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
    "look",
    "misconception",
    "palette",
    "predict",
    "predict_number",
    "predict_order",
    "progress",
    "self_test",
    "setup",
    "show",
    "show_live",
    "slider",
    "sweep",
    "switch",
]
