"""Relatives of BERT, ViT, GPT and Llama, small, with numbers drawn: their settings, what they are given."""

import random

import pytest
import torch

from flowlib.models.zoo import ARCHITECTURES

transformers = pytest.importorskip("transformers", reason='transformers is not installed; pip install -e ".[test]"')

VOCABULARY, LONGEST = 40, 24
OLD = transformers.__version__ < "5"  # which has fewer settings, and keeps CLIP's texts to float32
TOKENS = dict(vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=None, pad_token_id=None)
DTYPES = [torch.float32, torch.float64]
ROWS = {row.name: row for row in ARCHITECTURES}


def usual(heads=4, per_head=8, layers=3, inner=20, **more):
    return TOKENS | dict(
        hidden_size=heads * per_head,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=LONGEST,
        **more,
    )


def grouped(heads=4, groups=2, **more):
    return usual(heads, **more) | dict(num_key_value_heads=groups)


# name in the table: (class, settings in common, settings of its own)
LONG = dict(rope_type="longrope", short_factor=[1.0, 1.1, 1.3], long_factor=[1.0, 2.0, 4.0])
SOME_SLIDE = ["full_attention", "sliding_attention", "full_attention"]
FAMILIES = {
    "Mistral": (
        "Mistral",
        dict(sliding_window=4),
        [dict(sliding_window=None), dict(sliding_window=1), dict(sliding_window=99), dict(head_dim=12, groups=1)],
    ),
    "Qwen2": (
        "Qwen2",
        dict(),
        [
            dict(use_sliding_window=True, sliding_window=3, max_window_layers=1),
            dict(use_sliding_window=True, sliding_window=2, layer_types=SOME_SLIDE),
            dict(sliding_window=2),
            dict(hidden_act="gelu", groups=4, rms_norm_eps=0.1),
        ],
    ),
    "SmolLM3": (
        "SmolLM3",
        dict(no_rope_layer_interval=2),
        [
            dict(no_rope_layers=[0, 1, 1], attention_bias=True, mlp_bias=True),
            dict(use_sliding_window=True, sliding_window=3, layer_types=SOME_SLIDE),
            dict(no_rope_layer_interval=4),
        ],
    ),
}
FAMILIES |= {
    "Qwen3": (
        "Qwen3",
        dict(head_dim=12),
        [
            dict(use_sliding_window=True, sliding_window=3, max_window_layers=2),
            dict(attention_bias=True, groups=1),
            dict(head_dim=4, rms_norm_eps=0.1),
        ],
    ),
    "Phi-3": (
        "Phi3",
        dict(),
        [
            dict(partial_rotary_factor=0.5),
            dict(sliding_window=3),
            dict(original_max_position_embeddings=8, rope=LONG, per_head=6),
            dict(original_max_position_embeddings=16, rope=LONG, per_head=6),
            dict(groups=4, hidden_act="relu"),
        ],
    ),
    "Gemma": (
        "Gemma",
        dict(head_dim=12),
        [dict(head_dim=8, hidden_act="relu"), dict(attention_bias=True, groups=1), dict(per_head=7)],
    ),
}
FAMILIES |= {
    "RoBERTa": (
        "Roberta",
        dict(pad_token_id=1),
        [dict(pad_token_id=0), dict(pad_token_id=5), dict(hidden_act="relu", type_vocab_size=3, layer_norm_eps=0.1)],
    ),
    "XLM-R": ("XLMRoberta", dict(pad_token_id=1), [dict(hidden_act="gelu_new")]),
    "ELECTRA": (
        "Electra",
        dict(embedding_size=6),
        [dict(embedding_size=32), dict(hidden_act="silu", type_vocab_size=1)],
    ),
    "DistilBERT": ("DistilBert", dict(), [dict(activation="relu"), dict(sinusoidal_pos_embds=True)]),
}
FAMILIES |= {
    "OPT": (
        "OPT",
        dict(),
        [
            dict(do_layer_norm_before=False),
            dict(do_layer_norm_before=False, word_embed_proj_dim=10),
            dict(word_embed_proj_dim=40, activation_function="gelu"),
            dict(_remove_final_layer_norm=True),
            dict(layer_norm_elementwise_affine=False, enable_bias=False),
            dict(layer_norm_elementwise_affine=False, do_layer_norm_before=False),
        ],
    ),
    "Phi": (
        "Phi",
        dict(),
        [dict(qk_layernorm=True), dict(partial_rotary_factor=0.25, groups=2), dict(partial_rotary_factor=1.0)],
    ),
    "BLOOM": ("Bloom", dict(), [dict(heads=3), dict(heads=6), dict(heads=12, per_head=2), dict(heads=1)]),
}
FAMILIES |= {
    "DINOv2": (
        "Dinov2",
        dict(),
        [
            dict(use_swiglu_ffn=True),
            dict(qkv_bias=False, mlp_ratio=1),
            dict(patch_size=3, hidden_act="relu", use_mask_token=False, layer_norm_eps=0.1),
        ],
    ),
}
SOME_SLIDE_LAST = ["full_attention", "sliding_attention", "sliding_attention"]
BY_KIND = dict(
    full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000.0),
    sliding_attention=dict(rope_type="default", rope_theta=10.0),
)
FAMILIES |= {
    "Gemma 2": (
        "Gemma2",
        dict(head_dim=12, sliding_window=3, attn_logit_softcapping=2.0, query_pre_attn_scalar=17),
        [
            dict(attn_logit_softcapping=None, sliding_window=1),
            dict(attn_logit_softcapping=0.3, attention_bias=True, groups=1),
            dict(layer_types=SOME_SLIDE_LAST, hidden_activation="silu", head_dim=8),
        ],
    ),
    "Gemma 3": (
        "Gemma3Text",
        dict(head_dim=12, sliding_window=3, query_pre_attn_scalar=17, layer_types=SOME_SLIDE),
        [
            dict(by_kind=BY_KIND),
            dict(layer_types=SOME_SLIDE_LAST, attention_bias=True, groups=1, sliding_window=1),
            dict(layers=7, sliding_window=2, layer_types=None),
        ],
    ),
    "Mixtral": (
        "Mixtral",
        dict(num_local_experts=4),
        [
            dict(num_local_experts=3, num_experts_per_tok=3, sliding_window=2),
            dict(num_local_experts=8, num_experts_per_tok=1, head_dim=12, groups=1),
            dict(num_local_experts=1, num_experts_per_tok=1, hidden_act="gelu"),
        ],
    ),
    "ModernBERT": (
        "ModernBert",
        dict(local_attention=4, cls_token_id=1, sep_token_id=2),
        [
            dict(local_attention=1, norm_bias=True, attention_bias=True, mlp_bias=True),
            dict(global_attn_every_n_layers=2, hidden_activation="silu", norm_eps=0.1),
            dict(layer_types=SOME_SLIDE_LAST, by_kind=BY_KIND),
            dict(local_attention=3, global_attn_every_n_layers=1),
        ],
    ),
    "CLIP, texts": (
        "CLIPText",
        dict(eos_token_id=2),
        [dict(hidden_act="gelu", layer_norm_eps=0.1), dict(hidden_act="silu")],
    ),
    "CLIP, pictures": ("CLIPVision", dict(), [dict(hidden_act="gelu", patch_size=5), dict(num_channels=2)]),
}
if OLD:
    for name, settings in (("Phi-3", "rope"), ("OPT", "layer_norm_elementwise_affine"), ("ModernBERT", "layer_types")):
        kind, common, own = FAMILIES[name]
        FAMILIES[name] = kind, common, [row for row in own if settings not in row]
