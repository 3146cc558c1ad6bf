"""The training loop. One who knows nanoGPT's train.py will find the same parts in the same order.

A run is a folder:

    runs/NAME/config.json     what was asked for, and which text it was
             /metrics.jsonl   how it went, a line every few steps
             /best/           the model with the lowest validation loss
             /checkpoints/    the two newest points to resume from

Whatever is random in step i is drawn from (seed, i), so a checkpoint needs no generator's state; and a run that is
killed at any moment and resumed equals one that was not, bit for bit on the CPU (same torch, as many threads).
"""

import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flowlib.models.language import FlowLM, Vocabulary
from flowlib.training import checkpoints, data, runs
from flowlib.training.config import TrainConfig, learning_rate
from flowlib.training.elastic import draw_steps
from flowlib.training.evaluation import cross_entropy, full_loss, quick_loss
from flowlib.training.interrupt import Interrupted, StopOnInterrupt

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class TrainResult:
    """A finished run: its folder, the model after the last step, and how it went."""

    run: Path
    model: FlowLM
    metrics: list[dict[str, Any]]
    best_loss: float

    @property
    def validation_losses(self) -> list[tuple[int, float]]:
        """(step, validation loss in nats per token) at each evaluation."""
        return [(line["step"], line["validation_loss"]) for line in self.metrics if "validation_loss" in line]


def train(
    config: TrainConfig, run: str | Path, *, resume: bool = False, progress: bool = True, until: int | None = None
) -> TrainResult:
    """Minimise the mean of -log p(token | the tokens before it) over a corpus; leave everything in the folder `run`.

    With `until` it stops after that many updates, with a checkpoint, to be resumed.
    With `resume` it goes on from the newest checkpoint in `run`, or starts if there is none yet.
    Error: equal configurations give equal bits on the CPU of one machine, with one number of threads.
    Raises: FileExistsError (`run` has a run in it and `resume` was not asked for), ValueError (a bad text, a run
        that was configured otherwise, a damaged checkpoint), FloatingPointError (the loss is no longer finite),
        Interrupted (Ctrl-C; the step was finished and saved).
    """
    from accelerate import Accelerator
    from tqdm import tqdm

    accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision=config.precision)
    if config.batch % accelerator.num_processes:
        raise ValueError(f"batch must be a multiple of the {accelerator.num_processes} processes, is {config.batch}")
    config, corpus, train_tokens, validation_tokens = prepare_data(config)
    start = runs.begin(Path(run), config, corpus, resume, accelerator)

    with torch.random.fork_rng(), StopOnInterrupt() as stop:
        torch.manual_seed(config.seed)
        model = _load_model(start.checkpoint, config) if start.checkpoint else FlowLM(config.model)
        groups = model.train().parameter_groups(config.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas)
        wrapped, optimizer = accelerator.prepare(model, optimizer)
        if start.checkpoint:
            checkpoints.load_optimizer(start.checkpoint, model, optimizer)
        show = progress and accelerator.is_main_process
        bar = tqdm(total=config.steps, initial=start.step, unit="step", disable=None if show else True)
        keeper = _Keeper(Path(run), config, accelerator, model, optimizer, validation_tokens, start, bar, show)

        if start.checkpoint is None:
            keeper.report(0, {})
        last = config.steps if until is None else min(until, config.steps)
        for step in range(start.step, last):
            torch.manual_seed(data.step_seed(config.seed, step))  # for dropout, where a model has any
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config)
            shape = {"size": config.batch, "context": config.model.context}
            inputs, targets = data.batch(train_tokens, step, seed=config.seed, **shape)
            own = (_own_part(inputs, accelerator), _own_part(targets, accelerator))
            loss = cross_entropy(wrapped, *own, steps=draw_steps(config.flow_steps, config.seed, step))
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(wrapped.parameters(), config.clip)
            train_loss = accelerator.reduce(loss.detach(), reduction="mean").item()
            keeper.must_be_finite(step + 1, train_loss + float(norm))
            optimizer.step()
            optimizer.zero_grad()
            keeper.must_be_finite(step + 1, _size(model))
            bar.update()
            keeper.report(step + 1, {"train_loss": train_loss})
            if stop.requested(accelerator):
                keeper.save(step + 1)
                raise Interrupted(f"stopped after step {step + 1} of {config.steps}, saved in {run}")
        if start.step < last < config.steps:
            keeper.save(last)
        bar.close()
    return TrainResult(Path(run), model.eval(), runs.read_metrics(run), keeper.best_loss)


