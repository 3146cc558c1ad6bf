"""One update after the other: the gradient of a batch, shared out over processes and windows, and AdamW's step."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from flowlib.models.shape import FlowModel, Steps
from flowlib.training import checkpoints, data
from flowlib.training.hardware import Forward, to_compile, try_to_compile
from flowlib.training.process import Machine
from flowlib.training.runs import Start
from flowlib.training.schedule import find_steps, learning_rate, list_steps
from flowlib.training.tasks import Task


class Update(NamedTuple):
    """What is known after so many updates, on the device: the loss before the last one, the norm of its gradient."""

    step: int
    loss: Tensor
    norm: Tensor


class Updates:
    """Model and optimizer where `start` left them, ready for the updates that follow."""

    def __init__(self, task: Task, machine: Machine, start: Start):
        self.task, self.config, self.machine = task, task.config, machine
        torch.manual_seed(self.config.seed)
        self.model = _load_model(start.checkpoint, task) if start.checkpoint else _make_model(task)
        self.model.flow.checks, self.model.flow.recompute = False, self.config.recompute
        self.wrapped, self.optimizer = machine.accelerator.prepare(self.model, self._make_optimizer())
        if start.checkpoint:
            checkpoints.load_optimizer(start.checkpoint, self.model, self.optimizer)
        compiling = to_compile(self.config, machine.device) and start.step < self.config.steps
        self.forward: Forward = self._compile(start.step) if compiling else self.wrapped

    def _make_optimizer(self) -> torch.optim.Optimizer:
        c = self.config
        groups = self.model.train().parameter_groups(c.weight_decay)
        fused = True if self.machine.device.type == "cuda" else None
        return torch.optim.AdamW(groups, lr=c.learning_rate, betas=c.betas, fused=fused)

    def _compile(self, step: int) -> Forward:
        """The compiled model, tried on the last part of that step's batch in every process; or the model itself."""
        accelerator, device = self.machine.accelerator, self.machine.device
        first = next(data.send_ahead([self._take_share(step)[-1:]], device))
        agree = lambda holds: accelerator.reduce(torch.tensor(float(holds), device=device), "mean").item() == 1.0
        trial = lambda program: [self.add_gradient(program, first, steps) for steps in list_steps(self.config)]
        forward = try_to_compile(self.wrapped, trial, agree)
        self.optimizer.zero_grad()
        return forward

    def make(self, steps: range) -> Iterator[Update]:
        """Make the updates of these steps, one whenever the next is asked for."""
        batches = data.send_ahead(map(self._take_share, steps), self.machine.device)
        for step, parts in zip(steps, batches, strict=True):
            yield self._make_one(step, parts)

    def _make_one(self, step: int, parts: data.Parts) -> Update:
        c, accelerator = self.config, self.machine.accelerator
        torch.manual_seed(data.step_seed(c.seed + accelerator.process_index, step))  # for dropout
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, c)
        loss = self.add_gradient(self.forward, parts, find_steps(step, c))
        norm = accelerator.clip_grad_norm_(self.wrapped.parameters(), c.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return Update(step + 1, loss, norm)

    def add_gradient(self, forward: Forward, parts: data.Parts, flow_steps: Steps) -> Tensor:
        """Add the gradient of the mean loss over the parts, one after the other; returns that loss."""
        accelerator, total = self.machine.accelerator, torch.zeros((), device=self.machine.device)
        for number, (inputs, targets) in enumerate(parts, start=1):
            with nullcontext() if number == len(parts) else accelerator.no_sync(self.wrapped):
                with self.machine.autocast():
                    loss = self.task.loss(forward, inputs, targets, flow_steps) / len(parts)
                accelerator.backward(loss)
            total += loss.detach()
        return total

    def _take_share(self, step: int) -> data.Parts:
        accelerator = self.machine.accelerator
        batch = self.task.batch(step)
        return data.take_share(batch, accelerator.process_index, accelerator.num_processes, self.machine.at_once)

    def hand_over(self) -> FlowModel:
        """The model as it stands, for use."""
        self.model.flow.checks, self.model.flow.recompute = True, False
        return self.model.eval()


def _make_model(task: Task) -> FlowModel:
    """The model as it begins, with whatever is random drawn from torch's generator."""
    model = task.kind(task.config.model)
    if task.config.alike:
        model.flow.depth.make_alike()
    return model


def _load_model(checkpoint: Path, task: Task) -> FlowModel:
    model = checkpoints.load_model(checkpoint, task.kind)
    if model.config != task.config.model:
        raise ValueError(f"{checkpoint / 'config.json'} is of another model than this run's; delete {checkpoint}")
    return model
