"""`Stack` over production servers: the Director's files are rows of PostgreSQL, all others are objects of S3."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from uptane.assembly.device_package import IMAGE_REPOSITORY
from uptane.assembly.factory_files import map_of
from uptane.assembly.http_server import ServerThread
from uptane.assembly.production import hosted_folder
from uptane.assembly.settings import load_settings
from uptane.demonstration.console import say
from uptane.demonstration.published import METADATA, TARGETS, FolderFiles, PublishedFiles
from uptane.demonstration.settings import Settings
from uptane.demonstration.stack import Stack
from uptane.metadata.errors import UnknownVehicleError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.repository_map import RepositoryMap
from uptane.storage.object_store import Objects
from uptane.storage.object_urls import open_objects
from uptane.storage.sql.engine import open_engine
from uptane.storage.sql.metadata import SqlPublished
from uptane.storage.sql.schema import metadata_files, vehicles
from uptane.storage.sql.vehicle_revisions import raise_revision

ResultT = TypeVar("ResultT")


class ProductionStack(Stack):
    """The stores of the servers whose settings lie in `demo/`, past the servers: with their passwords and keys.

    Args:
        settings: the demonstration.
    """

    image_repository_name = IMAGE_REPOSITORY

    def __init__(self, settings: Settings) -> None:
        self.servers = load_settings(settings.servers)
        self._settings = settings
        self._thread = ServerThread()
        self._objects = open_objects(self.servers.storage.url)

    def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Runs a coroutine beside the servers and waits for its result."""
        return self._thread.run(coroutine)

    def image_repository(self) -> PublishedFiles:
        """See `Stack`."""
        return _ObjectFiles(self, self._objects)

    def director(self, vehicle: VehicleIdentifier) -> PublishedFiles:
        """See `Stack`."""
        if vehicle not in self.vehicles():
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        return _DirectorFiles(
            _Rows(self, vehicle),
            _ObjectFiles(self, self._objects.below(*hosted_folder(vehicle)), TARGETS),
            FolderFiles(self._settings.folder / "loot" / vehicle),
        )

    def vehicles(self) -> Sequence[VehicleIdentifier]:
        """See `Stack`."""

        async def known() -> Sequence[VehicleIdentifier]:
            engine = open_engine(self.servers.database_url)
            try:
                async with engine.connect() as connection:
                    found = await connection.execute(select(vehicles.c.vehicle).order_by(vehicles.c.vehicle))
                    return [VehicleIdentifier(name) for name in found.scalars()]
            finally:
                await engine.dispose()

        return self.run(known())

    def repository_map(self, vehicle: VehicleIdentifier) -> RepositoryMap:
        """See `Stack`."""
        listen = self.servers.listen
        return map_of(f"https://{listen.names[0]}:{listen.port}")

    def register(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: bytes, *, is_primary: bool) -> None:
        """Nothing is left to do: the operator has put the vehicle's Secondaries on record."""
        say(f"ECU {ecu} is registered with the Director already: vehicle {vehicle} was delivered with it.")


class _ObjectFiles(PublishedFiles):
    """Objects below a prefix; their names begin with `folder`, which they do not in the store."""

    def __init__(self, stack: ProductionStack, objects: Objects, folder: str = "") -> None:
        self._stack, self._objects, self._folder = stack, objects, folder

    def names(self, folder: str) -> Sequence[str]:
        below = folder.removeprefix(self._folder)
        found = self._stack.run(self._objects.entries(below))
        return sorted(f"{self._folder}{name}" for name in found if "/" not in name.removeprefix(below))

    def read(self, name: str) -> bytes | None:
        found = self._stack.run(self._objects.read(name.removeprefix(self._folder)))
        return None if found is None else found.data

    def change(self, files: Mapping[str, bytes | None]) -> None:
        async def changed() -> None:
            for name, data in files.items():
                key = name.removeprefix(self._folder)
                await (self._objects.remove(key) if data is None else self._objects.overwrite(key, data))

        self._stack.run(changed())


class _Rows(PublishedFiles):
    """The metadata of a vehicle in the Director's database; the Director's processes are told of each change."""

    def __init__(self, stack: ProductionStack, vehicle: VehicleIdentifier) -> None:
        self._stack, self._vehicle = stack, vehicle

    def names(self, folder: str) -> Sequence[str]:
        async def named(connection: AsyncConnection, published: SqlPublished) -> Sequence[str]:
            rows = select(metadata_files.c.name).where(metadata_files.c.vehicle == str(self._vehicle))
            return sorted(METADATA + name for name in (await connection.execute(rows)).scalars())

        return self._stack.run(self._transaction(named))

    def read(self, name: str) -> bytes | None:
        async def found(connection: AsyncConnection, published: SqlPublished) -> bytes | None:
            return await published.present(connection, name.removeprefix(METADATA))

        return self._stack.run(self._transaction(found))

    def change(self, files: Mapping[str, bytes | None]) -> None:
        async def changed(connection: AsyncConnection, published: SqlPublished) -> None:
            await raise_revision(connection, str(self._vehicle))
            for name, data in files.items():
                row = name.removeprefix(METADATA)
                if data is None:
                    here = (metadata_files.c.vehicle == str(self._vehicle), metadata_files.c.name == row)
                    await connection.execute(delete(metadata_files).where(*here))
                else:
                    await published.write(connection, (), {row: data})

        self._stack.run(self._transaction(changed))

    async def _transaction(self, work: Callable[[AsyncConnection, SqlPublished], Awaitable[ResultT]]) -> ResultT:
        engine = open_engine(self._stack.servers.database_url)
        try:
            async with engine.begin() as connection:
                return await work(connection, SqlPublished(engine, self._vehicle))
        finally:
            await engine.dispose()


class _DirectorFiles(PublishedFiles):
    """Metadata in the database, images on object storage, and what the thief keeps for himself in a folder."""

    def __init__(self, metadata: PublishedFiles, images: PublishedFiles, loot: PublishedFiles) -> None:
        self._metadata, self._images, self._loot = metadata, images, loot

    def _place(self, name: str) -> PublishedFiles:
        if name.startswith(METADATA):
            return self._metadata
        return self._images if name.startswith(TARGETS) else self._loot

    def names(self, folder: str) -> Sequence[str]:
        return self._place(folder).names(folder)

    def read(self, name: str) -> bytes | None:
        return self._place(name).read(name)

    def change(self, files: Mapping[str, bytes | None]) -> None:
        for place in (self._metadata, self._images, self._loot):
            here = {name: data for name, data in files.items() if self._place(name) is place}
            if here:
                place.change(here)
