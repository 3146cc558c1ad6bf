"""The known architectures in one table, and how a flow is found in it."""

from dataclasses import dataclass

from torch import nn

from flowlib.flow.depth import Constant, PerStep
from flowlib.flow.equation import Flow
from flowlib.models.zoo.kernels import ShapedAttention
from flowlib.operators import Attention, GatedLocal, Local, PreNorm, Rotary, Sphere, UnitLength


@dataclass(frozen=True)
class Architecture:
    """A row: which splitting an architecture is. All but name and source can be read off a flow (`describe`)."""

    name: str
    scheme: str
    """In which order the terms are taken; macaron: half local, attention, half local."""
    norm: str
    """Where the projection stands, and its set: S1 (layer norm) or the sphere (RMS norm)."""
    depth: str
    """Parameters in t: per step, or constant."""
    kernel: str
    """Whom a token hears, and what happens to queries and keys before they meet."""
    local: str
    """The local term and its activation."""
    source: str


ARCHITECTURES = (
    Architecture("BERT", "lie", "S1 after each term", "per step", "all", "gelu", "arXiv:1810.04805"),
    Architecture("ALBERT", "lie", "S1 after each term", "constant", "all", "gelu_tanh", "arXiv:1909.11942"),
    Architecture("RoBERTa", "lie", "S1 after each term", "per step", "all", "gelu", "arXiv:1907.11692"),
    Architecture("XLM-R", "lie", "S1 after each term", "per step", "all", "gelu", "arXiv:1911.02116"),
    Architecture("ELECTRA", "lie", "S1 after each term", "per step", "all", "gelu", "arXiv:2003.10555"),
    Architecture("DistilBERT", "lie", "S1 after each term", "per step", "all", "gelu", "arXiv:1910.01108"),
    Architecture("ViT", "lie", "S1 inside each term", "per step", "all", "gelu", "arXiv:2010.11929"),
    Architecture("DINOv2", "lie", "S1 inside each term", "per step", "all", "gelu", "arXiv:2304.07193"),
    Architecture("GPT-2", "lie", "S1 inside each term", "per step", "causal", "gelu_tanh", "Radford et al. 2019"),
    Architecture(
        "GPT-J", "additive", "S1 inside each term", "per step", "causal, rotary", "gelu_tanh", "Wang, Komatsuzaki 2021"
    ),
    Architecture(
        "GPT-NeoX", "additive", "S1 inside each term", "per step", "causal, rotary", "gelu", "arXiv:2204.06745"
    ),
    Architecture("OPT", "lie", "S1 inside each term", "per step", "causal", "relu", "arXiv:2205.01068"),
    Architecture(
        "Phi", "additive", "S1 inside each term", "per step", "causal, rotary", "gelu_tanh", "arXiv:2309.05463"
    ),
    Architecture(
        "BLOOM", "lie", "S1 inside each term", "per step", "causal, weights e^{mx}", "gelu_tanh", "arXiv:2211.05100"
    ),
    Architecture(
        "Llama", "lie", "sphere inside each term", "per step", "causal, rotary", "gated silu", "arXiv:2302.13971"
    ),
    Architecture(
        "Mistral",
        "lie",
        "sphere inside each term",
        "per step",
        "causal, rotary, window",
        "gated silu",
        "arXiv:2310.06825",
    ),
    Architecture(
        "Qwen2", "lie", "sphere inside each term", "per step", "causal, rotary", "gated silu", "arXiv:2407.10671"
    ),
    Architecture(
        "SmolLM3", "lie", "sphere inside each term", "per step", "causal, rotary", "gated silu", "Hugging Face 2025"
    ),
    Architecture(
        "Qwen3",
        "lie",
        "sphere inside each term",
        "per step",
        "causal, rotary, normed",
        "gated silu",
        "arXiv:2505.09388",
    ),
    Architecture(
        "Phi-3", "lie", "sphere inside each term", "per step", "causal, rotary", "gated silu", "arXiv:2404.14219"
    ),
    Architecture(
        "Gemma", "lie", "sphere inside each term", "per step", "causal, rotary", "gated gelu_tanh", "arXiv:2403.08295"
    ),
    Architecture("Macaron", "macaron", "S1 after each term", "per step", "all", "relu", "arXiv:1906.02762"),
    Architecture(
        "nGPT",
        "lie",
        "sphere after each term",
        "per step",
        "causal, rotary, unit length",
        "gated silu",
        "arXiv:2410.01131",
    ),
)


def describe(flow: Flow, name: str = "", source: str = "") -> Architecture:
    """The row of the table that a flow is, read off its scheme, constraints, depth and terms.

    Raises: ValueError for a flow without attention or without a local term.
    """
    parts = [module for term in flow.terms for module in term.modules()]
    kernel = next((m for m in parts if isinstance(m, Attention)), None)
    local = next((m for m in parts if isinstance(m, (Local, GatedLocal))), None)
    if kernel is None or local is None:
        raise ValueError("an architecture of this table has attention and a local term; this flow lacks one of them")
    return Architecture(name, flow.scheme.name, _norm(flow), _depth(flow), _kernel(kernel), _local(local), source)


def _norm(flow: Flow) -> str:
    held = [c for c in flow.constraints if not isinstance(c, nn.Identity)]
    inside = [term.normalise.constraint for term in flow.terms if isinstance(term, PreNorm)]
    if not held and not inside:
        return "none"
    kind = "sphere" if isinstance((held or inside)[0], Sphere) else "S1"
    return f"{kind} after each term" if held else f"{kind} inside each term"


def _depth(flow: Flow) -> str:
    return {Constant: "constant", PerStep: "per step"}.get(type(flow.depth), type(flow.depth).__name__)


def _kernel(kernel: Attention) -> str:
    words = ["causal" if kernel.causal else "all"]
    prepared = [] if kernel.prepare is None else list(kernel.prepare.modules())
    words += ["rotary"] if any(isinstance(m, Rotary) for m in prepared) else []
    words += ["unit length"] if any(isinstance(m, UnitLength) for m in prepared) else []
    if isinstance(kernel, ShapedAttention):
        words += ["window"] if kernel.window is not None else []
        words += ["weights e^{mx}"] if kernel.slopes is not None else []
        words += ["normed"] if kernel.norms is not None else []
    return ", ".join(words)


def _local(local: Local | GatedLocal) -> str:
    return f"gated {local.activation}" if isinstance(local, GatedLocal) else local.activation
