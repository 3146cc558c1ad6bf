"""The book: pages read without scripts, links lead somewhere, nothing is fetched from elsewhere, axe agrees."""

import hashlib
import re
import shutil
from html import unescape
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote

import pytest
from filelock import FileLock

from flowlib.authoring.notebooks import answers, is_folded, read
from flowlib.authoring.symbols import formulas
from flowlib.files import rename
from flowlib.pages.book import build, main, put_book
from flowlib.pages.library import ROOMS

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(900)  # the first test that asks for the book makes it, and a machine may be busy
SHOTS = ROOT / "build" / "browser"
BOOKS = ROOT / "build" / "books"


# axe takes minutes for thousands of nodes. It has no rule for MathML; rows of a table are alike, and so are code cells.
SHORTER = """() => {
    for (const one of document.querySelectorAll('math')) one.replaceWith('formula');
    for (const one of document.querySelectorAll('tr:nth-child(n+6)')) one.remove();
    [...document.querySelectorAll('div.highlight')].slice(5).forEach(one => one.remove());
}"""


def digest_course() -> str:
    """A name for what the book is made from: the course, the library, and what is installed."""
    found = hashlib.sha256("".join(sorted(f"{one.name} {one.version}\n" for one in distributions())).encode())
    rooms = (ROOT / name for name in ("chapters", "etc", "exercises/release", "flowlib"))
    files = [file for room in rooms for file in room.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    for file in sorted([*files, ROOT / "README.md", ROOT / "exercises" / "README.md"]):
        found.update(f"\n{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return found.hexdigest()[:16]


@pytest.fixture(scope="module")
def book():
    """page, named from the folder -> its HTML; and the folder, kept for the next run: .ci/run has two that need it."""
    folder = BOOKS / digest_course()
    BOOKS.parent.mkdir(exist_ok=True)
    with FileLock(BOOKS.with_suffix(".lock")):  # another process of the tests may be at it
        if not folder.is_dir():
            shutil.rmtree(BOOKS, ignore_errors=True)
            build(ROOT, folder)
    pages = sorted(folder.rglob("*.html"))
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in pages}, folder


def made_book(folder: Path) -> Path:
    """A site such as Sphinx makes, put in its place."""
    site = folder / "site"
    (site / "chapters").mkdir(parents=True)
    (site / "index.html").write_text("new")
    (site / "chapters" / "a.html").write_text("new")
    put_book(site, folder / "book", folder / "old")
    return folder / "book"


def test_a_book_replaces_a_book(tmp_path):
    book = made_book(tmp_path)
    (book / "index.html").write_text("old")
    shutil.rmtree(tmp_path / "old", ignore_errors=True)
    assert (made_book(tmp_path) / "index.html").read_text() == "new"


def is_home(folder: Path) -> Path:
    (folder / "book").mkdir()
    (folder / "book" / "mine.txt").write_text("mine")
    return folder / "book" / "mine.txt"


def is_file(folder: Path) -> Path:
    (folder / "book").write_text("mine")
    return folder / "book"


def is_link(folder: Path) -> Path:
    (folder / "elsewhere").mkdir()
    (folder / "book").symlink_to(folder / "elsewhere")
    return folder / "book"


def is_book_with_more(folder: Path) -> Path:
    (made_book(folder) / "CNAME").write_text("mine")
    return folder / "book" / "CNAME"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (is_home, "is no book that was made here"),
        (is_file, "is a link or a file"),
        (is_link, "is a link or a file"),
        (is_book_with_more, "has more in it than the book: CNAME"),
    ],
)
def test_a_book_replaces_nothing_else_and_says_so_before_the_work(tmp_path, monkeypatch, capsys, spoil, said):
    mine = spoil(tmp_path)
    monkeypatch.chdir(ROOT)
    assert main([str(tmp_path / "book")]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert mine.is_symlink() or mine.read_text() == "mine"
    shutil.rmtree(tmp_path / "site", ignore_errors=True)
    shutil.rmtree(tmp_path / "old", ignore_errors=True)
    with pytest.raises(ValueError, match=re.escape(said)):  # nor what has come there while the book was made
        made_book(tmp_path)
    assert mine.is_symlink() or mine.read_text() == "mine"


def test_where_the_new_book_cannot_be_put_the_old_one_comes_back(tmp_path, monkeypatch):
    (made_book(tmp_path) / "index.html").write_text("old")
    moved = []

    def fail_at_second(old, new):
        moved.append(new)
        if len(moved) == 2:
            raise OSError("no room")
        rename(old, new)

    monkeypatch.setattr("flowlib.pages.book.rename", fail_at_second)
    with pytest.raises(OSError, match="no room"):
        made_book(tmp_path)
    assert (tmp_path / "book" / "index.html").read_text() == "old"


THIRD = "chapters/03_attention_is_an_integral.html"


def test_everything_is_in_it(book):
    pages, _ = book
    chapters = {
        f"chapters/{path.stem}.html" for path in (ROOT / "chapters").iterdir() if path.suffix in (".ipynb", ".md")
    }
    others = {"index.html", "search.html", "chapters/bibliography.html", "exercises/README.html", "library/index.html"}
    assert chapters | others <= set(pages)
    given = list((ROOT / "exercises" / "release").glob("*/*.ipynb"))
    assert len([name for name in pages if name.startswith("exercises/release/")]) == len(given)
    middle = pages["chapters/04_layer_norm_is_a_projection.html"]
    assert 'class="next-page" href="05_feedforward_is_local.html"' in middle
    assert 'class="prev-page" href="03_attention_is_an_integral.html"' in middle


def links(html: str) -> list[tuple[str, str]]:
    """(where to, its words), of the article."""
    article = html.split("<article", 1)[1].split("</article>", 1)[0]
    found = re.findall(r'<a\b[^>]*\bhref="([^"]*)"[^>]*>(.*?)</a>', article, re.DOTALL)
    return [(unescape(link), unescape(re.sub("<[^>]+>", "", words))) for link, words in found]


def test_links_of_a_notebook_lead_to_pages(book):
    found = links(book[0][THIRD])
    assert ("02_fields_and_integrals.html", "Chapter 02") in found
    assignment = "../exercises/release/03_another_kernel/03_another_kernel.html"
    assert assignment in dict(found)
    assert not [link for link, _ in found if ".ipynb" in link or link.endswith(".md")]


def test_every_link_leads_somewhere(book):
    pages, folder = book
    places = {(folder / name).resolve(): set(re.findall(r'\bid="([^"]*)"', html)) for name, html in pages.items()}
    for name, html in pages.items():
        page = (folder / name).resolve()
        for link in re.findall(r'<a\b[^>]*\bhref="([^"]*)"', html):
            path, _, place = unescape(link).partition("#")  # a browser looks for the place as it is written, first
            if re.match(r"[a-z]+:", path):
                assert path.startswith("https://"), (name, link)
                continue
            target = (page.parent / path).resolve() if path else page
            assert target.is_file(), (name, link)
            there = {unescape(one) for one in places[target]} | {""}
            assert place in there or unquote(place) in there, (name, link)


def test_formulas_figures_and_questions_are_in_the_pages(book):
    pages, _ = book
    html = pages[THIRD]
    assert html.count("<math") > 100 and "$$" not in html and "MathJax" not in html
    images = re.findall(r"<img\b[^>]*>", html)
    assert len(images) > 3 and all(len(re.search(r'alt="([^"]*)"', one)[1]) >= 40 for one in images)
    assert html.count("<details>") > 3 and "Show the answer" in html


@pytest.mark.parametrize("path", sorted((ROOT / "chapters").glob("*.ipynb")), ids=lambda path: path.stem[:2])
def test_nothing_of_a_chapter_is_lost(book, path):
    """As many formulas and pictures as the notebook has, and no TeX between them; folded code is not shown."""
    notebook, html = read(path), book[0][f"chapters/{path.stem}.html"].split("<article", 1)[1].split("</article>")[0]
    outputs = [output["data"] for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    texts += [data["text/markdown"] for data in outputs if "text/markdown" in data and "text/html" not in data]
    assert html.count("<math") == sum(len(list(formulas(text))) for text in texts)
    assert html.count("<img") == len([data for data in outputs if "image/png" in data])
    folded = [cell for cell in notebook.cells if is_folded(cell, "source") and not answers(cell)]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert folded and html.count('class="cell_input ') == len(code) - len(folded)
    text = re.sub(r"<annotation.*?</annotation>|<pre.*?</pre>|<code.*?</code>|<[^>]*>", "", html, flags=re.DOTALL)
    assert not [mark for mark in ("$", r"\(", r"\[", r"\begin", r"\frac") if mark in text]


def test_no_page_asks_for_anything_elsewhere(book):
    for name, html in book[0].items():
        asked = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="([^"]*)"', html)
        assert not [link for link in asked if re.match(r"(https?:)?//", link)], name


