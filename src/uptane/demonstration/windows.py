"""The walkthrough's windows as child processes, each on the other end of a pipe."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO

from uptane.demonstration.agent import DONE
from uptane.demonstration.banners import CAUSE, PREFIX
from uptane.demonstration.console import ERROR_LINE
from uptane.demonstration.settings import PREFIX as SETTINGS
from uptane.demonstration.settings import TRACEBACK
from uptane.metadata.errors import UptaneError


def _is_foreign(name: str) -> bool:
    """Whether a variable would set up servers or stores, which the demonstration does itself."""
    ours = name.startswith(SETTINGS) or name == TRACEBACK
    return name.startswith(("UPTANE_", "AWS_")) and not ours


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call did.

    Args:
        lines: what it printed.
        banners: the banners among it.
        causes: the checks among it that refused something.
        errors: the errors among it.
        value: what it returned, where that is a text or a number.
    """

    lines: tuple[str, ...]
    banners: tuple[str, ...]
    causes: tuple[str, ...]
    errors: tuple[str, ...]
    value: object


class Window:
    """One child process.

    Args:
        kind: `services`, `primary`, `secondary` or `secondary 2`.
        environment: variables of the demonstration.
        show: is given every line that the child prints.
    """

    def __init__(self, kind: str, environment: Mapping[str, str], show: Callable[[str], None]) -> None:
        self._kind = kind
        self._show = show
        self._process = subprocess.Popen(
            [sys.executable, "-m", "uptane.demonstration.agent", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={name: value for name, value in os.environ.items() if not _is_foreign(name)} | dict(environment),
        )

    def ready(self) -> None:
        """Waits until the window takes calls."""
        self._answer()

    def call(self, name: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Answer:
        """Types one line and waits until it is done.

        Raises:
            UptaneError: the process ended.
        """
        stdin = self._pipe(self._process.stdin)
        try:
            stdin.write(json.dumps({"call": name, "args": args, "kwargs": dict(kwargs)}) + "\n")
            stdin.flush()
        except OSError as error:
            raise self._ended() from error
        return self._answer()

    def _answer(self) -> Answer:
        lines: list[str] = []
        for line in self._pipe(self._process.stdout):
            text = line.rstrip("\n")
            if text.startswith(DONE):
                value = json.loads(text.removeprefix(DONE)).get("value")
                banners, causes, errors = (
                    tuple(line.removeprefix(prefix) for line in lines if line.startswith(prefix))
                    for prefix in (PREFIX, CAUSE, ERROR_LINE)
                )
                return Answer(tuple(lines), banners, causes, errors, value)
            lines.append(text)
            self._show(text)
        raise self._ended()

    def _ended(self) -> UptaneError:
        return UptaneError(
            f"the {self._kind} window ended unexpectedly (exit code {self._process.poll()})",
            next_step="What it printed stands above.",
        )

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise self._ended()
        return pipe

    def close(self) -> None:
        """Ends the process and waits for it."""
        for pipe in (self._process.stdin,):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe(self._process.stdout).close()
