"""Explorers: a figure that reads without a kernel, then sliders that draw it anew.

    explorer(draw, alt=..., steps=slider(1, 64, 4), causal=switch(), rule=choice(["midpoint", "trapezoid"]))

`draw(steps=4, causal=False, rule="midpoint")` returns a matplotlib Figure. The figure of the starting values
is put on the page once, with its alternative text. The sliders stand below it, and the current picture
appears under them at the first move, so that start and now can be compared. It is replaced whole, never
cleared, so that nothing flickers.

Moves that come while a picture is being drawn are merged into one, that of the last value. This is ipywidgets' doing: a
control has one message on its way at a time, and sends the next, with the newest value, when the kernel has answered.
So a picture is drawn before the answer, here, and not put off; tests/browser holds it to that.
"""

import itertools
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from html import escape
from types import FunctionType
from typing import Any

import torch

from flowlib.notebook.questions import OnPage
from flowlib.notebook.show import check_alt, close_figure, css_size, encode_png, image_tag, read_pixels, show

AT_A_GLANCE = 6  # as many words as stand in a row; a slider holds more
LIVE_DPI = 120  # pixels per inch while a slider moves
SWEEP = "FLOWLIB_SWEEP"  # set it to 1 and every explorer is drawn at all its ends as soon as it is made


@dataclass(frozen=True)
class Control:
    """What a reader can change: the widget's kind, its starting value, the values at its ends."""

    kind: str
    value: Any
    ends: tuple
    traits: dict = field(default_factory=dict)
    label: str = ""

    def widget(self, name: str):
        import ipywidgets as widgets

        common = {"description": self.label or name.replace("_", " "), "style": {"description_width": "11em"}}
        if self.kind == "ToggleButtons":
            common["style"]["button_width"] = "auto"
        elif self.kind == "Checkbox":
            common["indent"] = True
        else:
            common |= {"continuous_update": True, "layout": {"width": "34em", "max_width": "100%"}}
        return getattr(widgets, self.kind)(value=self.value, **self.traits, **common)


def slider(low: float, high: float, value: float | None = None, *, step: float | None = None, label: str = ""):
    """A number between low and high; whole numbers where low and high are ints. The readout shows every step.

    step   left out, it is 1 for whole numbers, else about a hundredth of the way, rounded to 1, 2 or 5 · 10ᵏ

    Raises: ValueError unless low < high and low <= value <= high.
    """
    value = low if value is None else value
    if not low < high or not low <= value <= high:
        raise ValueError(f"a slider needs low < high and low <= value <= high; got {low}, {high}, value {value}")
    whole = all(isinstance(v, int) for v in (low, high, value, 1 if step is None else step))
    step = (1 if whole else round_step((high - low) / 100)) if step is None else step
    traits = {"min": low, "max": high, "step": step}
    if not whole:
        traits["readout_format"] = f".{max(decimals(number) for number in (low, value, step))}f"
    return Control("IntSlider" if whole else "FloatSlider", value, (low, high), traits, label)


def round_step(about: float) -> float:
    """The first of 1, 2, 5, 10, ... · 10ᵏ that is not below."""
    power = math.floor(math.log10(about))
    return next(float(f"{digit}e{power}") for digit in (1, 2, 5, 10) if about <= digit * 10.0**power * (1 + 1e-9))


def decimals(number: float) -> int:
    """How many digits after the point it is written with."""
    return max(0, -Decimal(repr(float(number))).normalize().as_tuple().exponent)


def switch(value: bool = False, *, label: str = ""):
    """On or off."""
    return Control("Checkbox", bool(value), (False, True), {}, label)


