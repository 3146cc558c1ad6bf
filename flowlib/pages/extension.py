"""What the book adds to Sphinx: formulas as MathML, links out of the book, names of the library as links, no script.

Sphinx loads it by its name, after MyST-NB: see SETTINGS in flowlib.pages.book.
"""

import inspect
import re
from posixpath import dirname, join, normpath

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from flowlib.pages.docstrings import rewrite_docstring
from flowlib.pages.mathml import mathml, without_scripts
from flowlib.pages.symbols import link_names
from flowlib.pages.words import explain_words

SMALL = re.compile(r"[^a-df-z]*\de-\d[^a-df-z]*")  # 1.5e-06, which a line may break at its hyphen


def slug(title: str) -> str:
    """The name of a heading in a link, as Jupyter has it: slug("Is this order 2?") -> "Is-this-order-2?"."""
    return title.replace(" ", "-")


# ------------------------------------------------------------------------------------------------ formulas


def write_formula(translator, node: nodes.Element) -> None:
    """A formula of the page, inline or on a line of its own. Raises: ValueError that names the file."""
    display = isinstance(node, nodes.math_block)
    try:
        made = mathml(node.astext(), display)
    except ValueError as error:
        raise ValueError(f"{name_file(translator.builder)}: {error}") from None
    translator.body.append(f'<span class="formula">{made}</span>' if display else made)
    raise nodes.SkipNode


def name_file(builder) -> str:
    """The file of the course that the page at hand is made from."""
    root = builder.current_docname == builder.config.root_doc
    return "README.md" if root else str(builder.env.doc2path(builder.current_docname, base=False))


# ------------------------------------------------------------------------------------------------ links out of the book


class LinkFiles(SphinxTransform):
    """A link to a file that is no page leads to the repository, where its address is known; else its words stay."""

    default_priority = 400  # before MyST looks for what it cannot find

    def apply(self, **kwargs) -> None:
        for node in list(self.document.findall(addnodes.pending_xref)):
            if node["reftype"] == "myst" and not node.get("refdomain"):
                node.replace_self(self.lead(node))

    def lead(self, node: addnodes.pending_xref) -> list[nodes.Node]:
        path, _, place = node["reftarget"].partition("#")
        target, words = normpath(join(dirname(self.env.docname), path)), node.children[0].children
        if target == "README.md":
            root = {"reftarget": self.env.config.root_doc, "reftargetid": place or None}
            link = addnodes.pending_xref(
                "", nodes.inline("", "", *words), **{**node.attributes, "refdomain": "doc"} | root
            )
            return [link]
        if not self.env.config.book_address or target.startswith(".."):
            return words
        address = self.env.config.book_address + target + (f"#{place}" if place else "")
        return [nodes.reference("", "", *words, refuri=address)]


# --------------------------------------------------------------------------------------------- before a page is written


def finish_page(app: Sphinx, document: nodes.document, name: str) -> None:
    for node in document.findall(nodes.raw):
        node.children = [nodes.Text(without_scripts(node.astext()))]
    for node in document.findall(nodes.entry):
        if SMALL.fullmatch(node.astext()):
            node["classes"].append("number")
    link_names(app, document, name)
    explain_words(app, document, name)


def choose_member(app: Sphinx, what: str, name: str, thing, skip: bool, options) -> bool | None:
    """Functions without a docstring are in the reference too: their signature speaks.

    skip: what Sphinx would do. The fields of a dataclass stand in its signature, so they need no entry.
    """
    if not skip or name.startswith("_") or name == "extra_repr":
        return None
    return False if isinstance(thing, property) or inspect.isroutine(thing) or inspect.isclass(thing) else None


def show_docstring(app: Sphinx, what: str, name: str, thing, options, lines: list[str]) -> None:
    """The docstring as a page shows it; a class also says which classes of flowlib it inherits from."""
    made = rewrite_docstring(lines)
    parents = [base for base in getattr(thing, "__bases__", ()) if base.__module__.startswith("flowlib")]
    if parents:
        made += [f"Inherits from {', '.join(f'``{base.__name__}``' for base in parents)}.", ""]
    lines[:] = made


def setup(app: Sphinx) -> dict:
    app.add_config_value("book_address", "", "env")
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    app.add_transform(LinkFiles)
    app.connect("autodoc-skip-member", choose_member)
    app.connect("autodoc-process-docstring", show_docstring)
    app.connect("doctree-resolved", finish_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
