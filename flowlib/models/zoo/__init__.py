"""Known architectures read as splittings of the equation."""

from flowlib.models.zoo.huggingface import EmbeddedFlow, from_huggingface
from flowlib.models.zoo.pretrained import minilm
from flowlib.models.zoo.torch_encoder import from_torch, mask_from_torch

__all__ = ["EmbeddedFlow", "from_huggingface", "from_torch", "mask_from_torch", "minilm"]
