"""Decoders of the package `transformers`, read as splittings: a token hears itself and those before it."""

import math

import torch

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.parts import (
    Config,
    Map,
    Parameters,
    assemble,
    attention,
    change_rows,
    local,
    repeat_groups,
    stack,
)
from flowlib.models.zoo.settings import activation, rotary, rotary_share
from flowlib.operators import Moments, Normalise, PreNorm, Rotary, Term


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


def phi(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Additive, causal, partly rotary:  u_t = A(N u) + L(N u), both from the same u, with one norm N, as GPT-J.

    Source: Li et al., arXiv:2309.05463 (Phi-1.5).
    """
    layers = [_phi_layer(config, p, f"layers.{k}") for k in range(config.num_hidden_layers)]
    flow = assemble(layers, None, "additive", readout=_normalise(p, "final_layernorm", config.layer_norm_eps))
    return TokenEmbedding(p["embed_tokens.weight"]), flow


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
    qkv = sort_heads(p.map(f"{name}.attention.query_key_value"), heads)
    up, down = p.map(f"{name}.mlp.dense_h_to_4h"), p.map(f"{name}.mlp.dense_4h_to_h")
    kernel = attention(qkv, p.map(f"{name}.attention.dense"), heads, causal=True, prepare=turn)
    return [
        _pre_norm(kernel, p, f"{name}.input_layernorm", config.layer_norm_eps),
        _pre_norm(
            local(up, down, activation(config.hidden_act)), p, f"{name}.post_attention_layernorm", config.layer_norm_eps
        ),
    ]


def _phi_layer(config: Config, p: Parameters, name: str) -> list[PreNorm]:
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    q, k, v = (p.map(f"{name}.self_attn.{z}_proj") for z in "qkv")
    qkv = stack(q, *(repeat_groups(z, groups, heads // groups) for z in (k, v)))
    norms = None
    if config.qk_layernorm:
        queries, keys = (_normalise(p, f"{name}.self_attn.{z}_layernorm", config.layer_norm_eps) for z in "qk")
        norms = queries, keys
    size = config.hidden_size // heads
    if (turned := int(size * rotary_share(config))) % 2:
        raise ValueError(
            f"of a head's {size} features a Phi would turn {turned}, and only pairs can be turned; set "
            "partial_rotary_factor so that it is an even number"
        )
    turn = rotary(config, size, rotary_share(config))
    out, up, down = p.map(f"{name}.self_attn.dense"), p.map(f"{name}.mlp.fc1"), p.map(f"{name}.mlp.fc2")
    terms = (
        attention(qkv, out, heads, causal=True, prepare=turn, norms=norms),
        local(up, down, activation(config.hidden_act)),
    )
    return [_pre_norm(term, p, f"{name}.input_layernorm", config.layer_norm_eps) for term in terms]


def _pre_norm(term: Term, p: Parameters, name: str, eps: float) -> PreNorm:
    return PreNorm(term, Moments(eps=eps), p.affine(name))


def _normalise(p: Parameters, name: str, eps: float) -> Normalise:
    return Normalise(Moments(eps=eps), p.affine(name))


def _scale_queries(qkv: Map, scale: float) -> Map:
    """W^Q and b^Q times `scale`: where scores are divided by another number than √d, queries carry the rest."""
    return qkv if scale == 1 else change_rows(qkv, lambda w: torch.cat([scale * w[: len(w) // 3], w[len(w) // 3 :]]))


def sort_heads(qkv: Map, heads: int) -> Map:
    """Rows (head, q k v, feature) as (q k v, head, feature): all queries first."""
    return change_rows(qkv, lambda w: w.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2))
