"""Gemma: Llama's equation from a start √d times as large; since Gemma 2 the velocities are normalised, too.

A norm's scale is stored as its distance from 1.
"""

import math
from collections.abc import Sequence
from typing import Any

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.llamas import (
    FULL,
    SLIDING,
    Window,
    kinds_in_depth,
    layers_of,
    maps_of,
    on_sphere,
)
from flowlib.models.zoo.parts import Config, Parameters, affine, assemble, attention, gated_local, repeat_groups, stack
from flowlib.models.zoo.settings import activation, rotary
from flowlib.operators import Normalise, NormedVelocity, PreNorm, Rotary, Term


def gemma(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Llama's equation from a start √d times as large.

    Source: Gemma Team, arXiv:2403.08295.
    """
    return _read(config, p, layers_of(config, p, norm=norm_around_one))


def gemma2(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Pre-norm Lie, causal, rotary:  u_t = N_2 A(N_1 u) + N_4 G(N_3 u): the velocities lie on a sphere, too.

    Scores are capped, s ↦ c tanh(s/c); every other layer integrates over a window, a domain D(x, t).
    Source: Gemma Team, arXiv:2408.00118.
    Raises: ValueError where the attention's implementation leaves the cap out.
    """
    kinds = kinds_in_depth(config, lambda k: k % 2 == 0)
    _check_cap(config, p)
    turn = rotary(config, config.head_dim)
    turns = {kind: turn for kind in kinds}
    return _read(config, p, _layers(config, p, kinds, turns, cap=config.attn_logit_softcapping))


def gemma3(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Gemma 2's equation; queries and keys lie on spheres in place of a cap; rotations and windows change with depth.

    Five of six layers hear a window, and turn fast; the sixth hears all that was, and turns slowly.
    Source: Gemma Team, arXiv:2503.19786.
    """
    kinds = kinds_in_depth(config, lambda k: bool((k + 1) % config.sliding_window_pattern))
    turns = {kind: rotary(config, config.head_dim, kind=kind) for kind in kinds}
    return _read(config, p, _layers(config, p, kinds, turns, norms=("q_norm", "k_norm")))


def norm_around_one(config: Config, p: Parameters, name: str) -> Normalise:
    return on_sphere(config, affine(1 + p[f"{name}.weight"], None))


def _read(config: Config, p: Parameters, layers: Sequence[Sequence[Term]]) -> tuple[TokenEmbedding, Flow]:
    whose = "embed_tokens.embed_scale" not in p.buffers  # older ones stretch given features, too
    embed = TokenEmbedding(p["embed_tokens.weight"], scale=config.hidden_size**0.5, scale_features=whose)
    return embed, assemble(layers, None, readout=norm_around_one(config, p, "norm"))


def _layers(
    config: Config,
    p: Parameters,
    kinds: Sequence[str],
    turns: dict[str, Rotary | None],
    cap: float | None = None,
    norms: tuple[str, ...] = (),
) -> list[list[Term]]:
    windows: dict[str, Window] = {FULL: None, SLIDING: config.sliding_window}
    return [_layer(config, p, f"layers.{k}", windows[z], turns[z], cap, norms) for k, z in enumerate(kinds)]


def _layer(
    config: Config,
    p: Parameters,
    name: str,
    window: Window,
    turn: Rotary | None,
    cap: float | None,
    norms: tuple[str, ...],
) -> list[Term]:
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    q, k, v, out = maps_of(config, p, name)
    gate, up, down = (p.map(f"{name}.mlp.{z}_proj") for z in ("gate", "up", "down"))
    qkv = stack(q, *(repeat_groups(z, groups, heads // groups) for z in (k, v)))
    options: dict[str, Any] = dict(causal=True, prepare=turn, window=window, cap=cap)
    options |= dict(norms=tuple(norm_around_one(config, p, f"{name}.self_attn.{z}") for z in norms) or None)
    options |= dict(temperature=math.sqrt(config.query_pre_attn_scalar / (len(q[0]) // heads)))
    terms = attention(qkv, out, heads, **options), gated_local(gate, up, down, activation(config.hidden_activation))
    before = (norm_around_one(config, p, f"{name}.{z}_layernorm") for z in ("input", "pre_feedforward"))
    after = (norm_around_one(config, p, f"{name}.post_{z}_layernorm") for z in ("attention", "feedforward"))
    inside = [PreNorm(term, z.constraint, z.affine) for term, z in zip(terms, before)]
    return [NormedVelocity(term, z.constraint, z.affine) for term, z in zip(inside, after)]


def _check_cap(config: Config, p: Parameters) -> None:
    """Raises: ValueError where scores are capped by the configuration, and not by what computes them."""
    if config.attn_logit_softcapping is not None and getattr(config, "_attn_implementation", "eager") == "sdpa":
        raise ValueError(
            f"{p.owner} caps its scores (attn_logit_softcapping), but torch's fused kernel, which it uses, does not; "
            'load it with attn_implementation="eager"'
        )
