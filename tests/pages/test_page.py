"""A chapter as HTML without scripts: every formula and every figure is there, and nothing is fetched from elsewhere."""

import re
import sys
from base64 import b64decode
from functools import cache
from html.parser import HTMLParser
from importlib.metadata import entry_points
from io import BytesIO
from pathlib import Path

import nbformat
import pytest
from fontTools.ttLib import TTFont
from nbconvert.exporters import ExporterDisabledError, get_export_names, get_exporter

from flowlib.authoring.notebooks import answers, is_folded, is_question, read
from flowlib.authoring.symbols import formulas
from flowlib.pages.font import ITALIC, font, form, letters, plain_letter
from flowlib.pages.mathml import converter, mathml
from flowlib.pages.page import PageExporter, markdown, page, style

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
SCREENSHOT = ROOT / "build" / "browser" / "page_without_scripts.png"
VOID = {"img", "meta", "br", "hr", "input", "link", "source", "wbr"}
VERBATIM = {"style", "annotation", "pre", "code", "title"}  # no Markdown, so $ means nothing there
DRAWN_BY_CSS = "\u203e\u23de\u23df"  # the rule of \overline, braces
UNSEEN = "\u2061"  # "apply function"


class Reader(HTMLParser):
    """What a browser would find in a page: elements, TeX kept in annotations, text."""

    def __init__(self, html: str):
        super().__init__()
        self.found, self.tex, self.text, self.letters, self.open = [], [], "", set(), []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "annotation":
            self.tex.append("")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
            self.open.pop()

    def handle_data(self, data):
        if "annotation" in self.open:
            self.tex[-1] += data
        elif "math" in self.open:
            self.letters |= set(data)
        if not VERBATIM & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


@cache
def export_page(path: Path) -> tuple[str, Reader]:
    html = page(path)
    return html, Reader(html)


def outputs(notebook) -> list:
    return [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]


def find_formulas(notebook) -> list[str]:
    """The formulas of prose and of Markdown outputs, in order, by a count of our own."""
    texts = []
    for cell in notebook.cells:
        texts += [cell.source] if cell.cell_type == "markdown" else []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts += [data["text/markdown"]] if "text/markdown" in data and "text/html" not in data else []
    return [tex.strip() for text in texts for tex in formulas(text)]


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem[:2])
def chapter(request):
    return read(request.param), *export_page(request.param)


def test_every_formula_is_mathml_and_keeps_its_tex(chapter):
    notebook, _, found = chapter
    expected = find_formulas(notebook)
    assert len(expected) > 10
    assert len(found.all("math")) == len(expected)
    assert [tex.strip() for tex in found.tex] == expected
    assert not found.all("merror")
    assert found.open == []


def test_no_tex_is_left_over(chapter):
    *_, found = chapter
    for mark in ("$", r"\(", r"\[", r"\begin", r"\frac"):
        assert mark not in found.text, found.text[max(0, found.text.index(mark) - 80) :][:160]


def test_every_figure_is_there_with_its_words(chapter):
    notebook, _, found = chapter
    stored = [o.metadata["image/png"]["alt"] for o in outputs(notebook) if "image/png" in o.data]
    shown = found.all("img")
    assert len(stored) > 3
    assert [image["alt"] for image in shown] == stored
    assert all(image["src"].startswith("data:image/png;base64,") and int(image["width"]) > 100 for image in shown)


def test_nothing_runs_and_nothing_is_fetched(chapter):
    _, html, found = chapter
    assert not [tag for tag, _ in found.found if tag in {"script", "link", "iframe", "object", "embed", "base"}]
    for tag, attributes in found.found:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in {"src", "srcset", "data", "poster", "background", "xlink:href"} & set(attributes):
            assert attributes[name].startswith("data:"), (tag, name, attributes[name][:80])
    assert set(re.findall(r"url\(\W?(\w+:)", html)) == {"data:"}
    assert "@import" not in html
    assert len(html) < 1.5e6


