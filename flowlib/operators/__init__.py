"""The three terms of the equation: attention (non-local), constraints (projections), local maps."""

from flowlib.operators.attention import Attention, Past, attend
from flowlib.operators.local import ACTIVATIONS, Affine, LiteralLocal, Local, Normalise, PreNorm
from flowlib.operators.neighbourhood import Neighbourhood
from flowlib.operators.projection import (
    Moments,
    NonNegative,
    Sphere,
    project_moments,
    project_nonnegative,
    project_sphere,
)

__all__ = [
    "ACTIVATIONS",
    "Affine",
    "Attention",
    "LiteralLocal",
    "Local",
    "Moments",
    "Neighbourhood",
    "NonNegative",
    "Normalise",
    "Past",
    "PreNorm",
    "Sphere",
    "attend",
    "project_moments",
    "project_nonnegative",
    "project_sphere",
]
