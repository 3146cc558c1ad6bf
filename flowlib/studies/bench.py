"""How fast the flow transformer is, beside a discrete one, a plain GPT and torch's own encoder, all of one shape.

Everything is measured in one run, in turns, and told as a ratio of paired rounds with its median and 95 % interval.
"""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.measure.flops import flops
from flowlib.measure.ratios import Interval, in_turns, speed_ratio
from flowlib.models.language import FlowConfig, FlowLM
from flowlib.operators.attention import integrate, relative_log

Clock = Literal["wall", "cpu"]
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
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


# What must hold, and what is compared for interest (None).
RATIOS = (
    ("flow", "discrete", "training", 0.98, "parameters in depth cost nothing that can be measured"),
    ("flow", "discrete", "forward", None, ""),
    ("half the knots", "discrete", "training", None, "every step lies between two knots"),
    ("flow", "plain GPT", "training", 0.95, "nn.Modules and scaled_dot_product_attention"),
    ("flow", "plain GPT", "forward", None, ""),
    ("flow", "torch encoder", "training", None, "nn.TransformerEncoder"),
    ("flow", "torch encoder", "forward", None, ""),
    ("weighted flow", "flow", "training", 0.9, "quadrature weights of the token grid"),
    ("weighted flow", "flow", "forward", None, ""),
    ("weighted kernel", "kernel", "kernel", None, "attention alone, forward and backward"),
    ("keeping the past", "not keeping it", "generation", None, "one text, to the end of the context"),
)


class PlainGPT(nn.Module):
    """A GPT as one writes it: pre-norm blocks of nn.LayerNorm, nn.Linear and scaled_dot_product_attention."""

    class Block(nn.Module):
        def __init__(self, width: int, heads: int):
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
            self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
            self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

        def forward(self, u: Tensor) -> Tensor:
            b, n, d = u.shape
            q, k, v = (z.view(b, n, self.heads, -1).transpose(1, 2) for z in self.qkv(self.norm1(u)).chunk(3, -1))
            heard = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            u = u + self.out(heard.transpose(1, 2).reshape(b, n, d))
            return u + self.down(F.gelu(self.up(self.norm2(u))))

    def __init__(self, c: FlowConfig):
        super().__init__()
        self.embed, self.position = nn.Embedding(256, c.width), nn.Embedding(c.context, c.width)
        self.blocks = nn.ModuleList(self.Block(c.width, c.heads) for _ in range(c.layers))
        self.norm = nn.LayerNorm(c.width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        u = self.embed(tokens) + self.position.weight[: tokens.shape[-1]]
        for block in self.blocks:
            u = block(u)
        return self.norm(u) @ self.embed.weight.T


class TorchEncoder(nn.Module):
    """nn.TransformerEncoder with a causal mask between the same embedding and read-out, without biases as ours."""

    def __init__(self, c: FlowConfig):
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            c.width, c.heads, 4 * c.width, 0.0, "gelu", batch_first=True, norm_first=c.norm == "pre", bias=False
        )
        self.embed, self.position = nn.Embedding(256, c.width), nn.Embedding(c.context, c.width)
        self.encoder = nn.TransformerEncoder(layer, c.layers, enable_nested_tensor=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(c.context))

    def forward(self, tokens: Tensor) -> Tensor:
        u = self.embed(tokens) + self.position.weight[: tokens.shape[-1]]
        return self.encoder(u, mask=self.mask, is_causal=True) @ self.embed.weight.T


class WeightedFlow(nn.Module):
    """A flow whose tokens carry unequal quadrature weights."""

    def __init__(self, c: FlowConfig):
        super().__init__()
        self.model = FlowLM(c)
        self.register_buffer("weights", torch.linspace(1, 2, c.context))

    def forward(self, tokens: Tensor) -> Tensor:
        model = self.model
        flowed = model.flow(model.initial_field(tokens), weights=self.weights, save="final")
        return model.read_out(flowed.final)


