"""Configurations with a name.

`tiny` trains on Python's own help texts, offline, in about three minutes on two CPU cores. Its warm-up is long: with
100 steps up to 3e-3 this post-norm flow falls back to the frequencies of single bytes and stays there. `tiny-elastic`
is its twin with parameters continuous in depth, one model for 2, 4 and 8 steps: all knots begin as copies of one, the
first half of the updates takes 2 steps, and then a quarter of every batch takes 2, half of it 4, and a quarter 8. Its
1830 updates are the operations of 1500 at 4 steps.
`shakespeare-cpu` has the shape of nanoGPT's example for a CPU, whose published validation loss is 1.88; twice nanoGPT's
learning rate, with the same long warm-up, reaches below that here (with 1e-3 it does not).
`shakespeare-elastic` has 8 layers, and is one model for 4, 8 and 16 steps by the same recipe, with parameters in
terraces: half a step then needs no mixture of two layers.
`shakespeare-hour` is what one CPU core can do in an hour, with straight lines between knots as `tiny-elastic` has them:
wider, and with twice the context.
`shakespeare-gpu` has shape, data and settings of nanoGPT's train_shakespeare_char.py, `gpt2-124m` those of its
train_gpt2.py (half a million tokens in a batch). Both are pre-norm, as GPT-2 is. `shakespeare-gpu-elastic` has the same
shape, and is trained as `shakespeare-elastic` is, for 3, 6 and 12 steps.
`digits` and `shapes` classify: handwritten digits, and surfaces given by scattered points. `digits-conv` has CvT's
convolution before Q, K and V in the place of larger patches. `mnist` is for those online.
"""

from dataclasses import replace

from flowlib.models.language import FlowConfig
from flowlib.models.points import PointsConfig
from flowlib.models.vision import VisionConfig
from flowlib.models.vocabulary import Vocabulary
from flowlib.training.config import Config, PicturesConfig, ShapesConfig, TrainConfig


