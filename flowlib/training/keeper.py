"""What is kept of a run while it goes on: its metrics, the best model, checkpoints; and nothing that is not finite."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowlib.models.shape import FlowModel
from flowlib.training import checkpoints, runs
from flowlib.training.interrupt import Interrupted
from flowlib.training.schedule import find_steps, learning_rate
from flowlib.training.updates import Update, Updates

Watch = Callable[[dict[str, Any]], object]
FALLEN = 0.1  # nats: so much worse than before, and no better than this below what frequencies alone are worth


class Keeper:
    """Evaluates now and then, and writes down what is to be kept: metrics, the best model, checkpoints.

    Between its lines of metrics nothing is read from the device, because a GPU would have to wait; the norms of the
    gradients stay there until then, and no checkpoint is written before all of them are known to be finite.
    """

    def __init__(self, run: Path, updates: Updates, start: runs.Start, progress: bool, watch: Watch | None):
        from tqdm import tqdm

        self.run, self.updates, self.start, self.watch = run, updates, start, watch
        self.task, self.config, self.accelerator = updates.task, updates.config, updates.machine.accelerator
        self.best_loss, self.began = start.best_loss, time.monotonic() - start.seconds
        self.norms: list[Tensor] = []
        self.warned = False
        self.show = progress and self.accelerator.is_main_process
        quiet = None if self.show else True  # None: quiet where nobody looks
        self.bar = tqdm(total=self.config.steps, initial=start.step, unit="step", disable=quiet)

    def begin(self) -> None:
        """What is to be said before the first update: nothing, where a checkpoint has said it."""
        if self.start.checkpoint is None:
            self.write(0, {})

    def report(self, update: Update) -> None:
        """After an update: sometimes a line of metrics; at an evaluation the best model and a checkpoint too."""
        step = update.step
        self.bar.update()
        self.norms.append(checkpoints.gather(update.norm))
        if self._is_evaluated(step) or step % self.config.log_every == 0:
            train_loss = self.accelerator.reduce(update.loss, reduction="mean").item()
            self.must_be_finite(step, train_loss)
            self.write(step, {"train_loss": train_loss})

    def write(self, step: int, losses: dict[str, float]) -> None:
        """A line of metrics after `step` updates; at an evaluation also what that finds, and what is to be kept."""
        evaluated = self._is_evaluated(step)
        if evaluated:
            self.must_be_finite(step, _measure_size(self.updates.model))
            losses = losses | self.evaluate()
            self.must_be_finite(step, losses["validation_loss"])
        self._write_metrics(step, losses, durable=evaluated)
        self.bar.set_postfix({name: f"{loss:.3f}" for name, loss in losses.items()}, refresh=False)
        if evaluated:
            self._warn(step, losses["validation_loss"])
            self._keep_best(losses["validation_loss"])
            self.save(step)
            self._say(step, losses)

    def _is_evaluated(self, step: int) -> bool:
        return step % self.config.eval_every == 0 or step == self.config.steps

    def evaluate(self) -> dict[str, float]:
        """validation_loss, and what else the task measures on its validation split."""
        with self.updates.machine.autocast():
            return self.task.evaluate(self.updates.model, self.updates.machine.device)

    def save(self, step: int) -> None:
        """A checkpoint to resume from, after `step` updates."""
        model, machine = self.updates.model, self.updates.machine
        self.must_be_finite(step, _measure_size(model))
        versions = runs.versions(machine.device, self.accelerator.num_processes)
        seconds = time.monotonic() - self.began
        state = {"step": step, "best_loss": self.best_loss, "wall_seconds": seconds, "versions": versions}
        write_here = self.accelerator.is_main_process
        checkpoints.save_checkpoint(self.run, model, self.updates.optimizer, state, write_here=write_here)
        self.accelerator.wait_for_everyone()

    def interrupt(self, step: int) -> None:
        """Save, and stop between two updates. Raises: Interrupted."""
        self.save(step)
        raise Interrupted(f"stopped after step {step} of {self.config.steps}, saved in {self.run}")

    def finish(self, last: int) -> None:
        """After the `last` update that was asked for: a checkpoint, where the run goes on some other time."""
        if self.start.step < last < self.config.steps:
            self.save(last)
        self.bar.close()

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
        if not self.accelerator.is_main_process:
            return
        line: dict[str, Any] = {"step": step, **losses, "learning_rate": learning_rate(max(step - 1, 0), self.config)}
        line |= self.task.count_examples(step)
        if self.config.flow_steps:
            line["flow_steps"] = find_steps(max(step - 1, 0), self.config)
        line["wall_seconds"] = round(time.monotonic() - self.began, 3)
        runs.append_metrics(self.run, line, durable)
        if self.watch:
            self.watch(line)

    def _keep_best(self, loss: float) -> None:
        if loss < self.best_loss:
            self.best_loss = loss
            tensors = checkpoints.gather_all(self.updates.model.state_dict())
            if self.accelerator.is_main_process:
                self.updates.model.save(self.run / "best", tensors)

    def _say(self, step: int, losses: dict[str, float]) -> None:
        if self.show:
            said = f"   accuracy {losses['validation_accuracy']:.1%}" if "validation_accuracy" in losses else ""
            loss = f"{losses['validation_loss']:.4f} nats per {self.task.unit}"
            self.bar.write(f"step {step:6d}   validation loss {loss}{said}")

    def _warn(self, step: int, loss: float) -> None:
        """Say once that the model is back at the frequencies of tokens or classes, or still there at half-time."""
        c, what = self.config, self.task.target
        fell, stuck = loss > self.best_loss + FALLEN, 2 * step >= c.steps
        if not self.show or self.warned or not (fell or stuck) or step <= c.flow_coarse * c.steps:
            return  # in the coarse updates the model is not yet one for its own number of steps
        if loss < (idle := self.task.idle_loss()) - FALLEN:
            return
        self.warned = True
        self.bar.write(
            f"step {step:6d}   the loss is {'back' if fell else 'still'} at {loss:.2f}: who knows only how often each "
            f"{what} occurs has {idle:.2f}. A rate of {c.learning_rate:g} is too high for a warm-up of {c.warmup} "
            f"updates{'' if fell else ', or much too low'}, and what falls back hardly recovers: start again with a "
            f"warmup of {3 * max(c.warmup, 50)}, or half the learning_rate"
        )


@torch.no_grad()
def _measure_size(model: FlowModel) -> float:
    """The norm of all parameters: finite only if each of them is."""
    return torch.stack([checkpoints.gather(parameter.norm()) for parameter in model.parameters()]).norm().item()