# ------------------------------------------------------------------------------------------------ the library


def test_the_library_is_in_it(book):
    """Shapes stand in the signature, words and formulas in their own form; whole modules are not left out."""
    pages, _ = book
    html = pages["library/flowlib.operators.attention.html"]
    signature = re.search(r'<dt class="sig[^>]*id="flowlib.operators.attention.attend">(.*?)</dt>', html, re.DOTALL)[1]
    words = unescape(re.sub("<[^>]+>", "", signature))
    assert "q: Float[Tensor, '... query d']" in words and "Float[Tensor, '... query value']" in words
    entry = html[html.index('id="flowlib.operators.attention.attend"') :].split("</dl>\n</dd></dl>")[0]
    for label in ("Error", "Raises", "Source"):
        assert re.search(rf"<dt[^>]*>{label}", entry)
    assert "https://arxiv.org/abs/2510.03989" in entry
    assert "<pre>" in html and "γ(x, x̃) V(x̃) dx̃" in html
    rooms = [room for room in ROOMS if (ROOT / "flowlib" / room).is_dir()]
    modules = [
        path.relative_to(ROOT).with_suffix("")
        for room in rooms
        for path in (ROOT / "flowlib" / room).rglob("[a-z]*.py")
    ]
    assert len(modules) > 30
    assert not [module for module in modules if f"library/{'.'.join(module.parts)}.html" not in pages]


