"""JupyterLab as `make lab` starts it, a real browser before it, and what the explorers took to answer.

One server and one browser serve each process of the tests; `make test-browser` has two. `lab(chapter)` gives a
`Chapter`: what a reader can do with an open notebook, every wait a wait for a condition. Screenshots, and latency.json,
are left in build/browser/.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT = ROOT / "build" / "browser"  # what the tests leave to be looked at
START_SECONDS, WAIT_SECONDS, RUN_SECONDS = 120, 60, 600  # generous: a machine may be busy
TARGET = (150, 400)  # ms: the median and the 95th percentile that an explorer is to keep

# Errors in the browser's console that are not the course's: what they match, and why each is let through.
NOT_OURS = {
    r"Failed to load resource: net::ERR_(INTERNET_DISCONNECTED|NAME_NOT_RESOLVED|CONNECTION_\w+|TIMED_OUT).*https?://"
    r"(?!localhost|127\.)": "something of JupyterLab asks the network, and there may be none",
}

READY = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    return !!panel?.sessionContext?.isReady && panel.sessionContext.session?.kernel?.status === 'idle';
}"""
WATCH_KERNEL = """() => {
    window.statuses = [];
    const context = window.jupyterapp.shell.currentWidget.sessionContext;
    context.statusChanged.connect((_, status) => window.statuses.push(status));
}"""
RUN_ALL = """seconds => Promise.race([
    window.jupyterapp.commands.execute('notebook:run-all-cells'),
    new Promise((_, fail) => setTimeout(() => fail(new Error(`no end after ${seconds} s`)), 1000 * seconds)),
])"""
NOTEBOOK = "() => window.jupyterapp.shell.currentWidget.content.model.toJSON()"
SHOW_CELL = """async index => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.activeCellIndex = index;
    await notebook.scrollToItem(index, 'start');
    notebook.widgets[index].node.dataset.cell = index;
}"""
SHUT_DOWN = "() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"
EXECUTE = """code => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
    .requestExecute({code, store_history: false}).done.then(reply => reply.content.status)"""


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items):
    """All that stands in this folder needs a browser, and time. What one chapter is used for stays in one process."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(START_SECONDS + 4 * WAIT_SECONDS + RUN_SECONDS))
            opened = item.callspec.params.get("chapter", "") if hasattr(item, "callspec") else ""
            item.add_marker(pytest.mark.xdist_group(opened or item.path.stem))


def command_of_make_lab(missing) -> list[str]:
    """The last line of `make --dry-run lab`, with this Python, and without a browser of its own."""
    if not shutil.which("make"):
        missing("make is missing: cannot tell what `make lab` starts")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    dry = ["make", "--dry-run", "--no-print-directory", "lab"]
    printed = subprocess.run(dry, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    python, *rest = shlex.split(printed.splitlines()[-1])
    assert python.endswith("python") and "jupyterlab" in rest
    return [sys.executable, *rest, "--no-browser", "--ServerApp.port=0", "--LabApp.expose_app_in_browser=True"]


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Path:
    """A copy of chapters/, which JupyterLab saves into as it likes; a test may put a notebook beside them."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "chapters", folder / "served" / "chapters")
    return folder / "served"


@pytest.fixture(scope="session")
def address(served, missing):
    """The address that the server prints."""
    folder = served.parent
    command = [*command_of_make_lab(missing), f"--ServerApp.root_dir={served}"]
    command += [f"--LabApp.workspaces_dir={folder / 'tabs'}"]
    (folder / "home").mkdir()  # a reader who has never started JupyterLab
    foreign = ("JUPYTER", "PYTEST", "XDG_", "FLOWLIB_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment |= {"HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: Queue[str] = Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in server.stdout], daemon=True).start()
    said = ""
    try:
        while not (url := re.search(r"http://(localhost|127\.0\.0\.1):\d+/\S*", said)):
            said += lines.get(timeout=START_SECONDS)
        yield url.group()
    except Empty:
        pytest.fail(f"JupyterLab printed no address within {START_SECONDS} s:\n{said}")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


