"""The terms set in motion: parameters in depth, splitting schemes, and the flow."""

from flowlib.flow.depth import Constant, PerStep, PiecewiseLinear, Terraced, double_knots
from flowlib.flow.equation import Flow, Increment, Trajectory
from flowlib.flow.splitting import SCHEMES, Scheme, paper_substeps

__all__ = [
    "SCHEMES",
    "Constant",
    "Flow",
    "Increment",
    "PerStep",
    "PiecewiseLinear",
    "Scheme",
    "Terraced",
    "Trajectory",
    "double_knots",
    "paper_substeps",
]
