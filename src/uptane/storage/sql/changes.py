"""Tells what others change in the inventory, so that what a process remembers of vehicles is never long out of date."""

import asyncio
import logging
import sqlite3
import threading
from typing import Any, Protocol, Self

from sqlalchemy.ext.asyncio import AsyncEngine

from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage.sql.engine import LOOK_SECONDS, VANISHED
from uptane.storage.sql.vehicle_revisions import CHANNEL, ONLY_ASSIGNMENTS

SQLITE_SECONDS = 1.0
"""How often the file is asked whether another process has written to it: so late may a change by a command be seen."""

AGAIN_SECONDS = 1.0
"""After which a connection that was lost is made anew."""

log = logging.getLogger(__name__)


class Remembered(Protocol):
    """What is told of changes."""

    def open(self) -> None:
        """Every change is told from now on."""
        ...

    def close(self) -> None:
        """Changes may be missed from now on."""
        ...

    def changed(self, vehicle: VehicleIdentifier, revision: int, *, only_assignments: bool) -> None:
        """A vehicle has this revision now, for which, it may be, only assignments were changed."""
        ...

    def all_changed(self) -> None:
        """Any vehicle may have changed."""
        ...


async def keep_telling(engine: AsyncEngine, remembered: Remembered) -> None:
    """Tells of changes until it is cancelled; while the database is away, what is remembered is closed."""
    watch = _listen if engine.dialect.name == "postgresql" else _look
    while True:
        try:
            await watch(engine, remembered)
        except Exception:
            log.exception("changes of the inventory are not told; everything is read from the database meanwhile")
        finally:
            remembered.close()
        await asyncio.sleep(AGAIN_SECONDS)


async def _listen(engine: AsyncEngine, remembered: Remembered) -> None:
    from psycopg import AsyncConnection
    from psycopg import Error as PostgresqlError

    from uptane.storage.sql.postgresql_fleet import connection_url

    url, loop = connection_url(engine), asyncio.get_running_loop()
    lost: asyncio.Future[None] = loop.create_future()

    options: dict[str, Any] = {"autocommit": True, **VANISHED}
    async with await AsyncConnection.connect(url, **options) as connection:
        await connection.execute(f"LISTEN {CHANNEL}")

        descriptor = connection.fileno()  # which a lost connection does not tell any more

        def told() -> None:
            # The driver's own generator of notifications costs more than all the rest of an answer.
            try:
                connection.pgconn.consume_input()
                while (notification := connection.pgconn.notifies()) is not None:
                    said, _, vehicle = notification.extra.decode().partition(" ")
                    revision = said.removesuffix(ONLY_ASSIGNMENTS)
                    remembered.changed(VehicleIdentifier(vehicle), int(revision), only_assignments=revision != said)
            except (PostgresqlError, UptaneError, ValueError) as error:
                loop.remove_reader(descriptor)
                if not lost.done():
                    lost.set_exception(error)

        loop.add_reader(descriptor, told)
        try:
            told()
            remembered.open()
            while not lost.done():
                await asyncio.wait([lost], timeout=LOOK_SECONDS)
                told()
            await lost
        finally:
            loop.remove_reader(descriptor)


async def _look(engine: AsyncEngine, remembered: Remembered) -> None:
    # A connection of its own sees what every other one has written, those of this process among them.
    with _DataVersion(str(engine.url.database)) as asked:
        seen = await asyncio.to_thread(asked.now)
        remembered.open()
        while True:
            await asyncio.sleep(SQLITE_SECONDS)
            now = await asyncio.to_thread(asked.now)
            if now != seen:
                seen = now
                remembered.all_changed()


class _DataVersion:
    """What SQLite counts of others' writes. It is closed when no thread asks any more: the library would crash."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._asked = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._asked:
            self._connection.close()

    def now(self) -> int:
        with self._asked:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
