"""Orders of convergence: how fast an error falls as the steps (or the points of a grid) get more."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from flowlib.arguments import check_whole, describe
from flowlib.measure.inputs import check_callable, check_tensor


def order(errors: Sequence | Tensor, steps: Sequence | Tensor) -> float:
    """p in error ≈ C · steps^−p: minus the least-squares slope of log error over log steps. p > 0 for a falling error.

    errors, steps: equally long, at least 2, all positive and finite; steps not all the same.
    Error: exact for a pure power; otherwise the estimate tends to the true order as steps grow.
    Raises: ValueError where that does not hold (an error of exactly 0 has no logarithm: leave the point out).
    """
    e, n = _numbers(errors, "errors"), _numbers(steps, "steps")
    if len(e) != len(n) or len(set(n)) < 2:
        raise ValueError(f"an order needs as many errors as steps, at least 2 and different ones; got {len(e)} and {n}")
    if not (np.isfinite(e) & np.isfinite(n) & (e > 0) & (n > 0)).all():
        raise ValueError(
            f"errors and steps must be positive and finite, got errors {e} and steps {n}; leave others out"
        )
    return float(-np.polyfit(np.log(n), np.log(e), 1)[0])


def errors_against(reference: Tensor, solve: Callable[[int], Tensor], steps: Sequence[int]) -> list[float]:
    """max |solve(N) − reference| for each N: the error in the sup norm of a scheme with N steps.

    Raises: TypeError where solve(N) is no tensor (a trajectory, say), ValueError where it has another shape.
    """
    check_tensor(reference, "reference")
    check_callable(solve, "solve", "a function N ↦ the field after N steps")
    found = []
    for n in steps:
        check_whole(n, "every number of steps")
        check_tensor(field := solve(n), "solve(N)")
        if field.shape != reference.shape:
            raise ValueError(
                f"solve(N) must have the reference's shape {tuple(reference.shape)}, got {tuple(field.shape)}"
            )
        found.append((field - reference).abs().max().item())
    return found


def _numbers(values: Sequence | Tensor, name: str) -> np.ndarray:
    """The values as an array. Raises: TypeError for what is no list of numbers."""
    try:
        return np.array([float(z.detach() if isinstance(z, Tensor) else z) for z in values])
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a list of numbers, got {describe(values)}") from None
