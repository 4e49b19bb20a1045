"""Tells what others change in the inventory, so that what a process remembers of vehicles is never long out of date."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage.sql.revisions import CHANNEL

SQLITE_SECONDS = 1.0
"""How often the file is asked whether another process has written to it: so late may a change by a command be seen."""

BEAT_SECONDS = 5.0
"""How often PostgreSQL has to answer: after twice that time without, what is remembered is not used any more."""

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

    def changed(self, vehicle: VehicleIdentifier, revision: int) -> None:
        """A vehicle has this revision now."""
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

    from uptane.storage.sql.postgresql_fleet import connection_url

    async with await AsyncConnection.connect(connection_url(engine), autocommit=True) as connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        remembered.open()
        while True:
            async for told in connection.notifies(timeout=BEAT_SECONDS):
                revision, _, vehicle = told.payload.partition(" ")
                remembered.changed(VehicleIdentifier(vehicle), int(revision))
            async with asyncio.timeout(BEAT_SECONDS):
                await connection.execute("SELECT 1")


async def _look(engine: AsyncEngine, remembered: Remembered) -> None:
    # A connection of its own sees what every other one has written, those of this process among them.
    with closing(sqlite3.connect(str(engine.url.database), check_same_thread=False)) as connection:
        seen = await asyncio.to_thread(_data_version, connection)
        remembered.open()
        while True:
            await asyncio.sleep(SQLITE_SECONDS)
            now = await asyncio.to_thread(_data_version, connection)
            if now != seen:
                seen = now
                remembered.all_changed()


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
