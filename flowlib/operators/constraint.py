"""A constraint: a set that the field is held in, and what a flow asks of it.

A constraint set S enters the equation as u_t ∈ f − N_S(u), with N_S the (proximal) normal cone.
"""

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn


class Constraint(nn.Module):
    """A set S(t) that every token of the field has to stay in; called, it projects.

        project(v, t)      the nearest point of S(t)               tangent(u, v, t)   v without what points out of S(t)
        defect(u, t)       by how much u misses S(t), per token    carry(u, t0, t1)   u moved along with S, t0 to t1

    One of your own derives from it and writes the first three; one that moves with t, `carry` and `velocity` as well.
    Inside a flow nothing is checked. Where the nearest point is not unique (a constant token for Moments, a zero token
    for Sphere) the projection then takes the limit of ε → 0: the token goes to the centre of S, which is not in S,
    and `defect` says so.
    """

    moving: bool = False
    """Does S depend on t?"""

    def forward(self, v: Tensor, t: float = 0.0) -> Tensor:
        return self.project(v, t)

    def project(self, v: Tensor, t: float = 0.0) -> Tensor:
        """The nearest point of S(t), token by token."""
        raise NotImplementedError

    def tangent(self, u: Tensor, v: Tensor, t: float = 0.0) -> Tensor:
        """The part of the velocity v that does not point out of S(t) at u: the projection onto the tangent cone."""
        raise NotImplementedError

    def defect(self, u: Tensor, t: float = 0.0) -> Tensor:
        """By how much each token misses S(t), (…,): 0 on S(t)."""
        raise NotImplementedError

    def carry(self, u: Tensor, t0: float, t1: float) -> Tensor:
        """The exact flow of the velocity with which S itself moves, from t0 to t1."""
        return u

    def velocity(self, u: Tensor, t: float) -> Tensor:
        """The velocity with which S itself moves under u: the derivative of `carry` by t1."""
        return torch.zeros_like(u)


def are_same(a: Constraint, b: Constraint) -> bool:
    """Is it one and the same set: the same object, or of one class with equal settings, tensors and parts?"""
    if a is b:
        return True
    mine, other = ({k: v for k, v in vars(c).items() if not k.startswith("_")} for c in (a, b))
    tensors = [dict(chain(c.named_parameters(), c.named_buffers())) for c in (a, b)]
    return type(a) is type(b) and _are_equal(mine, other) and _are_equal(*tensors)


def _are_equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    def same(x: Any, y: Any) -> bool:
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return x is y or (x.device == y.device and torch.equal(x, y))
        return x is y or repr(x) == repr(y)

    return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)


def check_constraint(module: object, whose: str) -> None:
    """Raises: TypeError where the module is no Constraint, saying what to do."""
    if not isinstance(module, Constraint):
        raise TypeError(
            f"{whose} takes constraints, and {type(module).__name__} is none; derive its class from "
            "flowlib.operators.Constraint, and give it project, tangent and defect"
        )
