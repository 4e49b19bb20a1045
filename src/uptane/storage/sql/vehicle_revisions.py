"""The revision of a vehicle rises with every change of its records and its metadata, and other processes are told."""

from sqlalchemy import Text, cast, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from uptane.storage.sql.schema import vehicles

CHANNEL = "uptane_vehicle"
"""Where PostgreSQL tells of a change, once it is committed: the new revision, a space, the vehicle."""

ONLY_ASSIGNMENTS = ":assignments"
"""What follows the revision there, where nothing else than assignments was changed for it."""


async def revision_of(connection: AsyncConnection, vehicle: str) -> int | None:
    """The revision, which nobody else raises until the transaction ends; None for no such vehicle."""
    query = select(vehicles.c.revision).where(vehicles.c.vehicle == vehicle).with_for_update()
    found: int | None = (await connection.execute(query)).scalar()
    return found


async def raise_revision(connection: AsyncConnection, vehicle: str, *, only_assignments: bool = False) -> bool:
    """Raises it, and holds the vehicle until the transaction ends; False for no such vehicle.

    The vehicle is the first thing that a writing transaction takes, so that no two wait for each other.

    Args:
        connection: in a transaction.
        vehicle: whose.
        only_assignments: nothing else is changed before it is raised again, or the transaction ends.
    """
    raised = update(vehicles).where(vehicles.c.vehicle == vehicle).values(revision=vehicles.c.revision + 1)
    if connection.dialect.name != "postgresql":
        return bool((await connection.execute(raised)).rowcount)
    what = f"{ONLY_ASSIGNMENTS} " if only_assignments else " "
    said = func.concat(cast(vehicles.c.revision, Text), what, vehicles.c.vehicle)
    return (await connection.execute(raised.returning(func.pg_notify(CHANNEL, said)))).first() is not None
