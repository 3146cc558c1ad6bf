"""What `make lab` starts, seen by a reader: a real browser opens the first chapter, and runs it to its end."""

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

import pytest

ROOT = Path(__file__).resolve().parents[1]
FIRST = "chapters/00_the_river.ipynb"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The network stays out of it; the sandbox of Chromium does not work as root, nor in many containers.
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
START_SECONDS, OPEN_SECONDS, RUN_SECONDS = 60, 60, 180  # generous: a machine may be busy

DIALOGS = ".jp-Dialog, dialog[open]"
TOASTS = ".Toastify__toast"
KERNEL_IS_READY = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    return !!panel?.sessionContext?.isReady && panel.sessionContext.session?.kernel?.status === 'idle';
}"""
RUN_ALL = """seconds => Promise.race([
    window.jupyterapp.commands.execute('notebook:run-all-cells'),
    new Promise((_, fail) => setTimeout(() => fail(new Error(`no end after ${seconds} s`)), 1000 * seconds)),
])"""
NOTEBOOK = "() => window.jupyterapp.shell.currentWidget.content.model.toJSON()"
OPENED = "() => window.jupyterapp.shell.currentWidget.context.path"
KERNEL_NAME = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.name"

pytestmark = [pytest.mark.browser, pytest.mark.timeout(START_SECONDS + 2 * OPEN_SECONDS + RUN_SECONDS)]


@pytest.fixture
def browser():
    how = "playwright is not installed: pip install -e '.[test]'"
    playwright = pytest.importorskip("playwright.sync_api", reason=how)
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


def command_of_make_lab() -> list[str]:
    """The last line of `make --dry-run lab`, with this Python, and without a browser of its own."""
    if not shutil.which("make"):
        pytest.skip("make is missing: cannot tell what `make lab` starts")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    dry = ["make", "--dry-run", "--no-print-directory", "lab"]
    printed = subprocess.run(dry, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    python, *rest = shlex.split(printed.splitlines()[-1])
    assert python.endswith("python") and "jupyterlab" in rest
    return [sys.executable, *rest, "--no-browser", "--ServerApp.port=0", "--LabApp.expose_app_in_browser=True"]


@pytest.fixture
def address(tmp_path):
    """The address that the server prints. It serves a copy of chapters/, which JupyterLab saves into as it likes."""
    shutil.copytree(ROOT / "chapters", tmp_path / "served" / "chapters")
    command = [*command_of_make_lab(), f"--ServerApp.root_dir={tmp_path / 'served'}"]
    command += [f"--LabApp.workspaces_dir={tmp_path / 'tabs'}"]
    (tmp_path / "home").mkdir()  # a reader who has never started JupyterLab
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    environment |= {"HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
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


def errors(notebook: dict) -> list[str]:
    """The errors on the page; a cell tagged raises-exception is meant to fail."""
    meant = [cell for cell in notebook["cells"] if "raises-exception" not in cell.get("metadata", {}).get("tags", [])]
    outputs = [output for cell in meant for output in cell.get("outputs", [])]
    return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]


def test_the_first_chapter_opens_and_runs_to_its_end(browser, address, tmp_path):
    assert f"/lab/tree/{FIRST}?token=" in address  # straight to the chapter, authentication on
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(1000 * OPEN_SECONDS)
    try:
        page.goto(address)
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        page.wait_for_function(KERNEL_IS_READY)
        page.wait_for_timeout(2000)  # a prompt would come up now: the one about news does so after the page is restored
        assert page.locator(DIALOGS).count() == 0, page.locator(DIALOGS).all_inner_texts()
        assert page.locator(TOASTS).count() == 0, page.locator(TOASTS).all_inner_texts()
        assert page.evaluate(KERNEL_NAME) == "python3"
        assert page.evaluate(OPENED) == FIRST

        page.evaluate(RUN_ALL, RUN_SECONDS)
        notebook = page.evaluate(NOTEBOOK)
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
        assert errors(notebook) == []
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "each cell once, in order"
        assert page.locator(DIALOGS).count() == 0, page.locator(DIALOGS).all_inner_texts()
    finally:
        page.screenshot(path=os.environ.get("FLOWLIB_SCREENSHOT", tmp_path / "page.png"))


def test_authentication_stays_on(browser, address):
    page = browser.new_page()
    answer = page.goto(address.split("?")[0])
    assert "/login" in page.url or answer.status == 403
