"""What a reader needs, in six questions: each answers at once, and says what to read where it was new."""

from collections.abc import Callable
from dataclasses import dataclass

from flowlib.notebook.predict import choice_buttons, show_text, write_verdict
from flowlib.notebook.questions import ChoiceQuestion, Reply

ALGEBRA = (
    "in the video series *Essence of Linear Algebra* by 3Blue1Brown, or Gilbert Strang's lectures *18.06 Linear "
    "Algebra* at MIT OpenCourseWare"
)


@dataclass(frozen=True)
class Prerequisite:
    """One thing that the course takes for granted: a question about it, and what to read first where it is new."""

    name: str
    read: str
    asked: ChoiceQuestion

    def text(self, number: int) -> str:
        """The question as Markdown that needs no kernel."""
        opening = f"**{number}. {self.name}.** {self.asked.question}"
        return self.asked.write(opening, f"\n\nIf this is new to you: {self.read}.")


def ask_for(name: str, read: str, question: str, answer: str, because: str, wrong: dict[str, str], order: str):
    """A prerequisite; `order` says where its right answer R and its wrong ones W stand: "WRW"."""
    others = iter(wrong)
    choices = tuple(answer if place == "R" else next(others) for place in order)
    return Prerequisite(name, read, ChoiceQuestion(question, choices, answer, wrong, because))


PREREQUISITES = (
    ask_for(
        "Dot product",
        f"what is said about dot products {ALGEBRA}",
        "What is $(1, 2, 3)\\cdot(2, 0, -1)$?",
        "$-1$",
        "$1\\cdot 2 + 2\\cdot 0 + 3\\cdot(-1) = -1$.",
        {
            "$(2, 0, -3)$": "These are the products of the entries. The dot product is their sum, one number.",
            "$5$": "The last product is $3\\cdot(-1) = -3$, with a minus.",
        },
        "WRW",
    ),
    ask_for(
        "Matrix times vector",
        f"what is said about matrices as maps {ALGEBRA}",
        "The matrix $A$ has the rows $(1, 2)$ and $(0, 3)$. What is $A\\,(1, 1)$?",
        "$(3, 3)$",
        "Each row's dot product with the vector: $1 + 2$ and $0 + 3$.",
        {
            "$(1, 5)$": "These are the sums of the columns, which is the vector times the matrix.",
            "$A$ itself": "That multiplies entry by entry. A matrix times a vector then adds up each row.",
        },
        "RWW",
    ),
    ask_for(
        "Derivative",
        "*Calculus Volume 1* by OpenStax, chapter 3, *Derivatives*",
        "What is the derivative of $e^{-2t}$ with respect to $t$?",
        "$-2\\,e^{-2t}$",
        "The exponential stays as it is, times the derivative of the inside, $-2$.",
        {
            "$e^{-2t}$": "The chain rule also asks for the derivative of the inside, $-2$.",
            "$-2t\\,e^{-2t-1}$": "That is the rule for powers of $t$. Here $t$ is in the exponent.",
        },
        "WWR",
    ),
    ask_for(
        "Integral",
        "*Calculus Volume 1* by OpenStax, chapter 5, *Integration*",
        "What is $\\int_0^1 3x^2\\,dx$?",
        "$1$",
        "$x^3$ has the derivative $3x^2$, so the integral is $1^3 - 0^3$.",
        {
            "$6$": "That is the derivative, $6x$, at $x = 1$.",
            "$3$": "That is the height of the curve at $x = 1$. The integral is the area below it, from $0$ to $1$.",
        },
        "WRW",
    ),
    ask_for(
        "Softmax",
        "the section *Softmax Regression* of the free book *Dive into Deep Learning* (d2l.ai)",
        "What is the softmax of $(0, \\ln 3)$?",
        "$(1/4,\\ 3/4)$",
        "The exponentials are $1$ and $3$; divided by their sum, $4$, they add up to one.",
        {
            "$(0,\\ 1)$": "The larger one gets the larger share, and not all of it.",
            "$(1,\\ 3)$": "These are the exponentials. They have yet to be divided by their sum.",
        },
        "RWW",
    ),
    ask_for(
        "Shapes in PyTorch",
        "the page *Tensors* of PyTorch's own tutorial *Learn the Basics*",
        "What is the shape of `torch.zeros(2, 5, 3) @ torch.zeros(3, 4)`?",
        "`(2, 5, 4)`",
        "`@` multiplies the last two dimensions, $5\\times 3$ by $3\\times 4$, for each of the two matrices.",
        {
            "`(2, 3, 4)`": "The dimensions that meet, $3$ and $3$, are summed over and are gone.",
            "none, it is an error": "The second matrix is used for each of the two of the first tensor.",
        },
        "WWR",
    ),
)


def self_test() -> None:
    """Ask six short questions about what the course takes for granted, and say what to read first.

    The questions and their answers, folded away, read without a kernel. Nothing is kept.
    """
    import ipywidgets as widgets
    from IPython.display import display

    met: dict[str, bool] = {}
    verdict = widgets.HTML(write_advice(met))
    show_text(
        f"**Are you ready?** {len(PREREQUISITES)} short questions about what this course takes for granted. Choose a "
        "letter below each; it answers at once. Your answers are not kept."
    )
    for number, one in enumerate(PREREQUISITES, 1):
        show_text(one.text(number))
        said = widgets.HTMLMath()
        display(widgets.VBox([choice_buttons(one.asked, answer(one, met, said, verdict), "Your answer:"), said]))
    display(verdict)


def answer(one: Prerequisite, met: dict[str, bool], said, verdict) -> Callable[[str], None]:
    """What a choice is met with: the reply, and the advice at the end. The first choice counts."""

    def reply(choice: str) -> None:
        found: Reply = one.asked.reply(choice)
        met.setdefault(one.name, found.right)
        said.value = write_verdict(found)
        verdict.value = write_advice(met)

    return reply


def write_advice(met: dict[str, bool]) -> str:
    """What to read first, after the questions that were met so far; HTML."""
    from flowlib.notebook.predict import to_html

    left = len(PREREQUISITES) - len(met)
    missed = [one for one in PREREQUISITES if met.get(one.name) is False]
    said = [f"<b>{sum(met.values())} of {len(PREREQUISITES)}</b> right at the first attempt."]
    said += [f"{left} still to answer."] if left else []
    if missed:
        rows = "".join(f"<li>{to_html(f'{one.name}: {one.read}')}.</li>" for one in missed)
        said.append(f"Before you go on, look at<ul>{rows}</ul>")
    elif not left:
        said.append("You have all that you need.")
    return " ".join(said)
