"""Rotary frequencies that were scaled to reach longer texts, as `transformers` scales them.

Each law gives ω_j, j < n/2, for a text of so many tokens, from the plain ones, base^(−2j/n); in float32, as there.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from flowlib.operators import Rotary

Law = Callable[[int], Tensor]  # tokens of the text ↦ frequencies (n/2,)
Settings = Mapping[str, Any]


class ScaledRotary(Rotary):
    """R_x z with frequencies ω_j(tokens) from a law, and z made `loud` times as long: ⟨R q, R k⟩ grows by loud².

    Where a law looks at the length of the text (dynamic, longrope), a text is turned as by a model that has seen no
    other one; tokens of the past keep what they were turned by.
    Error: that of the law and of the angles, in float32.
    """

    def __init__(self, law: Law, base: float, loud: float = 1.0):
        super().__init__(2 * len(law(1)), base)
        self.law, self.loud = law, loud

    def angles(self, first: int, tokens: int, like: Tensor) -> tuple[Tensor, Tensor]:
        length = first + tokens if self.places is None else int(self.places.max()) + 1
        frequencies = self.law(length).to(dtype=self.precision, device=like.device)
        angles = self.positions(first, tokens, like)[..., None] * frequencies
        return (angles.cos() * self.loud).to(like.dtype), (angles.sin() * self.loud).to(like.dtype)


def scaled_rotary(kind: str, turned: int, base: float, settings: Settings, longest: int) -> ScaledRotary:
    """settings: of the configuration's rope_parameters; longest: its max_position_embeddings.

    Raises: ValueError for a kind that is not known, and for a setting that it needs and lacks.
    """
    if kind not in LAWS:
        raise ValueError(
            f"rotary frequencies scaled by {kind!r} cannot be read; known: default, {', '.join(LAWS)}; another one "
            "needs its law of the frequencies in flowlib/models/zoo/rope.py"
        )
    try:
        law, loud = LAWS[kind](turned, base, settings, longest)
    except KeyError as missing:
        raise ValueError(f"rotary frequencies scaled by {kind!r} need the setting {missing}") from None
    return ScaledRotary(law, base, loud)


def plain(turned: int, base: float) -> Tensor:
    return 1 / base ** (torch.arange(0, turned, 2, dtype=torch.float32) / turned)


def _linear(turned: int, base: float, settings: Settings, longest: int) -> tuple[Law, float]:
    """ω/s: positions are counted in units of s tokens."""
    return partial(_any_length, plain(turned, base) / settings["factor"]), 1.0


def _dynamic(turned: int, base: float, settings: Settings, longest: int) -> tuple[Law, float]:
    """Beyond the longest text that was trained on, the base grows with the text."""
    return partial(_growing_base, turned, base, settings["factor"], longest), 1.0


def _llama3(turned: int, base: float, settings: Settings, longest: int) -> tuple[Law, float]:
    """Waves longer than the trained text over `low` are stretched by s, those below it over `high` stay."""
    w, s, old = plain(turned, base), settings["factor"], _trained_on(settings, longest)
    low, high = settings["low_freq_factor"], settings["high_freq_factor"]
    wave = 2 * math.pi / w
    share = (old / wave - low) / (high - low)  # of ω itself, the rest of ω/s
    stretched = torch.where(wave > old / low, w / s, w)
    mean = (1 - share) * w / s + share * w
    return partial(_any_length, torch.where((wave >= old / high) & (wave <= old / low), mean, stretched)), 1.0


def _yarn(turned: int, base: float, settings: Settings, longest: int) -> tuple[Law, float]:
    """ω for pairs that turn often within the trained text, ω/s for those that turn hardly, a ramp between them."""
    old, w = _trained_on(settings, longest), plain(turned, base)
    s = settings.get("factor") or longest / old
    ends = [
        turned * math.log(old / (turns * 2 * math.pi)) / (2 * math.log(base))
        for turns in (settings.get("beta_fast") or 32, settings.get("beta_slow") or 1)
    ]
    if settings.get("truncate", True):
        ends = [math.floor(ends[0]), math.ceil(ends[1])]
    low, high = max(ends[0], 0), min(ends[1], turned - 1)
    ramp = (torch.arange(turned // 2, dtype=torch.float32) - low) / (high - low if high != low else 0.001)
    stretched = ramp.clamp(0, 1)
    return partial(_any_length, w / s * stretched + w * (1 - stretched)), _yarns_loudness(s, settings)


def _longrope(turned: int, base: float, settings: Settings, longest: int) -> tuple[Law, float]:
    """Each ω_j has a divisor of its own, another one for texts longer than those that were trained on."""
    old = _trained_on(settings, longest)
    w = plain(turned, base)
    short, far = (w / torch.tensor(settings[f"{which}_factor"], dtype=torch.float32) for which in ("short", "long"))
    s, loud = settings.get("factor") or longest / old, settings.get("attention_factor")
    loud = loud or (1.0 if s <= 1 else math.sqrt(1 + math.log(s) / math.log(old)))
    return partial(_short_or_far, short, far, old), loud


LAWS = dict(linear=_linear, dynamic=_dynamic, llama3=_llama3, yarn=_yarn, longrope=_longrope)


def _any_length(frequencies: Tensor, tokens: int) -> Tensor:
    return frequencies


def _growing_base(turned: int, base: float, factor: float, longest: int, tokens: int) -> Tensor:
    growth = factor * max(tokens, longest) / longest - (factor - 1)
    return plain(turned, base * growth ** (turned / (turned - 2)))


def _short_or_far(short: Tensor, far: Tensor, trained: int, tokens: int) -> Tensor:
    return far if tokens > trained else short


def _trained_on(settings: Settings, longest: int) -> int:
    """How long the texts were before the frequencies were scaled."""
    return settings.get("original_max_position_embeddings") or longest


def _yarns_loudness(s: float, settings: Settings) -> float:
    def of(share: float) -> float:
        return 1.0 if s <= 1 else 0.1 * share * math.log(s) + 1

    if given := settings.get("attention_factor"):
        return float(given)
    one, all_dims = settings.get("mscale"), settings.get("mscale_all_dim")
    return of(one) / of(all_dims) if one and all_dims else of(1.0)
