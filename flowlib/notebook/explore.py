"""Explorers: a figure that reads without a kernel, and controls below it that draw it anew, in its place.

    explorer(draw, alt=..., steps=slider(1, 64, 4), causal=switch(), rule=choice(["midpoint", "trapezoid"]))

`draw(steps=4, causal=False, rule="midpoint")` returns a matplotlib Figure. The figure of the starting values
is put on the page, over its caption; a move of a control puts the new one, with its own words, in its place, and
"Back to start" brings the first one back. It is replaced whole, never cleared, so that nothing flickers.

Moves that come while a picture is being drawn are merged into one, that of the last value. This is ipywidgets' doing: a
control has one message on its way at a time, and sends the next, with the newest value, when the kernel has answered.
So a picture is drawn before the answer, here, and not put off; tests/browser holds it to that.
"""

import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from types import FunctionType
from typing import Any

import torch

from flowlib.notebook.controls import Control, as_control
from flowlib.notebook.figures import palette
from flowlib.notebook.questions import OnPage
from flowlib.notebook.show import (
    Place,
    bundle,
    check_alt,
    close_figure,
    css_size,
    encode_png,
    figure_tag,
    read_pixels,
    reduce_colours,
)

LIVE_DPI = 120  # pixels per inch while a slider moves
told: list[Callable[["Explorer"], None]] = []  # who wants to know of every explorer as soon as it is made
SWEEP = "FLOWLIB_SWEEP"  # set it to 1 and every explorer is drawn at all its ends as soon as it is made


@dataclass
class Explorer(OnPage):
    """An explorer on the page: `draw`, its controls, and how long each redraw took."""

    draw: Callable
    alt: str | Callable[..., str]
    controls: dict[str, Control]
    caption: str | Callable[..., str] | None = None
    times: list[float] = field(default_factory=list)
    frame: Any = None
    grad: bool = field(default_factory=torch.is_grad_enabled)  # JupyterLab moves sliders in a thread, which has its own

    @property
    def start(self) -> dict:
        return {name: control.value for name, control in self.controls.items()}

    def words(self, values: dict) -> tuple[str, str | None]:
        """The alternative text and the caption at these values."""
        caption = self.caption(**values) if callable(self.caption) else self.caption
        return check_alt(self.alt(**values) if callable(self.alt) else self.alt), caption

    def paint(self, values: dict, dpi: float):
        """A canvas with the figure at these values, and its size on the page in CSS pixels.

        The layout is found once, for the first picture: the axes stay where they are while the reader moves a slider.
        Where `draw` returns one figure again and again, its ticks are drawn once, too: that is four times as fast.
        """
        from flowlib.notebook.frames import Frame

        self.frame = self.frame or Frame()
        with torch.set_grad_enabled(self.grad):
            fig = self.draw(**values)
        canvas, size = self.frame.draw(fig, dpi), css_size(fig)
        close_figure(fig)
        return canvas, size

    def picture(self, values: dict) -> tuple[bytes, tuple[int, int]]:
        """The PNG at these values, as it is drawn while a slider moves, and its size on the page."""
        begin = time.perf_counter()
        canvas, size = self.paint(values, LIVE_DPI)
        picture = encode_png(read_pixels(canvas), compress_level=1)
        self.times.append(time.perf_counter() - begin)
        return picture, size

    def still(self) -> tuple[dict, dict]:
        """The display data and metadata of the first picture, which is stored with the notebook."""
        canvas, size = self.paint(self.start, palette.DPI)
        alt, caption = self.words(self.start)
        data, metadata = bundle(reduce_colours(canvas), alt, *size, caption)
        return data, metadata | {"flowlib": {"explorer": list(self.controls)}}

    def moved(self, values: dict) -> dict:
        """The display data of the picture at these values."""
        picture, size = self.picture(values)
        alt, caption = self.words(values)
        html = figure_tag(picture, alt, *size, caption, json.dumps(values))
        return {"text/html": html, "text/plain": f"[Figure: {alt}]"}

    def widget(self, place, first: tuple[dict, dict]):
        """The controls; each move puts its picture into the place, and "Back to start" the first one."""
        import ipywidgets as widgets

        parts = {name: control.widget(name) for name, control in self.controls.items()}
        back = widgets.Button(description="Back to start", tooltip="bring the first picture back")
        said = widgets.HTML().add_class("flowlib-said")
        shown = [self.start]

        def redraw(_change=None) -> None:
            values = {name: self.controls[name].read(part.value) for name, part in parts.items()}
            if values == shown[0]:
                return
            shown[0] = values
            try:
                place.put(*(first if values == self.start else (self.moved(values), {})))
                said.value = ""
            except Exception as error:  # a kernel error would vanish into a log: say it on the page
                said.value = f'<p role="alert">No picture at {escape(str(values))}: {escape(str(error))}</p>'

        def reset(_button) -> None:
            for part in parts.values():
                part.unobserve(redraw, names="value")
            for name, part in parts.items():
                part.value = self.controls[name].value
            for part in parts.values():
                part.observe(redraw, names="value")
            redraw()

        for part in parts.values():
            part.observe(redraw, names="value")
        back.on_click(reset)
        return widgets.VBox([*parts.values(), back, said]).add_class("flowlib-explorer")


