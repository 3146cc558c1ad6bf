"""The line between the grader and a student's program: requests and replies, values only, never code.

A message is four bytes of length and JSON. Numbers, texts, lists, tuples, dictionaries and tensors are copied; a
function stays where it is, and the other side gets a `Remote` that calls it over the line. Both sides speak alike, so
that a student's function may be given one of the grader's functions (the f of ∫ f dx, say) and call it back.
"""

import json
import os
import select
import struct
import time
from collections.abc import Callable
from typing import Any

from flowlib.classroom.room.values import Unsound, pack, unpack

MOST = 64 << 20  # bytes in a message
MOST_ENTRIES = 1_000_000  # commas in one: what lists without end cost is looked at before they are made


class LineClosed(RuntimeError):
    """The other side is gone, or does not keep to the protocol."""


class TookTooLong(RuntimeError):
    """No reply came within the time."""


class Raised(RuntimeError):
    """What the other side raised while it worked for us: type and message, and the traceback as text."""

    def __init__(self, kind: str, message: str, trace: str = ""):
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind, self.message, self.trace = kind, message, trace


class Remote:
    """A function (or another object) on the other side: it can be called, and asked for its attributes."""

    def __init__(self, line: "Line", handle: int, name: str):
        self.__dict__.update(_line=line, _handle=handle, __name__=name)

    def __call__(self, *args, **kwargs):
        return self._line.ask({"do": "call", "handle": self._handle}, args, kwargs)

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._line.ask({"do": "attribute", "handle": self._handle, "name": name})

    def __bool__(self) -> bool:
        raise TypeError(f"{self.__name__} is a function, neither true nor false")

    def __repr__(self) -> str:
        return f"<{self.__name__}, in the student's program>"


