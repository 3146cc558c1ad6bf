"""PyTorch's own encoder as a flow."""

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.arguments import check_tensor
from flowlib.flow.equation import Flow
from flowlib.models.zoo.parts import affine, assemble, attention, local
from flowlib.models.zoo.selfcheck import must_be_equal, torchs_fast_path
from flowlib.operators import Affine, Attention, LiteralLocal, Local, Moments, Normalise, PreNorm, Term

Reading = Literal["local", "literal"]
Pattern = tuple[list[Term], list[Moments | None] | None]  # the terms of a layer, and their constraints


def from_torch(
    module: nn.TransformerEncoder | nn.TransformerEncoderLayer, reading: Reading = "local", *, verify: bool = True
) -> Flow:
    """PyTorch's own encoder as a flow: at Δt = 1 the same map, to round-off.

    Post-norm (norm_first=False), reading="local", per layer:   Lie splitting of
        u_t = A(u) + (a_1 − 1) ⊙ u + b_1 + L(u) + (a_2 − 1) ⊙ u + b_2,   projected onto S1 after A and after L.
    Post-norm, reading="literal": the paper's M = 4 + J substeps (J = 2), with averaged skip. There the last projection
        takes ε/4: halving a field quarters its variance, so ε must be quartered for layer norm to give the same.
    Pre-norm (norm_first=True):   Lie splitting of  u_t = A(N_1(u)) + L(N_2(u)), without a constraint on u.

    The flow takes u0 (…, token, feature) whatever `batch_first` says, works without dropout (as the module does in
    eval mode), and copies the parameters; the copies can be trained, also where the module's are frozen.
    Masks follow flowlib: True = may attend; `mask_from_torch` inverts torch's.
    verify: run both on 2 × 7 random tokens and compare, which finds a module that was changed after it was built, by a
    hook or a subclass, say. The module is left as it was.
    Error: exact at steps = number of layers (float64: 1e-12, float32: 1e-5).
    Raises: TypeError for a module that is neither, ValueError for one that is built in a way not known here, that has
            dropout in training mode, or whose output is not the flow's; for an unknown reading, or the literal reading
            of a pre-norm or GELU network (the paper's equation has neither).
    Source: arXiv:2510.03989; Vaswani et al., arXiv:1706.03762.
    """
    if isinstance(module, nn.TransformerEncoderLayer):
        layers, last_norm = [module], None
    elif isinstance(module, nn.TransformerEncoder):
        layers, last_norm = list(module.layers), module.norm
    else:
        raise TypeError(
            "from_torch reads nn.TransformerEncoderLayer and nn.TransformerEncoder (norm_first either way), "
            f"got {type(module).__name__}"
        )
    if reading not in get_args(Reading):
        raise ValueError(
            f"unknown reading {reading!r}; known: 'local' (terms are vector fields), 'literal' (the paper's substeps)"
        )
    _check_known(layers)
    _check_parameters(module)
    first = layers[0]
    pattern = {"local": _post_norm, "literal": _literal}[reading]
    if first.norm_first:
        if reading == "literal":
            raise ValueError(
                "the literal reading is of the post-norm encoder; read a pre-norm one with reading='local'"
            )
        pattern = _pre_norm
    constraints = pattern(first)[1]
    readout = None if last_norm is None else _norm(last_norm)
    _check_dropout(module)
    flow = assemble([pattern(layer)[0] for layer in layers], constraints, readout=readout).train(module.training)
    if verify:
        _verify(flow, module, first)
    return flow


def _verify(flow: Flow, module: nn.Module, first: nn.TransformerEncoderLayer) -> None:
    """Compare the flow with both ways in which torch computes the module."""
    like = first.linear1.weight
    u = torch.randn(2, 7, first.linear1.in_features, generator=torch.Generator().manual_seed(0)).to(like)
    turned = (lambda z: z) if first.self_attn.batch_first else (lambda z: z.transpose(0, 1))
    ways = {True: "its output on torch's fast path", False: "its output"}
    for fast, says in ways.items():
        with torchs_fast_path(fast):
            must_be_equal(lambda: flow(u).final, lambda: turned(module(turned(u))), module, says)


