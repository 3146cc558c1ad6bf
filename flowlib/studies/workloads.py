"""What is measured of each contestant: an update, a pass, attention alone, a text; and what memory a call needs."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.measure.ratios import in_turns
from flowlib.models.language import FlowConfig, FlowLM
from flowlib.operators.attention import integrate, relative_log
from flowlib.studies.contestants import PlainGPT, build_contestants

Call = Callable[[], object]
Clock = Literal["wall", "cpu"]
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
SLIDES = 16  # tokens that are written past the context
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Bench:
    """Tokens per second of the flow transformer beside others of the same shape, as ratios within one run."""

    layers: int = 4
    """Steps of the flow, layers of the others."""
    width: int = 128
    """Features."""
    heads: int = 4
    """Kernels of the attention term."""
    context: int = 64
    """Tokens of a text."""
    batch: int = 12
    """Texts in a batch."""
    norm: Literal["post", "pre", "sphere"] = "post"
    """Of the flows and torch's encoder; the plain GPT is pre-norm."""
    knots: int = 0
    """Sets of parameters of the flow (knots in depth); 0: as many as layers, as all others have."""
    rounds: int = 40
    """How many times each is measured, in turns."""
    seconds: float = 0.2
    """How long each is measured in a round, at least once."""
    device: Literal["auto", "cpu"] = "auto"
    """auto takes a GPU where there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What matrices are multiplied in (autocast)."""
    compile: bool = False
    """torch.compile all of them."""
    clock: Clock = "wall"
    """cpu counts this process's own CPU seconds: for a machine that others use too, and no GPU."""
    quick: bool = False
    """8 rounds, each measured once: a first impression."""
    json: Annotated[Path | None, "a file"] = None
    """Write the figures to this file too (- prints them, and nothing else)."""


class Bencher:
    """The contestants on one device, and the calls that are measured."""

    def __init__(self, asked: Bench):
        self.asked = a = replace(asked, rounds=8, seconds=0.0) if asked.quick else asked
        self.device = torch.device("cuda" if a.device == "auto" and torch.cuda.is_available() else "cpu")
        if a.clock == "cpu" and self.device.type == "cuda":
            raise ValueError("CPU seconds say nothing of a GPU; measure with clock wall")
        shape = FlowConfig(context=a.context, width=a.width, heads=a.heads, layers=a.layers, norm=a.norm)
        torch.manual_seed(0)
        self.models = build_contestants(shape, a.knots or None)
        for model in self.models.values():
            model.to(self.device)
        self.tokens, self.targets = torch.randint(0, 256, (2, a.batch, a.context), device=self.device)

    def forward(self, model: nn.Module) -> Call:
        """The scores of a batch."""

        @torch.no_grad()
        def call() -> None:
            with self._autocast():
                run(self.tokens)

        run = torch.compile(model) if self.asked.compile else model
        return call

    def training(self, model: nn.Module, compile: bool | None = None) -> Call:
        """One update: loss, gradient, clipping, AdamW; compiled as asked for, or as said here."""
        decayed = [p for p in model.parameters() if p.ndim > 1]
        rest = [p for p in model.parameters() if p.ndim < 2]
        groups = [dict(params=decayed, weight_decay=0.1), dict(params=rest, weight_decay=0.0)]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=1e-4, fused=True)
        run = torch.compile(model) if (self.asked.compile if compile is None else compile) else model

        def call() -> None:
            with self._autocast():
                logits = run(self.tokens)
            F.cross_entropy(logits.flatten(0, 1).float(), self.targets.flatten()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

        return call

    def kernel(self, weighted: bool) -> Call:
        """The attention integral and its gradient, causal."""
        a = self.asked
        shape = (3, a.batch, a.heads, a.context, a.width // a.heads)
        qkv = torch.randn(shape, device=self.device, dtype=DTYPES[a.dtype], requires_grad=True)
        weights = relative_log(torch.linspace(1, 2, a.context, device=self.device), a.context) if weighted else None

        def call() -> None:
            q, k, v = qkv
            integrate(q, k, v, weights, causal=True).sum().backward()
            qkv.grad = None

        return call

    def generation(self, keep_past: bool) -> Call:
        """A text, token by token, to the end of the context."""
        model = self.models["discrete"]
        assert isinstance(model, FlowLM)
        return lambda: model.generate("t", self.asked.context - 1, temperature=0, keep_past=keep_past)

    def sliding(self) -> dict[str, Call]:
        """A text that is longer than the context from its first new token on: the window slides with each."""
        flow, plain, text = self.models["flow"], self.models["plain GPT"], self.tokens[0]
        assert isinstance(flow, FlowLM) and isinstance(plain, PlainGPT)
        prompt = "t" * self.asked.context
        return {
            "flow": lambda: flow.generate(prompt, SLIDES, top_k=50),
            "plain GPT": lambda: plain.write(text, SLIDES, self.asked.context, top_k=50),
        }

    def calls(self) -> dict[str, dict[str, Call]]:
        """mode → contestant → call.

        Training comes last: it leaves the heap in pieces, which costs one contestant or another some percent of a pass.
        """
        return {
            "forward": {name: self.forward(model) for name, model in self.models.items()},
            "kernel": {"kernel": self.kernel(False), "weighted kernel": self.kernel(True)},
            "generation": {"keeping the past": self.generation(True), "not keeping it": self.generation(False)},
            "sliding": self.sliding(),
            "training": {name: self.training(model.train()) for name, model in self.models.items()},
        }

    def tokens_of(self, mode: str) -> int:
        """Tokens that one call of a mode works on."""
        if mode == "sliding":
            return SLIDES
        return self.asked.context - 1 if mode == "generation" else self.tokens.numel()

    def set_mode(self, mode: str) -> None:
        """Make all models ready to be trained, or to be used."""
        for model in self.models.values():
            model.train(mode == "training")

    def wait(self) -> None:
        """Until the device has done what it was asked to."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def memory(self, call: Call) -> int:
        """Bytes that a training call needs beside parameters and optimizer: on a GPU the peak of what was allocated,
        on a CPU what is saved for the backward pass."""
        if self.device.type == "cuda":
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            call()
            return torch.cuda.max_memory_allocated() - before
        return _count_saved(call)

    def peak(self) -> float:
        """Operations a second of one large matrix product: what this device can do at most."""
        n = 8192 if self.device.type == "cuda" else 1024
        a, b = torch.randn(2, n, n, device=self.device, dtype=DTYPES[self.asked.dtype])
        rounds = 10 if self.device.type == "cuda" else 3
        clock = CLOCKS[self.asked.clock]
        return 2 * n**3 / min(in_turns({"product": lambda: a @ b}, rounds, wait=self.wait, clock=clock)["product"])

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.asked.dtype == "bfloat16")


def _count_saved(call: Call) -> int:
    """Bytes that are kept for the backward pass of a call, the parameters aside."""
    storages: dict[int, int] = {}

    def keep(t: Tensor) -> Tensor:
        if not (t.is_leaf and t.requires_grad):  # a parameter is there anyway
            storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        call()
    return sum(storages.values())
