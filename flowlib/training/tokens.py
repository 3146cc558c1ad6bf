"""A folder of tokens: a corpus too long to encode each time, or to hold in memory.

    train.bin, val.bin    the numbers of the tokens, two bytes each (little-endian, unsigned), as nanoGPT writes them
    vocabulary.json       what they stand for; without it they are GPT-2's
    tokens.json           a checksum of the two, written first: what it does not fit is half old and half new

The files are mapped, not read: a batch touches only the pages that its windows lie in.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from flowlib.files import check_place, replace_file, save_text
from flowlib.models.vocabulary import GPT2_TOKENS, Vocabulary

PARTS = ("train.bin", "val.bin")
CHECKSUM, VOCABULARY = "tokens.json", "vocabulary.json"
ENDS = 2**20  # how many bytes of each end of a file tell it from another one


def numbers(tokens: Tensor) -> Tensor:
    """Numbers of tokens as int64; torch has too few operations on unsigned ones, so they are mapped as signed."""
    return tokens.long() & 0xFFFF if tokens.dtype == torch.int16 else tokens


@dataclass(frozen=True)
class TokenFolder:
    """A corpus that was encoded before; its split into training and validation is that of the two files."""

    name: str

    @staticmethod
    def is_one(folder: Path) -> bool:
        return all((folder / part).is_file() for part in PARTS)

    def describe(self) -> dict[str, str | int]:
        """What a run writes down: the sizes, and a checksum of the sizes and of both ends of each file."""
        sizes = {part: (Path(self.name) / part).stat().st_size for part in PARTS}
        with ExitStack() as stack:
            files = [stack.enter_context(open(Path(self.name) / part, "rb")) for part in PARTS]
            sha256 = _sum_up(zip(sizes.items(), files))
        return {"name": self.name, **{part: size // 2 for part, size in sizes.items()}, "sha256": sha256}

    def vocabulary(self, kind: str) -> Vocabulary:
        """What the tokens stand for. Raises: ValueError where that is not what was asked for."""
        file = Path(self.name) / VOCABULARY
        try:
            found = Vocabulary(**json.loads(file.read_text("utf-8"))) if file.is_file() else Vocabulary.gpt2()
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file} does not describe a vocabulary ({error}); make the folder again") from None
        its_kind = "gpt2" if found.bpe else "bytes" if found.alphabet is None else "characters"
        if its_kind != kind:
            raise ValueError(
                f"the tokens in {self.name} are {its_kind}, but {kind} were asked for; "
                f"give vocabulary={its_kind!r} (--vocabulary {its_kind})"
            )
        return found

    def tokens(self, vocabulary: Vocabulary, context: int) -> tuple[Tensor, Tensor]:
        """The tokens of the two files, mapped.

        Raises: ValueError (damaged, too short, of another vocabulary, not written to the end).
        """
        train, validation = (_map_file(Path(self.name) / part, vocabulary, context) for part in PARTS)
        self._must_be_whole()
        return train, validation

    def _must_be_whole(self) -> None:
        file = Path(self.name) / CHECKSUM
        if file.is_file() and str(self.describe()["sha256"]) not in file.read_text("utf-8"):
            raise ValueError(
                f"{self.name} was not written to its end: {CHECKSUM} tells of another {' and '.join(PARTS)}; "
                f"make the folder again: flowlib tokenize (or delete {file}, if you put the files there yourself)"
            )


def write_tokens(text: str, folder: str | Path, kind: str) -> Path:
    """Encode a text into a folder of tokens: its first nine tenths into train.bin, the rest into val.bin.

    kind: "bytes", "characters" or "gpt2". What else lies in the folder stays.
    Raises: ValueError (an empty text), ModuleNotFoundError, ConnectionError; FileExistsError where a file of one of
        these names is there that this did not write.
    """
    folder = Path(folder)
    check_place(folder, (CHECKSUM, VOCABULARY, *PARTS), _is_ours)
    vocabulary = Vocabulary.characters(text) if kind == "characters" else getattr(Vocabulary, kind)()
    tokens = vocabulary.encode(text)
    cut = len(tokens) * 9 // 10
    if not cut:
        raise ValueError(f"a folder of tokens needs at least 2 of them, but the text has {len(tokens)}")
    raws = {part: some.numpy().astype("<u2").tobytes() for part, some in zip(PARTS, (tokens[:cut], tokens[cut:]))}
    sha256 = _sum_up(((part, len(raw)), BytesIO(raw)) for part, raw in raws.items())
    save_text(json.dumps({"sha256": sha256}) + "\n", folder / CHECKSUM)  # first: until all is there, it does not fit
    save_text(json.dumps(asdict(vocabulary), ensure_ascii=False) + "\n", folder / VOCABULARY)
    for part, raw in raws.items():
        replace_file(folder / part, partial(Path.write_bytes, data=raw))
    return folder


def _is_ours(file: Path) -> bool:
    """Whether `write_tokens` made this file; of numbers of tokens, what lies beside them says it."""
    if file.name in PARTS:
        return any(_is_ours(file.with_name(name)) for name in (CHECKSUM, VOCABULARY))
    keys = {"sha256"} if file.name == CHECKSUM else {"alphabet", "bpe"}
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and bool(found) and found.keys() <= keys


def _sum_up(files: Iterable[tuple[tuple[str, int], BinaryIO]]) -> str:
    """A checksum of names, sizes in bytes, and both ends of files."""
    digest = hashlib.sha256()
    for (name, size), file in files:
        digest.update(f"{name} {size} ".encode())
        digest.update(file.read(ENDS))
        file.seek(max(0, size - ENDS))
        digest.update(file.read(ENDS))
    return digest.hexdigest()


def _map_file(file: Path, vocabulary: Vocabulary, context: int) -> Tensor:
    size = file.stat().st_size
    if size % 2 or size // 2 <= context:
        raise ValueError(
            f"{file} must hold two bytes for each of more than {context} tokens (the context), but has {size} bytes; "
            "copy it again, or give a shorter context"
        )
    tokens = torch.from_file(str(file), shared=False, size=size // 2, dtype=torch.int16)
    known = GPT2_TOKENS if vocabulary.bpe else len(vocabulary)
    highest = numbers(tokens[:: max(1, len(tokens) // 10**6)]).max().item()  # of a million of them
    if highest >= known:
        raise ValueError(
            f"{file} has a token {highest}, but its vocabulary only {known}; tell it which one was meant "
            f"in {file.with_name('vocabulary.json')}, or make the folder again: flowlib tokenize"
        )
    return tokens
