"""The tools that notebooks stand on: figures with words, predictions."""

import base64
import io
import os
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from flowlib.notebook import figures, predict, predict_number, setup, show
from flowlib.notebook.questions import ChoiceQuestion, NumberQuestion
from flowlib.notebook.show import bundle, png

ALT = "A straight line that rises from one to three over three points, drawn for a test"


@pytest.fixture(autouse=True)
def course_style(monkeypatch):
    monkeypatch.delenv("FLOWLIB_SWEEP", raising=False)  # `make test` sets it, for the explorers of the chapters
    setup()


def line():
    return figures.curves([1, 2, 3], {"attention": [1, 2, 3]}, xlabel="x", ylabel="y")


# --- setup ------------------------------------------------------------------------------------------------


def test_setup_gives_every_reader_the_same_numbers(capsys):
    setup(seed=3)
    first = torch.randn(4), np.random.rand(4)
    setup(seed=3)
    again = torch.randn(4), np.random.rand(4)
    assert torch.equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert torch.get_num_threads() <= 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("given", "threads"), [("1", 1), ("7", 2), ("none", 2), (None, 2)])
def test_setup_takes_no_more_threads_than_it_is_given(monkeypatch, given, threads):
    """Several notebooks at a time would else wait for each other: `make test` gives each of its workers one thread."""
    before, taken = torch.get_num_threads(), []
    monkeypatch.setattr(sys.modules["flowlib.notebook.setup"], "count_cores", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    monkeypatch.setenv("OMP_NUM_THREADS", given) if given else monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    setup()
    assert taken == [threads] and torch.get_num_threads() == before


@pytest.mark.parametrize("bad", [{"seed": -1}, {"threads": 0}])
def test_setup_refuses_what_it_cannot_do(bad):
    with pytest.raises(ValueError, match="seed >= 0 and threads >= 1"):
        setup(**bad)


def test_checks_load_no_plotting_and_the_tools_no_kernel():
    script = (
        "import sys, flowlib.checks, flowlib.checks.compare, flowlib.checks.exercises\n"
        "from flowlib.checks.assignments import a03_another_kernel\n"
        "loaded = {'matplotlib', 'IPython', 'ipywidgets', 'notebook', 'nbformat'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "import flowlib.notebook\n"
        "assert not {'IPython', 'ipywidgets', 'nbformat'} & set(sys.modules)\n"
        "assert callable(flowlib.notebook.show) and callable(flowlib.notebook.predict)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ)


# --- show -------------------------------------------------------------------------------------------------


def test_show_displays_once_with_the_alt_text_both_ways(displayed):
    show(line(), ALT)
    [(data, metadata)] = displayed
    assert metadata["image/png"]["alt"] == ALT
    assert f'alt="{ALT}"' in data["text/html"] and data["image/png"] in data["text/html"]
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.format == "PNG" and picture.size[0] > 900
    assert len(data["image/png"]) < 60_000


def test_a_caption_stands_below_the_picture_and_is_not_read_twice(displayed):
    show(line(), ALT)
    show(line(), ALT, caption="It rises  <b>\nfrom one.")
    same, other = (data["text/html"] for data, _ in displayed)
    assert re.search(rf'<figcaption[^>]* aria-hidden="true">{ALT}</figcaption>', same)
    assert re.search(r"<figcaption[^>]*>It rises &lt;b&gt; from one.</figcaption>", other)
    assert "aria-hidden" not in other
    assert displayed[1][1]["image/png"]["alt"] == ALT and f'alt="{ALT}"' in other


def test_show_closes_a_pyplot_figure(displayed):
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    ax.plot([1, 2])
    assert plt.get_fignums()
    show(fig, ALT)
    assert not plt.get_fignums()


def test_alt_text_survives_quotes_and_white_space():
    alt = 'The kernel "γ" & its rows < 1, read from left to right and top to bottom'
    data, _ = bundle(png(line()), alt, 10, 10)
    assert 'alt="The kernel &quot;γ&quot; &amp; its rows &lt; 1' in data["text/html"]


@pytest.mark.parametrize("alt", ["", "A plot", " " * 50, "x" * 39])
def test_a_picture_needs_words(alt):
    with pytest.raises(ValueError, match="at least 40 characters"):
        show(line(), alt)


def test_show_needs_a_figure():
    with pytest.raises(TypeError, match="ax.figure"):
        show(line().axes[0], ALT)


def test_nbconvert_uses_the_alt_text():
    from nbconvert import HTMLExporter

    data, metadata = bundle(png(line()), ALT, 100, 50)
    cell = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("display_data", data, metadata=metadata)])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert page.count(f'alt="{ALT}"') == 1
    assert "No description has been provided" not in page


