"""How `make lab` starts JupyterLab:  jupyter lab --config=etc/jupyterlab/config.py

Everything here belongs to the course alone. The reader's own JupyterLab settings (theme, key bindings) still apply;
overrides.json beside this file only changes defaults: it answers "no" to the question about Jupyter news, opens a
Markdown file as a page to read, and leaves the dates out of the list of files, so that the names have room.
"""

import os
from pathlib import Path

here = Path(__file__).resolve().parent
repository = here.parents[1]

c = get_config()  # noqa: F821  (traitlets puts it here)
c.ServerApp.root_dir = str(repository)
c.LabApp.default_url = "/lab/tree/chapters/00_the_river.ipynb"
c.LabApp.app_settings_dir = str(here)
if os.access(here, os.W_OK):  # a class may share one copy, which its readers cannot write: then in each reader's folder
    c.LabApp.workspaces_dir = str(here / "workspaces")
