"""A flow beside itself: one step against its own refined flow, another order of its terms, one term left out.

Every variant has the parameters of the flow it is made of, shared and not copied.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.flow.depth import Depth
from flowlib.flow.equation import Flow
from flowlib.flow.splitting import Path, Scheme
from flowlib.flow.twin import twin
from flowlib.measure.ablation import Silent
from flowlib.measure.budgets import name_of
from flowlib.measure.inputs import check_flow
from flowlib.operators import Affine


class Still(Depth):
    """The parameters of one step out of `steps`, at every depth: what an autonomous flow of that step's terms has.

    silent: the number of a term that is 0 there; None: none is.
    """

    def __init__(self, depth: Depth, step: int, steps: int, silent: int | None = None):
        super().__init__(depth.copies, 1)
        self.layers, self.answer, self.at, self.silent = depth.layers, depth.__call__, (step + 0.5) / steps, silent

    def forward(self, depths: Sequence[float]) -> list[list[nn.Module]]:
        layer = self.answer([self.at])[0]
        layer = [Silent() if k == self.silent else term for k, term in enumerate(layer)]
        return [layer] * len(depths)


def only_step(flow: Flow, step: int, silent: int | None = None) -> Flow:
    """One step of a flow as a flow of its own, from 0 to Δt, with that step's parameters and without a read-out.

    silent: the number of a term that does nothing in it. Error: exact. Raises: TypeError for what is no flow.
    """
    check_flow(flow)
    one = twin(flow)
    one._modules = dict(flow._modules)
    one.depth, one.steps, one.readout = Still(flow.depth, step, flow.steps, silent), 1, None
    one.horizon = flow.horizon / flow.steps
    return one


@torch.no_grad()
def ends_without(
    flow: Flow, u0: Tensor, terms: Sequence[int], *, tell: Callable[[int], object] | None = None, **context: Any
) -> Tensor:
    """The last field without one of the terms in one step, (step, term, token, feature), before the flow's read-out.

    All of them flow together, from the step that they differ in: each layer is come by once. tell: called with 1 after
    each step. Error: exact, as `without` (but for round-off). Raises: TypeError for what is no flow.
    """
    check_flow(flow, u0)
    many, whole = u0.unsqueeze(0)[:0], u0.unsqueeze(0)
    for step in range(flow.steps):
        run = partial(_take_step, flow, step, context)
        new = [run(whole, silent) for silent in terms]
        onward = run(torch.cat([whole, many]))
        whole, many = onward[:1], torch.cat([onward[1:], *new])
        _ = tell and tell(1)
    return many.unflatten(0, (flow.steps, len(terms)))


def _take_step(flow: Flow, step: int, context: dict[str, Any], z: Tensor, silent: int | None = None) -> Tensor:
    end: Tensor = only_step(flow, step, silent)(z, 1, save="final", **context).final
    return end


@torch.no_grad()
def missed_by_steps(
    flow: Flow, fields: Tensor, fine: int = 16, *, tell: Callable[[int], object] | None = None, **context: Any
) -> Tensor:
    """ρ_n = |Φ(u_n) − Φ_fine(u_n)| / |Φ_fine(u_n) − u_n| for each step: one step against its own refined flow.

    fields (steps+1, token, feature): where the steps start. tell: called with the number of steps that were taken.
    Error: about 1/fine of the distance itself (C6.7 has order 1). → (step,)
    """
    found = []
    for n, u in enumerate(fields[:-1]):
        one = only_step(flow, n)
        there = one(u, fine, save="final", **context).final
        found.append((one(u, 1, save="final", **context).final - there).norm() / (there - u).norm().clamp(min=1e-30))
        _ = tell and tell(fine + 1)
    return torch.stack(found)


def swap(flow: Flow) -> Flow | None:
    """The same terms, each with its projection, but the last of them first; None where there are not two.

    A scale stays behind its term: of BERT's four substeps (attention, scale, feed-forward, scale) the last two come
    first. So do they where a field listens to another one (attention, listening, feed-forward).
    """
    check_flow(flow)
    starts = _starts(flow)
    if len(starts) < 2:
        return None
    order = [*range(starts[-1], len(flow.constraints)), *range(starts[-1])]
    return flow.by(Scheme("swapped", 1, partial(_one_path, order)), substep=flow.substep, tangent=flow.tangent)


def _starts(flow: Flow) -> list[int]:
    """Where the terms are among the substeps, the scales that follow them left out."""
    return [k for k, term in enumerate(flow.terms) if not isinstance(term, Affine)]


def _one_path(order: Sequence[int], n: int) -> list[Path]:
    return [(1.0, tuple((i, 1.0) for i in order))]


def other_orders(flow: Flow) -> dict[str, Flow]:
    """The flow's equation by other schemes: what is said of them is in the name."""
    keep = partial(flow.by, substep=flow.substep, tangent=flow.tangent)
    starts = _starts(flow)
    last = name_of(flow.terms[starts[-1]]) if starts else ""
    found: dict[str, Flow | None] = {}
    if flow.scheme.name in ("lie", "strang"):
        found["local term first" if last == "feed-forward" else f"{last} first"] = swap(flow)
    if flow.scheme.name != "lie":
        found["one after the other (Lie)"] = keep("lie")
    if flow.scheme.name != "additive" and 1 < len(starts) == len(flow.constraints):
        found[f"{'both' if len(starts) == 2 else 'all'} from the same field (additive)"] = keep("additive")
    if flow.scheme.name != "strang":
        found["half, whole, half (Strang)"] = keep("strang")
    return {name: other for name, other in found.items() if other is not None}
