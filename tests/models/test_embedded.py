"""What a reading keeps of its model: the head, places, features in place of tokens, dtype, mode, what is frozen."""

import re

import pytest
import torch
from torch import nn

from flowlib.models.zoo import from_huggingface
from flowlib.models.zoo.huggingface import body_of

transformers = pytest.importorskip("transformers", reason='transformers is not installed; pip install -e ".[test]"')

TOKENS = dict(vocab_size=40, pad_token_id=0, bos_token_id=1, eos_token_id=2, max_position_embeddings=24)
USUAL = TOKENS | dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20)
GROUPED = USUAL | dict(num_key_value_heads=1)
NARROW = USUAL | dict(embedding_size=6)
GEMMAS = GROUPED | dict(head_dim=12, sliding_window=3)
GPT = dict(n_embd=24, n_layer=2, n_head=3, n_positions=24, vocab_size=40)
GPT |= dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
PICTURE = dict(image_size=8, patch_size=4, num_channels=2)
BODY = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3)
PAIR = TOKENS | dict(d_model=24, encoder_layers=2, decoder_layers=1, encoder_attention_heads=3, encoder_ffn_dim=20)
PAIR |= dict(decoder_attention_heads=2, decoder_ffn_dim=16, decoder_start_token_id=2)
HEADS = {
    "Bert": (USUAL, "ForMaskedLM ForSequenceClassification ForTokenClassification ForNextSentencePrediction"),
    "Albert": (NARROW, "ForMaskedLM ForSequenceClassification ForPreTraining"),
    "Roberta": (USUAL, "ForMaskedLM ForSequenceClassification"),
    "Electra": (NARROW, "ForPreTraining ForSequenceClassification"),
    "DistilBert": (
        dict(dim=24, n_layers=2, n_heads=3, hidden_dim=20, vocab_size=40, pad_token_id=0),
        "ForMaskedLM ForSequenceClassification",
    ),
    "ModernBert": (USUAL | dict(cls_token_id=1, sep_token_id=2), "ForMaskedLM ForSequenceClassification"),
    "GPT2": (GPT, "LMHeadModel ForSequenceClassification"),
    "GPTJ": (GPT | dict(rotary_dim=4), "ForCausalLM"),
    "GPTNeoX": (USUAL, "ForCausalLM"),
    "OPT": (TOKENS | BODY | dict(ffn_dim=20, word_embed_proj_dim=12), "ForCausalLM ForSequenceClassification"),
    "Phi": (USUAL, "ForCausalLM"),
    "Bloom": (TOKENS | dict(hidden_size=24, n_layer=2, n_head=3), "ForCausalLM ForSequenceClassification"),
    "Llama": (GROUPED, "ForCausalLM ForSequenceClassification"),
    "Mistral": (GROUPED, "ForCausalLM"),
    "Qwen2": (GROUPED, "ForCausalLM"),
    "Qwen3": (GROUPED, "ForCausalLM"),
    "SmolLM3": (GROUPED, "ForCausalLM"),
    "Phi3": (GROUPED, "ForCausalLM"),
    "Gemma": (GROUPED | dict(head_dim=12), "ForCausalLM"),
    "Gemma2": (GEMMAS, "ForCausalLM"),
    "Gemma3": (GEMMAS, "ForCausalLM"),
    "Mixtral": (GROUPED, "ForCausalLM"),
    "ViT": (BODY | PICTURE | dict(intermediate_size=20), "ForImageClassification"),
    "Dinov2": (BODY | PICTURE, "ForImageClassification"),
    "CLIPText": (USUAL, "ModelWithProjection"),
    "CLIPVision": (BODY | PICTURE | dict(intermediate_size=20), "ModelWithProjection"),
    "Bart": (PAIR, "ForConditionalGeneration"),
    "MBart": (PAIR, "ForConditionalGeneration"),
    "Pegasus": (PAIR, "ForConditionalGeneration"),
    "Marian": (PAIR, "MTModel"),
}
CASES = [(kind, head) for kind, (_, heads) in HEADS.items() for head in heads.split()]


