"""Terms made of given parameters: what every reader of an architecture needs."""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from flowlib.flow.depth import Depth, PerStep
from flowlib.flow.equation import Flow
from flowlib.models.zoo.kernels import ShapedAttention
from flowlib.operators import Affine, Attention, Constraint, GatedLocal, Local, Term

Config = Any  # of a model of the package `transformers`: its settings are attributes
Map = tuple[Tensor, Tensor | None]  # W and b of  u ↦ W u + b
Filled = TypeVar("Filled", bound=Term)
SHAPES = ("window", "slopes", "norms", "cap", "near_far")
UNFILLED = torch.device("meta")  # made without numbers: none are drawn that would be thrown away


class Parameters:
    """The parameters of a model, by name, and its buffers' names. `unread` are parameters that nobody asked for.

    Raises: ValueError, naming the parameter, where one is missing, not loaded, or stored as whole numbers.
    """

    def __init__(self, tensors: Mapping[str, Tensor], owner: str, buffers: Collection[str] = ()):
        self.tensors, self.owner, self.buffers = tensors, owner, buffers
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        tensor = self.tensors.get(name)
        if tensor is None:
            raise ValueError(
                f"{self.owner} lacks the parameter {name!r}; load a whole model, in the form that transformers saves"
            )
        if tensor.is_meta or not tensor.is_floating_point():
            state = "not loaded (meta)" if tensor.is_meta else f"stored as {tensor.dtype}"
            raise ValueError(f"{self.owner}'s {name!r} is {state}; load the model whole, and without quantisation")
        self.asked.add(name)
        return tensor.detach()

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def map(self, name: str, *, transposed: bool = False) -> Map:
        """W (out, in) and b (out,) of `name`; b is None where there is none. transposed: W is stored as (in, out)."""
        weight = self[f"{name}.weight"]
        return weight.T if transposed else weight, self.shift(name)

    def shift(self, name: str) -> Tensor | None:
        return self[f"{name}.bias"] if f"{name}.bias" in self else None

    def affine(self, name: str) -> Affine:
        return affine(self[f"{name}.weight"], self.shift(name))

    def are_one(self, *names: str) -> bool:
        """Are these one and the same parameter, under several names?"""
        found = [self.tensors.get(name) for name in names]
        return all(z is not None and z is found[0] for z in found)

    @property
    def unread(self) -> list[str]:
        return [name for name in self.tensors if name not in self.asked]


def stack(*maps: Map) -> Map:
    """Maps of the same u, one above the other: as queries, keys and values are computed at once."""
    weight = torch.cat([w for w, _ in maps])
    if all(b is None for _, b in maps):
        return weight, None
    return weight, torch.cat([w.new_zeros(len(w)) if b is None else b for w, b in maps])


def attention(qkv: Map, out: Map, heads: int, **options: Any) -> Attention:
    """Attention with W^{QKV} = [W^Q; W^K; W^V] and W^O; a bias that only one of them has is zero in the other.

    options: of Attention, and of ShapedAttention (`SHAPES`) where one of those is given.
    """
    dim, inner = out[0].shape
    bias = qkv[1] is not None or out[1] is not None
    shape = {name: options.pop(name) for name in SHAPES if name in options}
    shape = {name: value for name, value in shape.items() if value is not None}
    kind: Callable[..., Attention] = ShapedAttention if shape else Attention
    with UNFILLED:
        mine = kind(dim, heads, bias=bias, head_dim=inner // heads, **shape, **options)
    return fill(mine, qkv=qkv, out=out)


def local(up: Map, down: Map, activation: str) -> Local:
    bias = up[1] is not None or down[1] is not None
    with UNFILLED:
        mine = Local(up[0].shape[1], len(up[0]), activation, bias)
    return fill(mine, up=up, down=down)


def gated_local(gate: Map, up: Map, down: Map, activation: str) -> GatedLocal:
    bias = any(b is not None for _, b in (gate, up, down))
    with UNFILLED:
        mine = GatedLocal(up[0].shape[1], len(up[0]), activation, bias)
    return fill(mine, gate=gate, up=up, down=down)


def affine(scale: Tensor, shift: Tensor | None) -> Affine:
    mine = Affine(len(scale), bias=shift is not None)
    mine.scale = _copy(scale)
    if shift is not None:
        mine.shift = _copy(shift)
    return mine


def assemble(
    layers: Sequence[Sequence[Term]],
    constraints: Constraint | None | Sequence[Constraint | None],
    scheme: str = "lie",
    depth: Depth | None = None,
    readout: nn.Module | None = None,
    steps: int | None = None,
) -> Flow:
    """The flow whose terms in layer k are layers[k]. By default each layer is a step of length 1.

    depth: a law with as many copies as there are layers; steps: so many steps of length 1, where not the depth's own.
    """
    depth = PerStep(len(layers)) if depth is None else depth
    pattern = [copy.deepcopy(term).to(UNFILLED) for term in layers[0]]  # whose copies have no numbers, and no cost
    flow = Flow(pattern, constraints, scheme, depth, readout=readout, horizon=steps, steps=steps)
    flow.depth.layers = nn.ModuleList(nn.ModuleList(layer) for layer in layers)
    like = next(flow.depth.parameters())
    return flow.to(device=like.device, dtype=like.dtype)


def linear(given: Map) -> nn.Linear:
    """u ↦ W u + b with copies of W and b."""
    weight, bias = given
    with UNFILLED:
        mine = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    mine.weight = _copy(weight)
    if bias is not None:
        mine.bias = _copy(bias)
    return mine


def fill(term: Filled, **maps: Map) -> Filled:
    """The term with these linear maps in the places of its own; a bias that is lacking is zero, where it has one."""
    for name, (weight, bias) in maps.items():
        zero = weight.new_zeros(len(weight)) if getattr(term, name).bias is not None else None
        setattr(term, name, linear((weight, zero if bias is None else bias)))
    return term


def repeat_groups(z: Map, groups: int, times: int) -> Map:
    """Grouped queries: the keys (or values) of a group, once for each of its heads."""
    return change_rows(z, lambda w: w.unflatten(0, (groups, -1)).repeat_interleave(times, 0).flatten(0, 1))


def change_rows(z: Map, change: Callable[[Tensor], Tensor]) -> Map:
    """The same change to the rows of W and of b."""
    return change(z[0]), None if z[1] is None else change(z[1])


def _copy(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().clone(memory_format=torch.contiguous_format))
