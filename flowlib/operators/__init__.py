"""The three terms of the equation: attention (non-local), constraints (projections), local maps."""

from flowlib.operators.attention import Attention, Past, attend
from flowlib.operators.local import ACTIVATIONS, Affine, GatedLocal, LiteralLocal, Local, Normalise, PreNorm, Pull
from flowlib.operators.neighbourhood import Neighbourhood
from flowlib.operators.projection import (
    Moments,
    NonNegative,
    Sphere,
    project_moments,
    project_nonnegative,
    project_sphere,
)
from flowlib.operators.rotary import Rotary, UnitLength

__all__ = [
    "ACTIVATIONS",
    "Affine",
    "Attention",
    "GatedLocal",
    "LiteralLocal",
    "Local",
    "Moments",
    "Neighbourhood",
    "NonNegative",
    "Normalise",
    "Past",
    "PreNorm",
    "Rotary",
    "Pull",
    "Sphere",
    "UnitLength",
    "attend",
    "project_moments",
    "project_nonnegative",
    "project_sphere",
]
