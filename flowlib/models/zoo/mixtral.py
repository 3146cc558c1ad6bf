"""Mixtral: a local term that a token chooses."""

import torch
from torch import Tensor, nn

from flowlib.flow.equation import Flow
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.llamas import layers_of, read_llama
from flowlib.models.zoo.parts import UNFILLED, Config, Map, Parameters, fill, gated_local
from flowlib.models.zoo.settings import activation
from flowlib.operators import GatedLocal, Term


class ChosenLocal(Term):
    """L(u)(x) = Σ_{e ∈ E(x)} p_e G_e(u(x)),  E(x) the `chosen` largest of W u(x), p = softmax of these:  a local term
    of which every token chooses its parts.

    u (…, token, feature) → the same. As a vector field it is smooth where the choice stays, and jumps where it changes:
    there refining the steps converges no better than to the width of the jump.
    Every expert is computed at every token, and left out where it is not chosen: the same numbers, in more time.
    Error: exact. Source: Shazeer et al., arXiv:1701.06538; Jiang et al., arXiv:2401.04088.
    """

    called = "feed-forward"

    def __init__(self, experts: list[GatedLocal], choose: Map, chosen: int):
        super().__init__()
        with UNFILLED:
            self.choose = nn.Linear(choose[0].shape[1], len(experts), bias=False)
        fill(self, choose=choose)
        self.experts, self.chosen = nn.ModuleList(experts), chosen

    def forward(self, u: Tensor) -> Tensor:
        shares = self.shares(u)
        parts = (shares[..., e, None] * expert(u) for e, expert in enumerate(self.experts))
        return sum(parts, torch.zeros_like(u))

    def shares(self, u: Tensor) -> Tensor:
        """p_e(x), 0 for what is not chosen: (…, token, expert)."""
        scores = self.choose(u)
        best = scores.topk(self.chosen, -1)
        shares = best.values.float().softmax(-1).to(scores.dtype)
        return torch.zeros_like(scores).scatter(-1, best.indices, shares)

    @property
    def activation(self) -> str:
        first = self.experts[0]
        assert isinstance(first, GatedLocal)
        return first.activation

    def extra_repr(self) -> str:
        return f"chosen={self.chosen} of {len(self.experts)}"


def mixtral(config: Config, p: Parameters) -> tuple[TokenEmbedding, Flow]:
    """Mistral's equation whose local term has parts, of which a token chooses two:  L = Σ_{e ∈ E(x)} p_e(x) G_e.

    Source: Jiang et al., arXiv:2401.04088.
    """
    windows = [config.sliding_window] * config.num_hidden_layers
    return read_llama(config, p, layers_of(config, p, windows, sieve=_chosen))


def _chosen(config: Config, p: Parameters, name: str) -> ChosenLocal:
    act, n = activation(config.hidden_act), config.num_local_experts
    older = f"{name}.block_sparse_moe"  # before version 5 of `transformers`
    if f"{older}.gate.weight" in p:
        choose = p.map(f"{older}.gate")
        maps = [[p.map(f"{older}.experts.{e}.{z}") for z in ("w1", "w3", "w2")] for e in range(n)]
    else:
        choose = p.map(f"{name}.mlp.gate")
        both, down = p[f"{name}.mlp.experts.gate_up_proj"], p[f"{name}.mlp.experts.down_proj"]
        maps = [[(w, None) for w in (*both[e].chunk(2), down[e])] for e in range(n)]
    experts = [gated_local(gate, up, out, act) for gate, up, out in maps]
    return ChosenLocal(experts, choose, config.num_experts_per_tok)
