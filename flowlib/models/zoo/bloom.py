"""BLOOM: positions enter a kernel as weights of its quadrature (ALiBi)."""

import math

import torch

from flowlib.flow.equation import Flow
from flowlib.models.zoo.decoders import sort_heads
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.parts import Config, Parameters, assemble, attention, local
from flowlib.operators import Moments, Normalise, PreNorm


def bloom(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Pre-norm Lie, causal:  u_t = A(N_1 u) + L(N_2 u); head h integrates with the quadrature weight e^{m_h x}.

    Source: BigScience, arXiv:2211.05100; Press et al., arXiv:2108.12409, for the weights.
    Raises: ValueError where the normalised field, and not u, is carried on (apply_residual_connection_post_layernorm).
    """
    if config.apply_residual_connection_post_layernorm:
        raise ValueError(
            f"{p.owner} adds its terms to N(u) instead of u (apply_residual_connection_post_layernorm), which cannot "
            "be read; it needs a substep that starts from a projected field"
        )
    layers = [_layer(config, p, f"h.{k}") for k in range(config.num_hidden_layers)]
    start, last = (_normalise(config, p, name) for name in ("word_embeddings_layernorm", "ln_f"))
    return TokenEmbedding(p["word_embeddings.weight"], normalise=start), assemble(layers, None, readout=last)


def slopes(heads: int) -> list[float]:
    """m_h: 2^{−8/n}, 2^{−16/n}, … for n heads, a power of two; of others, the next power's odd ones fill up."""
    whole = 2 ** math.floor(math.log2(heads))
    found = _powers(whole, range(1, whole + 1))
    return found + _powers(2 * whole, range(1, 1 + 2 * (heads - whole), 2))


def _powers(heads: int, exponents: range) -> list[float]:
    base = torch.tensor(2 ** -(2 ** -(math.log2(heads) - 3)), dtype=torch.float32)
    found: list[float] = torch.pow(base, torch.tensor(list(exponents), dtype=torch.int32)).tolist()
    return found


def _layer(config: Config, p: Parameters, name: str) -> list[PreNorm]:
    heads = config.num_attention_heads
    qkv = sort_heads(p.map(f"{name}.self_attention.query_key_value"), heads)
    kernel = attention(qkv, p.map(f"{name}.self_attention.dense"), heads, causal=True, slopes=slopes(heads))
    sieve = local(p.map(f"{name}.mlp.dense_h_to_4h"), p.map(f"{name}.mlp.dense_4h_to_h"), "gelu_tanh")
    norms = (_normalise(config, p, f"{name}.{place}_layernorm") for place in ("input", "post_attention"))
    return [PreNorm(term, norm.constraint, norm.affine) for term, norm in zip((kernel, sieve), norms)]


def _normalise(config: Config, p: Parameters, name: str) -> Normalise:
    return Normalise(Moments(eps=config.layer_norm_epsilon), p.affine(name))
