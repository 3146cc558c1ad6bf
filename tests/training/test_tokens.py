"""Folders of tokens: written once, mapped, and trained on as the text itself is; GPT-2's tokens without a network."""

import contextlib
import dataclasses
import sys
import types

import pytest
import torch

from flowlib import cli
from flowlib.models import vocabulary as vocabularies
from flowlib.models.language import FlowConfig, FlowLM, Vocabulary
from flowlib.training import TrainConfig, batch, data, load_corpus, read_metrics, split, train, windows
from flowlib.training.tokens import TokenFolder, write_tokens

TEXT = "the river is the flow and the flow is the river; Ω\n" * 20


@pytest.fixture(params=["bytes", "characters"])
def kind(request) -> str:
    return request.param


def test_a_folder_holds_the_tokens_of_the_text(tmp_path, kind):
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    text = load_corpus(tmp_path / "text.txt")
    folder = load_corpus(write_tokens(TEXT, tmp_path / "tokens", kind))
    vocabulary = text.vocabulary(kind)
    assert isinstance(folder, TokenFolder) and folder.vocabulary(kind) == vocabulary
    for ours, theirs in zip(folder.tokens(vocabulary, 8), text.tokens(vocabulary, 8), strict=True):
        assert len(ours) == len(theirs)
        for (a, b), (c, d) in zip(windows(ours, 8, 4), windows(theirs, 8, 4), strict=True):
            assert torch.equal(a, c) and torch.equal(b, d) and a.dtype == torch.int64
        for a, b in zip(batch(ours, 3, size=5, context=8, seed=1), batch(theirs, 3, size=5, context=8, seed=1)):
            assert torch.equal(a, b)
    record = folder.describe()
    assert record["train.bin"] + record["val.bin"] == len(vocabulary.encode(TEXT))
    (tmp_path / "tokens" / "val.bin").write_bytes(b"\0\0" * record["val.bin"])
    assert folder.describe()["sha256"] != record["sha256"]


@pytest.mark.parametrize("new", [TEXT.replace("river", "ocean"), TEXT[::-1]], ids=["other letters", "the same"])
def test_a_folder_killed_while_it_is_written_over_an_older_one_is_the_old_the_new_or_refused(
    tmp_path, monkeypatch, die_at, new
):
    write_tokens(new, tmp_path / "whole", "characters")
    with monkeypatch.context() as patch:
        operations = die_at(patch, 10**9)
        write_tokens(new, tmp_path / "counted", "characters")
    found = []
    for moment in range(len(operations) + 1):
        folder = write_tokens(TEXT, tmp_path / f"killed-{moment}", "characters")
        before = load_corpus(folder).describe()
        with monkeypatch.context() as patch, contextlib.suppress(die_at.Killed):
            die_at(patch, moment)
            write_tokens(new, folder, "characters")
        try:
            load_corpus(folder).tokens(load_corpus(folder).vocabulary("characters"), 8)
        except ValueError as error:
            assert "make the folder again: flowlib tokenize" in str(error)
            found.append("refused")
        else:
            sha256 = load_corpus(folder).describe()["sha256"]
            known = {before["sha256"]: "old", load_corpus(tmp_path / "whole").describe()["sha256"]: "new"}
            found.append(known[sha256])
        write_tokens(new, folder, "characters")  # as the message says
        load_corpus(folder).tokens(load_corpus(folder).vocabulary("characters"), 8)
    assert list(dict.fromkeys(found)) == ["old", "refused", "new"]