def test_folded_questions_stay_folded(chapter):
    notebook, _, found = chapter
    folded = [cell for cell in notebook.cells if is_folded(cell, "source") and not answers(cell)]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    blocks = [attributes for attributes in found.all("div") if "highlight" in (attributes.get("class") or "")]
    fences = sum(cell.source.count("```python") for cell in notebook.cells if cell.cell_type == "markdown")
    assert folded and len(blocks) == len(code) - len(folded) + fences
    assert len(found.all("details")) >= len([cell for cell in folded if is_question(cell)])


def read_font(html: str) -> TTFont:
    (code,) = re.findall(r'"data:font/woff;base64,([^"]+)"', html)
    return TTFont(BytesIO(b64decode(code)))


def test_the_font_has_every_letter(chapter):
    _, html, found = chapter
    has = read_font(html).getBestCmap()
    shown = {letter for letter in found.letters if not letter.isspace()} - set(DRAWN_BY_CSS + UNSEEN)
    shown |= {ITALIC[letter] for letter in shown & ITALIC.keys()} | {"√"}
    assert not {letter for letter in shown if ord(letter) not in has}
    assert len(html) - len(page_without_font(html)) < 40_000


def page_without_font(html: str) -> str:
    return re.sub(r"@font-face .*", "", html)


# ------------------------------------------------------------------------------------------------ the parts


def test_no_font_is_kept_here():
    kept = [path for path in (ROOT / "flowlib").rglob("*") if path.suffix in {".woff", ".woff2", ".ttf", ".otf"}]
    assert not kept, "a page takes its font from matplotlib"


def test_letters_and_their_forms():
    assert [form(letter) for letter in "𝑥𝐱𝜽𝖳x𝓍𝕏"] == ["ITALIC", "BOLD", "BOLD ITALIC", "SANS-SERIF", "", "", ""]
    assert [plain_letter(letter) for letter in "𝑥𝟏𝖳𝛾"] == ["x", "1", "T", "γ"]
    assert [ITALIC[letter] for letter in "xhφϕ∂"] == ["𝑥", "ℎ", "𝜑", "𝜙", "𝜕"]
    html = "<p>q</p>" + mathml(r"\gamma<1") + "<style>z</style>"
    assert letters(html) == set("γ𝛾<1√")


def test_the_font_has_what_dejavu_serif_lacks():
    made = TTFont(BytesIO(font(frozenset("x𝑥𝛾𝟏𝖳∅ℓℒ(∑"))))
    assert set(map(chr, made.getBestCmap())) >= set("x𝑥𝛾𝟏𝖳∅ℓℒ(∑")
    assert made["hmtx"]["x"][0] > 0 and made["glyf"][made.getBestCmap()[ord("𝛾")]].numberOfContours > 0
    assert "Bitstream" in made["name"].getDebugName(0) and "Permission" in made["name"].getDebugName(13)
    variants = made["MATH"].table.MathVariants
    grown = dict(zip(variants.VertGlyphCoverage.glyphs, variants.VertGlyphConstruction))
    heights = [record.AdvanceMeasurement for record in grown["parenleft"].MathGlyphVariantRecord]
    assert heights == sorted(heights) and len(heights) == 5 and grown["parenleft"].GlyphAssembly


@pytest.fixture
def without(monkeypatch):
    """without("name"): as if that package were not installed."""
    converter.cache_clear()
    font.cache_clear()
    yield lambda name: monkeypatch.setitem(sys.modules, name, None)
    converter.cache_clear()
    font.cache_clear()


@pytest.mark.parametrize("package", ["matplotlib", "fontTools.subset"])
def test_without_a_font_the_page_still_comes(without, package):
    without(package)
    assert "@font-face" not in style(mathml("x"))
    html, _ = PageExporter().from_notebook_node(notebook_of(nbformat.v4.new_markdown_cell("$x$")))
    assert "<math>" in html and "@font-face" not in html and '"STIX Two Math"' in html


def test_without_math_core_one_sentence_says_what_to_install(without):
    without("math_core")
    with pytest.raises(ImportError, match=r"install it with pip install -e '\.\[pages\]'"):
        mathml("x")
    with pytest.raises(ExporterDisabledError, match=r"pip install -e '\.\[pages\]'"):
        get_exporter("flowlib")
    assert get_exporter("html") and "html" in get_export_names() and "flowlib" not in get_export_names()


