"""What a run borrows from the process that it runs in: torch's settings and accelerate's state."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from flowlib.training.config import Training
from flowlib.training.hardware import in_bfloat16


class Machine:
    """Where the steps of a run are computed, and how: accelerate's device and processes, windows at once, precision.

    Raises: ValueError where the batch cannot be shared out, for a GPU without the precision, and for FSDP's version 1.
    """

    def __init__(self, config: Training):
        from accelerate import Accelerator

        self.accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision="no")  # autocast is the loop's own
        if self.accelerator.distributed_type == "FSDP" and not self.accelerator.is_fsdp2:
            raise ValueError("checkpoints need FSDP's version 2: set fsdp_version: 2 with accelerate config")
        self.device: torch.device = self.accelerator.device
        self.at_once = count_windows(config, self.accelerator.num_processes)
        in_half = in_bfloat16(config, self.device)
        self.autocast = partial(torch.autocast, self.device.type, torch.bfloat16, enabled=in_half)


@contextmanager
def borrow_machine(config: Training) -> Iterator[Machine]:
    """The process as a run needs it, whatever was set before; afterwards all is as it was found."""
    with set_torch(), set_aside_accelerate():
        machine = Machine(config)
        yield machine
        machine.accelerator.free_memory()


def count_windows(config: Training, processes: int) -> int:
    """How many windows a process works on at once. Raises: ValueError where the batch cannot be shared out evenly."""
    share, rest = divmod(config.batch, processes)
    if rest:
        raise ValueError(f"batch must be a multiple of the {processes} processes, is {config.batch}")
    if config.micro_batch and share % config.micro_batch:
        raise ValueError(
            f"micro_batch must divide the {share} windows that each of {processes} processes takes of a batch, "
            f"is {config.micro_batch}"
        )
    at_once = config.micro_batch or share
    if config.flow_split and at_once % (parts := len(config.flow_steps)):
        raise ValueError(
            f"what a device works on at once must split evenly over {parts} parts (flow_steps "
            f"{', '.join(map(str, config.flow_steps))}), but is {at_once} of a batch of {config.batch}; give a "
            f"micro_batch that is a multiple of {parts}"
        )
    return at_once


@contextmanager
def set_torch() -> Iterator[None]:
    """Gradients on, numbers in float32, made on the CPU where no device is named, no autocast of the caller's."""
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def set_aside_accelerate() -> Iterator[None]:
    """accelerate has one state for a process, on one device and in one precision; inside, there is none yet.

    Where several processes talk to each other, that they do stays: their group is not made twice.
    """
    from accelerate.state import AcceleratorState, GradientState, PartialState

    kinds: list[Any] = [AcceleratorState, GradientState, *([] if _in_a_group() else [PartialState])]
    before = [(kind, dict(kind._shared_state)) for kind in kinds]
    for kind in kinds:
        kind._shared_state.clear()
    try:
        yield
    finally:
        for kind, state in before:
            if kind is not PartialState or not _in_a_group():
                kind._shared_state.clear()
                kind._shared_state.update(state)


def _in_a_group() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
