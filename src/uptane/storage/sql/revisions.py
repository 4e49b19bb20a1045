"""The revision of a vehicle rises with every change of its records and its metadata, and other processes are told."""

from typing import Any

from sqlalchemy import Text, cast, func, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from uptane.storage.sql.schema import vehicles

CHANNEL = "uptane_vehicle"
"""Where PostgreSQL tells of a change, once it is committed: the new revision, a space, the vehicle."""


def raised_revision(connection: AsyncConnection, vehicle: str) -> ReturningUpdate[Any]:
    """The statement that raises it, and holds the vehicle until the transaction ends; one row, the new revision first.

    The vehicle is the first thing that a writing transaction takes, so that no two wait for each other.
    """
    raised = update(vehicles).where(vehicles.c.vehicle == vehicle).values(revision=vehicles.c.revision + 1)
    if connection.dialect.name != "postgresql":
        return raised.returning(vehicles.c.revision)
    said = func.concat(cast(vehicles.c.revision, Text), " ", vehicles.c.vehicle)
    return raised.returning(vehicles.c.revision, func.pg_notify(CHANNEL, said))