def test_training_on_a_folder_is_training_on_its_text(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    write_tokens(TEXT, tmp_path / "tokens", "bytes")
    small = FlowConfig(context=8, width=8, heads=2, layers=1)
    config = TrainConfig(corpus=str(tmp_path / "text.txt"), model=small, steps=3, batch=2, warmup=1, device="cpu")
    train(config, tmp_path / "one", progress=False)
    train(dataclasses.replace(config, corpus=str(tmp_path / "tokens")), tmp_path / "two", progress=False)
    ours, theirs = ([line | {"wall_seconds": 0} for line in read_metrics(tmp_path / run)] for run in ("one", "two"))
    assert ours == theirs


def test_numbers_above_what_a_signed_one_holds_are_read_right(tmp_path):
    raw = torch.tensor([0, 1, 32767, 32768, 50256] * 4)
    for part in ("train.bin", "val.bin"):
        (tmp_path / part).write_bytes(raw.numpy().astype("<u2").tobytes())
    folder = load_corpus(tmp_path)  # as nanoGPT writes it: without a word on the vocabulary, which is GPT-2's
    assert folder.vocabulary("gpt2") == Vocabulary.gpt2() and len(Vocabulary.gpt2()) == 50304
    mapped, _ = folder.tokens(Vocabulary.gpt2(), context=4)
    assert torch.equal(torch.cat([targets for _, targets in windows(mapped, 1, 8)]).flatten(), raw[1:])


def test_a_damaged_folder_is_named(tmp_path):
    folder = write_tokens(TEXT, tmp_path / "tokens", "bytes")
    corpus = load_corpus(folder)
    with pytest.raises(ValueError, match="tokens are bytes, but gpt2 were asked for; give vocabulary='bytes'"):
        corpus.vocabulary("gpt2")
    with pytest.raises(ValueError, match="val.bin must hold two bytes for each of more than 500 tokens"):
        corpus.tokens(Vocabulary.bytes(), context=500)
    (folder / "train.bin").write_bytes((folder / "train.bin").read_bytes()[:-1])
    with pytest.raises(ValueError, match="train.bin must hold two bytes"):
        corpus.tokens(Vocabulary.bytes(), context=8)
    (folder / "train.bin").write_bytes(b"\xff\xff" * 100)
    with pytest.raises(ValueError, match="train.bin has a token 65535, but its vocabulary only 256"):
        corpus.tokens(Vocabulary.bytes(), context=8)
    (folder / "vocabulary.json").write_text('{"alphabet": 1, "merges": 2}')
    with pytest.raises(ValueError, match="vocabulary.json does not describe a vocabulary"):
        corpus.vocabulary("bytes")
    with pytest.raises(ValueError, match="at least 2 of them, but the text has 1"):
        write_tokens("a", tmp_path / "short", "bytes")
    (folder / "val.bin").unlink()
    with pytest.raises(FileNotFoundError, match="or of a folder with train.bin and val.bin"):
        load_corpus(folder)


@pytest.fixture
def tiktoken(monkeypatch):
    """A stand-in for tiktoken whose tokens are bytes; its get_encoding can be replaced."""
    module = types.ModuleType("tiktoken")
    bytewise = types.SimpleNamespace(
        encode=lambda text, allowed_special: list(text.encode()), decode=lambda tokens: bytes(tokens).decode()
    )
    module.get_encoding = lambda name: bytewise if name == "gpt2" else None
    monkeypatch.setitem(sys.modules, "tiktoken", module)
    vocabularies._gpt2.cache_clear()
    yield module
    vocabularies._gpt2.cache_clear()


def test_gpt2s_tokens_go_into_a_model_and_its_files_and_back(tiktoken, tmp_path):
    vocabulary = Vocabulary.gpt2()
    assert vocabulary.decode(vocabulary.encode("a river")) == "a river"
    assert vocabulary.decode([97, 50300]) == "a"  # room that no text uses
    with pytest.raises(ValueError, match="tokens must be in 0 … 50303"):
        vocabulary.decode([50304])
    torch.manual_seed(0)
    model = FlowLM(FlowConfig(vocabulary, context=8, width=8, heads=2, layers=1))
    model.save(tmp_path / "model")
    assert FlowLM.load(tmp_path / "model").config.vocabulary == vocabulary
    with pytest.raises(ValueError, match="bpe must be None, or 'gpt2' without an alphabet, got 'gpt4' and None"):
        Vocabulary(bpe="gpt4")


def test_where_gpt2s_tokens_cannot_be_had_it_says_what_to_do(tiktoken, monkeypatch):
    tiktoken.get_encoding = lambda name: (_ for _ in ()).throw(OSError("no route to host"))
    with pytest.raises(ConnectionError, match="could not fetch GPT-2's vocabulary .OSError.; .*TIKTOKEN_CACHE_DIR"):
        Vocabulary.gpt2().encode("a")
    monkeypatch.setitem(sys.modules, "tiktoken", None)  # as if it were not installed
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e '\.\[bpe\]'"):
        Vocabulary.gpt2().encode("a")


def test_the_command_tokenizes_and_train_takes_the_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    assert cli.main(["tokenize", "text.txt", "tokens", "--vocabulary", "characters"]) == 0
    assert "--corpus tokens --vocabulary characters" in capsys.readouterr().out
    shape = "--model.context 8 --model.width 8 --model.heads 2 --model.layers 1 --device cpu".split()
    asked = ["--corpus", "tokens", "--vocabulary", "characters", "--steps", "2", "--prompt", "the"]
    assert cli.main(["train", *asked, *shape]) == 0
    assert "\nthe" in capsys.readouterr().out
    assert cli.main(["tokenize", "tokens", "again"]) == 2
    assert "is a folder of tokens already" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    vocabularies._gpt2.cache_clear()
    assert cli.main(["tokenize", "text.txt", "more"]) == 2
    assert "pip install -e '.[bpe]'" in capsys.readouterr().err and not (tmp_path / "more").exists()


def test_batches_come_in_order_each_sent_before_it_is_asked_for(monkeypatch):
    drawn = []

    def draws():
        for number in range(4):
            drawn.append(number)
            yield [(torch.full((1, 1), number), torch.full((1, 1), number))]

    seen = []
    for parts in data.send_ahead(draws(), torch.device("cpu")):
        seen.append(parts[0][0].item())
        assert drawn[-1] == min(3, seen[-1] + 1)
    assert seen == [0, 1, 2, 3]
    assert list(data.send_ahead(iter([]), torch.device("cpu"))) == []


def test_the_shares_of_all_processes_are_the_batch():
    tokens = torch.arange(1000)
    train_tokens, _ = split(tokens, 8)
    whole = batch(train_tokens, 0, size=12, context=8, seed=0)
    shares = [data.take_share(whole, process, 3, at_once=2) for process in range(3)]
    assert all(len(share) == 2 and share[0][0].shape == (2, 8) for share in shares)
    together = torch.cat([inputs for share in shares for inputs, _ in share])
    assert sorted(together[:, 0].tolist()) == sorted(whole[0][:, 0].tolist())


@pytest.mark.parametrize("name", ["train.bin", "val.bin", "vocabulary.json", "tokens.json"])
def test_what_somebody_else_put_into_the_folder_stays(tmp_path, name):
    write_tokens(TEXT, tmp_path / "tokens", "bytes")
    (tmp_path / "tokens" / "thesis.tex").write_text("years of work")
    write_tokens(TEXT[::-1], tmp_path / "tokens", "bytes")
    assert (tmp_path / "tokens" / "thesis.tex").read_text() == "years of work"
    (tmp_path / "tokens" / "vocabulary.json").unlink()
    write_tokens(TEXT, tmp_path / "tokens", "bytes")
    other = tmp_path / "other"
    other.mkdir()
    (other / name).write_text('{"key": "years of work"}')
    with pytest.raises(FileExistsError, match=f"{name} is in the way, and flowlib did not write it"):
        write_tokens(TEXT, other, "bytes")
    assert [p.read_text() for p in other.iterdir()] == ['{"key": "years of work"}']
    with pytest.raises(FileExistsError, match="is a file; give another name"):
        write_tokens(TEXT, other / name, "bytes")
