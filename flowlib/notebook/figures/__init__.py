"""The pictures that the chapters share: curves, heat maps, paths, samples, budgets; each is a matplotlib Figure.

    figures.convergence(steps, errors)     figures.kernel(gamma, tokens)     figures.river(trajectory.fields)

The look of all of them is `palette`; `canvas` is what each begins with.
"""

from flowlib.notebook.figures.canvas import figure
from flowlib.notebook.figures.curves import convergence, curves, line_style
from flowlib.notebook.figures.heatmaps import field, heat, kernel, kernels
from flowlib.notebook.figures.paths import principal, river, trajectory2d

__all__ = [
    "convergence",
    "curves",
    "field",
    "figure",
    "heat",
    "kernel",
    "kernels",
    "line_style",
    "principal",
    "river",
    "trajectory2d",
]
