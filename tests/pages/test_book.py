"""The book: pages read without scripts, links lead somewhere, nothing is fetched from elsewhere, axe agrees."""

import os
import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from flowlib.pages.bibliography import bibliography, references
from flowlib.pages.book import bodies, front, prose, with_pictures, with_whole_numbers
from flowlib.pages.crosslinks import led, of_one_page, repository

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "build" / "browser"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


# axe takes minutes for thousands of nodes. It has no rule for MathML; rows of a table are alike, and so are code cells.
SHORTER = """() => {
    for (const one of document.querySelectorAll('math')) one.replaceWith('formula');
    for (const one of document.querySelectorAll('tr:nth-child(n+6)')) one.remove();
    [...document.querySelectorAll('div.highlight')].slice(5).forEach(one => one.remove());
}"""


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """page -> its HTML, and the folder."""
    from flowlib.pages.book import build

    folder = tmp_path_factory.mktemp("made") / "book"
    return {path.name: path.read_text("utf-8") for path in build(ROOT, folder)}, folder


def test_everything_is_in_it(book):
    pages, _ = book
    chapters = {f"{path.stem}.html" for path in (ROOT / "chapters").glob("*.ipynb")}
    assert chapters | {"index.html", "notation.html", "claims.html", "bibliography.html", "search.html"} <= set(pages)
    given = list((ROOT / "exercises" / "release").glob("*/*.ipynb"))
    assert len([name for name in pages if name.startswith("assignment_")]) == len(given)
    middle = pages["04_layer_norm_is_a_projection.html"]
    assert 'class="next-page" href="05_feedforward_is_local.html"' in middle
    assert 'class="prev-page" href="03_attention_is_an_integral.html"' in middle
    assert '<a href="02_fields_and_integrals.html">Chapter 02</a>' in pages["03_attention_is_an_integral.html"]
    assert '<a href="assignment_03_another_kernel.html">' in pages["03_attention_is_an_integral.html"]


def test_every_link_leads_somewhere(book):
    pages, folder = book
    places = {name: set(re.findall(r'\bid="([^"]*)"', html)) for name, html in pages.items()}
    for name, html in pages.items():
        for link in re.findall(r'<a\b[^>]*\bhref="([^"]*)"', html):
            path, _, place = unescape(link).partition("#")  # a browser looks for the place as it is written, first
            if re.match(r"[a-z]+:", path):
                assert path.startswith("https://"), (name, link)
                continue
            assert not path or (folder / path).is_file(), (name, link)
            there = {unescape(one) for one in places[path or name]} | {""}
            assert place in there or unquote(place) in there, (name, link)


def test_formulas_figures_and_questions_are_in_the_pages(book):
    pages, _ = book
    html = pages["03_attention_is_an_integral.html"]
    assert html.count("<math") > 100 and "$$" not in html and "MathJax" not in html
    pictures = re.findall(r"<img\b[^>]*>", html)
    assert len(pictures) > 3 and all(len(re.search(r'alt="([^"]*)"', one)[1]) >= 40 for one in pictures)
    assert "Show the answer" in html


# ------------------------------------------------------------------------------------------------ the parts


def cited(text: str) -> list[str]:
    return list(references(prose(f"## References\n\n{text}\n")))


def test_works_are_taken_out_of_the_references():
    assert cited("- A, *T: more*, arXiv:2010.12345: why; and more.") == ["A, *T: more*, arXiv:2010.12345"]
    assert cited("- A, *T*, 1999; and the answer, B, *U*, 2000: why.") == ["A, *T*, 1999", "B, *U*, 2000"]
    assert cited("- A, B, *T*, 1999, and *U*, 2000: why.") == ["A, B, *T*, 1999", "A, B, *U*, 2000"]


def test_a_work_stands_once_with_all_that_cite_it():
    first = prose("## References\n\n- Zed, *T*, arXiv:2010.12345: why.\n- Abe, *U*, 1999.\n\n## After\n\n- no, 1999\n")
    second = prose("## References\n\n- Zed et al., *T*, arXiv:2010.12345: another reason.\n")
    page = bibliography({"01_a.ipynb": first, "02_b.ipynb": second})
    assert "The 2 works" in page and page.index("Abe") < page.index("Zed")
    assert "(https://arxiv.org/abs/2010.12345). Chapters [01](01_a.ipynb), [02](02_b.ipynb)." in page


