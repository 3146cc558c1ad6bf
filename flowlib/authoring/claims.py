"""The claims ledger: what the chapters claim, where each claim is derived, the test that measures it, and the figure.

A claim stands in a chapter, `> **Claim C3.2.** …`, and on a test, `@pytest.mark.claim("C3.2")`. The test puts what it
measures, and the bound, into the fixture `measured`; `measure` runs those tests and collects it. `flowlib claims` is
the command; what it shows and writes is made in ledger.py.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowlib.authoring.notebooks import prose, read
from flowlib.cores import count_cores

STATEMENT = re.compile(r"^> \*\*Claim (C\d+\.\d+)\.\*\* (.+(?:\n>.+)*)", re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Figure:
    """One figure that a test measured, over all its cases: from low to high, and what it must be."""

    test: str
    what: str
    low: float
    high: float
    must: str
    passed: bool

    @property
    def value(self) -> str:
        """The range; of a figure with one bound, the end that is nearest to it."""
        low, high = (f"{z:#.3g}".rstrip(".") if z else "0" for z in (self.low, self.high))
        if self.must.startswith(("≤", "≥")):
            return high if self.must.startswith("≤") else low
        return low if low == high else f"{low} … {high}"


@dataclass(frozen=True)
class Claim:
    """A statement, the chapter and section that derive it, and what its tests measured."""

    name: str
    statement: str
    chapter: Path
    section: str
    figures: list[Figure] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return bool(self.figures) and all(figure.passed for figure in self.figures)


@dataclass(frozen=True)
class Ledger:
    """All claims, and what is missing on one side: stated and tested nowhere, tested and stated nowhere."""

    claims: list[Claim]
    untested: list[str]
    unstated: list[str]

    @property
    def failing(self) -> list[str]:
        return [claim.name for claim in self.claims if not claim.holds and claim.name not in self.untested]

    @property
    def sound(self) -> bool:
        return not (self.untested or self.unstated or self.failing)

    def verdict(self) -> str:
        figures = sum(len(claim.figures) for claim in self.claims)
        said = [f"{len(self.claims)} claims, {figures} figures"]
        for names, what in (
            (self.untested, "stated in a chapter, and on no test"),
            (self.unstated, "on a test, and stated in no chapter"),
            (self.failing, "failing, or not measured"),
        ):
            said += [f"{', '.join(names)}: {what}"] if names else []
        return "\n".join([*said, "none unmapped, none failing"] if self.sound else said)


def find_statements(chapters: Iterable[Path]) -> list[Claim]:
    """The claims as the chapters state them, in order, each with the heading that it stands under."""
    found = []
    for path in sorted(chapters):
        section = ""
        for text in prose(read(path)):
            marks = [*HEADING.finditer(text), *STATEMENT.finditer(text)]
            for mark in sorted(marks, key=lambda mark: mark.start()):
                if mark.re is HEADING:
                    section = mark[1].strip()
                else:
                    statement = " ".join(mark[2].replace("\n>", " ").split())
                    found.append(Claim(mark[1], statement, path, section))
    return sorted(found, key=lambda claim: order_key(claim.name))


def find_marks(files: Iterable[Path]) -> dict[str, list[str]]:
    """claim -> the places that carry `pytest.mark.claim("C3.2")`, read from the tests, which are not run."""
    found: dict[str, list[str]] = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.claim")):
                continue
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found.setdefault(argument.value, []).append(f"{file.name}:{node.lineno}")
    return found


def order_key(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", name)))


def measure(root: Path) -> list[dict]:
    """Run the tests of all claims (a minute or two); for each, the claims it is of, the figures, whether it passed.

    Raises: ChildProcessError where pytest could not run them at all.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measured.json"
        environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        ran = subprocess.run(pytest_command(file), cwd=root, env=environment, stdout=2)  # progress: to stderr
        if not file.is_file():
            raise ChildProcessError(
                f"pytest ended with {ran.returncode} before a claim was measured; its message stands above. "
                "Are the tests' packages installed?  pip install -e '.[lab,test]'"
            )
        return read_figures(file)


def read_figures(file: Path) -> list[dict]:
    """What `pytest --claims-to=FILE` wrote of the tests of all claims, in the order of their names.

    Raises: FileNotFoundError; ValueError where the file is something else.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; it is written by: make test TEST_ARGS=--claims-to={file}")
    try:
        return sorted(json.loads(file.read_text("utf-8")), key=lambda row: row["test"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{file} is not what pytest --claims-to={file} writes ({error})") from None


def pytest_command(file: Path) -> list[str]:
    """What runs the tests of claims, in two processes where there are cores for them; the figures go to the file."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--disable-warnings", "--tb=line"]
    command += ["-p", "no:cacheprovider", "-m", "claim", f"--claims-to={file}", "tests"]
    return [*command, "--numprocesses=2", "--dist=loadfile"] if count_cores() > 1 else command


def collect_figures(rows: Iterable[dict]) -> dict[str, list[Figure]]:
    """claim → its figures; the cases of one test that measure the same thing are one figure, with a range."""
    found: dict[str, dict[tuple, Figure]] = {}
    for row in rows:
        test = row["test"].split("[")[0]
        for claim in row["claims"]:
            of_claim = found.setdefault(claim, {})
            for one in row["figures"] or [{"what": "nothing was measured", "low": 0, "high": 0, "must": "a figure"}]:
                key = (test, one["what"], one["must"])
                old = of_claim.get(key)
                low, high, passed = one["low"], one["high"], row["passed"] and bool(row["figures"])
                if old:
                    low, high, passed = min(low, old.low), max(high, old.high), passed and old.passed
                of_claim[key] = Figure(test, one["what"], low, high, one["must"], passed)
    return {claim: sorted(figures.values(), key=lambda f: (f.test, f.what)) for claim, figures in found.items()}


def make_ledger(root: Path, rows: Sequence[dict]) -> Ledger:
    """The chapters' statements, the tests' marks and what was measured, held against each other."""
    statements = find_statements((root / "chapters").glob("*.ipynb"))
    tested = set(find_marks(sorted((root / "tests").rglob("*.py"))))
    figures = collect_figures(rows)
    claims = [Claim(c.name, c.statement, c.chapter, c.section, figures.get(c.name, [])) for c in statements]
    names = {claim.name for claim in claims}
    untested, unstated = (sorted(some, key=order_key) for some in (names - tested, tested - names))
    return Ledger(claims, untested, unstated)