def elastic(config: TrainConfig, depth: str = "terraced") -> TrainConfig:
    """The same, as one model for L/2, L and 2L steps (L layers). All knots begin as copies of one; the first half of
    the updates takes L/2 steps; then a quarter of every batch takes L/2, half of it L, and a quarter 2L.

    depth: of its parameters, terraced or (with straight lines between the knots) elastic. An update costs 13/16 of the
    operations of L steps, in the mean (½·½ + ½·9/8). On terraces the two layers of a coarse step get the same gradients
    and stay copies of each other, until the finer steps tell them apart: a network that is doubled on the way (Chang et
    al., arXiv:1710.10348).
    Raises: ValueError for an odd number of layers, or a batch that is no multiple of 4.
    """
    layers = config.model.layers
    if layers % 2:
        raise ValueError(f"one model for L/2, L and 2L steps needs an even number of layers, got {layers}")
    return replace(
        config,
        model=replace(config.model, depth=depth, knots=None, steps=None),
        flow_steps=(layers // 2, layers, layers, 2 * layers),
        flow_split=True,
        flow_coarse=0.5,
        alike=True,
    )


_TINY = TrainConfig(
    corpus="embedded",
    vocabulary="bytes",
    model=FlowConfig(context=64, width=128, heads=4, layers=4),
    steps=1500,
    batch=12,
    learning_rate=2e-3,
    final_learning_rate=1e-4,
    warmup=300,
    eval_every=250,
)
_SHAKESPEARE = replace(_TINY, corpus="shakespeare", vocabulary="characters", steps=2000)
_GPU = replace(
    _SHAKESPEARE,
    model=FlowConfig(context=256, width=384, heads=6, layers=6, norm="pre", dropout=0.2),
    steps=5000,
    batch=64,
    learning_rate=1e-3,
    warmup=100,
    precision="auto",
    compile="auto",
)
_DIGITS = PicturesConfig(
    model=VisionConfig(patch=3, width=48, heads=4, layers=2, hidden=2),
    steps=800,
    batch=64,
    learning_rate=3e-3,
    final_learning_rate=1e-5,
    warmup=100,
    eval_every=100,
    weight_decay=0.05,
)
_PRESETS: dict[str, Config] = {
    "tiny": _TINY,
    "tiny-elastic": replace(elastic(_TINY, "elastic"), steps=1830),
    "shakespeare-cpu": _SHAKESPEARE,
    "shakespeare-elastic": replace(
        elastic(replace(_SHAKESPEARE, model=replace(_SHAKESPEARE.model, layers=8))), steps=2380, learning_rate=3e-3
    ),
    "shakespeare-hour": replace(
        elastic(replace(_SHAKESPEARE, model=FlowConfig(context=128, width=192, heads=6, layers=8)), "elastic"),
        steps=5000,
        batch=16,
        warmup=500,
        eval_every=500,
    ),
    "shakespeare-gpu": _GPU,
    "shakespeare-gpu-elastic": replace(elastic(_GPU), steps=6100, compile="no"),
    "gpt2-124m": TrainConfig(
        corpus="openwebtext",
        vocabulary="gpt2",
        model=FlowConfig(Vocabulary.gpt2(), context=1024, width=768, heads=12, layers=12, norm="pre"),
        steps=600_000,
        batch=480,
        micro_batch=12,
        learning_rate=6e-4,
        final_learning_rate=6e-5,
        warmup=2000,
        betas=(0.9, 0.95),
        eval_every=1000,
        eval_batches=40,
        precision="auto",
        compile="auto",
    ),
    "digits": _DIGITS,
    "digits-conv": replace(_DIGITS, model=replace(_DIGITS.model, patch=1, near=3)),
    "mnist": replace(
        _DIGITS,
        data="mnist",
        model=VisionConfig(pixels=28, tokens=14, patch=4, width=64, heads=4, layers=3, hidden=2),
        steps=4000,
        eval_every=500,
        precision="auto",
    ),
    "shapes": ShapesConfig(
        model=PointsConfig(waves=4, norm="pre", width=48, heads=4, layers=2, hidden=2),
        steps=450,
        batch=48,
        learning_rate=6e-3,
        final_learning_rate=1e-5,
        warmup=100,
        eval_every=100,
        weight_decay=0.05,
    ),
}
_MEASURED = {  # the validation loss that a finished run reached, and its time; or what there is to compare with
    "tiny": "1.40 nats a byte in 159 s (one CPU thread)",
    "tiny-elastic": "1.39 nats a byte at 4 steps, 1.45 at 2, 1.42 at 8 (one CPU thread)",
    "shakespeare-cpu": "1.79 nats in 438 s (one thread of a busy CPU); nanoGPT reports 1.88",
    "shakespeare-elastic": "1.686 nats at 8 steps, 1.719 at 4, 1.694 at 16 (one CPU thread)",
    "shakespeare-hour": "1.468 nats at 8 steps, 1.486 at 4, 1.478 at 16, in 63 min (one thread of a busy CPU)",
    "shakespeare-gpu": "not yet; nanoGPT reports 1.47",
    "shakespeare-gpu-elastic": "not yet",
    "gpt2-124m": "not yet; nanoGPT reports 2.85",
    "digits": "98.6 % of 360 unseen pictures, in 56 s of CPU time (one thread)",
    "digits-conv": "not yet",
    "mnist": "not yet",
    "shapes": "99.5 % of 400 unseen surfaces, in 63 s of CPU time (one thread)",
}


def preset_names() -> list[str]:
    """The names that `preset` knows."""
    return sorted(_PRESETS)


def preset(name: str) -> Config:
    """The configuration of that name. Raises: ValueError that lists the known ones."""
    if name not in _PRESETS:
        raise ValueError(f"unknown preset {name!r}; known are {', '.join(preset_names())}")
    return _PRESETS[name]


def preset_table() -> str:
    """A line for each preset: its shape, its data, and what a run of it took and reached where that was measured."""
    rows = [("preset", "layers, heads, width, tokens", "batch, steps", "data", "measured")]
    for name, config in _PRESETS.items():
        m = config.model
        tokens, what = _describe_inputs(config)
        shape, length = f"{m.layers}, {m.heads}, {m.width}, {tokens}", f"{config.batch}, {config.steps}"
        rows.append((name, shape, length, what, _MEASURED.get(name, "not yet")))
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)) for row in rows)
    return "\n".join(f"| {line.rstrip()}" for line in lines)


def _describe_inputs(config: Config) -> tuple[str, str]:
    """The tokens of an input, and what the inputs are."""
    if isinstance(config, TrainConfig):
        return str(config.model.context), f"{config.corpus}, {config.vocabulary}"
    if isinstance(config, ShapesConfig):
        return str(config.points), f"{config.surfaces} surfaces"
    return f"{config.model.tokens} × {config.model.tokens}", f"{config.data}, patches of {config.model.patch}²"
