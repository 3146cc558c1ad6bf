"""A student's program at work: cells run in order, functions called, and when it dies it is started again.

One function that never returns must not cost the points of the others. So a program that has died, hangs or takes too
much is ended; when it is needed again it is started anew and runs its cells up to the same place, without the one on
which it died. They have twice the time that they took at first, and that of one call: to wait there gains nothing.
"""

import math
from pathlib import Path

from flowlib.classroom.room.clock import Clock
from flowlib.classroom.room.sandbox import Limits, Sandbox, TookTooMuch
from flowlib.classroom.room.wire import Line, LineClosed, Raised, Remote, TookTooLong

MOST_STARTS = 4
MOST_FAILURES = 2  # of new starts: a program that does not come back twice does not come back
SLOWER = 2.0  # so many times as long as at first the cells may take that run again
START_SECONDS = 120.0  # for Python and torch to start, on a busy machine; the student's time begins after that


class Died(RuntimeError):
    """The student's program ended while it was asked for something; the message says how."""


class Room:
    """Runs one submission's cells, and hands out what they defined. A context manager.

    notes: what happened that a teacher should know of, a sentence each.
    """

    def __init__(self, limits: Limits, files: Path | None = None, *, isolate: bool | str = True):
        self.limits, self.files, self.isolate = limits, files, isolate
        self.clock = Clock()
        self.until = self.clock.now() + limits.seconds
        self.notes: list[str] = []
        self.done: list[str] = []  # the cells to run again after a new start
        self.spent = 0.0  # seconds that they took
        self.starts, self.failures, self.box, self.line = 0, 0, None, None

    def __enter__(self) -> "Room":
        return self

    def __exit__(self, *_) -> None:
        self._stop()

    def run(self, source: str, name: str) -> list[dict]:
        """Run a cell; its outputs. Where it takes the program down, the output says so, and later cells go on."""
        began = self.clock.now()
        try:
            outputs = self._ask({"do": "run", "source": source}, f"cell {name}")
        except (Died, Raised) as error:  # Raised: it could not even say what the cell did, for want of memory, say
            return [{"output_type": "error", "ename": "Stopped", "evalue": str(error), "traceback": [str(error)]}]
        self.done.append(source)
        self.spent += self.clock.now() - began
        return outputs

    def get(self, name: str):
        """The value of a name. Raises: KeyError where there is none; Died."""
        if not self._ask({"do": "has", "name": name}, name):
            raise KeyError(name)
        value = self._ask({"do": "get", "name": name}, name)
        return Again(self, name) if isinstance(value, Remote) else value

    def call(self, name: str, args: tuple, kwargs: dict):
        """Call a function of the student's by its name. Raises: Raised, Died."""
        return self._guard(lambda line: line.ask({"do": "get", "name": name})(*args, **kwargs), name)

    def _ask(self, request: dict, what: str):
        return self._guard(lambda line: line.ask(request), what)

    def _guard(self, work, what: str):
        """Let `work` use the line, started if need be; turn every way in which a program can end into Died."""
        line = self._start(what)
        self._allow()
        try:
            return work(line)
        except TookTooLong:
            over = self.clock.now() >= self.until
            limit = (
                f"the {self.limits.seconds:g} s of the whole notebook were used up"
                if over
                else f"it did not end within {self.limits.call_seconds:g} s: is there a loop without an end?"
            )
            self._give_up(f"{what}: {limit}")
        except TookTooMuch as error:
            self._give_up(f"{what}: {error}")
        except LineClosed as error:
            self._give_up(f"{what}: the program ended there ({error})")

    def _allow(self, until: float = math.inf) -> None:
        """Give the line the time of one call, or what is left for the notebook, or until then."""
        self.line.seconds = max(0.0, min(self.limits.call_seconds, min(until, self.until) - self.clock.now()))

    def _start(self, what: str) -> Line:
        if self.line is not None:
            return self.line
        if self.starts >= MOST_STARTS or self.failures >= MOST_FAILURES or self.clock.now() >= self.until:
            raise Died(f"{what}: not run, because the program had used up its time or was ended too often")
        self.starts += 1
        self.box = Sandbox(self.limits, self.files, isolate=self.isolate)
        read, write = self.box.process.stdout.fileno(), self.box.process.stdin.fileno()
        self.line = Line(read, write, _refuse, watch=self.box.watch, now=self.clock.now, seconds=START_SECONDS)
        began = self.clock.now()
        self.line.ask({"do": "has", "name": "ready"})
        self.until += self.clock.now() - began
        self.clock.follow(self.box.find_program())
        self._run_again(what)
        return self.line

    def _run_again(self, what: str) -> None:
        """Run the cells that have run before, each new start within the time of the whole notebook. Raises: Died."""
        until = self.clock.now() + SLOWER * self.spent + self.limits.call_seconds
        for source in self.done:
            self._allow(until)
            try:
                self.line.ask({"do": "run", "source": source})
            except (TookTooLong, TookTooMuch, LineClosed) as error:
                self.failures += 1
                self._give_up(f"{what}: the program did not come back after a new start ({error})")

    def _give_up(self, how: str) -> None:
        self._stop()
        if how not in self.notes:
            self.notes.append(how)
        raise Died(how) from None

    def _stop(self) -> None:
        if self.box is not None:
            self.box.close()
        self.box = self.line = None


class Again:
    """A function of the student's, found anew by its name in every call, since its program may have been restarted."""

    def __init__(self, room: Room, name: str):
        self.room, self.__name__ = room, name

    def __call__(self, *args, **kwargs):
        return self.room.call(self.__name__, args, kwargs)

    def __bool__(self) -> bool:
        raise TypeError(f"{self.__name__} is a function, neither true nor false")


def _refuse(request: dict):
    raise PermissionError(f"the grader does not answer {request['do']!r}")


__all__ = ["Again", "Died", "Raised", "Room"]
