"""Measuring what was claimed, and reading a flow: what moved it, whom it hears, whether it clusters or diverges."""

from flowlib.measure.ablation import silence_tokens, without
from flowlib.measure.budgets import Budget, budget
from flowlib.measure.convergence import errors_against, order
from flowlib.measure.defects import defects
from flowlib.measure.kernels import kernels_of
from flowlib.measure.lyapunov import exponents
from flowlib.measure.spectra import ov, qk

__all__ = [
    "Budget",
    "budget",
    "defects",
    "errors_against",
    "exponents",
    "kernels_of",
    "order",
    "ov",
    "qk",
    "silence_tokens",
    "without",
]
