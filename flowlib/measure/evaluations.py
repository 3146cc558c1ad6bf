"""The work that a scheme needs: evaluations of a flow's terms until its last field is within a given error."""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from flowlib.arguments import check_whole
from flowlib.flow.equation import Flow
from flowlib.measure.inputs import check_flow, check_positive, check_repeatable, check_tensor, finite
from flowlib.operators import Constraint

STAGES = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}  # evaluations of a term in one substep


@dataclass(frozen=True)
class Work:
    """The fewest steps with which a scheme reaches `tolerance`: its error there, and evaluations of terms in all."""

    scheme: str
    steps: int
    evaluations: int
    error: float
    tolerance: float


def evaluations(flow: Flow, steps: int = 1) -> int:
    """How often the terms (attention, local, …: each of them counts) are evaluated in so many steps; exact.

    It follows from the scheme's table and the substep: euler evaluates a term once, midpoint and heun twice, rk4 four
    times.
    """
    check_flow(flow)
    check_whole(steps, "steps")
    taken = sum(len(path) for _, path in flow.scheme.paths(len(flow.constraints)))
    return steps * taken * STAGES[flow.substep]


def error(field: Tensor, reference: Tensor) -> float:
    """√ mean (u − u_ref)² over all tokens and features: on S1, where u has spread 1, this is a relative error.

    Raises: ValueError for fields of different shapes.
    """
    check_tensor(field, "field")
    check_tensor(reference, "reference")
    if field.shape != reference.shape:
        raise ValueError(f"reference must have the field's shape {tuple(field.shape)}, got {tuple(reference.shape)}")
    return (field - reference).square().mean().sqrt().item()


@torch.no_grad()
def solution(flow: Flow, u0: Tensor, tolerance: float = 1e-5, most: int = 16_384) -> Tensor:
    """u(T) of the equation itself, (…, token, feature): steps are doubled until the last field stands still.

    It is found with tangent Strang and midpoint substeps (error O(Δt²)), whatever the scheme of `flow` is, and improved
    by a third of the last change (Richardson). Steps are multiples of the flow's own, so that a jump of the parameters
    in depth falls between two of them.
    Error: below `tolerance` (root mean square), estimated by the last change.
    Raises: ValueError where the flow has no such limit, `most` steps are not enough, or the tolerance is not > 0.
    """
    own = _check_search(flow, u0, tolerance, most, 2)
    flow.velocity(u0, 0.0)  # says why, where there is no limit
    fine = flow.by("strang", substep="midpoint", tangent=isinstance(flow.constraints[0], Constraint))
    steps, before = own, fine(u0, own, save="final").fields[-1]
    while steps < most:
        steps *= 2
        now = fine(u0, steps, save="final").fields[-1]
        change = error(now, before)
        if change < tolerance:
            return now + (now - before) / 3
        before = now
    raise ValueError(
        f"the field still changes by {change:.1e} from {steps // 2} to {steps} steps; give a larger tolerance than "
        f"{tolerance:g}, or more steps than {most}, and compute in float64"
    )


@torch.no_grad()
def work(flow: Flow, u0: Tensor, reference: Tensor, tolerance: float = 1e-3, most: int = 65_536) -> Work:
    """The fewest steps, a multiple of the flow's own, whose last field is within `tolerance` of `reference`.

    u0, reference: (…, token, feature); compare in float64. Doubling finds too few and enough of them; between the two
    the error is taken to fall as a power of the steps.
    Error: the fewest multiple, or one whose error is at least 97 % of the tolerance.
    Raises: ValueError where `most` are not enough, the reference is not finite, or the tolerance is not > 0.
    """
    own = _check_search(flow, u0, tolerance, most, 1)
    check_tensor(reference, "reference", "(…, token, feature)")
    finite(reference, "reference")

    def miss(n: int) -> float:  # a field that is no number any more is as far away as can be
        found = error(flow(u0, n * own, save="final").fields[-1], reference)
        return found if math.isfinite(found) else math.inf

    few, enough, left = 0, 1, math.inf
    while (found := miss(enough)) > tolerance:
        few, enough, left = enough, 2 * enough, found
        if enough * own > most:
            raise ValueError(f"an error of {found:.1e} is left after {few * own} steps of {flow.scheme.name}")
    while enough - few > 1 and found < 0.97 * tolerance:
        power = math.log(left / max(found, 1e-300)) / math.log(enough / few)
        middle = min(max(round(few * (left / tolerance) ** (1 / power)), few + 1), enough - 1)
        if (now := miss(middle)) > tolerance:
            few, left = middle, now
        else:
            enough, found = middle, now
    name = f"{'tangent ' if flow.tangent else ''}{flow.scheme.name}, {flow.substep}"
    return Work(name, enough * own, evaluations(flow, enough * own), found, tolerance)


def _check_search(flow: Flow, u0: Tensor, tolerance: float, most: int, least: int) -> int:
    """The flow's own number of steps. Raises: TypeError, ValueError for what no search could end with."""
    check_flow(flow, u0)
    check_repeatable(flow)
    check_positive(tolerance, "tolerance")
    check_whole(most, "most", least * flow.depth.steps)
    return flow.depth.steps


def compare_work(flow: Flow, u0: Tensor, tolerance: float = 1e-3) -> list[Work]:
    """Lie as trained, Strang with plain projection, and tangent Strang, on one equation and one start.

    The reference is the equation's own solution (`solution`, to a hundredth of the tolerance).
    """
    check_flow(flow, u0)
    check_positive(tolerance, "tolerance")
    by = partial(flow.by, substep="midpoint")
    schemes = [flow.by("lie"), by("strang")]
    if isinstance(flow.constraints[0], Constraint):
        schemes.append(by("strang", tangent=True))
    reference = solution(flow, u0, tolerance / 100)
    return [work(scheme, u0, reference, tolerance) for scheme in schemes]
