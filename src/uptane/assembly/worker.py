"""The program of a worker, which `workers.py` starts: it serves until it is asked to end, or its parent is gone."""

import asyncio
import json
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from uptane.assembly.event_loop import run
from uptane.assembly.logs import start_logging
from uptane.assembly.production import System
from uptane.assembly.serving import serving
from uptane.assembly.settings import Settings
from uptane.assembly.workers import READY, WorkerTask
from uptane.metadata.errors import UptaneError
from uptane.storage.certificate_authority import ServerFiles


async def work(parent: socket.socket) -> None:
    """Serves what the parent tells over this socket.

    Raises:
        UptaneError: a store cannot be opened, or a key is missing.
    """
    reader, writer = await asyncio.open_connection(sock=parent)
    told = await reader.readline()
    if not told.endswith(b"\n"):
        return
    task = msgspec.json.decode(told, type=WorkerTask)
    files = ServerFiles(certificate=Path(task.certificate), key=Path(task.key))
    which, settings = frozenset(map(System, task.systems)), Settings(**json.loads(task.settings))
    start_logging(settings.log.format, settings.log.level)
    with socket.socket(fileno=task.listener) as listener, ExitStack() as stack:
        admin = None if task.admin is None else stack.enter_context(socket.socket(fileno=task.admin))
        async with serving(settings, which, listener, files, admin) as server:
            asked = asyncio.Event()
            watching = asyncio.create_task(_watch(reader, asked))
            await server.run(asked, lambda: writer.write(READY))
            watching.cancel()
            writer.close()


async def _watch(parent: asyncio.StreamReader, gone: asyncio.Event) -> None:
    with suppress(OSError):
        await parent.read()
    gone.set()


def main() -> int:
    """The exit code."""
    try:
        with socket.socket(fileno=sys.stdin.fileno()) as parent:
            run(work(parent))
    except UptaneError as error:
        print(f"uptane: a worker cannot serve: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
