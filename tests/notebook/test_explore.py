"""Explorers: one figure, controls below it that change it in its place, and a way back."""

import sys

import numpy as np
import pytest
import torch

from flowlib.notebook import choice, explorer, figures, setup, slider, sweep, switch
from flowlib.notebook.explore import Explorer, ends

ALT = "A straight line that rises from one to three over three points, drawn for a test"


@pytest.fixture(autouse=True)
def course_style(monkeypatch):
    monkeypatch.delenv("FLOWLIB_SWEEP", raising=False)  # `make test` sets it, for the explorers of the chapters
    setup()


def powers(power, flip=False, rule="square"):
    x = np.linspace(0, 1, 20)
    return figures.curves(x, {rule: (-1 if flip else 1) * x**power}, xlabel="x", ylabel="y")


def test_an_explorer_puts_a_static_figure_first(displayed):
    explorer(powers, alt=ALT, power=slider(1, 4, 2))
    (static, metadata), (kind, _) = displayed
    assert metadata["image/png"]["alt"] == ALT and kind == "widget"


def test_a_moved_slider_changes_the_picture_that_is_there(displayed):
    explorer(powers, alt=lambda power: f"{ALT}, power {power}", power=slider(1, 4, 2))
    control, back, said = displayed[1][1].children
    first = displayed[0]
    for power in (3, 4):
        control.value = power
        assert len(displayed) == 2, "the picture is replaced, and no second one appears"
        html = displayed[0][0]["text/html"]
        assert html.count(f"{ALT}, power {power}") == 2  # the alternative text, and the caption
        assert f'data-values="{{&quot;power&quot;: {power}}}"' in html and "data:image/png" in html
    back.click()
    assert displayed[0] == first and control.value == 2 and said.value == ""


def test_an_explorer_has_a_caption_of_its_own(displayed):
    explorer(powers, alt=ALT, caption=lambda power: f"The power {power} & more", power=slider(1, 4, 2))
    control = displayed[1][1].children[0]
    assert ">The power 2 &amp; more</figcaption>" in displayed[0][0]["text/html"]
    control.value = 3
    assert ">The power 3 &amp; more</figcaption>" in displayed[0][0]["text/html"]


def test_in_colab_the_picture_is_a_widget(displayed, monkeypatch):
    """Colab replaces no output once its cell has ended; it is not here, so this only holds the way there."""
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    explorer(powers, alt=ALT, power=slider(1, 4, 2))
    (_, page), (_, box) = displayed
    first = page.value
    assert ALT in first
    box.children[0].value = 3
    assert page.value != first and "&quot;power&quot;: 3" in page.value
    box.children[1].click()
    assert page.value == first


@pytest.mark.parametrize(
    ("low", "high", "start", "reported"),
    [(0.1, 5.0, 1.0, 1.0000000000000002), (0.5, 2.0, 1.125, 1.12), (0.03, 0.4, 0.2, 0.20000000000000004)],
)
def test_no_picture_appears_untouched(displayed, low, high, start, reported):
    """The page moves a number to the nearest step and reports that as a change."""
    made = explorer(powers, alt=ALT, power=slider(low, high, start))
    first, drawn, control = displayed[0], len(made.times), displayed[1][1].children[0]
    control.value = reported
    assert displayed[0] is first and len(made.times) == drawn
    control.value = high
    assert made.controls["power"].read(control.value) == high and displayed[0] is not first


def test_a_slider_reads_its_steps():
    control = slider(0.1, 5.0, 1.0)
    for reported, value in ((0.1, 0.1), (0.15000000000000002, 0.15), (0.37, 0.35), (5.0, 5.0), (4.99, 5.0)):
        assert control.read(reported) == value
    assert slider(1, 4).read(3) == 3 and switch().read(True) is True and choice(["a", "b"]).read("b") == "b"


