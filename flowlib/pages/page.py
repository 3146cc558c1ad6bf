"""A notebook as one page of HTML that needs no script and no server: formulas are MathML, pictures and font inside.

    jupyter nbconvert --to flowlib chapters/03_attention_is_an_integral.ipynb
    page("chapters/03_attention_is_an_integral.ipynb") -> the HTML, as a string

Chromium, Firefox and Safari draw MathML themselves. Not every machine has a font that can (one whose brackets and
roots grow), so a small one travels in the page: what its formulas need of the DejaVu fonts that matplotlib brings.
"""

import re
from base64 import b64encode
from copy import deepcopy
from pathlib import Path

import nbconvert
from jinja2 import pass_context
from mistune import HTMLRenderer
from nbconvert.exporters import HTMLExporter
from nbconvert.exporters.base import ExporterDisabledError
from nbconvert.filters.markdown_mistune import InvalidNotebook, IPythonRenderer, MarkdownWithMath
from traitlets import default

from flowlib.authoring.notebooks import HOW_TO_RUN, answers, code_cells, is_cover, name_answer
from flowlib.pages.crosslinks import rewrite_links_of_page
from flowlib.pages.font import font, letters
from flowlib.pages.mathml import MATH, TEMPLATES, converter, mathml, without_scripts

# What a reader without a kernel can use, best first: no widget, no JavaScript.
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain"]


class MathRenderer(IPythonRenderer):
    """nbconvert's own Markdown, with MathML in the place of TeX for MathJax."""

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def block_math(self, body: str) -> str:
        return f'<span class="formula">{mathml(body, display=True)}</span>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """A picture; one that was pasted into a cell, and is lost, leaves its words."""
        try:
            return super().image(text, url, title)
        except InvalidNotebook:
            return HTMLRenderer.image(self, text, url, title)


def list_pictures(cell) -> dict[str, dict[str, str]]:
    """The pictures that were pasted into a cell: name -> kind -> base64."""
    pasted = cell.get("attachments") or {}
    kinds = {name: {k: v for k, v in made.items() if k.startswith("image/")} for name, made in pasted.items()}
    return {name: made for name, made in kinds.items() if made}


def list_template_folders() -> list[str]:
    """Ours, and that of nbconvert, which Jupyter misses where packages are found by PYTHONPATH or pip's --target."""
    site = Path(nbconvert.__file__).parents[1]
    places = (folder / "share" / "jupyter" / "nbconvert" / "templates" for folder in (site, *site.parents[:3]))
    return [str(TEMPLATES), *(str(place) for place in places if (place / "base").is_dir())]


def markdown(text: str, **options) -> str:
    """Markdown as a notebook has it, as HTML. `options` go to nbconvert's renderer."""
    return MarkdownWithMath(renderer=MathRenderer(escape=False, **options)).render(text)


def style(html: str = "") -> str:
    """The style sheet, with a font for the formulas of that page in it."""
    made = b64encode(font(letters(html))).decode("ascii")
    face = f'@font-face {{ font-family: "flowlib math"; src: url("data:font/woff;base64,{made}") format("woff"); }}\n'
    return face * bool(made) + MATH.read_text("utf-8") + (TEMPLATES / "page" / "style.css").read_text("utf-8")


def title(notebook) -> str:
    """The first heading of the notebook."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.search(r"^#+ +(.+?) *$", prose, re.MULTILINE)
    return found[1] if found else "A notebook"


class PageExporter(HTMLExporter):
    """`jupyter nbconvert --to flowlib`; JupyterLab lists it under "Save and Export Notebook As"."""

    export_from_notebook = "HTML without scripts"

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        try:
            converter()
        except ImportError as error:
            # nbconvert and JupyterLab leave an exporter that says so out of their lists.
            raise ExporterDisabledError(str(error)) from None

    @default("template_name")
    def _template_name_default(self):
        return "page"

    @default("extra_template_basedirs")
    def _extra_template_basedirs_default(self):
        return list_template_folders()

    @default("extra_template_paths")
    def _extra_template_paths_default(self):
        return list_template_folders()  # for "base/…" in a template

    @property
    def default_config(self):
        config = super().default_config.copy()
        config.NbConvertBase.display_data_priority = SHOWN
        return config

    def default_filters(self):
        yield from super().default_filters()
        yield "markdown2html", self.markdown2html
        yield "without_scripts", without_scripts
        yield "name_answer", lambda cell: name_answer(cell) if answers(cell) else ""

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        pasted = list_pictures(context.get("cell", {}))
        anchors = {"anchor_link_text": self.anchor_link_text, "exclude_anchor_links": self.exclude_anchor_links}
        return markdown(source, attachments=pasted, **anchors)

    def from_notebook_node(self, nb, resources=None, **options):
        resources = {**(resources or {}), "page": {"title": title(nb)}}
        nb = deepcopy(nb)
        if nb.cells:
            nb.cells[0].source = HOW_TO_RUN.sub("", nb.cells[0].source)  # nothing runs on a page
        for cell in code_cells(nb):
            cell.outputs = [output for output in cell.outputs if not is_cover(output)]
        html, resources = super().from_notebook_node(nb, resources, **options)
        html = self.rewrite_links(html, resources.get("metadata", {}))
        return html.replace("<style>", f"<style>\n{style(html)}", 1), resources

    def rewrite_links(self, html: str, here: dict) -> str:
        """The page with its links leading on; `here`: where its notebook lies, as nbconvert says it."""
        return rewrite_links_of_page(html, Path(here["path"], f"{here['name']}.ipynb") if here.get("path") else None)


def page(path: Path | str) -> str:
    """The notebook in that file as a page, as it is stored: nothing is executed.

    Raises: FileNotFoundError; ValueError where a formula cannot become MathML.
    """
    from flowlib.authoring.notebooks import read

    return PageExporter().from_notebook_node(read(Path(path)))[0]
