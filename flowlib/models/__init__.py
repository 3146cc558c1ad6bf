"""Models: embed → flow → read out; and known architectures read as flows."""

from flowlib.models.language import FlowConfig, FlowLM, shipped
from flowlib.models.points import FlowPoints, PointsConfig
from flowlib.models.vision import FlowVision, VisionConfig
from flowlib.models.vocabulary import Vocabulary
from flowlib.models.zoo import from_huggingface, from_torch, mask_from_torch

__all__ = [
    "FlowConfig",
    "FlowLM",
    "FlowPoints",
    "FlowVision",
    "PointsConfig",
    "VisionConfig",
    "Vocabulary",
    "from_huggingface",
    "from_torch",
    "mask_from_torch",
    "shipped",
]
