"""Parameters that are made wide where they are used: a flow kept in half precision is computed in single precision."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import torch
from torch import Tensor, nn

from flowlib.flow.depth import Depth
from flowlib.flow.equation import Flow
from flowlib.flow.twin import twin


def widen_flow(flow: Flow, dtype: torch.dtype = torch.float32) -> Flow:
    """The same flow in another dtype: each layer's parameters are converted when the flow comes to it, one at a time.

    Where they have that dtype already, it is the flow itself. Error: exact, where the dtype is a wider one.
    """
    if all(p.dtype == dtype for p in flow.parameters()):
        return flow
    wide = twin(flow)
    wide.depth = Wide(flow.depth, dtype)
    if flow.readout is not None:
        wide.readout = widen(flow.readout, dtype)
    return wide


class Wide(Depth):
    """The layers of another depth in another dtype, converted one at a time, and only the last one kept."""

    def __init__(self, depth: Depth, dtype: torch.dtype):
        super().__init__(depth.copies, depth.steps)
        self.layers, self.dtype = depth.layers, dtype
        self.check_inner, self.inner_lengths, self.answer = depth.check_steps, depth.lengths, depth.__call__
        self.kept: tuple[Any, list[nn.Module]] = (None, [])

    def check_steps(self, steps: int) -> None:
        self.check_inner(steps)

    def lengths(self, steps: int) -> list[float]:
        return self.inner_lengths(steps)

    def forward(self, depths: Sequence[float]) -> Any:
        return _Layers(self, self.answer(depths))

    def convert(self, layer: list[nn.Module]) -> list[nn.Module]:
        key = tuple(map(id, layer))
        if self.kept[0] != key:
            self.kept = key, [widen(term, self.dtype) for term in layer]
        return self.kept[1]


class _Layers(Sequence[list[nn.Module]]):
    """Layers that are converted when they are asked for."""

    def __init__(self, depth: Wide, narrow: list[list[nn.Module]]):
        self.depth, self.narrow = depth, narrow

    def __len__(self) -> int:
        return len(self.narrow)

    @overload
    def __getitem__(self, k: int) -> list[nn.Module]: ...
    @overload
    def __getitem__(self, k: slice) -> Sequence[list[nn.Module]]: ...
    def __getitem__(self, k: int | slice) -> Any:
        return _Layers(self.depth, self.narrow[k]) if isinstance(k, slice) else self.depth.convert(self.narrow[k])

    def __iter__(self) -> Iterator[list[nn.Module]]:
        return (self[k] for k in range(len(self)))


def widen(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A module like this one whose floats have that dtype; what has it already is shared."""
    other: Any = twin(module)
    for table in (other._parameters, other._buffers):
        for name, z in table.items():
            if z is not None and z.is_floating_point():
                table[name] = _convert(z, dtype)
    for name, child in module._modules.items():
        other._modules[name] = None if child is None else widen(child, dtype)
    return other


def _convert(z: Tensor, dtype: torch.dtype) -> Tensor:
    if z.dtype == dtype:
        return z
    wide = z.detach().to(dtype)
    return nn.Parameter(wide, requires_grad=False) if isinstance(z, nn.Parameter) else wide
