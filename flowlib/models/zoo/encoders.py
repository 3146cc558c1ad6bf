"""Encoders of the package `transformers`, read as splittings: every token hears every other."""

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.parts import Parameters, assemble, attention, local, stacked
from flowlib.models.zoo.settings import activation
from flowlib.operators import Moments, Normalise


def bert(config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Post-norm Lie:  u_t = A(u) + L(u) + two affine terms, projected onto S1 after A and after L (as `from_torch`).

    Source: Devlin et al., arXiv:1810.04805.
    """
    layers = [_bert_layer(config, p, f"encoder.layer.{k}") for k in range(config.num_hidden_layers)]
    return _bert_embedding(config, p), assemble(layers, post_norm(config.layer_norm_eps))


def post_norm(eps: float) -> list[Moments | None]:
    """The constraints of [attention, affine, local, affine]."""
    return [Moments(eps=eps), None, Moments(eps=eps), None]


def _bert_layer(config, p: Parameters, name: str) -> list:
    qkv = stacked(*(p.map(f"{name}.attention.self.{z}") for z in ("query", "key", "value")))
    heads = attention(qkv, p.map(f"{name}.attention.output.dense"), config.num_attention_heads)
    up, down = p.map(f"{name}.intermediate.dense"), p.map(f"{name}.output.dense")
    norms = p.affine(f"{name}.attention.output.LayerNorm"), p.affine(f"{name}.output.LayerNorm")
    return [heads, norms[0], local(up, down, activation(config.hidden_act)), norms[1]]


def _bert_embedding(config, p: Parameters, widen=None) -> TokenEmbedding:
    tables = (p[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type"))
    normalise = Normalise(Moments(eps=config.layer_norm_eps), p.affine("embeddings.LayerNorm"))
    return TokenEmbedding(*tables, normalise, widen)
