"""The same training for several flows, over several seeds: a table of best and final validation loss.

Every run is an ordinary run folder, RUNS/VARIANT-seed-N: one that was stopped goes on, one that is finished is read.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import torch

from flowlib.files import save_text
from flowlib.measure.flops import flops
from flowlib.models.language import FlowConfig, FlowLM
from flowlib.training.checkpoints import find_model
from flowlib.training.config import TrainConfig
from flowlib.training.elastic import coarse_to_fine
from flowlib.training.evaluation import full_loss
from flowlib.training.loop import train
from flowlib.training.presets import elastic
from flowlib.training.tasks import Text

What = Literal["schemes", "depth", "remedies", "dial", "warmups"]


@dataclass(frozen=True)
class Variant:
    """One row of the table: a training, and the numbers of steps at which its model is evaluated in the end."""

    config: TrainConfig
    at: tuple[int, ...] = ()
    gradually: bool = False
    """From coarse to fine, instead of with all steps and knots from the start."""


def schemes(base: TrainConfig) -> dict[str, Variant]:
    """Six flows with the same parameters, the same data in the same order, and as nearly as whole steps allow the same
    operations for each token.

    A Lie step evaluates each term once, Macaron's one of them twice, tangent Strang's (midpoint substeps) each twice or
    four times. All have the horizon T = layers and elastic parameters, so that each uses all of them: what evaluates
    more in a step takes fewer and longer steps. The operations are counted (`flowlib.measure.flops`), not estimated.
    """
    lie = replace(
        base.model,
        depth="elastic",
        norm="post",
        scheme="lie",
        first="attention",
        substep="euler",
        tangent=False,
        steps=None,
    )
    strang = replace(lie, scheme="strang")
    models = {
        "post-norm": lie,
        "pre-norm": replace(lie, norm="pre"),
        "RMS sphere": replace(lie, norm="sphere"),
        "additive": replace(lie, scheme="additive"),
        "Macaron": replace(strang, first="local"),
        "tangent Strang": replace(strang, substep="midpoint", tangent=True),
    }
    budget = flops_per_token(lie)
    return {name: Variant(replace(base, model=_fit_steps(budget, model))) for name, model in models.items()}


def depths(base: TrainConfig) -> dict[str, Variant]:
    """What parameters in depth cost and give: free layers, half the knots, an elastic flow, and coarse to fine."""
    layers = base.model.layers
    if layers % 4:
        raise ValueError(f"comparing depths needs layers that are a multiple of 4 (for L/4 and L/2), got {layers}")
    half, whole, double = layers // 2, layers, 2 * layers
    elastic = replace(base.model, depth="elastic", knots=None, steps=None)
    trained_at = lambda n: Variant(replace(base, model=replace(elastic, steps=n)), at=(n,))
    return {  # an elastic model that only ever takes `layers` steps is the network with a free set for each layer
        "free layers": Variant(replace(base, model=elastic), at=(half, whole, double)),
        "half the knots": Variant(replace(base, model=replace(elastic, knots=half)), at=(half, whole, double)),
        "elastic": Variant(replace(base, model=elastic, flow_steps=(half, whole, double)), at=(half, whole, double)),
        "trained at L/2": trained_at(half),
        "trained at 2L": trained_at(double),
        "coarse to fine": Variant(base, at=(half, whole, double), gradually=True),
    }


def dial(base: TrainConfig) -> dict[str, Variant]:
    """One model for L/2, L and 2L steps beside those trained for one of these numbers alone.

    The one is trained by `presets.elastic`, with parameters on straight lines between knots or in terraces, and with as
    many updates as have the operations of L steps always; the others begin with independent layers, or with all of them
    alike. The one is evaluated at ¾L, 1½L and 4L steps as well, which no update took.
    """
    one, straight = elastic(base), elastic(base, "elastic")
    layers = base.model.layers
    alone = replace(straight, flow_steps=(), flow_split=False, flow_coarse=0.0, alike=False)
    if layers % 4:
        raise ValueError(f"the dial is read at ¾L and 1½L steps too, so L must be a multiple of 4, got {layers}")
    seen = sorted({*one.flow_steps, 3 * layers // 4, 3 * layers // 2, 4 * layers})
    updates = int(base.steps * _measure_work(alone) / _measure_work(one))
    variants = {
        f"one for all, {said}": Variant(replace(config, steps=updates), at=tuple(seen))
        for said, config in (("straight lines", straight), ("terraces", one))
    }
    for alike, said in ((False, ""), (True, ", alike")):
        for n in dict.fromkeys(one.flow_steps):
            model = replace(alone.model, steps=None if n == layers else n)
            variants[f"{n} steps alone{said}"] = Variant(replace(alone, model=model, alike=alike), at=(n,))
    return variants


def remedies(base: TrainConfig) -> dict[str, Variant]:
    """What lets a trained flow change its depth: parameters continuous in depth, a random number of steps in training,
    both, or neither. Each is evaluated at 1 step, L/2, L, 2L, 4L and 8L, for L layers."""
    layers = base.model.layers
    if layers % 2:
        raise ValueError(f"comparing remedies needs an even number of layers (for L/2), got {layers}")
    at = tuple(sorted({1, layers // 2, layers, 2 * layers, 4 * layers, 8 * layers}))
    drawn = (layers // 2, layers, 2 * layers)
    models = {
        name: replace(base.model, depth=depth, knots=None, steps=None)
        for name, depth in (("per step", "per_step"), ("continuous", "elastic"))
    }
    return {
        name + said: Variant(replace(base, model=model, flow_steps=steps), at=at)
        for name, model in models.items()
        for said, steps in (("", ()), (", random steps", drawn))
    }


def warmups(base: TrainConfig) -> dict[str, Variant]:
    """At which rates post-norm and pre-norm train at all: the base's learning rate, twice and four times as high, each
    with the base's warm-up and with one three times as long."""
    if not base.warmup or 3 * base.warmup >= base.steps:
        raise ValueError(f"comparing warm-ups needs one, and more than thrice as many steps; got {base.warmup}")
    return {
        f"{norm}-norm, rate {rate:g}, warm-up {warmup}": Variant(
            replace(base, model=replace(base.model, norm=norm), learning_rate=rate, warmup=warmup)
        )
        for norm in ("post", "pre")
        for rate in (base.learning_rate * times for times in (1, 2, 4))
        for warmup in (base.warmup, 3 * base.warmup)
    }


