"""What a reader of an explorer can change: sliders, switches, choices, and their short forms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

AT_A_GLANCE = 6  # as many words as stand in a row; a slider holds more


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

    def read(self, value):
        """The value that a widget reports, on the slider's steps.

        The page moves a number to the nearest step, and loses a digit on the way: a slider that nobody has touched may
        say 1.12 for the start 1.125, or 1.0000000000000002 for 1.0. Both are the start.
        """
        if self.kind != "FloatSlider":
            return value
        low, high, step = (self.traits[name] for name in ("min", "max", "step"))
        steps = count_steps(value - low, step)
        if steps == count_steps(self.value - low, step):
            return self.value
        return high if value >= high else round(low + steps * step, max(decimals(low), decimals(step)))


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


def count_steps(way: float, step: float) -> int:
    """The nearest number of steps; half a step is rounded up, as a page does."""
    return math.floor(way / step + 0.5 + 1e-9)


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