class WidgetPlace:
    """The same in Colab, where a picture is not replaced from the outside once its cell has ended: a widget."""

    def __init__(self) -> None:
        import ipywidgets as widgets
        from IPython.display import display

        self.page = widgets.HTML()
        display(self.page)

    def put(self, data: dict, metadata: dict | None = None) -> None:
        self.page.value = data["text/html"]


def explorer(
    draw: Callable, *, alt: str | Callable[..., str], caption: str | Callable[..., str] | None = None, **controls
) -> Explorer:
    """Put a figure on the page, then controls that redraw it: one for each argument of `draw`, by its name.

    `alt` is the alternative text (at least 40 characters), or a function of the values that returns one. It is the
    caption, too, unless `caption` is given in the same way.

    Raises: ValueError where no control is given or alt is too short; TypeError for an unknown control.
    """
    if not controls:
        raise ValueError("an explorer needs at least one control, such as steps=slider(1, 64, 4)")
    chosen = {name: as_control(value) for name, value in controls.items()}
    made = Explorer(freeze(draw), freeze(alt), chosen, freeze(caption))
    for tell in told:
        tell(made)
    place, first = (WidgetPlace if "google.colab" in sys.modules else Place)(), made.still()
    place.put(*first)
    if os.environ.get(SWEEP) == "1":
        sweep(made)
    made.picture(made.start)
    from IPython.display import display

    display(made.widget(place, first))
    return made


def freeze(function):
    """The function as it is now, with the names that it uses; what is no function of Python's is returned as it is.

    A reader runs all cells and then comes back to the slider. By then a later cell may have used `fig` or `x` for
    something else, and `draw`, or a function that it calls, would find that.
    """
    if not isinstance(function, FunctionType):
        return function
    there, names = function.__globals__, dict(function.__globals__)

    def rebind(f: FunctionType) -> FunctionType:
        copy = FunctionType(f.__code__, names, f.__name__, f.__defaults__, f.__closure__)
        copy.__kwdefaults__ = f.__kwdefaults__
        return copy

    for name, thing in there.items():
        if isinstance(thing, FunctionType) and thing.__globals__ is there:
            names[name] = rebind(thing)
    return rebind(function)


def ends(made: Explorer, limit: int = 256) -> Iterator[dict]:
    """Every combination of the ends of all controls; one at a time where that would be more than `limit`."""
    sides = [control.ends for control in made.controls.values()]
    total = 1
    for side in sides:
        total *= len(side)
    if total <= limit:
        for values in itertools.product(*sides):
            yield dict(zip(made.controls, values, strict=True))
        return
    for name, control in made.controls.items():
        for value in control.ends:
            yield made.start | {name: value}


def sweep(made: Explorer) -> int:
    """Draw the explorer at the ends of all its controls; the number of pictures drawn.

    Raises: RuntimeError that names the values at which `draw` failed.
    """
    count = 0
    for values in ends(made):
        try:
            made.picture(values)
            made.words(values)
        except Exception as error:
            raise RuntimeError(f"the explorer fails at {values}: {type(error).__name__}: {error}") from error
        count += 1
    return count
