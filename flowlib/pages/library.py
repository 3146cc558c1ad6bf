"""The pages of the library: one for each module of the rooms that a researcher imports, made from its docstrings.

library.md -> the rooms;  flowlib.operators.rst -> its modules;  flowlib.operators.attention.rst -> what is in it
"""

import ast
from pathlib import Path

from flowlib.pages.docstrings import escape

FOLDER = "library"
ROOMS = ("fields", "operators", "flow", "models", "measure", "training", "files")
OPENING = """\
The library under the course, from its own docstrings: formulas first, then shapes, the order of the numerical error
(*Error*), what is refused (*Raises*), and where it is from (*Source*). A shape stands in the signature where it is
checked: ``Float[Tensor, '... token feature']`` is a tensor of floating-point numbers whose last two axes are tokens and
features. ``import flowlib`` loads none of it; each room is imported by its own name."""
MEMBERS = """\
   :members:
   :member-order: bysource
"""


class Library:
    """The pages of the library in `root`, the repository.

    It is read here, and nothing of it imported; autodoc then imports the modules that the pages name.
    """

    def __init__(self, root: Path):
        self.root = root

    def pages(self) -> dict[str, str]:
        """file -> its reStructuredText, for the overview, each room and each module; nothing where there is none."""
        rooms = [f"flowlib.{room}" for room in ROOMS if self.file(f"flowlib.{room}").is_file()]
        made = {file: text for room in rooms for file, text in self.pages_of(room).items()}
        overview = {f"{FOLDER}/index.rst": heading("API reference") + OPENING + self.list_modules(rooms)}
        return made | overview if rooms else {}

    def pages_of(self, name: str) -> dict[str, str]:
        """The page of a module; of a package, also those of all that is below it."""
        page = heading(name) + f".. automodule:: {name}\n"
        if self.file(name).name != "__init__.py":
            return {f"{FOLDER}/{name}.rst": page + MEMBERS + self.constants(name)}
        below = self.modules_in(name)
        made = {f"{FOLDER}/{name}.rst": page + self.exports(name) + self.list_modules(below)}
        return made | {file: text for module in below for file, text in self.pages_of(module).items()}

    def modules_in(self, package: str) -> list[str]:
        inside = sorted(self.file(package).parent.iterdir())
        public = [path for path in inside if not path.name.startswith("_")]
        return [f"{package}.{path.stem}" for path in public if self.file(f"{package}.{path.stem}").is_file()]

    def list_modules(self, modules: list[str]) -> str:
        """Modules, each with the first line of its docstring; the list on the left has them too."""
        first = {name: (ast.get_docstring(self.parse(name)) or "").partition("\n")[0] for name in modules}
        lines = [f"- :doc:`{name}`: {escape(words)}" for name, words in first.items()]
        entries = [f"   {name.rpartition('.')[2]} <{name}>" for name in modules]
        return "\n".join(["\n", *lines, "", ".. toctree::", "   :hidden:", "", *entries, ""])

    def exports(self, package: str) -> str:
        """What may be imported from the package itself."""
        names = ", ".join(f"``{one}``" for one in self.public(package))
        return f"\n``from {package} import`` {names}\n" if names else ""

    def constants(self, module: str) -> str:
        """The entries of the constants that its package hands on, as SCHEMES; of a dict, with the names in it."""
        handed, made = self.public(module.rpartition(".")[0]), ""
        for node in self.parse(module).body:
            if (name := target(node)).isupper() and name in handed:
                keys = [f"``{key.value}``" for key in getattr(node.value, "keys", []) if isinstance(key, ast.Constant)]
                words = f"   Its names: {', '.join(keys)}.\n" if keys else ""
                made += f"\n.. autodata:: {module}.{name}\n   :no-value:\n\n{words}"
        return made

    def public(self, package: str) -> list[str]:
        """A package's `__all__`."""
        lists = [node.value for node in self.parse(package).body if target(node) == "__all__"]
        return ast.literal_eval(lists[0]) if lists and isinstance(lists[0], ast.List) else []

    def parse(self, name: str) -> ast.Module:
        return ast.parse(self.file(name).read_text("utf-8"))

    def file(self, name: str) -> Path:
        path = self.root.joinpath(*name.split("."))
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def target(node: ast.stmt) -> str:
    """What this statement assigns to."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return ast.unparse(targets[0]) if targets else ""


def heading(words: str) -> str:
    return f"{words}\n{'=' * len(words)}\n\n"
