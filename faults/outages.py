"""What fails: each outage breaks one thing, leaves it broken for a while, and mends it."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from faults.ledger import Ledger
from faults.load import Operator
from faults.stack import Stack, limit_file_size
from uptane.metadata.errors import BadTimeAttestationError, ExpiredMetadataError, SecurityError

BROKEN_SECONDS = 2.0
"""How long a store stays away."""

FULL_DISK = "8192"
"""Bytes that a file may have on a full disk: all that matter have more already."""

NO_LIMIT = "unlimited"

FORWARD, BACK = 2 * 3600.0, 3600.0
"""Seconds that the servers' clock jumps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """One thing that fails.

    Args:
        name: what is done.
        happen: breaks it, and mends it before the context ends.
        allows: what vehicles rightly call an attack meanwhile.
        moves_clock: whether the servers' clock is another one afterwards.
    """

    name: str
    happen: Callable[[], None]
    allows: tuple[type[SecurityError], ...] = ()
    moves_clock: bool = False


def outages(stack: Stack, operator: Operator, ledger: Ledger, chance: random.Random) -> tuple[Outage, ...]:
    """Every outage that a run has, in turn."""

    def kill_a_worker() -> None:
        process = chance.choice(stack.server_processes())
        process.kill()
        with suppress(psutil.NoSuchProcess):
            process.wait(10)

    def kill_every_process() -> None:
        for process in (*stack.server_processes(), stack.parent()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        stack.server_is_gone()

    def restart_the_database() -> None:
        stack.stop_database()
        time.sleep(BROKEN_SECONDS)
        stack.start_database()

    def lose_the_object_store() -> None:
        stack.kill_object_store()
        time.sleep(BROKEN_SECONDS)
        stack.restart_object_store()

    def fill_the_disk_of_the_database() -> None:
        with full(stack.database_processes):
            time.sleep(BROKEN_SECONDS)
        stack.stop_database()
        stack.start_database()

    def fill_the_disk_of_the_object_store() -> None:
        with full(lambda: [stack.object_store]):
            time.sleep(BROKEN_SECONDS)
        if stack.restart_object_store():
            ledger.count("times that the object store ended on a full disk")

    def jump_forward() -> None:
        stack.set_clock(stack.clock() + FORWARD)
        time.sleep(BROKEN_SECONDS)

    def jump_back() -> None:
        stack.set_clock(stack.clock() - BACK)
        time.sleep(BROKEN_SECONDS)
        stack.set_clock(stack.clock() + BACK + 60)

    return (
        Outage(name="kill -9 of a worker", happen=kill_a_worker),
        Outage(name="immediate stop of the database, and a start", happen=restart_the_database),
        Outage(name="kill -9 of an operator's command", happen=operator.kill),
        Outage(name="kill -9 of the object store, and a start", happen=lose_the_object_store),
        Outage(name="disk full under the database", happen=fill_the_disk_of_the_database),
        Outage(name="disk full under the object store", happen=fill_the_disk_of_the_object_store),
        Outage(name="kill -9 of all server processes, and a start", happen=kill_every_process),
        Outage(name="clock two hours forward", happen=jump_forward, allows=(ExpiredMetadataError,), moves_clock=True),
        Outage(
            name="clock an hour back, and forth again",
            happen=jump_back,
            allows=(BadTimeAttestationError, ExpiredMetadataError),
            moves_clock=True,
        ),
    )


@contextmanager
def full(processes: Callable[[], list[psutil.Process]]) -> Iterator[None]:
    """While it lasts, their disk is full."""
    limit_file_size(processes(), FULL_DISK)
    try:
        yield
    finally:
        limit_file_size(processes(), NO_LIMIT)
