"""Predictions that are stated before they are measured, and a table of hits and misses that nobody writes by hand.

forecasts = Forecasts()
forecasts.say("Euler on u' = -4u breaks at the step", 0.5, within=0.05, by="2/|λ|")
forecasts.found("Euler on u' = -4u breaks at the step", 0.497)      # prints: predicted 0.5, measured 0.497: hit
forecasts.table()                                                    # Markdown, with what was never measured, too

With words= a forecast is a sentence: "the loss rises in {} of 24 steps"; what was said and what came both fill it.
"""

import math
from dataclasses import dataclass, field

NEVER = "never"  # how ∞ is written
CHANCE = "a forecast is a number with within=, or one of at_most= and at_least="


@dataclass
class Forecast:
    """What was said of one number before it was measured: it lies in [low, high]."""

    low: float
    high: float
    said: str
    by: str
    words: str = ""
    never: str = ""
    measured: float | None = None

    @property
    def hit(self) -> bool | None:
        return None if self.measured is None else self.low <= self.measured <= self.high

    @property
    def verdict(self) -> str:
        return {None: "not measured", True: "hit", False: "**miss**"}[self.hit]

    @property
    def expected(self) -> str:
        """What was said, as a sentence where there are words for it."""
        return self._sentence(self.said)

    @property
    def came(self) -> str:
        """What was measured, in the same words; "" where nothing was."""
        return "" if self.measured is None else self._sentence(write_number(self.measured))

    def _sentence(self, number: str) -> str:
        if number == NEVER:
            return self.never or NEVER
        return self.words.format(number) if self.words else number


@dataclass
class Forecasts:
    """Predictions by name, in the order in which they were stated."""

    stated: dict[str, Forecast] = field(default_factory=dict)

    def say(
        self,
        name: str,
        number: float | None = None,
        *,
        within: float | None = None,
        at_most: float | None = None,
        at_least: float | None = None,
        by: str = "",
        words: str = "",
        never: str = "",
    ) -> None:
        """State a prediction and its criterion: number ± within (relative), or a bound; by: the equation it is from.

        A measured number that lies in the interval is a hit. ∞ stands for "never", and only ∞ hits it.
        words: the forecast as a sentence with {} where the number goes; never: the sentence for ∞.
        Raises: ValueError for words without {}, for a criterion that is none, and where the name has been measured:
                then it is too late.
        """
        if words and "{}" not in words:
            raise ValueError(f"words must hold {{}}, where the number goes, got {words!r}")
        if name in self.stated and self.stated[name].measured is not None:
            raise ValueError(f"{name!r} has been measured already; a prediction comes before")
        given = [z is not None for z in (number, at_most, at_least)]
        if sum(given) != 1 or (number is None) != (within is None):
            raise ValueError(f"{CHANCE}; got number {number}, within {within}, at_most {at_most}, at_least {at_least}")
        if number is None:
            low, high = (-math.inf, at_most) if at_least is None else (at_least, math.inf)
            most, least = ("at most ", "at least ") if words else ("≤ ", "≥ ")
            said = most + write_number(at_most) if at_least is None else least + write_number(at_least)
        elif math.isinf(number):
            low = high = number
            said = write_number(number)
        else:
            low, high = sorted((number * (1 - within), number * (1 + within)))
            said = f"{write_number(number)} ± {100 * within:.0f} %"
        self.stated[name] = Forecast(low, high, said, by, words, never)

    def found(self, name: str, value: float) -> None:
        """Write down what was measured, once, and say what became of the prediction.

        Raises: ValueError for a name that nothing was said of, a second measurement, and NaN.
        """
        if name not in self.stated:
            raise ValueError(f"nothing was predicted of {name!r}; say it before it is measured: {list(self.stated)}")
        one = self.stated[name]
        if one.measured is not None:
            raise ValueError(
                f"{name!r} was measured as {write_number(one.measured)} already; a second try needs a new name"
            )
        value = float(value)
        if math.isnan(value):
            raise ValueError(f"the measured value of {name!r} is not a number; look at what made it")
        one.measured = value
        if one.words:
            print(f"{name}\n   expected: {one.expected}\n   came:     {one.came}   → {one.verdict.strip('*')}")
            return
        print(f"{name}: predicted {one.said}, measured {write_number(value)}: {one.verdict.strip('*')}")

    def table(self):
        """All predictions as a Markdown table, with the count of hits above it."""
        from IPython.display import Markdown

        return Markdown(self.text())

    def text(self) -> str:
        measured = [one for one in self.stated.values() if one.hit is not None]
        lines = [
            f"**{sum(one.hit for one in measured)} of {len(measured)}** predictions hit.",
            "",
            "| forecast | because | expected | what came | |",
            "|---|---|---|---|---|",
        ]
        for name, one in self.stated.items():
            lines.append(f"| {name} | {one.by} | {one.expected} | {one.came} | {one.verdict} |")
        return "\n".join(lines)


def write_number(value: float) -> str:
    """Three digits, and "never" for ∞."""
    return NEVER if math.isinf(value) else f"{value:.3g}"