def prepare_data(config: TrainConfig) -> tuple[TrainConfig, data.Corpus, Tensor, Tensor]:
    """The configuration with the vocabulary of its corpus, the corpus, and its tokens to train and validate on."""
    corpus = data.load_corpus(config.corpus)
    vocabulary = Vocabulary.bytes() if config.vocabulary == "bytes" else Vocabulary.characters(corpus.text)
    config = replace(config, model=replace(config.model, vocabulary=vocabulary))
    return config, corpus, *data.split(vocabulary.encode(corpus.text), config.model.context)


def _load_model(checkpoint: Path, config: TrainConfig) -> FlowLM:
    model = checkpoints.load_model(checkpoint)
    if model.config != config.model:
        raise ValueError(f"{checkpoint / 'config.json'} is of another model than this run's; delete {checkpoint}")
    return model


def _own_part(batch: Tensor, accelerator: "Accelerator") -> Tensor:
    """This process's share of a batch, on its device: the whole batch does not depend on how many there are."""
    return batch[accelerator.process_index :: accelerator.num_processes].to(accelerator.device)


@torch.no_grad()
def _size(model: FlowLM) -> float:
    """The norm of all parameters: finite only if each of them is."""
    return torch.stack([parameter.norm() for parameter in model.parameters()]).norm().item()


@dataclass
class _Keeper:
    """Evaluates now and then, and writes down what is to be kept: metrics, the best model, checkpoints."""

    run: Path
    config: TrainConfig
    accelerator: "Accelerator"
    model: FlowLM
    optimizer: Any
    validation_tokens: Tensor
    start: runs.Start
    bar: Any
    show: bool
    best_loss: float = field(init=False)

    def __post_init__(self) -> None:
        self.best_loss = self.start.best_loss
        self.began = time.monotonic() - self.start.seconds

    def report(self, step: int, losses: dict[str, float]) -> None:
        """After `step` updates: sometimes a line of metrics; at an evaluation the best model and a checkpoint too."""
        evaluating = step % self.config.eval_every == 0 or step == self.config.steps
        if not evaluating and step % self.config.log_every:
            return
        if evaluating:
            losses = losses | {"validation_loss": self.evaluate()}
            self.must_be_finite(step, losses["validation_loss"])
        self._write_metrics(step, losses, durable=evaluating)
        self.bar.set_postfix({name: f"{loss:.3f}" for name, loss in losses.items()}, refresh=False)
        if not evaluating:
            return
        if losses["validation_loss"] < self.best_loss:
            self.best_loss = losses["validation_loss"]
            if self.accelerator.is_main_process:
                self.model.save(self.run / "best")
        self.save(step)
        if self.show:
            self.bar.write(f"step {step:6d}   validation loss {losses['validation_loss']:.4f} nats per token")

    def evaluate(self) -> float:
        """The validation loss: of the whole split, or estimated from `eval_batches` batches."""
        place = {"context": self.config.model.context, "device": self.accelerator.device}
        if self.config.eval_batches:
            chosen = {"batches": self.config.eval_batches, "seed": self.config.seed}
            return quick_loss(self.model, self.validation_tokens, **chosen, **place)
        return full_loss(self.model, self.validation_tokens, **place)

    def save(self, step: int) -> None:
        """A checkpoint to resume from, after `step` updates."""
        if self.accelerator.is_main_process:
            state = {"step": step, "best_loss": self.best_loss, "wall_seconds": time.monotonic() - self.began}
            checkpoints.save_checkpoint(self.run, self.model, self.optimizer, state | {"versions": runs.versions()})
        self.accelerator.wait_for_everyone()

    def must_be_finite(self, step: int, number: float) -> None:
        """Stop before NaN or infinity gets into a checkpoint. Raises: FloatingPointError."""
        if not math.isfinite(number):
            raise FloatingPointError(
                f"loss, gradient and parameters must stay finite, but {number} came at step {step}, at learning rate "
                f"{learning_rate(max(step - 1, 0), self.config):.3g}; start again with a lower learning_rate, "
                f"a longer warmup, or a smaller clip (the checkpoints in {self.run} are from before)"
            )

    def _write_metrics(self, step: int, losses: dict[str, float], durable: bool) -> None:
        if self.accelerator.is_main_process:
            line = {"step": step, **losses}
            line["learning_rate"] = learning_rate(max(step - 1, 0), self.config)
            line["tokens"] = step * self.config.batch * self.config.model.context
            line["wall_seconds"] = round(time.monotonic() - self.began, 3)
            runs.append_metrics(self.run, line, durable)