# --- predict ----------------------------------------------------------------------------------------------

ASKED = dict(
    question="Half the step: what happens to an error of order 2?",
    choices=["it halves", "a quarter", "it stays"],
    answer="a quarter",
    why={"it halves": "That is order 1.", "it stays": "Then nothing converges."},
    because="The error goes with the square of the step.",
)


def test_a_wrong_choice_meets_its_misconception():
    asked = ChoiceQuestion(**ASKED | {"choices": tuple(ASKED["choices"])})
    assert asked.reply("it halves").sentence == "That is order 1." and not asked.reply("it halves").right
    assert asked.reply("a quarter").right


def test_predict_reads_without_a_kernel_and_answers_in_one(displayed):
    predict(**ASKED)
    (static, _), (kind, box) = displayed
    for words in (ASKED["question"], *ASKED["choices"], "<details>", ASKED["because"]):
        assert words in static["text/markdown"]
    assert kind == "widget"
    buttons, answer = box.children
    buttons.value = "it stays"
    assert "Then nothing converges." in answer.value and "Not so" in answer.value
    buttons.value = "a quarter"
    assert "Right" in answer.value


def test_the_static_text_is_the_same_every_time(displayed):
    predict(**ASKED)
    predict(**ASKED)
    assert displayed[0] == displayed[2]


def test_a_cell_that_ends_in_a_question_shows_nothing_more(displayed):
    assert predict(**ASKED)._ipython_display_() is None
    assert len(displayed) == 2


@pytest.mark.parametrize(
    "change, message",
    [
        ({"answer": "a third"}, "must be one of the choices"),
        ({"choices": ["a quarter"]}, "at least two choices"),
        ({"choices": ["a quarter", "a quarter"]}, "all different"),
        ({"why": {"it halves": "Order 1."}}, "missing: .'it stays'"),
        ({"why": ASKED["why"] | {"it doubles": "No."}}, "unknown: .'it doubles'"),
    ],
)
def test_a_question_that_cannot_teach_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        predict(**ASKED | change)


def test_a_number_is_right_within_its_tolerance(displayed):
    asked = predict_number("√64?", 8, tol=0.01, why={64: "That is 64 itself."})
    assert asked.reply(8.05).right and not asked.reply(8.2).right
    assert asked.reply(64).sentence == "That is 64 itself."
    assert "larger" in asked.reply(2).sentence and "sign" in asked.reply(-8).sentence
    box, answer = displayed[1][1].children
    for typed, said in (("16/2", "Right"), ("8,0", "Right"), ("1e1", "Not so"), ("eight", "type a number")):
        box.value = typed
        assert said in answer.value


def test_a_tolerance_at_zero_is_absolute():
    assert NumberQuestion("0?", 0.0, tol=0.1).reply(0.05).right
    assert not NumberQuestion("0?", 0.0, tol=0.1).reply(0.2).right


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"answer": float("nan")}, "finite number"),
        ({"answer": 8.0, "tol": -1.0}, "tol must be >= 0"),
        ({"answer": 8.0, "why": {8.1: "Near."}}, "counts as right"),
    ],
)
def test_a_number_question_that_cannot_teach_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        predict_number("How many?", **arguments)