class Line:
    """One end of the line. `serve(request)` answers what the other side asks, and returns a value.

    seconds: how long `ask` waits for a reply, by the clock `now`; None waits for ever. watch is called while waiting,
    and may raise.
    attributes: whether the other side may ask for attributes of what it has a `Remote` of, and is told where an error
    came from. The grader's side says no: from a function's attributes one gets to everything that its module knows.
    """

    def __init__(
        self,
        read: int,
        write: int,
        serve: Callable[[dict], Any],
        *,
        seconds: float | None = None,
        watch: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
        attributes: bool = False,
    ):
        self.attributes, self.now = attributes, now
        self.read, self.write, self.serve, self.seconds, self.watch = read, write, serve, seconds, watch
        self.kept: list[Any] = []  # what the other side has a Remote of
        os.set_blocking(read, False)
        os.set_blocking(write, False)

    def ask(self, request: dict, args: tuple = (), kwargs: dict | None = None, seconds: float | None = None) -> Any:
        """Send a request and wait for its reply; requests that come meanwhile are answered.

        Raises: Raised (by the other side's program), TookTooLong, LineClosed.
        """
        allowed = self.seconds if seconds is None else seconds
        until = None if allowed is None else self.now() + allowed
        self.send(request | {"args": self.pack(list(args)), "kwargs": self.pack(kwargs or {})}, until)
        while True:
            message = self.receive(until)
            if "do" in message:
                self.answer(message, until)
            elif "raised" in message:
                raise read_raised(message["raised"])
            else:
                return self.unpack(message.get("value"))

    def answer(self, request: dict, until: float | None = None) -> None:
        """Do what was asked for and send the reply."""
        try:
            request["args"], request["kwargs"] = self.unpack(request.get("args")), self.unpack(request.get("kwargs"))
            reply = {"value": self.pack(self._do(request))}
        except LineClosed:
            raise
        except BaseException as error:  # whatever it is, the other side is told
            reply = {"raised": self._tell(error)}
        try:
            self.send(reply, until)
        except ValueError as error:  # too large
            self.send({"raised": self._tell(error)}, until)

    def _tell(self, error: BaseException) -> list[str]:
        """An error for the other side: type and message, and only from the student's side the lines that led to it."""
        trace = (getattr(error, "trace", "") or _trace(error)) if self.attributes else ""
        return [type(error).__name__, str(error)[:2000], str(trace)[-4000:]]

    def listen(self) -> None:
        """Answer requests until the other side hangs up."""
        while True:
            try:
                self.answer(self.receive(None))
            except LineClosed:
                return

    def _do(self, request: dict) -> Any:
        args, kwargs = request["args"] or [], request["kwargs"] or {}
        if request["do"] == "call":
            return self.kept[request["handle"]](*args, **kwargs)
        if request["do"] == "attribute" and self.attributes:
            return getattr(self.kept[request["handle"]], request["name"])
        return self.serve(request)

    def send(self, message: dict, until: float | None = None) -> None:
        """Write a message. Raises: ValueError where it is too large; TookTooLong where nobody reads; LineClosed."""
        text = json.dumps(message).encode()
        if len(text) > MOST:
            raise ValueError(f"a value of {len(text) >> 20} MB is too large to be handed over; most is {MOST >> 20} MB")
        if text.count(b",") > MOST_ENTRIES:
            raise ValueError(f"a value of more than {MOST_ENTRIES} entries cannot be handed over; a tensor can")
        data = memoryview(struct.pack(">I", len(text)) + text)
        try:
            while data:
                _, ready, _ = select.select([], [self.write], [], self._wait(until))
                self.watch()
                if ready:
                    data = data[os.write(self.write, data) :]
        except OSError as error:
            raise LineClosed(str(error)) from None

    def _wait(self, until: float | None) -> float:
        """Seconds until the next look around. Raises: TookTooLong."""
        left = 0.1 if until is None else min(0.1, until - self.now())
        if left <= 0:
            raise TookTooLong("no reply came within the time")
        return left

    def receive(self, until: float | None) -> dict:
        """The next message. Raises: TookTooLong, LineClosed."""
        (length,) = struct.unpack(">I", self._bytes(4, until))
        if length > MOST:
            raise LineClosed("the other side wrote onto the line what is no message")
        text = self._bytes(length, until)
        if text.count(b",") > MOST_ENTRIES:
            raise LineClosed(f"the other side sent a value of more than {MOST_ENTRIES} entries")
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            raise LineClosed("the other side wrote onto the line what is no message") from None
        if not isinstance(message, dict):
            raise LineClosed("the other side wrote onto the line what is no message")
        return message

    def _bytes(self, n: int, until: float | None) -> bytes:
        data = bytearray()
        while len(data) < n:
            ready, _, _ = select.select([self.read], [], [], self._wait(until))
            self.watch()
            if ready:
                part = os.read(self.read, min(n - len(data), 1 << 20))
                if not part:
                    raise LineClosed("the other side is gone")
                data += part
        return bytes(data)

    def pack(self, value: Any) -> Any:
        """A value as JSON; functions are kept here. Raises: TypeError for what can neither be copied nor called."""
        return pack(value, self._keep)

    def _keep(self, function: Callable) -> dict:
        self.kept.append(function)
        return {"$": "function", "handle": len(self.kept) - 1, "name": getattr(function, "__name__", "function")}

    def unpack(self, value: Any) -> Any:
        """The inverse of `pack`. Raises: LineClosed for what `pack` does not make."""
        try:
            return unpack(value, lambda handle, name: Remote(self, handle, name))
        except Unsound as error:
            raise LineClosed(str(error)) from None


def read_raised(told: Any) -> Raised:
    """What the other side says that it raised. Raises: LineClosed where it says nothing of the kind."""
    if not isinstance(told, list) or len(told) != 3 or not all(isinstance(part, str) for part in told):
        raise LineClosed("the other side wrote onto the line what is no message")
    kind, message, trace = told
    return Raised(kind[:100], message[:2000], trace[-4000:])


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
