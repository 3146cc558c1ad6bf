"""Explorers in the book: pictures at the values of their controls, drawn by the chapter, moved to without a kernel."""

import json
from io import BytesIO

import nbformat
import numpy as np
import pytest
from PIL import Image

from flowlib.notebook import choice, explorer, figures, setup, slider, switch
from flowlib.notebook.controls import as_control
from flowlib.notebook.explore import Explorer
from flowlib.notebook.figures import palette
from flowlib.pages import stills
from flowlib.pages.stills import draw, draw_stills, place, thin

ALT = "A straight line that rises from one to three over three points, drawn for a test"


def powers(power=2, flip=False, rule="square"):
    x = np.linspace(0, 1, 20)
    return figures.curves(x, {rule: (-1 if flip else 1) * x**power}, xlabel="x", ylabel="y")


@pytest.mark.parametrize(
    ("control", "kind", "texts", "start"),
    [
        (slider(1, 4, 2), "range", ("1", "2", "3", "4"), 1),
        (slider(0.1, 0.5, 0.25, step=0.2), "range", ("0.10", "0.25", "0.50"), 1),
        (switch(True), "switch", ("off", "on"), 1),
        (choice(["a", "b", "c"], "c"), "buttons", ("a", "b", "c"), 2),
        (choice([1, 2, 4, 8], 4), "range", ("1", "2", "4", "8"), 2),
    ],
)
def test_positions_of_a_control(control, kind, texts, start):
    found = place("it_is", as_control(control))
    assert (found.kind, found.texts, found.start, found.label) == (kind, texts, start, "it is")
    assert found.values[start] == control.value


def test_a_long_slider_is_thinned_and_keeps_its_ends_and_its_start():
    values = list(range(1, 101))
    found = thin(values, 37)
    assert len(found) <= stills.POSITIONS and {1, 37, 100} <= set(found)
    assert max(b - a for a, b in zip(found, found[1:])) <= 5
    assert thin([1, 2, 3], 2) == (1, 2, 3)


def drawn(tmp_path, monkeypatch, most, **controls):
    setup()
    monkeypatch.setattr(stills, "ALL", most)
    alt = lambda power=2, flip=False, rule="square": f"{ALT}: {power}, {flip}, {rule}"
    draw(Explorer(powers, alt, {name: as_control(one) for name, one in controls.items()}), tmp_path / "0")
    return json.loads((tmp_path / "0" / "moves.json").read_text("utf-8"))


def test_all_combinations_where_they_are_few(tmp_path, monkeypatch):
    moves = drawn(tmp_path, monkeypatch, 12, power=slider(1, 3, 2), flip=switch(), rule=choice(["a", "b"]))
    assert len(moves["frames"]) == 12 == len(list(tmp_path.glob("0/*.webp")))
    assert sorted(picture for picture, _ in moves["frames"].values()) == list(range(12))
    picture, words = moves["frames"]["2,1,0"]
    assert moves["words"][words] == [f"{ALT}: 3, True, a"] * 2
    image = Image.open(BytesIO((tmp_path / "0" / f"{picture}.webp").read_bytes()))
    assert image.format == "WEBP" and image.width == round(palette.WIDTH * stills.DPI)
    assert moves["frames"]["1,0,0"][0] == 0, "the start is the first"


def test_one_control_at_a_time_where_they_are_many(tmp_path, monkeypatch):
    moves = drawn(tmp_path, monkeypatch, 11, power=slider(1, 3, 2), flip=switch(), rule=choice(["a", "b"]))
    assert set(moves["frames"]) == {"1,0,0", "0,0,0", "2,0,0", "1,1,0", "1,0,1"}


def test_pictures_that_weigh_too_much_are_not_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(stills, "LIMIT_MB", 0.01)
    assert len(drawn(tmp_path, monkeypatch, 300, power=slider(1, 3, 2), flip=switch())["frames"]) == 4


CODE = f"""
from flowlib.notebook import explorer, figures, slider, setup
setup()
def powers(power):
    return figures.curves([0.0, 1.0], {{"a": [0.0, float(power)]}}, xlabel="x", ylabel="y")
explorer(powers, alt="{ALT}", power=slider(1, 3, 2))
"""


def write(file, code):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), file)
    return file


def test_a_chapter_is_run_once_and_again_when_its_code_changes(tmp_path, monkeypatch):
    chapter, plain = write(tmp_path / "01_a.ipynb", CODE), write(tmp_path / "02_b.ipynb", "x = 1")
    runs, run = [], stills.run
    monkeypatch.setattr(stills, "run", lambda notebook, *rest, **how: runs.append(1) or run(notebook, *rest, **how))
    first = draw_stills([chapter, plain], tmp_path / "stills")
    assert list(first) == ["01_a"] and len(list(first["01_a"].glob("0/*.webp"))) == 3
    assert draw_stills([chapter, plain], tmp_path / "stills") == first and len(runs) == 1
    write(chapter, CODE.replace("slider(1, 3, 2)", "slider(1, 2, 2)"))
    second = draw_stills([chapter], tmp_path / "stills")["01_a"]
    assert len(list(second.glob("0/*.webp"))) == 2 and len(runs) == 2
    assert not first["01_a"].exists(), "what nobody needs any more goes"


def test_nothing_stays_of_a_chapter_that_fails(tmp_path):
    chapter = write(tmp_path / "01_a.ipynb", CODE + "\n1 / 0")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        draw_stills([chapter], tmp_path / "stills")
    assert not list((tmp_path / "stills" / "01_a").iterdir())


def test_an_explorer_says_that_it_was_made(monkeypatch):
    from flowlib.notebook import explore

    setup()
    seen = []
    monkeypatch.setattr(explore, "told", [seen.append])
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    made = explorer(powers, alt=ALT, power=slider(1, 4, 2))
    assert seen == [made]
    assert made.still()[1]["flowlib"] == {"explorer": ["power"]}
