"""The command `flowlib`: train, sample, tokenize, claims, bench, compare, doctor, notebooks, links, ship,
release, grade, feedback, otter.

Flags and help are built by tyro from the dataclasses and functions that use them, so none is declared twice. What a
command needs is imported when it runs. Exit codes: 0 done, 1 a check failed, 2 a mistake in what was asked, 130 Ctrl-C.
"""

import sys
from collections.abc import Sequence

from flowlib.cli import classroom, course, doctor, models
from flowlib.cli.parsing import MISTAKES

COMMANDS = {
    command.__name__: command
    for command in (
        models.train,
        models.sample,
        models.tokenize,
        course.claims,
        models.bench,
        models.compare,
        doctor.doctor,
        course.notebooks,
        course.links,
        models.ship,
        classroom.release,
        classroom.grade,
        classroom.feedback,
        classroom.otter,
    )
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print("usage: flowlib COMMAND ...\n")
        for known, command in COMMANDS.items():
            print(f"  {known:10} {command.__doc__}")
        print("\nFlags of a command: flowlib COMMAND --help")
        return 0
    if name not in COMMANDS:
        print(f"flowlib: unknown command {name!r}; known are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's has none
            stream.reconfigure(errors="replace")  # a console that lacks a character shows a ? for it
    try:
        return COMMANDS[name](rest)
    except MISTAKES as error:
        print(f"flowlib {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nflowlib {name}: interrupted", file=sys.stderr)
        return 130