def network(kind, head, dtype=torch.float32, **settings):
    given = HEADS[kind][0] | settings
    if not hasattr(transformers, kind + head):
        pytest.skip(f"this transformers has no {kind + head}")
    torch.manual_seed(0)
    config = getattr(transformers, ("Gemma3Text" if kind == "Gemma3" else kind) + "Config")
    more = dict(attn_implementation="eager") if kind == "Gemma2" else {}
    model = getattr(transformers, kind + head)(config(**given, **more)).to(dtype).eval()
    if kind == "Mixtral" and hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")
    with torch.no_grad():
        for name, p in model.named_parameters():
            scale = p.ndim == 1 and name.endswith("weight") and "Gemma" not in kind
            p.copy_(scale + 0.3 * torch.randn_like(p))
    return model


def inputs_of(kind):
    torch.manual_seed(1)
    if kind in ("ViT", "Dinov2", "CLIPVision"):
        return dict(pixel_values=torch.randn(2, 2, 8, 8))
    mask = (torch.arange(9) < torch.tensor([[9], [4], [7]])).long()
    inputs = dict(input_ids=torch.randint(3, 40, (3, 9)) * mask, attention_mask=mask)
    return inputs | (dict(decoder_input_ids=torch.randint(3, 40, (3, 9))) if HEADS[kind][0] is PAIR else {})


@torch.no_grad()
@pytest.mark.claim("C11.1")
@pytest.mark.parametrize("kind, head", CASES)
def test_the_head_stays_on(measured, kind, head):
    """Logits of padded texts, and of pictures, are the model's: of tokens, of classes, of pairs."""
    model, inputs = network(kind, head), inputs_of(kind)
    read, theirs = from_huggingface(model), model(**inputs)[0]
    ours = read.logits(**inputs)
    assert ours.shape == theirs.shape and ours.shape[0] == len(next(iter(inputs.values())))
    if theirs.shape[:2] == (3, 9) and "decoder_input_ids" not in inputs:
        ours, theirs = (z[inputs["attention_mask"].bool()] for z in (ours, theirs))
    measured.at_most(f"logits of {kind}{head}", (ours - theirs).abs().max() / theirs.abs().max(), 1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["Llama", "GPT2", "Gemma2"])
def test_what_is_said_at_each_depth(kind):
    """The head reads any field, all depths at once; the last of them is the model's answer."""
    read = from_huggingface(network(kind, HEADS[kind][1].split()[0]))
    ids = inputs_of(kind)["input_ids"][:1]
    flow = read(ids)
    said = read.read_out(read.flow.readout(flow.fields))
    assert said.shape == (3, 1, 9, 40)
    torch.testing.assert_close(said[-1], read.logits(ids), rtol=0, atol=1e-5)
    assert (read.logits(ids, steps=4) - read.logits(ids)).abs().max() > 1e-3


def test_a_tied_head_stays_tied():
    for kind, head in (("GPT2", "LMHeadModel"), ("Gemma", "ForCausalLM"), ("Bert", "ForMaskedLM")):
        model = network(kind, head)
        read = from_huggingface(model)
        names = [n for n, p in read.named_parameters(remove_duplicate=False) if p is read.embed.token.weight]
        assert len(names) == 2 and read.embed.token.weight is not model.get_input_embeddings().weight
    untied = from_huggingface(network("Llama", "ForCausalLM", tie_word_embeddings=False))
    assert untied.head.model.lm_head.weight is not untied.embed.token.weight


def test_a_changed_head_is_read_or_named():
    model = network("GPT2", "LMHeadModel")
    model.lm_head.register_forward_hook(lambda module, inputs, output: 2 * output)
    ids = inputs_of("GPT2")["input_ids"][:1]
    torch.testing.assert_close(from_huggingface(model).logits(ids), model(ids).logits, rtol=0, atol=1e-4)

    class Other(type(model)):
        def forward(self, input_ids=None, **more):
            hidden = self.transformer(input_ids, output_hidden_states=True).hidden_states
            return (hidden[1],)

    model.__class__ = Other
    read = from_huggingface(model)
    assert read(ids).final.isfinite().all()
    with pytest.raises(ValueError, match="Other was read without its head: "):
        read.logits(ids)


