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


PAIRS = {
    "t5": lambda: transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, pad_token_id=0,
            eos_token_id=3, decoder_start_token_id=0,
        )
    ),
    "bart": lambda: transformers.BartForConditionalGeneration(
        transformers.BartConfig(
            **SMALL, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=4, encoder_ffn_dim=24, decoder_ffn_dim=24, pad_token_id=0, bos_token_id=2,
            eos_token_id=3, decoder_start_token_id=2, forced_eos_token_id=None,
        )
    ),
    "marian": lambda: transformers.MarianMTModel(  # whose positions are not in the file
        transformers.MarianConfig(
            **SMALL, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=4, encoder_ffn_dim=24, decoder_ffn_dim=24, pad_token_id=0, eos_token_id=3,
            decoder_start_token_id=0, forced_eos_token_id=None,
        )
    ),
}  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_of_a_model_that_listens_its_answer_is_looked_at(kind, dtype, tmp_path):
    """The text is heard; the decoder's flow says what the model's own greedy search says."""
    torch.manual_seed(2)
    model = PAIRS[kind]().eval()
    for name, z in model.named_parameters():
        torch.nn.init.normal_(z, float(z.ndim == 1 and name.endswith("weight")), std=0.3)
    model.to(dtype).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    subject, inside = open_subject(tmp_path, "the river flows")
    with inside:
        found = measure(subject)
    model, heard = type(model).from_pretrained(tmp_path).float(), torch.tensor([[4, 5, 6]])
    written = model.generate(heard, max_new_tokens=11, do_sample=False, num_beams=1)[0]
    written = written[:-1] if written[-1] == 3 else written
    assert "listening to 'the river flows'" in subject.kind and subject.readout.kind == "head"
    if dtype == torch.float32:
        assert subject.tokens == tuple(WORDS[k] for k in written)
        logits = model(heard, decoder_input_ids=written[None]).logits[0, -1]
        torch.testing.assert_close(found.said.race[0, -1], logits.softmax(-1).max(), rtol=1e-4, atol=1e-6)
    assert abs(found.start + sum(one.term + one.projection for one in found.pushes) - found.end) < 1e-3
    assert set(found.missed) == {"attention", "listening", "feed-forward"} and "local term first" in {
        one.name for one in found.orders
    }


def test_without_a_head_what_is_heard_is_said(tmp_path):
    model = transformers.T5Model(PAIRS["t5"]().config).eval()
    subject = open_subject((tokenizer(), model), "the river").subject
    assert subject.tokens == ("[PAD]", "the", "river") and subject.readout.kind == "nearest"
    model.config.decoder_start_token_id = None
    with pytest.raises(ValueError, match="T5Model does not say what an answer begins with: set decoder_start_token_id"):
        open_subject((tokenizer(), model), "the river")


def test_half_of_a_model_is_read_as_that_half(tmp_path):
    """And what its files lack is not drawn at random."""
    torch.manual_seed(0)
    model = transformers.T5EncoderModel(PAIRS["t5"]().config).eval()
    model.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    subject, inside = open_subject(tmp_path, "the river")
    with inside, torch.no_grad():
        final = subject.flow(subject.start, save="final").final
        theirs = model(torch.tensor([[4, 5]]))[0][0]
    torch.testing.assert_close(final, theirs, rtol=0, atol=1e-5)
    config = tmp_path / "config.json"
    config.write_text(config.read_text("utf-8").replace("T5EncoderModel", "T5ForConditionalGeneration"), "utf-8")
    config.write_text(config.read_text("utf-8").replace('"is_encoder_decoder": false', '"is_encoder_decoder": true'))
    with pytest.raises(ValueError, match="lack parameters of a T5.*, which would be drawn at random: decoder"):
        open_subject(tmp_path, "the river")


def test_sounds_are_not_looked_at(tmp_path):
    model = transformers.WhisperModel(
        transformers.WhisperConfig(
            d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2
        )
    )
    model.save_pretrained(tmp_path)
    for given in ((tokenizer(), model), tmp_path):
        with pytest.raises(ValueError, match="whisper.* hears sounds; look takes a model of text or of pictures"):
            open_subject(given, "x")


@torch.no_grad()
@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_shards_are_read_out_of_their_files(kind, tmp_path):
    torch.manual_seed(0)
    model = (MODELS | PAIRS)[kind]().eval()
    for z in model.parameters():
        torch.nn.init.normal_(z, std=0.3)
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    tokenizer().save_pretrained(tmp_path)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) >= 3 and (tmp_path / "model.safetensors.index.json").is_file()
    (tmp_path / "consolidated.safetensors").write_bytes(b"of another form, and not in the index")
    subject, inside = open_subject(tmp_path, "the river flows")
    assert isinstance(inside, Mapping) and len(inside.maps) == len(files)
    assert any(inside.holds(z) for z in subject.flow.parameters())
    with inside:
        final = subject.flow(subject.start, save="final").final
    written = torch.tensor([[WORDS.index(word) for word in subject.tokens]])
    asked = dict(input_ids=written)
    if kind == "t5":
        asked = dict(input_ids=torch.tensor([[4, 5, 6]]), decoder_input_ids=written)
    theirs = model(**asked, output_hidden_states=True)
    theirs = (theirs.decoder_hidden_states if kind == "t5" else theirs.hidden_states)[-1][0]
    torch.testing.assert_close(final, theirs, rtol=1e-4, atol=1e-4)
    files[1].unlink()
    with pytest.raises(ValueError, match=f"names files that are not there: {files[1].name}; fetch the model whole"):
        open_subject(tmp_path, "the river")
    (tmp_path / "model.safetensors.index.json").write_text("[]", "utf-8")
    with pytest.raises(ValueError, match="is no index of safetensors files"):
        open_subject(tmp_path, "the river")


@pytest.mark.parametrize("file", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
def test_files_that_may_run_code_are_refused(file, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}', "utf-8")
    (tmp_path / file).write_bytes(b"")
    with pytest.raises(ValueError, match=rf"no \.safetensors file, but {file}, which may run code when it is read"):
        open_subject(tmp_path, "x")