COMPARISONS: dict[What, Callable[[TrainConfig], dict[str, Variant]]] = {
    "schemes": schemes,
    "depth": depths,
    "remedies": remedies,
    "dial": dial,
    "warmups": warmups,
}


def compare(
    what: What, base: TrainConfig, runs: str | Path, seeds: int = 3, *, progress: bool = True
) -> dict[str, Any]:
    """Train every variant with every seed under the folder `runs`; what is finished is not trained again.

    Seed by seed, so that an interrupted comparison has whole rows. Returns a dictionary ready for JSON: the settings,
    and for each variant parameters, steps, operations per token, and for each seed best and final loss, the loss at
    other numbers of steps, and seconds.
    Raises: what `train` raises; ValueError for seeds < 1 or a comparison that is not known.
    """
    if what not in COMPARISONS or seeds < 1:
        raise ValueError(f"compare {' or '.join(COMPARISONS)} with seeds ≥ 1, got {what!r} and {seeds}")
    base = Text(base).config
    variants = COMPARISONS[what](base)
    facts = {name: _describe(variant) for name, variant in variants.items()}
    for seed in range(base.seed, base.seed + seeds):
        for name, variant in variants.items():
            folder = Path(runs) / f"{re.sub('[/ ,]+', '-', name).lower()}-seed-{seed}"
            if progress:
                print(f"{name}, seed {seed}: {folder}")
            facts[name]["runs"].append(_run(variant, seed, folder, progress))
    first = next(iter(facts.values()))["flops_per_token"]
    for fact in facts.values():
        fact["flops_ratio"] = fact["flops_per_token"] / first
    if what == "dial":
        whole = facts[f"{base.model.layers} steps alone"]["flops_of_training"]
        for fact in facts.values():
            fact["training_ratio"] = fact["flops_of_training"] / whole
    return {"what": what, "seeds": seeds, "train": base.to_dict(), "variants": facts}


