"""The three terms of the equation: attention (non-local), constraints (projections), local maps."""

from flowlib.operators.attention import Attention, attend
from flowlib.operators.constraint import Constraint
from flowlib.operators.local import (
    ACTIVATIONS,
    Affine,
    GatedLocal,
    LiteralLocal,
    Local,
    Normalise,
    NormedVelocity,
    PreNorm,
    Pull,
)
from flowlib.operators.neighbourhood import Neighbourhood
from flowlib.operators.past import Past, Slot
from flowlib.operators.projection import (
    Moments,
    NonNegative,
    Sphere,
    project_moments,
    project_nonnegative,
    project_sphere,
)
from flowlib.operators.rotary import Rotary, UnitLength
from flowlib.operators.term import Term

__all__ = [
    "ACTIVATIONS",
    "Affine",
    "Attention",
    "Constraint",
    "GatedLocal",
    "LiteralLocal",
    "Local",
    "Moments",
    "Neighbourhood",
    "NonNegative",
    "Normalise",
    "Past",
    "NormedVelocity",
    "PreNorm",
    "Pull",
    "Rotary",
    "Slot",
    "Sphere",
    "Term",
    "UnitLength",
    "attend",
    "project_moments",
    "project_nonnegative",
    "project_sphere",
]
