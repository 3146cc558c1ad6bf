"""Models of `transformers`, opened for a look: read out of their file, equal to the model, with their head."""

import pytest
import torch

transformers = pytest.importorskip("transformers")

from flowlib.models.mapped import Mapping  # noqa: E402
from flowlib.models.opening import open_subject  # noqa: E402
from flowlib.studies.look import measure  # noqa: E402

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "river", "flows", "to", "sea", "a"]
SMALL = dict(vocab_size=len(WORDS), max_position_embeddings=16)
MODELS = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=len(WORDS), n_positions=16, n_embd=16, n_layer=2, n_head=2)
    ),
    "llama": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            **SMALL, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, tie_word_embeddings=False,
        )
    ),
    "gemma": lambda: transformers.GemmaForCausalLM(  # whose embedding is scaled, and its head is not
        transformers.GemmaConfig(
            **SMALL, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=8,
        )
    ),
    "bert": lambda: transformers.BertModel(
        transformers.BertConfig(
            **SMALL, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
        )
    ),
}  # fmt: skip


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]")


@pytest.fixture(params=[*MODELS])
def saved(request, tmp_path):
    torch.manual_seed(0)
    model = MODELS[request.param]().eval()
    for z in model.parameters():
        torch.nn.init.normal_(z, std=0.3)
    model.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    return model, tmp_path


@torch.no_grad()
def test_a_folder_is_read_out_of_its_file(saved):
    """The parameters lie in the file, the last field and what is said are the model's."""
    model, folder = saved
    subject, inside = open_subject(folder, "the river flows to the sea")
    assert isinstance(inside, Mapping) and any(inside.holds(z) for z in subject.flow.parameters())
    numbers = torch.tensor([[4, 5, 6, 7, 4, 8]])
    with inside:
        found = measure(subject)
    torch.testing.assert_close(found.final, model.base_model(numbers)[0][0], rtol=1e-4, atol=1e-4)
    assert abs(found.start + sum(one.term + one.projection for one in found.pushes) - found.end) < 1e-4
    if model.config.model_type == "bert":
        assert subject.readout.kind == "nearest" and subject.at is None and "no read-out" in subject.note
    else:
        chances = model(numbers).logits[0, -1].softmax(-1)
        assert subject.readout.kind == "head" and found.said.leaders[0] == WORDS[chances.argmax()]
        torch.testing.assert_close(found.said.race[0, -1], chances.max(), rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_half_precision_is_computed_in_single(saved):
    model, folder = saved
    model.to(torch.bfloat16).save_pretrained(folder)
    subject, inside = open_subject(folder, "the river")
    with inside:
        final = subject.flow(subject.start, save="final").final
    assert final.dtype == torch.float32 and {z.dtype for z in subject.flow.depth.layers.parameters()} == {
        torch.bfloat16
    }
    theirs = model.float().base_model(torch.tensor([[4, 5]]))[0][0]
    torch.testing.assert_close(final, theirs, rtol=0, atol=0.03 * theirs.abs().max().item())


def test_a_model_in_memory_comes_with_its_tokenizer(saved):
    model, _ = saved
    assert open_subject((tokenizer(), model), "the sea").subject.tokens == ("the", "sea")
    with pytest.raises(TypeError, match="needs its tokenizer"):
        open_subject(model, "the sea")
    with pytest.raises(ValueError, match="needs a text"):
        open_subject(model, "", tokenizer())
    with pytest.raises(ValueError, match="1 to 16 tokens, got 17"):
        open_subject(model, "the " * 17, tokenizer())


def test_a_picture_in_a_vit(tmp_path):
    from PIL import Image

    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=8, patch_size=4, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        id2label={0: "sea", 1: "river", 2: "lake"}, label2id={"sea": 0, "river": 1, "lake": 2},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path / "vit")
    pixels = torch.randint(0, 255, (8, 8, 3), dtype=torch.uint8)
    Image.fromarray(pixels.numpy()).save(tmp_path / "a.png")
    subject, inside = open_subject(tmp_path / "vit", str(tmp_path / "a.png"))
    with inside:
        found = measure(subject)
    logits = model(pixels.movedim(-1, 0)[None].float() / 127.5 - 1).logits[0]
    assert found.said.leaders[0] == config.id2label[int(logits.argmax())] and len(subject.tokens) == 5
    torch.testing.assert_close(found.said.race[0, -1], logits.softmax(-1).max(), rtol=1e-4, atol=1e-5)


def test_folders_that_hold_no_model_are_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}', "utf-8")
    with pytest.raises(ValueError, match=r"no \.safetensors file"):
        open_subject(tmp_path, "x")
    (tmp_path / "config.json").write_text('{"model_type": "none such"}', "utf-8")
    with pytest.raises(ValueError, match="no folder of a model that can be read"):
        open_subject(tmp_path, "x")


def test_without_transformers_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}', "utf-8")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match="pip install transformers"):
        open_subject(tmp_path, "x")
