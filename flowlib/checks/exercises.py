"""What the checks of all assignments are made of."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowlib.checks.blame import copy_of, in_words, refuse_changes
from flowlib.checks.compare import COARSE, CheckFailed, agrees, as_tensor, confirm, is_coarse
from flowlib.checks.misconceptions import Misconception, name_of, sentence_of

Inputs = Callable[[torch.Generator], tuple]
DRAWS = 8  # inputs on which an answer must agree with a wrong way before it is told so


@dataclass(frozen=True)
class Law:
    """What must hold of a right answer: holds(answer, generator) is True, or a sentence that says what fails."""

    name: str
    holds: Callable[[Callable, torch.Generator], bool | str]
    sentence: str


@dataclass
class Exercise:
    """One task: how its inputs are drawn, wrong ways that are recognised, laws that must hold, and three hints.

        attend = Exercise("3.2", inputs=..., hints=("…", "…", "…"))

        @attend.wrong
        def unweighted(q, k, v, weights):
            \"""The weights of the tokens are missing: …\"""
            return …

        @attend.law
        def constant(answer, generator):
            \"""Where all tokens say the same, that is what every listener must hear.\"""
            return …

        attend.check(my_function)

    The function's name names the wrong way or the law, its docstring is the sentence that meets it.
    """

    name: str
    inputs: Inputs
    hints: tuple[str, str, str]
    tol: float = 1e-6
    wrongs: list[Misconception] = field(default_factory=list)
    laws: list[Law] = field(default_factory=list)
    cell: str = ""  # the id of the cell that holds the solution, in exercises/source
    tensor: bool = False  # whether the answer must be a tensor, since a later task calculates with it
    shown: int = field(default=0, init=False)
    tries: int = field(default=0, init=False)

    def wrong(self, way: Callable) -> Callable:
        """Register a wrong way, called as way(*inputs). Raises: ValueError without a docstring, or for a taken name."""
        self._add(self.wrongs, Misconception(name_of(way), way, sentence_of(way)))
        return way

    def wrong_numbers(self, **known: tuple[Any, str]) -> None:
        """Register wrong numbers of a task by hand: name=(the numbers, the sentence that meets them), …"""
        self.wrong_ways(**{name: (lambda values=values: values, said) for name, (values, said) in known.items()})

    def wrong_ways(self, **known: tuple[Callable, str]) -> None:
        """Register wrong ways that are short enough for a table: name=(way, the sentence that meets it), …"""
        for name, (way, sentence) in known.items():
            self._add(self.wrongs, Misconception(name.replace("_", " "), way, sentence))

    def law(self, holds: Callable) -> Callable:
        """Register a law, called as holds(answer, generator). Raises: as `wrong`."""
        self._add(self.laws, Law(name_of(holds), holds, sentence_of(holds)))
        return holds

    def _add(self, known: list, new: Misconception | Law) -> None:
        if new.name in {each.name for each in (*self.wrongs, *self.laws)}:
            raise ValueError(f"{self.name} has {new.name!r} already: a wrong way or a law needs a name of its own")
        known.append(new)

    def check(self, answer: Callable, seed: int | None = None) -> None:
        """Try the answer on fresh inputs; say which misconception it agrees with, or which law it breaks.

        seed: the same seed draws the same inputs; without one they are new each time, and a failure names its seed.
        Raises: CheckFailed.
        """
        self.examine(answer, seed)
        confirm(f"exercise {self.name}")

    def examine(self, answer: Callable, seed: int | None = None) -> None:
        """The same, silent where it holds: for a task whose parts are checked one by one. Raises: CheckFailed."""
        if not callable(answer):
            raise CheckFailed(f"{self.name}: a function must come here, got {type(answer).__name__}")

        seed = secrets.randbelow(10**6) if seed is None else seed
        with in_words(f"exercise {self.name}"):
            self._try(answer, seed)

    def _try(self, answer: Callable, seed: int) -> None:
        """The answer against the wrong ways first, then against the laws. Raises: CheckFailed."""
        coarse = []

        def attempt(*inputs):
            given = [copy_of(z) for z in inputs]
            result = answer(*inputs)
            self.tries += 1
            if self.tensor and isinstance(result, (list, tuple)):
                raise CheckFailed(
                    f"exercise {self.name}: a list came back. Return a tensor, of the shape that is asked for"
                )
            refuse_changes(answer, given, inputs)
            coarse.append(is_coarse(result) and any(isinstance(z, Tensor) and z.dtype == torch.float64 for z in inputs))
            return result

        draws = [self.inputs(torch.Generator().manual_seed(seed + again)) for again in range(2 if self.wrongs else 0)]
        mine = [as_tensor(self.call(attempt, *drawn), f"exercise {self.name}") for drawn in draws]
        for known in self.wrongs:
            said = [agrees(known, came, drawn, self.tol) for came, drawn in zip(mine, draws)]
            if True in said and False not in said and self._agrees_again(known, attempt, seed):
                raise CheckFailed(f"{known.sentence} (seed {seed})")
        for law in self.laws:
            held = law.holds(attempt, torch.Generator().manual_seed(seed))
            if held is not True and any(coarse):
                raise CheckFailed(f"exercise {self.name}: {COARSE}")
            if held is not True:
                raise CheckFailed(f"{law.sentence}{f' {held}' if isinstance(held, str) else ''} (seed {seed})")

    def _agrees_again(self, known: Misconception, answer: Callable, seed: int) -> bool:
        """Whether the answer is the wrong way on more draws, too: on two a right one may be, by chance."""
        for again in range(2, DRAWS):
            drawn = self.inputs(torch.Generator().manual_seed(seed + again))
            try:
                came = as_tensor(self.call(answer, *drawn), f"exercise {self.name}")
            except Exception:  # where the answer breaks, it says nothing of the wrong way
                continue
            if agrees(known, came, drawn, self.tol) is False:
                return False
        return True

    def call(self, answer: Callable, *inputs) -> Any:
        """answer(*inputs), on copies: an answer that changes its inputs must not change the check."""
        return answer(*(copy_of(z) for z in inputs))

    def hint(self, level: int | None = None) -> None:
        """Print a hint: the first, then the second, then the third; or the one of that level, 1 to 3."""
        self.shown = min(self.shown + 1, 3) if level is None else max(1, min(level, 3))
        print(f"Hint {self.shown} of 3: {self.hints[self.shown - 1]}")

    def reveal(self) -> None:
        """Print the solution and why it is one, once the check has seen an answer of yours.

        For those who study alone: it is read from exercises/source, which a class does not have.
        Raises: CheckFailed before an attempt; FileNotFoundError where there are no solutions.
        """
        if not self.tries:
            raise CheckFailed(
                f"{self.name}: first an attempt. Write an answer that runs, right or wrong, and check "
                f"it; or take a hint()."
            )
        print(solution(self.name, self.cell))


