"""The river's page, driven in a browser: by mouse, by keys alone, with less motion, without scripts."""

import re
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from flowlib.models import FlowLM, shipped
from flowlib.pages.book import SETTINGS, finish, run_sphinx
from flowlib.pages.contents import contents
from flowlib.pages.river import HERE, PICTURE, SCRIPTS, river_page, show_first
from flowlib.pages.river.film import Film
from flowlib.pages.river.plane import NAMES, TEXT

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "build" / "browser"
WIDTHS = (390, 1400)


def test_the_river_comes_first_on_the_home_page():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert PICTURE.search(readme)
    home = show_first(readme)
    title, place, *_ = re.split(r"\n\n+", home)
    assert title.startswith("# ") and place == '<div class="river" data-river="home">'
    assert "(river.md)" in home and home.count("etc/river.png") == 1 and "etc/river.webp" not in home
    assert show_first("# T\n\nno picture") == "# T\n\nno picture"


def test_the_page_is_in_the_book():
    texts = contents(ROOT)
    assert texts["river.md"] == river_page() and "\nriver.md\n" in texts["index.md"]
    assert "data-river" in texts["index.md"]


def test_the_film_is_small_and_goes_on(tmp_path):
    film = Image.open(ROOT / "etc" / "river.webp")
    assert film.n_frames > 60 and (ROOT / "etc" / "river.webp").stat().st_size < 2e6
    made = Film()
    first, last = (np.asarray(made.picture(t), float) for t in (0.0, made.depth))
    film.seek(film.n_frames - 1)
    shown = np.asarray(film.convert("RGB"), float)
    assert np.abs(shown - last).mean() < np.abs(shown - first).mean() / 4  # it is the film of this model


def test_the_model_is_a_file_that_one_can_read():
    """Some two hundred lines, of a width that fits a screen; each of its functions says what it computes."""
    lines = (HERE / "model.js").read_text("utf-8").splitlines()
    assert len(lines) < 240 and max(map(len, lines)) <= 120
    for i, line in enumerate(lines):
        assert not line.startswith("function ") or lines[i - 1].endswith("*/"), line
    for name in ("attend", "project", "local", "step", "flow"):
        assert f"function {name}(" in "\n".join(lines)
    assert not [name for name in SCRIPTS if re.search(r"https?://|import\(", (HERE / name).read_text("utf-8"))]


# ------------------------------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The home page and the river's page, as the book has them, without the rest of it."""
    folder = tmp_path_factory.mktemp("river")
    source, out = folder / "source", folder / "site"
    for place in ("chapters", "etc"):
        (source / place).mkdir(parents=True)
    readme = (ROOT / "README.md").read_text("utf-8")
    home = show_first(f"# flowlib\n\n{PICTURE.search(readme)[0]}Words.\n")
    listed = "\n```{toctree}\n:hidden:\n\nriver.md\nchapters/00_the_river.ipynb\n```\n"
    (source / "index.md").write_text(home + listed, "utf-8")
    (source / "river.md").write_text(river_page(), "utf-8")
    shutil.copy(ROOT / "etc" / "river.png", source / "etc" / "river.png")
    stub = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 00 · The river")])
    nbformat.write(stub, source / "chapters" / "00_the_river.ipynb")
    run_sphinx(source, out, SETTINGS)
    finish(out)
    return out


