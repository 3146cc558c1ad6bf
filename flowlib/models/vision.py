"""Pictures: a picture is a function on the unit square, and its tokens are patches at points of a grid."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from flowlib.arguments import check_tensor, check_whole
from flowlib.fields import Grid
from flowlib.flow.equation import Trajectory
from flowlib.models.classifier import FlowClassifier
from flowlib.models.inputs import check_floats
from flowlib.models.shape import FlowShape, Steps
from flowlib.operators import Neighbourhood


@dataclass(frozen=True)
class VisionConfig(FlowShape):
    """The shape of a flow that classifies pictures."""

    pixels: int = 8
    """Pixels in a row of the pictures to train on; a patch's samples are as far apart."""
    tokens: int = 8
    """Tokens in a row of the grid to train on."""
    patch: int = 1
    """Samples in a row of a patch."""
    near: int = 0
    """Tokens in a row of the convolution before Q, K and V, as in CvT (odd); 0: none."""
    channels: int = 1
    """Numbers that a pixel has."""
    classes: int = 10
    """What a picture may be."""
    waves: int = 4
    """Frequencies of the position."""

    COUNTS: ClassVar[tuple[str, ...]] = ("pixels", "tokens", "patch", "channels", "classes", "waves", *FlowShape.COUNTS)
    REQUIRED: ClassVar[frozenset[str]] = frozenset({"pixels", "classes"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.near < 0 or (self.near and self.near % 2 == 0):
            raise ValueError(f"near must be odd (a token and as many on either side), or 0; got {self.near}")


class FlowVision(FlowClassifier):
    """scores = E ∫ u(x, T) dx,   u(x, 0) = P(W [I(x + δ_1), …, I(x + δ_m)] + φ(x)),   x in the unit square.

    I is the picture as a function (`sample`), with mean 0 and spread 1; the δ are the offsets of a patch's samples.
    So u(x, 0) has a value at every x, and the tokens may be put anywhere: on `grid`, by default the one of training.

    model(pictures (…, channel, row, column), steps=None, grid=None) → scores (…, class).
    positions: what φ gets instead of the grid's points (see `index_positions`).
    Error: that of the grid's quadrature rule.
    Raises: ValueError for another number of channels, NaN, a constant picture, a grid that is not in the plane.
    """

    Config = VisionConfig
    offsets: Tensor

    def __init__(self, config: VisionConfig):
        c = self.check_config(config)
        near = Neighbourhood(c.width, 1 / c.tokens, c.near) if c.near else None
        super().__init__(c, inputs=c.channels * c.patch**2, dims=2, waves=c.waves, classes=c.classes, near=near)
        self.grid = square(c.tokens)
        offsets = (torch.arange(c.patch) - (c.patch - 1) / 2) / c.pixels
        self.register_buffer("offsets", torch.cartesian_prod(offsets, offsets), persistent=False)

    def forward(
        self, pictures: Tensor, steps: Steps = None, *, grid: Grid | None = None, positions: Tensor | None = None
    ) -> Tensor:
        grid = self.grid if grid is None else grid
        return self._classify(self.initial_field(pictures, grid, positions), grid, steps)

    def initial_field(self, pictures: Tensor, grid: Grid | None = None, positions: Tensor | None = None) -> Tensor:
        """u(x, 0) on the grid, (…, token, width)."""
        grid = self.grid if grid is None else grid
        self._check(pictures, grid)
        if positions is not None:
            check_tensor(positions, "positions", "a tensor (token, 2)")
        points = grid.points.to(pictures)
        if positions is not None and positions.shape != points.shape:
            raise ValueError(
                f"positions: one point for each of the {len(grid)} tokens, {tuple(points.shape)}, got "
                f"{tuple(positions.shape)}"
            )
        at = points[:, None] + self.offsets.to(points)  # (token, sample, 2)
        values = sample(standardise(pictures), at.flatten(0, 1))  # (…, channel, token · sample)
        values = values.unflatten(-1, at.shape[:2]).movedim(-3, -2).flatten(-2)  # (…, token, channel · sample)
        return self._begin(values, points if positions is None else positions.to(points))

    def trajectory(self, pictures: Tensor, steps: int | None = None, *, grid: Grid | None = None) -> Trajectory:
        """The flow of the pictures: fields (steps+1, …, token, width)."""
        grid = self.grid if grid is None else grid
        return self.flow(self.initial_field(pictures, grid), steps, weights=grid)

    def _check(self, pictures: Tensor, grid: Grid) -> None:
        c = self.config
        shape = f"(…, channel = {c.channels}, row, column)"
        check_floats(pictures, "pictures", shape, self.head.weight)
        if pictures.ndim < 3 or pictures.shape[-3] != c.channels:
            raise ValueError(
                f"pictures must be floats {shape}, got {pictures.dtype} of shape {tuple(pictures.shape)}; for grey "
                "pictures (…, row, column) use pictures[..., None, :, :]"
            )
        if 0 in pictures.shape:
            raise ValueError(f"pictures must have rows and columns, got the shape {tuple(pictures.shape)}")
        if not isinstance(grid, Grid):
            raise TypeError(f"grid must be a Grid, got {type(grid).__name__}; try flowlib.models.vision.square(8)")
        if grid.dim != 2:
            raise ValueError(f"tokens of a picture lie in the plane: the grid must have dim 2, got {grid.dim}")
        if not self.flow.checks:
            return
        if not torch.isfinite(pictures).all():
            raise ValueError("pictures must be finite, got NaN or infinity; look at what made them")
        flat = pictures.flatten(-3)
        if (constant := (flat == flat[..., :1]).all(-1)).any():
            which = f"picture {constant.nonzero()[0].tolist()}" if constant.ndim else "the picture"
            raise ValueError(f"{which} is constant: it shows nothing, and its contrast cannot be made 1; leave it out")


def square(n: int) -> Grid:
    """The midpoints of n × n equal cells of the unit square, row by row: where the pixels of a picture are."""
    return Grid.product(Grid.uniform(n), Grid.uniform(n))


def standardise(pictures: Tensor) -> Tensor:
    """(I − mean) / spread over channels and pixels of each picture: brightness and contrast do not matter."""
    _check_pictures(pictures)
    flat = pictures.flatten(-3)
    mean, spread = flat.mean(-1), flat.std(-1, correction=0)
    return (pictures - mean[..., None, None, None]) / spread[..., None, None, None]


def sample(pictures: Tensor, points: Tensor) -> Tensor:
    """I(x): the picture as a function on the unit square, bilinear between the middles of its pixels, constant beyond.

    pictures (…, channel, row, column), points (point, 2) as (down, right) in [0, 1] → (…, channel, point).
    Error: exact in the middles of the pixels; O(pixel²) between them, for a smooth picture.
    """
    _check_pictures(pictures)
    check_tensor(points, "points", "a tensor (point, 2)")
    if points.ndim != 2 or points.shape[-1] != 2 or points.dtype != pictures.dtype:
        raise ValueError(
            f"points must be (point, 2) in {pictures.dtype}, as the pictures are, got {points.dtype} of shape "
            f"{tuple(points.shape)}"
        )
    flat = pictures.reshape(-1, *pictures.shape[-3:])
    at = (2 * points - 1).flip(-1).expand(len(flat), 1, -1, -1)  # torch wants (right, down) in [−1, 1]
    values = F.grid_sample(flat, at, mode="bilinear", padding_mode="border", align_corners=False)
    return values.reshape(*pictures.shape[:-2], len(points))


def index_positions(rows: int, columns: int, tokens: int) -> Tensor:
    """Where a Transformer that counts its tokens takes them to be: token (i, j) at ((i+½)/tokens, (j+½)/tokens).

    On the grid of training, of `tokens` × `tokens` equal cells, that is where they are. (rows · columns, 2).
    Raises: ValueError for what is no whole number ≥ 1.
    """
    for name, n in (("rows", rows), ("columns", columns), ("tokens", tokens)):
        check_whole(n, name)
    i, j = (torch.arange(n, dtype=torch.float64) + 0.5 for n in (rows, columns))
    return torch.cartesian_prod(i, j) / tokens


def _check_pictures(pictures: Tensor) -> None:
    check_tensor(pictures, "pictures", "a tensor (…, channel, row, column)")
    if pictures.ndim < 3 or not pictures.is_floating_point():
        raise ValueError(
            f"pictures must be floats (…, channel, row, column), got {pictures.dtype} of shape {tuple(pictures.shape)}"
        )
