"""The diagram of the course and the pictures drawn from a chapter's numbers: what they show, not how it looks."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from flowlib.notebook import figures, palette, setup
from flowlib.notebook.figures.diagram import joints


@pytest.fixture(autouse=True)
def course_style():
    setup()


def edges(fig):
    """The colour of each box's edge, by the box's name."""
    return {patch.get_gid(): to_hex(patch.get_edgecolor()).upper() for patch in fig.axes[0].patches if patch.get_gid()}


def find(ax, gid):
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


@pytest.mark.parametrize(
    "lit, at_hand",
    [
        ("attention", {"block 1", "term I", "substep 1"}),
        ("layer norm", {"block 2", "block 4", "term II", "substep 2", "substep 4"}),
        ("feed-forward", {"block 3", "term III", "substep 3"}),
        ("splitting", {"substep 1", "substep 2", "substep 3", "substep 4"}),
    ],
)
def test_the_block_lights_the_part_at_hand_and_nothing_else(lit, at_hand):
    found = edges(figures.block(lit))
    assert {name for name, colour in found.items() if colour != palette.QUIET} == at_hand
    if lit != "splitting":
        assert {found[name] for name in at_hand} == {palette.TERMS[lit]}


def test_the_block_without_a_lit_part_has_all_in_their_colours_and_joins_what_belongs_together():
    found = edges(figures.block(None))
    assert len(found) == 11 and palette.QUIET not in found.values()
    assert all(found[left] == found[right] for left, right in joints())
    assert {box for pair in joints() for box in pair} == set(found)
    sizes = [text.get_size() for text in figures.block(None).axes[0].texts]
    assert min(sizes) >= 9


def test_a_part_that_the_block_has_not_is_refused():
    with pytest.raises(ValueError, match="lit must be one of 'attention', 'layer norm'.*got 'attn'"):
        figures.block("attn")


def test_an_arc_is_as_thick_as_its_share_and_ends_at_what_is_heard():
    shares = torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.6, 0.3, 0.1]])
    ax = figures.arcs(shares, list("abc")).axes[0]
    drawn = ax.collections[0]
    ends = {(round(path.vertices[0, 0]), round(path.vertices[-1, 0])): width
            for path, width in zip(drawn.get_paths(), drawn.get_linewidths(), strict=True)}  # fmt: skip
    assert set(ends) == {(1, 0), (2, 0), (2, 1)}
    assert ends[2, 0] > ends[2, 1] > ends[1, 0]
    assert len(find(ax, "itself")) == 3 and [t.get_text() for t in ax.texts] == list("abc")
    assert all(path.vertices[:, 1].min() > 0 for path in drawn.get_paths())  # what came before is heard above


def test_what_comes_after_is_heard_below_the_text():
    [path] = figures.arcs(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), "ab").axes[0].collections[0].get_paths()
    assert path.vertices[:, 1].max() < 0


def test_a_lit_listener_stands_out_and_heads_stand_under_their_names():
    shares = torch.ones(4, 4).tril() / torch.arange(1, 5)[:, None]
    fig = figures.arcs({"head 1": shares, "head 2": shares}, list("abcd"), listener=-1, columns=2)
    assert [ax.get_title("left") for ax in fig.axes] == ["head 1", "head 2"]
    drawn = fig.axes[0].collections[0]
    lit = [path.vertices[0, 0] for path, colour in zip(drawn.get_paths(), drawn.get_colors(), strict=True)
           if to_hex(colour) == palette.ATTENTION.lower()]  # fmt: skip
    assert lit == pytest.approx([3, 3, 3])


def test_the_cave_is_as_loud_as_the_kernel_and_what_is_heard_is_its_integral():
    x, w = torch.tensor([0.1, 0.3, 0.8]), torch.tensor([0.2, 0.3, 0.5])
    gamma, v = torch.tensor([[1.0, 1.0, 1.0], [0.5, 2.0, 0.6]]), torch.tensor([1.0, -1.0, 4.0])
    cave, floor = figures.echo_chamber(x, gamma, v, 1, weights=w).axes
    [ways] = find(cave, "ways")
    thick = np.array(ways.get_linewidths()) - 0.4
    assert thick / thick.sum() == pytest.approx([0.1, 0.6, 0.3])
    [line] = find(floor, "heard")
    assert line.get_ydata()[0] == pytest.approx(0.1 - 0.6 + 1.2)


def test_the_fork_has_its_handle_at_the_mean_and_its_prongs_one_spread_away():
    u = torch.tensor([1.0, 2.0, 6.0])
    fig = figures.tuning_fork(u, (u - u.mean()) / u.std(correction=0))
    for ax, mean, spread in zip(fig.axes, (3.0, 0.0), (u.std(correction=0).item(), 1.0), strict=True):
        [handle], [prongs] = find(ax, "handle"), find(ax, "prongs")
        assert handle.get_ydata() == pytest.approx([mean, mean], abs=1e-6)
        assert np.abs(prongs.get_ydata() - mean).max() == pytest.approx(spread)


def test_the_sieve_is_open_where_its_value_passes():
    v = torch.tensor([1.0, -2.0, 0.0, 3.0])
    top, mesh, bottom = figures.sieve(v, v.relu()).axes
    assert [bar.get_height() for bar in top.patches] == [1, -2, 0, 3]
    assert [bar.get_height() for bar in bottom.patches] == [1, 0, 0, 3]
    open_ = [to_hex(hole.get_edgecolor()).upper() == palette.FEED_FORWARD for hole in mesh.patches]
    assert open_ == [True, False, False, True]


@pytest.mark.parametrize(
    "draw, message",
    [
        (lambda: figures.arcs(torch.eye(3), "ab"), "one column for each of the 2 tokens"),
        (lambda: figures.arcs(-torch.eye(2), "ab"), "never negative, got -1"),
        (lambda: figures.echo_chamber([0, 1], [2.0, 2.0], [1, 1], 0), "must add up to 1, got 4"),
        (lambda: figures.echo_chamber([0, 1, 2], [0.5, 0.5], [1, 1], 0), "alike"),
        (lambda: figures.tuning_fork(torch.eye(2), torch.eye(2)), "one token each"),
        (lambda: figures.sieve(torch.ones(2), torch.ones(3)), "one token each"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_rows_of_every_matrix_run_downwards_from_row_0():
    m = torch.rand(4, 3)
    fig, ax = figures.figure()
    figures.heat(ax, m.numpy(), cmap="cividis")
    found = [ax, figures.field(m).axes[0], figures.kernel(m).axes[0], figures.kernels({"one": m}).axes[0]]
    assert [axes.get_ylim() for axes in found] == [(4, 0), (3, 0), (4, 0), (4, 0)]
