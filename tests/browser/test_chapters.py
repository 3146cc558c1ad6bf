"""Every chapter as a reader meets it: run all, drag every control of every explorer to both ends, answer a question."""

import ast
import re
from pathlib import Path

import pytest

CHAPTERS = sorted(path.stem for path in (Path(__file__).resolve().parents[2] / "chapters").glob("*.ipynb"))
MOVES = 12  # measured moves of each control
SLIDER, WORDS, SWITCH = ".widget-hslider", ".widget-toggle-buttons", ".widget-checkbox"

# In the page: when the control was moved (the browser's own time of the event), and when each picture stood there.
WATCH = """root => {
    if (root.shown) return;
    const first = root.querySelector('.flowlib-figure');
    let last = first.querySelector('img').src + first.dataset.values;
    root.moved = null;
    root.shown = [];
    for (const kind of ['pointermove', 'mousemove', 'keydown', 'change'])
        document.addEventListener(kind, event => { root.moved ??= event.timeStamp; }, true);
    new MutationObserver(async () => {
        const figure = root.querySelector('.flowlib-figure'), image = figure?.querySelector('img');
        const now = image && image.src + figure.dataset.values;
        if (!image || now === last) return;
        last = now;
        await image.decode();
        await new Promise(requestAnimationFrame);
        root.shown.push(performance.now());
    }).observe(root, {childList: true, subtree: true});
}"""
NEXT = "([root, count]) => root.shown.length > count"
TOOK = "([root, count]) => root.shown[count] - root.moved"


class OnPage:
    """One explorer on the page: its one picture, its controls, and how long the last move took."""

    def __init__(self, chapter, root):
        self.chapter, self.page = chapter, chapter.page
        self.root = root.element_handle()
        self.controls = [Knob(self, part) for part in root.locator(f"{SLIDER}, {WORDS}, {SWITCH}").all()]
        self.root.evaluate(WATCH)

    @property
    def count(self) -> int:
        return self.root.evaluate("root => root.shown.length")

    @property
    def source(self) -> int | None:
        """What tells one picture from another: a hash of the image as it is written in the page."""
        return hash(self.root.query_selector(".flowlib-figure img").get_attribute("src"))

    @property
    def values(self) -> str | None:
        """Where it stands, as the page says; None as long as nobody has touched it."""
        return self.root.query_selector(".flowlib-figure").get_attribute("data-values")

    def reset(self) -> None:
        """Press "Back to start"."""
        self.root.query_selector("button:has-text('Back to start')").click()
        self.page.wait_for_function("root => !root.querySelector('[data-values]')", arg=self.root)

    def check_words(self) -> None:
        """One picture on the page, in sight above its controls; below it the caption, which is read once."""
        [figure] = self.root.query_selector_all(".flowlib-figure")
        image, caption = figure.query_selector("img"), figure.query_selector("figcaption")
        alt, words = image.get_attribute("alt"), caption.inner_text()
        assert len(alt) >= 40 and words and (caption.get_attribute("aria-hidden") == "true") == (words == alt)
        picture, box = image.bounding_box(), self.root.query_selector(".flowlib-explorer").bounding_box()
        assert 0 <= box["y"] - (picture["y"] + picture["height"]) < 200, "the controls stand directly below"

    def trouble(self) -> str:
        said = self.root.query_selector(".flowlib-said [role=alert]")
        return said.inner_text() if said else ""

    def after(self, move) -> float | None:
        """Make the move; where it changes the control, wait for the new picture. Returns milliseconds."""
        count, before = self.count, self.state()
        self.root.evaluate("root => { root.moved = null; }")
        move()
        if self.state() == before:
            return None
        self.page.wait_for_function(NEXT, arg=[self.root, count])
        assert not self.trouble(), self.trouble()
        return self.page.evaluate(TOOK, [self.root, count])

    def state(self) -> list[str]:
        return [knob.value() for knob in self.controls]


