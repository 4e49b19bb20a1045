"""The newest Root of every vehicle in service, a page at a time: no transaction stays open for longer."""

from collections.abc import AsyncIterator

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage.sql.engine import database_name, storage_errors
from uptane.storage.sql.schema import metadata_files, retirements, vehicles

PAGE = 1_000
"""Vehicles that are read at once: about a megabyte."""


async def roots_in_service(
    engine: AsyncEngine, name: str, page: int = PAGE
) -> AsyncIterator[tuple[VehicleIdentifier, bytes | None]]:
    """Every vehicle that was not taken out of service, sorted, with its newest Root as it is stored, unverified.

    Args:
        engine: of the inventory.
        name: of the file of the newest Root.
        page: how many are read at once.

    Yields:
        The vehicle and its Root, None where nothing is published for it.

    Raises:
        StorageError: the database fails.
    """
    file = and_(metadata_files.c.vehicle == vehicles.c.vehicle, metadata_files.c.name == name)
    query = (
        select(vehicles.c.vehicle, metadata_files.c.data)
        .select_from(vehicles.outerjoin(metadata_files, file).outerjoin(retirements))
        .where(retirements.c.vehicle.is_(None))
        .order_by(vehicles.c.vehicle)
        .limit(page)
    )
    last = ""
    while True:
        with storage_errors(database_name(engine)):
            async with engine.connect() as connection:
                rows = (await connection.execute(query.where(vehicles.c.vehicle > last))).all()
        for vehicle, raw in rows:
            yield VehicleIdentifier(vehicle), raw
        if len(rows) < page:
            return
        last = rows[-1][0]
