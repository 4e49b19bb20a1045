"""Every test here that asks for `profile` runs in each format, but where the weakness lies in its wire."""

import pytest

from uptane.formats.profiles import PROFILES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Chooses the formats: not those that the mark `lies_in_the_wire` names."""
    if "profile" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("lies_in_the_wire")
        names = [name for name in PROFILES if mark is None or name not in mark.args]
        metafunc.parametrize("profile", [PROFILES[name] for name in names], ids=names)
