"""The reader says what will happen before it is run; a wrong guess meets the misconception behind it.

Every question first puts plain text on the page (question, choices, the answer folded away), which reads
without a kernel and never changes from run to run; below it stand the buttons, and what the reader has
answered before. `flowlib.notebook.progress` keeps that on the reader's own disk.
"""

import html
import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from flowlib.notebook.course import find_chapter, tabulate
from flowlib.notebook.figures import palette
from flowlib.notebook.progress import note, recall, trouble
from flowlib.notebook.questions import ChoiceQuestion, NumberQuestion, OrderQuestion, Question, Reply

_questions: dict[str, Question] = {}  # in this kernel, in the order of the page
_tally = []  # the line that counts them, once there is one


def predict(
    question: str, choices: Sequence[str], answer: str, why: Mapping[str, str], because: str = "", id: str = ""
) -> ChoiceQuestion:
    """Ask the reader to choose before running.

    `why` answers every wrong choice with the misconception behind it; `because` is said for the right one.
    All of them may hold Markdown formulas and `code`. `id`, as Q3.2, is the question's name for good.

    Raises: ValueError where the answer is no choice, or a wrong choice has no misconception.
    """
    return ask(ChoiceQuestion(question, tuple(choices), answer, dict(why), because, id), choice_buttons)


def predict_number(
    question: str,
    answer: float,
    tol: float = 0.05,
    unit: str = "",
    why: Mapping[float, str] | None = None,
    because: str = "",
    id: str = "",
) -> NumberQuestion:
    """Ask for a number; `tol` is relative. `why` meets known wrong numbers with what lies behind them.

    Raises: ValueError where the answer is not finite or a wrong number in `why` would count as right.
    """
    return ask(NumberQuestion(question, answer, tol, unit, dict(why or {}), because, id), number_box)


def predict_order(
    question: str,
    items: Sequence[str],
    why: Mapping[tuple[str, ...], str] | None = None,
    because: str = "",
    id: str = "",
) -> OrderQuestion:
    """Ask to put 3 to 6 items in order; give them in the right one, the page shows them in another.

    `why` meets a wrong order: its key ("a", "b") stands for every answer with a somewhere before b, a longer
    key for more items that follow each other so. The first key that fits is said.

    Raises: ValueError where a key of `why` fits the right order or holds something that is no item.
    """
    return ask(OrderQuestion(question, tuple(items), dict(why or {}), because, id), order_box)


def progress() -> None:
    """Say which of the questions above are still open and how far the whole course is, and go on counting."""
    import ipywidgets as widgets
    from IPython.display import display

    show_text(
        f"**Your predictions.** {len(_questions)} questions were asked above. While the chapter is running, the table "
        "below says which of them are still open, and how far you are in the whole course. It is kept in a file on "
        "your own disk and goes nowhere else."
    )
    _tally[:] = [widgets.HTML(count_answers())]
    display(_tally[0])


def count_answers() -> str:
    """This chapter in a sentence or two, then the whole course as a table; HTML."""
    known = recall()
    answered = [known[key] for key in _questions if key in known and known[key].right]
    first = sum(one.tries == 1 for one in answered)
    left = [question.id or "one" for key, question in _questions.items() if key not in known or not known[key].right]
    sentences = [f"<b>{first} of {len(_questions)}</b> right at the first attempt, {len(answered) - first} later."]
    sentences.append(f"Still open in this chapter: {', '.join(left)}." if left else "None is open in this chapter.")
    return f"<p>{' '.join(sentences)}</p>{tabulate(known, find_chapter(_questions))}"


def ask(question: Question, widget):
    """The text that needs no kernel, then the widget, with a word on what was answered before."""
    import ipywidgets as widgets
    from IPython.display import display

    _questions[question.key] = question
    answer = widgets.HTMLMath(recall_answer(question))
    show_text(question.text())

    def reply(given) -> None:
        try:
            met = question.reply(given)
        except ValueError as error:  # no answer at all, as a word where a number must stand
            answer.value = to_html(str(error))
            return
        note(question.key, met.right)
        answer.value = write_verdict(met) + write_small(trouble())
        for line in _tally:
            line.value = count_answers()

    display(widgets.VBox([widget(question, reply), answer]))
    return question


def show_text(text: str) -> None:
    from IPython.display import display

    display({"text/markdown": text, "text/plain": text}, raw=True)


def recall_answer(question: Question) -> str:
    """What stands under a question that was answered on another day."""
    known = recall().get(question.key)
    done = "✓ You have answered this right before." if known and known.right else ""
    return write_small(" ".join([done, trouble()]).strip())


def write_small(sentence: str) -> str:
    return f'<span style="opacity: 0.75">{html.escape(sentence)}</span>' if sentence else ""


def to_html(text: str) -> str:
    """Markdown's `code`, **strong** and *stress* as HTML, formulas left alone."""
    parts = re.split(r"(\$[^$]+\$)", html.escape(text, quote=False))
    for i in range(0, len(parts), 2):  # every other one is a formula
        parts[i] = re.sub(r"`([^`]+)`", r"<code>\1</code>", parts[i])
        parts[i] = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", parts[i])
        parts[i] = re.sub(r"\*([^*]+)\*", r"<i>\1</i>", parts[i])
    return "".join(parts)


def write_verdict(reply: Reply) -> str:
    """A reply as HTML; a word and a sign carry the verdict, the colour only repeats it."""
    colour, word = (palette.FEED_FORWARD, "✓ Right.") if reply.right else (palette.LAYER_NORM, "✗ Not so.")
    style = f"border-left: 4px solid {colour}; padding: 2px 10px; line-height: 1.5; margin: 4px 0"
    return f'<div role="status" style="{style}"><b>{word}</b> {to_html(reply.sentence)}</div>'


def choice_buttons(question: ChoiceQuestion, reply):
    """One button a choice, lettered as in the text above it."""
    import ipywidgets as widgets

    letters = ascii_uppercase[: len(question.choices)]
    buttons = widgets.ToggleButtons(
        options=list(zip(letters, question.choices)),
        value=None,
        tooltips=[f"answer {letter}" for letter in letters],
        style={"button_width": "3.5em", "description_width": "initial"},
        description="Your prediction:",
        tooltip="choose a letter",
    )
    buttons.observe(lambda change: change["new"] is not None and reply(change["new"]), names="value")
    return buttons


def number_box(question: NumberQuestion, reply):
    import ipywidgets as widgets

    box = text_box("a number, then Enter", reply)
    return widgets.HBox([box, widgets.Label(question.unit)]) if question.unit else box


def order_box(question: OrderQuestion, reply):
    """The order as a word of letters. A list of letters to choose from for each place would look better, but in
    JupyterLab a key pressed in it is a command to the notebook: `a` and `b` insert cells, the arrows leave it."""
    letters = ascii_uppercase[: len(question.items)]
    return text_box(f"the letters {letters} in order, then Enter", reply)


def text_box(placeholder: str, reply):
    """A line to type in; the return key answers."""
    import ipywidgets as widgets

    box = widgets.Text(
        description="Your prediction:",
        tooltip=placeholder,
        placeholder=placeholder,
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": "30em", "max_width": "100%"},
    )
    box.observe(lambda change: change["new"].strip() and reply(change["new"]), names="value")
    return box
