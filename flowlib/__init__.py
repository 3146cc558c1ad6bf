"""flowlib: the Transformer as a continuous flow.

    u_t = ∫ γ(x, x̃; u) V(x̃) dx̃  +  feed-forward(u(x))   under the constraint that layer norm projects onto;
    operator splitting with Δt = 1 gives back the Transformer exactly (Tai, Liu, Li, Chan, arXiv:2510.03989).

fields (grids and quadrature) · operators (the three terms) · flow (schemes, depth, the equation) · models · training ·
measure · notebook. `Flow`, `FlowLM`, `Grid` and `attend` stand here as well, and are loaded when they are first used.
Start with `flowlib.Flow` and chapter 03 of the course.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowlib.fields import Grid
    from flowlib.flow import Flow
    from flowlib.models import FlowLM
    from flowlib.operators import attend

__version__ = "0.1.0"
__all__ = ["Flow", "FlowLM", "Grid", "__version__", "attend"]


def __getattr__(name: str) -> object:
    """What the lines above say to a type checker, done when a name is first asked for: `import flowlib` stays light."""
    if name not in __all__:
        raise AttributeError(f"module 'flowlib' has no attribute {name!r}; it has {', '.join(__all__)}, and its rooms")
    from flowlib.fields import Grid
    from flowlib.flow import Flow
    from flowlib.models import FlowLM
    from flowlib.operators import attend

    globals().update(Flow=Flow, FlowLM=FlowLM, Grid=Grid, attend=attend)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
