"""Whose a file is, by its name: a learning platform's, a folder's, or whatever a browser made of it.

    Moodle      Ada Lovelace_12345_assignsubmission_file/x.ipynb      student: Ada Lovelace_12345
    Canvas      lovelaceada_LATE_4711_99871_x-1.ipynb                 student: lovelaceada_4711
                anon_x7Yq2_99871_x.ipynb                              student: anon_x7Yq2
    Blackboard  Task_alovelace_attempt_2026-03-01-12-00-00_x.ipynb    student: alovelace, the latest attempt

The number in a name is the platform's own: by it `flowlib points` finds the row of the table that goes back.
"""

import re
from unicodedata import category

FORBIDDEN = '/\\*?[]<>"|='  # a path, a pattern of nbgrader's, a page's tag, a spreadsheet's formula
FORMULAS = ("+", "-", "@")  # one begins so, too
UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # line ends, other control characters, bytes that are no text
NOTEBOOK = re.compile(r"\.ipynb(\.(txt|json))?( ?\(\d+\))?$", re.IGNORECASE)  # whatever a browser made of the name
AGAIN = re.compile(r"-\d+| ?\(\d+\)| copy| - Copy| - Kopie")  # what is added to a name that is there already
MOODLE = re.compile(
    r"(?P<name>[^/]+)_(?P<number>\d+)_assignsubmission_(?P<kind>file|onlinetext)_?(?:[/_](?P<file>.+))?"
)
ANONYMOUS = re.compile(r"(?:(?P<late>LATE)_)?(?P<name>anon_[^_/]+)_(?:\d+_(?P<file>[^/]+)|(?P<page>(text|link)\.html))")
CANVAS = re.compile(
    r"(?P<name>[^/]+?)_(?:(?P<late>LATE)_)?(?P<number>\d+)_(?:\d+_(?P<file>[^/]+)|(?P<page>(text|link)\.html))"
)
BLACKBOARD = re.compile(r"[^/]*?_(?P<name>[^_/]+)_attempt_(?P<attempt>[\d-]{19})(?:_(?P<file>[^/]+)|\.txt)?")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")
ENDS = re.compile(r"(\.(ipynb|zip|tar|gz|tgz|7z|rar|bz2|xz|bak|part|crdownload|download|txt|json))+$", re.IGNORECASE)
DOUBLE = "._"  # macOS's second half of a file, in its archives
HandIn = tuple[str, str, str]  # student, attempt, path in the student's folder


def check_name(name: str) -> None:
    """Raises: ValueError where a student cannot be called so."""
    odd = sorted({letter for letter in name if letter in FORBIDDEN or category(letter) in UNSEEN})
    why = (
        "is empty" if not name
        else "begins with a dot" if name.startswith(".")
        else f"begins with {name[0]!a}" if name.startswith(FORMULAS)
        else "begins or ends with a blank" if name != name.strip()
        else f"has {', '.join(map(ascii, odd))} in it" if odd
        else ""
    )  # fmt: skip
    if why:
        raise ValueError(f"a student's name must be a plain one, such as ada, and {name!a} {why}; rename the file")


def read_name(path: str) -> HandIn | None:
    """Whose file a platform says that it is; None where the path is none of a platform's."""
    for pattern in (MOODLE, ANONYMOUS, CANVAS, BLACKBOARD):
        if found := pattern.fullmatch(path):
            told = found.groupdict()
            student = "_".join(filter(None, (told["name"], told.get("number"))))
            file = told["file"] or told.get("page") or ""
            return student, told.get("attempt") or "", rename_notebook(file)
    return None


def read_folder(name: str) -> str | None:
    """The student for whose files Moodle made a folder of this name; None where it is none of Moodle's."""
    found = MOODLE.fullmatch(name)
    return f"{found['name']}_{found['number']}" if found and found["kind"] == "file" and not found["file"] else None


def read_flat(name: str) -> str:
    """The student whose file lies among those of others: by the platform's name, or by the whole of it."""
    told = read_name(name)
    return told[0] if told and told[2] else ENDS.sub("", NOTEBOOK.sub("", name))


def is_late(path: str) -> bool:
    """Whether Canvas says so."""
    return any(found["late"] is not None for found in (ANONYMOUS.fullmatch(path), CANVAS.fullmatch(path)) if found)


def rename_notebook(file: str) -> str:
    """x.ipynb for x.IPYNB, x.ipynb.txt, x.ipynb (1)."""
    return NOTEBOOK.sub(".ipynb", file)


def is_named(file: str, assignment: str) -> bool:
    """Whether a notebook has the assignment's name, also where a platform or a browser has added a number to it."""
    stem = NOTEBOOK.sub("", file)
    return stem.startswith(assignment) and bool(AGAIN.fullmatch(stem.removeprefix(assignment) or "-1"))


def find_mistake(name: str) -> str:
    """Why a file is no notebook although somebody may have meant it to be one; "" where nobody has."""
    end = name.lower()
    if name.startswith(DOUBLE):
        return ""
    if end.endswith(ARCHIVES):
        return "is an archive; unpack it (flowlib collect does, with a class's zip), and grade what is in it"
    if ".ipynb" in end and not NOTEBOOK.search(name):
        return "must end in .ipynb to be taken for a notebook; rename it"
    return ""
