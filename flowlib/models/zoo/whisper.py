"""Whisper: a field of words that listens to a field of sound."""

import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.arguments import check_tensor
from flowlib.models.zoo.barts import make_side
from flowlib.models.zoo.embedded import EmbeddedFlow, EmbeddedPair
from flowlib.models.zoo.embedding import TokenEmbedding
from flowlib.models.zoo.parts import Config, Map, Parameters


class SoundEmbedding(nn.Module):
    """v(x, ·, 0) = σ(k_2 ∗ σ(k_1 ∗ sound)) + position(x), every other x: two local integrals over time, σ = GELU.

    sounds (batch, band, frame), the log of each band's loudness → (batch, frame / 2, feature).
    first, second: kernels (feature, ·, 3) and biases; position (frame / 2, feature), a row for each token there is.
    Raises: ValueError for sounds of another length or with other bands.
    """

    takes = "input_features"

    def __init__(self, first: Map, second: Map, position: Tensor):
        super().__init__()
        self.first, self.second = _convolution(first, stride=1), _convolution(second, stride=2)
        self.position = nn.Parameter(position.detach().clone())
        self.shape = (self.first.in_channels, 2 * len(position))  # bands, frames

    def forward(self, sounds: Tensor) -> Tensor:
        check_tensor(sounds, "input_features", "a tensor (batch, band, frame)")
        if sounds.ndim != 3 or sounds.shape[1:] != self.shape or not sounds.is_floating_point():
            raise ValueError(
                f"input_features must be floats (batch, band, frame) = (batch, {self.shape[0]}, {self.shape[1]}), got "
                f"{sounds.dtype} {tuple(sounds.shape)}; fill up with silence, as the model's feature extractor does"
            )
        u = F.gelu(self.second(F.gelu(self.first(sounds.to(self.position.dtype)))))
        return u.mT + self.position


def whisper(config: Config, p: Parameters) -> EmbeddedPair:
    """mBART's equations, from sound:  v_s = A(N_1 v) + L(N_2 v),  then  u_t = A(N_1 u) + B(N_2 u; v) + L(N_3 u).

    Source: Radford et al., arXiv:2212.04356.
    """
    heard, said = (make_side(config, p, name, pre_norm=True) for name in ("encoder", "decoder"))
    sound = SoundEmbedding(p.map("encoder.conv1"), p.map("encoder.conv2"), p["encoder.embed_positions.weight"])
    words = TokenEmbedding(p["decoder.embed_tokens.weight"], p["decoder.embed_positions.weight"])
    return EmbeddedPair(EmbeddedFlow(sound, heard), words, said)


def _convolution(given: Map, stride: int) -> nn.Conv1d:
    weight, bias = given
    made = nn.Conv1d(weight.shape[1], weight.shape[0], weight.shape[2], stride, padding=1, bias=bias is not None)
    made.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())
    return made
