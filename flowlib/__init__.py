"""flowlib: the Transformer as a continuous flow.

    u_t = ∫ γ(x, x̃; u) V(x̃) dx̃  +  feed-forward(u(x))   under the constraint that layer norm projects onto;
    operator splitting with Δt = 1 gives back the Transformer exactly (Tai, Liu, Li, Chan, arXiv:2510.03989).

fields (grids and quadrature) · operators (the three terms) · flow (schemes, depth, the equation) · models · training ·
measure · notebook. Start with `flowlib.flow.Flow` and chapter 03 of the course.
"""

__version__ = "0.1.0"