def _run(variant: Variant, seed: int, folder: Path, progress: bool) -> dict[str, Any]:
    """Train a variant with a seed, or go on with it, or read what is finished; the figures of its run."""
    config = replace(variant.config, seed=seed)
    if variant.gradually:
        result = coarse_to_fine(config, folder, progress=progress)
    else:
        result = train(config, folder, progress=progress, resume=True)
    losses = dict(result.validation_losses)
    return {
        "seed": seed,
        "folder": str(folder),
        "best": result.best_loss,
        "final": losses[max(losses)],
        "seconds": result.metrics[-1]["wall_seconds"],
        "at": _find_losses(result.run, variant),
    }


def table(result: dict[str, Any], *, seconds: bool = True) -> str:
    """The comparison as a Markdown table: mean ± standard deviation over the seeds, nats per token.

    seconds: with the wall time of a run, which says something where the machine had nothing else to do.
    """
    ats = sorted({int(n) for facts in result["variants"].values() for run in facts["runs"] for n in run["at"]})
    head = ["", "steps", "parameters", "FLOP/token", "best", "final", *(f"at {n} steps" for n in ats)]
    head += ["training"] if any("training_ratio" in facts for facts in result["variants"].values()) else []
    head += ["seconds"] if seconds else []
    rows = [_row(name, facts, ats, seconds) for name, facts in result["variants"].items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _row(name: str, facts: dict[str, Any], ats: list[int], seconds: bool) -> list[str]:
    runs = facts["runs"]
    return [
        name,
        facts["steps"],
        f"{facts['parameters']:,}",
        f"{facts['flops_per_token']:,.0f} (× {facts['flops_ratio']:.2f})",
        *(_summarise([run[which] for run in runs]) for which in ("best", "final")),
        *(_summarise([run["at"][str(n)] for run in runs if str(n) in run["at"]]) for n in ats),
        *([f"× {facts['training_ratio']:.2f}"] if "training_ratio" in facts else []),
        *([f"{mean(run['seconds'] for run in runs):.0f}"] if seconds else []),
    ]


def flops_per_token(config: FlowConfig) -> float:
    """Floating-point operations of one forward pass for each token, at the model's own number of steps; counted."""
    model, tokens = FlowLM(config), torch.zeros(1, config.context, dtype=torch.int64)
    with torch.no_grad():
        return flops(lambda: model(tokens)) / tokens.numel()


def _fit_steps(budget: float, config: FlowConfig) -> FlowConfig:
    """The configuration with the number of steps whose operations for a token come nearest to the budget."""
    one, two = (flops_per_token(replace(config, steps=n)) for n in (1, 2))
    steps = max(1, round((budget - (2 * one - two)) / (two - one)))
    return replace(config, steps=None if steps == config.layers else steps)


def _describe(variant: Variant) -> dict[str, Any]:
    model, drawn = variant.config.model, variant.config.flow_steps
    steps = " or ".join(map(str, dict.fromkeys(drawn))) if drawn else str(model.steps or model.layers)
    work = _measure_work(variant.config)
    return {
        "steps": steps,
        "parameters": sum(p.numel() for p in FlowLM(model).parameters()),
        "flops_per_token": work,
        "flops_of_training": work * variant.config.steps,
        "model": model.to_dict(),
        "runs": [],
    }


def _measure_work(config: TrainConfig) -> float:
    """Operations of a forward pass for each token, in the mean over the updates; a schedule's share counts as it is."""
    at = lambda n: flops_per_token(replace(config.model, steps=n))
    drawn = config.flow_steps
    if not drawn:
        return at(config.model.steps)
    later = mean(at(n) for n in drawn)
    return config.flow_coarse * at(min(drawn)) + (1 - config.flow_coarse) * later if config.flow_coarse else later


def _find_losses(run: Path, variant: Variant) -> dict[str, float]:
    """The validation loss of the best model at other numbers of steps; kept beside the run, to be measured once."""
    if not variant.at:
        return {}
    file = run / "losses_at_steps.json"
    if file.is_file():
        return json.loads(file.read_text("utf-8"))
    text, model = Text(variant.config), FlowLM.load(find_model(run))
    losses = {str(n): full_loss(model, text.validation, context=text.context, steps=n) for n in variant.at}
    save_text(json.dumps(losses) + "\n", file)
    return losses


def _summarise(values: list[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")
