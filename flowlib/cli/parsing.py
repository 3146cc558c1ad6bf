"""How every command reads its flags: tyro, from the dataclass or function that uses them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

MISTAKES = (ValueError, OSError, FloatingPointError, MemoryError, ModuleNotFoundError)


def to_write(file: Path | None, flag: str, such_as: str) -> None:
    """Look at the file that a long work is going to write before the work is done; None and - are no files.

    Raises: ValueError where it is a folder, or its folder is a file.
    """
    if file is None or str(file) == "-":
        return
    if file.is_dir():
        raise ValueError(f"{flag} must be a file, such as {such_as}, and {file} is a folder; try {file / such_as}")
    folder = next(parent for parent in file.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise ValueError(f"{flag} {file} cannot be written: {folder} is a file, no folder")


def parse(target: Any, arguments: Sequence[str], program: str, description: str | None = None) -> Any:
    """tyro's reading of the flags, without the vocabulary's own: it comes from the corpus."""
    import tyro
    from tyro.constructors import ConstructorRegistry, StructConstructorSpec

    registry = ConstructorRegistry()

    @registry.struct_rule
    def hide_vocabulary(info: Any) -> StructConstructorSpec | None:
        if getattr(info.type, "__name__", "") != "Vocabulary":
            return None
        return StructConstructorSpec(instantiate=info.type.bytes, fields=())

    plain_flags = (tyro.conf.FlagCreatePairsOff,)  # --resume, without a --no-resume
    return tyro.cli(
        target, args=arguments, prog=program, description=description, config=plain_flags, registry=registry
    )
