"""A river that pours in: the discs run on the lines of the picture, once, for no longer than five seconds."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from flowlib.notebook import figures, show
from flowlib.notebook.figures.film import SECONDS, STOPS, WAIT

ALT = "Two tokens along the depth from zero to two, one of them lit, drawn for a test"


@pytest.fixture
def river():
    """Two tokens: one rises evenly from 0 to 4, one falls from 3 to 1; the first is followed."""
    t = np.linspace(0.0, 2.0, 9)
    return figures.river(np.stack([2 * t, 3 - t], -1), t, ["a", "b"], follow=[0], ylabel="height")


def test_a_disc_for_each_path_at_its_heights(river):
    svg = figures.pour(river, "ab")
    drawn = ElementTree.fromstring(svg)
    assert [float(one) for one in drawn.get("viewBox").split()[2:]] == pytest.approx(
        river.get_size_inches() * 96, abs=1
    )
    heights = [
        [float(y) for y in re.findall(r"translateY\(([\d.]+)px\)", one)] for one in re.findall(r"@keyframes y\d.*", svg)
    ]
    assert [len(one) for one in heights] == [STOPS + 1] * 2
    rising, falling = map(np.array, heights)
    assert np.diff(rising, n=2) == pytest.approx(0, abs=0.21) and rising[0] > rising[-1]  # pixels count from above
    assert (rising[0] - rising[-1]) / (falling[-1] - falling[0]) == pytest.approx(2, abs=0.01)
    assert re.findall("<text>(.)</text>", svg) == ["a"], "the one that is followed"


def test_it_moves_once_and_for_five_seconds_at_most(river):
    svg = figures.pour(river)
    assert WAIT + SECONDS <= 5 and "infinite" not in svg and "<script" not in svg and "<text>" not in svg


def test_the_picture_stays_one_picture_with_its_words(river, displayed):
    show(river, ALT, over="<svg/>")
    ((data, metadata),) = displayed
    assert data["text/html"].count("<img ") == 1 and f'alt="{ALT}"' in data["text/html"]
    assert "prefers-reduced-motion:no-preference" in data["text/html"] and metadata["image/png"]["alt"] == ALT
