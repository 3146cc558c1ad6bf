"""Text into tokens, tokens into batches, and the loss over all of them."""

import functools
import hashlib
import http.server
import threading

import pytest
import torch

from flowlib.models.language import FlowConfig, FlowLM, Vocabulary
from flowlib.training import batch, data, full_loss, load_corpus, quick_loss, split, windows


def test_the_embedded_corpus_is_every_help_topic_in_order_and_its_record_tells_which():
    from pydoc_data import topics

    corpus = load_corpus("embedded")
    expected = "".join(topics.topics[name] for name in sorted(topics.topics))
    raw = expected.encode("utf-8")
    assert corpus.text == expected
    assert len(raw) > 200_000
    assert corpus.describe() == {
        "name": "embedded",
        "bytes": len(raw),
        "characters": len(expected),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }


def test_a_text_file_is_read_byte_for_byte(tmp_path):
    file = tmp_path / "text.txt"
    file.write_bytes("Flüsse\r\nund Ströme\n".encode())
    corpus = load_corpus(file)
    assert corpus.text == "Flüsse\r\nund Ströme\n"
    assert bytes(Vocabulary.bytes().encode(corpus.text).tolist()) == file.read_bytes()


def test_a_missing_an_empty_and_a_non_utf8_text_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no text file .*nowhere.txt; a corpus is 'embedded', 'shakespeare'"):
        load_corpus(tmp_path / "nowhere.txt")
    with pytest.raises(FileNotFoundError, match="no text file"):
        load_corpus(tmp_path)  # a folder
    (tmp_path / "empty.txt").write_bytes(b"")
    with pytest.raises(ValueError, match="empty.txt is empty"):
        load_corpus(tmp_path / "empty.txt")
    (tmp_path / "latin1.txt").write_bytes(b"a river is a r\xeeviere")
    with pytest.raises(ValueError, match="latin1.txt must be UTF-8 text, but byte 0xee at offset 14 is not"):
        load_corpus(tmp_path / "latin1.txt")


def test_the_split_is_nine_to_one_and_a_short_corpus_is_an_error():
    tokens = torch.arange(1000)
    train, validation = split(tokens, context=64)
    assert len(train) == 900 and torch.equal(torch.cat([train, validation]), tokens)
    assert split(torch.arange(650), context=64)[1].shape == (65,)
    with pytest.raises(ValueError, match="640 tokens, too short for a context of 64.*at least 650 tokens"):
        split(torch.arange(640), context=64)
    with pytest.raises(ValueError, match="10 tokens, too short for a context of 64"):
        split(torch.arange(10), context=64)


def test_a_batch_depends_on_seed_and_step_alone():
    tokens = torch.arange(500)
    draw = functools.partial(batch, tokens, size=8, context=16)
    inputs, targets = draw(7, seed=3)
    assert inputs.shape == targets.shape == (8, 16)
    assert torch.equal(inputs + 1, targets)  # the tokens are 0, 1, 2, …
    torch.manual_seed(99)  # the global generator plays no part
    draw(8, seed=3)
    assert torch.equal(draw(7, seed=3)[0], inputs)
    assert not torch.equal(draw(8, seed=3)[0], inputs)
    assert not torch.equal(draw(7, seed=4)[0], inputs)


def test_batches_reach_the_first_and_the_last_token_and_nothing_else():
    tokens = torch.arange(20)
    drawn = torch.cat([batch(tokens, step, size=16, context=16, seed=0)[1] for step in range(20)])
    assert set(drawn.flatten().tolist()) == set(range(1, 20))


def test_no_two_steps_of_a_run_share_a_seed():
    """Torch keeps 32 bits of a seed on the CPU, so shifting the run's seed beyond them would lose it."""
    for seed in (0, 1, 2**31):
        assert len({data.step_seed(seed, step) for step in range(5000)}) == 5000
    assert data.step_seed(0, 5) != data.step_seed(2**32 + 1, 5)
    assert 0 <= data.step_seed(2**40, 10**6) < 2**32


@pytest.mark.parametrize("length", [2, 8, 9, 10, 16, 17, 18, 63, 100])
@pytest.mark.parametrize("size", [1, 3, 64])
def test_windows_have_every_token_but_the_first_as_a_target_once(length, size):
    tokens = torch.arange(length)
    targets = []
    for inputs, outputs in windows(tokens, context=8, size=size):
        assert inputs.shape == outputs.shape and inputs.shape[0] <= size and inputs.shape[1] <= 8
        assert torch.equal(inputs + 1, outputs)
        targets += outputs.flatten().tolist()
    assert targets == list(range(1, length))


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FlowLM(FlowConfig(context=8, width=16, heads=2, layers=2))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)  # so that the losses of single tokens differ
    return model