def test_without_a_head_it_is_said():
    read = from_huggingface(transformers.GPT2Model(transformers.GPT2Config(**GPT)).eval())
    with pytest.raises(ValueError, match="read without a head; read one that has it, such as …ForCausalLM"):
        read.logits(torch.tensor([[3, 4]]))


# ---------------------------------------------------------------------------------------- places, and given features

OLD = transformers.__version__ < "5"
PLACED = ["Bert", "Roberta", "Electra", "ModernBert", "GPT2", "GPTJ", "GPTNeoX", "OPT", "Phi"]
PLACED += [] if OLD else ["DistilBert"]  # whose older model takes no position_ids
PLACED += ["Llama", "Mistral", "Qwen2", "Qwen3", "SmolLM3", "Phi3", "Gemma", "Gemma2", "Gemma3", "Mixtral", "CLIPText"]


@torch.no_grad()
@pytest.mark.parametrize("kind", PLACED)
def test_places(kind):
    """Left padding with positions that count the valid tokens; and texts that do not begin at 0."""
    model = network(kind, HEADS[kind][1].split()[0])
    body, read, ids = body_of(model), from_huggingface(model), inputs_of(kind)["input_ids"].clamp(min=3)
    mask = (torch.arange(9) >= torch.tensor([[0], [5], [2]])).long()
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    later = torch.arange(4, 13).expand(3, 9)
    for more in (
        dict(attention_mask=mask, position_ids=places),
        dict(position_ids=later),
        dict(position_ids=later[:1]),
    ):
        theirs, ours = body(ids, **more)[0], read(ids, **more).final
        valid = mask.bool() if "attention_mask" in more else torch.ones(3, 9, dtype=torch.bool)
        assert (ours - theirs)[valid].abs().max() <= 1e-5 * theirs[valid].abs().max()
    learned = getattr(read.embed, "position", None) is not None
    assert not learned or (read(ids, position_ids=later).final - read(ids).final).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for kind in PLACED if kind != "CLIPText"] + ["Albert", "Bloom"])
def test_features_in_place_of_tokens(kind):
    model = network(kind, HEADS[kind][1].split()[0])
    body, read = body_of(model), from_huggingface(model)
    features = torch.randn(3, 9, body.get_input_embeddings().embedding_dim)
    theirs, ours = body(inputs_embeds=features)[0], read(inputs_embeds=features).final
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    logits = read.logits(inputs_embeds=features)
    assert (logits - model(inputs_embeds=features)[0]).abs().max() <= 1e-4 * logits.abs().max()


ids = torch.full((2, 5), 7)
far, twice = torch.arange(20, 25).expand(2, 5), torch.tensor([0, 1, 2, 0, 1]).expand(2, 5)
WRONG = [
    ("GPT2", dict(input_ids=ids, position_ids=far), "position_ids must be in 0 … 23, got 20 … 24"),
    ("GPT2", dict(input_ids=ids, position_ids=far[:, :3]), "one position for each token: (2, 5), got (2, 3)"),
    ("Llama", dict(input_ids=ids, position_ids=far[:, :3]), "one position for each token: (2, 5), got (2, 3)"),
    ("Llama", dict(input_ids=ids, position_ids=twice), "position_ids must go up by one from token to token"),
    ("Bloom", dict(input_ids=ids, position_ids=twice), "knows the order of tokens, and no positions"),
    ("ViT", dict(pixel_values=torch.zeros(1, 2, 8, 8), position_ids=ids), "pictures and sounds have no position_ids"),
    ("Llama", dict(input_ids=ids, inputs_embeds=torch.zeros(2, 5, 24)), "and not both; or inputs_embeds alone"),
    (
        "Llama",
        dict(inputs_embeds=torch.zeros(2, 5, 7)),
        "inputs_embeds must be floats (…, token, 24), got torch.float32",
    ),
]


