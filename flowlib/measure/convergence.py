"""Orders of convergence: how fast an error falls as the steps (or the points of a grid) get more."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor


def order(errors: Sequence | Tensor, steps: Sequence | Tensor) -> float:
    """p in error ≈ C · steps^−p: minus the least-squares slope of log error over log steps. p > 0 for a falling error.

    errors, steps: equally long, at least 2, all positive and finite; steps not all the same.
    Error: exact for a pure power; otherwise the estimate tends to the true order as steps grow.
    Raises: ValueError where that does not hold (an error of exactly 0 has no logarithm: leave the point out).
    """
    e, n = (np.array([float(z.detach() if isinstance(z, Tensor) else z) for z in values]) for values in (errors, steps))
    if len(e) != len(n) or len(e) < 2 or len(set(n)) < 2:
        raise ValueError(f"an order needs as many errors as steps, at least 2 and different ones; got {len(e)} and {n}")
    if not (np.isfinite(e) & np.isfinite(n) & (e > 0) & (n > 0)).all():
        raise ValueError(
            f"errors and steps must be positive and finite, got errors {e} and steps {n}; leave others out"
        )
    return float(-np.polyfit(np.log(n), np.log(e), 1)[0])


def errors_against(reference: Tensor, solve: Callable[[int], Tensor], steps: Sequence[int]) -> list[float]:
    """max |solve(N) − reference| for each N: the error in the sup norm of a scheme with N steps."""
    return [(solve(n) - reference).abs().max().item() for n in steps]
