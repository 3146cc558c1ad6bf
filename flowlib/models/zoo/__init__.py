"""Known architectures read as splittings of the equation."""

from flowlib.models.zoo.embedded import EmbeddedFlow, EmbeddedPair
from flowlib.models.zoo.huggingface import READERS, Reader, from_huggingface
from flowlib.models.zoo.listening import listen_to
from flowlib.models.zoo.own import macaron, ngpt
from flowlib.models.zoo.pretrained import minilm
from flowlib.models.zoo.table import ARCHITECTURES, Architecture, describe, list_architectures
from flowlib.models.zoo.torch_encoder import from_torch, mask_from_torch

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "EmbeddedFlow",
    "EmbeddedPair",
    "READERS",
    "Reader",
    "describe",
    "from_huggingface",
    "from_torch",
    "list_architectures",
    "listen_to",
    "macaron",
    "mask_from_torch",
    "minilm",
    "ngpt",
]
