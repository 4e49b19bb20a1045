"""Production systems over a database, with vehicles of the load that have their manifests ready."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.load.fleet import Car, assign_release, make_fleet, publish_images, vehicle_name
from uptane.assembly.production import Systems, initialise, open_systems, utc_now
from uptane.assembly.settings import Settings, load_settings, write_settings
from uptane.director.vehicle_cache import VehicleCache
from uptane.formats.profile import KINDS
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import Image
from uptane.storage.sql.changes import keep_telling

RELEASES = 3
MANIFESTS = (0, 0, 1, 1, 2, 2)
"""The release that the ECUs run in each manifest."""

CAR = vehicle_name(0)


@dataclass
class Workers:
    """Several processes' worth of servers over one database, and what their vehicles send."""

    systems: list[Systems]
    cars: list[Car]
    images: dict[tuple[int, int], Image]

    async def assign(self, release: int, worker: int = -1) -> None:
        """Every vehicle shall have a release; by default somebody assigns it who answers no vehicles."""
        await assign_release(self.systems[worker], len(self.cars), self.images, release)

    async def version(self, role: Role, worker: int = 0, vehicle: VehicleIdentifier = CAR) -> int:
        """The version of what a vehicle is given when it asks that worker."""
        profile = self.systems[worker].settings.profile
        raw = await self.systems[worker].director.metadata_file(vehicle, profile.metadata_name(role), utc_now())
        assert raw is not None
        return profile.format.decode(KINDS[role], raw).payload.version


@asynccontextmanager
async def workers(folder: Path, database: str, count: int, *, vehicles: int = 1) -> AsyncIterator[Workers]:
    """So many workers; those but the last are told of changes, as a serving process is."""
    write_settings(folder, form="der", database=database, storage="data/images", names=("localhost",), port=0)
    settings: Settings = load_settings(folder)
    await initialise(settings)
    async with open_systems(settings) as first:
        images = await publish_images(first, RELEASES)
        cars, _ = await make_fleet(first, vehicles, MANIFESTS, folder)
        async with _opened(settings, count) as systems:
            opened = [asyncio.create_task(told(each.cache, "open")) for each in systems[:-1]]
            tasks = [asyncio.create_task(keep_telling(each.engine, each.cache)) for each in systems[:-1]]
            await asyncio.gather(*opened)
            try:
                yield Workers(systems, cars, images)
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task


@asynccontextmanager
async def _opened(settings: Settings, count: int) -> AsyncIterator[list[Systems]]:
    if count == 0:
        yield []
        return
    async with open_systems(settings) as systems, _opened(settings, count - 1) as others:
        yield [systems, *others]


async def told(cache: VehicleCache, method: str) -> None:
    """Waits until a method of the cache is called, by whoever tells of changes."""
    happened = asyncio.Event()
    real: Callable[..., None] = getattr(cache, method)

    def noted(*arguments: object, **more: object) -> None:
        real(*arguments, **more)
        happened.set()

    setattr(cache, method, noted)
    async with asyncio.timeout(30):
        await happened.wait()
    setattr(cache, method, real)
