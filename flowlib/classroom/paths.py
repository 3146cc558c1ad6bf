"""Where things lie on a teacher's machine is nobody else's business: what students read has no such paths."""

import importlib.util
import re
import sys
import sysconfig
from functools import cache
from pathlib import Path


def hide_paths(text: str) -> str:
    """The text with … for the folders of Python, its packages, flowlib and the home of whoever grades."""
    return find_private().sub("…", text)


@cache
def find_private() -> re.Pattern:
    """What stands for any of those folders; the longest one first, for one may lie in another."""
    flowlib = importlib.util.find_spec("flowlib").submodule_search_locations
    folders = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *(Path(one).parent for one in flowlib)]
    folders += [Path.home(), Path.cwd()]
    named = {str(one) for folder in map(Path, folders) for one in (folder, folder.resolve())}
    private = sorted((one for one in named if len(Path(one).parts) > 2 or one == str(Path.home()) != "/"), key=len)
    return re.compile("(" + "|".join(map(re.escape, reversed(private))) + r")(?![\w-])")
