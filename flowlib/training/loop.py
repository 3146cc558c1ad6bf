"""The training loop. One who knows nanoGPT's train.py will find the same parts: the loop here, an update in updates.py,
what is written down in keeper.py.

A run is a folder:

    runs/NAME/config.json     what was asked for, and which data it was
             /metrics.jsonl   how it went, a line every few steps
             /best/           the model with the lowest validation loss
             /checkpoints/    the two newest points to resume from
             /lock            held while a process trains here; trainer.json says which one did last

Whatever is random in step i is drawn from (seed, i), so a checkpoint needs no generator's state; and a run that is
killed at any moment and resumed equals one that was not, bit for bit on the CPU (same torch, as many threads).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flowlib.models.shape import FlowModel
from flowlib.training import runs
from flowlib.training.config import Training
from flowlib.training.hardware import explain_failures
from flowlib.training.interrupt import StopOnInterrupt
from flowlib.training.keeper import Keeper, Watch
from flowlib.training.lock import hold
from flowlib.training.process import borrow_machine
from flowlib.training.tasks import Task, prepare
from flowlib.training.updates import Updates


@dataclass(frozen=True)
class TrainResult:
    """A finished run: its folder, the model after the last step, and how it went."""

    run: Path
    model: FlowModel
    metrics: list[dict[str, Any]]
    best_loss: float
    task: Task

    @property
    def validation_losses(self) -> list[tuple[int, float]]:
        """(step, validation loss in nats per token, picture or shape) at each evaluation."""
        return [(line["step"], line["validation_loss"]) for line in self.metrics if "validation_loss" in line]


def train(
    config: Training,
    run: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
    until: int | None = None,
    watch: Watch | None = None,
) -> TrainResult:
    """Minimise the mean of -log p of what is to be said (the next token, a class); leave everything in `run`.

    until: stop after that many updates, with a checkpoint, to be resumed.
    watch: is called with each line of metrics as soon as it is written: for a live curve, say.
    resume: go on from the newest checkpoint in `run`, or start if there is none yet; how a step is computed (device,
        precision, compile, micro_batch, recompute) may then be another, what it is may not.
    It runs on what accelerate finds: this process alone, or those of `accelerate launch` and `notebook_launcher`.
    Error: equal configurations give equal bits on the CPU of one machine, with one number of threads.
    Raises: FileExistsError (a run is there, and not to be resumed), ValueError (a bad text, another configuration, a
        damaged checkpoint), FloatingPointError (the loss is no longer finite), BlockingIOError (another process trains
        there), MemoryError, OSError, PermissionError, Interrupted (Ctrl-C or SIGTERM; the step was finished and saved).
    """
    run = Path(run)
    with borrow_machine(config) as machine, fork_random_numbers(machine.device):
        task = prepare(config)
        with explain_failures(run, machine.at_once), hold(run, machine.accelerator), StopOnInterrupt() as stop:
            start = runs.begin(run, task.config, task.describe(), resume, machine.accelerator)
            updates = Updates(task, machine, start)
            keeper = Keeper(run, updates, start, progress, watch)
            keeper.begin()
            last = config.steps if until is None else min(until, config.steps)
            for update in updates.make(range(start.step, last)):
                keeper.report(update)
                if stop.is_due(machine.accelerator, ask=update.step % config.log_every == 0):
                    keeper.interrupt(update.step)
            keeper.finish(last)
    return TrainResult(run, updates.hand_over(), runs.read_metrics(run), keeper.best_loss, task)


@contextmanager
def fork_random_numbers(device: torch.device) -> Iterator[None]:
    """torch.random.fork_rng, for Apple's GPU too, whose generator it does not know."""
    devices = _gpus(device)
    state = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        try:
            yield
        finally:
            if state is not None:
                torch.mps.set_rng_state(state)


def _gpus(device: torch.device) -> list[torch.device]:
    """The devices, besides the CPU, whose random numbers a run uses, as fork_rng takes them."""
    return [] if device.type in ("cpu", "mps") else [device]
