"""The known architectures in one table, and how a flow is found in it."""

from dataclasses import dataclass, fields, replace

from torch import nn

from flowlib.flow.depth import Constant, PerStep
from flowlib.flow.equation import Flow
from flowlib.models.zoo.kernels import ShapedAttention
from flowlib.models.zoo.listening import Listening
from flowlib.models.zoo.mixtral import ChosenLocal
from flowlib.operators import Attention, GatedLocal, Local, NormedVelocity, PreNorm, Rotary, Sphere, Term, UnitLength


@dataclass(frozen=True)
class Architecture:
    """A row: which splitting an architecture is. Of these, scheme to local can be read off a flow (`describe`)."""

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
    exact: str
    """How near the flow is to the package's model in float64, relative to the largest entry; 1e-5 where that model
    computes a part in float32. (In float32 it is 1e-5 for all.)"""
    source: str


# One line for each: name, scheme, projection, depth, kernel, local term, exact to, source.
ROWS = """
BERT | lie | S1 after each term | per step | all | gelu | 1e-12 | arXiv:1810.04805
ALBERT | lie | S1 after each term | constant | all | gelu_tanh | 1e-12 | arXiv:1909.11942
RoBERTa | lie | S1 after each term | per step | all | gelu | 1e-10 | arXiv:1907.11692
XLM-R | lie | S1 after each term | per step | all | gelu | 1e-10 | arXiv:1911.02116
ELECTRA | lie | S1 after each term | per step | all | gelu | 1e-10 | arXiv:2003.10555
DistilBERT | lie | S1 after each term | per step | all | gelu | 1e-10 | arXiv:1910.01108
ModernBERT | lie | S1 inside each term | per step | all, rotary, window at some depths | gated gelu \
| 1e-5 | arXiv:2412.13663
ViT | lie | S1 inside each term | per step | all | gelu | 1e-12 | arXiv:2010.11929
DINOv2 | lie | S1 inside each term | per step | all | gelu | 1e-10 | arXiv:2304.07193
CLIP, pictures | lie | S1 inside each term | per step | all | quick_gelu | 1e-10 | arXiv:2103.00020
CLIP, texts | lie | S1 inside each term | per step | causal | quick_gelu | 1e-10 | arXiv:2103.00020
GPT-2 | lie | S1 inside each term | per step | causal | gelu_tanh | 1e-12 | Radford et al. 2019
GPT-J | additive | S1 inside each term | per step | causal, rotary | gelu_tanh | 1e-12 | Wang, Komatsuzaki 2021
GPT-NeoX | additive | S1 inside each term | per step | causal, rotary | gelu | 1e-12 | arXiv:2204.06745
OPT | lie | S1 inside each term | per step | causal | relu | 1e-10 | arXiv:2205.01068
Phi | additive | S1 inside each term | per step | causal, rotary | gelu_tanh | 1e-10 | arXiv:2309.05463
BLOOM | lie | S1 inside each term | per step | causal, weights e^{mx} | gelu_tanh | 1e-5 | arXiv:2211.05100
Llama | lie | sphere inside each term | per step | causal, rotary | gated silu | 1e-5 | arXiv:2302.13971
Mistral | lie | sphere inside each term | per step | causal, rotary, window | gated silu | 1e-5 | arXiv:2310.06825
Mixtral | lie | sphere inside each term | per step | causal, rotary | gated silu, chosen | 1e-5 | arXiv:2401.04088
Qwen2 | lie | sphere inside each term | per step | causal, rotary | gated silu | 1e-5 | arXiv:2407.10671
Qwen3 | lie | sphere inside each term | per step | causal, rotary, normed | gated silu | 1e-5 | arXiv:2505.09388
SmolLM3 | lie | sphere inside each term | per step | causal, rotary at some depths | gated silu \
| 1e-5 | Hugging Face 2025
Phi-3 | lie | sphere inside each term | per step | causal, rotary | gated silu | 1e-5 | arXiv:2404.14219
Gemma | lie | sphere inside each term | per step | causal, rotary | gated gelu_tanh | 1e-5 | arXiv:2403.08295
Gemma 2 | lie | sphere around each term | per step | causal, rotary, window at some depths, capped | gated gelu_tanh \
| 1e-5 | arXiv:2408.00118
Gemma 3 | lie | sphere around each term | per step | causal, rotary, window at some depths, normed | gated gelu_tanh \
| 1e-5 | arXiv:2503.19786
T5 | lie | sphere inside each term | per step | causal, weights e^{b(x − x̃)}, and another field | relu | 1e-5 \
| arXiv:1910.10683
mT5 | lie | sphere inside each term | per step | causal, weights e^{b(x − x̃)}, and another field | gated gelu_tanh \
| 1e-5 | arXiv:2010.11934
umT5 | lie | sphere inside each term | per step | causal, weights e^{b(x − x̃)}, and another field | gated gelu_tanh \
| 1e-5 | arXiv:2304.09151
BART | lie | S1 after each term | per step | causal, and another field | gelu | 1e-10 | arXiv:1910.13461
mBART | lie | S1 inside each term | per step | causal, and another field | gelu | 1e-10 | arXiv:2001.08210
Pegasus | lie | S1 inside each term | per step | causal, and another field | gelu | 1e-10 | arXiv:1912.08777
Marian | lie | S1 after each term | per step | causal, and another field | gelu | 1e-10 | arXiv:1804.00344
Whisper | lie | S1 inside each term | per step | causal, and another field | gelu | 1e-10 | arXiv:2212.04356
Macaron | macaron | S1 after each term | per step | all | relu | 1e-12 | arXiv:1906.02762
nGPT | lie | sphere after each term | per step | causal, rotary, unit length | gated silu | 1e-12 | arXiv:2410.01131
"""
ARCHITECTURES = tuple(Architecture(*line.split(" | ")) for line in ROWS.strip().splitlines())
WORDS = (
    "all",
    "causal",
    "rotary",
    "unit length",
    "window",
    "weights e^{mx}",
    "weights e^{b(x − x̃)}",
    "normed",
    "capped",
)
HEAD = "| | scheme | projection | depth | kernel | local term | exact to | source |\n|---|---|---|---|---|---|---|---|"