@pytest.fixture(scope="module")
def server(site):
    """The address of a plain file server over the site."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_address[1]}/"
        made.shutdown()


@pytest.fixture
def open_page(browser, server):
    """open_page(name, …) -> a tab with that page, once its river is there. Nobody else is asked anything."""
    asked, said, contexts = [], [], []

    def open_one(name="river.html", *, at=server, script="", wait=True, width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.on("request", lambda request: asked.append(request.url))
        context.on("weberror", lambda error: said.append(str(error.error)))
        contexts.append(context)
        if script:
            context.add_init_script(script)
        tab = context.new_page()
        tab.set_default_timeout(60_000)
        tab.goto(f"{at}{name}")
        if wait:
            tab.wait_for_selector(".river[data-alive] canvas")
        return tab

    yield open_one
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((server, "file:", "data:", "blob:"))] == []


def depth(tab) -> float:
    return float(tab.input_value("[name=depth]"))


def guesses(tab) -> str:
    """What the model would say after each letter, at the depth that is shown."""
    return "".join(tab.locator(".river-letters i").all_text_contents()).replace("␣", " ")


def letters(tab) -> str:
    return "".join(tab.locator(".river-letters b").all_text_contents()).replace("␣", " ")


def wait_for(tab, condition: str, *values):
    tab.wait_for_function(condition, arg=list(values))


def wait_for_steps(tab, steps: int):
    wait_for(tab, "([steps]) => document.querySelector('.river-scene canvas').dataset.steps == steps", steps)


def wait_for_letters(tab, text: str):
    shown = "[...document.querySelectorAll('.river-letters b')].map(one => one.textContent).join('')"
    wait_for(tab, f"([text]) => {shown} === text", text.replace(" ", "␣"))


def move_to(tab, t: float):
    tab.locator("[name=depth]").fill(str(t))


def say_next(text: str, steps: int, name: str = NAMES[0], swapped: bool = False) -> str:
    """The likeliest letter after each letter, by the library."""
    model = FlowLM.load(shipped(name))
    if swapped:
        from flowlib.flow import Scheme

        model.flow.scheme = Scheme("swapped", 1, lambda n: [(1.0, ((1, 1.0), (0, 1.0)))])
    with torch.no_grad():
        return bytes(model.read_out(model.trajectory(text, steps).final).argmax(-1).tolist()).decode("latin-1")


@pytest.mark.browser
@pytest.mark.parametrize("name", ["index.html", "river.html"])
@pytest.mark.parametrize("disk", [False, True], ids=["from a server", "from the file system"])
def test_it_starts_by_itself_and_moves(open_page, site, server, name, disk):
    tab = open_page(name, at=f"{site.as_uri()}/" if disk else server)
    assert letters(tab) == TEXT and not tab.locator(".river img").count()
    first = depth(tab)
    wait_for(tab, "([first]) => document.querySelector('[name=depth]').value > first + 0.3", first)
    before = tab.evaluate("document.querySelector('.river-scene canvas').toDataURL()")
    tab.wait_for_timeout(400)
    assert tab.evaluate("document.querySelector('.river-scene canvas').toDataURL()") != before
    tab.click(".river-play")
    stopped = depth(tab)
    tab.wait_for_timeout(300)
    assert depth(tab) == stopped and tab.inner_text(".river-play") == "Play"


@pytest.mark.browser
def test_a_sentence_of_ones_own(open_page):
    text = "for x in range(le"
    tab = open_page()
    tab.fill("[name=text]", text)
    wait_for_letters(tab, text)
    wait_for_steps(tab, 64)
    move_to(tab, 4)
    assert guesses(tab) == say_next(text, 64)
    tab.click("text=Pour it in")
    wait_for(tab, "() => document.querySelector('[name=depth]').value < 1")
    assert tab.inner_text(".river-play") == "Pause"


@pytest.mark.browser
def test_steps_order_and_model(open_page):
    """Each control changes what is computed, to what the library computes."""
    tab = open_page(reduced_motion="reduce")
    wait_for_steps(tab, 64)
    assert guesses(tab) == say_next(TEXT, 64)
    tab.locator("[name=steps]").fill("0")
    wait_for_steps(tab, 4)
    assert tab.inner_text(".river-steps") == "Δt = 1, 4 steps" and guesses(tab) == say_next(TEXT, 4)
    for order, model in (("local,attention", "tiny-elastic"), ("local,attention", "tiny"), ("attention,local", "tiny")):
        wanted = say_next(TEXT, 4, model, order.startswith("local")).replace(" ", "␣")
        tab.select_option("[name=order]", order)
        tab.select_option("[name=model]", model)
        shown = "[...document.querySelectorAll('.river-letters i')].map(one => one.textContent).join('')"
        wait_for(tab, f"([wanted]) => {shown} === wanted", wanted)
    assert guesses(tab)[-1] == "e"


@pytest.mark.browser
def test_what_is_said_at_each_depth(open_page):
    tab = open_page(reduced_motion="reduce")
    wait_for_steps(tab, 64)
    move_to(tab, 0)
    assert guesses(tab) == TEXT  # at depth 0 a letter knows itself alone
    shares = [float(one.rstrip(" %")) for one in tab.locator(".river-next em").all_text_contents()]
    assert len(shares) == 5 and shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 102
    assert len(tab.locator(".river-pushes em").all_text_contents()) == 3
    move_to(tab, 4)
    tab.wait_for_timeout(400)
    words = tab.inner_text(".river-status")
    assert words.startswith("Depth 4.00 of 4: after “m”, letter 22 of 22, the model would say “e” (")
    tab.locator(".river-letters input").first.check()
    assert "“t” hears itself 100 %" in tab.inner_text(".river-heard")  # the first letter has nobody before it
    heads = set()
    tab.locator(".river-letters input").last.check()
    for head in ("1", "2", "3", "4"):
        tab.select_option("[name=head]", label=head)
        heads.add(tab.inner_text(".river-heard"))
    assert len(heads) == 4


@pytest.mark.browser
def test_with_keys_alone(open_page):
    """Tab leads through the controls in the order of the page; arrows, space and Enter do what they do elsewhere."""
    tab = open_page(reduced_motion="reduce")
    wait_for_steps(tab, 64)
    tab.focus("[name=text]")
    tab.keyboard.press("End")
    tab.keyboard.type("e")
    wait_for_letters(tab, f"{TEXT}e")
    focused = "() => document.activeElement.name || document.activeElement.textContent"
    seen = []
    for _ in range(8):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate(focused))
        if seen[-1] == "letter":
            tab.keyboard.press("ArrowLeft")
            assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "letter 22: “m”"
        elif seen[-1] == "Play again":
            tab.keyboard.press("Space")
            wait_for(tab, "() => document.querySelector('[name=depth]').value < 2")
        elif seen[-1] == "depth":
            tab.keyboard.press("Home")
            assert depth(tab) == 0
            tab.keyboard.press("ArrowRight")
            assert depth(tab) == 0.0625
        elif seen[-1] == "steps":
            tab.keyboard.press("Home")
            wait_for_steps(tab, 4)
    assert seen == ["Pour it in", "letter", "Play again", "depth", "steps", "order", "model", "head"]


@pytest.mark.browser
def test_less_motion(open_page):
    """Nothing moves by itself; who presses play has asked for it."""
    tab = open_page(reduced_motion="reduce")
    wait_for_steps(tab, 64)
    tab.wait_for_timeout(300)
    assert depth(tab) == 4 and tab.inner_text(".river-play") == "Play again"
    tab.click(".river-play")
    wait_for(tab, "() => { const t = document.querySelector('[name=depth]').value; return t > 0.2 && t < 3; }")


@pytest.mark.browser
def test_what_cannot_be_read_is_said(open_page):
    tab = open_page(reduced_motion="reduce")
    tab.fill("[name=text]", "a" * 70)
    wait_for_letters(tab, "a" * 64)
    assert tab.inner_text(".river-words") == "64 letters fit this model: the last 6 are left out."
    tab.fill("[name=text]", "naïve")
    wait_for_letters(tab, "naï·ve")
    assert "“ï” is not among them" in tab.inner_text(".river-words")
    tab.fill("[name=text]", "")
    wait_for(tab, "() => document.querySelector('.river-words').textContent === 'Write at least one letter.'")
    assert tab.get_attribute("[name=text]", "aria-invalid") == "true"
    tab.keyboard.press("Enter")
    assert letters(tab) == "naï·ve"  # the river stays as it was
    tab.fill("[name=text]", "x")
    wait_for_letters(tab, "x")
    assert tab.inner_text(".river-words") == "" and tab.get_attribute("[name=text]", "aria-invalid") == "false"


@pytest.mark.browser
def test_the_drawing_is_scrubbed_and_a_letter_chosen(open_page):
    tab = open_page(reduced_motion="reduce")
    wait_for_steps(tab, 64)
    box = tab.locator(".river-scene canvas").bounding_box()
    tab.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 40)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40, steps=4)
    tab.mouse.up()
    assert 1.5 < depth(tab) < 2.5
    move_to(tab, 4)
    tab.wait_for_timeout(600)
    tab.mouse.click(box["x"] + box["width"] - 56, box["y"] + 30)  # the highest of the letters at the right
    assert tab.locator(".river-letters input:checked").get_attribute("value") != "21"


@pytest.mark.browser
def test_without_webassembly(open_page):
    tab = open_page(script="delete window.WebAssembly")
    assert tab.evaluate("typeof WebAssembly") == "undefined" and letters(tab) == TEXT


@pytest.mark.browser
@pytest.mark.parametrize("name", ["index.html", "river.html"])
def test_without_scripts_there_is_a_still_picture(open_page, name):
    tab = open_page(name, java_script_enabled=False, wait=False)
    picture = tab.locator(".river img")
    assert picture.is_visible() and len(picture.get_attribute("alt")) > 60
    assert "With scripts allowed" in tab.inner_text(".river") and not tab.locator(".river canvas").count()


@pytest.mark.browser
def test_what_does_not_come_leaves_the_picture_and_says_so(open_page, browser, server, site):
    tab = open_page(wait=False, script="self.fetch = async () => ({ok: false, status: 404})")
    wait_for(tab, "() => document.querySelector('.river').innerText.includes('The model cannot run here')")
    assert tab.locator(".river img").is_visible()


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_window(open_page, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    SHOTS.mkdir(parents=True, exist_ok=True)
    for name in ("index.html", "river.html"):
        tab = open_page(name, color_scheme=scheme, width=width, reduced_motion="reduce")
        wait_for_steps(tab, 64)
        move_to(tab, 2.5)
        tab.fill("[name=text]", "naïve " * 12)  # every word is there: too long, and not among the letters
        tab.wait_for_selector(".river-words:not(:empty)")
        found = Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found
                if rule["impact"] in ("serious", "critical")] == []  # fmt: skip
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.screenshot(path=SHOTS / f"{Path(name).stem}_{scheme}_{width}.png", full_page=True)
