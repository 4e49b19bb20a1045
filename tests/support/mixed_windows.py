"""The walkthrough with each window played by a program of one's choice, all on free ports in a folder of their own."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from uptane.demonstration.script import STEPS, Call, Step

DONE = "[uptane] DONE "
BANNER = "[uptane] BANNER: "
ERROR = "[uptane] ERROR: "
WINDOWS = ("services", "primary", "secondary")
_WINDOW_OF = {"di": "services", "dd": "services", "dt": "services", "dp": "primary", "ds": "secondary"}
_PEER = Path(__file__).resolve().parents[1] / "interop" / "archived_peer.py"

START = Step(
    "0",
    "Services",
    "The three services start.",
    (Call("di.clean_slate"), Call("dd.clean_slate"), Call("dt.listen")),
)

Command = Sequence[str]


def ours(window: str) -> Command:
    """The command of our own window."""
    return (sys.executable, "-m", "uptane.demonstration.agent", window)


def archived_peer(window: str) -> Command:
    """The command of the archived implementation's peer."""
    return (sys.executable, str(_PEER), window)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call did: all that was printed until it was done, and what it returned."""

    lines: tuple[str, ...]
    value: object

    def after(self, prefix: str) -> tuple[str, ...]:
        """The lines with a prefix, without it."""
        return tuple(line.removeprefix(prefix) for line in self.lines if line.startswith(prefix))


@dataclass(frozen=True, slots=True)
class Played:
    """A step of the walkthrough, and what came of it."""

    section: str
    expected: tuple[str, ...]
    seen: tuple[str, ...]
    errors: tuple[str, ...]
    lines: tuple[str, ...]


class WindowEnded(Exception):
    """A window's process ended, or was ended because it did not answer in time; the text is what it printed."""


class MixedWindows:
    """Three windows on one demonstration; a context manager.

    Args:
        commands: what starts each of `services`, `primary` and `secondary`.
        wire_format: the name of the format, the same for all.
        folder: their working directory.
        patience: seconds after which a call that is not answered ends its window.
    """

    def __init__(
        self, commands: Mapping[str, Command], *, wire_format: str, folder: Path, patience: float = 60.0
    ) -> None:
        self.ports = _free_ports()
        self._environment = _environment(wire_format, folder, self.ports)
        self._commands = commands
        self._patience = patience
        self._windows: dict[str, _Window] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._close)
            for window in WINDOWS:
                self._windows[window] = _Window(self._commands[window], self._environment, self._patience)
            for started in self._windows.values():
                started.answer()
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def call(self, name: str, *args: object, **kwargs: object) -> Answer:
        """Types one line in the window that its name belongs to.

        Raises:
            WindowEnded: the window is no more.
        """
        return self._windows[_WINDOW_OF[name.partition(".")[0]]].call(name, args, kwargs)

    def play(self, steps: Iterable[Step] = (START, *STEPS)) -> tuple[Played, ...]:
        """Types what the steps say, and reports what was seen in each.

        Raises:
            WindowEnded: a window is no more.
        """
        return tuple(self._step(step) for step in steps)

    def _step(self, step: Step) -> Played:
        answers = [self._typed(call) for call in step.calls]
        return Played(
            section=step.section,
            expected=tuple(call.shows.value for call in step.calls if call.shows),
            seen=tuple(banner for answer in answers for banner in answer.after(BANNER)),
            errors=tuple(error for answer in answers for error in answer.after(ERROR)),
            lines=tuple(line for answer in answers for line in answer.lines),
        )

    def _typed(self, call: Call) -> Answer:
        kwargs = {
            name: self.call("dp.port").value if value == "$PRIMARY_PORT" else value
            for name, value in call.kwargs.items()
        }
        return self.call(call.name, *call.args, **kwargs)

    def _close(self) -> None:
        for window in reversed(self._windows.values()):
            window.close()
        self._windows.clear()


class _Window:
    """One child process on the other end of a pipe."""

    def __init__(self, command: Command, environment: Mapping[str, str], patience: float) -> None:
        self._patience = patience
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | dict(environment),
        )

    def call(self, name: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Answer:
        stdin = self._process.stdin
        assert stdin
        try:
            stdin.write(json.dumps({"call": name, "args": args, "kwargs": dict(kwargs)}) + "\n")
            stdin.flush()
        except OSError as error:
            raise WindowEnded(f"{name}: the window has ended") from error
        return self.answer(name)

    def answer(self, name: str = "start") -> Answer:
        stdout = self._process.stdout
        assert stdout
        lines: list[str] = []
        watch = threading.Timer(self._patience, self._process.kill)
        watch.start()
        try:
            for line in stdout:
                text = line.rstrip("\n")
                if text.startswith(DONE):
                    return Answer(tuple(lines), json.loads(text.removeprefix(DONE)).get("value"))
                lines.append(text)
        finally:
            watch.cancel()
        raise WindowEnded("\n".join((f"{name}: the window ended with {self._process.wait()}", *lines)))

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def _free_ports() -> dict[str, int]:
    names = ("IMAGE_REPOSITORY", "DIRECTOR", "DIRECTOR_CALLS", "TIMESERVER")
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: found.getsockname()[1] for name, found in zip(names, sockets, strict=True)}


def _environment(wire_format: str, folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    return {
        "UPTANE_DEMO__FORMAT": wire_format,
        "UPTANE_DEMO__FOLDER": str(folder),
        "UPTANE_DEMO__PORT_PRIMARY": "0",
        **{f"UPTANE_DEMO__PORT_{name}": str(port) for name, port in ports.items()},
    }
