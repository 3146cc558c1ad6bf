"""What a flow hands back, and what it tells of itself on the way: a trajectory, and an increment for each substep."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.utils._pytree import GetAttrKey, register_pytree_node

from flowlib.arguments import describe
from flowlib.flow.context import Context
from flowlib.flow.splitting import Path
from flowlib.operators.constraint import Constraint

Kind = Literal["term", "projection", "carry", "readout"]


@dataclass(frozen=True, repr=False)
class Trajectory:
    """u at the times t_0 = 0, …, t_N = T.  times (N+1,), fields (N+1, …, token, feature) with u0 first.

    final: what the flow hands on, (…, token, feature): the last field, through the flow's readout if it has one.
    With save="final" only the last time and field are kept.
    torch.func.vmap, torch.export and torch.utils._pytree.tree_map take it for its three tensors.
    """

    times: Tensor
    fields: Tensor
    final: Tensor

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        return f"Trajectory({len(self)} times, fields {describe(self.fields)})"


register_pytree_node(
    Trajectory,
    lambda one: ([one.times, one.fields, one.final], None),
    lambda tensors, _: Trajectory(*tensors),
    serialized_type_name="flowlib.flow.Trajectory",
    flatten_with_keys_fn=lambda one: ([(GetAttrKey(k), getattr(one, k)) for k in ("times", "fields", "final")], None),
)


@dataclass(frozen=True, repr=False)
class Increment:
    """What one substep did to the field:  before → moved (by the term) → after (by the projection).

    step    the number of the step, from 0;  dt: the length of the substep.
    kind    "term"        a term moved u, and the constraint after it (if there is one) projected it;
            "projection"  a constraint alone projected u, the mean of paths that ran side by side: before = moved;
            "carry"       a constraint that moves with t carried u along with it: before = moved;
            "readout"     the flow's readout mapped the last field, after the last step: moved = after.
    term    the module that moved it: the term, or the readout; None where a constraint acted alone.
    share   the weight of the substep's path in the scheme: 1 where substeps follow each other, less where they run
            side by side. The sum of share · (after − before) over all substeps is u(T) − u(0), until the readout.
    context what a term that sees other tokens is told of them: weights and mask; None where no term moved, and where
            the flow was called with a past.
    """

    step: int
    kind: Kind
    term: nn.Module | None
    before: Tensor
    moved: Tensor
    after: Tensor
    share: float = 1.0
    dt: float = 0.0
    context: Context | None = None

    def __repr__(self) -> str:
        term = "" if self.term is None else f", term {type(self.term).__name__}"
        return (
            f"Increment(step {self.step}, {self.kind}{term}, field {describe(self.after)}, share {self.share:g}, "
            f"dt {self.dt:g})"
        )


Watch = Callable[[Increment], object]


class Teller:
    """Tells `watch` of one step's substeps, in the order they are taken, each with the weight of its path."""

    def __init__(self, watch: Watch, step: int, context: Context | None, paths: list[Path]):
        self.watch, self.step, self.context = watch, step, context
        self.shares = iter([share for share, path in paths for _ in path])

    def of_term(self, term: nn.Module, before: Tensor, moved: Tensor, after: Tensor, dt: float) -> None:
        self.watch(Increment(self.step, "term", term, before, moved, after, next(self.shares), dt, self.context))

    def of_constraint(self, kind: Literal["projection", "carry"], before: Tensor, after: Tensor) -> None:
        self.watch(Increment(self.step, kind, None, before, before, after))


def carry(S: Constraint | None, u: Tensor, t0: float, t1: float, tell: Teller | None) -> Tensor:
    """u moved along with S, where S moves."""
    if S is None:
        return u
    carried = S.carry(u, t0, t1)
    if tell is not None and S.moving:
        tell.of_constraint("carry", u, carried)
    return carried