@pytest.mark.parametrize("kind, inputs, message", WRONG, ids=[f"{row[0]} {row[2][:20]}" for row in WRONG])
def test_bad_inputs_are_named(kind, inputs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_huggingface(network(kind, HEADS[kind][1].split()[0]))(**inputs)


# ------------------------------------------------------------------------------------------ dtype, mode, what is frozen


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtype_and_mode_are_kept(dtype):
    model = network("Llama", "ForCausalLM", dtype)
    read = from_huggingface(model)
    assert {p.dtype for p in read.parameters()} == {dtype} and not read.training
    trained = from_huggingface(network("GPT2", "LMHeadModel", attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0).train())
    assert trained.training and trained.head.training and trained.flow.training


FROZEN = {
    "all of it": ("Llama", lambda name: True),
    "embeddings": ("Llama", lambda name: "embed_tokens" in name),
    "the first layer": ("Gemma", lambda name: "layers.0." in name),
    "all but the head": ("Llama", lambda name: "lm_head" not in name),
    "all but the shifts": ("GPT2", lambda name: not name.endswith("bias")),
    "all but the norms": ("Gemma", lambda name: "norm" not in name),
}


@pytest.mark.parametrize("case", FROZEN)
def test_what_is_frozen_stays_frozen(case):
    """By its gradients: what has one in the model has one in the reading, and nothing else does."""
    kind, frozen = FROZEN[case]
    model = network(kind, HEADS[kind][1].split()[0], **({} if kind == "GPT2" else dict(tie_word_embeddings=False)))
    for name, p in model.named_parameters():
        p.requires_grad_(not frozen(name))
    read = from_huggingface(model)
    share = lambda net: sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert share(read) == pytest.approx(share(model), rel=0.5) and bool(share(read)) == bool(share(model))
    states = {name: p.requires_grad for name, p in read.named_parameters()}
    assert states["embed.token.weight"] == (not frozen("embed_tokens.weight"))
    assert states["flow.depth.layers.0.0.term.qkv.weight"] == (not frozen("layers.0.self_attn.q_proj.weight"))
    assert states["flow.depth.layers.1.1.normalise.affine.scale"] == (not frozen("layers.1.norm.weight"))
    assert states["flow.readout.affine.scale"] == (not frozen("norm.weight"))
    tied = model.get_output_embeddings().weight
    assert states.get("head.model.lm_head.weight", tied.requires_grad) == tied.requires_grad


def test_of_a_matrix_made_of_several_one_is_enough():
    model = network("Llama", "ForCausalLM")
    for name, p in model.named_parameters():
        p.requires_grad_("v_proj" in name)
    read = from_huggingface(model)
    assert [n for n, p in read.named_parameters() if p.requires_grad] == [
        f"flow.depth.layers.{k}.0.term.qkv.weight" for k in range(2)
    ]


def test_parameters_of_several_dtypes_are_refused():
    model = network("Llama", "ForCausalLM")
    model.model.norm = model.model.norm.double()
    with pytest.raises(ValueError, match="must be of one dtype, got torch.float32, torch.float64; try model.float"):
        from_huggingface(model)


def test_nothing_is_left_behind_in_what_is_shared():
    """Placed and told twins share parameters with the reading, and leave it as it was."""
    read = from_huggingface(network("Llama", "ForCausalLM"))
    tokens = ids[:, :4]
    before = read(tokens).final
    read(tokens, position_ids=torch.arange(4, 8).expand(2, 4))
    read.logits(tokens)
    assert torch.equal(read(tokens).final, before)
    assert all(getattr(part, "places", None) is None for part in read.modules())
    assert isinstance(read.head, nn.Module) and read.head.model._modules["model"].field is None
