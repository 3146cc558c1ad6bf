"""For every test: one thread, shapes checked at run time, and claims named in the form that the chapters use."""

import os
import re
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes that tests start inherit it

import jaxtyping  # noqa: E402
import pytest  # noqa: E402

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


@pytest.fixture(autouse=True)
def shape_check(request, monkeypatch):
    """A test marked no_shape_check sees flowlib as a user does: without the check that comes first in all others."""
    if request.node.get_closest_marker("no_shape_check"):
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


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


def pytest_collection_modifyitems(items):
    """A claim is named once and in one form: @pytest.mark.claim("C3.2")."""
    for item in items:
        for mark in item.iter_markers("claim"):
            if mark.kwargs or len(mark.args) != 1 or not CLAIM.fullmatch(str(mark.args[0])):
                raise pytest.UsageError(
                    f"{item.nodeid}: a claim must be one text such as 'C3.2', but claim{mark.args} came; "
                    "write @pytest.mark.claim('C3.2')"
                )
