"""A page of the book without a kernel: explorers move, questions answer and are remembered; driven in a browser."""

import re

import nbformat
import pytest

from flowlib.authoring.execute import execute
from flowlib.pages import stills
from flowlib.pages.book import build

EXPLORER = """from flowlib.notebook import choice, explorer, figures, slider, switch, setup
setup()
def powers(power, flip, rule):
    y = [0.0, (-1.0) ** flip * power]
    return figures.curves([0.0, 1.0], {rule: y}, xlabel="x", ylabel="y")
explorer(
    powers,
    alt=lambda power, flip, rule: f"A straight line from zero to one, drawn for a test: {power}, {flip}, {rule}",
    power=slider(1, 4, 2), flip=switch(label="upside down"), rule=choice(["one", "two"]),
)"""
QUESTIONS = (
    """from flowlib.notebook import predict
predict("Which?", ["three", "four"], "four", {"three": "Not $2+1$."}, "It is $2+2$.", id="Q1.1")""",
    """from flowlib.notebook import predict_number
predict_number("How many?", 0.5, why={2: "The other way up."}, because="Half.", id="Q1.2")""",
    """from flowlib.notebook import predict_order
predict_order("Order?", ["a", "b", "c"], {("c", "a"): "a comes before c."}, "abc.", id="Q1.3")""",
)
README = "# T\n\n## Chapters\n\n| chapter | after it | the equation | in the library |\n|---|---|---|---|\n"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a small chapter, with its explorer drawn."""
    root = tmp_path_factory.mktemp("course")
    (root / "chapters").mkdir()
    (root / "README.md").write_text(
        README + "| [01 A](chapters/01_a.ipynb) | read | u | `flow/equation.py` |\n", "utf-8"
    )
    code = [nbformat.v4.new_code_cell(source) for source in (EXPLORER, *QUESTIONS, "print('told')")]
    code[-1].metadata["tags"] = ["answer:Q1.1"]
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 01 · A"), *code]),
        root / "chapters" / "01_a.ipynb",
    )
    execute([root / "chapters" / "01_a.ipynb"])
    patch = pytest.MonkeyPatch()
    patch.setattr(stills, "FIRST_CELL", stills.FIRST_CELL + "\nfrom flowlib.pages import stills\nstills.ALL = 9")
    build(root, root / "book", root / "stills")
    patch.undo()
    return root / "book" / "chapters" / "01_a.html"


@pytest.fixture
def tab(browser, page):
    """The page as it lies on disk; what goes wrong on it fails the test."""
    context = browser.new_context(viewport={"width": 390, "height": 800})
    tab, wrong = context.new_page(), []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on(
        "request", lambda request: wrong.append(request.url) if not request.url.startswith(("file:", "data:")) else None
    )
    tab.goto(page.as_uri())
    yield tab
    context.close()
    assert not wrong


def at(tab) -> str:
    """The values of which the picture on the page is, by its words."""
    return tab.locator("figure.flowlib-figure img").get_attribute("alt").partition(": ")[2]


@pytest.mark.browser
def test_an_explorer_moves_by_keys_alone_and_comes_back(tab):
    expect = lambda values: tab.wait_for_function(
        "said => document.querySelector('figure.flowlib-figure img').alt.endsWith(said)", arg=f": {values}"
    )
    image = tab.locator("figure.flowlib-figure img")
    first = image.get_attribute("src")
    assert at(tab) == "2, False, one" and first.startswith("data:image/png")
    tab.get_by_role("slider").focus()
    tab.keyboard.press("ArrowRight")
    expect("3, False, one")
    assert tab.get_by_role("slider").get_attribute("aria-valuetext") == "3"
    assert image.get_attribute("src").endswith(".webp") and image.evaluate("one => one.naturalWidth") > 600
    assert tab.locator("figcaption").inner_text().endswith("3, False, one")
    tab.get_by_role("checkbox", name="upside down").press("Space")  # with the slider moved, this was not drawn
    expect("2, True, one")
    assert "was not drawn" in tab.locator(".explorer [role=status]").inner_text()
    assert tab.get_by_role("slider").input_value() == "1"
    tab.get_by_role("button", name="Back to start").press("Enter")
    expect("2, False, one")
    assert image.get_attribute("src") == first and not tab.get_by_role("checkbox").is_checked()
    tab.get_by_role("radio", name="two").check()
    expect("2, False, two")
    assert not tab.locator(".explorer [role=status]").inner_text()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
def test_a_picture_that_is_gone_is_said_and_the_last_one_stays(tab, page):
    pictures = page.parents[1] / "_explorers"
    pictures.rename(pictures.with_name("away"))
    tab.get_by_role("slider").press("ArrowRight")
    tab.wait_for_function("() => document.querySelector('.explorer [role=status]').textContent.includes('could not')")
    pictures.with_name("away").rename(pictures)
    assert at(tab) == "2, False, one"


def verdict(tab, number: int) -> str:
    return " ".join(tab.locator("[data-question]").nth(number).locator(".verdict").inner_text().split())


@pytest.mark.browser
def test_questions_answer_on_the_page_and_are_remembered(tab):
    folded = tab.locator("details", has_text="After Q1.1")
    assert folded.get_attribute("open") is None and tab.locator(".tally").inner_text() == ""
    tab.get_by_role("radio", name="A. three").check()
    assert verdict(tab, 0).startswith("✗ Not so.") and "Not 2+1" in verdict(tab, 0).replace(" ", "").replace(
        "Not2", "Not 2"
    )
    assert folded.get_attribute("open") is not None, "what answers it opens when the reader has chosen"
    tab.get_by_role("radio", name="B. four").check()
    assert verdict(tab, 0).startswith("✓ Right.")
    box = tab.locator("[data-question]").nth(1).get_by_role("textbox")
    for typed, said in (
        ("two", "Type a number"),
        ("2", "The other way up"),
        ("-1/2", "The sign"),
        ("0.1", "larger"),
        ("1/2", "✓ Right. 0.5. Half."),
    ):
        box.fill(typed)
        box.press("Enter")
        assert said in verdict(tab, 1), typed
    box = tab.locator("[data-question]").nth(2).get_by_role("textbox")
    items = tab.locator("[data-question]").nth(2).locator("li").all_inner_texts()[:3]
    letter = {text.strip()[-1]: text.strip()[0] for text in items}
    wrong, right = (letter["b"] + letter["c"] + letter["a"]), (letter["a"] + letter["b"] + letter["c"])
    for typed, said in (("AA", "Type each of the letters"), (wrong, "a comes before c"), (right, "✓ Right.")):
        box.fill(typed)
        box.press("Enter")
        assert said in verdict(tab, 2), typed
    assert (
        "Of 3 questions on this page you have answered 3 right, 0 of them at the first attempt"
        in tab.locator(".tally").inner_text()
    )
    tab.reload()
    assert "answered 3 right" in tab.locator(".tally").inner_text()
    assert tab.locator("[data-question].known").count() == 3


@pytest.mark.browser
def test_what_is_printed_is_the_text_and_figures_on_white(tab):
    tab.emulate_media(media="print", color_scheme="dark")
    for one in (".skip-to-content", "[data-explorer]", ".sidebar-drawer"):
        assert not tab.locator(one).first.is_visible(), one
    look = tab.locator("figure img").evaluate(
        "one => [getComputedStyle(one).filter, getComputedStyle(document.body).color]"
    )
    assert look[0] == "none" and sum(map(int, re.findall(r"\d+", look[1])[:3])) < 150, "dark letters, figures as drawn"


@pytest.mark.browser
def test_without_scripts_it_reads(browser, page):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.as_uri())
    assert at(tab) == "2, False, one" and tab.locator("figcaption").is_visible()
    assert tab.locator("[data-explorer] input").count() == 0
    assert tab.get_by_text("Predict (Q1.1). Which?").is_visible() and not tab.get_by_text("Not so").count()
    tab.locator("summary", has_text="Show the answer").first.click()
    assert tab.locator("details[open]").inner_text().count("A: Not")
    context.close()
