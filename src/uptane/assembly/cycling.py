"""Update cycles of an ECU's program, one after the other, until somebody asks it to end."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from uptane.metadata.errors import UnreachableError, UptaneError
from uptane.vehicle.polling import Polling

ResultT = TypeVar("ResultT")

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Asked(BaseException):
    """The program was asked to end, wherever it was: what is half-done is taken up by the next start, as after a
    power cut."""


@contextmanager
def ending_when_asked() -> Iterator[None]:
    """Leaves the context at once when the process gets SIGTERM or SIGINT; for the main thread."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:  # a second one must not disturb what the first one ends
            asked = True
            raise Asked

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield
    except Asked:
        return
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def opened_at_last(
    attempt: Callable[[], ResultT],
    polling: Polling,
    *,
    failed: Callable[[UptaneError], None],
    wait: Callable[[float], object] | None = None,
) -> ResultT:
    """What an attempt gives, which is made again and again while nobody answers, with growing waits.

    Args:
        attempt: such as a vehicle's first contact.
        polling: how long it waits.
        failed: is told of each attempt that failed.
        wait: waits for some seconds.

    Raises:
        UptaneError: it failed for another reason, which will not go away by itself.
    """
    wait = wait or threading.Event().wait
    while True:
        try:
            return attempt()
        except UnreachableError as error:
            failed(error)
            wait(polling.failed())


def run_cycles(
    cycle: Callable[[], None],
    polling: Polling,
    *,
    cycles: int,
    failed: Callable[[UptaneError], None],
    wait: Callable[[float], object] | None = None,
) -> None:
    """Runs cycles, with the waits between them that `polling` says.

    Args:
        cycle: one cycle.
        polling: how long it waits.
        cycles: how many; 0 is without end.
        failed: is told of a cycle that failed. The last of a number of cycles raises its error instead.
        wait: waits for some seconds.

    Raises:
        UptaneError: the last cycle failed.
    """
    wait = wait or threading.Event().wait
    done = 0
    while True:
        done += 1
        try:
            cycle()
        except UptaneError as error:
            if done == cycles:
                raise
            failed(error)
            seconds = polling.failed()
        else:
            seconds = polling.succeeded()
        if done == cycles:
            return
        wait(seconds)
