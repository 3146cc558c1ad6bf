"""What a student wrote or printed, made fit for a teacher's browser and for a file.

nbgrader's formgrader shows texts and outputs as HTML, in the session of whoever grades. So no text goes there that nh3
(a sanitiser, Rust's ammonia) would change: it is shown as it was typed. Of outputs, only kinds that run nothing stay.
"""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import nh3
from mistune import HTMLRenderer
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from flowlib.classroom.paths import hide_paths

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")  # no SVG: it is a program in disguise
BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
MOST_LETTERS = 8_000_000  # of all the outputs of one cell
MOST_WORDS = 200_000  # letters of one text; a reader of Markdown can be made slow
HALF = re.compile(r"[\ud800-\udfff]")
VOID = {"br", "hr", "img", "input", "wbr", "col"}
TEX = re.compile(r"\\\s*(href|require|csname|style|class|cssId|unicode|html\w*|include\w*|bbox|toggle|action)", re.I)
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
CLASSES = re.compile(r"(highlight|anchor-link|task-list-item(-checkbox)?|[a-z]{1,3}\d?)")  # the renderer's own
VALUES = {  # (tag or "", attribute): what it may be
    ("img", "src"): re.compile(
        r"attachment:.*|data:image/(png|jpeg|gif|webp);base64,[\w+/=%]*|(?!\.\.?$)[\w.%-]+", re.S
    ),
    ("a", "href"): re.compile(r"https?://.*|mailto:.*|#.*|attachment:.*|[\w.%/ -]*(#.*)?", re.I | re.S),
    ("input", "type"): re.compile("checkbox"),
    ("", "style"): re.compile(r"text-align: ?(left|right|center);?"),
    ("", "class"): CLASSES,
}


def filter_attribute(tag: str, name: str, value: str) -> str | None:
    allowed = VALUES.get((tag, name)) or VALUES.get(("", name))
    if name == "id":
        return value if tag in HEADINGS else None
    return value if allowed is None or allowed.fullmatch(value) else None


CLEANER = nh3.Cleaner(
    tags=(nh3.ALLOWED_TAGS | {"input", "section"}) - {"map", "area"},
    attributes={
        **nh3.ALLOWED_ATTRIBUTES,
        "*": {"class", "id", "style", "title", "align"},
        "input": {"type", "disabled", "checked"},
        "a": {"href"},
    },
    attribute_filter=filter_attribute,
    url_schemes={"http", "https", "mailto", "data", "attachment"},
    link_rel=None,
)


def make_safe(notebook, given=()) -> None:
    """Change a graded notebook in place: of its texts all but those `given`, and every output."""
    ours = {cell.source for cell in given}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [type(cell)(one) for one in sound_outputs(cell.outputs)]
        elif cell.source not in ours:
            source = well_formed(cell.source)
            cell.source = safe_markdown(source)


def well_formed(value: Any) -> Any:
    """The value, and all that is in it, with U+FFFD in the place of half a character, which no file takes."""
    if isinstance(value, str):
        return value if value.isascii() else HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [well_formed(one) for one in value]
    if isinstance(value, dict):
        return {well_formed(name): well_formed(one) for name, one in value.items()}
    return value


def presentable(text: str) -> str:
    """A text of a student's program as it may be shown: whole characters, no paths of the teacher's machine."""
    return hide_paths(well_formed(text))


class Renderer(IPythonRenderer):
    """nbconvert's, as the formgrader has it; a pasted picture keeps its address."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return HTMLRenderer.image(self, text, url, title)


class Events(HTMLParser):
    """The tags, attributes and letters of a page, blanks left out."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.tags: list = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, sorted((name, value or "") for name, value in attrs), self._place()))

    def handle_endtag(self, tag):
        if tag not in VOID:
            self.tags.append((tag, None, self._place()))

    def handle_data(self, data):
        self.text += "".join(data.split())

    def _place(self) -> int:
        return len(self.text)

    def handle_comment(self, data):
        self.tags.append(("comment", data, 0))

    def handle_decl(self, decl):
        self.tags.append(("declaration", decl, 0))

    handle_pi = unknown_decl = handle_decl