class Bencher:
    """The contestants on one device, and the calls that are measured."""

    def __init__(self, asked: Bench):
        self.asked = a = replace(asked, rounds=8, seconds=0.0) if asked.quick else asked
        self.device = torch.device("cuda" if a.device == "auto" and torch.cuda.is_available() else "cpu")
        if a.clock == "cpu" and self.device.type == "cuda":
            raise ValueError("CPU seconds say nothing of a GPU; measure with clock wall")
        shape = FlowConfig(context=a.context, width=a.width, heads=a.heads, layers=a.layers, norm=a.norm)
        in_depth = replace(shape, depth="elastic", knots=a.knots or None)
        fewer = replace(in_depth, knots=(a.layers + 1) // 2)
        torch.manual_seed(0)
        self.models: dict[str, nn.Module] = {
            "flow": FlowLM(in_depth),
            "discrete": FlowLM(shape),
            "half the knots": FlowLM(fewer),
            "weighted flow": WeightedFlow(in_depth),
            "plain GPT": PlainGPT(shape),
            "torch encoder": TorchEncoder(shape),
        }
        for model in self.models.values():
            model.to(self.device)
        self.tokens, self.targets = torch.randint(0, 256, (2, a.batch, a.context), device=self.device)

    def forward(self, model: nn.Module) -> Callable[[], object]:
        @torch.no_grad()
        def call() -> None:
            with self._autocast():
                run(self.tokens)

        run = torch.compile(model) if self.asked.compile else model
        return call

    def training(self, model: nn.Module) -> Callable[[], object]:
        """One update: loss, gradient, clipping, AdamW."""
        decayed = [p for p in model.parameters() if p.ndim > 1]
        rest = [p for p in model.parameters() if p.ndim < 2]
        groups = [dict(params=decayed, weight_decay=0.1), dict(params=rest, weight_decay=0.0)]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=1e-4, fused=True)
        run = torch.compile(model) if self.asked.compile else model

        def call() -> None:
            with self._autocast():
                logits = run(self.tokens)
            F.cross_entropy(logits.flatten(0, 1).float(), self.targets.flatten()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

        return call

    def kernel(self, weighted: bool) -> Callable[[], object]:
        """The attention integral and its gradient, causal."""
        a = self.asked
        shape = (3, a.batch, a.heads, a.context, a.width // a.heads)
        qkv = torch.randn(shape, device=self.device, dtype=DTYPES[a.dtype], requires_grad=True)
        weights = relative_log(torch.linspace(1, 2, a.context, device=self.device), a.context) if weighted else None

        def call() -> None:
            integrate(*qkv, weights, causal=True).sum().backward()
            qkv.grad = None

        return call

    def generation(self, keep_past: bool) -> Callable[[], object]:
        model = self.models["discrete"]
        return lambda: model.generate("t", self.asked.context - 1, temperature=0, keep_past=keep_past)

    def calls(self) -> dict[str, dict[str, Callable[[], object]]]:
        """mode → contestant → call."""
        return {
            "training": {name: self.training(model.train()) for name, model in self.models.items()},
            "forward": {name: self.forward(model) for name, model in self.models.items()},
            "kernel": {"kernel": self.kernel(False), "weighted kernel": self.kernel(True)},
            "generation": {"keeping the past": self.generation(True), "not keeping it": self.generation(False)},
        }

    def tokens_of(self, mode: str) -> int:
        """Tokens that one call of a mode works on."""
        return self.asked.context - 1 if mode == "generation" else self.tokens.numel()

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def memory(self, call: Callable[[], object]) -> int:
        """Bytes that a training call needs beside parameters and optimizer: on a GPU the peak of what was allocated,
        on a CPU what is saved for the backward pass."""
        if self.device.type == "cuda":
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            call()
            return torch.cuda.max_memory_allocated() - before
        storages: dict[int, int] = {}

        def keep(t: Tensor) -> Tensor:
            if not (t.is_leaf and t.requires_grad):  # a parameter is there anyway
                storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            call()
        return sum(storages.values())

    def peak(self) -> float:
        """Operations a second of one large matrix product: what this device can do at most."""
        n = 8192 if self.device.type == "cuda" else 1024
        a, b = torch.randn(2, n, n, device=self.device, dtype=DTYPES[self.asked.dtype])
        rounds = 10 if self.device.type == "cuda" else 3
        clock = CLOCKS[self.asked.clock]
        return 2 * n**3 / min(in_turns({"product": lambda: a @ b}, rounds, wait=self.wait, clock=clock)["product"])

    def _autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.asked.dtype == "bfloat16")


def bench(asked: Bench, progress: bool = True) -> dict[str, Any]:
    """Measure everything; a dictionary ready for JSON.

    machine, shape    what it ran on, and what was asked for
    speeds            mode → contestant → tokens a second, seconds of a call, and for training memory and operations
    ratios            ours, theirs, mode, median, low, high, rounds, the target if there is one, and whether it is met
    """
    from tqdm import tqdm

    bencher = Bencher(asked)
    peak = bencher.peak()
    modes = bencher.calls()
    total = bencher.asked.rounds * sum(map(len, modes.values()))
    seconds: dict[str, dict[str, list[float]]] = {}
    measure = dict(
        rounds=bencher.asked.rounds,
        least_seconds=bencher.asked.seconds,
        wait=bencher.wait,
        clock=CLOCKS[asked.clock],
    )
    with tqdm(total=total, unit="measurement", disable=None if progress else True, leave=False) as bar:
        for mode, calls in modes.items():
            for model in bencher.models.values():
                model.train(mode == "training")
            bar.set_description(mode)
            seconds[mode] = in_turns(calls, progress=bar.update, **measure)
    speeds: dict[str, dict[str, Any]] = {}
    for mode, taken in seconds.items():
        speeds[mode] = {
            name: {"tokens_per_second": bencher.tokens_of(mode) / median(times), "seconds": median(times)}
            for name, times in taken.items()
        }
    for name, call in modes["training"].items():
        bencher.models[name].train()
        work = flops(call) if not asked.compile else None
        figures = speeds["training"][name]
        figures["memory"] = bencher.memory(call)
        figures["parameters"] = sum(p.numel() for p in bencher.models[name].parameters())
        figures["flops"], figures["of_peak"] = work, work and work / figures["seconds"] / peak
    ratios = [_ratio(seconds, *row) for row in RATIOS]
    return {
        "machine": machine(bencher.device) | {"peak_flops": peak},
        "shape": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(bencher.asked).items()},
        "speeds": speeds,
        "ratios": ratios,
    }


