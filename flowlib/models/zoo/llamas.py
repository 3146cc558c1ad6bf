"""Llama and its relatives:  u_t = A(N_1 u) + G(N_2 u), causal, rotary; N projects onto a sphere, G has a gate.

What a relative changes is a domain, a norm or a name; the splitting, pre-norm Lie, stays.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.parts import (
    Config,
    Map,
    Parameters,
    assemble,
    attention,
    gated_local,
    repeat_groups,
    stack,
)
from flowlib.models.zoo.settings import activation, rotary, rotary_share
from flowlib.operators import Affine, GatedLocal, Normalise, PreNorm, Sphere, Term

Sieve = Callable[[Config, Parameters, str], Term]
Norm = Callable[[Config, Parameters, str], Normalise]
FULL, SLIDING = "full_attention", "sliding_attention"
Window = int | None  # D(x) = (x − window, x]; None: all that was


def llama(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Pre-norm Lie, causal, rotary:  u_t = A(N_1 u) + G(N_2 u); N projects onto a sphere (RMS norm), G has a gate.

    Source: Touvron et al., arXiv:2302.13971.
    """
    return read_llama(config, p, layers_of(config, p))


def mistral(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Llama's equation, its integral over the window (x − w, x]: far tokens are heard through later layers only.

    Source: Jiang et al., arXiv:2310.06825.
    """
    return read_llama(config, p, layers_of(config, p, [config.sliding_window] * config.num_hidden_layers))


def qwen2(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Llama's equation with shifts in W^{QKV}; from some depth on, if so set, over a window: a domain D(x, t).

    Source: Yang et al., arXiv:2407.10671.
    """
    return read_llama(config, p, layers_of(config, p, windows_in_depth(config)))


def smollm3(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Llama's equation whose kernel knows positions at some depths only: every fourth layer turns nothing.

    Source: Bakouch et al., SmolLM3 (Hugging Face, 2025); Yang et al., arXiv:2501.18795, for layers without rotation.
    """
    turned = [bool(z) for z in config.no_rope_layers]
    return read_llama(config, p, layers_of(config, p, windows_in_depth(config), turned))


def qwen3(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Llama's equation whose queries and keys are projected onto spheres: γ bounds its scores, whatever u is.

    Source: Yang et al., arXiv:2505.09388.
    """
    return read_llama(config, p, layers_of(config, p, windows_in_depth(config), norms=("q_norm", "k_norm")))


def phi3(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Llama's equation, its matrices stored in two stacks; of a head, a share may be turned, and a window may be set.

    Source: Abdin et al., arXiv:2404.14219.
    """
    windows = [config.sliding_window] * config.num_hidden_layers
    return read_llama(
        config, p, layers_of(config, p, windows, maps=_stacked_maps, sieve=_stacked_gate, share=rotary_share(config))
    )


def windows_in_depth(config: Config) -> list[Window]:
    """The window of each layer. Raises: ValueError for layers that are neither "full" nor "sliding"."""
    layers, window = config.num_hidden_layers, getattr(config, "sliding_window", None)
    if not window or not getattr(config, "use_sliding_window", True):
        return [None] * layers
    kinds = kinds_in_depth(config, lambda k: k >= config.max_window_layers)
    return [window if kind == SLIDING else None for kind in kinds]


def kinds_in_depth(config: Config, slides: Callable[[int], bool]) -> list[str]:
    """Of each layer, whether it attends in full or over a window; slides(k): how it was before version 4.53.

    Raises: ValueError for layers that are neither, and for another number of them than the configuration has.
    """
    layers, kinds = config.num_hidden_layers, getattr(config, "layer_types", None)
    if kinds is None:
        return [SLIDING if slides(k) else FULL for k in range(layers)]
    if unknown := set(kinds) - {FULL, SLIDING}:
        raise ValueError(f"layers of {', '.join(sorted(unknown))} cannot be read; known: full and sliding attention")
    if len(kinds) < layers:
        raise ValueError(f"layer_types must say it of each of {layers} layers, got {len(kinds)}")
    return list(kinds[:layers])


def rms_norm(config: Config, p: Parameters, name: str) -> Normalise:
    """RMS norm: the projection onto |u| = √d, with ε = d · ε_rms, then the scale."""
    return on_sphere(config, p.affine(name))


def on_sphere(config: Config, scale: Affine) -> Normalise:
    width = len(scale.scale)
    return Normalise(Sphere(math.sqrt(width), width * config.rms_norm_eps), scale)


def read_llama(
    config: Config, p: Parameters, layers: list[list[PreNorm]], norm: Norm = rms_norm
) -> tuple[TokenEmbedding, Flow]:
    return TokenEmbedding(p["embed_tokens.weight"]), assemble(layers, None, readout=norm(config, p, "norm"))


def layers_of(
    config: Config, p: Parameters, windows: Sequence[Window] = (), turned: Sequence[bool] = (), **options: Any
) -> list[list[PreNorm]]:
    """options: of `_layer`."""
    n = range(config.num_hidden_layers)
    windows, turned = windows or [None for _ in n], turned or [True for _ in n]
    return [_layer(config, p, f"layers.{k}", windows[k], turned[k], **options) for k in n]


def maps_of(config: Config, p: Parameters, name: str) -> list[Map]:
    """W and b of q, k, v and o."""
    return [p.map(f"{name}.self_attn.{z}_proj") for z in "qkvo"]


def gate(config: Config, p: Parameters, name: str) -> GatedLocal:
    """The local term G of most: a gate, a map up, and one down."""
    gate, up, down = (p.map(f"{name}.mlp.{z}_proj") for z in ("gate", "up", "down"))
    return gated_local(gate, up, down, activation(config.hidden_act))


def _stacked_maps(config: Config, p: Parameters, name: str) -> list[Map]:
    """Phi-3: q, k, v are one matrix."""
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    qkv = p[f"{name}.self_attn.qkv_proj.weight"]
    size = len(qkv) // (heads + 2 * groups)
    q, k, v = qkv.split([heads * size, groups * size, groups * size])
    return [(q, None), (k, None), (v, None), p.map(f"{name}.self_attn.o_proj")]


def _stacked_gate(config: Config, p: Parameters, name: str) -> GatedLocal:
    """Phi-3: gate and up are one matrix."""
    gate, up = p[f"{name}.mlp.gate_up_proj.weight"].chunk(2)
    return gated_local((gate, None), (up, None), p.map(f"{name}.mlp.down_proj"), activation(config.hidden_act))


def _layer(
    config: Config,
    p: Parameters,
    name: str,
    window: Window,
    turned: bool,
    *,
    maps: Callable[[Config, Parameters, str], list[Map]] = maps_of,
    norm: Norm = rms_norm,
    share: float = 1.0,
    norms: tuple[str, ...] = (),
    sieve: Sieve | None = None,
) -> list[PreNorm]:
    """norms: the names of those of queries and keys, if any; sieve: a local term in place of the gated one."""
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    q, k, v, out = maps(config, p, name)
    qkv = stack(q, *(repeat_groups(z, groups, heads // groups) for z in (k, v)))
    turn = rotary(config, len(q[0]) // heads, share) if turned else None
    of_heads = tuple(rms_norm(config, p, f"{name}.self_attn.{z}") for z in norms) or None
    kernel = attention(qkv, out, heads, causal=True, prepare=turn, window=window, norms=of_heads)
    L = (sieve or gate)(config, p, name)
    places = (norm(config, p, f"{name}.{place}_layernorm") for place in ("input", "post_attention"))
    return [PreNorm(term, z.constraint, z.affine) for term, z in zip((kernel, L), places)]
