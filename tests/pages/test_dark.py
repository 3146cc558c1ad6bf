"""Figures on a dark page: the style sheet turns them, and what was to be seen on white is seen on black."""

import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from flowlib.notebook.figures import palette
from flowlib.pages import mathml

CSS = (mathml.TEMPLATES / "book" / "book.css").read_text("utf-8")
PAGE = "#131416"  # Furo's dark background
# What hue-rotate(180deg) does to (r, g, b): cos 180° = −1, sin 180° = 0.  Source: W3C, Filter Effects Module Level 1.
LUMA = np.array([0.213, 0.715, 0.072])
TURN = 2 * np.tile(LUMA, (3, 1)) - np.eye(3)


def turn(colour: str) -> np.ndarray:
    """invert(1) hue-rotate(180deg), then mix-blend-mode: screen on the page."""
    turned = np.clip(TURN @ (1 - np.array(to_rgb(colour))), 0, 1)
    page = np.array(to_rgb(PAGE))
    return turned + page - turned * page


def luminance(rgb) -> float:
    linear = np.where(np.array(rgb) <= 0.04045, np.array(rgb) / 12.92, ((np.array(rgb) + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def contrast(one, other) -> float:
    """(L₁ + 0.05) / (L₂ + 0.05), the lighter first.  Source: W3C, WCAG 2.2."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_style_sheet_turns_figures_where_the_page_is_dark():
    rule = "filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen"
    chosen = re.search(r'body\[data-theme="dark"\] article figure\.flowlib-figure img \{ ([^}]*); \}', CSS)
    wished = re.search(r'body:not\(\[data-theme="light"\]\) article figure\.flowlib-figure img \{ ([^}]*); \}', CSS)
    assert chosen[1] == wished[1] == rule


@pytest.mark.parametrize("colour", [palette.INK, palette.RIVER, palette.ATTENTION, palette.LAYER_NORM])
def test_what_is_legible_on_white_is_legible_on_black(colour):
    least = 4.5 if colour in (palette.INK, palette.RIVER) else 3.0
    assert contrast(to_rgb(colour), to_rgb("white")) >= least
    assert contrast(turn(colour), to_rgb(PAGE)) >= least


@pytest.mark.parametrize("colour", [*palette.SERIES, palette.QUIET])
def test_every_series_shows_on_black(colour):
    assert contrast(turn(colour), to_rgb(PAGE)) >= 2.0
    hue = lambda rgb: np.argmax(rgb - np.mean(rgb))  # the channel that leads
    if colour not in (palette.QUIET, palette.RIVER):
        assert hue(turn(colour)) == hue(np.array(to_rgb(colour))), "and keeps its hue"


def test_white_is_the_page():
    assert turn("#FFFFFF") == pytest.approx(np.array(to_rgb(PAGE)), abs=1e-9)
