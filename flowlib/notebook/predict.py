"""The reader says what will happen before it is run; a wrong guess meets the misconception behind it.

Every question first puts plain text on the page (question, choices, the answer folded away), which reads
without a kernel and never changes from run to run; below it stand the buttons.
"""

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from string import ascii_uppercase


@dataclass(frozen=True)
class Reply:
    """What a reader's answer is met with."""

    right: bool
    sentence: str


class OnPage:
    """Something that displayed itself when it was made: a cell which ends in it shows nothing more."""

    def _ipython_display_(self) -> None:
        pass


@dataclass(frozen=True)
class Question(OnPage):
    """A question with choices: `reply(choice)` says whether it is right, and why not."""

    question: str
    choices: tuple[str, ...]
    answer: str
    why: Mapping[str, str] = field(default_factory=dict)
    because: str = ""

    def __post_init__(self) -> None:
        if len(self.choices) < 2 or len(set(self.choices)) < len(self.choices):
            raise ValueError(
                f"a question needs at least two choices, all different; got {list(self.choices)}"
            )
        if self.answer not in self.choices:
            raise ValueError(
                f"the answer must be one of the choices {list(self.choices)}; got {self.answer!r}"
            )
        wrong = set(self.choices) - {self.answer}
        if set(self.why) != wrong:
            raise ValueError(
                "why must name the misconception behind every wrong choice and nothing else; "
                f"missing: {sorted(wrong - set(self.why))}, unknown: {sorted(set(self.why) - wrong)}"
            )

    def reply(self, choice: str) -> Reply:
        if choice == self.answer:
            return Reply(True, self.because or "Yes.")
        if choice not in self.why:
            raise ValueError(f"choose one of {list(self.choices)}; got {choice!r}")
        return Reply(False, self.why[choice])

    def text(self) -> str:
        """The question as Markdown that needs no kernel."""
        lines = [f"**Predict.** {self.question}", ""]
        lines += [
            f"- **{letter}.** {choice}" for letter, choice in zip(ascii_uppercase, self.choices, strict=False)
        ]
        letter = ascii_uppercase[self.choices.index(self.answer)]
        return "\n".join(lines) + folded(f"**{letter}.** {self.because or self.answer}")


@dataclass(frozen=True)
class NumberQuestion(OnPage):
    """A question whose answer is a number, right within `tol` relative to it (absolute where it is 0)."""

    question: str
    answer: float
    tol: float = 0.05
    unit: str = ""
    why: Mapping[float, str] = field(default_factory=dict)
    because: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.answer, Real) and math.isfinite(self.answer)):
            raise ValueError(f"the answer must be a finite number; got {self.answer!r}")
        if self.tol < 0:
            raise ValueError(f"tol must be >= 0; got {self.tol}")
        clash = [value for value in self.why if self._near(value, self.answer)]
        if clash:
            raise ValueError(f"why explains {clash}, which counts as right within tol={self.tol}")

    def _near(self, value: float, target: float) -> bool:
        return abs(value - target) <= self.tol * (abs(target) or 1.0) + 1e-12

    def reply(self, value: float | str) -> Reply:
        value = number(value)
        if self._near(value, self.answer):
            return Reply(True, self.because or f"Yes: {self.answer:g}{space(self.unit)}.")
        for guess, sentence in self.why.items():
            if self._near(value, guess):
                return Reply(False, sentence)
        if value * self.answer < 0:
            return Reply(False, "The sign is the other one.")
        hint = "larger" if abs(value) < abs(self.answer) else "smaller"
        return Reply(False, f"It is {hint} in size. Write down the formula first, then put the numbers in.")

    def text(self) -> str:
        """The question as Markdown that needs no kernel."""
        answer = f"{self.answer:g}{space(self.unit)}. {self.because}".strip()
        return f"**Predict a number.** {self.question}" + folded(answer)