def _ratio(seconds, ours: str, theirs: str, mode: str, target: float | None, what: str) -> dict[str, Any]:
    interval = speed_ratio(seconds[mode][ours], seconds[mode][theirs])
    rounds = len(seconds[mode][ours])
    return {
        "ours": ours,
        "theirs": theirs,
        "mode": mode,
        "what": what,
        **asdict(interval),
        "rounds": rounds,
        "target": target,
        "met": None if target is None else interval.median >= target,
    }


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []


def table(result: dict[str, Any]) -> str:
    """The figures as one reads them."""
    m, s = result["machine"], result["shape"]
    lines = [
        f"{m['device']}, {m['cpu']}, {m['threads']} of {m['cores']} threads, torch {m['torch']}, "
        f"Python {m['python']}, {m['system']}; {s['dtype']}{', compiled' if s['compile'] else ''}, {s['clock']} clock",
        f"{s['layers']} layers, {s['heads']} heads, {s['width']} wide, context {s['context']}, batch {s['batch']}, "
        f"{s['norm']}-norm, {s['knots'] or s['layers']} knots",
        f"a large matrix product reaches {m['peak_flops'] / 1e9:,.0f} GFLOP/s",
        "",
        f"{'':16} {'':20} {'tokens/s':>12} {'ms':>9} {'MB':>8} {'of peak':>8}",
    ]
    for mode, speeds in result["speeds"].items():
        for name, figures in speeds.items():
            line = f"{mode:16} {name:20} {figures['tokens_per_second']:12,.0f} {1e3 * figures['seconds']:9.2f}"
            if "memory" in figures:
                share = f"{figures['of_peak']:8.0%}" if figures["of_peak"] else ""
                line += f" {figures['memory'] / 1e6:8.1f} {share}"
            lines.append(line)
    lines += ["", f"speed as a multiple: median [95 % interval] of {result['ratios'][0]['rounds']} paired rounds"]
    for r in result["ratios"]:
        interval = Interval(r["median"], r["low"], r["high"], r["coverage"])
        wanted = "" if r["target"] is None else f"  wanted ≥ {r['target']:g}: {'met' if r['met'] else 'MISSED'}"
        lines.append(f"{r['mode']:11} {r['ours'] + ' / ' + r['theirs']:34} {interval!s:24}{wanted}")
    return "\n".join(lines)


def markdown(result: dict[str, Any]) -> str:
    """The ratios as a Markdown table, for a page."""
    lines = ["| mode | ours / theirs | speed as a multiple, median [95 % interval] | wanted |", "|---|---|---|---|"]
    for r in result["ratios"]:
        interval = Interval(r["median"], r["low"], r["high"], r["coverage"])
        wanted = "" if r["target"] is None else f"≥ {r['target']:g}"
        lines.append(f"| {r['mode']} | {r['ours']} / {r['theirs']} | {interval} | {wanted} |")
    return "\n".join(lines)