PICTURES = ("DINOv2", "CLIP, pictures")
GROUPED = ("Mistral", "Qwen2", "SmolLM3", "Qwen3", "Phi-3", "Gemma", "Gemma 2", "Gemma 3", "Mixtral")
CAUSAL = (*GROUPED, "OPT", "Phi", "BLOOM", "CLIP, texts")


def network(name, seed=0, dtype=torch.float64, **settings):
    """A model with random parameters, in evaluation mode; all scales around 1, Gemma's around 0 as it has them."""
    kind, common, _ = FAMILIES[name]
    dtype = torch.float32 if OLD and name == "CLIP, texts" else dtype
    if not hasattr(transformers, f"{kind}Model"):
        pytest.skip(f"this transformers has no {kind}Model")
    eager = dict(attn_implementation="eager") if name == "Gemma 2" else {}  # the only one that caps its scores
    given = configuration(name, common | settings) | eager
    torch.manual_seed(seed)
    model = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**given)).to(dtype).eval()
    if name == "Mixtral" and hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # the other ones know neither float64 nor odd widths
    with torch.no_grad():
        for parameter_name, p in model.named_parameters():
            scale = p.ndim == 1 and parameter_name.endswith("weight") and not name.startswith("Gemma")
            p.copy_(scale + 0.3 * torch.randn_like(p))
    return model