@pytest.mark.parametrize(
    ("link", "address", "becomes"),
    [
        ("b.ipynb#x", "", '<a href="b.html#x">w</a>'),
        ("../tests/t.py", "", "w"),
        ("../tests/t.py", "https://g/", '<a href="https://g/tests/t.py">w</a>'),
        ("../../outside", "https://g/", "w"),
        ("https://a.b", "", '<a href="https://a.b">w</a>'),
        ("#here", "", '<a href="#here">w</a>'),
    ],
)
def test_links_are_led_on(link, address, becomes):
    assert led(f'<a href="{link}">w</a>', "chapters/a.ipynb", {"chapters/b.ipynb": "b.html"}, address) == becomes


def test_one_page_links_to_the_pages_beside_it():
    path = ROOT / "chapters" / "00_the_river.ipynb"
    html = of_one_page('<a href="01_from_steps_to_flow.ipynb#References">w</a>', path)
    assert html == '<a href="01_from_steps_to_flow.html#References">w</a>'
    assert of_one_page('<a href="x.ipynb">w</a>', None) == '<a href="x.html">w</a>'


def test_the_address_is_the_stamped_one(tmp_path):
    assert repository(tmp_path) == ""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "links.json").write_text('{"repository": "o/n", "ref": "main"}', "utf-8")
    assert repository(tmp_path) == "https://github.com/o/n/blob/main/"


def test_the_front_page_has_the_readmes_words():
    words = front((ROOT / "README.md").read_text("utf-8"))
    assert words.startswith("# ") and "## Chapters" in words and "## Map of the repository" not in words


def test_a_number_is_not_broken():
    table = "<tr><td>a word</td><td>\u2264 1.5e-06</td></tr>"
    assert with_whole_numbers(table) == '<tr><td>a word</td><td class="number">\u2264 1.5e-06</td></tr>'


def test_a_picture_of_the_repository_is_in_the_page(tmp_path):
    (tmp_path / "river.png").write_bytes(b"PNG")
    assert with_pictures('<img alt="a" src="river.png">', tmp_path) == '<img alt="a" src="data:image/png;base64,UE5H">'
    with pytest.raises(FileNotFoundError, match="gone"):
        with_pictures('<img src="gone.png">', tmp_path)


def test_a_formula_that_is_none_is_named_with_its_file(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "README.md").write_text("# T\n\n$\\nosuch$\n", "utf-8")
    with pytest.raises(ValueError, match=r"README\.md: .*nosuch"):
        bodies(tmp_path)


# ------------------------------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail("CI is set, so there must be a browser", pytrace=False)
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


def opened(browser, asked: list, **options):
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, **options)
    context.on("request", lambda request: asked.append(request.url))
    return context.new_page()


@pytest.mark.browser
@pytest.mark.parametrize("scripts", [False, True], ids=["without scripts", "with scripts"])
def test_no_page_asks_anything_of_anyone(book, browser, scripts):
    pages, folder = book
    asked: list[str] = []
    tab = opened(browser, asked, java_script_enabled=scripts, color_scheme="dark" if scripts else "light")
    for name, html in pages.items():
        tab.goto((folder / name).as_uri())
        if scripts:
            continue
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
    SHOTS.mkdir(parents=True, exist_ok=True)
    tab.goto((folder / "04_layer_norm_is_a_projection.html").as_uri())
    tab.screenshot(path=SHOTS / f"book_{'dark' if scripts else 'light'}.png")
    assert len(asked) > len(pages)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


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
def test_axe_finds_nothing_serious(book, browser):
    """Every page, with every rule but that of contrast: the colours are those of one style sheet."""
    pages, folder = book
    tab, found = opened(browser, []), {}
    for name in pages:
        tab.goto((folder / name).as_uri())
        found[name] = serious(tab, contrast=False)
    assert not any(found.values()), found


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "02_fields_and_integrals.html"])
def test_colours_have_contrast(book, browser, name, scheme):
    tab = opened(browser, [], color_scheme=scheme)
    tab.goto((book[1] / name).as_uri())
    assert serious(tab, contrast=True) == []


@pytest.mark.browser
def test_axe_would_find_something(book, browser):
    """A picture without words, and grey on grey: so the silence above means something."""
    tab = opened(browser, [])
    tab.goto((book[1] / "search.html").as_uri())
    spoiled = '<img src="data:,"><p style="color: #777; background: #888">words</p>'
    tab.evaluate("html => document.querySelector('article').insertAdjacentHTML('beforeend', html)", spoiled)
    assert {name for name, _ in serious(tab, contrast=True)} == {"image-alt", "color-contrast"}
