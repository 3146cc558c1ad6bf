"""Where several processes share the tests (make test-browser), a file stays in one; figures are read at the end."""

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture
def say(record_property):
    """say(line): what was measured, to be read below all tests, and not asserted."""
    return lambda line: record_property("said", line)


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # where tests run in parallel: once, for all of them
        config.pluginmanager.register(Said(), "said")


class Said:
    def __init__(self):
        self.lines: list[str] = []

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.lines += [line for name, line in report.user_properties if name == "said"]

    def pytest_terminal_summary(self, terminalreporter):
        if self.lines:
            terminalreporter.section("measured in the browser")
            terminalreporter.write_line("\n".join(self.lines))
