"""The tables of measured figures in the README are those of the runs that are stored beside the shipped models."""

import json
import re
from pathlib import Path

import pytest

from flowlib import bench
from flowlib.models import shipped
from flowlib.training import compare

README = Path(__file__).parents[1] / "README.md"
STORED = shipped("tiny").parent
TABLES = {
    "bench": bench.markdown,
    "schemes": lambda result: compare.table(result, seconds=False),
    "depth": lambda result: compare.table(result, seconds=False),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_readme_says_what_was_measured(name):
    stored = json.loads((STORED / f"{name}.json").read_text("utf-8"))
    expected = TABLES[name](stored)
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", README.read_text("utf-8"), re.DOTALL)
    assert found, f"README.md lacks the table between <!-- {name} --> and <!-- /{name} -->:\n{expected}"
    assert found[1] == expected, f"README.md must say, between <!-- {name} --> and <!-- /{name} -->:\n{expected}"
