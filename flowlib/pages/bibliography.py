"""One bibliography of the course, from the section "References" of each chapter.

    bibliography({"01_from_steps_to_flow.ipynb": notebook, ...}) -> a page of Markdown

A line there is `- Authors, *Title*, where: what it is read for.`, or several works with "; " between them. A work is
known again by its number at arXiv, or by its title. What it is read for stays in the chapter.
"""

import re
from collections.abc import Iterator, Mapping

SECTION = re.compile(r"^#+ References[^\n]*\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
BETWEEN = re.compile(r"; (?:and the answer, )?|, and (?=\*)")
WORK = re.compile(r"(?P<work>[^*]*?(?:\*[^*]+\*.*?)?)(?::\s.*)?\.?", re.DOTALL)
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def references(notebook) -> Iterator[str]:
    """The works that a notebook cites, in its order."""
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for section in SECTION.findall(prose):
        for line in re.split(r"^- ", section, flags=re.MULTILINE)[1:]:
            authors = ""
            for part in BETWEEN.split(" ".join(line.split("\n\n")[0].split())):
                work = WORK.fullmatch(part)["work"].strip(" ,")
                work = authors + work if work.startswith("*") else work
                authors = work.split("*")[0]
                if re.search(r"\d", work):  # a work has a year or a number; what follows a "; " may be only words
                    yield work


def key(work: str) -> str:
    """What tells one work from another."""
    number, title = ARXIV.search(work), re.search(r"\*([^*]+)\*", work)
    return (number or title or re.match("(.*)", work))[1].casefold()


def bibliography(notebooks: Mapping[str, object]) -> str:
    """The page: each work once, by its first author, with the chapters that cite it."""
    works: dict[str, str] = {}
    cited: dict[str, list[str]] = {}
    for name, notebook in notebooks.items():
        for work in references(notebook):
            works.setdefault(key(work), work)
            places = cited.setdefault(key(work), [])
            places += [name] * (name not in places)
    lines = []
    for known, work in sorted(works.items(), key=lambda item: item[1].casefold()):
        chapters = ", ".join(f"[{name[:2]}]({name})" for name in cited[known])
        link = ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", work)
        lines.append(f"- {link}. Chapter{'s' * (len(cited[known]) > 1)} {chapters}.")
    opening = f"# Bibliography\n\nThe {len(lines)} works that the chapters cite, collected from their references.\n\n"
    return opening + "\n".join(lines) + "\n"
