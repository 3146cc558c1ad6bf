"""Figures that an explorer moves, and those of one thing beside another: the numbers behind what is drawn."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from flowlib.flow import Flow
from flowlib.measure import budget
from flowlib.notebook import figures, setup
from flowlib.notebook.figures import samples
from flowlib.operators import Attention, Moments


@pytest.fixture(autouse=True)
def course_style():
    setup()


def test_a_decay_shows_the_coordinate_that_differs_most_and_the_length():
    decay = figures.Decay(2)
    fig = decay.put(torch.tensor([[3.0, -4.0], [3.0, 2.0], [0.0, 0.0]]), "echo", "Δt = 1")
    assert decay.wave.get_ydata().tolist() == [1.0, -0.5, 0.0]
    assert decay.fall.get_ydata() == pytest.approx([1.0, 13**0.5 / 5, 1e-9])  # a length of 0 stays on the axis
    assert [ax.get_title("left") for ax in fig.axes] == ["echo", "Δt = 1"]


def test_errors_lie_beside_guides_of_orders_one_and_two():
    errors = figures.Errors([2, 4, 8])
    fig = errors.put([0.4, 0.1, 0.025], "order 2")
    one, two, mine = (line.get_ydata() for line in fig.axes[0].lines)
    assert one[0] / one[2] == pytest.approx(4) and two[0] / two[2] == pytest.approx(16)
    assert list(mine) == [0.4, 0.1, 0.025] and errors.put([1, 1, 1]) is fig


@torch.no_grad()
def test_an_account_adds_up_to_its_last_bar():
    torch.manual_seed(0)
    flow = Flow([Attention(4, 1)], Moments(), horizon=2.0, steps=2)
    found = budget(flow, torch.randn(3, 4)).along(torch.randn(4))
    account = figures.Account(found, ylabel="nats", limits=(-5, 5))
    account.put(found.start[0, 0], found.moved[:, 0, 0])
    heights = [bar.get_height() for bar in account.bars]
    assert sum(heights[:-1]) == pytest.approx(heights[-1]) == pytest.approx(found.final[0, 0].item(), abs=1e-5)
    assert account.line.get_ydata()[:-1] == pytest.approx(np.cumsum(heights[:-1]))


def test_seeds_stand_in_order_with_the_lowest_mean_on_top():
    fig = figures.seeds({"worse": [2.0, 3.0], "better": [1.0, 1.5], "worst": [9.0]}, "loss")
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["worst", "worse", "better"]
    assert fig.axes[0].lines[-1].get_xdata() == [1.25]


def test_the_circle_of_a_step_has_every_rate_on_it_that_neither_grows_nor_dies():
    fig = figures.spectrum(torch.tensor([[-1.0 + 0.5j, -0.2]]), steps=(1, 2))
    rates, *circles = fig.axes[0].lines
    assert list(rates.get_xdata()) == pytest.approx([-1.0, -0.2]) and list(rates.get_ydata()) == pytest.approx([0.5, 0])
    for dt, circle in zip((1, 2), circles, strict=True):
        z = np.asarray(circle.get_xdata()) + 1j * np.asarray(circle.get_ydata())
        assert abs(abs(1 + dt * z) - 1).max() < 1e-5


def test_a_law_is_a_line_in_each_picture():
    rows = [{"velocity": d, "step": 1 / d, "entropy": 3.0} for d in (32, 64)]
    fig = figures.against_width([32, 64], {"fixed": rows, "mean": rows})
    assert [len(ax.lines) for ax in fig.axes] == [2, 2, 2]
    assert list(fig.axes[1].lines[0].get_ydata()) == [1 / 32, 1 / 64]


def test_the_pushes_of_a_token_are_arrows_that_follow_each_other_from_its_start_to_its_end():
    u0 = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    flow = Flow([Attention(4).double()], Moments())
    path, account = flow(u0, 2), budget(flow, u0, 2)
    ax = figures.pushes(account, path.fields.detach(), 3).axes[0]
    arrows = [note for note in ax.texts if note.arrowprops]
    assert len(arrows) == len(account.names) == 4
    for before, after in zip(arrows, arrows[1:], strict=False):
        assert before.xy == pytest.approx(after.xyann)
    paths = [np.stack(line.get_data(), -1) for line in ax.lines[:5]]  # those of all tokens, at every depth
    assert arrows[0].xyann == pytest.approx(paths[3][0]) and arrows[-1].xy == pytest.approx(paths[3][-1])


def test_letters_lie_evenly_on_the_unit_interval_and_a_space_can_be_seen():
    ax = figures.figure()[1]
    samples.letters(ax, "a b")
    assert list(ax.collections[0].get_offsets()[:, 0]) == pytest.approx([1 / 6, 1 / 2, 5 / 6])
    assert [note.get_text() for note in ax.texts] == ["a", "␣", "b"]


def test_what_the_room_offers_is_there():
    """Its names are those of its list, and those of the docstring that a reader looks them up in."""
    for name in figures.__all__:
        assert callable(getattr(figures, name)) and name in figures.__doc__, name
    assert isinstance(figures.figure()[0], Figure)


def test_paths_stay_in_their_plane_and_name_only_what_is_followed():
    fields = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    plane, ax = figures.Plane(fields), figures.figure()[1]
    paths = figures.Paths(ax, plane, list("ebee"), [0, 3])
    assert [name.get_text() for name in paths.names] == ["e₁", "e₂"]
    for other in (fields, 2 * fields):
        assert paths.put(other) is ax.figure
        assert np.stack(paths.lines[3].get_data(), -1) == pytest.approx(plane.of(other)[:, 3])
        assert paths.names[1].xy == pytest.approx(plane.of(other)[-1, 3])
        assert np.concatenate(paths.rings[0].get_data()) == pytest.approx(plane.of(other)[0, 0])
    assert ax.get_xlim() == pytest.approx(tuple(plane.limits[0]))


def test_the_names_of_a_way_cover_neither_each_other_nor_its_discs():
    u0 = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    flow = Flow([Attention(4).double()], Moments())
    path, account = flow(u0, 4), budget(flow, u0, 4)
    fig = figures.pushes(account, path.fields.detach(), 3)
    fig.draw_without_rendering()
    names = [note for note in fig.axes[0].texts if note.get_text()]
    assert [name.get_text() for name in names] == [f"t = {k}" for k in range(5)]
    boxes = [name.get_bbox_patch() or name.get_window_extent() for name in names]
    discs = [fig.axes[0].transData.transform(name.xy) for name in names]
    for k, box in enumerate(boxes):
        assert not any(box.contains(*disc) for disc in discs)
        assert not any(box.overlaps(other) for other in boxes[k + 1 :])


def test_what_is_pushed_stands_beside_what_is_missed():
    moved, missed = (
        {"attention": [1.0, 2.0], "feed-forward": [0.5, 0.1]},
        {"attention": [0, 3], "feed-forward": [-1, 0]},
    )
    for ax, name in zip(figures.pushed_and_missed(moved, missed, "margin").axes, moved, strict=True):
        full, open_ = ([bar.get_height() for bar in bars] for bars in ax.containers)
        assert full == moved[name] and open_ == missed[name]
        assert [tick.get_text() for tick in ax.get_legend().get_texts()] == ["pushes", "missed without it"]


def test_a_level_and_a_goal_have_names_and_guides_say_what_they_are():
    fig = figures.against_work({"Lie": ([8, 16], [0.1, 0.05])}, goal=1e-3)
    assert [note.get_text() for note in fig.axes[0].texts] == ["goal 0.001"]
    assert list(fig.axes[0].lines[1].get_ydata()) == [1e-3, 1e-3]
    assert not figures.against_work({"Lie": ([8, 16], [0.1, 0.05])}).axes[0].texts
    assert [note.get_text() for note in figures.Errors([2, 4, 8]).ax.texts] == ["slope 1", "slope 2"]
    says = lambda errors: figures.convergence([4, 8], {"Lie": errors}).axes[0].get_xlabel()
    assert "thin grey lines: whole orders" in says([0.2, 0.1]) and says([1e-16, 1e-16]) == "steps N"


def test_a_long_step_ends_where_the_projection_puts_it():
    token, heard = torch.tensor([0.8, 0.6]), torch.tensor([0.0, 1.0])
    ax = figures.long_step(token, heard, {"tangent": heard - 0.6 * token, "projected": heard}, 3.0).axes[1]
    ends = [line.get_xydata()[0] for line in ax.lines if len(line.get_xydata()) == 1]
    assert ends[2] == pytest.approx(np.array([0.8, 3.6]) / 13.6**0.5)
