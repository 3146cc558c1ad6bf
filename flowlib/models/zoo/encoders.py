"""Encoders of the package `transformers`, read as splittings: every token hears every other."""

from flowlib.flow.depth import Constant, PerStep
from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import CountedEmbedding, PatchEmbedding, TokenEmbedding
from flowlib.models.zoo.parts import Config, Map, Parameters, assemble, attention, local, stack
from flowlib.models.zoo.settings import activation
from flowlib.operators import Moments, Normalise, PreNorm, Term


def bert(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Post-norm Lie:  u_t = A(u) + L(u) + two affine terms, projected onto S1 after A and after L (as `from_torch`).

    Source: Devlin et al., arXiv:1810.04805.
    """
    layers = [bert_layer(config, p, f"encoder.layer.{k}") for k in range(config.num_hidden_layers)]
    return bert_embedding(config, p), assemble(layers, post_norm(config.layer_norm_eps))


def albert(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """BERT's equation with parameters that do not depend on t: an autonomous flow (with groups, constant for a while).

    Source: Lan et al., arXiv:1909.11942.
    """
    steps, groups, inner = config.num_hidden_layers, config.num_hidden_groups, config.inner_group_num
    if steps % groups:
        raise ValueError(f"ALBERT's layers must fall into groups of one size, got {steps} layers and {groups} groups")
    layers = [
        [term for k in range(inner) for term in _albert_layer(config, p, f"encoder.albert_layer_groups.{g}", k)]
        for g in range(groups)
    ]
    depth = Constant(steps) if groups == 1 else PerStep(groups)
    flow = assemble(layers, post_norm(config.layer_norm_eps) * inner, depth=depth, steps=steps)
    return bert_embedding(config, p, p.map("encoder.embedding_hidden_mapping_in")), flow


def vit(config: Config, p: Parameters) -> tuple[PatchEmbedding, Flow]:
    """Pre-norm Lie:  u_t = A(N_1 u) + L(N_2 u); tokens are the patches of a picture, and one more that reads them.

    Source: Dosovitskiy et al., arXiv:2010.11929.
    """
    names = VIT if f"layers.0.{VIT['q']}.weight" in p else VIT_BEFORE
    layers = [_vit_layer(config, p, names, k) for k in range(config.num_hidden_layers)]
    last = Normalise(Moments(eps=config.layer_norm_eps), p.affine("layernorm"))
    patches = p.map("embeddings.patch_embeddings.projection")
    high, wide = config.image_size if isinstance(config.image_size, (list, tuple)) else (config.image_size,) * 2
    embed = PatchEmbedding(patches, p["embeddings.cls_token"], p["embeddings.position_embeddings"], (high, wide))
    return embed, assemble(layers, None, readout=last)


VIT = dict(
    layer="layers",
    q="attention.q_proj",
    k="attention.k_proj",
    v="attention.v_proj",
    out="attention.o_proj",
    up="mlp.fc1",
    down="mlp.fc2",
)
VIT_BEFORE = dict(  # transformers before version 5
    layer="encoder.layer",
    q="attention.attention.query",
    k="attention.attention.key",
    v="attention.attention.value",
    out="attention.output.dense",
    up="intermediate.dense",
    down="output.dense",
)


def post_norm(eps: float) -> list[Moments | None]:
    """The constraints of [attention, affine, local, affine]."""
    return [Moments(eps=eps), None, Moments(eps=eps), None]


def bert_layer(config: Config, p: Parameters, name: str) -> list[Term]:
    qkv = stack(*(p.map(f"{name}.attention.self.{z}") for z in ("query", "key", "value")))
    heads = attention(qkv, p.map(f"{name}.attention.output.dense"), config.num_attention_heads)
    up, down = p.map(f"{name}.intermediate.dense"), p.map(f"{name}.output.dense")
    norms = p.affine(f"{name}.attention.output.LayerNorm"), p.affine(f"{name}.output.LayerNorm")
    return [heads, norms[0], local(up, down, activation(config.hidden_act)), norms[1]]


def _albert_layer(config: Config, p: Parameters, group: str, k: int) -> list[Term]:
    name = f"{group}.albert_layers.{k}"
    qkv = stack(*(p.map(f"{name}.attention.{z}") for z in ("query", "key", "value")))
    heads = attention(qkv, p.map(f"{name}.attention.dense"), config.num_attention_heads)
    sieve = local(p.map(f"{name}.ffn"), p.map(f"{name}.ffn_output"), activation(config.hidden_act))
    return [heads, p.affine(f"{name}.attention.LayerNorm"), sieve, p.affine(f"{name}.full_layer_layer_norm")]


def _vit_layer(config: Config, p: Parameters, names: dict[str, str], k: int) -> list[PreNorm]:
    layer = f"{names['layer']}.{k}"
    q, key, v, out, up, down = (p.map(f"{layer}.{names[z]}") for z in ("q", "k", "v", "out", "up", "down"))
    terms = (
        attention(stack(q, key, v), out, config.num_attention_heads),
        local(up, down, activation(config.hidden_act)),
    )
    norms = (p.affine(f"{layer}.layernorm_{place}") for place in ("before", "after"))
    return [PreNorm(term, Moments(eps=config.layer_norm_eps), norm) for term, norm in zip(terms, norms)]


def bert_embedding(
    config: Config, p: Parameters, widen: Map | None = None, padding: int | None = None
) -> TokenEmbedding:
    """padding: the token that the count of positions leaves out; None: all tokens are counted."""
    word, position, types = (p[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type"))
    normalise = Normalise(Moments(eps=config.layer_norm_eps), p.affine("embeddings.LayerNorm"))
    if padding is None:
        return TokenEmbedding(word, position, types, normalise, widen)
    return CountedEmbedding(word, position, types, normalise, widen, before=padding, padding=padding)
