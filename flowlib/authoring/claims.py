"""The claims ledger: what the chapters claim, where each claim is derived, the test that measures it, and the figure.

A claim stands in a chapter, `> **Claim C3.2.** …`, and on a test, `@pytest.mark.claim("C3.2")`. The test puts what it
measures, and the bound, into the fixture `measured`; `measure` runs those tests and collects it. `flowlib claims` is
the command, chapters/claims.md the page that it writes, tests/claims.json what it was written from.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from flowlib.authoring.execute import cores, read
from flowlib.authoring.rules import claims_tested
from flowlib.files import save_text

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


def root_of(folder: Path) -> Path:
    """The checkout of the course that `folder` lies in. Raises: FileNotFoundError where it lies in none."""
    for root in (folder, *folder.parents):
        if (root / "chapters").is_dir() and (root / "tests" / "conftest.py").is_file():
            return root
    raise FileNotFoundError(
        f"the claims are measured by the course's own tests, which must lie in a folder tests/ beside chapters/, but "
        f"{folder} is in no such folder; change to your copy of the course and try again"
    )


def stated(chapters: Iterable[Path]) -> list[Claim]:
    """The claims as the chapters state them, in order, each with the heading that it stands under."""
    found = []
    for path in sorted(chapters):
        section = ""
        for cell in read(path).cells:
            if cell.cell_type != "markdown":
                continue
            marks = [*HEADING.finditer(cell.source), *STATEMENT.finditer(cell.source)]
            for mark in sorted(marks, key=lambda mark: mark.start()):
                if mark.re is HEADING:
                    section = mark[1].strip()
                else:
                    statement = " ".join(mark[2].replace("\n>", " ").split())
                    found.append(Claim(mark[1], statement, path, section))
    return sorted(found, key=lambda claim: number(claim.name))


def number(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", name)))


def measure(root: Path) -> list[dict]:
    """Run the tests of all claims (a minute or two); for each, the claims it is of, the figures, whether it passed.

    Raises: ChildProcessError where pytest could not run them at all.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measured.json"
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--disable-warnings", "--tb=line"]
        command += ["-p", "no:cacheprovider", "-m", "claim", f"--claims-to={file}", "tests"]
        if cores() > 1:
            command += ["--numprocesses=2", "--dist=loadfile"]
        environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        ran = subprocess.run(command, cwd=root, env=environment, stdout=2)  # progress: to stderr
        if not file.is_file():
            raise ChildProcessError(
                f"pytest ended with {ran.returncode} before a claim was measured; its message stands above. "
                "Are the tests' packages installed?  pip install -e '.[lab,test]'"
            )
        return sorted(json.loads(file.read_text("utf-8")), key=lambda row: row["test"])


def figures_of(rows: Iterable[dict]) -> dict[str, list[Figure]]:
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


def ledger(root: Path, rows: Sequence[dict]) -> Ledger:
    """The chapters' statements, the tests' marks and what was measured, held against each other."""
    statements = stated((root / "chapters").glob("*.ipynb"))
    tested = set(claims_tested(sorted((root / "tests").rglob("*.py"))))
    figures = figures_of(rows)
    claims = [Claim(c.name, c.statement, c.chapter, c.section, figures.get(c.name, [])) for c in statements]
    names = {claim.name for claim in claims}
    untested, unstated = (sorted(some, key=number) for some in (names - tested, tested - names))
    return Ledger(claims, untested, unstated)


def table(book: Ledger) -> str:
    """The ledger for a terminal: a claim, where it is derived, and below it what was measured."""
    lines = []
    for claim in book.claims:
        lines += ["", f"{claim.name}  {'holds' if claim.holds else 'FAILS'}   {claim.statement}"]
        lines += [f"      {claim.chapter.stem}, “{claim.section}”"]
        for one in claim.figures:
            failed = "" if one.passed else "   FAILED"
            lines += [f"      {one.what:58s} {one.value:>22s}   must be {one.must:14s} {one.test}{failed}"]
    return "\n".join(lines)


def setting() -> dict[str, str]:
    """What the figures were measured with."""
    import torch

    return {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {cores()} CPU cores",
    }


def page(book: Ledger, with_what: dict[str, str]) -> str:
    """The ledger as a Markdown page beside the chapters."""
    lines = [INTRODUCTION.format(**with_what, verdict=book.verdict().replace("\n", ": "))]
    chapter = None
    for claim in book.claims:
        if claim.chapter != chapter:
            chapter = claim.chapter
            title = HEADING.search(read(chapter).cells[0].source)[1]
            lines.append(f"## [{title}]({chapter.name})\n")
        anchor = re.sub(r"\s", "-", claim.section)
        lines.append(f"**{claim.name}.** {claim.statement}\n")
        lines.append(f"*Derived in* [{claim.section}]({chapter.name}#{anchor}).\n")
        lines.append("| measured | figure | must be | test |\n|---|---|---|---|")
        for one in claim.figures:
            file, _, name = one.test.partition("::")
            words = name.removeprefix("test_").replace("_", " ")
            cells = [one.what, one.value + ("" if one.passed else " **FAILED**"), one.must, f"[{words}](../{file})"]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


INTRODUCTION = """# The claims ledger

Each statement of the course that can be measured has a number, as C3.2, and stands here with the section that derives
it, the test that measures it, what was measured, and what it must be. Where a test has several cases, or measures in
several places, the figure is a range, or the one of them that comes nearest to the bound.

`flowlib claims` measures all of them on your machine, in a minute or two, and fails where one does not hold, where a
chapter states one that no test measures, or where a test measures one that no chapter states. This page was written
by `flowlib claims --write` on {date}, with Python {python} and torch {torch}, on {machine}: {verdict}.

Orders are slopes, fitted on logarithmic axes; a gap is the largest difference of two entries. The symbols are those of
the [notation page](notation.md).
"""


def recorded(root: Path) -> tuple[list[dict], dict[str, str]]:
    """What was measured when the page was written, and with what.

    Raises: FileNotFoundError, ValueError where the record is missing or damaged.
    """
    file = root / "tests" / "claims.json"
    try:
        found = json.loads(file.read_text("utf-8"))
        return found["measured"], found["with"]
    except FileNotFoundError:
        raise FileNotFoundError(f"{file} is missing; make it with: flowlib claims --write") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error}); make it anew with: flowlib claims --write") from None


def write(root: Path, rows: list[dict]) -> None:
    """Put the record and the page in place of the old ones, each of them whole."""
    with_what = setting()
    record = json.dumps({"with": with_what, "measured": rows}, indent=1, ensure_ascii=False) + "\n"
    for file, text in (("tests/claims.json", record), ("chapters/claims.md", page(ledger(root, rows), with_what))):
        save_text(text, root / file)


def drift(old: Iterable[dict], new: Iterable[dict]) -> list[str]:
    """What is measured now and was not when the page was written, or the other way round; figures may differ."""

    def names(rows):
        found = figures_of(rows)
        return {f"{claim}: {f.what}, must be {f.must}" for claim, figures in found.items() for f in figures}

    before, now = names(old), names(new)
    return [f"new: {one}" for one in sorted(now - before)] + [f"gone: {one}" for one in sorted(before - now)]