def test_the_full_loss_is_the_mean_over_single_targets(model):
    tokens = torch.randint(256, (43,), generator=torch.Generator().manual_seed(1))
    losses = []
    for target in range(1, len(tokens)):
        start = (target - 1) // 8 * 8
        logits = model(tokens[None, start:target])[0, -1]
        losses.append(-logits.log_softmax(-1)[tokens[target]].item())
    assert full_loss(model, tokens, context=8, size=2) == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    assert model.training


def test_the_quick_loss_repeats_itself_and_is_near_the_full_one(model):
    tokens = torch.randint(256, (5000,), generator=torch.Generator().manual_seed(2))
    quick = quick_loss(model, tokens, context=8, batches=20)
    assert quick == quick_loss(model, tokens, context=8, batches=20)
    assert quick != quick_loss(model, tokens, context=8, batches=20, seed=1)
    assert quick == pytest.approx(full_loss(model, tokens, context=8), rel=0.02)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_text_with_the_mark_of_another_encoding_is_named_by_it(tmp_path, encoding):
    file = tmp_path / "play.txt"
    file.write_bytes("To be, or not to be".encode(encoding))
    with pytest.raises(ValueError, match=f"its first bytes say {encoding}; .*iconv -f {encoding} -t utf-8 play.txt"):
        load_corpus(file)


def test_a_text_with_zero_bytes_is_no_text(tmp_path):
    file = tmp_path / "play.txt"
    file.write_bytes("To be, or not to be".encode("utf-16le"))
    with pytest.raises(ValueError, match="zero bytes, the first at offset 1: .*iconv -f utf-16le"):
        load_corpus(file)


def test_the_mark_of_utf8_is_no_letter(tmp_path):
    file = tmp_path / "play.txt"
    file.write_bytes("To be".encode("utf-8-sig"))
    assert load_corpus(file).text == "To be"


@pytest.fixture
def small_shakespeare(monkeypatch, tmp_path):
    """A stand-in of a few bytes, whose checksum is the one looked for, and an empty cache."""
    text = b"First Citizen:\nBefore we proceed any further, hear me speak.\n"
    monkeypatch.setattr(data, "SHAKESPEARE_SHA256", hashlib.sha256(text).hexdigest())
    monkeypatch.setattr(data, "SHAKESPEARE_URL", "http://127.0.0.1:9/input.txt")  # nobody listens there
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("FLOWLIB_DATA", raising=False)
    return text


def test_shakespeare_is_taken_from_the_data_folder_first(small_shakespeare, monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWLIB_DATA", str(tmp_path))
    (tmp_path / "tinyshakespeare.txt").write_bytes(small_shakespeare)
    assert load_corpus("shakespeare").text == small_shakespeare.decode()


def test_another_file_in_the_data_folder_is_an_error(small_shakespeare, monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWLIB_DATA", str(tmp_path))
    (tmp_path / "tinyshakespeare.txt").write_bytes(small_shakespeare + b"x")
    with pytest.raises(ValueError, match="tinyshakespeare.txt must have sha256 .*, but has .*; delete it"):
        load_corpus("shakespeare")


def test_offline_the_error_says_where_to_put_the_file(small_shakespeare, monkeypatch, tmp_path):
    with pytest.raises(ConnectionError, match="save it as tinyshakespeare.txt in a folder and set FLOWLIB_DATA"):
        load_corpus("shakespeare")
    monkeypatch.setenv("FLOWLIB_DATA", str(tmp_path))
    with pytest.raises(ConnectionError, match="has no such file"):
        load_corpus("shakespeare")


@pytest.fixture
def server(tmp_path):
    """A web server on this machine, for the folder `served`."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}/input.txt"
        running.shutdown()


def test_shakespeare_is_fetched_once_and_its_checksum_holds(small_shakespeare, server, monkeypatch, tmp_path):
    folder, url = server
    monkeypatch.setattr(data, "SHAKESPEARE_URL", url)
    (folder / "input.txt").write_bytes(b"something else")
    with pytest.raises(ConnectionError, match="could not be fetched from http"):
        load_corpus("shakespeare")
    (folder / "input.txt").write_bytes(small_shakespeare)
    assert load_corpus("shakespeare").text == small_shakespeare.decode()
    assert data.shakespeare_file() == tmp_path / "cache" / "flowlib" / data.SHAKESPEARE_FILE
    (folder / "input.txt").unlink()
    assert load_corpus("shakespeare").text == small_shakespeare.decode()  # from the cache
