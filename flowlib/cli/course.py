"""Commands for the course: notebooks, claims, links."""

from pathlib import Path

from flowlib.cli.parsing import parse


def notebooks(arguments: list[str]) -> int:
    """Run notebooks in place and measure them, all chapters by default: flowlib notebooks [PATH ...] [--dry]."""
    from flowlib.authoring import execute

    return 1 if execute.main(arguments) else 0


def claims(arguments: list[str]) -> int:
    """Measure every claim of the course, and show the ledger: flowlib claims [--recorded] [--write]."""

    def claims(recorded: bool = False, write: bool = False) -> int:
        """Measure every claim of the course and show the ledger: statement, section, figures, bounds, tests.

        Exit code 1 if a claim fails, a chapter states one that no test measures, a test measures one that no chapter
        states, or the page chapters/claims.md no longer lists what is measured.

        Args:
            recorded: Show what was measured when chapters/claims.md was written, and measure nothing.
            write: Write chapters/claims.md, and tests/claims.json which it is made from, anew.
        """
        from flowlib.authoring import claims as book

        if recorded and write:
            raise ValueError("--recorded shows the old figures and --write makes new ones; give one of the two")
        root = book.root_of(Path.cwd())
        rows = book.recorded(root)[0] if recorded else book.measure(root)
        found = book.ledger(root, rows)
        print(f"{book.table(found)}\n\n{found.verdict()}")
        if write:
            book.write(root, rows)
        changed = book.drift(book.recorded(root)[0], rows)
        if changed:
            print("\n".join([*changed, "chapters/claims.md is out of date; write it with: flowlib claims --write"]))
        return 0 if found.sound and not changed else 1

    return parse(claims, arguments, "flowlib claims")


def links(arguments: list[str]) -> int:
    """Write the course's address into README and notebooks: flowlib links [OWNER/NAME] [--ref REF] [--check]."""
    import tyro

    def links(
        repository: tyro.conf.Positional[str] = "", ref: str = "", check: bool = False, dirty: bool = False
    ) -> int:
        """Write where the course lies on GitHub into README, every notebook and its set-up cell.

        Links to the course map, Binder and Colab come under the titles, and Colab installs flowlib from there. Where a
        notebook has no links or no set-up cell, it gets them. All files are written, or none.

        Args:
            repository: OWNER/NAME; without it, the one that was stamped last.
            ref: A branch, a tag or a commit; without it, the one that was stamped last, at first main.
            check: Write nothing; exit code 1 if a file says something else.
            dirty: Write over changes that are not committed, too.
        """
        from flowlib.authoring import links as course

        root = course.root_of(Path.cwd())
        last = course.recorded(root)
        stamp = course.Stamp(repository or last.repository, ref or last.ref)
        texts = course.plan(root, stamp)
        names = [path.relative_to(root).as_posix() for path in texts]
        where = f"{stamp.repository} at {stamp.ref}" if stamp.repository else "no address yet"
        if check:
            again = " ".join(["flowlib links", *([repository] if repository else []), *(["--ref", ref] if ref else [])])
            print("\n".join([*names, f"out of date; write anew with: {again}"] if names else [f"all agree: {where}"]))
            return 1 if names else 0
        unsaved = [] if dirty else course.unsaved(root, list(texts))
        if unsaved:
            raise ValueError(
                f"these files have changes that are not committed, and would be written over; commit them first, or "
                f"add --dirty; nothing was written: {', '.join(unsaved)}"
            )
        course.save_all(texts)
        print("\n".join([*names, f"{len(names)} files written: {where}"]))
        return 0

    return parse(links, arguments, "flowlib links")
