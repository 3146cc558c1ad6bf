"""The student's side: a Python that runs the notebook's cells one by one, and answers calls of its functions.

    python -m flowlib.classroom.room.student DATA FILE PROCESSES CPU

Requests come on standard input, replies go to standard output. The numbers are limits: bytes of memory, bytes of a
file, processes and threads, seconds of CPU time.

It runs inside the sandbox, and trusts nobody: whatever the program prints goes into bounded texts.
"""

import base64
import io
import os
import sys
from contextlib import nullcontext, redirect_stderr, redirect_stdout

from flowlib.classroom.room.calls import refuse_calls
from flowlib.classroom.room.wire import Line

MOST_TEXT = 100_000  # characters that a cell may print
OPEN_FILES = 256  # at a time, pipes and sockets too, as on macOS


class Bounded(io.StringIO):
    """Keeps the first characters that are written, and forgets the rest."""

    def write(self, text: str) -> int:
        room = MOST_TEXT - self.tell()
        if room > 0:
            super().write(text[:room])
            if len(text) >= room:
                super().write("\n… (more was printed than is kept)\n")
        return len(text)


class Student:
    """An IPython without a terminal, and the values that its cells have made."""

    def __init__(self):
        from IPython.core.displayhook import DisplayHook
        from IPython.core.displaypub import CapturingDisplayPublisher
        from IPython.core.interactiveshell import InteractiveShell

        class Hook(DisplayHook):
            """A cell's last value goes where its displays go."""

            def __call__(self, result=None):
                if result is not None and not self.quiet():
                    self.shell.display_pub.publish(*self.shell.display_formatter.format(result))

        class Shell(InteractiveShell):
            displayhook_class, display_pub_class, colors = Hook, CapturingDisplayPublisher, "nocolor"
            raised: list = []

            def _tee(self, channel):
                return nullcontext()  # newer IPythons keep all that is printed a second time, without a bound

            def _showtraceback(self, etype, evalue, stb):
                self.raised.append(
                    {
                        "output_type": "error",
                        "ename": etype.__name__,
                        "evalue": str(evalue)[:2000],
                        "traceback": "\n".join(stb)[-8000:].splitlines(),
                    }
                )

        self.shell = Shell.instance(history_load_length=0)
        self.shell.history_manager.enabled = False
        sys.path.append(os.getcwd())  # modules beside the notebook; last, so that none takes a library's place

    def __call__(self, request: dict):
        if request["do"] == "run":
            return self.run(request["source"])
        if request["do"] == "has":
            return request["name"] in self.shell.user_ns
        if request["do"] == "get":
            return self.shell.user_ns[request["name"]]
        raise ValueError(f"unknown request {request['do']!r}")

    def run(self, source: str) -> list[dict]:
        """Run a cell; what it printed, displayed and raised, as a notebook keeps it (nbformat's outputs)."""
        out, err = Bounded(), Bounded()
        self.shell.display_pub.outputs, self.shell.raised = [], []
        with redirect_stdout(out), redirect_stderr(err):
            self.shell.run_cell(source, store_history=False)
        outputs = [
            {"output_type": "stream", "name": name, "text": text.getvalue()}
            for name, text in (("stdout", out), ("stderr", err))
            if text.getvalue()
        ]
        outputs += [
            {"output_type": "display_data", "data": keep_small(shown["data"]), "metadata": {}}
            for shown in self.shell.display_pub.outputs
        ]
        return outputs + self.shell.raised


def keep_small(data: dict) -> dict:
    """A display's texts and pictures, those that are not too large."""
    kept = {}
    for kind, content in data.items():
        content = base64.b64encode(content).decode() if isinstance(content, bytes) else content
        if isinstance(content, str) and len(content) < 4_000_000:
            kept[kind] = content
    return kept


def limit(data: int, file: int, processes: int, cpu: int) -> None:
    """From here on the kernel holds this process, and those that it starts, to these numbers."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for what, most in (
        (resource.RLIMIT_DATA, data),
        (resource.RLIMIT_FSIZE, file),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_CPU, cpu),
    ):
        resource.setrlimit(what, (most, most))
    opened = min(OPEN_FILES, *filter(lambda n: n > 0, resource.getrlimit(resource.RLIMIT_NOFILE)))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened, opened))


def main(limits: list[str]) -> None:
    read, write = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    refuse_calls()
    student = Student()
    limit(*map(int, limits))
    Line(read, write, student, attributes=True).listen()


if __name__ == "__main__":
    main(sys.argv[1:])
