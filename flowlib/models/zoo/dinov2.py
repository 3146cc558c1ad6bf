"""DINOv2: ViT's equation with a step length for every feature."""

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import PatchEmbedding
from flowlib.models.zoo.parts import Config, Map, Parameters, assemble, attention, gated_local, local, stack
from flowlib.models.zoo.settings import activation
from flowlib.operators import Moments, Normalise, PreNorm, Term


def dinov2(config: Config, p: Parameters) -> tuple[PatchEmbedding, Flow]:
    """Pre-norm Lie:  u_t = λ_1 ⊙ A(N_1 u) + λ_2 ⊙ L(N_2 u); the step lengths λ (LayerScale) go into W^O and W_down.

    Source: Oquab et al., arXiv:2304.07193; Touvron et al., arXiv:2103.17239, for λ.
    Raises: ValueError for pictures that are not square, whose positions `transformers` resamples.
    """
    size = config.image_size
    high, wide = size if isinstance(size, (list, tuple)) else (size, size)
    if high != wide:
        raise ValueError(
            f"{p.owner} of pictures {high} × {wide} resamples its positions, which cannot be read; known: square ones"
        )
    layers = [_layer(config, p, f"encoder.layer.{k}") for k in range(config.num_hidden_layers)]
    patches = p.map("embeddings.patch_embeddings.projection")
    embed = PatchEmbedding(patches, p["embeddings.cls_token"], p["embeddings.position_embeddings"], (high, wide))
    last = Normalise(Moments(eps=config.layer_norm_eps), p.affine("layernorm"))
    return embed, assemble(layers, None, readout=last)


def _layer(config: Config, p: Parameters, name: str) -> list[PreNorm]:
    q, k, v, out = (p.map(f"{name}.attention.{z}") for z in _names(p, name))
    kernel = attention(stack(q, k, v), _scale(out, p, f"{name}.layer_scale1"), config.num_attention_heads)
    terms = (kernel, _local(config, p, name))
    norms = (p.affine(f"{name}.norm{i}") for i in (1, 2))
    return [PreNorm(term, Moments(eps=config.layer_norm_eps), norm) for term, norm in zip(terms, norms)]


def _names(p: Parameters, name: str) -> tuple[str, ...]:
    """Of q, k, v and o: since version 5 of transformers, or before."""
    if f"{name}.attention.q_proj.weight" in p:
        return "q_proj", "k_proj", "v_proj", "o_proj"
    return "attention.query", "attention.key", "attention.value", "output.dense"


def _local(config: Config, p: Parameters, name: str) -> Term:
    if not config.use_swiglu_ffn:
        down = _scale(p.map(f"{name}.mlp.fc2"), p, f"{name}.layer_scale2")
        return local(p.map(f"{name}.mlp.fc1"), down, activation(config.hidden_act))
    if f"{name}.mlp.gate_proj.weight" in p:
        gate, up, down = (p.map(f"{name}.mlp.{z}_proj") for z in ("gate", "up", "down"))
    else:  # before version 5 of transformers: gate and up are one matrix
        (weight, bias), down = p.map(f"{name}.mlp.weights_in"), p.map(f"{name}.mlp.weights_out")
        biases = (None, None) if bias is None else bias.chunk(2)
        gate, up = zip(weight.chunk(2), biases, strict=True)
    return gated_local(gate, up, _scale(down, p, f"{name}.layer_scale2"), "silu")


def _scale(z: Map, p: Parameters, name: str) -> Map:
    """λ ⊙ (W u + b): λ goes into the rows of W and into b."""
    rate = p[f"{name}.lambda1"]
    return rate[:, None] * z[0], None if z[1] is None else rate * z[1]
