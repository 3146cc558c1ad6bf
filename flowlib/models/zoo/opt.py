"""OPT: GPT-2's equation or, where so set, BERT's with a causal kernel."""

from torch import Tensor, nn

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import CountedEmbedding
from flowlib.models.zoo.encoders import post_norm
from flowlib.models.zoo.parts import Config, Parameters, affine, assemble, attention, linear, local, stack
from flowlib.models.zoo.settings import activation
from flowlib.operators import Affine, Moments, Normalise, PreNorm, Term

EPS = 1e-5  # of its layer norms; not a setting
BEFORE = 1  # the row of positions that padding has; the first token has the next one


def opt(config: Config, p: Parameters) -> tuple[CountedEmbedding, Flow]:
    """Pre-norm Lie, causal:  u_t = A(N_1 u) + L(N_2 u); do_layer_norm_before=False: post-norm Lie, as BERT.

    Positions count the valid tokens. Source: Zhang et al., arXiv:2205.01068.
    """
    layers = [_layer(config, p, f"decoder.layers.{k}") for k in range(config.num_hidden_layers)]
    held = None if config.do_layer_norm_before else post_norm(EPS)
    position, token = p["decoder.embed_positions.weight"], p["decoder.embed_tokens.weight"]
    lift = p.map("decoder.project_in") if "decoder.project_in.weight" in p else None  # tokens of fewer features
    embed = CountedEmbedding(token, position, before=BEFORE, first=BEFORE + 1, lift=lift)
    return embed, assemble(layers, held, readout=_readout(config, p))


def _layer(config: Config, p: Parameters, name: str) -> list[Term]:
    qkv = stack(*(p.map(f"{name}.self_attn.{z}_proj") for z in "qkv"))
    out, up, down = p.map(f"{name}.self_attn.out_proj"), p.map(f"{name}.fc1"), p.map(f"{name}.fc2")
    kernel = attention(qkv, out, config.num_attention_heads, causal=True)
    sieve = local(up, down, activation(config.activation_function))
    one, two = (_affine(p, f"{name}.{place}_layer_norm", out[0]) for place in ("self_attn", "final"))
    if config.do_layer_norm_before:
        return [PreNorm(kernel, Moments(eps=EPS), one), PreNorm(sieve, Moments(eps=EPS), two)]
    return [kernel, one, sieve, two]


def _affine(p: Parameters, name: str, like: Tensor) -> Affine:
    """Scale and shift; 1 and 0 where a norm has none."""
    width = len(like)
    return p.affine(name) if f"{name}.weight" in p else affine(like.new_ones(width), like.new_zeros(width))


def _readout(config: Config, p: Parameters) -> nn.Module | None:
    """The last norm, if there is one, then the map back to the tokens' features, if these are fewer."""
    parts: list[nn.Module] = []
    if config.do_layer_norm_before and not getattr(config, "_remove_final_layer_norm", False):
        like = p["decoder.layers.0.self_attn.out_proj.weight"]
        parts.append(Normalise(Moments(eps=EPS), _affine(p, "decoder.final_layer_norm", like)))
    if "decoder.project_out.weight" in p:
        parts.append(linear(p.map("decoder.project_out")))
    return parts[0] if len(parts) == 1 else nn.Sequential(*parts) if parts else None
