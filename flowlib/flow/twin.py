"""The one shallow copy of a module: the same parameters and parts, and tables of its own to change."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def twin(module: Module) -> Module:
    """A module like this one that shares its parameters, buffers and parts, but has its own tables of them.

    What is set on the twin (an attribute, a parameter, a part, a hook) stays with the twin, and so does what is set on
    the module afterwards. What is inside of a part is shared: to change that, make a twin of the part, too.
    Error: exact; `twin(m).weight is m.weight`.
    """
    other = type(module).__new__(type(module))  # not copy.copy: it shares the tables, and torch.compile cannot follow
    for name, value in module.__dict__.items():
        other.__dict__[name] = value.copy() if isinstance(value, dict | set) else value
    return other


def twin_with(module: Module, kind: type[nn.Module], change: Callable[[Any], Any]) -> Module:
    """A twin in which each part of this kind, however deep inside, is what `change` makes of it.

    What holds no such part is shared. `change` is given the part itself: it makes a twin of it, and changes that.
    Error: exact.
    """
    if isinstance(module, kind):
        changed: Module = change(module)
        return changed
    if not any(isinstance(part, kind) for part in module.modules()):
        return module
    mine = twin(module)
    for name, part in module._modules.items():
        if part is not None:
            mine._modules[name] = twin_with(part, kind, change)
    return mine
