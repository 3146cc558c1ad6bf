"""The claims ledger on a terminal, as the page chapters/claims.md, and as the record that the page was made from."""

import json
import platform
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from flowlib.authoring.claims import HEADING, Claim, Ledger, collect_figures, make_ledger
from flowlib.authoring.notebooks import read
from flowlib.cores import count_cores
from flowlib.files import save_text

RECORD, PAGE = "tests/claims.json", "chapters/claims.md"
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


def render_text(book: Ledger) -> str:
    """The ledger for a terminal: a claim, where it is derived, and below it what was measured."""
    lines = []
    for claim in book.claims:
        lines += ["", f"{claim.name}  {'holds' if claim.holds else 'FAILS'}   {claim.statement}"]
        lines += [f"      {claim.chapter.stem}, “{claim.section}”"]
        for one in claim.figures:
            failed = "" if one.passed else "   FAILED"
            lines += [f"      {one.what:58s} {one.value:>22s}   must be {one.must:14s} {one.test}{failed}"]
    return "\n".join(lines)


def describe_setting() -> dict[str, str]:
    """What the figures were measured with."""
    import torch

    return {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {count_cores()} CPU cores",
    }


def render_page(book: Ledger, with_what: dict[str, str]) -> str:
    """The ledger as a Markdown page beside the chapters."""
    parts = [INTRODUCTION.format(**with_what, verdict=book.verdict().replace("\n", ": "))]
    chapter = None
    for claim in book.claims:
        if claim.chapter != chapter:
            chapter = claim.chapter
            title = HEADING.search(read(chapter).cells[0].source)[1]
            parts.append(f"## [{title}]({chapter.name})\n")
        parts.append(render_claim(claim))
    return "\n".join(parts)


def render_claim(claim: Claim) -> str:
    """Its statement, the section that derives it, and a table of what was measured; links lead from chapters/."""
    anchor = re.sub(r"\s", "-", claim.section)
    lines = [
        f"**{claim.name}.** {claim.statement}\n",
        f"*Derived in* [{claim.section}]({claim.chapter.name}#{anchor}).\n",
        "| measured | figure | must be | test |\n|---|---|---|---|",
    ]
    for one in claim.figures:
        file, _, name = one.test.partition("::")
        words = name.removeprefix("test_").replace("_", " ")
        cells = [one.what, one.value + ("" if one.passed else " **FAILED**"), one.must, f"[{words}](../{file})"]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def read_record(root: Path) -> tuple[list[dict], dict[str, str]]:
    """What was measured when the page was written, and with what.

    Raises: FileNotFoundError, ValueError where the record is missing or damaged.
    """
    file = root / RECORD
    try:
        found = json.loads(file.read_text("utf-8"))
        return found["measured"], found["with"]
    except FileNotFoundError:
        raise FileNotFoundError(f"{file} is missing; make it with: flowlib claims --write") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error}); make it anew with: flowlib claims --write") from None


def write_ledger(root: Path, rows: list[dict]) -> None:
    """Put the record and the page in place of the old ones, each of them whole.

    Raises: ValueError where the page is another one than the ledger's.
    """
    page = root / PAGE
    if page.exists() and not page.read_text("utf-8").startswith(INTRODUCTION.splitlines()[0]):
        raise ValueError(f"{page} is no claims ledger, and would be written over; move it away, and try again")
    with_what = describe_setting()
    record = json.dumps({"with": with_what, "measured": rows}, indent=1, ensure_ascii=False) + "\n"
    text = render_page(make_ledger(root, rows), with_what)
    save_text(record, root / RECORD)
    save_text(text, page)


def find_drift(old: Iterable[dict], new: Iterable[dict]) -> list[str]:
    """What is measured now and was not when the page was written, or the other way round; figures may differ."""

    def names(rows):
        found = collect_figures(rows)
        return {f"{claim}: {f.what}, must be {f.must}" for claim, figures in found.items() for f in figures}

    before, now = names(old), names(new)
    return [f"new: {one}" for one in sorted(now - before)] + [f"gone: {one}" for one in sorted(before - now)]