def solution(task: str, cell: str) -> str:
    """The text between the solution marks of a cell, from the exercises/source above the working folder.

    Raises: FileNotFoundError where there is none.
    """
    for folder in (Path.cwd(), *Path.cwd().parents):
        for file in sorted(folder.glob(f"exercises/source/{int(task.split('.')[0]):02d}_*/*.ipynb")):
            for found in json.loads(file.read_text("utf-8"))["cells"]:
                if found.get("id") == cell:
                    lines = "".join(found["source"]).splitlines()
                    return "\n".join(line for line in lines if not line.strip().startswith(("### BEGIN", "### END")))
    raise FileNotFoundError(
        f"the solution of {task} is not here: it lies in exercises/source of the course, which your teacher keeps"
    )


def draw(generator: torch.Generator, *shape: int) -> Tensor:
    """Normal numbers in float64, from the generator."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """A number between low and high, from the generator."""
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


def numbers(values: Any, what: str) -> Tensor:
    """as_tensor, which says of a list which of its entries is no number. Raises: CheckFailed."""
    try:
        return as_tensor(values, what)
    except CheckFailed:
        for entry in values if isinstance(values, (list, tuple)) else ():
            if not is_number(entry):
                raise CheckFailed(f"{what}: every entry of the list must be a number, got {entry!r:.40}") from None
        raise


MEASURES = {  # what one number can be of a vector of differences, and what it is called
    "the length": lambda z: z.norm(),
    "the square of the length: its root is missing": lambda z: z.square().sum(),
    "the root of the mean square, not of the sum": lambda z: z.square().mean().sqrt(),
    "the mean square": lambda z: z.square().mean(),
    "the largest entry": lambda z: z.abs().max(),
    "the sum of the absolute entries": lambda z: z.abs().sum(),
    "the mean of the absolute entries": lambda z: z.abs().mean(),
    "the sum, in which signs cancel: abs is missing": lambda z: z.sum(),
    "the mean, in which signs cancel: abs is missing": lambda z: z.mean(),
    "the largest entry with its sign: abs is missing": lambda z: z.max(),
}


def name_measure(value: Tensor, vector: Tensor) -> str:
    """What of a vector the number is: its length, its largest entry, …; "" where it is none of them."""
    if value.numel() > 1:
        return f"Yours has {value.numel()} entries; one number is asked for."
    known = (f"This is {name}." for name, way in MEASURES.items() if abs(value.item() - way(vector).item()) < 1e-6)
    return next(known, "")


def is_number(entry: Any) -> bool:
    """Whether the entry is one number."""
    try:
        return as_tensor(entry, "an entry").ndim == 0
    except CheckFailed:
        return False


def three_numbers(values: Any, what: str, each: str = "token") -> Tensor:
    """Three numbers of a task by hand, as a vector. Raises: CheckFailed."""
    found = numbers(values, what)
    if found.shape != (3,):
        raise CheckFailed(f"{what} must be three numbers, one for each {each}")
    return found


def three_tokens(values: Any, what: str, features: int) -> Tensor:
    """Three tokens of a task by hand, (3, features). Raises: CheckFailed."""
    if values is None or values is Ellipsis:
        raise CheckFailed(f"{what}: there is nothing here yet")
    rows = [numbers(token, f"a token of {what}") for token in values] if hasattr(values, "__len__") else []
    if len(rows) != 3 or any(row.shape != (features,) for row in rows):
        many = {2: "two", 4: "four"}.get(features, features)
        raise CheckFailed(f"{what} must be three tokens with {many} numbers each: [[…], […], […]]")
    return torch.stack(rows)
