"""Run notebooks in place, measure them, and leave them in one clean form: `flowlib notebooks chapters/*.ipynb`.

Every cell runs from top to bottom in a fresh kernel of this very Python; the wall time (the kernel's start
included) and the peak memory of the kernel and its children go into the notebook's metadata and between the
marks <!-- measured --> and <!-- /measured --> of its first cell. A notebook in which a cell raised is
reported and left as it was.

An assignment (a notebook with nbgrader's marks) is run in the same way, and keeps its form: the measurement is written
into it, and nothing else. Students get their copy anew from `flowlib release`.
"""

import os
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from flowlib.authoring.memory import PeakMemory
from flowlib.authoring.notebooks import MEASURED, is_assignment, read, save
from flowlib.authoring.tidy import KERNEL, tidy
from flowlib.cores import count_cores

MEGABYTE = 1e6
SOLVED = "**With its solution:** <!-- measured --><!-- /measured -->."  # an assignment's mark, where it has none


@dataclass(frozen=True)
class Measured:
    """What one run took: wall time in seconds, peak memory in MB, and the CPU cores it had."""

    seconds: int
    peak_mb: int
    cores: int

    def __str__(self) -> str:
        cores = f"{self.cores} CPU core" + ("s" if self.cores > 1 else "")
        return f"Runs in {self.seconds} s, peak memory {self.peak_mb} MB, on {cores}"


class NotebookFailed(RuntimeError):
    """A cell raised; the file was not touched."""


def execute(paths: Iterable[str | Path], write: bool = True, timeout: float = 600) -> dict[Path, Measured]:
    """Run each notebook, and with `write` store outputs and measurements in it (temporary file, then rename).

    Raises: NotebookFailed with every notebook that has a raising cell, after all have been tried;
    FileNotFoundError for a path that is none.
    """
    found, failed = {}, []
    for path in map(Path, paths):
        try:
            found[path], _ = execute_one(path, write, timeout)
        except NotebookFailed as error:
            failed.append(str(error))
    if failed:
        raise NotebookFailed("\n\n".join(failed))
    return found


def execute_one(path: Path, write: bool = True, timeout: float = 600):
    """The same for one notebook; returns the measurement, and the notebook as stored, or with `write` would be."""
    path, before = path.resolve(), path.read_bytes() if path.is_file() else b""
    notebook = read(path)
    try:
        measured = run(notebook, path.resolve().parent, timeout)
    except NotebookFailed as error:
        raise NotebookFailed(f"{path}: {error}") from None
    if is_assignment(notebook):
        notebook = read(path)  # its outputs are not kept
        write_measurement(notebook, measured)
    else:
        write_measurement(notebook, measured)
        tidy(notebook)
    if write:
        if path.read_bytes() != before:
            raise NotebookFailed(f"{path}: it was changed while it ran, and stays as it is now; run it again")
        save(notebook, path)
    return measured, notebook


def run(notebook, folder: Path, timeout: float) -> Measured:
    """Execute the notebook's cells in `folder`; the notebook object receives the outputs. Raises: NotebookFailed."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = make_client(notebook, folder, timeout)
    begin, index = time.perf_counter(), 0
    try:
        with client.setup_kernel(env=os.environ | {"PYTHONHASHSEED": "0", "FLOWLIB_PROGRESS": "off"}):
            with PeakMemory(client.km.provisioner.process.pid) as memory:
                for index, cell in enumerate(notebook.cells):  # noqa: B007  (the message below names it)
                    client.execute_cell(cell, index)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise NotebookFailed(f"cell {index} of {len(notebook.cells)} failed:\n{strip_ansi(str(error))}") from None
    seconds = time.perf_counter() - begin
    return Measured(round(seconds) or 1, round(memory.peak / MEGABYTE, -1).__int__(), count_cores())


def make_client(notebook, folder: Path, timeout: float):
    """nbclient on a kernel of this very Python under the name python3, whatever kernels else are installed."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name):
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"]
            return KernelSpec(argv=argv, display_name=KERNEL["display_name"], language="python")

    return NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython()),
        timeout=timeout,
        store_widget_state=False,  # bytes that only a network could show; the static figure stands above
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )


def strip_ansi(text: str) -> str:
    """The text without a terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def write_measurement(notebook, measured: Measured) -> None:
    """Put it into the metadata, and into the first cell that has the marks."""
    notebook.metadata["flowlib"] = {"measured": asdict(measured)}
    if notebook.cells:
        texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
        first = next((cell for cell in texts if MEASURED.search(cell.source)), notebook.cells[0])
        if is_assignment(notebook) and not MEASURED.search(first.source):
            first.source += f"\n\n{SOLVED}"
        first.source = MEASURED.sub(rf"\g<1>{measured}\g<2>", first.source, count=1)