def is_safe(text: str) -> bool:
    """Whether a sanitiser leaves all that a browser is given for this Markdown."""
    try:
        html = MarkdownWithMath(renderer=Renderer(escape=False)).render(text)
    except Exception:  # Markdown that breaks its reader
        return False
    before, after = Events(html), Events(CLEANER.clean(html))
    return (before.tags, before.text) == (after.tags, after.text) and not TEX.search(before.text + text)


def safe_markdown(text: str) -> str:
    """The Markdown, where it is safe; as it was typed, where it is not."""
    if len(text) > MOST_WORDS:
        return f"*This text has {len(text)} letters, and is not shown: most is {MOST_WORDS}.*"
    return text if is_safe(text) else show_typed(text)


def show_typed(text: str) -> str:
    """Markdown that shows the letters of a text, whatever they are."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    typed = f"*Shown as it was typed, for it holds what may not stand here:*\n\n{fence}text\n{text}\n{fence}"
    return typed if is_safe(typed.replace("\\", "")) else "*What stood here cannot be shown.*"


def sound_outputs(outputs: Any) -> list[dict]:
    """Outputs of a cell as nbformat has them, whatever a student's program sent for them: bounded, and nothing runs."""
    kept, left = [], MOST_LETTERS
    for one in outputs if isinstance(outputs, list | tuple) else ():
        made = sound_output(one) if isinstance(one, dict) else None
        size = len(str(made)) if made else 0
        if size > left:
            kept.append({"output_type": "stream", "name": "stderr", "text": "… (more was shown than is kept)\n"})
            break
        left -= size
        kept += [made] if made else []
    return kept


def sound_output(one: dict) -> dict | None:
    kind = one.get("output_type")
    if kind == "stream":
        name = "stderr" if one.get("name") == "stderr" else "stdout"
        return {"output_type": "stream", "name": name, "text": presentable(join(one.get("text")))}
    if kind == "error":
        trace = one.get("traceback")
        lines = [presentable(str(line)) for line in trace] if isinstance(trace, list | tuple) else []
        said = {name: presentable(str(one.get(name, ""))) for name in ("ename", "evalue")}
        return {"output_type": "error", **said, "traceback": lines}
    if kind in ("display_data", "execute_result") and isinstance(one.get("data"), dict):
        return {"output_type": "display_data", "metadata": {}, "data": sound_data(one["data"])}
    return None


def sound_data(data: dict) -> dict[str, str]:
    """Of what is displayed: the plain text, sound pictures, HTML after the sanitiser, safe Markdown and TeX."""
    kept = {name: text for name, text in sound_pictures(data).items() if name in PICTURES[:2]}
    kept["text/plain"] = presentable(join(data.get("text/plain", "(what cannot be shown here)")))
    if (html := presentable(join(data.get("text/html", "")))) and not TEX.search(unescape(html)):
        kept["text/html"] = CLEANER.clean(html)
    for name in ("text/markdown", "text/latex"):
        text = well_formed(join(data.get(name, "")))
        if 0 < len(text) < MOST_WORDS and is_safe(text) and (name == "text/markdown" or "<" not in text):
            kept[name] = text
    return kept


def sound_pictures(made: Any) -> dict[str, str]:
    """Kind and base64 of the pictures in it."""
    pairs = made.items() if isinstance(made, dict) else ()
    return {name: text for name, text in pairs if name in PICTURES and isinstance(text, str) and BASE64.fullmatch(text)}


def join(text: Any) -> str:
    """A text, which nbformat allows to be a list of lines as well."""
    return text if isinstance(text, str) else "".join(map(str, text)) if isinstance(text, list) else ""