def choice(options: Sequence, value: Any = None, *, label: str = ""):
    """One of several: a slider where the options are numbers (1, 2, 4, 8, ...) or many, buttons where they are words.

    No menu, no radio buttons: in JupyterLab they lose the arrow keys to the notebook. A button needs the space bar.

    Raises: ValueError where there are fewer than two options or the value is none of them.
    """
    options = list(options)
    value = options[0] if value is None and options else value
    if len(options) < 2 or value not in options:
        raise ValueError(f"a choice needs two options or more, and a value among them; got {options}, value {value!r}")
    numbers = all(isinstance(option, int | float) and not isinstance(option, bool) for option in options)
    if numbers:
        return Control("SelectionSlider", value, (options[0], options[-1]), {"options": options}, label)
    kind = "ToggleButtons" if len(options) <= AT_A_GLANCE else "SelectionSlider"
    return Control(kind, value, tuple(options), {"options": options}, label)


def as_control(value: Any) -> Control:
    """A control from a control, or from the short forms: (low, high, start), a bool, a list."""
    if isinstance(value, Control):
        return value
    if isinstance(value, bool):
        return switch(value)
    if isinstance(value, tuple) and len(value) in (2, 3):
        return slider(*value)
    if isinstance(value, list):
        return choice(value)
    raise TypeError(
        f"a control is slider(...), switch(...), choice(...), a tuple (low, high, start), a bool or a list; "
        f"got {value!r}"
    )


@dataclass
class Explorer(OnPage):
    """An explorer on the page: `draw`, its controls, and how long each redraw took."""

    draw: Callable
    alt: str | Callable[..., str]
    controls: dict[str, Control]
    times: list[float] = field(default_factory=list)
    frame: Any = None
    grad: bool = field(default_factory=torch.is_grad_enabled)  # JupyterLab moves sliders in a thread, which has its own

    @property
    def start(self) -> dict:
        return {name: control.value for name, control in self.controls.items()}

    def words(self, values: dict) -> str:
        return check_alt(self.alt(**values) if callable(self.alt) else self.alt)

    def picture(self, values: dict) -> tuple[bytes, tuple[int, int]]:
        """The PNG at these values, and its size on the page in CSS pixels.

        The layout is found once, for the first picture: the axes stay where they are while the reader moves a slider.
        Where `draw` returns one figure again and again, its ticks are drawn once, too: that is four times as fast.
        """
        from flowlib.notebook.frames import Frame

        begin = time.perf_counter()
        self.frame = self.frame or Frame()
        with torch.set_grad_enabled(self.grad):
            fig = self.draw(**values)
        pixels, size = read_pixels(self.frame.draw(fig, LIVE_DPI)), css_size(fig)
        picture = encode_png(pixels, compress_level=1)
        close_figure(fig)
        self.times.append(time.perf_counter() - begin)
        return picture, size

    def widget(self):
        """The controls, and the current picture under them from the first move on."""
        import ipywidgets as widgets

        parts = {name: control.widget(name) for name, control in self.controls.items()}
        page = widgets.HTML().add_class("flowlib-picture")

        def redraw(_change) -> None:
            values = {name: part.value for name, part in parts.items()}
            try:
                picture, (width, height) = self.picture(values)
                image = image_tag(picture, self.words(values), width, height)
                page.value = f'<div data-values="{escape(json.dumps(values))}">{image}</div>'
            except Exception as error:  # a kernel error would vanish into a log: say it on the page
                page.value = f'<p role="alert">No picture at {escape(str(values))}: {escape(str(error))}</p>'

        for part in parts.values():
            part.observe(redraw, names="value")
        return widgets.VBox([*parts.values(), page]).add_class("flowlib-explorer")


def explorer(draw: Callable, *, alt: str | Callable[..., str], **controls) -> Explorer:
    """Put a figure on the page, then controls that redraw it: one for each argument of `draw`, by its name.

    `alt` is the alternative text (at least 40 characters), or a function of the values that returns one.

    Raises: ValueError where no control is given or alt is too short; TypeError for an unknown control.
    """
    if not controls:
        raise ValueError("an explorer needs at least one control, such as steps=slider(1, 64, 4)")
    chosen = {name: as_control(value) for name, value in controls.items()}
    made = Explorer(freeze(draw), freeze(alt), chosen)
    show(made.draw(**made.start), made.words(made.start))
    if os.environ.get(SWEEP) == "1":
        sweep(made)
    made.picture(made.start)
    from IPython.display import display

    display(made.widget())
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
