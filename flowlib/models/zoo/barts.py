"""BART and its relatives: a field that listens to another field."""

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedded import EmbeddedFlow, EmbeddedPair
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.encoders import post_norm
from flowlib.models.zoo.listening import Listening
from flowlib.models.zoo.parts import Config, Parameters, assemble, attention, local, stack
from flowlib.models.zoo.settings import activation
from flowlib.operators import Moments, Normalise, PreNorm, Term

EPS = 1e-5  # of their layer norms; not a setting


def bart(config: Config, p: Parameters) -> EmbeddedPair:
    """Post-norm Lie, twice:  v_s = A(v) + L(v), all of it first;  then  u_t = A(u) + B(u; v) + L(u), A causal.

    Source: Lewis et al., arXiv:1910.13461.
    """
    return _pair(config, p, first=2, pre_norm=False)


def mbart(config: Config, p: Parameters) -> EmbeddedPair:
    """BART's equations, pre-norm:  u_t = A(N_1 u) + B(N_2 u; v) + L(N_3 u).

    Source: Liu et al., arXiv:2001.08210.
    """
    return _pair(config, p, first=2, pre_norm=True)


def pegasus(config: Config, p: Parameters) -> EmbeddedPair:
    """mBART's equations, from positions that are sines.

    Source: Zhang et al., arXiv:1912.08777.
    """
    return _pair(config, p, first=0, pre_norm=True)


def marian(config: Config, p: Parameters) -> EmbeddedPair:
    """BART's equations, from positions that are sines.

    Source: Junczys-Dowmunt et al., arXiv:1804.00344.
    """
    return _pair(config, p, first=0, pre_norm=False)


def _pair(config: Config, p: Parameters, first: int, pre_norm: bool) -> EmbeddedPair:
    encoder, decoder = (
        (_embed(config, p, name, first), make_side(config, p, name, pre_norm)) for name in ("encoder", "decoder")
    )
    if p.are_one("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
        decoder[0].token = encoder[0].token
    return EmbeddedPair(EmbeddedFlow(*encoder), *decoder)


def _embed(config: Config, p: Parameters, name: str, first: int) -> TokenEmbedding:
    token, position = (p[f"{name}.{z}.weight"] for z in ("embed_tokens", "embed_positions"))
    scale = config.d_model**0.5 if config.scale_embedding else 1.0
    return TokenEmbedding(token, position, normalise=_last(p, f"{name}.layernorm_embedding"), scale=scale, first=first)


def make_side(config: Config, p: Parameters, name: str, pre_norm: bool) -> Flow:
    """The flow of one of the two fields: name is encoder, or decoder, which listens."""
    heads, depth = (getattr(config, f"{name}_{z}") for z in ("attention_heads", "layers"))
    layers = [_layer(config, p, f"{name}.layers.{k}", heads, name == "decoder", pre_norm) for k in range(depth)]
    held = None if pre_norm else post_norm(EPS) + [Moments(eps=EPS), None] * (name == "decoder")
    return assemble(layers, held, readout=_last(p, f"{name}.layer_norm"))


def _layer(config: Config, p: Parameters, name: str, heads: int, decodes: bool, pre_norm: bool) -> list[Term]:
    qkv = stack(*(p.map(f"{name}.self_attn.{z}_proj") for z in "qkv"))
    terms: list[Term] = [attention(qkv, p.map(f"{name}.self_attn.out_proj"), heads, causal=decodes)]
    norms = [f"{name}.self_attn_layer_norm", f"{name}.final_layer_norm"]
    if decodes:
        q, k, v, out = (p.map(f"{name}.encoder_attn.{z}_proj") for z in ("q", "k", "v", "out"))
        terms.append(Listening(q, stack(k, v), out, heads))
        norms.insert(1, f"{name}.encoder_attn_layer_norm")
    terms.append(local(p.map(f"{name}.fc1"), p.map(f"{name}.fc2"), activation(config.activation_function)))
    if pre_norm:
        return [PreNorm(term, Moments(eps=EPS), p.affine(norm)) for term, norm in zip(terms, norms)]
    return [part for term, norm in zip(terms, norms) for part in (term, p.affine(norm))]


def _last(p: Parameters, name: str) -> Normalise | None:
    return Normalise(Moments(eps=EPS), p.affine(name)) if f"{name}.weight" in p else None
