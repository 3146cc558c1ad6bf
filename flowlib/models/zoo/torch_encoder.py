"""PyTorch's own encoder as a flow."""

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowlib.arguments import check_tensor
from flowlib.flow.equation import Flow
from flowlib.models.zoo.parts import affine, assemble, attention, local
from flowlib.operators import Affine, Attention, LiteralLocal, Local, Moments, Normalise, PreNorm, Term

Reading = Literal["local", "literal"]
Pattern = tuple[list[Term], list[Moments | None] | None]  # the terms of a layer, and their constraints


def from_torch(module: nn.TransformerEncoder | nn.TransformerEncoderLayer, reading: Reading = "local") -> Flow:
    """PyTorch's own encoder as a flow: at Δt = 1 the same map, to round-off.

    Post-norm (norm_first=False), reading="local", per layer:   Lie splitting of
        u_t = A(u) + (a_1 − 1) ⊙ u + b_1 + L(u) + (a_2 − 1) ⊙ u + b_2,   projected onto S1 after A and after L.
    Post-norm, reading="literal": the paper's M = 4 + J substeps (J = 2), with averaged skip. There the last projection
        takes ε/4: halving a field quarters its variance, so ε must be quartered for layer norm to give the same.
    Pre-norm (norm_first=True):   Lie splitting of  u_t = A(N_1(u)) + L(N_2(u)), without a constraint on u.

    The flow takes u0 (…, token, feature) whatever `batch_first` says, works without dropout (as the module does in
    eval mode), and copies the parameters. Masks follow flowlib: True = may attend; `mask_from_torch` inverts torch's.
    Error: exact at steps = number of layers (float64: 1e-12, float32: 1e-5).
    Raises: TypeError for a module that is neither, ValueError for one that is built in a way not known here, an unknown
            reading, or the literal reading of a pre-norm or GELU network (the paper's equation has neither).
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
    first = layers[0]
    _check_known(layers)
    pattern = {"local": _post_norm, "literal": _literal}[reading]
    if first.norm_first:
        if reading == "literal":
            raise ValueError(
                "the literal reading is of the post-norm encoder; read a pre-norm one with reading='local'"
            )
        pattern = _pre_norm
    constraints = pattern(first)[1]
    readout = None if last_norm is None else _norm(last_norm)
    return assemble([pattern(layer)[0] for layer in layers], constraints, readout=readout).train(module.training)


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


def _norm(norm: nn.Module) -> Normalise:
    if not isinstance(norm, nn.LayerNorm):
        raise ValueError(f"the encoder's last norm must be nn.LayerNorm, got {type(norm).__name__}")
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
    for layer in layers:
        if not isinstance(layer, nn.TransformerEncoderLayer):
            raise TypeError(f"every layer must be nn.TransformerEncoderLayer, got {type(layer).__name__}")
        attention = layer.self_attn
        if attention.in_proj_weight is None or attention.bias_k is not None or attention.add_zero_attn:
            raise ValueError("from_torch knows attention without kdim/vdim, add_bias_kv and add_zero_attn")
        kind = (layer.norm_first, attention.num_heads, _activation(layer), layer.norm1.eps, layer.norm2.eps)
        other = layers[0]
        if kind != (other.norm_first, other.self_attn.num_heads, _activation(other), other.norm1.eps, other.norm2.eps):
            raise ValueError(f"the layers of an encoder must be alike to be one flow; {kind} is not like the first")
