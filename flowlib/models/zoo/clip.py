"""CLIP: two flows, one for texts and one for pictures, that never hear each other; they are compared at their ends."""

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import PatchEmbedding, TokenEmbedding
from flowlib.models.zoo.parts import Config, Parameters, assemble, attention, local, stack
from flowlib.models.zoo.settings import activation
from flowlib.operators import Moments, Normalise, PreNorm


def clip_text(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Pre-norm Lie, causal:  u_t = A(N_1 u) + L(N_2 u), GPT-2's equation; σ(v) = v / (1 + e^{−1.702 v}).

    Source: Radford et al., arXiv:2103.00020.
    """
    tower = _tower(p)
    token, position = (p[f"{tower}embeddings.{z}_embedding.weight"] for z in ("token", "position"))
    embed = TokenEmbedding(token, position)
    layers = _layers(config, p, tower, causal=True)
    return embed, assemble(layers, None, readout=_normalise(config, p, f"{tower}final_layer_norm"))


def clip_vision(config: Config, p: Parameters) -> tuple[PatchEmbedding, Flow]:
    """Pre-norm Lie:  u_t = A(N_1 u) + L(N_2 u), ViT's equation from a start that is normed; without a last norm.

    Source: Radford et al., arXiv:2103.00020.
    """
    tower = _tower(p)
    patches = p.map(f"{tower}embeddings.patch_embedding")
    token = p[f"{tower}embeddings.class_embedding"][None, None]
    position = p[f"{tower}embeddings.position_embedding.weight"][None]
    size = (config.image_size, config.image_size)
    embed = PatchEmbedding(patches, token, position, size, _normalise(config, p, f"{tower}pre_layrnorm"))
    return embed, assemble(_layers(config, p, tower, causal=False), None)


def _tower(p: Parameters) -> str:
    """How the names begin, before version 5 of `transformers` and since."""
    return next((z for z in ("text_model.", "vision_model.") if any(name.startswith(z) for name in p.tensors)), "")


def _layers(config: Config, p: Parameters, tower: str, causal: bool) -> list[list[PreNorm]]:
    return [_layer(config, p, f"{tower}encoder.layers.{k}", causal) for k in range(config.num_hidden_layers)]


def _layer(config: Config, p: Parameters, name: str, causal: bool) -> list[PreNorm]:
    qkv = stack(*(p.map(f"{name}.self_attn.{z}_proj") for z in "qkv"))
    kernel = attention(qkv, p.map(f"{name}.self_attn.out_proj"), config.num_attention_heads, causal=causal)
    sieve = local(p.map(f"{name}.mlp.fc1"), p.map(f"{name}.mlp.fc2"), activation(config.hidden_act))
    norms = (_normalise(config, p, f"{name}.layer_norm{i}") for i in (1, 2))
    return [PreNorm(term, norm.constraint, norm.affine) for term, norm in zip((kernel, sieve), norms)]


def _normalise(config: Config, p: Parameters, name: str) -> Normalise:
    return Normalise(Moments(eps=config.layer_norm_eps), p.affine(name))
