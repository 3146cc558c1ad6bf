"""How every command reads its flags: tyro, from the dataclass or function that uses them."""

from collections.abc import Sequence
from typing import Any

MISTAKES = (ValueError, OSError, FloatingPointError, MemoryError, ModuleNotFoundError)


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
