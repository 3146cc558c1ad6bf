"""BERT's relatives: its equation, post-norm Lie, from another start."""

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.encoders import bert_embedding, bert_layer, post_norm
from flowlib.models.zoo.parts import Config, Parameters, assemble, attention, local, stack
from flowlib.models.zoo.settings import activation
from flowlib.operators import Moments, Normalise, Term

DISTILBERTS_EPS = 1e-12  # not a setting


def roberta(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """BERT's equation, post-norm Lie; positions count the tokens that are not the padding token. So is XLM-R.

    Source: Liu et al., arXiv:1907.11692; Conneau et al., arXiv:1911.02116.
    """
    if config.pad_token_id is None:
        raise ValueError(f"{p.owner} counts positions from its padding token on: pad_token_id must be set, got None")
    return bert_embedding(config, p, padding=config.pad_token_id), _berts_flow(config, p)


def electra(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """BERT's equation, post-norm Lie; the start is embedded in fewer features, if so set, and widened.

    Source: Clark et al., arXiv:2003.10555.
    """
    widen = p.map("embeddings_project") if "embeddings_project.weight" in p else None
    return bert_embedding(config, p, widen), _berts_flow(config, p)


def distilbert(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """BERT's equation, post-norm Lie, in half as many steps; tokens have no types.

    Source: Sanh et al., arXiv:1910.01108.
    """
    layers = [_distilbert_layer(config, p, f"transformer.layer.{k}") for k in range(config.n_layers)]
    word, position = (p[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position"))
    normalise = Normalise(Moments(eps=DISTILBERTS_EPS), p.affine("embeddings.LayerNorm"))
    return TokenEmbedding(word, position, normalise=normalise), assemble(layers, post_norm(DISTILBERTS_EPS))


def _berts_flow(config: Config, p: Parameters) -> Flow:
    layers = [bert_layer(config, p, f"encoder.layer.{k}") for k in range(config.num_hidden_layers)]
    return assemble(layers, post_norm(config.layer_norm_eps))


def _distilbert_layer(config: Config, p: Parameters, name: str) -> list[Term]:
    qkv = stack(*(p.map(f"{name}.attention.{z}_lin") for z in "qkv"))
    heads = attention(qkv, p.map(f"{name}.attention.out_lin"), config.n_heads)
    sieve = local(p.map(f"{name}.ffn.lin1"), p.map(f"{name}.ffn.lin2"), activation(config.activation))
    return [heads, p.affine(f"{name}.sa_layer_norm"), sieve, p.affine(f"{name}.output_layer_norm")]
