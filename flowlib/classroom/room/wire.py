"""The line between the grader and a student's program: requests and replies, values only, never code.

A message is four bytes of length and JSON. Numbers, texts, lists, tuples, dictionaries and tensors are copied; a
function stays where it is, and the other side gets a `Remote` that calls it over the line. Both sides speak alike, so
that a student's function may be given one of the grader's functions (the f of ∫ f dx, say) and call it back.
"""

import base64
import importlib
import json
import os
import select
import struct
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import torch

MOST = 64 << 20  # bytes in a message
COPIED = {("flowlib.fields", "Grid")}  # dataclasses of tensors that travel as what they are


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

    seconds: how long `ask` waits for a reply; None waits for ever. watch is called while waiting, and may raise.
    attributes: whether the other side may ask for attributes of what it has a `Remote` of. The grader's side says no:
    from a function's attributes one gets to everything that its module knows.
    """

    def __init__(
        self,
        read: int,
        write: int,
        serve: Callable[[dict], Any],
        *,
        seconds: float | None = None,
        watch: Callable[[], None] = lambda: None,
        attributes: bool = False,
    ):
        self.attributes = attributes
        self.read, self.write, self.serve, self.seconds, self.watch = read, write, serve, seconds, watch
        self.kept: list[Any] = []  # what the other side has a Remote of
        os.set_blocking(read, False)

    def ask(self, request: dict, args: tuple = (), kwargs: dict | None = None, seconds: float | None = None) -> Any:
        """Send a request and wait for its reply; requests that come meanwhile are answered.

        Raises: Raised (by the other side's program), TookTooLong, LineClosed.
        """
        allowed = self.seconds if seconds is None else seconds
        until = None if allowed is None else time.monotonic() + allowed
        self.send(request | {"args": self.pack(list(args)), "kwargs": self.pack(kwargs or {})})
        while True:
            message = self.receive(until)
            if "do" in message:
                self.answer(message)
            elif "raised" in message:
                raise Raised(*map(str, message["raised"]))
            else:
                return self.unpack(message.get("value"))

    def answer(self, request: dict) -> None:
        """Do what was asked for and send the reply."""
        try:
            request["args"], request["kwargs"] = self.unpack(request.get("args")), self.unpack(request.get("kwargs"))
            reply = {"value": self.pack(self._do(request))}
        except LineClosed:
            raise
        except BaseException as error:  # whatever it is, the other side is told
            trace = getattr(error, "trace", "") or _trace(error)
            reply = {"raised": [type(error).__name__, str(error)[:2000], trace[-4000:]]}
        self.send(reply)

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

    def send(self, message: dict) -> None:
        text = json.dumps(message).encode()
        if len(text) > MOST:
            raise ValueError(f"a value of {len(text) >> 20} MB is too large to be handed over; most is {MOST >> 20} MB")
        data = memoryview(struct.pack(">I", len(text)) + text)
        try:
            while data:
                data = data[os.write(self.write, data) :]
        except OSError as error:
            raise LineClosed(str(error)) from None

    def receive(self, until: float | None) -> dict:
        """The next message. Raises: TookTooLong, LineClosed."""
        (length,) = struct.unpack(">I", self._bytes(4, until))
        if length > MOST:
            raise LineClosed("the other side wrote onto the line what is no message")
        try:
            message = json.loads(self._bytes(length, until))
        except (ValueError, RecursionError):
            raise LineClosed("the other side wrote onto the line what is no message") from None
        if not isinstance(message, dict):
            raise LineClosed("the other side wrote onto the line what is no message")
        return message

    def _bytes(self, n: int, until: float | None) -> bytes:
        data = bytearray()
        while len(data) < n:
            left = 0.1 if until is None else min(0.1, until - time.monotonic())
            if left <= 0:
                raise TookTooLong("no reply came within the time")
            ready, _, _ = select.select([self.read], [], [], left)
            self.watch()
            if ready:
                part = os.read(self.read, min(n - len(data), 1 << 20))
                if not part:
                    raise LineClosed("the other side is gone")
                data += part
        return bytes(data)

    def pack(self, value: Any) -> Any:
        """A value as JSON. Raises: TypeError for what can neither be copied nor called."""
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, complex):
            return {"$": "complex", "of": [value.real, value.imag]}
        if isinstance(value, torch.Tensor):
            flat = value.detach().cpu().contiguous()
            raw = flat.flatten().view(torch.uint8).numpy().tobytes() if flat.numel() else b""
            return {
                "$": "tensor",
                "dtype": str(flat.dtype).removeprefix("torch."),
                "shape": list(flat.shape),
                "of": base64.b64encode(raw).decode(),
            }
        if isinstance(value, list):
            return [self.pack(v) for v in value]
        if isinstance(value, tuple):
            return {"$": "tuple", "of": [self.pack(v) for v in value]}
        if isinstance(value, dict) and all(isinstance(k, str) for k in value):
            return {"$": "dict", "of": {k: self.pack(v) for k, v in value.items()}}
        if is_dataclass(value) and (type(value).__module__, type(value).__name__) in COPIED:
            parts = {f.name: self.pack(getattr(value, f.name)) for f in fields(value)}
            return {"$": "dataclass", "name": [type(value).__module__, type(value).__name__], "of": parts}
        if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a number of NumPy's
            return self.pack(value.item())
        if type(value).__module__ == "numpy":
            return self.pack(torch.as_tensor(value))
        if callable(value):
            self.kept.append(value)
            return {"$": "function", "handle": len(self.kept) - 1, "name": getattr(value, "__name__", "function")}
        raise TypeError(f"a {type(value).__name__} cannot be handed over; a number, text, tensor, list or function can")

    def unpack(self, value: Any) -> Any:
        """The inverse of `pack`. Raises: LineClosed for what `pack` does not make."""
        if isinstance(value, list):
            return [self.unpack(v) for v in value]
        if not isinstance(value, dict):
            return value
        try:
            kind, of = value.get("$"), value.get("of")
            if kind == "complex":
                return complex(*of)
            if kind == "tensor":
                dtype, raw = getattr(torch, value["dtype"]), bytearray(base64.b64decode(of))
                return (
                    torch.frombuffer(raw, dtype=dtype).reshape(value["shape"])
                    if raw
                    else torch.empty(value["shape"], dtype=dtype)
                )
            if kind == "tuple":
                return tuple(self.unpack(v) for v in of)
            if kind == "dict":
                return {k: self.unpack(v) for k, v in of.items()}
            if kind == "dataclass" and tuple(value["name"]) in COPIED:
                module, name = value["name"]
                return getattr(importlib.import_module(module), name)(**{k: self.unpack(v) for k, v in of.items()})
            if kind == "function":
                return Remote(self, int(value["handle"]), str(value["name"]))
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:  # RecursionError is one, too
            raise LineClosed(f"a value came that cannot be read ({error})") from None
        raise LineClosed("a value came that cannot be read")


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
