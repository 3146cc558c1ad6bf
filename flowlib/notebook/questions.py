"""Questions to a reader, their answers, and the misconception behind each wrong one. No widgets here, no disk.

Three kinds: choose, give a number, put in order. Each can say itself as Markdown that needs no kernel, with
the answer folded away, and each answers `reply(...)` with a sentence.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from string import ascii_uppercase

PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")


@dataclass(frozen=True)
class Reply:
    """What a reader's answer is met with."""

    right: bool
    sentence: str


class OnPage:
    """Something that displayed itself when it was made: a cell which ends in it shows nothing more."""

    def _ipython_display_(self) -> None:
        pass


class Question(OnPage):
    """What all questions share: a key that stays the same wherever the question stands."""

    question: str
    id: str

    @property
    def key(self) -> str:
        return self.id or hashlib.sha256(self.question.encode()).hexdigest()[:12]

    def facts(self) -> dict:
        """What a page that has no kernel needs to answer a reader; it is stored beside the question's text."""
        raise NotImplementedError

    def opening(self, call: str) -> str:
        return f"**{call} ({self.id}).** {self.question}" if self.id else f"**{call}.** {self.question}"


@dataclass(frozen=True)
class ChoiceQuestion(Question):
    """A question with choices: `reply(choice)` says whether it is right, and why not."""

    question: str
    choices: tuple[str, ...]
    answer: str
    why: Mapping[str, str] = field(default_factory=dict)
    because: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        if len(self.choices) < 2 or len(set(self.choices)) < len(self.choices):
            raise ValueError(f"a question needs at least two choices, all different; got {list(self.choices)}")
        if self.answer not in self.choices:
            raise ValueError(f"the answer must be one of the choices {list(self.choices)}; got {self.answer!r}")
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

    @property
    def letters(self) -> dict[str, str]:
        return dict(zip(self.choices, ascii_uppercase))

    def facts(self) -> dict:
        return {"id": self.id, "kind": "choice", "answer": self.letters[self.answer]}

    def text(self) -> str:
        """The question as Markdown that needs no kernel."""
        return self.write(self.opening("Predict"))

    def write(self, opening: str, more: str = "") -> str:
        """The same below another opening, with more words after the answer."""
        wrong = {letter: self.why[choice] for choice, letter in self.letters.items() if choice in self.why}
        answer = f"**{self.letters[self.answer]}.** {self.because or self.answer}{more}"
        return list_letters(opening, self.choices) + fold(answer, wrong)


@dataclass(frozen=True)
class NumberQuestion(Question):
    """A question whose answer is a number, right within `tol` relative to it (absolute where it is 0)."""

    question: str
    answer: float
    tol: float = 0.05
    unit: str = ""
    why: Mapping[float, str] = field(default_factory=dict)
    because: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.answer, Real) and math.isfinite(self.answer)):
            raise ValueError(f"the answer must be a finite number; got {self.answer!r}")
        if self.tol < 0:
            raise ValueError(f"tol must be >= 0; got {self.tol}")
        clash = [value for value in self.why if self._is_near(value, self.answer)]
        if clash:
            raise ValueError(f"why explains {clash}, which counts as right within tol={self.tol}")

    def _reach(self, target: float) -> float:
        """How far from it a number may be that counts as this one."""
        return self.tol * (abs(target) or 1.0) + 1e-12

    def _is_near(self, value: float, target: float) -> bool:
        return abs(value - target) <= self._reach(target)

    def reply(self, value: float | str) -> Reply:
        value = read_number(value)
        if self._is_near(value, self.answer):
            return Reply(True, self.because or f"Yes: {self.answer:g}{write_unit(self.unit)}.")
        for guess, sentence in self.why.items():
            if self._is_near(value, guess):
                return Reply(False, sentence)
        if value * self.answer < 0:
            return Reply(False, "The sign is the other one.")
        hint = "larger" if abs(value) < abs(self.answer) else "smaller"
        return Reply(False, f"It is {hint} in size. Write down the formula first, then put the numbers in.")

    def facts(self) -> dict:
        answer, *wrong = ([value, self._reach(value)] for value in (self.answer, *self.why))
        return {"id": self.id, "kind": "number", "answer": answer, "wrong": wrong}

    def text(self) -> str:
        """The question as Markdown that needs no kernel."""
        answer = f"**{self.answer:.4g}{write_unit(self.unit)}.** {self.because}".strip()  # a bare `50.` begins a list
        wrong = {f"{value:.4g}{write_unit(self.unit)}": sentence for value, sentence in self.why.items()}
        return self.opening("Predict a number") + fold(answer, wrong)


