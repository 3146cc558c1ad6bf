"""Whatever script or font the book gets from others is named, with the version that was installed."""

from importlib.metadata import version

import pytest

from flowlib.pages.notice import FROM_OTHERS, notice, read_licence


def test_it_names_each_package_with_its_version():
    page = notice()
    assert page.startswith("# Notice\n") and page.count("\n| ") == len(FROM_OTHERS) + 1
    for name, what in FROM_OTHERS.items():
        assert f"| {name} {version(name)} | {read_licence(name)} | {what} |" in page


@pytest.mark.parametrize(("name", "licence"), [("sphinx", "BSD-2-Clause"), ("furo", "MIT License")])
def test_a_licence_is_read_from_where_a_package_states_it(name, licence):
    assert read_licence(name) == licence
