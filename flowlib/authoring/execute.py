"""Run notebooks in place, measure them, and leave them in one clean form.

    python -m flowlib.authoring.execute chapters/*.ipynb

Every cell runs from top to bottom in a fresh kernel of this very Python; the wall time (the kernel's start
included) and the peak memory of the kernel and its children go into the notebook's metadata and between the
marks <!-- measured --> and <!-- /measured --> of its first cell. A notebook in which a cell raised is
reported and left as it was.

An assignment (a notebook with nbgrader's marks) is run in the same way, and keeps its form: the measurement is written
into it, and nothing else. Students get their copy anew from `flowlib release`.
"""

import argparse
import hashlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from flowlib.authoring import links
from flowlib.files import save_text

MARK = re.compile(r"(<!-- measured -->).*?(<!-- /measured -->)", re.DOTALL)
WIDGET = "application/vnd.jupyter.widget-view+json"
VOLATILE = (
    "execution",
    "ExecuteTime",
    "collapsed",
    "scrolled",
    "trusted",
)  # cell metadata that editors leave
QUESTIONS = ("predict(", "predict_number(", "predict_order(")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
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
    notebook = read(path)
    try:
        measured = run(notebook, path.resolve().parent, timeout)
    except NotebookFailed as error:
        raise NotebookFailed(f"{path}: {error}") from None
    if is_assignment(notebook):
        notebook = read(path)  # its outputs are not kept
        record(notebook, measured)
    else:
        record(notebook, measured)
        tidy(notebook)
    if write:
        save(notebook, path)
    return measured, notebook


def read(path: Path):
    import nbformat

    if not path.is_file():
        raise FileNotFoundError(f"there is no notebook {path}; give the path of an .ipynb file")
    return nbformat.read(path, as_version=4)


def run(notebook, folder: Path, timeout: float) -> Measured:
    """Execute the notebook's cells in `folder`; the notebook object receives the outputs."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook,
        km=kernel_manager(),
        timeout=timeout,
        store_widget_state=False,  # bytes that only a network could show; the static figure stands above
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    begin, index, cell = time.perf_counter(), 0, None
    try:
        with client.setup_kernel(env=os.environ | {"PYTHONHASHSEED": "0", "FLOWLIB_PROGRESS": "off"}):
            with PeakMemory(client.km.provisioner.process.pid) as memory:
                for index, cell in enumerate(notebook.cells):
                    client.execute_cell(cell, index)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise NotebookFailed(f"cell {index} of {len(notebook.cells)} failed:\n{plain(str(error))}") from None
    seconds = time.perf_counter() - begin
    return Measured(round(seconds) or 1, round(memory.peak / MEGABYTE, -1).__int__(), cores())


def kernel_manager():
    """A kernel of this very Python under the name python3, whatever kernels else are installed."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name):
            argv = [
                sys.executable,
                "-m",
                "ipykernel_launcher",
                "-f",
                "{connection_file}",
                "--log-level=ERROR",
            ]
            return KernelSpec(argv=argv, display_name=KERNEL["display_name"], language="python")

    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython())


class PeakMemory:
    """The largest resident memory of a process and its children, while the block runs; `peak` in bytes.

    Error: sampled every 50 ms; on Linux the process's own high-water mark closes the gaps.
    """

    def __init__(self, pid: int, interval: float = 0.05):
        import psutil

        self.process, self.interval, self.peak = psutil.Process(pid), interval, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.peak = max(self.peak, high_water(self.process.pid))

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.peak = max(self.peak, resident(self.process))
            self._stop.wait(self.interval)


def resident(process) -> int:
    import psutil

    total = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_info().rss
    except psutil.NoSuchProcess:  # a child that ended while being counted
        pass
    return total


