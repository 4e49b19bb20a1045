"""What every test may use: the folder of reference material, and generated examples without deadlines."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter
from hypothesis import settings
from s3_server import S3Server, running_s3_server

REPOSITORY = Path(__file__).resolve().parent.parent

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def no_log_is_left() -> Iterator[None]:
    """A log that a test begins in its process ends with it: its stream is closed, and later servers would log to it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material: `UPTANE_SHARED`, or `shared` beside the repository.

    A clone on its own has none; tests that need it are skipped there.
    """
    folder = Path(os.environ.get("UPTANE_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference material at {folder}; name its folder in UPTANE_SHARED")
    return folder


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server; it is shared, so every test uses a prefix of its own."""
    with running_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


POWER_CUTS = "power cuts"


@pytest.fixture
def count_power_cuts(record_property: Callable[[str, object], None]) -> Callable[[int], None]:
    """Adds to the number of moments at which the power was cut, which stands at the end of the test run."""
    return lambda cuts: record_property(POWER_CUTS, cuts)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Says at how many moments the power was cut."""
    reports = [report for report in terminalreporter.stats.get("passed", ()) if report.when == "call"]
    counted = [value for report in reports for name, value in report.user_properties if name == POWER_CUTS]
    if counted:
        terminalreporter.write_line(f"The power was cut at {sum(counted)} moments, and every ECU came up again.")
