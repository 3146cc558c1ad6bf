"""ModernBERT: an encoder whose domain of integration and whose rotations change with depth."""

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.llamas import SLIDING, kinds_in_depth
from flowlib.models.zoo.parts import Config, Map, Parameters, assemble, attention, gated_local
from flowlib.models.zoo.settings import activation, rotary
from flowlib.operators import Moments, Normalise, PreNorm, Rotary, Term


def modernbert(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Pre-norm Lie, rotary:  u_t = A(N_1 u) + G(N_2 u), G with a gate; the first A acts on u itself, normed already.

    Two of three layers integrate over a window |x − x̃| ≤ w, and turn fast; the third over all, and turns slowly.
    Source: Warner et al., arXiv:2412.13663.
    """
    kinds = kinds_in_depth(config, lambda k: k % config.global_attn_every_n_layers != 0)
    head_dim = config.hidden_size // config.num_attention_heads
    turns = {kind: rotary(config, head_dim, kind=kind) for kind in kinds}
    layers = [_layer(config, p, k, kind, turns[kind]) for k, kind in enumerate(kinds)]
    embed = TokenEmbedding(p["embeddings.tok_embeddings.weight"], normalise=_normalise(config, p, "embeddings.norm"))
    return embed, assemble(layers, None, readout=_normalise(config, p, "final_norm"))


def _layer(config: Config, p: Parameters, k: int, kind: str, turn: Rotary | None) -> list[Term]:
    name = f"layers.{k}"
    window = config.local_attention // 2 + 1 if kind == SLIDING else None
    qkv, out = p.map(f"{name}.attn.Wqkv"), p.map(f"{name}.attn.Wo")
    kernel = attention(qkv, out, config.num_attention_heads, prepare=turn, window=window)
    gate, up = _halves(p.map(f"{name}.mlp.Wi"))
    sieve = gated_local(gate, up, p.map(f"{name}.mlp.Wo"), activation(config.hidden_activation))
    return [_pre_norm(config, p, kernel, f"{name}.attn_norm", k), _pre_norm(config, p, sieve, f"{name}.mlp_norm")]


def _halves(both: Map) -> tuple[Map, Map]:
    weight, bias = both
    (gate, up), shifts = weight.chunk(2), (None, None) if bias is None else bias.chunk(2)
    return (gate, shifts[0]), (up, shifts[1])


def _pre_norm(config: Config, p: Parameters, term: Term, name: str, k: int = 1) -> Term:
    if k == 0:
        return term
    norm = _normalise(config, p, name)
    return PreNorm(term, norm.constraint, norm.affine)


def _normalise(config: Config, p: Parameters, name: str) -> Normalise:
    return Normalise(Moments(eps=config.norm_eps), p.affine(name))
