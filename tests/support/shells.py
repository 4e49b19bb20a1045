"""Real Python shells behind a terminal, typed into as a user would."""

import os
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pexpect

REPOSITORY = Path(__file__).resolve().parents[2]
PROMPT = r"\r\n>>> $|^>>> $"
BANNER = "[uptane] BANNER: "
ERROR = "[uptane] ERROR: "
SECONDS = 30
"""Until a prompt must be back; a cycle takes less than one."""


def free_ports() -> dict[str, str]:
    """Variables that give every system a port that is free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(5)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        numbers = [str(probe.getsockname()[1]) for probe in sockets]
    names = ("IMAGE_REPOSITORY", "DIRECTOR", "DIRECTOR_CALLS", "TIMESERVER", "PRIMARY")
    return {f"UPTANE_DEMO__PORT_{name}": number for name, number in zip(names, numbers, strict=True)}


def free_port() -> int:
    """A port that is free now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


class Shell:
    """One window.

    Args:
        folder: the working directory.
        variables: of the environment.
        arguments: of the Python interpreter.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str], *arguments: str) -> None:
        environment = {**os.environ, **variables, "PYTHONPATH": str(REPOSITORY), "TERM": "dumb", "NO_COLOR": "1"}
        environment |= {"PYTHON_BASIC_REPL": "1", "COLUMNS": "200"}
        self._child = pexpect.spawn(
            sys.executable,
            ["-q", "-i", *arguments],
            cwd=str(folder),
            env=environment,
            encoding="utf-8",
            timeout=SECONDS,
            dimensions=(50, 240),
        )
        self.greeting = self._until_prompt()

    def _until_prompt(self) -> str:
        self._child.expect([r">>> $"])
        return str(self._child.before).replace("\r\n", "\n")

    def type(self, line: str) -> str:
        """Types one statement and returns what it printed."""
        self._child.sendline(" ".join(line.split("\n")))
        self._child.expect_exact("\r\n")
        return self._until_prompt()

    def close(self) -> int | None:
        """Ends the shell as Ctrl-D does, and returns its exit code."""
        self._child.sendeof()
        self._child.expect(pexpect.EOF)
        self._child.close()
        status: int | None = self._child.exitstatus
        return status


def banners(output: str) -> list[str]:
    """The banners in an output."""
    return [line.removeprefix(BANNER) for line in output.split("\n") if line.startswith(BANNER)]


def errors(output: str) -> list[str]:
    """The errors in an output."""
    return [line.removeprefix(ERROR) for line in output.split("\n") if line.startswith(ERROR)]
