"""Checks and hints of the assignments, one module for each: from flowlib.notebook.exercises import e03.

A check says what is wrong with an idea, not that an assert failed: it knows typical wrong answers and the sentence that
meets each, and otherwise tests what must hold of a right one. The right answer itself is not in here.
"""

from flowlib.notebook.exercises.base import Exercise, draw

__all__ = ["Exercise", "draw"]
