"""Checks and hints of the assignments, one module each:

    from flowlib.checks.assignments import a03_another_kernel as a03

A check says what is wrong with an idea, not that an assert failed: it knows typical wrong answers and the sentence that
meets each, and otherwise tests what must hold of a right one. The right answer itself is not in here.
"""
