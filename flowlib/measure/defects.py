"""By how much a trajectory misses its constraint."""

import torch
from torch import Tensor

from flowlib.arguments import describe
from flowlib.flow.equation import Trajectory
from flowlib.operators import Constraint


def defects(constraint: Constraint, trajectory: Trajectory) -> Tensor:
    """The constraint's own defect of each token at each time, (time, …, token): 0 on S(t).

    Error: exact. A field that was projected with ε > 0 has a defect of about ε/2: layer norm is not quite on S1.
    Raises: TypeError for what is no constraint or no trajectory.
    """
    if not isinstance(constraint, Constraint):
        raise TypeError(f"constraint must be a flowlib.operators.Constraint, got {describe(constraint)}; try Moments()")
    if not isinstance(trajectory, Trajectory):
        raise TypeError(f"trajectory must be what a flow gives, a Trajectory, got {describe(trajectory)}; try flow(u0)")
    return torch.stack([constraint.defect(u, t) for u, t in zip(trajectory.fields, trajectory.times.tolist())])
