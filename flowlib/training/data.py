"""Text in, batches of tokens out.

A corpus is a text with a name. It is encoded once by a vocabulary into one long tensor of token numbers, the last
tenth of which is kept for validation. The batch of step `i` is a function of (seed, i) alone, so a run that stops
and goes on needs to remember nothing about its data but the step.
"""

import codecs
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from flowlib.models.vocabulary import Vocabulary
from flowlib.training.tokens import TokenFolder, numbers

SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHAKESPEARE_FILE = "tinyshakespeare.txt"
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"

Parts = list[tuple[Tensor, Tensor]]  # a batch: inputs and targets, (window, token) each, part by part


@dataclass(frozen=True)
class Corpus:
    """A text and where it came from."""

    name: str
    text: str

    def describe(self) -> dict[str, str | int]:
        """What a run writes down, so that one can tell later whether the text was the same."""
        raw = self.text.encode("utf-8")
        return {
            "name": self.name,
            "bytes": len(raw),
            "characters": len(self.text),
            "sha256": hashlib.sha256(raw).hexdigest(),
        }

    def vocabulary(self, kind: str) -> Vocabulary:
        """The vocabulary of that kind for this text: "bytes", "characters" (those that occur) or "gpt2"."""
        return Vocabulary.characters(self.text) if kind == "characters" else getattr(Vocabulary, kind)()

    def tokens(self, vocabulary: Vocabulary, context: int) -> tuple[Tensor, Tensor]:
        """The tokens to train on, and those to validate on; see `split`."""
        return split(vocabulary.encode(self.text), context)


def load_corpus(name: str | Path) -> Corpus | TokenFolder:
    """`embedded` (Python's own help texts), `shakespeare` (fetched once), or the path of any UTF-8 text file.

    Also the path of a folder with train.bin and val.bin, as `flowlib tokenize` and nanoGPT write them.
    Raises: FileNotFoundError, ValueError (empty, not UTF-8, wrong checksum), ConnectionError (nothing to fetch from).
    """
    if name == "embedded":
        return Corpus("embedded", embedded_text())
    if name == "shakespeare":
        return Corpus("shakespeare", read_text(shakespeare_file()))
    if TokenFolder.is_one(Path(name)):
        return TokenFolder(str(name))
    return Corpus(str(name), read_text(Path(name)))


def embedded_text() -> str:
    """Every help topic that Python carries with it (`pydoc_data.topics`), in the order of their names.

    It is there offline on every machine, but not the same in every Python version: `Corpus.describe` tells which.
    """
    from pydoc_data import topics

    return "".join(topics.topics[name] for name in sorted(topics.topics))


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, line ends untouched. Raises: FileNotFoundError, ValueError."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no text file {path}; a corpus is 'embedded', 'shakespeare', the path of a UTF-8 text file, or of a "
            "folder with train.bin and val.bin (make one: flowlib tokenize TEXT FOLDER)"
        )
    raw = path.read_bytes()
    if not raw:
        raise ValueError(f"{path} is empty; training needs a text")
    for mark, name in MARKS.items():
        if raw.startswith(mark):
            raise ValueError(f"{path} must be UTF-8 text, but its first bytes say {name}; {_convert(name, path)}")
    try:
        text = raw.decode("utf-8-sig")  # a mark in UTF-8 is no letter of the text
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} must be UTF-8 text, but byte 0x{raw[error.start]:02x} at offset {error.start} is not; "
            + _convert("latin1", path)
        ) from None
    if "\0" in text:
        raise ValueError(
            f"{path} holds zero bytes, the first at offset {raw.index(0)}: it is no text, or text in UTF-16 without a "
            f"mark; {_convert('utf-16le', path)}"
        )
    return text


