"""Flow transformers, and what their speed is compared with: a plain GPT and torch's own encoder, all of one shape."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.models.language import FlowConfig, FlowLM


def build_contestants(shape: FlowConfig, knots: int | None) -> dict[str, nn.Module]:
    """All by name: flows with parameters in depth (`knots` sets, and half as many as layers), and those beside them."""
    in_depth = replace(shape, depth="elastic", knots=knots)
    return {
        "flow": FlowLM(in_depth),
        "discrete": FlowLM(shape),
        "half the knots": FlowLM(replace(in_depth, knots=(shape.layers + 1) // 2)),
        "weighted flow": WeightedFlow(in_depth),
        "plain GPT": PlainGPT(shape),
        "torch encoder": TorchEncoder(shape),
    }


class PlainGPT(nn.Module):
    """A GPT as one writes it: pre-norm blocks of nn.LayerNorm, nn.Linear and scaled_dot_product_attention."""

    class Block(nn.Module):
        def __init__(self, width: int, heads: int):
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
            self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
            self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

        def forward(self, u: Tensor) -> Tensor:
            b, n, d = u.shape
            q, k, v = (z.view(b, n, self.heads, -1).transpose(1, 2) for z in self.qkv(self.norm1(u)).chunk(3, -1))
            heard = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            u = u + self.out(heard.transpose(1, 2).reshape(b, n, d))
            return u + self.down(F.gelu(self.up(self.norm2(u))))

    def __init__(self, c: FlowConfig):
        super().__init__()
        self.embed, self.position = nn.Embedding(256, c.width), nn.Embedding(c.context, c.width)
        self.blocks = nn.ModuleList(self.Block(c.width, c.heads) for _ in range(c.layers))
        self.norm = nn.LayerNorm(c.width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        u = self.embed(tokens) + self.position.weight[: tokens.shape[-1]]
        for block in self.blocks:
            u = block(u)
        return self.norm(u) @ self.embed.weight.T

    @torch.no_grad()
    def write(self, text: Tensor, tokens: int, context: int, top_k: int) -> Tensor:
        """The text (token,) and so many more, as nanoGPT draws them: each time the last `context` tokens go through."""
        for _ in range(tokens):
            logits = self(text[None, -context:])[0, -1]
            logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
            text = torch.cat([text, torch.multinomial(logits.softmax(-1), 1)])
        return text


class TorchEncoder(nn.Module):
    """nn.TransformerEncoder with a causal mask between the same embedding and read-out, without biases as ours."""

    def __init__(self, c: FlowConfig):
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            c.width, c.heads, 4 * c.width, 0.0, "gelu", batch_first=True, norm_first=c.norm == "pre", bias=False
        )
        self.embed, self.position = nn.Embedding(256, c.width), nn.Embedding(c.context, c.width)
        self.encoder = nn.TransformerEncoder(layer, c.layers, enable_nested_tensor=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(c.context))

    def forward(self, tokens: Tensor) -> Tensor:
        u = self.embed(tokens) + self.position.weight[: tokens.shape[-1]]
        return self.encoder(u, mask=self.mask, is_causal=True) @ self.embed.weight.T


class WeightedFlow(nn.Module):
    """A flow whose tokens carry unequal quadrature weights."""

    def __init__(self, c: FlowConfig):
        super().__init__()
        self.model = FlowLM(c)
        self.register_buffer("weights", torch.linspace(1, 2, c.context))

    def forward(self, tokens: Tensor) -> Tensor:
        model = self.model
        flowed = model.flow(model.initial_field(tokens), weights=self.weights, save="final")
        return model.read_out(flowed.final)
