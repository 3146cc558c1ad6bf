"""A figure drawn again on its kept frame is the figure drawn whole; an explorer keeps the names it was made with."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from flowlib.notebook import figures, setup
from flowlib.notebook.controls import slider
from flowlib.notebook.explore import Explorer, freeze
from flowlib.notebook.frames import Frame

ALT = "A line, a mesh with its colour bar and bars in three axes, drawn for a test"


@pytest.fixture
def parts():
    """A figure with what explorers move: lines, bars, a mesh, letters, titles, a legend."""
    setup()
    fig, (left, middle, right) = figures.figure(columns=3)
    line = left.plot([0, 1], [0, 1], "o-", label="one")[0]
    left.set(xlim=(0, 1), ylim=(0, 2), title="start")
    left.legend()
    mesh = figures.heat(middle, np.eye(5), cmap="cividis", label="share")
    bars = right.stairs([1, 2], [0, 1, 2], fill=True)
    right.set(yscale="log", ylim=(0.1, 10), aspect="auto")
    letter = right.text(1, 1, "a")
    return fig, left, line, mesh, bars, letter


def seen(canvas) -> np.ndarray:
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def whole(fig) -> np.ndarray:
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return seen(canvas)


def line_of(values):
    fig, ax = figures.figure()
    ax.plot(values)  # matplotlib takes no tensor that asks for its gradient
    return fig


def move(parts, k: int) -> None:
    _, left, line, mesh, bars, letter = parts
    line.set_data([0, 0.5, 1], [0, k / 2, 1])
    mesh.set_array(np.roll(np.eye(5), k, 0))
    bars.set_data([k + 1, 2])
    letter.set(position=(1, 1 + k), text="abc"[k])
    left.set_title(f"k = {k}")


def test_a_figure_on_its_frame_is_the_figure_drawn_whole(parts):
    frame = Frame()
    for k in (0, 1, 2, 1):
        move(parts, k)
        quick = seen(frame.draw(parts[0], 100)).copy()
        assert np.array_equal(quick, whole(parts[0]))


def test_the_ticks_are_drawn_once_and_again_where_they_change(parts, monkeypatch):
    frame, begun = Frame(), []
    monkeypatch.setattr(Frame, "begin", lambda self, *a, begin=Frame.begin: (begun.append(1), begin(self, *a))[1])
    changes = [lambda ax: None, lambda ax: None, lambda ax: ax.set_xlim(0, 3), lambda ax: ax.set_xlabel("x")]
    changes += [lambda ax: ax.set_xticks([0, 1], ["no", "yes"]), lambda ax: ax.set_yscale("symlog"), lambda ax: None]
    for change, times in zip(changes, [1, 1, 2, 3, 4, 5, 5], strict=True):
        change(parts[1])
        quick = seen(frame.draw(parts[0], 100)).copy()
        assert len(begun) == times
        assert np.array_equal(quick, whole(parts[0]))


def test_a_new_figure_each_time_is_drawn_whole():
    made = Explorer(lambda power: figures.kernel(torch.eye(4) * power), ALT, {"power": slider(1, 4)})
    assert made.picture({"power": 1})[0] != made.picture({"power": 4})[0]


def test_a_slider_moved_in_another_thread_draws_as_the_cell_did():
    weight = torch.nn.Parameter(torch.ones(3))
    with torch.no_grad():
        made = Explorer(lambda k: line_of(k * weight), ALT, {"k": slider(1, 4)})
    with ThreadPoolExecutor() as pool:
        assert pool.submit(made.picture, {"k": 2}).result()


def test_later_cells_do_not_reach_an_explorer():
    cells = {}
    exec("def half(x):\n    return x / by\n\ndef draw(x):\n    return half(x) + shift\n\nby, shift = 2, 1", cells)
    draw = freeze(cells["draw"])
    exec("by, shift = None, None\ndef half(x):\n    raise NameError", cells)
    assert draw(6) == 4
    assert freeze("words") == "words"