def predict(
    question: str, choices: Sequence[str], answer: str, why: Mapping[str, str], because: str = ""
) -> Question:
    """Ask the reader to choose before running.

    `why` answers every wrong choice with the misconception behind it; `because` is said for the right one.
    All of them may hold Markdown formulas and `code`.

    Raises: ValueError where the answer is no choice, or a wrong choice has no misconception.
    """
    asked = Question(question, tuple(choices), answer, dict(why), because)
    put(asked, choice_buttons(asked))
    return asked


def predict_number(
    question: str,
    answer: float,
    tol: float = 0.05,
    unit: str = "",
    why: Mapping[float, str] | None = None,
    because: str = "",
) -> NumberQuestion:
    """Ask for a number; `tol` is relative. `why` meets known wrong numbers with what lies behind them.

    Raises: ValueError where the answer is not finite or a wrong number in `why` would count as right.
    """
    asked = NumberQuestion(question, answer, tol, unit, dict(why or {}), because)
    put(asked, number_box(asked))
    return asked


def number(value: float | str) -> float:
    """A number as a reader types it: 0.25, 0,25, 1/4 or 1e-3.

    Raises: ValueError where it is none.
    """
    if isinstance(value, Real):
        return float(value)
    words = str(value).strip().replace(" ", "").replace("−", "-").replace(",", ".")
    over = words.split("/")
    try:
        found = float(over[0]) / float(over[1]) if len(over) == 2 else float(words)
    except (ValueError, ZeroDivisionError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"type a number such as 0.25, 1/4 or 1e-3; got {value!r}")
    return found


def space(unit: str) -> str:
    return f" {unit}" if unit else ""


def folded(answer: str) -> str:
    return f"\n\n<details><summary>Show the answer</summary>\n\n{answer}\n\n</details>"


def as_html(text: str) -> str:
    """Markdown's `code` and **strong** as HTML, formulas left alone."""
    safe = html.escape(text, quote=False)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", safe)


def verdict(reply: Reply) -> str:
    """A reply as HTML; a word and a sign carry the verdict, the colour only repeats it."""
    from flowlib.notebook import palette

    colour, word = (palette.FEED_FORWARD, "✓ Right.") if reply.right else (palette.LAYER_NORM, "✗ Not so.")
    style = f"border-left: 4px solid {colour}; padding: 2px 10px; line-height: 1.5; margin: 4px 0"
    return f'<div role="status" style="{style}"><b>{word}</b> {as_html(reply.sentence)}</div>'


def put(asked: Question | NumberQuestion, widget) -> None:
    """The text that needs no kernel, then the widget."""
    from IPython.display import display

    text = asked.text()
    display({"text/markdown": text, "text/plain": text}, raw=True)
    display(widget)


def choice_buttons(asked: Question):
    """One button a choice, lettered as in the text above it."""
    import ipywidgets as widgets

    letters = ascii_uppercase[: len(asked.choices)]
    answer = widgets.HTMLMath()
    buttons = widgets.ToggleButtons(
        options=list(zip(letters, asked.choices, strict=True)),
        value=None,
        tooltips=list(asked.choices),
        style={"button_width": "3.5em", "description_width": "initial"},
        description="Your prediction:",
    )

    def answered(change) -> None:
        if change["new"] is not None:
            answer.value = verdict(asked.reply(change["new"]))

    buttons.observe(answered, names="value")
    return widgets.VBox([buttons, answer])


def number_box(asked: NumberQuestion):
    """A field for the number and a button, either of which answers."""
    import ipywidgets as widgets

    answer = widgets.HTMLMath()
    box = widgets.Text(
        description="Your prediction:",
        placeholder="a number",
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": "16em"},
    )

    def answered(change) -> None:
        if not change["new"].strip():
            return
        try:
            answer.value = verdict(asked.reply(change["new"]))
        except ValueError as error:
            answer.value = as_html(str(error))

    box.observe(answered, names="value")
    row = widgets.HBox([box, widgets.Label(asked.unit)]) if asked.unit else box
    return widgets.VBox([row, answer])
