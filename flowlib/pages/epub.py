"""The course as an ePub, for a reader's own device: make epub, or python -m flowlib.pages.epub.

It has the pages of the book, formulas as MathML, and figures inside. Nothing runs: explorers stand still, and what
answers a question lies in a fold, which some devices show open.
"""

import re
import sys
import zipfile
from html.entities import html5
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from flowlib.authoring.course import root_of
from flowlib.pages import book
from flowlib.pages.book import SETTINGS
from flowlib.pages.crosslinks import repository
from flowlib.pages.font import font, letters
from flowlib.pages.mathml import MATH

WEB = {"html_theme", "html_theme_options", "html_sidebars", "html_js_files", "html_favicon", "html_title"}
LEFT_OUT = {"sphinx_copybutton", "sphinxext.opengraph", "flowlib.pages.river"}  # what needs a script, or the web
KIND = {".css": "text/css", ".woff": "font/woff", ".svg": "image/svg+xml", ".png": "image/png"}
STYLE = """
/* A page of a device does not scroll sideways, and the sign of a fold is the device's own. */
article pre, pre { white-space: pre-wrap !important; overflow-wrap: anywhere; }
article details > summary, details > summary { display: list-item !important; list-style: revert !important; }
"""
XML = {"amp", "lt", "gt", "quot", "apos"}
CORRECTIONS = (  # what HTML allows and XML does not
    (re.compile(r"<style>.*?</style>", re.DOTALL), ""),
    (re.compile(r"<(img|br|hr|col|wbr)\b([^>]*?)\s*/?>"), r"<\1\2/>"),
    (re.compile(r"<math\b(?! xmlns)"), '<math xmlns="http://www.w3.org/1998/Math/MathML"'),
    (
        re.compile(r"(<m(?:frac|table)) displaystyle=\"\w+\"(?: scriptlevel=\"0\")?"),
        r"\1",
    ),  # younger than ePub's MathML
    (
        re.compile(r"<summary[^>]*>\s*<p class=\"collapsed[^>]*>(.*?)</p>.*?</summary>", re.DOTALL),
        r"<summary>\1</summary>",
    ),
    (re.compile(r"<dl>\s*<dd>"), "<dl><dt></dt><dd>"),  # arguments, one a line: descriptions of nothing
    (re.compile(r"&(\w+);"), lambda found: found[0] if found[1] in XML else html5.get(f"{found[1]};", found[0])),
    (re.compile("With scripts allowed, this picture"), "In the book that a browser shows, this picture"),
)


def settings() -> dict:
    """Those of the book, without what only the web has."""
    kept = {
        name: value for name, value in SETTINGS.items() if name not in WEB and not name.startswith(("ogp_", "copyb"))
    }
    title, author = SETTINGS["html_title"], "The flowlib authors"
    return kept | {
        "extensions": [name for name in SETTINGS["extensions"] if name not in LEFT_OUT],
        "version": SETTINGS["release"],
        "epub_title": title,
        "epub_author": author,
        "epub_publisher": author,
        "epub_description": "A course in which a Transformer is a discretised integro-differential equation",
        "epub_copyright": "MIT",
        "epub_identifier": "flowlib",
        "epub_scheme": "name",
        "epub_uid": "flowlib",
        "epub_show_urls": "no",
        "epub_exclude_files": ["search.xhtml"],
    }


def mend(page: str, name: str) -> str:
    """A page as XML. Raises: ValueError that names the page where it is none."""
    for theirs, ours in CORRECTIONS:
        page = theirs.sub(ours, page)
    try:
        ElementTree.fromstring(page)
    except ElementTree.ParseError as error:
        raise ValueError(f"{name} cannot go into an ePub: {error}") from None
    return page


def finish(folder: Path) -> None:
    """Pages as XML, the style and the font of their formulas, and a list of all that there is."""
    written, formulas = frozenset(), set()
    for page in sorted(folder.rglob("*.xhtml")):
        name, html = page.relative_to(folder).as_posix(), page.read_text("utf-8")
        written |= letters(html)
        html = mend(html, name)
        if "<math" in html:
            formulas.add(name)
        page.write_text(html, "utf-8")
    style = folder / "_static" / "book.css"
    style.write_text(style.read_text("utf-8") + STYLE, "utf-8")
    (folder / "_static" / "math.css").write_text(MATH.read_text("utf-8"), "utf-8")
    (folder / "_static" / "math.woff").write_bytes(font(written))
    opf = folder / "content.opf"
    opf.write_text(complete_list(opf.read_text("utf-8"), folder, formulas), "utf-8")


def complete_list(opf: str, folder: Path, formulas: set[str]) -> str:
    """The list of what is in the book, with what Sphinx forgets: files of styles, and which pages have formulas."""
    for name in formulas:
        opf = opf.replace(f'href="{name}" media', f'href="{name}" properties="mathml" media')
    there = sorted(file.relative_to(folder).as_posix() for kind in KIND for file in folder.rglob(f"*{kind}"))
    items = "".join(
        f'<item id="more-{i}" href="{name}" media-type="{KIND[Path(name).suffix]}" />\n'
        for i, name in enumerate(there)
        if f'href="{name}"' not in opf
    )
    return opf.replace("</manifest>", f"{items}</manifest>")


def pack(folder: Path, out: Path) -> None:
    """One file, in which what it is comes first and as it stands."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.write(folder / "mimetype", "mimetype", zipfile.ZIP_STORED)
        for file in sorted(one for one in folder.rglob("*") if one.is_file()):
            name = file.relative_to(folder).as_posix()
            if name != "mimetype" and file.suffix in {".xhtml", ".opf", ".ncx", ".xml", *KIND}:
                made.write(file, name)


def build(root: Path, out: Path) -> None:
    """Make the ePub in the file `out`, whole or not at all.

    Raises: as flowlib.pages.book.build; ValueError where a page is no XML.
    """
    book.check_extra()
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as folder:
        source, made = Path(folder, "source"), Path(folder, "made")
        book.write_sources(root, source, {})
        book.run_sphinx(source, made, settings() | {"book_address": repository(root)}, "epub")
        finish(made)
        pack(made, Path(folder, book.EPUB))
        Path(folder, book.EPUB).replace(out)


def main() -> int:
    """The ePub, and the book with a link to it on its home page."""
    try:
        root = root_of(Path.cwd())
        made = root / "build" / book.EPUB
        build(root, made)
        book.build(root, root / "build" / "book", root / "build" / "stills", epub=made)
    except (ImportError, RuntimeError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{made}: {made.stat().st_size / 1e6:.1f} MB; build/book/index.html leads to it")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