def notebook_of(*cells, **output):
    made = nbformat.v4.new_notebook(cells=list(cells))
    if output:
        cell = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("display_data", **output)])
        made.cells.append(cell)
    return made


def test_nbconvert_knows_the_exporter():
    (entry,) = entry_points(group="nbconvert.exporters", name="flowlib")
    assert entry.load() is PageExporter
    assert get_exporter("flowlib") is PageExporter


def test_formulas_in_tables_lists_and_folded_answers():
    table = "| $a_1$ | `$b$` |\n|---|---|\n| $c<d$ | e |\n\n"
    found = Reader(markdown(table + "<details><summary>s</summary>\n\n- $f$\n\n</details>\n\n$$g$$\n"))
    assert found.tex == ["a_1", "c<d", "f", "g"]
    assert len(found.all("td")) == 2 and len(found.all("details")) == 1
    assert [attributes.get("display") for attributes in found.all("math")] == [None, None, None, "block"]


def test_a_pasted_picture_is_in_the_page_and_a_lost_one_leaves_its_words():
    cell = nbformat.v4.new_markdown_cell("![shown](attachment:a.png) ![lost](attachment:b.png) ![odd](attachment:c)")
    cell.attachments = {"a.png": {"image/png": "iVBORw0KGgo="}, "c": {"text/html": "PGI+"}}
    html, _ = PageExporter().from_notebook_node(notebook_of(cell))
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in html and 'alt="lost"' in html and "PGI+" not in html


def test_a_formula_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"cannot become MathML: '\\\\frac\{1'"):
        mathml(r"\frac{1")
    with pytest.raises(ValueError, match="nosuchcommand"):
        PageExporter().from_notebook_node(notebook_of(nbformat.v4.new_markdown_cell(r"$\nosuchcommand$")))


def test_scripts_in_outputs_are_left_out():
    data = {"text/html": "<p>before</p><script>alert(1)</script><p>after</p>", "application/javascript": "alert(2)"}
    html, _ = PageExporter().from_notebook_node(notebook_of(data=data))
    assert "before" in html and "after" in html and "alert" not in html


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"text/plain": "a < b"}, "a &lt; b"),
        ({"text/latex": "$x^2$"}, '<annotation encoding="application/x-tex">x^2'),
        ({"image/png": "AAAA"}, '<img alt="words for it" src="data:image/png;base64,AAAA" width="300"'),
    ],
)
def test_other_outputs(data, shown):
    metadata = {"image/png": {"alt": "words for it", "width": 300}}
    html, _ = PageExporter().from_notebook_node(notebook_of(data=data, metadata=metadata))
    assert shown in html


def test_the_title_is_the_first_heading():
    html, _ = PageExporter().from_notebook_node(notebook_of(nbformat.v4.new_markdown_cell("## A & B\n\ntext")))
    assert "<title>A &amp; B</title>" in html


# ------------------------------------------------------------------------------------------------ in a browser


@pytest.mark.browser
def test_a_browser_without_scripts_draws_it(browser, tmp_path):
    path = next(path for path in CHAPTERS if path.stem.startswith("04"))
    html, found = export_page(path)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1100, "height": 900})
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    tab = context.new_page()
    tab.goto((tmp_path / "page.html").as_uri())
    SCREENSHOT.parent.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=SCREENSHOT, full_page=True)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []

    # Scripts of the page are off; what the test asks, the browser itself evaluates.
    decoded = tab.eval_on_selector_all("img", "all => all.map(image => image.complete && image.naturalWidth)")
    assert len(decoded) == len(found.all("img")) and all(decoded)
    drawn = tab.locator("math:not(details:not([open]) math)")
    boxes = drawn.evaluate_all("all => all.map(one => one.getBoundingClientRect()).map(box => [box.width, box.height])")
    assert len(boxes) > 100 and all(width > 2 and height > 5 for width, height in boxes)
    # MathML, not text in a row: a fraction is taller than its line.
    tall = tab.locator("span.formula mfrac").first.bounding_box()["height"]
    assert tall > 1.5 * tab.locator("p mi").first.bounding_box()["height"]