MARKS = {  # the longer one first: UTF-32's begins as UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def _convert(encoding: str, path: Path) -> str:
    return f"convert it first, for example: iconv -f {encoding} -t utf-8 {path.name} > utf8.txt"


def shakespeare_file() -> Path:
    """tiny-shakespeare: from the folder FLOWLIB_DATA if it is there, else fetched once into the user's cache.

    Raises: ValueError (the file in FLOWLIB_DATA is another one), ConnectionError (offline).
    Source: https://github.com/karpathy/char-rnn
    """
    return fetch("tiny-shakespeare", SHAKESPEARE_URL, SHAKESPEARE_FILE, SHAKESPEARE_SHA256)


def fetch(what: str, url: str, file: str, sha256: str) -> Path:
    """A file of the folder FLOWLIB_DATA if it is there, else fetched once into the user's cache; the original, or none.

    Raises: ValueError (the file in FLOWLIB_DATA is another one), ConnectionError (offline).
    """
    folder = os.environ.get("FLOWLIB_DATA")
    local = Path(folder) / file if folder else None
    if local is not None and local.is_file():
        found = hashlib.sha256(local.read_bytes()).hexdigest()
        if found != sha256:
            raise ValueError(
                f"{local} must have sha256 {sha256}, but has {found}; "
                f"delete it, or put the original {what} in its place"
            )
        return local
    import pooch

    try:
        return Path(pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=file, path=pooch.os_cache("flowlib")))
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"{what} could not be fetched from {url} ({error.__class__.__name__}). "
            f"Offline: save it as {file} in a folder and set FLOWLIB_DATA to that folder"
            + (f" (FLOWLIB_DATA is {folder}, and has no such file)" if folder else "")
        ) from error


def split(tokens: Tensor, context: int) -> tuple[Tensor, Tensor]:
    """(tokens,) -> the first nine tenths to train on, the last tenth to validate on.

    Raises: ValueError if either part is too short for one window of context + 1 tokens.
    """
    cut = len(tokens) * 9 // 10
    train, validation = tokens[:cut], tokens[cut:]
    if min(len(train), len(validation)) <= context:
        raise ValueError(
            f"the corpus has {len(tokens)} tokens, too short for a context of {context}: a tenth is kept for "
            f"validation and must hold {context + 1}; give at least {10 * (context + 1)} tokens, or a shorter context"
        )
    return train, validation


def step_seed(seed: int, step: int) -> int:
    """One number for (seed, step), different for every step of a run.

    Torch's CPU generator uses 32 bits of a seed: a prime stride keeps both numbers within them.
    """
    return (seed * 1_000_003 + step) % 2**32


def batch(tokens: Tensor, step: int, *, size: int, context: int, seed: int) -> tuple[Tensor, Tensor]:
    """The batch of one step: inputs and targets, each (size, context), the targets one token further on.

    A pure function of its arguments: the windows are drawn by a generator seeded with (seed, step).
    """
    generator = torch.Generator().manual_seed(step_seed(seed, step))
    starts = torch.randint(len(tokens) - context, (size,), generator=generator)
    window = numbers(tokens[starts[:, None] + torch.arange(context + 1)])
    return window[:, :-1], window[:, 1:]


def take_share(batch: tuple[Tensor, Tensor], process: int, processes: int, at_once: int = 0) -> Parts:
    """What one of several processes takes of a batch, in parts of `at_once` windows (0: in one part).

    The whole batch depends neither on how many processes there are nor on the size of the parts.
    """
    inputs, targets = (half[process::processes] for half in batch)
    return list(zip(inputs.split(at_once or len(inputs)), targets.split(at_once or len(targets)), strict=True))


def send_ahead(batches: Iterable[Parts], device: torch.device) -> Iterator[Parts]:
    """The same batches on the device; the next one is on its way while one is worked on, out of pinned memory."""
    gpu = device.type == "cuda"  # from pinned memory a copy runs by itself, and nobody waits for it
    send = lambda t: t.pin_memory().to(device, non_blocking=True) if gpu else t.to(device)
    here = None
    for parts in batches:
        coming = [(send(inputs), send(targets)) for inputs, targets in parts]
        if here is not None:
            yield here
        here = coming
    if here is not None:
        yield here


def windows(tokens: Tensor, context: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All of `tokens` as windows that do not overlap: every token but the first is a target exactly once.

    Yields inputs and targets of shape (size or fewer, context); the rest at the end comes as one shorter window.
    """
    whole = (len(tokens) - 1) // context * context
    inputs, targets = tokens[:whole].view(-1, context), tokens[1 : whole + 1].view(-1, context)
    for some, next_ones in zip(inputs.split(size), targets.split(size), strict=True):
        yield numbers(some), numbers(next_ones)
    if whole < len(tokens) - 1:
        yield numbers(tokens[None, whole:-1]), numbers(tokens[None, whole + 1 :])
