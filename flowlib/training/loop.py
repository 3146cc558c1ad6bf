"""The training loop. One who knows nanoGPT's train.py will find the same parts in the same order.

A run is a folder:

    runs/NAME/config.json     what was asked for, and which data it was
             /metrics.jsonl   how it went, a line every few steps
             /best/           the model with the lowest validation loss
             /checkpoints/    the two newest points to resume from

Whatever is random in step i is drawn from (seed, i), so a checkpoint needs no generator's state; and a run that is
killed at any moment and resumed equals one that was not, bit for bit on the CPU (same torch, as many threads).
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flowlib.models.shape import FlowModel
from flowlib.training import checkpoints, data, runs
from flowlib.training.config import Training, learning_rate
from flowlib.training.elastic import draw_steps
from flowlib.training.hardware import Forward, compiled, explained, in_bfloat16, to_compile
from flowlib.training.interrupt import Interrupted, StopOnInterrupt
from flowlib.training.tasks import Task, prepare

if TYPE_CHECKING:
    from accelerate import Accelerator


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
    watch: Callable[[dict[str, Any]], None] | None = None,
) -> TrainResult:
    """Minimise the mean of -log p of what is to be said; leave everything in the folder `run`.

    What that is, the kind of `config` says: the next token of a text, the class of a picture or of a shape.

    With `until` it stops after that many updates, with a checkpoint, to be resumed.
    `watch` is called with each line of metrics as soon as it is written: for a live curve, say.
    With `resume` it goes on from the newest checkpoint in `run`, or starts if there is none yet; how a step is computed
    (device, precision, compile, micro_batch, recompute) may then be another, what it is may not.
    It runs on what accelerate finds: this process alone, or those of `accelerate launch` and `notebook_launcher`.
    Error: equal configurations give equal bits on the CPU of one machine, with one number of threads.
    Raises: FileExistsError (`run` has a run in it and `resume` was not asked for), ValueError (a bad text, a run
        that was configured otherwise, a damaged checkpoint), FloatingPointError (the loss is no longer finite),
        MemoryError, OSError (a full disk), PermissionError (a folder that cannot be written),
        Interrupted (Ctrl-C; the step was finished and saved).
    """
    from accelerate import Accelerator
    from tqdm import tqdm

    accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision="no")  # autocast is the loop's own
    if accelerator.distributed_type == "FSDP" and not accelerator.is_fsdp2:
        raise ValueError("checkpoints need FSDP's version 2: set fsdp_version: 2 with accelerate config")
    device, run = accelerator.device, Path(run)
    at_once = windows_at_once(config, accelerator.num_processes)
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=in_bfloat16(config, device))
    task = prepare(config)
    config = task.config

    with explained(run, at_once), torch.random.fork_rng(_gpus(device)), StopOnInterrupt() as stop:
        start = runs.begin(run, config, task.record(), resume, accelerator)
        torch.manual_seed(config.seed)
        model = _load_model(start.checkpoint, task) if start.checkpoint else task.kind(config.model)
        model.flow.checks, model.flow.recompute = False, config.recompute
        groups = model.train().parameter_groups(config.weight_decay)
        fused = True if device.type == "cuda" else None
        optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=fused)
        wrapped, optimizer = accelerator.prepare(model, optimizer)
        if start.checkpoint:
            checkpoints.load_optimizer(start.checkpoint, model, optimizer)

        def own_parts(step: int) -> data.Parts:
            return data.shares(task.batch(step), accelerator.process_index, accelerator.num_processes, at_once)

        def gradient(forward: Forward, parts: data.Parts, flow_steps: int | None) -> Tensor:
            """Add the gradient of the mean loss over the parts, one after the other; returns that loss."""
            total = torch.zeros((), device=device)
            for number, (inputs, targets) in enumerate(parts, start=1):
                with nullcontext() if number == len(parts) else accelerator.no_sync(wrapped):
                    with autocast():
                        loss = task.loss(forward, inputs, targets, flow_steps) / len(parts)
                    accelerator.backward(loss)
                total += loss.detach()
            return total

        forward = wrapped
        if to_compile(config, device) and start.step < config.steps:
            first = next(data.ahead([own_parts(start.step)[-1:]], device))
            agree = lambda holds: accelerator.reduce(torch.tensor(float(holds), device=device), "mean").item() == 1.0
            forward = compiled(wrapped, lambda program: gradient(program, first, None), agree)
            optimizer.zero_grad()

        show = progress and accelerator.is_main_process
        bar = tqdm(total=config.steps, initial=start.step, unit="step", disable=None if show else True)
        keeper = _Keeper(run, task, accelerator, model, optimizer, start, bar, show, autocast, watch)
        if start.checkpoint is None:
            keeper.report(0)
        last = config.steps if until is None else min(until, config.steps)
        steps = range(start.step, last)
        for step, parts in zip(steps, data.ahead(map(own_parts, steps), device), strict=True):
            torch.manual_seed(data.step_seed(config.seed + accelerator.process_index, step))  # for dropout
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config)
            loss = gradient(forward, parts, draw_steps(config.flow_steps, config.seed, step))
            norm = accelerator.clip_grad_norm_(wrapped.parameters(), config.clip)
            optimizer.step()
            optimizer.zero_grad()
            bar.update()
            keeper.report(step + 1, loss, norm)
            if stop.requested(accelerator, ask=(step + 1) % config.log_every == 0):
                keeper.save(step + 1)
                raise Interrupted(f"stopped after step {step + 1} of {config.steps}, saved in {run}")
        if start.step < last < config.steps:
            keeper.save(last)
        bar.close()
    accelerator.free_memory()
    model.flow.checks, model.flow.recompute = True, False
    return TrainResult(run, model.eval(), runs.read_metrics(run), keeper.best_loss, task)


def windows_at_once(config: Training, processes: int) -> int:
    """How many windows a process works on at once. Raises: ValueError where the batch cannot be shared out evenly."""
    share, rest = divmod(config.batch, processes)
    if rest:
        raise ValueError(f"batch must be a multiple of the {processes} processes, is {config.batch}")
    if config.micro_batch and share % config.micro_batch:
        raise ValueError(
            f"micro_batch must divide the {share} windows that each of {processes} processes takes of a batch, "
            f"is {config.micro_batch}"
        )
    return config.micro_batch or share


def _load_model(checkpoint: Path, task: Task) -> FlowModel:
    model = checkpoints.load_model(checkpoint, task.kind)
    if model.config != task.config.model:
        raise ValueError(f"{checkpoint / 'config.json'} is of another model than this run's; delete {checkpoint}")
    return model


def _gpus(device: torch.device) -> list[torch.device]:
    """The devices, besides the CPU, whose random numbers a run uses."""
    return [device] if device.type == "cuda" else []


@torch.no_grad()
def _size(model: FlowModel) -> float:
    """The norm of all parameters: finite only if each of them is."""
    return torch.stack([checkpoints.whole(parameter.norm()) for parameter in model.parameters()]).norm().item()


@dataclass
class _Keeper:
    """Evaluates now and then, and writes down what is to be kept: metrics, the best model, checkpoints.

    Between its lines of metrics nothing is read from the device, because a GPU would have to wait; the norms of the
    gradients stay there until then, and no checkpoint is written before all of them are known to be finite.
    """

    run: Path
    task: Task
    accelerator: "Accelerator"
    model: FlowModel
    optimizer: Any
    start: runs.Start
    bar: Any
    show: bool
    autocast: Callable[[], Any]
    watch: Callable[[dict[str, Any]], None] | None = None
    best_loss: float = field(init=False)
    norms: list[Tensor] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.config, self.best_loss = self.task.config, self.start.best_loss
        self.began = time.monotonic() - self.start.seconds

    def report(self, step: int, loss: Tensor | None = None, norm: Tensor | None = None) -> None:
        """After `step` updates: sometimes a line of metrics; at an evaluation the best model and a checkpoint too."""
        self.norms += [] if norm is None else [checkpoints.whole(norm)]
        evaluating = step % self.config.eval_every == 0 or step == self.config.steps
        if not evaluating and step % self.config.log_every:
            return
        losses = {}
        if loss is not None:
            losses["train_loss"] = self.accelerator.reduce(loss, reduction="mean").item()
            self.must_be_finite(step, losses["train_loss"])
        if evaluating:
            self.must_be_finite(step, _size(self.model))
            losses |= self.evaluate()
            self.must_be_finite(step, losses["validation_loss"])
        self._write_metrics(step, losses, durable=evaluating)
        self.bar.set_postfix({name: f"{loss:.3f}" for name, loss in losses.items()}, refresh=False)
        if not evaluating:
            return
        if losses["validation_loss"] < self.best_loss:
            self.best_loss = losses["validation_loss"]
            tensors = checkpoints.gathered(self.model.state_dict())
            if self.accelerator.is_main_process:
                self.model.save(self.run / "best", tensors)
        self.save(step)
        if self.show:
            said = f"   accuracy {losses['validation_accuracy']:.1%}" if "validation_accuracy" in losses else ""
            loss = f"{losses['validation_loss']:.4f} nats per {self.task.unit}"
            self.bar.write(f"step {step:6d}   validation loss {loss}{said}")

    def evaluate(self) -> dict[str, float]:
        """validation_loss, and what else the task measures on its validation split."""
        with self.autocast():
            return self.task.evaluate(self.model, self.accelerator.device)

    def save(self, step: int) -> None:
        """A checkpoint to resume from, after `step` updates."""
        self.must_be_finite(step, _size(self.model))
        state = {"step": step, "best_loss": self.best_loss, "wall_seconds": time.monotonic() - self.began}
        state["versions"] = runs.versions(self.accelerator.device, self.accelerator.num_processes)
        write_here = self.accelerator.is_main_process
        checkpoints.save_checkpoint(self.run, self.model, self.optimizer, state, write_here=write_here)
        self.accelerator.wait_for_everyone()

    def must_be_finite(self, step: int, number: float) -> None:
        """Stop before NaN or infinity gets into a checkpoint. Raises: FloatingPointError that names the first step."""
        norms = torch.stack(self.norms).tolist() if self.norms else []
        self.norms.clear()
        for at, value in [*zip(range(step - len(norms) + 1, step + 1), norms, strict=True), (step, number)]:
            if math.isfinite(value):
                continue
            raise FloatingPointError(
                f"loss, gradient and parameters must stay finite, but {value} came at step {at}, at learning rate "
                f"{learning_rate(max(at - 1, 0), self.config):.3g}; start again with a lower learning_rate, "
                f"a longer warmup, or a smaller clip (the checkpoints in {self.run} are from before, and whole)"
            )

    def _write_metrics(self, step: int, losses: dict[str, float], durable: bool) -> None:
        if self.accelerator.is_main_process:
            line = {"step": step, **losses}
            line["learning_rate"] = learning_rate(max(step - 1, 0), self.config)
            line |= self.task.seen(step)
            line["wall_seconds"] = round(time.monotonic() - self.began, 3)
            runs.append_metrics(self.run, line, durable)
            if self.watch:
                self.watch(line)
