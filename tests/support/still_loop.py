"""An event loop for connections of a server, without time."""

from collections.abc import Callable
from typing import Any

from uptane.assembly.tls_server import CLOSE_SECONDS, STALLED_SECONDS

ALWAYS = (STALLED_SECONDS, CLOSE_SECONDS)
"""A connection is looked at each time that so many seconds have passed."""


class Timer:
    """Stands for what `call_later` gives."""

    def __init__(self, seconds: float, work: Callable[[], object]) -> None:
        self.seconds, self.work, self.cancelled = seconds, work, False

    def cancel(self) -> None:
        self.cancelled = True


class Task:
    """Stands for a task that is never run."""

    def add_done_callback(self, done: Callable[..., object]) -> None:
        """Is never called."""


class Loop:
    """An event loop in which nothing runs and no time passes but when a test says so."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds: float, work: Callable[..., object], *arguments: object) -> Timer:
        self.timers.append(Timer(seconds, lambda: work(*arguments)))
        return self.timers[-1]

    def create_task(self, work: Any) -> Task:
        work.close()
        return Task()

    def pending(self) -> list[float]:
        """After how many seconds something happens that does not happen all the time."""
        return [timer.seconds for timer in self.timers if not timer.cancelled and timer.seconds not in ALWAYS]

    def pass_by(self, *seconds: float) -> None:
        """The time of every timer comes, or of those of that many seconds."""
        due = [timer for timer in self.timers if not timer.cancelled and timer.seconds in (seconds or (timer.seconds,))]
        self.timers = [timer for timer in self.timers if timer not in due]
        for timer in due:
            timer.work()
