"""A FlowLM in `transformers`: the same logits, alone and padded on either side; pipelines and Auto classes take it."""

import pytest
import torch

pytest.importorskip("transformers")
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline  # noqa: E402

from flowlib.models import FlowConfig, FlowLM, Vocabulary, shipped  # noqa: E402
from flowlib.models.auto import make_tokenizer, register, save_for_transformers, wrap  # noqa: E402

TEXTS = ["the value of the argum", "a list"]


@pytest.fixture(scope="module")
def tiny():
    return FlowLM.load(shipped("tiny"))


@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_the_logits_are_those_of_each_text_alone(tiny, side):
    """What an evaluation harness asks for: a batch of numbers, padded, with a mask."""
    model, tokenizer = wrap(tiny)
    tokenizer.padding_side = side
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    logits = model(**batch).logits
    for row, mask, text in zip(logits, batch.attention_mask.bool(), TEXTS):
        torch.testing.assert_close(row[mask], tiny(tiny.config.vocabulary.encode(text)[None])[0], rtol=0, atol=1e-4)


@torch.no_grad()
def test_the_loss_is_that_of_the_next_token(tiny):
    model, _ = wrap(tiny)
    tokens = tiny.config.vocabulary.encode(TEXTS[0])[None]
    torch.testing.assert_close(model(tokens, labels=tokens).loss, tiny.loss(tokens[:, :-1], tokens[:, 1:]))


def test_a_pipeline_writes_what_the_model_writes_also_past_its_context(tiny):
    model, tokenizer = wrap(tiny)
    write = pipeline("text-generation", model=model, tokenizer=tokenizer)
    for text, more in ((TEXTS[0], 12), (TEXTS[1], 70)):
        found = write(text, max_new_tokens=more, do_sample=False)[0]["generated_text"]
        assert found == tiny.generate(text, more, temperature=0)


def test_auto_classes_open_what_was_saved_either_way(tiny, tmp_path):
    register()
    tokens = tiny.config.vocabulary.encode("é — ferry\n")[None]
    save_for_transformers(tiny, tmp_path / "theirs")
    tiny.save_pretrained(tmp_path / "ours")
    for folder in ("theirs", "ours"):
        model = AutoModelForCausalLM.from_pretrained(tmp_path / folder)
        assert model.eval()(tokens).logits.equal(tiny(tokens))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "theirs")
    assert tokenizer("é — ferry\n").input_ids == tokens[0].tolist()
    assert tokenizer.decode(tokens[0]) == "é — ferry\n"


def test_characters_have_a_tokenizer_and_byte_pairs_another():
    vocabulary = Vocabulary.characters("the river\n flows")
    tokenizer = make_tokenizer(vocabulary, 16)
    assert tokenizer("the flows\n").input_ids == vocabulary.encode("the flows\n").tolist()
    assert tokenizer.decode(vocabulary.encode("river flows")) == "river flows"
    with pytest.raises(ValueError, match="AutoTokenizer.from_pretrained"):
        make_tokenizer(Vocabulary.gpt2(), 16)


def test_a_model_of_another_shape_goes_there_and_back(tmp_path):
    config = FlowConfig(vocabulary=Vocabulary.characters("abc "), context=8, width=8, heads=2, layers=2, norm="pre")
    model = FlowLM(config).eval()
    save_for_transformers(model, tmp_path)
    register()
    tokens = torch.tensor([[0, 1, 2]])
    assert AutoModelForCausalLM.from_pretrained(tmp_path).eval()(tokens).logits.equal(model(tokens))