def test_each_chapter_leads_to_its_code(book):
    pages, _ = book
    for path in (ROOT / "chapters").glob("*.ipynb"):
        assert "The code of this chapter's equation" in pages[f"chapters/{path.stem}.html"], path
    assert ("../library/flowlib.operators.attention.html", "flowlib.operators.attention") in [
        (link.partition("#")[0], words) for link, words in links(pages[THIRD])
    ]


def test_names_in_running_text_lead_to_the_library(book):
    pages, _ = book
    place = "../library/flowlib.operators.projection.html#flowlib.operators.projection.project_moments"
    assert (place, "project_moments") in links(pages["chapters/04_layer_norm_is_a_projection.html"])
    notation = dict(reversed([(words, link) for link, words in links(pages["chapters/notation.html"])]))
    assert notation["Grid.integrate"] == "../library/flowlib.fields.html#flowlib.fields.Grid.integrate"
    assert notation["Flow.horizon"] == "../library/flowlib.flow.equation.html#flowlib.flow.equation.Flow"
    assert "digits" not in dict((words, link) for link, words in links(pages["chapters/claims.html"]))  # a model


def test_the_search_knows_the_text(book):
    index = (book[1] / "searchindex.js").read_text("utf-8")
    for word in ("quadratur", "flowlib.operators.attention", "volterra"):
        assert word in index


# ------------------------------------------------------------------------------------------------ in a browser


def open_tab(browser, asked: list, width: int = 1280, **options):
    context = browser.new_context(viewport={"width": width, "height": 1000}, **options)
    context.on("request", lambda request: asked.append(request.url))
    return context.new_page()


@pytest.mark.browser
def test_without_scripts_every_page_is_drawn_and_asks_nothing_of_anyone(book, browser):
    pages, folder = book
    asked: list[str] = []
    tab = open_tab(browser, asked, java_script_enabled=False, color_scheme="light")
    for name, html in pages.items():
        tab.goto((folder / name).as_uri())
        heights = tab.eval_on_selector_all(
            "math", "all => all.map(one => one.closest('details') ? 9 : one.getBoundingClientRect().height)"
        )
        assert all(height > 5 for height in heights), name
        assert bool(heights) or "<math" not in html, name
        decoded = tab.eval_on_selector_all("article img", "all => all.map(one => one.complete && one.naturalWidth)")
        assert all(decoded), name
        for width in (390, 1280):  # a telephone; the window as it is
            tab.set_viewport_size({"width": width, "height": 1000})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width}"
    take_picture(tab, folder, "light")
    check_asked(asked, pages)


def take_picture(tab, folder: Path, scheme: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    tab.goto((folder / "chapters/04_layer_norm_is_a_projection.html").as_uri())
    tab.screenshot(path=SHOTS / f"book_{scheme}.png")


def check_asked(asked: list[str], pages: dict) -> None:
    """The site was asked for its files, and nobody else for anything."""
    assert len(asked) > len(pages)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def serious(tab, contrast: bool) -> list:
    """What axe rates serious or critical in the page that is open. Contrast is most of its time."""
    from axe_playwright_python.sync_playwright import Axe

    tab.evaluate(SHORTER)
    rules = {"color-contrast": {"enabled": contrast}}
    rated = Axe().run(tab, options={"resultTypes": ["violations"], "rules": rules}).response["violations"]
    return [
        (rule["id"], [node["html"][:120] for node in rule["nodes"]][:2])
        for rule in rated
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.browser
def test_with_scripts_no_page_asks_anything_of_anyone_and_axe_finds_nothing_serious(book, browser):
    """Every page as a telephone has it, where more must scroll; all rules but that of contrast."""
    pages, folder = book
    asked: list[str] = []
    tab, found = open_tab(browser, asked, width=390, color_scheme="dark"), {}
    for name in pages:
        tab.goto((folder / name).as_uri())
        found[name] = serious(tab, contrast=False)
    assert not any(found.values()), found
    take_picture(tab, folder, "dark")
    check_asked(asked, pages)


LOOKED_AT = ["index.html", "library/flowlib.operators.attention.html"]
LOOKED_AT += [f"chapters/{path.stem}.html" for path in (ROOT / "chapters").glob("0[038]_*.ipynb")]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", sorted(LOOKED_AT))
def test_colours_have_contrast(book, browser, name, scheme):
    tab = open_tab(browser, [], width=1400, color_scheme=scheme)
    tab.goto((book[1] / name).as_uri())
    assert serious(tab, contrast=True) == []


@pytest.mark.browser
def test_axe_would_find_something(book, browser):
    """A picture without words, and grey on grey: so the silence above means something."""
    tab = open_tab(browser, [])
    tab.goto((book[1] / "search.html").as_uri())
    spoiled = '<img src="data:,"><p style="color: #777; background: #888">words</p>'
    tab.evaluate("html => document.querySelector('article').insertAdjacentHTML('beforeend', html)", spoiled)
    assert {name for name, _ in serious(tab, contrast=True)} == {"image-alt", "color-contrast"}
