"""The command `flowlib`: train, sample, look, tokenize, claims, bench, compare, doctor, notebooks, contents, links,
slides, ship, release, collect, grade, similar, moderate, feedback, points, otter, check.

Flags and help are built by tyro from the dataclasses and functions that use them, so none is declared twice. What a
command needs is imported when it runs. Exit codes: 0 done, 1 a check failed, 2 a mistake in what was asked, 130 Ctrl-C,
141 where who read the output has gone (flowlib doctor | head -1), as a shell has it.
"""

import os
import sys
from collections.abc import Sequence

import flowlib
from flowlib.cli import classroom, course, doctor, look, models, school, studies
from flowlib.cli.parsing import MISTAKES, install, run

PREPARED = {models.train, studies.bench, studies.compare}
COMMANDS = {
    command.__name__: command
    for command in (
        models.train,
        models.sample,
        look.look,
        models.tokenize,
        course.claims,
        studies.bench,
        studies.compare,
        doctor.doctor,
        course.notebooks,
        course.contents,
        course.links,
        models.ship,
        classroom.release,
        school.collect,
        classroom.grade,
        school.similar,
        school.moderate,
        classroom.feedback,
        school.points,
        classroom.otter,
        school.check,
        school.slides,
    )
}
ABOUT = (
    "A Transformer as a continuous flow: train it, look inside, teach it. Flags of a command: flowlib COMMAND --help"
)
CLASSROOM = ("release", "collect", "grade", "similar", "moderate", "feedback", "points", "otter", "check")
EXTRAS = {  # what brings the packages that the course's commands need
    "look": "notebook",
    "claims": "lab,test",
    "notebooks": "lab",
    "contents": "lab",
    "links": "lab",
    "slides": "pages",
    **dict.fromkeys(CLASSROOM, "classroom"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    name = words[0]
    if name == "--version":
        print(f"flowlib {flowlib.__version__}")
        return 0
    if not name.startswith("-") and name not in COMMANDS:
        print(f"flowlib: unknown command {name!r}; known are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    show_every_character()
    try:
        return run_and_flush(words)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be flushed goes nowhere
        return 141
    except MISTAKES as error:
        print(f"flowlib {name}: {explain(error, name)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nflowlib {name}: interrupted", file=sys.stderr)
        return 130


def run_and_flush(words: Sequence[str]) -> int:
    """The command; a pipe that was closed is met here, and not when Python ends."""
    try:
        return run(words, COMMANDS.values(), PREPARED, ABOUT)
    finally:
        sys.stdout.flush()


def explain(error: BaseException, command: str) -> str:
    """What went wrong; where a package is missing, how to get it."""
    if isinstance(error, ModuleNotFoundError) and error.name and command in EXTRAS:
        package = error.name.partition(".")[0]
        return f"it needs the package {package}, which is not installed: {install(EXTRAS[command])}"
    return str(error)


def show_every_character() -> None:
    """A console that lacks a character shows a ? for it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's has none
            stream.reconfigure(errors="replace")