class Knob:
    """One control, moved as a reader moves it: a slider dragged by its handle, a word or a switch clicked."""

    def __init__(self, explorer: OnPage, part):
        self.explorer, self.part, self.page = explorer, part, explorer.page
        kinds = part.get_attribute("class")
        self.kind = next(kind for kind in (SLIDER, WORDS, SWITCH) if kind[1:] in kinds)
        self.name = part.locator("label").all_inner_texts()[-1].strip()  # a switch has an empty one before its own
        self.words = [text.strip() for text in part.locator("button").all_inner_texts()]

    def value(self) -> str:
        """As the page shows it."""
        if self.kind == SLIDER:
            return self.part.locator(".widget-readout").inner_text()
        if self.kind == WORDS:
            return self.part.locator("button.mod-active").inner_text().strip()
        return self.part.locator("input").evaluate("e => String(e.checked)")

    def where(self):
        """The place where it stands now, as `move` takes it."""
        if self.kind != SLIDER:
            return self.value() if self.kind == WORDS else self.value() == "true"
        handle, track = (self.part.locator(part).bounding_box() for part in (".noUi-handle", ".noUi-base"))
        return (handle["x"] + handle["width"] / 2 - track["x"]) / track["width"]

    def places(self) -> list:
        """Low end, high end, and places between: as shares of the track, as words, as on and off."""
        if self.kind == SLIDER:
            return [0.0, 1.0, *((7 * i % MOVES + 0.5) / MOVES for i in range(MOVES))]
        return self.words * -(-MOVES // len(self.words)) if self.words else [True, False] * (MOVES // 2)

    def ends(self) -> list:
        return self.words if self.kind == WORDS else self.places()[:2]

    def grip(self) -> None:
        """Take the handle; until `let_go` every place is a move of one drag."""
        if self.kind == SLIDER:
            self.part.locator(".noUi-handle").hover()  # waits until it stands still, and the mouse is on it
            self.page.mouse.down()

    def move(self, place) -> None:
        if self.kind == SLIDER:
            box = self.part.locator(".noUi-base").bounding_box()
            self.page.mouse.move(box["x"] + place * box["width"], box["y"] + box["height"] / 2)
        elif self.kind == WORDS:
            self.part.locator("button").nth(self.words.index(place)).click()
        elif self.part.locator("input").is_checked() != place:
            self.part.locator("input").click()

    def let_go(self) -> None:
        if self.kind == SLIDER:
            self.page.mouse.up()

    def drag_to_both_ends(self) -> None:
        """Both ends are reached, and the picture changes on the way. (0° and 360° may well agree.)"""
        reached, pictures = set(), set()
        for place in self.drag([0.0, 0.4, 1.0, 0.0] if self.kind == SLIDER else [*self.ends(), self.ends()[0]]):
            if self.explorer.after(lambda place=place: self.move(place)) is not None:
                pictures.add(self.explorer.source)
            reached.add(round(self.where(), 2) if self.kind == SLIDER else self.where())
        assert reached >= set(self.ends()), f"{self.name} was dragged to its ends, and got to {reached} only"
        assert len(pictures) > 1, f"{self.name} changes, the picture does not"

    def measure(self) -> list[float]:
        """Milliseconds from each of at least MOVES moves to its picture."""
        times = [self.explorer.after(lambda place=place: self.move(place)) for place in self.drag(self.places())]
        return [round(t, 1) for t in times if t is not None]

    def drag(self, places: list):
        """The places, between taking the handle and letting it go."""
        self.grip()
        yield from places
        self.let_go()


def explorers(chapter) -> list[OnPage]:
    """Those of the page, one for each call in the source."""
    calls = [i for i, source in enumerate(chapter.sources()) if re.search(r"^explorer\(", source, re.MULTILINE)]
    return [OnPage(chapter, outputs_of(chapter.cell(i))) for i in calls]


def outputs_of(cell):
    """The outputs of a cell, once its picture and its controls are there."""
    for part in (".flowlib-figure img", ".flowlib-explorer"):
        cell.locator(part).wait_for()
    cell.locator(".flowlib-explorer").scroll_into_view_if_needed()
    return cell.locator(".jp-Cell-outputArea")


@pytest.fixture(scope="module", params=CHAPTERS)
def chapter(request, lab):
    """The chapter after Run All."""
    opened = lab(request.param)
    opened.run()
    yield opened
    opened.close()


def test_it_runs_to_its_end(chapter):
    notebook = chapter.notebook()
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    assert chapter.troubles() == {}
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "each cell once, in order"
    assert chapter.page.locator(".jp-Dialog, dialog[open]").count() == 0


def test_every_control_of_every_explorer(chapter, latencies):
    """To both ends, one control after the other; then the measured moves."""
    for number, explorer in enumerate(explorers(chapter), 1):
        name = chapter.stem if number == 1 else f"{chapter.stem} #{number}"
        assert explorer.controls
        first = explorer.source
        assert explorer.values is None, "nobody has touched it, and it is not at its start"
        try:
            for knob in explorer.controls:
                start = knob.where()
                knob.drag_to_both_ends()
                latencies(name, knob.name, knob.measure())
                for place in knob.drag([start]):
                    explorer.after(lambda knob=knob, place=place: knob.move(place))
            explorer.controls[0].drag_to_both_ends()
            explorer.check_words()
            explorer.reset()
            assert explorer.source == first, "back to start is not the first picture"
            explorer.check_words()
        finally:
            explorer.root.scroll_into_view_if_needed()
            chapter.picture(f"_explorer{number}")
    assert chapter.troubles() == {}


FOCUS_BEFORE = """root => {
    const before = document.createElement('span');
    before.tabIndex = 0;
    root.prepend(before);
    before.focus();
}"""
HAS_FOCUS = "part => part.contains(document.activeElement)"


def test_the_keyboard_reaches_every_control(chapter):
    """Tab comes to each in turn; arrow keys move a slider, the space bar a switch or a word; the picture follows."""
    for explorer in explorers(chapter):
        explorer.root.evaluate(FOCUS_BEFORE)
        for knob in explorer.controls:
            for _ in range(2):  # the number beside a slider can be typed: a stop of its own
                if not knob.part.evaluate(HAS_FOCUS):
                    chapter.page.keyboard.press("Tab")
            assert knob.part.evaluate(HAS_FOCUS), f"Tab does not come to {knob.name}"
            keys = ["ArrowRight", "ArrowLeft"] if knob.kind == SLIDER else ["Space"]  # it may stand at its right end
            keys += ["Tab", "Space"] * (len(knob.words) - 1)  # each word is a button of its own
            took = [explorer.after(lambda key=key: chapter.page.keyboard.press(key)) for key in keys]
            assert any(time is not None for time in took), f"{keys} do not move {knob.name}"
            assert knob.part.evaluate(HAS_FOCUS), f"{knob.name} loses the keyboard when it is moved"
    assert chapter.troubles() == {}


def right_and_wrong(source: str) -> tuple[int, int, str, str] | None:
    """Of a question with choices: the numbers of the right and of a wrong button, and what each is met with."""
    call = ast.parse(source).body[0].value
    given = {word.arg: word.value for word in call.keywords}
    try:
        choices, answer, why, because = (ast.literal_eval(given[k]) for k in ("choices", "answer", "why", "because"))
    except (KeyError, ValueError):
        return None
    wrong = next(choice for choice in choices if choice != answer)
    return choices.index(answer), choices.index(wrong), because, why[wrong]


def words(text: str) -> str:
    """The longest run of plain words in a sentence: formulas and code are set in another way on the page."""
    return max(re.split(r"[$`*_^\\]+", " ".join(text.split())), key=len).strip(" .,;:")


def test_a_question_answers_right_and_wrong(chapter):
    asked = [(i, source) for i, source in enumerate(chapter.sources()) if source.startswith("predict(")]
    known = [(i, found) for i, source in asked if (found := right_and_wrong(source))]
    if not asked:
        pytest.skip(f"{chapter.stem} asks nothing")
    index, (right, wrong, because, misconception) = known[0]
    cell = chapter.cell(index)
    buttons, answer = cell.locator(".widget-toggle-buttons button"), cell.locator("[role=status]")
    for number, word, sentence in ((wrong, "Not so", misconception), (right, "Right", because)):
        buttons.nth(number).click()
        said = answer.filter(has_text=word)
        said.wait_for()
        assert words(sentence) in " ".join(said.inner_text().split())
    chapter.picture("_question")
    assert chapter.troubles() == {}


# Every picture takes a third of a second more, so that a drag overtakes it on any machine.
SLOWLY = """
import time
from flowlib.notebook.explore import Explorer
Explorer.quickly = Explorer.picture
Explorer.picture = lambda self, values: (time.sleep(0.3), self.quickly(values))[1]
"""
DRAWN_AT = """([root, name, value]) => {
    const drawn = root.querySelector('[data-values]')?.dataset.values;
    return drawn && JSON.parse(drawn)[name] === value;
}"""


@pytest.mark.parametrize("chapter", ["06_splitting_the_equation"], indirect=True)
def test_a_fast_drag_ends_on_the_last_value(chapter):
    """Thirty moves as fast as the browser makes them: what is overtaken is left out, and the last one is drawn."""
    explorer = explorers(chapter)[0]
    knob = explorer.controls[1]  # the number of steps
    chapter.execute(SLOWLY)
    try:
        for place in knob.drag([*(abs(15 - i) / 25 for i in range(30)), 0.9]):  # to and fro, and off to a new place
            knob.move(place)
        released = explorer.count
        chapter.page.wait_for_function(DRAWN_AT, arg=[explorer.root, knob.name, int(knob.value())])
        knob.part.locator(".noUi-handle").press("ArrowLeft")  # one more move, which comes after all that waits
        chapter.page.wait_for_function(DRAWN_AT, arg=[explorer.root, knob.name, int(knob.value())])
        late = explorer.count - released
        assert late <= 3, f"{late} pictures after the drag; there may be: the one being drawn, the last, one more move"
        assert not explorer.trouble() and chapter.troubles() == {}
    finally:
        chapter.execute("Explorer.picture = Explorer.quickly")
        chapter.picture("_fast_drag")
