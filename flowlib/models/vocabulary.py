"""Text into token numbers and back: bytes, the characters of a text, or GPT-2's byte pairs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from flowlib.models.inputs import check_text

GPT2_TOKENS = 50257
GPT2_ROOM = 50304  # the next multiple of 64: a GPU multiplies it faster, and the 47 more never occur


@dataclass(frozen=True)
class Vocabulary:
    """Text ↔ token numbers: one token per character of `alphabet`, or (alphabet None) one per byte of UTF-8.

    With bpe="gpt2" a token is one of GPT-2's 50,257 byte pairs (the length is rounded up to a multiple of 64).
    Raises: ValueError for an empty text, a character that the alphabet lacks, a number that stands for no token.
    """

    alphabet: str | None = None
    bpe: str | None = None

    def __post_init__(self) -> None:
        if self.bpe not in (None, "gpt2") or (self.bpe and self.alphabet):
            raise ValueError(f"bpe must be None, or 'gpt2' without an alphabet, got {self.bpe!r} and {self.alphabet!r}")
        if self.alphabet is not None and not (isinstance(self.alphabet, str) and self.alphabet):
            raise ValueError(f"alphabet must be a text with each character once, or None, got {self.alphabet!r:.80}")

    @staticmethod
    def characters(text: str) -> "Vocabulary":
        check_text(text, "text")
        if not text:
            raise ValueError("a vocabulary of characters needs a text, got an empty one")
        return Vocabulary("".join(sorted(set(text))))

    @staticmethod
    def bytes() -> "Vocabulary":
        return Vocabulary(None)

    @staticmethod
    def gpt2() -> "Vocabulary":
        return Vocabulary(bpe="gpt2")

    def __len__(self) -> int:
        if self.bpe:
            return GPT2_ROOM
        return 256 if self.alphabet is None else len(self.alphabet)

    def encode(self, text: str) -> Tensor:
        """(token,) int64. Raises: as the class says, and TypeError for what is no text."""
        check_text(text, "text")
        if self.bpe:
            return torch.tensor(_gpt2().encode(text, allowed_special={"<|endoftext|>"}), dtype=torch.int64)
        if self.alphabet is None:
            return torch.tensor(list(text.encode("utf-8")), dtype=torch.int64)
        number = {c: i for i, c in enumerate(self.alphabet)}
        missing = sorted(set(text) - number.keys())
        if missing:
            raise ValueError(f"this model never saw {missing[:10]}; its {len(self)} characters are {self.alphabet!r}")
        return torch.tensor([number[c] for c in text], dtype=torch.int64)

    def decode(self, tokens: Tensor | Sequence[int]) -> str:
        """The text of tokens (token,). Raises: ValueError where a number stands for no token."""
        tokens = _as_numbers(tokens)
        if any(not 0 <= i < len(self) for i in tokens):
            raise ValueError(f"tokens must be in 0 … {len(self) - 1}, got {min(tokens)} … {max(tokens)}")
        if self.bpe:
            return _gpt2().decode([i for i in tokens if i < GPT2_TOKENS])
        if self.alphabet is None:
            return bytes(tokens).decode("utf-8", errors="replace")
        return "".join(self.alphabet[i] for i in tokens)


def _as_numbers(tokens: Any) -> list[int]:
    """Raises: TypeError for what are no whole numbers in a row."""
    row = tokens.tolist() if isinstance(tokens, Tensor) else list(tokens) if isinstance(tokens, Iterable) else tokens
    whole = isinstance(row, list) and all(float(i).is_integer() for i in row if isinstance(i, Real))
    if not whole or not all(isinstance(i, Real) for i in row):
        raise TypeError(f"tokens must be whole numbers in a row (token,), got {tokens!r:.80}")
    return [int(i) for i in row]


@lru_cache
def _gpt2() -> Any:
    """tiktoken's GPT-2 vocabulary, which it fetches once. Raises: ModuleNotFoundError, ConnectionError."""
    try:
        import tiktoken
    except ImportError:
        raise ModuleNotFoundError(
            "GPT-2's tokens need tiktoken: pip install -e '.[bpe]'; or train on bytes (vocabulary='bytes')"
        ) from None
    try:
        return tiktoken.get_encoding("gpt2")
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"tiktoken could not fetch GPT-2's vocabulary ({error.__class__.__name__}); it needs the network once, or "
            "the environment variable TIKTOKEN_CACHE_DIR with a folder that another machine's tiktoken has filled"
        ) from error