def mask_from_torch(mask: Tensor | None = None, key_padding_mask: Tensor | None = None) -> Tensor | None:
    """Torch's encoder masks as flowlib's.  mask (query, key), key_padding_mask (batch, token): True = must not attend
    (or, as floats, 0 and −∞)  →  bool (batch or 1, query, key) for a flow's mask=; True = may attend.

    Padded tokens are also kept from attending, so that they are padded on both sides.
    Raises: TypeError for what is no tensor, ValueError for floats that are neither 0 nor −∞.
    """

    def allowed(m: Tensor | None) -> Tensor | None:
        if m is not None:
            check_tensor(m, "mask", "a tensor of bool, or of 0 and −∞")
        if m is not None and m.dtype != torch.bool:
            if not ((m == 0) | m.isneginf()).all():
                raise ValueError("a float mask must hold 0 and −∞ only; other additive biases are no masks")
            m = m.isneginf()
        return None if m is None else ~m

    pairs, valid = allowed(mask), allowed(key_padding_mask)
    if valid is not None:
        both = valid.unsqueeze(-2) & valid.unsqueeze(-1)
        pairs = both if pairs is None else both & pairs
    return pairs[None] if pairs is not None and pairs.ndim == 2 else pairs


def _post_norm(layer: nn.TransformerEncoderLayer) -> Pattern:
    terms = [_attention(layer.self_attn), _affine(layer.norm1), _local(layer), _affine(layer.norm2)]
    return terms, [Moments(eps=layer.norm1.eps), None, Moments(eps=layer.norm2.eps), None]


def _pre_norm(layer: nn.TransformerEncoderLayer) -> Pattern:
    attention = PreNorm(_attention(layer.self_attn), Moments(eps=layer.norm1.eps), _affine(layer.norm1))
    local = PreNorm(_local(layer), Moments(eps=layer.norm2.eps), _affine(layer.norm2))
    return [attention, local], None


def _literal(layer: nn.TransformerEncoderLayer) -> Pattern:
    if _activation(layer) != "relu":
        raise ValueError(
            f"the literal reading needs ReLU, the projection onto u ≥ 0; this layer has {_activation(layer)!r}"
        )
    first, second = layer.linear1, layer.linear2
    sieve = LiteralLocal([first.in_features, first.out_features, second.out_features], bias=first.bias is not None).to(
        first.weight
    )
    for mine, theirs in zip(sieve.maps, (first, second)):
        mine.load_state_dict(theirs.state_dict())
    terms = [_attention(layer.self_attn), _affine(layer.norm1), sieve, _affine(layer.norm2)]
    return terms, [Moments(eps=layer.norm1.eps), None, Moments(eps=layer.norm2.eps / 4), None]


def _attention(theirs: nn.MultiheadAttention) -> Attention:
    qkv, out = (theirs.in_proj_weight, theirs.in_proj_bias), (theirs.out_proj.weight, theirs.out_proj.bias)
    return attention(qkv, out, theirs.num_heads)


def _local(layer: nn.TransformerEncoderLayer) -> Local:
    up, down = ((linear.weight, linear.bias) for linear in (layer.linear1, layer.linear2))
    return local(up, down, _activation(layer))


def _affine(norm: nn.LayerNorm) -> Affine:
    if norm.weight is None:
        return Affine(norm.normalized_shape[-1], bias=False)
    return affine(norm.weight, norm.bias)


def _norm(norm: Any) -> Normalise:
    _check_norm(norm, "the encoder's last norm")
    return Normalise(Moments(eps=norm.eps), _affine(norm))


