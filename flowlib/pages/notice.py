"""What stands on the book's pages and was written by others: a page that names it, with versions and licences."""

from importlib.metadata import metadata

# package -> what of it a page has in it; it is had from the package when the book is made, and not kept here
FROM_OTHERS = {
    "sphinx": "search, and the frame of every page",
    "furo": "the look; in its script gumshoe.js (MIT), which lights the heading that you read",
    "sphinx-basic-ng": "styles",
    "snowballstemmer": "how the search finds the stem of a word",
    "pygments": "colours of code",
    "accessible-pygments": "which colours these are",
    "sphinx-copybutton": "copy buttons, with clipboard.js (MIT)",
    "myst-nb": "styles of cells",
    "matplotlib": "the letters of formulas: DejaVu fonts (Bitstream Vera licence)",
}


def notice() -> str:
    """The page, as Markdown.

    Raises: importlib.metadata.PackageNotFoundError where the extra [book] is missing.
    """
    rows = [
        f"| {name} {metadata(name)['Version']} | {read_licence(name)} | {what} |" for name, what in FROM_OTHERS.items()
    ]
    return "\n".join(
        [
            "# Notice\n",
            "The first page names the licence of what the course has written. What others wrote, put beside the pages",
            "when the book was made, has licences of its own. No page asks anyone for anything.\n",
            "| package | licence | what is from it |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def read_licence(name: str) -> str:
    """The licence as the package states it: as an expression, as a classifier, or in a word of its own."""
    told = metadata(name)
    classes = [one.split(" :: ")[-1] for one in told.get_all("Classifier") or [] if one.startswith("License ::")]
    return told.get("License-Expression") or ", ".join(classes) or (told.get("License") or "not stated").split("\n")[0]