@dataclass(frozen=True)
class OrderQuestion(Question):
    """Items to be put in order; they are given in the right one, and stand on the page in a fixed other one.

    A key of `why` is a tuple of items in a wrong order: its sentence meets every answer in which these items
    follow each other so, whatever stands between them. A pair says "a before b", all items name one order.
    """

    question: str
    items: tuple[str, ...]
    why: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    because: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        if not 3 <= len(set(self.items)) == len(self.items) <= len(PLACES):
            raise ValueError(f"an order needs 3 to {len(PLACES)} items, all different; got {list(self.items)}")
        for wrong in self.why:
            if len(wrong) < 2 or len(set(wrong)) < len(wrong) or not set(wrong) <= set(self.items):
                raise ValueError(f"why must be keyed by tuples of two or more different items; got {wrong!r}")
            if follow(wrong, self.items):
                raise ValueError(f"why explains {wrong!r}, which is in the right order")

    @property
    def order_on_page(self) -> tuple[str, ...]:
        """The items as the reader meets them: shuffled, the same way each time, and never in the right order."""
        mixed = sorted(self.items, key=lambda item: hashlib.sha256((self.question + item).encode()).digest())
        return tuple(mixed) if tuple(mixed) != self.items else (*mixed[1:], mixed[0])

    @property
    def letters(self) -> dict[str, str]:
        return dict(zip(self.order_on_page, ascii_uppercase))

    def spell(self, items: Sequence[str], between: str = "") -> str:
        """Some of the items as the letters that stand before them."""
        return between.join(self.letters[item] for item in items)

    def reply(self, order: str | Sequence[str]) -> Reply:
        """`order` as the items, or as a reader spells it: the letters that stand before the items, such as BCA."""
        order = self.read_letters(order) if isinstance(order, str) else tuple(order)
        if sorted(order) != sorted(self.items):
            raise ValueError(f"each of the items must come once; got {list(order)}")
        if order == self.items:
            return Reply(True, self.because or "Yes.")
        for wrong, sentence in self.why.items():
            if follow(wrong, order):
                return Reply(False, sentence)
        good = next(i for i, (mine, right) in enumerate(zip(order, self.items)) if mine != right)
        if good == 0:
            return Reply(False, "Something else comes first.")
        return Reply(False, f"It is right up to the {PLACES[good - 1]} place. Something else comes {PLACES[good]}.")

    def read_letters(self, letters: str) -> tuple[str, ...]:
        """The items on the page in the order of these letters: BCA, b c a and B, C, A are the same.

        Raises: ValueError unless each letter comes once.
        """
        named = {letter: item for item, letter in self.letters.items()}
        given = re.sub(r"[\s,.;<>→-]", "", letters).upper()
        if sorted(given) != sorted(named):
            raise ValueError(f"type each of the letters {''.join(named)} once, in your order; got {letters!r}")
        return tuple(named[letter] for letter in given)

    def facts(self) -> dict:
        wrong = [self.spell(some) for some in self.why]
        return {"id": self.id, "kind": "order", "answer": self.spell(self.items), "wrong": wrong}

    def text(self) -> str:
        """The question as Markdown that needs no kernel."""
        answer = f"**{self.spell(self.items)}.** {self.because}".strip()
        wrong = {self.spell(some, " before "): sentence for some, sentence in self.why.items()}
        return list_letters(self.opening("Predict an order"), self.order_on_page) + fold(answer, wrong)


def follow(some: Sequence[str], order: Sequence[str]) -> bool:
    """Whether `some` items follow each other in `order` as they do here, whatever stands between them."""
    places = [order.index(item) for item in some]
    return places == sorted(places)


def read_number(value: float | str) -> float:
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


def write_unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def list_letters(opening: str, items: Sequence[str]) -> str:
    rows = [f"- **{letter}.** {item}" for letter, item in zip(ascii_uppercase, items)]
    return "\n".join([opening, "", *rows])


def fold(answer: str, wrong: Mapping[str, str]) -> str:
    """The answer, and what lies behind each wrong one, folded away."""
    reasons = [f"- {name}: {sentence}" for name, sentence in wrong.items()]
    told = "\n\n".join([answer, *(["Why not another one:", "\n".join(reasons)] if reasons else [])])
    return f"\n\n<details><summary>Show the answer</summary>\n\n{told}\n\n</details>"
