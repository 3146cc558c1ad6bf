"""What classifiers of pictures and of shapes share: where tokens are, the integral mean, and the classes."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.arguments import check_tensor
from flowlib.fields import Grid
from flowlib.models.inputs import check_targets
from flowlib.models.shape import FlowModel, FlowShape, Steps


class Position(nn.Module):
    """φ(x) = W [x, sin πf x_i, cos πf x_i],  i = 1 … dim,  f = 1 … waves:  a function of where, not of which.

    points (…, token, dim) → (…, token, width). It has a value at every point, so it exists on every grid; a table of
    positions, one row for each token, does not. Error: exact.
    """

    def __init__(self, dim: int, width: int, waves: int):
        super().__init__()
        self.waves = waves
        self.map = nn.Linear(dim * (1 + 2 * waves), width, bias=False)

    def forward(self, points: Tensor) -> Tensor:
        f = math.pi * torch.arange(1, self.waves + 1, dtype=points.dtype, device=points.device)
        turns = (points.unsqueeze(-1) * f).flatten(-2)
        return self.map(torch.cat([points, turns.sin(), turns.cos()], -1))

    def extra_repr(self) -> str:
        return f"waves={self.waves}"


class FlowClassifier(FlowModel):
    """scores = E · (1/|Ω|) ∫_Ω u(x, T) dx,   u_t the flow of the configuration.

    The mean over tokens is an integral over the domain: with quadrature weights it does not depend on where the tokens
    were put. p(class) = softmax(scores).
    inputs: numbers that a token brings along; dims: of its place; waves: frequencies of the position; near: for the
    terms (`FlowShape.terms`).
    """

    def __init__(
        self,
        config: FlowShape,
        *,
        inputs: int,
        dims: int,
        waves: int,
        classes: int,
        near: nn.Module | None = None,
    ):
        super().__init__(config)
        c = config
        terms = c.terms(near=near)
        self.constraint = c.constraint()
        self.embed = nn.Linear(inputs, c.width, bias=False)
        self.position = Position(dims, c.width, waves)
        self.flow = c.flow(terms, self.constraint)
        self.head = nn.Linear(c.width, classes)
        self._initialise()

    def _classify(self, u0: Tensor, weights: Tensor | Grid | None, steps: Steps) -> Tensor:
        """Scores (…, class); weights: a Grid, or (…, token)."""
        return self.read_out(self.flow_to_end(u0, steps, weights), weights)

    def read_out(self, u: Tensor, weights: Tensor | Grid | None = None) -> Tensor:
        """E ∫ u dx / |Ω|, (…, class): what the model would say if it stopped at u."""
        return self.head(integral_mean(u, weights.weights if isinstance(weights, Grid) else weights))

    def _begin(self, tokens: Tensor, points: Tensor) -> Tensor:
        """u(x, 0) = P(W a(x) + φ(x))."""
        u = F.dropout(self.embed(tokens) + self.position(points), self.config.dropout, self.training)
        return u if self.config.norm == "pre" else self.constraint.project(u)

    def loss(self, *inputs: Any, targets: Tensor, **options: Any) -> Tensor:
        """−mean log p(class), in nats."""
        scores = self(*inputs, **options)
        check_targets(targets, scores, look=self.flow.checks)
        return F.cross_entropy(scores.flatten(0, -2), targets.flatten())


def integral_mean(u: Tensor, weights: Tensor | None = None) -> Tensor:
    """∫ u dx / |Ω| = Σ_i w_i u_i / Σ_i w_i over the tokens: (…, token, feature) → (…, feature).

    weights (token,) or (…, token); without them every token counts alike. Error: that of the quadrature rule.
    Raises: ValueError where there is not one weight for each token, TypeError for what is no tensor.
    """
    check_tensor(u, "u", "a tensor (…, token, feature)")
    if weights is None:
        return u.mean(-2)
    check_tensor(weights, "weights", "a tensor (…, token)")
    if weights.shape[-1] != u.shape[-2]:
        raise ValueError(f"one weight per token: {u.shape[-2]} tokens, but weights have shape {tuple(weights.shape)}")
    share = (weights / weights.sum(-1, keepdim=True)).to(u)
    return (share.unsqueeze(-1) * u).sum(-2)
