"""Every explorer of the book that `make book` left in build/book, driven by its controls alone."""

import json
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[2] / "build" / "book"
MOVE = """([place, control, position]) => {
    const part = document.querySelectorAll('[data-explorer]')[place].children[control];
    const input = part.matches('fieldset') ? part.querySelectorAll('input')[position] : part.querySelector('input');
    if (input.type === 'range') input.value = position;
    else input.checked = input.type === 'radio' || position === 1;
    input.dispatchEvent(new Event('input', { bubbles: true }));
}"""
SHOWN = """([words, at]) => [...document.querySelectorAll('figure.flowlib-figure')].some((one) => {
    const image = one.querySelector('img');
    return one.dataset.at === at && image.alt === words && image.naturalWidth > 300;
})"""


@pytest.mark.browser
@pytest.mark.skipif(not (BOOK / "_explorers").is_dir(), reason="`make book` makes what this looks at")
def test_every_explorer_of_the_book_moves(browser):
    """Each control to both of its ends: the picture, its words and its caption follow, and what it weighs is small."""
    tab, wrong, moved = browser.new_page(), [], 0
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    for page in sorted((BOOK / "chapters").glob("[0-9]*.html")):
        tab.goto(page.as_uri())
        assert len(page.read_bytes()) < 5e6
        for place, one in enumerate(tab.locator("[data-explorer]").all()):
            moves = json.loads(one.get_attribute("data-explorer"))
            folder = (page.parent / moves["folder"]).resolve()
            assert sum(file.stat().st_size for file in folder.iterdir()) < 4e6, folder
            start = [control["start"] for control in moves["controls"]]
            for i, control in enumerate(moves["controls"]):
                for position in {0, len(control["texts"]) - 1} - {control["start"]}:
                    at = ",".join(map(str, [*start[:i], position, *start[i + 1 :]]))
                    tab.evaluate(MOVE, [place, i, position])
                    words = moves["words"][moves["frames"][at][1]][0]
                    tab.wait_for_function(SHOWN, arg=[words, at], timeout=10_000)
                    tab.locator("[data-explorer]").nth(place).get_by_role("button", name="Back to start").click(
                        force=True
                    )
                    tab.wait_for_function(SHOWN, arg=[moves["words"][0][0], ",".join(map(str, start))], timeout=10_000)
                    moved += 1
    assert moved > 30 and not wrong
