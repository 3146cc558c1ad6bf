"""Tensors that stay in their file until they are used: how a model is looked at that is as large as the memory.

A safetensors file is mapped, not read: its pages come into memory when a product needs them, and `Mapping` gives them
back once some have been used. What a reader of an architecture would copy, it shares with the file.
"""

import json
import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
KEPT = 1 << 26  # bytes of the files that may be in memory before they are given back


class Mapping(TorchFunctionMode):
    """The tensors of some safetensors files, by name; inside of `with mapping:` what was used of them is given back.

    tensors     name → a tensor whose numbers stay in the file. What is written to one is lost.
    copied      tensors (of them) that a clone copies, as usual; a clone of any other one is the tensor itself, where
                its numbers lie as they are used. So a reader that copies what it reads copies nothing.
    Raises: ValueError for a file that is no whole safetensors file, or has other numbers than floats.
    """

    def __init__(self, files: Sequence[Path]):
        super().__init__()
        self.maps: list[mmap.mmap] = []
        self.spans: list[tuple[int, int]] = []
        self.tensors: dict[str, Tensor] = {}
        self.copied: list[Tensor] = []
        self.used = 0
        for file in files:
            self.tensors |= self._map(file)

    def _map(self, file: Path) -> dict[str, Tensor]:
        try:
            with open(file, "rb") as opened:
                mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
            start = 8 + int.from_bytes(mapped[:8], "little")
            header = json.loads(mapped[8:start])
            rows = {name: row for name, row in header.items() if name != "__metadata__"}
            tensors = {name: _view(mapped, start, row) for name, row in rows.items()}
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{file} is not a whole safetensors file of floats ({str(error):.200})") from None
        self.maps.append(mapped)
        base = torch.frombuffer(mapped, dtype=torch.uint8).data_ptr()
        self.spans.append((base, base + len(mapped)))
        return tensors

    def holds(self, z: Any) -> bool:
        """Whether these numbers lie in the files."""
        return isinstance(z, Tensor) and any(low <= z.data_ptr() < high for low, high in self.spans)

    def __torch_function__(
        self, call: Callable, types: Any, arguments: tuple = (), options: dict[str, Any] | None = None
    ) -> Any:
        options = options or {}
        if call is Tensor.clone and self._may_share(arguments[0]):
            return arguments[0]
        result = call(*arguments, **options)
        if call not in GLANCES:
            held = [z for z in tree_leaves((arguments, options)) if type(z) in (Tensor, torch.nn.Parameter)]
            self.used += sum(z.nbytes for z in held if self.holds(z))
            if self.used > KEPT:
                self.give_back()
        return result

    def _may_share(self, z: Tensor) -> bool:
        return z.is_contiguous() and self.holds(z) and all(z.data_ptr() != other.data_ptr() for other in self.copied)

    def give_back(self) -> None:
        """Forget what was read; it is read again where it is needed. (Some systems have no way to.)"""
        self.used = 0
        for mapped in self.maps:
            if hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)


# What looks at a tensor and not at its numbers.
_SEEN: Any = Tensor
GLANCES = {getattr(_SEEN, name).__get__ for name in ("T", "mT", "shape", "dtype", "device", "grad", "requires_grad")}
GLANCES |= {getattr(_SEEN, name) for name in ("data_ptr", "detach", "is_contiguous", "size", "stride", "unflatten")}
GLANCES |= {getattr(_SEEN, name) for name in ("flatten", "split", "chunk", "transpose", "is_floating_point")}


def _view(mapped: mmap.mmap, start: int, row: dict[str, Any]) -> Tensor:
    dtype, (first, last) = DTYPES[row["dtype"]], row["data_offsets"]
    count = (last - first) // dtype.itemsize
    if not count:
        return torch.empty(row["shape"], dtype=dtype)
    return torch.frombuffer(mapped, dtype=dtype, count=count, offset=start + first).view(row["shape"])
