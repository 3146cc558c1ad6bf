"""Measuring what was claimed."""

from flowlib.measure.convergence import errors_against, order

__all__ = ["errors_against", "order"]