def list_architectures() -> str:
    """The table in Markdown, a line for each architecture."""
    names = [field.name for field in fields(Architecture)]
    marked = (replace(row, name=f"**{row.name}**") for row in ARCHITECTURES)
    return "\n".join([HEAD, *(f"| {' | '.join(getattr(row, name) for name in names)} |" for row in marked)])


def describe(flow: Flow, name: str = "", source: str = "", exact: str = "") -> Architecture:
    """The row of the table that a flow is, read off its scheme, constraints, depth and terms.

    Raises: ValueError for a flow without attention or without a local term.
    """
    layers = [flow.depth.terms(k) for k in range(flow.depth.copies)]
    kernels = [_first(terms, Attention) for terms in layers]
    local = _first(flow.terms, (ChosenLocal, Local, GatedLocal))
    if kernels[0] is None or local is None:
        raise ValueError("an architecture of this table has attention and a local term; this flow lacks one of them")
    told = _in_depth([_kernel(kernel) for kernel in kernels if isinstance(kernel, Attention)])
    told += ", and another field" if _first(flow.terms, Listening) else ""
    return Architecture(name, flow.scheme.name, _norm(flow), _depth(flow), told, _local(local), exact, source)


def _first(terms: list[Term], kind: type | tuple[type, ...]) -> nn.Module | None:
    return next((part for term in terms for part in term.modules() if isinstance(part, kind)), None)


def _norm(flow: Flow) -> str:
    held = [c for c in flow.constraints if not isinstance(c, nn.Identity)]
    around = any(isinstance(term, NormedVelocity) for term in flow.terms)
    parts = [part for term in flow.terms for part in term.modules() if isinstance(part, PreNorm)]
    inside = [part.normalise.constraint for part in parts]
    if not held and not inside:
        return "none"
    kind = "sphere" if isinstance((held or inside)[0], Sphere) else "S1"
    return f"{kind} {'after' if held else 'around' if around else 'inside'} each term"


def _depth(flow: Flow) -> str:
    return {Constant: "constant", PerStep: "per step"}.get(type(flow.depth), type(flow.depth).__name__)


def _in_depth(told: list[list[str]]) -> str:
    """What the kernels are at all depths, and at some."""
    words = sorted({word for words in told for word in words}, key=WORDS.index)
    return ", ".join(word + ("" if all(word in words for words in told) else " at some depths") for word in words)


def _kernel(kernel: Attention) -> list[str]:
    prepared = [] if kernel.prepare is None else list(kernel.prepare.modules())
    shaped = kernel if isinstance(kernel, ShapedAttention) else None
    holds = (
        not kernel.causal,
        bool(kernel.causal),
        any(isinstance(part, Rotary) for part in prepared),
        any(isinstance(part, UnitLength) for part in prepared),
        shaped is not None and shaped.window is not None,
        shaped is not None and shaped.slopes is not None,
        shaped is not None and shaped.near_far is not None,
        shaped is not None and shaped.norms is not None,
        shaped is not None and shaped.cap is not None,
    )
    return [word for word, holding in zip(WORDS, holds, strict=True) if holding]


def _local(local: nn.Module) -> str:
    chosen = ", chosen" if isinstance(local, ChosenLocal) else ""
    gated = "gated " if isinstance(local, (ChosenLocal, GatedLocal)) else ""
    return f"{gated}{local.activation}{chosen}"