def _activation(layer: nn.TransformerEncoderLayer) -> str:
    """The name of the layer's activation: torch keeps a function or a module."""
    given: Any = layer.activation
    if given is F.relu or isinstance(given, nn.ReLU):
        return "relu"
    if given is F.gelu or isinstance(given, nn.GELU):
        return "gelu_tanh" if getattr(given, "approximate", "none") == "tanh" else "gelu"
    if given is F.silu or isinstance(given, nn.SiLU):
        return "silu"
    raise ValueError(f"unknown activation {given}; from_torch knows ReLU, GELU and SiLU")


def _check_known(layers: list[nn.TransformerEncoderLayer]) -> None:
    """Raises: TypeError, ValueError for layers that are built in a way that `from_torch` does not know."""
    if not layers:
        raise ValueError("an encoder without layers is no flow: it needs at least one step")
    for number, layer in enumerate(layers):
        _check_parts(layer, f"layer {number}")
        kind, first = _kind(layer), _kind(layers[0])
        if kind != first:
            raise ValueError(f"the layers of an encoder must be alike to be one flow; {kind} is not like {first}")


def _check_parameters(module: nn.Module) -> None:
    parameters = list(module.parameters())
    if odd := [p for p in parameters if p.is_meta or not p.is_floating_point()]:
        raise ValueError(f"parameters must be loaded, as floats, but one is {odd[0].dtype} on {odd[0].device}")
    if len(dtypes := {p.dtype for p in parameters}) > 1:
        raise ValueError(f"parameters must be of one dtype, got {', '.join(map(str, dtypes))}; try module.float()")


def _check_parts(layer: nn.Module, where: str) -> None:
    if not isinstance(layer, nn.TransformerEncoderLayer):
        raise TypeError(f"every layer must be nn.TransformerEncoderLayer, got {type(layer).__name__}")
    kernel: Any = layer.self_attn
    if not isinstance(kernel, nn.MultiheadAttention):
        raise ValueError(f"the attention of {where} must be nn.MultiheadAttention, got {type(kernel).__name__}")
    if kernel.in_proj_weight is None or kernel.bias_k is not None or kernel.add_zero_attn:
        raise ValueError("from_torch knows attention without kdim/vdim, add_bias_kv and add_zero_attn")
    for name in ("linear1", "linear2"):
        linear: Any = getattr(layer, name)
        if not isinstance(linear, nn.Linear):
            said = f"{type(linear).__module__}.{type(linear).__name__}"
            raise ValueError(f"{name} of {where} must be nn.Linear, got {said}; read the model without quantisation")
    for name in ("norm1", "norm2"):
        _check_norm(getattr(layer, name), f"{name} of {where}")


def _check_norm(norm: nn.Module, where: str) -> None:
    if not isinstance(norm, nn.LayerNorm):
        raise ValueError(f"{where} must be nn.LayerNorm, got {type(norm).__name__}")
    if len(norm.normalized_shape) != 1:
        raise ValueError(
            f"{where} must be over the features alone, nn.LayerNorm({norm.normalized_shape[-1]}), got one over "
            f"{tuple(norm.normalized_shape)}: mean and spread over several tokens are no projection of a token onto S1"
        )


def _check_dropout(module: nn.Module) -> None:
    for part in module.modules():
        rate = part.dropout if isinstance(part, nn.MultiheadAttention) else getattr(part, "p", 0)
        if part.training and isinstance(part, (nn.MultiheadAttention, nn.Dropout)) and rate:
            raise ValueError(
                f"{type(module).__name__} is in training mode with dropout {rate}; a flow has none: call module.eval() "
                "first, or build it with dropout=0"
            )


def _kind(layer: nn.TransformerEncoderLayer) -> tuple[Any, ...]:
    """What all layers of a flow have alike."""
    return layer.norm_first, layer.self_attn.num_heads, _activation(layer), layer.norm1.eps, layer.norm2.eps
