"""The colours of the course for readers with every kind of sight, and the pictures drawn with them."""

import itertools

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from flowlib.notebook import figures, setup
from flowlib.notebook.figures import palette
from flowlib.notebook.figures.labels import find_offsets, move_apart
from flowlib.notebook.show import png

# Machado, Oliveira, Fernandes (2009): full dichromacy, on linear RGB
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour):
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def seen(colour, sight):
    """CIE Lab coordinates of a colour as it is seen."""
    t = XYZ @ np.clip(np.asarray(SIGHT[sight]) @ linear(colour), 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(a, b, sight):
    return float(np.linalg.norm(seen(a, sight) - seen(b, sight)))


def nearest(colours, sight):
    return min(distance(a, b, sight) for a, b in itertools.combinations(colours, 2))


def contrast(colour):
    """WCAG contrast against white."""
    return 1.05 / (XYZ[1] @ linear(colour) + 0.05)


@pytest.mark.parametrize("sight", SIGHT)
def test_the_simulation_keeps_grey_and_confuses_what_it_must(sight):
    assert np.asarray(SIGHT[sight]).sum(1) == pytest.approx(np.ones(3), abs=1e-3)
    confused = {
        "protanopia": ("#A0522D", "#5F6A27"),
        "deuteranopia": ("#C1440E", "#7D7A00"),
        "tritanopia": ("#0081A7", "#00895A"),
    }
    if sight in confused:
        assert distance(*confused[sight], sight) < 0.6 * distance(*confused[sight], "normal")


@pytest.mark.parametrize("sight, least", [("normal", 30), ("protanopia", 30), ("deuteranopia", 30), ("tritanopia", 15)])
def test_the_terms_and_the_river_stay_apart(sight, least):
    assert nearest(palette.TERMS.values(), sight) >= least


@pytest.mark.parametrize("sight, least", [("normal", 20), ("protanopia", 15), ("deuteranopia", 15), ("tritanopia", 15)])
def test_the_series_stay_apart(sight, least):
    assert nearest(palette.SERIES, sight) >= least


def test_a_palette_of_red_and_green_would_be_found():
    assert nearest(["#D7191C", "#1A9641", "#2B83BA"], "deuteranopia") < nearest(palette.TERMS.values(), "deuteranopia")
    assert nearest(["#C1440E", "#7D7A00"], "deuteranopia") < 20


def test_colour_is_never_the_only_cue():
    looks = [(str(dash), marker) for dash, marker in zip(palette.DASHES, palette.MARKERS, strict=True)]
    assert len(set(looks)) == len(palette.SERIES)


@pytest.mark.parametrize("name, colour", palette.TERMS.items())
def test_the_terms_are_read_on_white(name, colour):
    assert contrast(colour) >= 3  # WCAG 2.1, 1.4.11: graphical objects
    assert contrast(palette.INK) >= 7


@pytest.mark.parametrize("sight", SIGHT)
def test_the_signs_of_a_field_stay_apart(sight):
    colours = palette.diverging()
    assert distance(colours(0.2), colours(0.8), sight) >= 30
    assert distance(colours(0.5), "#FFFFFF", "normal") < 2


# --- pictures ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def course_style():
    setup()


def test_convergence_writes_the_measured_order():
    n = [4, 8, 16, 32]
    fig = figures.convergence(n, {"Lie": [1 / k for k in n], "Strang": [1 / k**2 for k in n], "Gauss": [0.0] * 4})
    texts = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert texts == ["Lie: order 1.00", "Strang: order 2.00", "Gauss: at rounding"]


def test_convergence_fits_the_last_points_where_asked():
    n = [2, 4, 8, 16, 32]
    errors = [1.0, 1.0, 1 / 8, 1 / 16, 1 / 32]
    [text] = figures.convergence(n, {"Lie": errors}, last=3).axes[0].get_legend().get_texts()
    assert text.get_text() == "Lie: order 1.00"


def test_a_field_is_drawn_tokens_to_the_right_white_at_zero():
    u = torch.zeros(3, 2, requires_grad=True) + torch.tensor([[0.0, 1.0], [0.0, 0.0], [-2.0, 0.0]])
    fig = figures.field(u, tokens=["a", " ", "\n"])
    mesh = fig.axes[0].collections[0]
    assert mesh.get_array().shape == (2, 3) and mesh.get_array()[0, 2] == -2
    assert mesh.norm(0.0) == 0.5
    assert [t.get_text() for t in fig.axes[0].get_xticklabels()] == ["a", "␣", "↵"]


def test_a_kernel_has_its_numbers_and_a_scale_that_can_be_fixed():
    gamma = torch.eye(3)
    ax = figures.kernel(gamma, list("abc"), limit=2.0).axes[0]
    assert [t.get_text() for t in ax.texts].count("1.00") == 3
    assert ax.collections[0].norm.vmax == 2.0
    assert not figures.kernel(torch.eye(9)).axes[0].texts
    assert png(figures.kernel(torch.eye(9).tril(), log=True))[:4] == b"\x89PNG"


def test_cross_attention_names_rows_and_columns_apart():
    ax = figures.kernel(torch.ones(2, 3) / 3, ["a", "b"], ["x", "y", "z"]).axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["x", "y", "z"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]


def test_kernels_share_one_scale():
    fig = figures.kernels({"head 1": torch.eye(3), "head 2": torch.eye(3) / 2})
    assert {ax.collections[0].norm.vmax for ax in fig.axes[:2]} == {1.0}
    assert [ax.get_title("left") for ax in fig.axes[:2]] == ["head 1", "head 2"]


def test_a_line_in_a_plane_fills_its_first_component():
    path, shares = figures.principal(torch.arange(5.0)[:, None, None] * torch.tensor([3.0, 4.0]), 2)
    assert shares == pytest.approx([1, 0], abs=1e-12)
    assert np.ptp(path[:, 0, 0]) == pytest.approx(20)  # from 0 to 4·(3, 4), which is 20 long


@pytest.mark.parametrize("draw", [figures.river, figures.trajectory2d])
def test_paths_are_drawn_for_every_token(draw):
    fields = torch.randn(6, 4, 8, generator=torch.Generator().manual_seed(0))
    fig = draw(fields, tokens=list("abcd"))
    assert {t.get_text() for t in fig.axes[0].texts} == set("abcd")
    assert png(fig)[:4] == b"\x89PNG"


def test_names_are_moved_apart_but_not_swapped():
    y = move_apart(np.array([0.0, 0.001, 0.002, 5.0]), 0.1)
    assert (np.diff(y) >= 0.1 - 1e-9).all() and y[-1] == 5.0


def test_names_in_a_plane_cover_neither_each_other_nor_a_dot():
    dots = np.array([[0.0, 0], [3, 0], [0, 4], [3, 4], [100, 100]])
    places = dots + find_offsets(dots, range(5), np.stack([dots - 30, dots]))
    gap = np.abs(places[:, None] - np.concatenate([places, dots])[None]) / (11, 13)
    assert ((gap.max(-1) < 1).sum(-1) == 1).all()  # each meets itself alone


def test_a_plane_stays_the_same_for_whatever_is_drawn_in_it():
    u = torch.randn(5, 3, 8, generator=torch.Generator().manual_seed(1))
    plane = figures.Plane(u)
    path, shares = figures.principal(u, 2)
    assert plane.of(u) == pytest.approx(path) and plane.shares == pytest.approx(shares)
    for draw in (figures.trajectory2d, figures.river):
        one, other = (draw(fields, plane=plane).axes[0] for fields in (u, 0.1 * u[:, :2]))
        assert one.get_ylim() == other.get_ylim()
    assert figures.trajectory2d(0.1 * u, plane=plane).axes[0].get_xlim() == pytest.approx(plane.limits[0])


@pytest.mark.parametrize("draw", [figures.river, figures.trajectory2d])
def test_equal_letters_can_be_followed(draw):
    fields = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(2))
    names = {text.get_text(): text for text in draw(fields, tokens=list("erefe"), follow="e").axes[0].texts}
    assert set(names) == {"e₁", "e₂", "e₃", "r", "f"}
    assert [names[e].get_color() for e in ("e₁", "e₂", "e₃")] == list(palette.SERIES[:3])
    with pytest.raises(ValueError, match="'q' stands nowhere among the tokens"):
        draw(fields, tokens=list("erefe"), follow="q")


