"""The pictures that the chapters share. Tensors come in as they are; a matplotlib Figure comes out.

    figures.convergence(steps, errors)     figures.kernel(gamma, tokens)     figures.river(trajectory.fields)

palette      the colours and the style of all of them     canvas       figure, which each picture begins with
curves       curves, convergence; line_style, mark_levels paths        river, trajectory2d, snapshots, Paths, Plane
heatmaps     field, kernel, kernels; heat draws on axes   stability    spectrum, long_step, Decay
budgets      Account, pushes, pushed_and_missed           comparisons  against_width, against_work, seeds, Errors
diagram      block, the one that goes through the course  drawings     arcs, echo_chamber, tuning_fork, sieve
labels       names that do not cover each other           film         pour: what moves over a river
paths        principal, the axes of a Plane
samples      pictures and shapes with their tokens, drawn on axes: from flowlib.notebook.figures import samples

Account, Decay, Errors and Paths are what an explorer moves: made once, and `put` gives them other values.
"""

from flowlib.notebook.figures.budgets import Account, pushed_and_missed, pushes
from flowlib.notebook.figures.canvas import figure
from flowlib.notebook.figures.comparisons import Errors, against_width, against_work, seeds
from flowlib.notebook.figures.curves import convergence, curves, line_style, mark_levels
from flowlib.notebook.figures.diagram import block
from flowlib.notebook.figures.drawings import arcs, echo_chamber, sieve, tuning_fork
from flowlib.notebook.figures.film import pour
from flowlib.notebook.figures.heatmaps import field, heat, kernel, kernels
from flowlib.notebook.figures.paths import Paths, Plane, principal, river, snapshots, trajectory2d
from flowlib.notebook.figures.stability import Decay, long_step, spectrum

__all__ = [
    "Account",
    "Decay",
    "Errors",
    "Paths",
    "Plane",
    "against_width",
    "against_work",
    "arcs",
    "block",
    "convergence",
    "curves",
    "echo_chamber",
    "field",
    "figure",
    "heat",
    "kernel",
    "kernels",
    "line_style",
    "long_step",
    "mark_levels",
    "pour",
    "principal",
    "pushed_and_missed",
    "pushes",
    "river",
    "seeds",
    "sieve",
    "snapshots",
    "spectrum",
    "trajectory2d",
    "tuning_fork",
]