def high_water(pid: int) -> int:
    """The peak resident memory that Linux has recorded for a process; 0 elsewhere."""
    status = Path(f"/proc/{pid}/status")
    line = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(line[1]) * 1024 if line else 0


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def record(notebook, measured: Measured) -> None:
    """Write the measurement into the metadata, and into the first cell where it has the marks."""
    notebook.metadata["flowlib"] = {"measured": asdict(measured)}
    if notebook.cells:
        first = notebook.cells[0]
        if is_assignment(notebook) and not MARK.search(first.source):
            first.source += f"\n\n{SOLVED}"
        first.source = MARK.sub(rf"\g<1>{measured}\g<2>", first.source, count=1)


def tidy(notebook) -> None:
    """One form for every notebook: kernel python3, short metadata, ids made of the text, merged streams."""
    kept = {key: notebook.metadata[key] for key in ("flowlib", "title") if key in notebook.metadata}
    kept |= {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    notebook.metadata = type(notebook.metadata)(kept)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        for key in VOLATILE:
            cell.metadata.pop(key, None)
        cell["id"] = stable_id(cell, seen)
        if cell.cell_type == "code":
            if is_question(cell):  # its source tells the answer
                cell.metadata["jupyter"] = {**cell.metadata.get("jupyter", {}), "source_hidden": True}
            cell.outputs = [merged for merged in merge_streams(cell.outputs) if WIDGET not in merged.get("data", {})]


def is_question(cell) -> bool:
    """A code cell that asks and does nothing else: its input is folded away."""
    return cell.cell_type == "code" and cell.source.lstrip().startswith(QUESTIONS)


def is_assignment(notebook) -> bool:
    return any("nbgrader" in cell.metadata for cell in notebook.cells)


def stable_id(cell, seen: dict[str, int]) -> str:
    """An id that is the same as long as the cell's text is; cells with the same text are counted.

    What was measured and where the course lies on the web make no difference.
    """
    if cell.cell_type == "code" and links.is_setup(cell.source):
        return links.SETUP_ID
    text = links.MARK.sub(r"\1\2", MARK.sub(r"\1\2", cell.source))
    made = hashlib.sha256(f"{cell.cell_type}\n{text}".encode()).hexdigest()[:12]
    seen[made] = seen.get(made, 0) + 1
    return made if seen[made] == 1 else f"{made}-{seen[made]}"


def merge_streams(outputs) -> list:
    """Neighbouring outputs of the same stream as one, with what a carriage return overwrote left out."""
    merged: list = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    for output in merged:
        if output.output_type == "stream":
            output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
    return merged


def save(notebook, path: Path) -> None:
    """The file is whole at every moment."""
    import nbformat

    nbformat.validate(notebook)
    save_text(nbformat.writes(notebook), path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="flowlib notebooks", description=f"{__doc__.splitlines()[0]} Without a path: all chapters."
    )
    parser.add_argument("notebooks", nargs="*", type=Path, help="paths of .ipynb files")
    parser.add_argument("--dry", action="store_true", help="run, measure and look, write nothing")
    options = parser.parse_args(arguments)
    from flowlib.authoring.rules import budget, violations

    paths = options.notebooks or sorted(Path("chapters").glob("*.ipynb"))
    for path in paths:
        if path.suffix != ".ipynb" or not path.is_file():
            parser.error(f"{path} is no notebook; give the path of an .ipynb file, such as chapters/00_the_river.ipynb")
    if not paths:
        parser.error("there are no chapters here; go to the folder of the course, or give the path of an .ipynb file")
    bad = 0
    for path in paths:
        try:
            measured, notebook = execute_one(path, write=not options.dry)
        except NotebookFailed as error:
            print(error, file=sys.stderr)
            bad += 1
            continue
        size = path.stat().st_size / MEGABYTE
        print(f"{path}: {measured}, {size:.2f} MB")
        for sentence in budget(notebook) if is_assignment(notebook) else violations(notebook, path):
            print(f"  rule: {sentence}")
        if is_assignment(notebook) and not options.dry:
            print(f"  its copy for students, anew: flowlib release {path.stem}")
    return bad


if __name__ == "__main__":
    raise SystemExit(main())
