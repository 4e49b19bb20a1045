"""The services window: one background event loop, the key files, and folders that are wiped with care."""

import shutil
from collections.abc import Coroutine
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from uptane.assembly.http_server import ServerThread
from uptane.demonstration.keys import signer
from uptane.demonstration.settings import Settings
from uptane.metadata.errors import UptaneError
from uptane.services.asgi import Receive, Scope, Send
from uptane.signing.signer import KeySigner

ResultT = TypeVar("ResultT")
_MARK = ".uptane-demonstration"


def now() -> datetime:
    """The time of the servers, UTC."""
    return datetime.now(UTC)


class Desk:
    """What the three services of window 1 share.

    Args:
        settings: the demonstration.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.servers = ServerThread()

    def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Runs a coroutine on the servers' event loop and waits for its result."""
        return self.servers.run(coroutine)

    def signer(self, name: str) -> KeySigner:
        """The key of that name, made at its first use."""
        return signer(self.settings, name)

    def check_ports(self, *ports: int) -> None:
        """Raises UptaneError when another program has one of the ports, before anything is wiped for nothing."""
        for port in ports:
            if port != 0 and not self.servers.serves(port):
                self.servers.start(_nothing, [port])
                self.servers.stop(port)

    def replace_keys(self, *names: str) -> None:
        """Puts key files aside, so that new keys are made; none is ever overwritten."""
        for name in names:
            number = next(n for n in count(1) if not (self.settings.keys / f"{name}.replaced{n}").exists())
            for ending in ("", ".pub"):
                path = self.settings.keys / f"{name}{ending}"
                if path.exists():
                    path.rename(path.with_name(f"{name}.replaced{number}{ending}"))


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Serves nothing: only the port is tried."""


def wipe(folder: Path) -> None:
    """Makes an empty folder; one that the demonstration did not make is left alone.

    Raises:
        UptaneError: the folder holds somebody else's files.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise UptaneError(
            f"{folder} holds files that this demonstration did not make",
            next_step="Move them away, or start in another folder.",
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).write_text("made by the Uptane demonstration; wiped by every clean_slate()\n")
