"""The pages of the library: one for each module of the rooms that a researcher imports, made from its docstrings.

    library.md -> the rooms;  flowlib.operators.rst -> its modules;  flowlib.operators.attention.rst -> what is in it
"""

import ast
from pathlib import Path

import flowlib
from flowlib.pages.docstrings import escape

FOLDER = "library"
ROOMS = ("fields", "operators", "flow", "models", "measure", "training", "files")
OPENING = """\
The library under the course, from its own docstrings: formulas first, then shapes, the order of the numerical error
(*Error*), what is refused (*Raises*), and where it is from (*Source*). A shape stands in the signature where it is
checked: ``Float[Tensor, '... token feature']`` is a tensor of floating-point numbers whose last two axes are tokens and
features. ``import flowlib`` loads none of it; each room is imported by its own name."""
MODULE = """\
.. automodule:: {name}
"""
MEMBERS = """\
   :members:
   :undoc-members:
   :member-order: bysource
"""


def pages() -> dict[str, str]:
    """file -> its reStructuredText, for the overview, each room and each module."""
    home, made, rooms = Path(flowlib.__file__).parent, {}, []
    for room in ROOMS:
        folder, name = home / room, f"flowlib.{room}"
        rooms.append(name)
        made |= pages_of_folder(folder, name) if folder.is_dir() else {f"{FOLDER}/{name}.rst": page(name, True)}
    made[f"{FOLDER}/index.rst"] = f"{heading('The library')}{OPENING}\n\n{listing(rooms)}"
    return made


def pages_of_folder(folder: Path, name: str) -> dict[str, str]:
    """The pages of a package, and of all that is below it."""
    made, below = {}, []
    for path in sorted(folder.iterdir()):
        inner = f"{name}.{path.stem}"
        if path.name.startswith("_") or not (path.suffix == ".py" or (path / "__init__.py").is_file()):
            continue
        below.append(inner)
        made |= pages_of_folder(path, inner) if path.is_dir() else {f"{FOLDER}/{inner}.rst": page(inner, True)}
    return {f"{FOLDER}/{name}.rst": page(name, False) + "\n" + listing(below)} | made


def page(name: str, members: bool) -> str:
    return heading(name) + MODULE.format(name=name) + MEMBERS * members


def heading(words: str) -> str:
    return f"{words}\n{'=' * len(words)}\n\n"


def listing(modules: list[str]) -> str:
    """Modules, each with the first sentence of its docstring; the list on the left has them too."""
    lines = [f"- :doc:`{name}`: {escape(summary(name))}" for name in modules]
    entries = [f"   {name.rpartition('.')[2]} <{name}>" for name in modules]
    return "\n".join([*lines, "", ".. toctree::", "   :hidden:", "", *entries, ""])


def summary(name: str) -> str:
    """The first line of a module's docstring. The module is read, not imported."""
    path = Path(flowlib.__file__).parent.joinpath(*name.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]
