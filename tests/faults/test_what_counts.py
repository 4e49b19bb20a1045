"""Which failures of a cycle `make faults` calls a violation, and how it ends an operator's command."""

import random
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from faults.ledger import Ledger
from faults.load import Allowed, Operator, judge
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import (
    BadTimeAttestationError,
    ReplayedMetadataError,
    SlowRetrievalError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, RepositoryName, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.verification.one_repository import required
from uptane.verification.trusted import Context

TRUE, SLEEP = ["true"], ["sleep", "60"]


def violations(error: UptaneError, *allowed: type[BadTimeAttestationError]) -> list[str]:
    """What the ledger says of it."""
    ledger, permits = Ledger(), Allowed()
    permits.kinds = allowed
    judge(error, "car", permits, ledger)
    assert ledger.counts == {f"cycles that ended with {error.code}": 1}
    return ledger.violations


def test_metadata_that_lists_a_file_which_is_not_there_is_a_violation() -> None:
    context = Context(repository=RepositoryName("repo"), profile=PROFILES["der"], now=datetime.now(UTC))
    steps = required(context, Role.SNAPSHOT, 7, 1000)
    next(steps)
    with pytest.raises(UnreachableError) as raised:
        steps.send(None)
    (told,) = violations(raised.value)
    assert "not whole" in told and "7.snapshot" in told


def test_a_server_that_is_away_or_slow_is_no_violation() -> None:
    assert violations(UnreachableError("nobody answers", url="https://127.0.0.1")) == []
    assert violations(SlowRetrievalError("it hangs")) == []


def test_an_attack_is_a_violation_unless_the_outage_explains_it() -> None:
    (told,) = violations(ReplayedMetadataError("it is old"), BadTimeAttestationError)
    assert "E-ROLLBACK-META" in told
    assert violations(BadTimeAttestationError("it is late"), BadTimeAttestationError) == []


def operator(folder: Path, run: Callable[[Sequence[str]], "subprocess.Popen[str]"], ledger: Ledger) -> Operator:
    """Of one vehicle."""
    vehicles = [(VehicleIdentifier("VIN1"), EcuIdentifier("VIN1-primary"))]
    return Operator(run, folder, vehicles, ledger, threading.Event(), random.Random(1))


def test_a_command_that_is_to_be_killed_is_killed_also_where_the_one_before_has_ended(tmp_path: Path) -> None:
    ledger, second = Ledger(), threading.Event()

    def commands() -> Iterator[list[str]]:
        yield TRUE
        second.set()
        yield SLEEP

    each = commands()
    busy = operator(
        tmp_path,
        lambda words: subprocess.Popen(next(each), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True),
        ledger,
    )
    busy.start()
    busy.kill()
    assert second.is_set()
    busy.stop()
    busy.join(10)
    assert ledger.counts["image add: acknowledged"] == ledger.counts["assignment set: killed"] == 1


def test_a_load_without_an_operator_is_a_violation(tmp_path: Path) -> None:
    def run(words: Sequence[str]) -> "subprocess.Popen[str]":
        raise OSError("no such program")

    ledger = Ledger()
    with pytest.raises(OSError, match="no such program"):
        operator(tmp_path, run, ledger).run()
    assert ledger.violations == ["the operator ended: OSError('no such program')"]
