"""What a grading run has done so far: a run that was interrupted goes on where it was, and one that ended begins anew.

A line is believed only for the very same files, assignment and settings: their bytes are its name.
"""

import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path

from flowlib import __version__
from flowlib.classroom.course import UNFINISHED
from flowlib.classroom.results import Outcome, Result
from flowlib.classroom.submissions import Submission
from flowlib.files import save_text


class Journal:
    """The outcomes of an unfinished run of a course, each a file."""

    def __init__(self, course, settings: tuple):
        self.course, self.settings, self.folder = course, settings, course.root / UNFINISHED

    def read(self, one: Submission) -> Outcome | None:
        """What was found before, None where there is nothing that can be believed."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            told = json.loads(self._place(one).read_text("utf-8"))
            return Result(**told["result"]), told["text"]
        return None

    def write(self, one: Submission, outcome: Outcome) -> None:
        """Keep what was graded; what could not be is tried again."""
        result, text = outcome
        if text:
            save_text(json.dumps({"result": vars(result), "text": text}), self._place(one))

    def close(self) -> None:
        """The run has ended: the next one grades all anew."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _place(self, one: Submission) -> Path:
        digest = hashlib.sha256(
            repr((__version__, self.settings, one.student, one.assignment)).encode("utf-8", "replace")
        )
        given = [self.course.notebook(kind, one.assignment) for kind in ("source", "release")]
        for file in [*given, *list_files(one)]:
            digest.update(repr((file.name, file.stat().st_size)).encode("utf-8", "replace"))
            with open(file, "rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return self.folder / f"{digest.hexdigest()[:32]}.json"


def list_files(one: Submission) -> list[Path]:
    """The notebook and what lies beside it."""
    beside = sorted(one.files.iterdir()) if one.files else []
    return [file for file in [one.notebook, *beside] if file is not None and file.is_file() and not file.is_symlink()]
