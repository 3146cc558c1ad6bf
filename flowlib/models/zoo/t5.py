"""T5: two fields, and a measure that moves with the token."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedded import EmbeddedFlow, EmbeddedPair
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.listening import Listening
from flowlib.models.zoo.parts import Config, Parameters, assemble, attention, gated_local, local, stack
from flowlib.models.zoo.settings import activation
from flowlib.operators import Normalise, PreNorm, Sphere, Term


class NearFar(nn.Module):
    """b_h(x − x̃), the log of dμ_h(x, x̃): learned for each small distance, and for far ones by ranges that grow.

    table (range, head); far: from which distance on all are alike; both: are there tokens on both sides of x?
    (queries, keys) → (head, query, key), the queries being the last of the keys.
    Source: Raffel et al., arXiv:1910.10683.
    """

    def __init__(self, table: Tensor, far: int, both: bool):
        super().__init__()
        self.table, self.far, self.both = nn.Parameter(table.detach().clone()), far, both

    def forward(self, queries: int, keys: int) -> Tensor:
        x = torch.arange(keys, device=self.table.device)
        return self.table[self.range_of(x - x[-queries:, None])].movedim(-1, -3)

    def range_of(self, distance: Tensor) -> Tensor:
        """The row of the table for x̃ − x."""
        ranges, first = len(self.table), torch.zeros_like(distance)
        if self.both:
            ranges //= 2
            first, distance = (distance > 0) * ranges, distance.abs()
        else:
            distance = (-distance).clamp(min=0)
        exact = ranges // 2  # as many distances have a range of their own
        wide = (distance.float() / exact).log() / math.log(self.far / exact) * (ranges - exact)
        return first + torch.where(distance < exact, distance, (exact + wide.long()).clamp(max=ranges - 1))


def t5(config: Config, p: Parameters) -> EmbeddedPair | tuple[TokenEmbedding, Flow]:
    """Pre-norm Lie, twice:  v_s = A(N v) + L(N v), all of it first;  then  u_t = A(N u) + B(N u; v) + L(N u).

    N projects onto a sphere; positions enter as a measure of the integral, e^{b(x − x̃)} dx̃, one for all depths (in
    umT5 each depth has its own). Of an encoder alone, v is the flow.
    Source: Raffel et al., arXiv:1910.10683; Xue et al., arXiv:2010.11934; Chung et al., arXiv:2304.09151.
    """
    encoder = _side(config, p, "encoder", config.num_layers)
    if "decoder.final_layer_norm.weight" not in p:
        return encoder
    decoder = _side(config, p, "decoder", config.num_decoder_layers)
    if p.are_one("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
        decoder[0].token = encoder[0].token
    return EmbeddedPair(EmbeddedFlow(*encoder), *decoder)


def _side(config: Config, p: Parameters, name: str, depth: int) -> tuple[TokenEmbedding, Flow]:
    decodes = name == "decoder"
    measure: NearFar | None = None
    layers = []
    for k in range(depth):
        bias = f"{name}.block.{k}.layer.0.SelfAttention.relative_attention_bias.weight"
        if measure is None or bias in p:
            measure = NearFar(p[bias], config.relative_attention_max_distance, both=not decodes)
        layers.append(_layer(config, p, f"{name}.block.{k}.layer", decodes, measure))
    last = _normalise(config, p, f"{name}.final_layer_norm")
    return TokenEmbedding(p[f"{name}.embed_tokens.weight"]), assemble(layers, None, readout=last)


def _layer(config: Config, p: Parameters, name: str, decodes: bool, measure: NearFar) -> list[Term]:
    heads, unscaled = config.num_heads, 1 / math.sqrt(config.d_kv)
    q, k, v, out = (p.map(f"{name}.0.SelfAttention.{z}") for z in "qkvo")
    options: dict[str, Any] = dict(causal=decodes, temperature=unscaled, near_far=measure)
    terms: list[Term] = [attention(stack(q, k, v), out, heads, **options)]
    if decodes:
        q, k, v, out = (p.map(f"{name}.1.EncDecAttention.{z}") for z in "qkvo")
        terms.append(Listening(q, stack(k, v), out, heads, unscaled))
    terms.append(_local(config, p, f"{name}.{len(terms)}.DenseReluDense"))
    norms = (_normalise(config, p, f"{name}.{i}.layer_norm") for i in range(len(terms)))
    return [PreNorm(term, norm.constraint, norm.affine) for term, norm in zip(terms, norms)]


def _local(config: Config, p: Parameters, name: str) -> Term:
    act, down = activation(config.dense_act_fn), p.map(f"{name}.wo")
    if config.is_gated_act:
        return gated_local(p.map(f"{name}.wi_0"), p.map(f"{name}.wi_1"), down, act)
    return local(p.map(f"{name}.wi"), down, act)


def _normalise(config: Config, p: Parameters, name: str) -> Normalise:
    width = config.d_model
    return Normalise(Sphere(math.sqrt(width), width * config.layer_norm_epsilon), p.affine(name))