@pytest.mark.parametrize(
    "draw, message",
    [
        (lambda: figures.field(torch.zeros(2, 3, 4)), "must have two axes"),
        (lambda: figures.kernel(torch.zeros(3)), "must have two axes"),
        (lambda: figures.kernel(torch.eye(3), list("ab")), "one name for each of the 3"),
        (lambda: figures.kernels({}), "at least one named kernel"),
        (lambda: figures.river(torch.zeros(2, 3, 4, 5)), "fields"),
        (lambda: figures.trajectory2d(torch.zeros(2, 3)), "choose one batch entry"),
        (lambda: figures.trajectory2d(torch.rand(2, 3, 4), list("ab")), "one name for each of the 3 tokens"),
        (lambda: figures.river(torch.rand(2, 3, 4), tokens=list("ab")), "one name for each of the 3 tokens"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


@pytest.mark.parametrize("style", ["dark_background", "ggplot", {"text.usetex": True, "axes.facecolor": "black"}])
def test_setup_makes_a_figure_readable_whatever_the_style_of_the_reader_was(style):
    """VS Code in a dark theme asks for a dark style in every kernel; with usetex a figure needs LaTeX."""
    with mpl.rc_context():
        mpl.style.use(style)
        setup()
        fig = figures.curves([0, 1], {"attention": [0, 1], "layer norm": [1, 0]}, xlabel="Δt", ylabel="u", title="t")
        ax = fig.axes[0]
        paper = luminance(ax.get_facecolor())
        for text in (*ax.get_legend().get_texts(), ax.xaxis.label, ax.title):
            assert (paper + 0.05) / (luminance(text.get_color()) + 0.05) >= 4.5
        assert png(fig)


def luminance(colour):
    return float(XYZ[1] @ linear(colour))
