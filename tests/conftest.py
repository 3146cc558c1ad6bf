"""For every test: one thread, shapes checked at run time, and claims named in the form that the chapters use."""

import json
import math
import os
import re
import shutil
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes that tests start inherit it

import jaxtyping  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from packaging.version import Version  # noqa: E402

# Where flowlib states shapes, beartype checks them whenever a test calls a function (an int may stand for a float).
# This must come before the first import of flowlib: what is imported earlier stays unchecked.
ROOT = Path(__file__).resolve().parents[1]
CHECKED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "flowlib").rglob("*.py")
    if "jaxtyping" in path.read_text(encoding="utf-8")
]
jaxtyping.install_import_hook(CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

CLAIM = re.compile(r"C\d{1,2}\.\d{1,2}")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The network stays out of it; the sandbox of Chromium does not work as root, nor in many containers.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]


@pytest.fixture(autouse=True)
def new_enough(request):
    needed = request.node.get_closest_marker("since_torch")
    if needed and Version(torch.__version__) < Version(needed.args[0]):
        pytest.skip(f"needs torch {needed.args[0]}, this is {torch.__version__}")


@pytest.fixture(autouse=True)
def shape_check(request, monkeypatch):
    """A test marked no_shape_check sees flowlib as a user does: without the check that comes first in all others."""
    if request.node.get_closest_marker("no_shape_check"):
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def missing():
    """missing(what): skip, and say why. Where CI is set, fail: there what the browser tests need has to be."""

    def say(what: str):
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(f"{what}; CI is set, so the browser tests must run", pytrace=False)
        pytest.skip(what)

    return say


@pytest.fixture(scope="session")
def browser(missing):
    """Chromium, without a window: one for all tests of a process."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install -e '.[test]'")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        missing(f"no browser: none of {', '.join(BROWSERS)} is on the PATH; try: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Measured:
    """Asserts a figure and writes it down, so that the claims ledger shows what was asserted: figure and bound.

    `what` names the figure; measured again under the same name and bound, it is kept as a range.
    """

    def __init__(self):
        self.figures: dict[tuple[str, str], dict] = {}

    def between(self, what: str, value, low: float, high: float, must: str = "") -> None:
        value = float(value.detach() if isinstance(value, torch.Tensor) else value)
        must = must or f"{low:.4g} … {high:.4g}"
        figure = self.figures.setdefault((what, must), {"what": what, "low": value, "high": value, "must": must})
        figure["low"], figure["high"] = min(figure["low"], value), max(figure["high"], value)
        assert low <= value <= high, f"{what}: must be {must}, measured {value:.4g}"

    def near(self, what: str, value, expected: float, within: float) -> None:
        self.between(what, value, expected - within, expected + within, f"{expected:.4g} ± {within:.2g}")

    def at_most(self, what: str, value, bound: float) -> None:
        self.between(what, value, -math.inf, bound, f"≤ {bound:.4g}")

    def at_least(self, what: str, value, bound: float) -> None:
        self.between(what, value, bound, math.inf, f"≥ {bound:.4g}")


@pytest.fixture
def measured(record_property):
    """Where the test of a claim puts what it measures. `flowlib claims` shows it."""
    found = Measured()
    yield found
    record_property("measured", list(found.figures.values()))


class Killed(BaseException):
    """Stands for SIGKILL: from here on, nothing more reaches the disk."""


def _die_at(monkeypatch, moment: int) -> list[str]:
    """The `moment`-th change of a name on the disk does not happen, nor does any later one. Returns those that did."""
    done: list[str] = []

    def guarded(name, original):
        def call(*args, **kwargs):
            if len(done) >= moment:
                raise Killed
            done.append(name)
            return None if name == "fsync" else original(*args, **kwargs)  # waiting for the disk would only take time

        return call

    for name in ("fsync", "replace", "rename", "mkdir", "rmdir", "unlink"):
        monkeypatch.setattr(os, name, guarded(name, getattr(os, name)))
    return done


@pytest.fixture
def die_at():
    """The function `_die_at`, and beside it the exception that it raises."""
    _die_at.Killed = Killed
    return _die_at


def pytest_addoption(parser):
    parser.addoption("--claims-to", metavar="FILE", help="write what the tests of claims measured to FILE, as JSON")


def pytest_configure(config):
    if config.getoption("claims_to") and not hasattr(config, "workerinput"):  # where tests run in parallel: once
        config.pluginmanager.register(ClaimsFile(Path(config.getoption("claims_to"))))


class ClaimsFile:
    """What every test of a claim measured, as JSON lines' list: [{test, claims, passed, figures}]."""

    def __init__(self, file: Path):
        self.file, self.rows = file, {}

    def pytest_runtest_logreport(self, report):
        said = dict(report.user_properties)
        if "claims" not in said:
            return
        row = self.rows.setdefault(report.nodeid, {"test": report.nodeid, "claims": said["claims"], "passed": True})
        row["passed"] &= report.passed
        row["figures"] = said.get("measured", [])

    def pytest_sessionfinish(self):
        self.file.write_text(json.dumps(list(self.rows.values()), ensure_ascii=False), "utf-8")


def pytest_collection_modifyitems(items):
    """A claim is named once and in one form, @pytest.mark.claim("C3.2"), and its test measures something."""
    for item in items:
        for mark in item.iter_markers("claim"):
            if mark.kwargs or len(mark.args) != 1 or not CLAIM.fullmatch(str(mark.args[0])):
                raise pytest.UsageError(
                    f"{item.nodeid}: a claim must be one text such as 'C3.2', but claim{mark.args} came; "
                    "write @pytest.mark.claim('C3.2')"
                )
        claims = [mark.args[0] for mark in item.iter_markers("claim")]
        if claims:
            item.user_properties.append(("claims", claims))
            if "measured" not in item.fixturenames:
                raise pytest.UsageError(
                    f"{item.nodeid}: the test of a claim must put its figures into the fixture `measured`, "
                    "as in measured.near('order', p, 2, within=0.1); this one does not ask for it"
                )
