"""Names of the library in running text, as `attend` or `Grid.uniform(16)`, become links to where they are documented.

A name is followed only where it means one thing: one public object has it, and the code on that page does not give it
to something of its own. A plain word (`order`) is a name only where the page imports it, or is about names.
"""

import ast
import re
from dataclasses import dataclass, field
from functools import cache

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

NAME = re.compile(r"([A-Za-z_][\w.]*)(\(.*\))?", re.DOTALL)
FILE = re.compile(r"[\w/]+(?:\.py|/)")
WORD = re.compile(r"[a-z]+")
OPEN = ("function", "class", "exception", "data")  # what may be named without the class or module that it is in
ABOUT_NAMES = re.compile(r"chapters/notation|library/")
STOPS = (nodes.title, nodes.term, nodes.reference, addnodes.desc_signature, addnodes.pending_xref)


@dataclass
class Code:
    """What the code on a page says of names: those it imports, and those it gives to something of its own."""

    imported: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)


def link_names(app: Sphinx, document: nodes.document, page: str) -> None:
    """Put a link around each name of the library on this page. Headings, signatures and links stay as they are."""
    objects, code = app.env.domains.python_domain.objects, read_code(document)
    for literal in list(document.findall(nodes.literal)):
        if any(isinstance(above, STOPS) for above in ancestors(literal)):
            continue
        full = find(literal.astext(), objects, code, page)
        if full and not is_inside(literal, full):
            place = objects[full]
            link = make_refnode(app.builder, page, place.docname, place.node_id, literal.deepcopy(), full)
            literal.replace_self(link)


def is_inside(node: nodes.Node, full: str) -> bool:
    """Whether it stands in the entry of this very object."""
    entries = [above for above in ancestors(node) if isinstance(above, addnodes.desc)]
    return any(full in signature["ids"] for entry in entries for signature in entry[:1])


def ancestors(node: nodes.Node):
    while node.parent is not None:
        node = node.parent
        yield node


def find(text: str, objects: dict, code: Code, page: str = "") -> str:
    """The full name of the one public object that this text names, or ""."""
    if FILE.fullmatch(text):
        text = "flowlib." + text.removeprefix("flowlib/").removesuffix("/").removesuffix(".py").replace("/", ".")
    if text in objects:
        return text
    name = NAME.fullmatch(text)
    if not name or name[1].split(".")[0] in code.bound:
        return ""
    if WORD.fullmatch(text) and text not in code.imported and not ABOUT_NAMES.match(page):
        return ""
    fits = [full for full in objects if is_named(full, name[1].split("."), objects[full].objtype)]
    here = [full for full in fits if objects[full].docname == page]
    if not fits and re.fullmatch(r"[A-Z]\w+\.\w+", name[1]):  # what a class sets in __init__
        return find(name[1].partition(".")[0], objects, code, page)
    return fits[0] if len(fits) == 1 else here[0] if len(here) == 1 else ""


def is_named(full: str, wanted: list[str], kind: str) -> bool:
    """Whether this object may be called so: by its last name, and by what it is in, of which parts may be left out."""
    names = full.split(".")
    if len(wanted) == 1 and kind not in OPEN:
        return False
    left = iter(names)
    return names[-1] == wanted[-1] and all(one in left for one in wanted)


def read_code(document: nodes.document) -> Code:
    """What all code cells of a page say."""
    code = Code()
    for block in document.findall(nodes.literal_block):
        imported, bound = names_in(block.astext())
        code.imported |= imported
        code.bound |= bound
    return code


@cache
def names_in(code: str) -> tuple[frozenset[str], frozenset[str]]:
    """names_in("from flowlib.measure import order\\na = 1") -> {order}, {a}; none where it is no Python."""
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError):
        return frozenset(), frozenset()
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and str(node.module).startswith("flowlib")]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    bound = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return frozenset(imported), frozenset(bound)