def test_a_failing_draw_says_so_on_the_page(displayed):
    def fragile(power):
        if power == 4:
            raise ZeroDivisionError("nothing to divide by")
        return powers(power)

    made = explorer(fragile, alt=ALT, power=slider(1, 4, 2))
    first, (control, _, said) = displayed[0], displayed[1][1].children
    control.value = 4
    assert "nothing to divide by" in said.value and 'role="alert"' in said.value and displayed[0] is first
    control.value = 3
    assert said.value == "" and displayed[0] is not first
    with pytest.raises(RuntimeError, match="'power': 4"):
        sweep(made)


def test_sweep_draws_every_combination_of_ends():
    drawn = []

    def draw(**values):
        drawn.append(tuple(values.values()))
        return powers(**values)

    controls = {"power": slider(1.0, 3.0, 2.0), "flip": switch(), "rule": choice(["a", "b", "c"])}
    assert sweep(Explorer(draw, ALT, controls)) == 12
    assert set(drawn) == {(p, f, r) for p in (1.0, 3.0) for f in (False, True) for r in "abc"}


def test_many_controls_are_swept_one_at_a_time():
    made = Explorer(powers, ALT, {f"s{i}": slider(0, 1) for i in range(12)})
    assert len(list(ends(made))) == 24


def test_the_environment_asks_every_explorer_to_sweep(displayed, monkeypatch):
    monkeypatch.setenv("FLOWLIB_SWEEP", "1")

    def draw(power):
        if power == 4:
            raise ValueError("an end that fails")
        return powers(power)

    with pytest.raises(RuntimeError, match="an end that fails"):
        explorer(draw, alt=ALT, power=slider(1, 4, 2))


@pytest.mark.parametrize(
    ("low", "high", "value", "step", "readout"),
    [(0.03, 0.4, 0.2, 0.005, ".3f"), (-2.0, 2.0, 0.0, 0.05, ".2f"), (0.5, 2.0, 1.125, 0.02, ".3f")]
    + [(0.0, 0.001, 0.0, 0.00001, ".5f"), (0.0, 1000.0, 0.0, 10.0, ".0f")],
)
def test_a_slider_steps_by_a_round_number_and_shows_each(low, high, value, step, readout):
    traits = slider(low, high, value).traits
    assert traits["step"] == step and traits["readout_format"] == readout
    assert type(slider(low, high, value).widget("n")).__name__ == "FloatSlider"


def test_short_forms_and_kinds_of_controls(displayed):
    explorer(powers, alt=ALT, power=(1.0, 4.0, 2.0), flip=True, rule=["a", "b"])
    kinds = [type(part).__name__ for part in displayed[1][1].children]
    assert kinds == ["FloatSlider", "Checkbox", "ToggleButtons", "Button", "HTML"]
    assert type(choice([1, 2, 4]).widget("n")).__name__ == "SelectionSlider"


def test_the_axes_stay_in_their_place_while_a_slider_moves():
    made = Explorer(lambda power: powers(power), ALT, {"power": slider(1, 4)})
    made.picture({"power": 1})
    [first] = made.frame.places
    made.picture({"power": 4})
    [second] = made.frame.places
    assert second.bounds == pytest.approx(first.bounds)


def test_one_figure_whose_data_change_can_be_drawn_again_and_again(displayed):
    fig = figures.kernel(torch.eye(9), limit=1)
    mesh = fig.axes[0].collections[0]

    def draw(power):
        mesh.set_array(np.full((9, 9), power / 4))
        return fig

    made = explorer(draw, alt=ALT, power=slider(1, 4, 2))
    pictures = {made.picture({"power": power})[0] for power in (1, 2, 3, 2)}
    assert len(pictures) == 3


@pytest.mark.parametrize(
    "wrong, error, message",
    [
        ({}, ValueError, "at least one control"),
        ({"power": "two"}, TypeError, "slider"),
    ],
)
def test_an_explorer_without_sound_controls_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        explorer(powers, alt=ALT, **wrong)


@pytest.mark.parametrize(
    "make", [lambda: slider(2, 1), lambda: slider(0, 1, 3), lambda: choice([1]), lambda: choice([1, 2], 3)]
)
def test_a_control_without_room_is_refused(make):
    with pytest.raises(ValueError, match="needs"):
        make()
