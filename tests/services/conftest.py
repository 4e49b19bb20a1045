"""Servers for the doors, on free ports of 127.0.0.1."""

from collections.abc import Iterator

import pytest

from uptane.assembly.http_server import ServerThread


@pytest.fixture(scope="module")
def servers() -> Iterator[ServerThread]:
    with ServerThread() as thread:
        yield thread