class Chapter:
    """A notebook in JupyterLab, open in the browser."""

    def __init__(self, browser, url: str, stem: str):
        self.stem = stem
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
        self.page.set_default_timeout(1000 * WAIT_SECONDS)
        self.console: list[str] = []
        self.page.on("console", self.hear)
        self.page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))
        self.page.goto(url)
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        self.page.wait_for_function(READY)
        self.page.evaluate(WATCH_KERNEL)

    def hear(self, message) -> None:
        said = f"{message.text} ({message.location.get('url', '')})"
        if message.type == "error" and not any(re.search(pattern, said) for pattern in NOT_OURS):
            self.console.append(said)

    def run(self) -> dict:
        """Run all cells; the notebook as it then stands, with the line of every cell that failed."""
        self.page.evaluate(RUN_ALL, RUN_SECONDS)
        return self.notebook()

    def notebook(self) -> dict:
        return self.page.evaluate(NOTEBOOK)

    def sources(self) -> list[str]:
        return ["".join(cell["source"]) if cell["cell_type"] == "code" else "" for cell in self.notebook()["cells"]]

    def errors(self) -> list[str]:
        """Errors in the cells; a cell tagged raises-exception is meant to fail."""
        cells = self.notebook()["cells"]
        meant = [cell for cell in cells if "raises-exception" not in cell.get("metadata", {}).get("tags", [])]
        outputs = [output for cell in meant for output in cell.get("outputs", [])]
        return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]

    def cell(self, index: int):
        """The cell with this index, scrolled to: JupyterLab keeps what is far away out of the page."""
        self.page.evaluate(SHOW_CELL, index)
        return self.page.locator(f'.jp-Cell[data-cell="{index}"]')

    def execute(self, code: str) -> None:
        """Run code in the kernel, beside the page. Its answer says that the kernel lives and runs no cell."""
        assert self.page.evaluate(EXECUTE, code) == "ok"

    def troubles(self) -> dict[str, list]:
        """All that must be empty: errors in cells, in the console, deaths of the kernel."""
        self.execute("")
        fatal = ("dead", "restarting", "autorestarting", "terminating")
        died = [status for status in self.page.evaluate("() => window.statuses") if status in fatal]
        found = {"cells": self.errors(), "console": self.console, "kernel": died}
        return {where: what for where, what in found.items() if what}

    def picture(self, name: str) -> None:
        LEFT.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=LEFT / f"{self.stem}{name}.png")

    def close(self) -> None:
        self.page.evaluate(SHUT_DOWN)
        self.page.close()


@pytest.fixture(scope="session")
def lab(browser, address):
    """`lab(stem)` opens chapters/<stem>.ipynb in a workspace of its own, where no other tab is open."""
    root, token = address.split("/lab")[0], address.split("?token=")[1]

    def open_chapter(stem: str, url: str = "") -> Chapter:
        url = url or f"{root}/lab/workspaces/{stem}/tree/chapters/{stem}.ipynb?token={token}"
        return Chapter(browser, url, stem)

    return open_chapter


# ------------------------------------------------------------------------------------------------ the report


@pytest.fixture
def latencies(record_property):
    """latencies(explorer, control, milliseconds): from the event to the new picture. Reported, never asserted."""
    return lambda explorer, control, times: record_property("latency", (explorer, control, times))


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # where tests run in parallel: once, for all of them
        config.pluginmanager.register(Latencies(), "latencies")


def summary(times: list[float]) -> dict[str, float]:
    tail = quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return {"moves": len(times), "median_ms": round(median(times), 1), "p95_ms": round(tail, 1)}


class Latencies:
    """What the tests told, of whatever process: explorer -> control -> milliseconds."""

    def __init__(self):
        self.measured: dict[str, dict[str, list[float]]] = {}

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            for explorer, control, times in (told for name, told in report.user_properties if name == "latency"):
                self.measured.setdefault(explorer, {})[control] = times

    def pytest_terminal_summary(self, terminalreporter, config):
        """The table of latencies, and the same figures with every single move in latency.json."""
        if not self.measured:
            return
        rows = {name: summary(sum(controls.values(), [])) for name, controls in sorted(self.measured.items())}
        rows["all"] = summary([t for controls in self.measured.values() for times in controls.values() for t in times])
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        workers = int(config.getoption("numprocesses", None) or 1)
        found = {"target_ms": TARGET, "cores": os.cpu_count(), "workers": workers, "load": load}
        found |= {"explorers": rows, "moves_ms": self.measured}
        LEFT.mkdir(parents=True, exist_ok=True)
        (LEFT / "latency.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        terminalreporter.section("from a move to the new picture, in the page (ms)")
        for name, row in rows.items():
            over = "" if row["median_ms"] <= TARGET[0] and row["p95_ms"] <= TARGET[1] else "  over the target"
            numbers = f"{row['moves']:5d} moves   median {row['median_ms']:6.0f}   95 % {row['p95_ms']:6.0f}"
            terminalreporter.write_line(f"{name:34s}{numbers}{over}")
        busy = f"{os.cpu_count()} cores, {workers} at a time" + (f", load {load:.1f}" if load is not None else "")
        terminalreporter.write_line(f"target: median {TARGET[0]}, 95 % {TARGET[1]}, on two idle cores; here {busy}")
