"""When each vehicle was last heard of: noted in memory, and written every few seconds for all at once."""

import asyncio
import logging
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage.sql.engine import database_name, storage_errors
from uptane.storage.sql.schema import contacts, vehicles

FLUSH_SECONDS = 5.0
"""How often it is written: so much of it is lost when a process dies. Nothing that was acknowledged is among it."""

AT_ONCE = 500
"""Vehicles in one transaction."""

log = logging.getLogger(__name__)


class SqlContacts:
    """The last contact of each vehicle, in the inventory's database.

    Args:
        engine: from `open_engine`; its tables exist.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._database = database_name(engine)
        self._seen: dict[VehicleIdentifier, datetime] = {}

    def saw(self, vehicle: VehicleIdentifier, now: datetime) -> None:
        """Notes a request of a vehicle; `now` in UTC."""
        self._seen[vehicle] = now

    async def flush(self) -> None:
        """Writes what was noted; an older contact never replaces a newer one.

        Raises:
            StorageError: the database fails; what was noted is kept for the next time.
        """
        noted, self._seen = self._seen, {}
        try:
            # Sorted, so that two processes take the rows in one order.
            names = sorted(noted)
            for start in range(0, len(names), AT_ONCE):
                await self._write({name: noted[name] for name in names[start : start + AT_ONCE]})
        except BaseException:  # a server that stops cancels this, and flushes once more
            self._seen = noted | self._seen
            raise

    async def _write(self, noted: dict[VehicleIdentifier, datetime]) -> None:
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        with storage_errors(self._database):
            async with self._engine.begin() as connection:
                known = select(vehicles.c.vehicle).where(vehicles.c.vehicle.in_(list(map(str, noted))))
                rows = [
                    {"vehicle": name, "seen": noted[VehicleIdentifier(name)]}
                    for name in sorted((await connection.execute(known)).scalars())
                ]
                if rows:
                    new = insert(contacts)
                    newer = new.on_conflict_do_update(
                        index_elements=[contacts.c.vehicle],
                        set_={"seen": new.excluded.seen},
                        where=contacts.c.seen < new.excluded.seen,
                    )
                    await connection.execute(newer, rows)

    async def last(self, vehicle: VehicleIdentifier) -> datetime | None:
        """When a vehicle was last heard of, UTC, as far as it was written; None for never."""
        with storage_errors(self._database):
            async with self._engine.connect() as connection:
                found: datetime | None = (
                    await connection.execute(select(contacts.c.seen).where(contacts.c.vehicle == str(vehicle)))
                ).scalar()
                return found

    async def keep_flushing(self, seconds: float = FLUSH_SECONDS) -> None:
        """Writes again and again; what cannot be written now is written later."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.flush()
            except Exception:
                log.exception("the last contacts of vehicles could not be written; they are kept for the next time")
