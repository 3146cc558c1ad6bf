"""A notebook as one page of HTML that needs no script and no server: formulas are MathML, pictures and font inside.

    jupyter nbconvert --to flowlib chapters/03_attention_is_an_integral.ipynb
    page("chapters/03_attention_is_an_integral.ipynb") -> the HTML, as a string

Chromium, Firefox and Safari draw MathML themselves. Not every machine has a font that can (one whose brackets and
roots grow), so a small one travels in the page: what its formulas need of the DejaVu fonts that matplotlib brings.
`mathml`, `markdown` and `style` are what a whole site of such pages needs.
"""

import re
from base64 import b64encode
from functools import cache
from pathlib import Path

from nbconvert.exporters import HTMLExporter
from nbconvert.exporters.base import ExporterDisabledError
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from traitlets import default

from flowlib.pages.crosslinks import of_one_page
from flowlib.pages.font import font, letters

TEMPLATES = Path(__file__).with_name("templates")
MATH = TEMPLATES / "page" / "math.css"  # how formulas look, here and in the book
SCRIPT = re.compile(r"<script\b.*?(</script\s*>|\Z)", re.DOTALL | re.IGNORECASE)
# What a reader without a kernel can use, best first: no widget, no JavaScript.
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain"]

# Few fonts stretch a line or a brace along a formula as they should: style.css draws those, by these classes.
DRAWN = {
    '<mo stretchy="true">\u0332</mo></mover>': '<mo class="overline">\u203e</mo></mover>',
    '<mo stretchy="true">\u0332</mo></munder>': '<mo class="underline">_</mo></munder>',
    "<mo>\u23de</mo>": '<mo class="brace">\u23de</mo>',
    "<mo>\u23df</mo>": '<mo class="brace">\u23df</mo>',
}


@cache
def converter():
    try:
        from math_core import LatexToMathML
    except ImportError:
        raise ImportError("formulas become MathML with math-core: install it with pip install -e '.[pages]'") from None

    return LatexToMathML(annotation=True, fancy_error=False)


def mathml(tex: str, display: bool = False) -> str:
    r"""The formula as MathML, which carries its TeX along for whoever copies it: mathml(r"\frac12") -> "<math>...".

    Raises: ValueError where it is no TeX that can be drawn so.
    """
    convert = converter().convert_with_local_state
    from math_core import LatexError

    try:
        made = convert(tex.strip(), displaystyle=display)
    except LatexError as error:
        raise ValueError(f"this formula cannot become MathML: {tex.strip()!r}; {str(error).strip()}") from None
    for theirs, ours in DRAWN.items():
        made = made.replace(theirs, ours)
    return made


class MathRenderer(IPythonRenderer):
    """nbconvert's own Markdown, with MathML in the place of TeX for MathJax."""

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def block_math(self, body: str) -> str:
        return f'<span class="formula">{mathml(body, display=True)}</span>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")


def markdown(text: str, **options) -> str:
    """Markdown as a notebook has it, as HTML. `options` go to nbconvert's renderer."""
    return MarkdownWithMath(renderer=MathRenderer(escape=False, **options)).render(text)


def without_scripts(html: str) -> str:
    return SCRIPT.sub("", html)


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
        return [str(TEMPLATES)]

    @property
    def default_config(self):
        config = super().default_config.copy()
        config.NbConvertBase.display_data_priority = SHOWN
        return config

    def default_filters(self):
        yield from super().default_filters()
        yield "markdown2html", self.markdown2html
        yield "without_scripts", without_scripts

    def markdown2html(self, source: str) -> str:
        return markdown(source, anchor_link_text=self.anchor_link_text, exclude_anchor_links=self.exclude_anchor_links)

    def from_notebook_node(self, nb, resources=None, **options):
        resources = {**(resources or {}), "page": {"title": title(nb)}}
        html, resources = super().from_notebook_node(nb, resources, **options)
        html = self.led(html, resources.get("metadata", {}))
        return html.replace("<style>", f"<style>\n{style(html)}", 1), resources

    def led(self, html: str, here: dict) -> str:
        """The page with its links leading on; `here`: where its notebook lies, as nbconvert says it."""
        return of_one_page(html, Path(here["path"], f"{here['name']}.ipynb") if here.get("path") else None)


def page(path: Path | str) -> str:
    """The notebook in that file as a page, as it is stored: nothing is executed.

    Raises: FileNotFoundError; ValueError where a formula cannot become MathML.
    """
    from flowlib.authoring.notebooks import read

    return PageExporter().from_notebook_node(read(Path(path)))[0]
