"""The Director's published metadata in its database: one set of files for each vehicle, changed as a whole."""

from collections.abc import Mapping, Sequence

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from uptane.metadata.errors import StorageError, UnknownVehicleError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.signing.ports import MetadataStore
from uptane.storage.sql.engine import database_name, storage_errors
from uptane.storage.sql.schema import metadata_files
from uptane.storage.sql.vehicle_revisions import raise_revision


class SqlPublished(MetadataStore):
    """The published metadata of one vehicle.

    A publication builds on what was read here last, and is refused where another process has replaced that since.
    The Timestamp has no name of its own for each version, so two processes could else publish two of one version.

    Args:
        engine: from `open_engine`; its tables exist.
        vehicle: whose metadata it is.
    """

    def __init__(self, engine: AsyncEngine, vehicle: VehicleIdentifier) -> None:
        self._engine = engine
        self._vehicle = str(vehicle)
        self._database = database_name(engine)
        self._last: dict[str, bytes | None] = {}

    async def read(self, name: str) -> bytes | None:
        """A file, or None."""
        with storage_errors(self._database):
            async with self._engine.connect() as connection:
                self._last[name] = await self.present(connection, name)
                return self._last[name]

    async def present(self, connection: AsyncConnection, name: str) -> bytes | None:
        """As `read`, within a transaction."""
        here = (metadata_files.c.vehicle == self._vehicle, metadata_files.c.name == name)
        found: bytes | None = (await connection.execute(select(metadata_files.c.data).where(*here))).scalar()
        return found

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        """Adds `files` and replaces the `mutable` ones, in one transaction that holds the vehicle.

        Raises:
            UnknownVehicleError: no such vehicle.
            StorageError: a file of that name exists with other bytes, a mutable one is not what was read here any more,
                or the database fails; nothing has changed.
        """
        with storage_errors(self._database):
            async with self._engine.begin() as connection:
                if not await raise_revision(connection, self._vehicle):
                    raise UnknownVehicleError(f"vehicle {self._vehicle} is not in the inventory", vehicle=self._vehicle)
                for name in mutable.keys() & self._last.keys():
                    if await self.present(connection, name) != self._last[name]:
                        raise StorageError(
                            f"somebody else has published {name} of vehicle {self._vehicle} since it was read",
                            next_step="Try again.",
                            path=name,
                        )
                await self.write(connection, files, mutable)
        self._last.clear()

    async def write(
        self, connection: AsyncConnection, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]
    ) -> None:
        """As `publish`, within a transaction that holds the vehicle."""
        for name, data in files:
            await self._add(connection, name, data)
        for name, data in mutable.items():
            await self._set(connection, name, data)

    async def _add(self, connection: AsyncConnection, name: str, data: bytes) -> None:
        before = await self.present(connection, name)
        if before is None:
            await self._insert(connection, name, data)
        elif before != data:
            raise self._taken(name)

    async def _set(self, connection: AsyncConnection, name: str, data: bytes) -> None:
        here = (metadata_files.c.vehicle == self._vehicle, metadata_files.c.name == name)
        done = await connection.execute(update(metadata_files).where(*here).values(data=data))
        if not done.rowcount:
            await self._insert(connection, name, data)

    async def _insert(self, connection: AsyncConnection, name: str, data: bytes) -> None:
        try:
            await connection.execute(insert(metadata_files).values(vehicle=self._vehicle, name=name, data=data))
        except IntegrityError as error:
            raise self._taken(name) from error

    def _taken(self, name: str) -> StorageError:
        return StorageError(
            f"{name} of vehicle {self._vehicle} exists with other bytes, and a file of that name never changes",
            next_step="Another process has published it: try again.",
            path=name,
        )
