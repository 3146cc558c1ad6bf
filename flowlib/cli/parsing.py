"""How commands are read: one tyro app that lists them all, and reads the flags of the one that was asked for.

A command is a function: its signature gives the flags, its docstring the help. Where flags come from a dataclass that
takes seconds to import, the command is prepared when it is asked for: the function takes the words after the command's
name and returns the command.
"""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from flowlib.authoring.course import DISTRIBUTION, find_root

MISTAKES = (ValueError, OSError, FloatingPointError, MemoryError, ModuleNotFoundError)
Command = Callable[..., int | None]


def run(words: Sequence[str], commands: Iterable[Callable], prepared: Collection[Callable], about: str) -> int:
    """Run the command that the words begin with; its exit code. Raises: SystemExit after help and wrong flags."""
    import tyro
    from tyro.extras import SubcommandApp

    app = SubcommandApp()
    for command in commands:
        name, asked = command.__name__, command.__name__ == words[0]
        if not asked:
            command = list_only(command)
        elif command in prepared:
            command = command(words[1:])
        app.command(command, name=name)
    plain_flags = (tyro.conf.FlagCreatePairsOff,)  # --resume, without a --no-resume
    with vocabulary_rule():
        return app.cli(prog="flowlib", description=about, args=words, config=plain_flags) or 0


def list_only(command: Callable) -> Command:
    """A command that is listed, by the first line of its docstring, and not read."""

    def stand_in() -> None: ...

    stand_in.__doc__ = command.__doc__.splitlines()[0]
    return stand_in


def vocabulary_rule() -> Any:
    """A model's vocabulary is no flag: it comes from the corpus."""
    from tyro.constructors import ConstructorRegistry, StructConstructorSpec

    registry = ConstructorRegistry()

    @registry.struct_rule
    def hide(info: Any) -> StructConstructorSpec | None:
        if getattr(info.type, "__name__", "") != "Vocabulary":
            return None
        return StructConstructorSpec(instantiate=info.type.bytes, fields=())

    return registry


def split_words(words: Sequence[str], most: int) -> list[str]:
    """What stands before the first flag, at most so many words of it."""
    found = []
    for word in words[:most]:
        if word.startswith("-"):
            break
        found.append(word)
    return found


def check_target(file: Path | None, flag: str, such_as: str, sign: str) -> None:
    """Look at the file that a long work is going to write before the work is done; None and - are no files.

    sign: what stands in a file that the command has written. Only such a one is written over.
    Raises: ValueError where it is a folder, a link, a device or another file, or its folder cannot be written to.
    """
    if file is None or str(file) == "-":
        return
    if file.is_dir():
        raise ValueError(f"{flag} must be a file, such as {such_as}, and {file} is a folder; try {file / such_as}")
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise ValueError(f"{flag} must be a file, such as {such_as}, and {file} is a link or a device")
    folder = next(parent for parent in file.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise ValueError(f"{flag} {file} cannot be written: {folder} is a file, no folder")
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{flag} {file} cannot be written: you may not write in {folder}")
    if file.exists() and not has_sign(file, sign):
        raise ValueError(f"{file} is there already, and no such file of this command's; give another one with {flag}")


def has_sign(file: Path, sign: str) -> bool:
    """Whether an empty file, or one with that text in its first megabyte."""
    with open(file, encoding="utf-8", errors="replace") as opened:
        text = opened.read(1 << 20)
    return not text.strip() or sign in text


def install(extra: str) -> str:
    """The command that installs an extra of flowlib, in a copy of the course or beside a wheel."""
    own = find_root(Path(__file__).resolve())
    return f"pip install -e '.[{extra}]'" if own else f"pip install '{DISTRIBUTION}[{extra}]'"
