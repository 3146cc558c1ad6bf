"""What the tests of figures, questions and explorers share: a page without a browser."""

import pytest


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed: a list of (data, metadata), widgets as ("widget", widget); what is updated is replaced."""
    seen = []

    def display(thing, raw=False, metadata=None, display_id=False):
        seen.append((thing, metadata) if raw else ("widget", thing))
        place = len(seen) - 1

        class Handle:
            def update(self, thing, raw=True, metadata=None):
                seen[place] = (thing, metadata)

        return Handle() if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    return seen
