"""Earlier releases of an assignment: a typo was mended after students had begun, and their work is none the worse."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from flowlib.classroom.cells import grade_id
from flowlib.files import save_text

EARLIER = ".earlier"


def keep_earlier(root: Path, name: str, before: str, now: str) -> None:
    """Keep the release that was there before, where it had other cells."""
    import nbformat

    if not before or read_texts(nbformat.reads(before, 4)) == read_texts(nbformat.reads(now, 4)):
        return
    digest = hashlib.sha256(before.encode()).hexdigest()[:12]
    save_text(before, root / EARLIER / name / f"{digest}.ipynb")


def read_earlier(course, name: str) -> list:
    """The releases that were kept."""
    import nbformat

    return [nbformat.read(file, 4) for file in sorted((course.root / EARLIER / name).glob("*.ipynb"))]


def read_texts(book) -> list[tuple[str, str]]:
    return [(find_key(cell), cell.source.strip()) for cell in book.cells]


def find_key(cell) -> str:
    """What a cell is called in every release."""
    return grade_id(cell) or str(cell.get("id", ""))


def bring_up_to_date(cells: list, release, earlier: Iterable) -> int:
    """Give cells with the text of an earlier release today's text, in place; how many there were."""
    now = {find_key(cell): cell.source for cell in release.cells}
    today = {source.strip() for source in now.values()}
    texts = {text: now[key] for book in earlier for key, text in read_texts(book) if key in now and text not in today}
    old = [cell for cell in cells if cell.source.strip() in texts]
    for cell in old:
        cell.source = texts[cell.source.strip()]
    return len(old)
