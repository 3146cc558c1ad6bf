"""Shapes: a surface given by scattered points, each of which stands for a piece of its area."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from flowlib.arguments import check_tensor
from flowlib.fields import Grid
from flowlib.flow.equation import Trajectory
from flowlib.models.classifier import FlowClassifier, integral_mean
from flowlib.models.inputs import check_floats
from flowlib.models.shape import FlowShape, Steps


@dataclass(frozen=True)
class PointsConfig(FlowShape):
    """The shape of a flow that classifies surfaces in space."""

    classes: int = 8
    """What a surface may be."""
    waves: int = 2
    """Frequencies of the position."""

    COUNTS: ClassVar[tuple[str, ...]] = ("classes", "waves", *FlowShape.COUNTS)
    REQUIRED: ClassVar[frozenset[str]] = frozenset({"classes"})


class FlowPoints(FlowClassifier):
    """scores = E (1/|Ω|) ∫_Ω u(x, T) dx,   u(x, 0) = P(W [|x|, |x|², …] + φ(x)),   x on a surface Ω in space.

    Before that the surface is moved, scaled and turned to ∫ x dx = 0, ∫ |x|² dx = |Ω| and its principal axes
    (`normalise_cloud`): integrals as well, so they use the weights. Where it is, how large, and how it lies, does not
    matter.

    model(points (…, point, 3), steps=None, weights=None) → scores (…, class). weights (…, point): the area that each
    point stands for, in any unit; without them all points count alike. A Grid holds both: model(grid).
    Error: that of the points' quadrature, O(n^-½) for independent ones.
    Raises: ValueError for an empty cloud, NaN, points not in space, weights that do not fit or are not positive, and
            points that are all the same.
    """

    Config = PointsConfig

    def __init__(self, config: PointsConfig):
        c = self.check_config(config)
        super().__init__(c, inputs=RADII, dims=3, waves=c.waves, classes=c.classes)

    def forward(self, points: Tensor | Grid, steps: Steps = None, *, weights: Tensor | None = None) -> Tensor:
        points, weights = self._unpack(points, weights)
        return self._classify(self.initial_field(points, weights), weights, steps)

    def initial_field(self, points: Tensor | Grid, weights: Tensor | None = None) -> Tensor:
        """u(x, 0) at the points, (…, point, width)."""
        points, weights = self._unpack(points, weights)
        x = normalise_cloud(points, weights)
        r = x.square().sum(-1, keepdim=True).sqrt()
        return self._begin(torch.cat([r**p for p in range(1, RADII + 1)], -1), x / 2)

    def trajectory(
        self, points: Tensor | Grid, steps: int | None = None, *, weights: Tensor | None = None
    ) -> Trajectory:
        """The flow of the clouds: fields (steps+1, …, point, width)."""
        points, weights = self._unpack(points, weights)
        return self.flow(self.initial_field(points, weights), steps, weights=weights)

    def _unpack(self, points: Tensor | Grid, weights: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Points and weights in the model's own number format, checked."""
        if isinstance(points, Grid):
            grid = points
            points, weights = grid.points.to(self.head.weight), grid.weights
        if isinstance(points, Tensor) and (points.ndim < 2 or points.shape[-1] != 3):
            raise ValueError(
                f"points must be floats (…, point, 3), got {points.dtype} of shape {tuple(points.shape)}; a surface "
                "lies in space"
            )
        check_floats(points, "points", "(…, point, 3)", self.head.weight)
        if weights is not None:
            check_tensor(weights, "weights", f"a tensor {tuple(points.shape[:-1])}")
        if points.shape[-2] == 0:
            raise ValueError("the point cloud is empty: a surface needs at least 2 points")
        if weights is not None and weights.shape not in (points.shape[:-1], points.shape[-2:-1]):
            raise ValueError(
                f"one weight per point: points {tuple(points.shape)} need weights {tuple(points.shape[:-1])}, "
                f"got {tuple(weights.shape)}"
            )
        if self.flow.checks:
            if not torch.isfinite(points).all():
                raise ValueError("points must be finite, got NaN or infinity; drop those points")
            if weights is not None and not (torch.isfinite(weights) & (weights > 0)).all():
                raise ValueError(
                    f"weights must be positive and finite, the smallest here is {weights.min():g}; drop the points "
                    "that stand for nothing"
                )
            if (points == points[..., :1, :]).all(-1).all(-1).any():
                raise ValueError("all points of a cloud are the same, so it has no size; give at least 2 others")
        return points, weights


RADII = 3  # |x|, |x|², |x|³


def normalise_cloud(points: Tensor, weights: Tensor | None = None) -> Tensor:
    """Rᵀ(x − c) / r:  c = ∫ x dx / |Ω|,  M = ∫ (x − c)(x − c)ᵀ dx / |Ω| = R diag(λ) Rᵀ,  r² = λ_1 + λ_2 + λ_3.

    points (…, point, 3), weights (…, point) → (…, point, 3), the shortest axis first. The signs of the axes are left to
    chance, and where two λ are equal (a torus, a can) so are the two axes.
    """
    check_tensor(points, "points", "a tensor (…, point, 3)")
    if points.ndim < 2 or points.shape[-1] != 3 or not points.shape[-2] or not points.is_floating_point():
        raise ValueError(f"points must be floats (…, point, 3), got {points.dtype} of shape {tuple(points.shape)}")
    x = points - integral_mean(points, weights).unsqueeze(-2)
    moments = integral_mean((x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2), weights).unflatten(-1, (3, 3))
    spread, axes = torch.linalg.eigh(moments)
    return x @ axes / spread.sum(-1).sqrt()[..., None, None]
