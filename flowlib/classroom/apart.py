"""A piece of work in a process of its own, with a deadline and limits: whatever becomes of it, the others go on."""

import signal
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

PRELOAD = ["flowlib.classroom.grading"]  # imported once, by a server that the processes are forked from


class Ended(RuntimeError):
    """The process ended before its work did; the message says how."""


def run_apart(work: Callable, args: tuple, *, seconds: float, megabytes: int, cpu_seconds: float | None = None) -> Any:
    """What work(*args) returns, in so many seconds, and of a core's own as many, or fewer.

    Raises: Ended, also where the work raised.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    receive, send = context.Pipe(duplex=False)
    given = send, work, args, int(cpu_seconds or seconds), megabytes
    process = context.Process(target=_work, args=given, daemon=False)
    process.start()
    send.close()
    try:
        if not receive.poll(seconds):
            raise Ended(f"it was not done within {seconds:g} s, and was ended")
        done, value = receive.recv()
    except EOFError:
        process.join(10)
        raise Ended(f"its process was ended by {name_signal(process.exitcode)}") from None
    finally:
        receive.close()
        end(process)
    if not done:
        raise Ended(value)
    return value


def _work(send, work: Callable, args: tuple, seconds: int, megabytes: int) -> None:
    limit(seconds, megabytes)
    try:
        send.send((True, work(*args)))
    except BaseException as error:  # whatever it is, the others go on, and its kind is told
        send.send((False, f"{type(error).__name__}: {str(error)[:300]}"))


def limit(seconds: int, megabytes: int) -> None:
    """From here on the kernel holds this process to these numbers, and what it starts to no larger ones."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for what, most in ((resource.RLIMIT_DATA, megabytes << 20), (resource.RLIMIT_CPU, seconds)):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most, most) if hard == resource.RLIM_INFINITY or most <= hard else (hard, hard))


def end(process) -> None:
    """End a process, and those that it started."""
    import psutil

    try:
        family = psutil.Process(process.pid).children(recursive=True) if process.is_alive() else []
    except psutil.NoSuchProcess:
        family = []
    process.join(0.2) if not family else None
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            pass
    process.kill()
    process.join()
    process.close()


def name_signal(code: int | None) -> str:
    """What an exit code says: the name of a signal, or the code."""
    try:
        return signal.Signals(-(code or 0)).name
    except ValueError:
        return f"the exit code {code}"