def no_padding(model):
    return changed(model, pad_token_id=None)


DINO = dict(image_size=12, patch_size=4, num_channels=2)
NOT_DINOS = ("intermediate_size", "max_position_embeddings")


def unknown(kind):
    """Something that says that it is of this kind."""
    model = torch.nn.Linear(2, 2)
    model.config = getattr(transformers, f"{kind}Config")()
    return model


SLIDING = dict(use_sliding_window=True, sliding_window=3)


def changed(model, **settings):
    for name, value in settings.items():
        setattr(model.config, name, value)
    return model


def configuration(name, settings):
    rope = settings.pop("rope", None)
    if rope is not None:
        rope = rope | dict(original_max_position_embeddings=settings["original_max_position_embeddings"])
        settings |= {("rope_parameters" if transformers.__version__ >= "5" else "rope_scaling"): rope}
    if by_kind := settings.pop("by_kind", None):
        settings |= rope_by_kind(by_kind)
    if name == "Phi" and "groups" in settings:
        return grouped(**settings)
    if name in PICTURES and name != "DINOv2":
        return DINO | {k: v for k, v in usual(**settings).items() if k not in (*TOKENS, "max_position_embeddings")}
    if name == "DINOv2":
        return DINO | {k: v for k, v in usual(**settings).items() if k not in (*TOKENS, *NOT_DINOS)}
    if name == "OPT":
        return renamed(usual(**settings), intermediate_size="ffn_dim")
    if name == "DistilBERT":
        return renamed(usual(**settings), hidden_size="dim", num_hidden_layers="n_layers") | dict(hidden_dim=20)
    return (grouped if name in GROUPED else usual)(**settings)


def rope_by_kind(kinds):
    """As this version of transformers takes it."""
    if transformers.__version__ >= "5":
        return dict(rope_parameters={kind: dict(settings) for kind, settings in kinds.items()})
    full, sliding = (dict(kinds[f"{z}_attention"]) for z in ("full", "sliding"))
    bases = full.pop("rope_theta"), sliding.pop("rope_theta")
    names = [("rope_theta", "rope_local_base_freq"), ("global_rope_theta", "local_rope_theta")]
    return dict(rope_scaling=full) | {name: base for pair in names for name, base in zip(pair, bases)}


def renamed(settings, **names):
    return {names.get(name, name): value for name, value in settings.items()}


def inputs_of(name, seed=0, batch=3, tokens=9, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    if name in PICTURES:
        return dict(pixel_values=torch.randn(batch, 2, 12, 12, generator=generator, dtype=dtype))
    return dict(input_ids=torch.randint(3, VOCABULARY, (batch, tokens), generator=generator))


def masks_for(name, dtype, sides):
    """In float64, transformers' eager attention is NaN where a token hears nothing: its softmax is in float32 still."""
    if name in PICTURES or (name == "Gemma 2" and dtype == torch.float64):
        return []
    return [mask for side, mask in sides.items() if (name, dtype, side) != ("BLOOM", torch.float64, "left")]


def shape_for(name, seed):
    draw = random.Random(f"{name} {seed}")
    shape = dict(heads=draw.choice([1, 2, 3, 5]), per_head=draw.choice([4, 8]), inner=draw.randint(1, 30))
    if name in PICTURES:
        return shape
    return shape | ({"groups": draw.choice([1, shape["heads"]])} if "groups" in configuration_takes(name) else {})


def configuration_takes(name):
    return {"groups"} if name in GROUPED else set()
