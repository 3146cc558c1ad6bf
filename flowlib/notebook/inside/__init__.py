"""Look inside a model: one call in a notebook, one page on disk; every number is measured, and names its claim."""

from flowlib.notebook.inside.call import look
from flowlib.notebook.inside.page import write_page

__all__ = ["look", "write_page"]
