"""Decoders of the package `transformers`, read as splittings: a token hears itself and those before it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.parts import Config, Map, Parameters, assemble, attention, gated_local, local, stack
from flowlib.models.zoo.settings import activation, rotary, rotary_share
from flowlib.operators import Moments, Normalise, PreNorm, Rotary, Sphere, Term


def gpt2(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Pre-norm Lie, causal:  u_t = A(N_1 u) + L(N_2 u); positions are added to u(0).

    Source: Radford et al., Language Models are Unsupervised Multitask Learners (2019).
    """
    layers = [_gpt2_layer(config, p, k) for k in range(config.num_hidden_layers)]
    flow = assemble(layers, None, readout=_normalise(p, "ln_f", config.layer_norm_epsilon))
    return TokenEmbedding(p["wte.weight"], p["wpe.weight"]), flow


def gptj(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Additive, causal, rotary:  u_t = A(N u) + L(N u), both from the same u, with one norm N.

    Source: Wang, Komatsuzaki, GPT-J-6B (2021).
    """
    layers = [_gptj_layer(config, p, f"h.{k}") for k in range(config.num_hidden_layers)]
    flow = assemble(layers, None, "additive", readout=_normalise(p, "ln_f", config.layer_norm_epsilon))
    return TokenEmbedding(p["wte.weight"]), flow


def gpt_neox(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Additive, causal, rotary:  u_t = A(N_1 u) + L(N_2 u), both from the same u; without use_parallel_residual, Lie.

    Source: Black et al., arXiv:2204.06745.
    """
    layers = [_neox_layer(config, p, f"layers.{k}") for k in range(config.num_hidden_layers)]
    scheme = "additive" if config.use_parallel_residual else "lie"
    flow = assemble(layers, None, scheme, readout=_normalise(p, "final_layer_norm", config.layer_norm_eps))
    return TokenEmbedding(p["embed_in.weight"]), flow


def llama(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Pre-norm Lie, causal, rotary:  u_t = A(N_1 u) + G(N_2 u); N projects onto a sphere (RMS norm), G has a gate.

    Source: Touvron et al., arXiv:2302.13971.
    """
    layers = [_llama_layer(config, p, f"layers.{k}") for k in range(config.num_hidden_layers)]
    last = Normalise(_sphere(config), p.affine("norm"))
    return TokenEmbedding(p["embed_tokens.weight"]), assemble(layers, None, readout=last)


def _gpt2_layer(config: Config, p: Parameters, k: int) -> list[PreNorm]:
    head_dim = config.hidden_size // config.num_attention_heads
    scale = 1.0 if config.scale_attn_weights else math.sqrt(head_dim)
    scale /= k + 1 if config.scale_attn_by_inverse_layer_idx else 1
    qkv = _scale_queries(p.map(f"h.{k}.attn.c_attn", transposed=True), scale)
    out = p.map(f"h.{k}.attn.c_proj", transposed=True)
    up, down = (p.map(f"h.{k}.mlp.{name}", transposed=True) for name in ("c_fc", "c_proj"))
    terms = (
        attention(qkv, out, config.num_attention_heads, causal=True),
        local(up, down, activation(config.activation_function)),
    )
    return [_pre_norm(term, p, f"h.{k}.ln_{i}", config.layer_norm_epsilon) for i, term in enumerate(terms, 1)]


def _gptj_layer(config: Config, p: Parameters, name: str) -> list[PreNorm]:
    head_dim = config.hidden_size // config.num_attention_heads
    turn = Rotary(config.rotary_dim or head_dim, interleaved=True)
    qkv = stack(*(p.map(f"{name}.attn.{z}_proj") for z in "qkv"))
    out = p.map(f"{name}.attn.out_proj")
    up, down = p.map(f"{name}.mlp.fc_in"), p.map(f"{name}.mlp.fc_out")
    terms = (
        attention(qkv, out, config.num_attention_heads, causal=True, prepare=turn),
        local(up, down, activation(config.activation_function)),
    )
    return [_pre_norm(term, p, f"{name}.ln_1", config.layer_norm_epsilon) for term in terms]


def _neox_layer(config: Config, p: Parameters, name: str) -> list[PreNorm]:
    heads = config.num_attention_heads
    turn = rotary(config, config.hidden_size // heads, rotary_share(config))
    qkv = _sort_heads(p.map(f"{name}.attention.query_key_value"), heads)
    up, down = p.map(f"{name}.mlp.dense_h_to_4h"), p.map(f"{name}.mlp.dense_4h_to_h")
    kernel = attention(qkv, p.map(f"{name}.attention.dense"), heads, causal=True, prepare=turn)
    return [
        _pre_norm(kernel, p, f"{name}.input_layernorm", config.layer_norm_eps),
        _pre_norm(
            local(up, down, activation(config.hidden_act)), p, f"{name}.post_attention_layernorm", config.layer_norm_eps
        ),
    ]


def _llama_layer(config: Config, p: Parameters, name: str) -> list[PreNorm]:
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    q, k, v, out = (p.map(f"{name}.self_attn.{z}_proj") for z in "qkvo")
    qkv = stack(q, _repeat_groups(k, groups, heads // groups), _repeat_groups(v, groups, heads // groups))
    turn = rotary(config, len(q[0]) // heads)
    kernel = attention(qkv, out, heads, causal=True, prepare=turn)
    gate, up, down = (p.map(f"{name}.mlp.{z}_proj") for z in ("gate", "up", "down"))
    sieve = gated_local(gate, up, down, activation(config.hidden_act))
    return [
        PreNorm(kernel, _sphere(config), p.affine(f"{name}.input_layernorm")),
        PreNorm(sieve, _sphere(config), p.affine(f"{name}.post_attention_layernorm")),
    ]


def _pre_norm(term: Term, p: Parameters, name: str, eps: float) -> PreNorm:
    return PreNorm(term, Moments(eps=eps), p.affine(name))


def _normalise(p: Parameters, name: str, eps: float) -> Normalise:
    return Normalise(Moments(eps=eps), p.affine(name))


def _sphere(config: Config) -> Sphere:
    """RMS norm: the projection onto |u| = √d, with ε = d · ε_rms."""
    return Sphere(math.sqrt(config.hidden_size), config.hidden_size * config.rms_norm_eps)


def _scale_queries(qkv: Map, scale: float) -> Map:
    """W^Q and b^Q times `scale`: where scores are divided by another number than √d, queries carry the rest."""
    return qkv if scale == 1 else _rows(qkv, lambda w: torch.cat([scale * w[: len(w) // 3], w[len(w) // 3 :]]))


def _sort_heads(qkv: Map, heads: int) -> Map:
    """Rows (head, q k v, feature) as (q k v, head, feature): all queries first."""
    return _rows(qkv, lambda w: w.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2))


def _repeat_groups(z: Map, groups: int, times: int) -> Map:
    """Grouped queries: the keys (or values) of a group, once for each of its heads."""
    return _rows(z, lambda w: w.unflatten(0, (groups, -1)).repeat_interleave(times, 0).flatten(0, 1))


def _rows(z: Map, change: Callable[[Tensor], Tensor]) -> Map:
    """The same change to the rows of W and of b."""
    return change(z[0]), None if z[1] is None else change(z[1])
