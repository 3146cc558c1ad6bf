"""A folder of tokens: a corpus too long to encode each time, or to hold in memory.

    train.bin, val.bin    the numbers of the tokens, two bytes each (little-endian, unsigned), as nanoGPT writes them
    vocabulary.json       what they stand for; without it they are GPT-2's

The files are mapped, not read: a batch touches only the pages that its windows lie in.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from flowlib.files import replace_file, save_text
from flowlib.models.vocabulary import GPT2_TOKENS, Vocabulary

PARTS = ("train.bin", "val.bin")
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
        digest, sizes = hashlib.sha256(), {}
        for part in PARTS:
            path = Path(self.name) / part
            sizes[part] = path.stat().st_size
            digest.update(f"{part} {sizes[part]} ".encode())
            with open(path, "rb") as file:
                digest.update(file.read(ENDS))
                file.seek(max(0, sizes[part] - ENDS))
                digest.update(file.read(ENDS))
        return {"name": self.name, **{part: size // 2 for part, size in sizes.items()}, "sha256": digest.hexdigest()}

    def vocabulary(self, kind: str) -> Vocabulary:
        """What the tokens stand for. Raises: ValueError where that is not what was asked for."""
        file = Path(self.name) / "vocabulary.json"
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
        """The tokens of the two files, mapped. Raises: ValueError (damaged, too short, of another vocabulary)."""
        train, validation = (_map_file(Path(self.name) / part, vocabulary, context) for part in PARTS)
        return train, validation


def write_tokens(text: str, folder: str | Path, kind: str) -> Path:
    """Encode a text into a folder of tokens: its first nine tenths into train.bin, the rest into val.bin.

    kind: "bytes", "characters" or "gpt2". Raises: ValueError (an empty text), ModuleNotFoundError, ConnectionError.
    """
    folder = Path(folder)
    vocabulary = Vocabulary.characters(text) if kind == "characters" else getattr(Vocabulary, kind)()
    tokens = vocabulary.encode(text)
    cut = len(tokens) * 9 // 10
    if not cut:
        raise ValueError(f"a folder of tokens needs at least 2 of them, but the text has {len(tokens)}")
    save_text(json.dumps(asdict(vocabulary), ensure_ascii=False) + "\n", folder / "vocabulary.json")
    for part, some in zip(PARTS, (tokens[:cut], tokens[cut:])):
        raw = some.numpy().astype("<u2").tobytes()
        replace_file(folder / part, partial(Path.write_bytes, data=raw))
    return folder


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
