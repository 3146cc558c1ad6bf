"""Names of the library in running text, as `attend` or `Grid.uniform(16)`, become links to where they are documented.

A name is followed only where it means one thing: one public object has it, and the code on that page does not give it
to something of its own.
"""

import ast
import re
from functools import cache

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

NAME = re.compile(r"([A-Za-z_][\w.]*)(?:\(.*\))?", re.DOTALL)
FILE = re.compile(r"[\w/]+(?:\.py|/)")
OPEN = ("function", "class", "exception", "data")  # what may be named without the class or module that it is in


def link_names(app: Sphinx, document: nodes.document, page: str) -> None:
    """Put a link around each name of the library on this page. Headings, signatures and links stay as they are."""
    objects = app.env.domains.python_domain.objects
    taken = own_names(document)
    for literal in list(document.findall(nodes.literal)):
        if any(isinstance(above, STOPS) for above in ancestors(literal)):
            continue
        found = find(literal.astext(), objects, taken, page)
        if found and objects[found].docname != page:
            place = objects[found]
            link = make_refnode(app.builder, page, place.docname, place.node_id, literal.deepcopy(), found)
            literal.replace_self(link)


STOPS = (nodes.title, nodes.reference, addnodes.desc_signature, addnodes.pending_xref)


def ancestors(node: nodes.Node):
    while node.parent is not None:
        node = node.parent
        yield node


def find(text: str, objects: dict, taken: set[str], page: str = "") -> str:
    """The full name of the one public object that this code names, or ""."""
    if FILE.fullmatch(text):
        module = "flowlib." + text.removeprefix("flowlib/").removesuffix("/").removesuffix(".py").replace("/", ".")
        return module if module in objects else ""
    name = NAME.fullmatch(text)
    if not name or name[1].split(".")[0] in taken:
        return ""
    wanted = name[1].split(".")
    fits = [full for full in objects if is_named(full, wanted, objects[full].objtype)]
    here = [full for full in fits if objects[full].docname == page]
    return fits[0] if len(fits) == 1 else here[0] if len(here) == 1 else ""


def is_named(full: str, wanted: list[str], kind: str) -> bool:
    """Whether this object may be called so: by its last name, and by what it is in, of which parts may be left out."""
    names = full.split(".")
    if len(wanted) == 1 and kind not in OPEN:
        return False
    left = iter(names)
    return names[-1] == wanted[-1] and all(one in left for one in wanted)


def own_names(document: nodes.document) -> set[str]:
    """What the code cells of this page define or assign themselves."""
    names = set()
    for block in document.findall(nodes.literal_block):
        names |= bound_names(block.astext())
    return names


@cache
def bound_names(code: str) -> frozenset[str]:
    """bound_names("a, b = f(x)\\ndef g(y): …") -> a, b and g; nothing where it is no Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return frozenset()
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return frozenset(defined | stored | arguments)
