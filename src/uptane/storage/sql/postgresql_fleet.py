"""The fleet in PostgreSQL: one statement reads a vehicle, one writes all that follows from a manifest.

The driver is used by itself here, as what SQLAlchemy does around each statement costs more than the statement.
"""

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import psycopg
from psycopg.pq import Format
from psycopg_pool import PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from uptane.director.ports import Changes, VehicleState
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.storage import inventory_rules as rules
from uptane.storage.sql.engine import VANISHED, WAIT_SECONDS
from uptane.storage.sql.fleet import SqlFleet, reading
from uptane.storage.sql.postgresql_connections import ConnectionsAtHand
from uptane.storage.sql.postgresql_statements import Statement, number_array, text_array
from uptane.storage.sql.vehicle_revisions import CHANNEL

# A plan stays with its connection, also one that was made for few vehicles and looks through all of them. It cannot
# where a statement says by a parameter which vehicles it is about, though a join says so already.
_COMMIT = Statement.of(
    "commit_vehicle",
    f"""
WITH said AS (
  SELECT name, decode(data, 'base64') AS data, decode(old, 'base64') AS old
  FROM json_to_recordset(%(mutable)s::json) AS m(name text, data text, old text)
), held AS (
  UPDATE vehicles SET revision = revision + 1,
    manifest_counter = coalesce(%(counter)s::bigint, manifest_counter),
    manifest = coalesce(%(manifest)s::bytea, manifest),
    manifest_received = coalesce(%(received)s::timestamptz, manifest_received)
  WHERE vehicle = %(vehicle)s::text AND revision = %(revision)s::bigint AND NOT EXISTS (
    SELECT FROM said LEFT JOIN metadata_files f ON f.vehicle = %(vehicle)s::text AND f.name = said.name
    WHERE sha256(f.data) IS DISTINCT FROM said.old)
  RETURNING vehicle, revision
), reported AS (
  SELECT held.vehicle, ecu, counter, decode(report, 'base64') AS report, received, attacks
  FROM held, json_to_recordset(%(reports)s::json)
    AS r(ecu text, counter bigint, report text, received timestamptz, attacks text)
), latest AS (
  UPDATE ecus SET report_counter = r.counter, report = r.report, report_received = r.received FROM reported r
  WHERE ecus.vehicle = %(vehicle)s::text AND ecus.ecu = r.ecu
), history AS (
  INSERT INTO reports (vehicle, ecu, counter, report, received, attacks_detected) SELECT * FROM reported
), may AS (
  SELECT held.vehicle, ecu, number, path, decode(image, 'base64') AS image
  FROM held, json_to_recordset(%(may)s::json) AS d(ecu text, number bigint, path text, image text)
), ruled_out AS (
  DELETE FROM directed USING held WHERE directed.vehicle = held.vehicle AND directed.ecu IN (
      SELECT json_array_elements_text(%(changed)s::json))
    AND NOT EXISTS (SELECT FROM may WHERE may.ecu = directed.ecu AND may.number = directed.number)
), may_have AS (
  INSERT INTO directed (vehicle, ecu, number, path, image) SELECT * FROM may
  ON CONFLICT (vehicle, ecu, number) DO UPDATE SET path = excluded.path, image = excluded.image
), added AS (
  INSERT INTO metadata_files (vehicle, name, data)
  SELECT held.vehicle, n.name, coalesce(said.data, decode(n.data, 'base64'))
  FROM held, json_to_recordset(%(files)s::json) AS n(name text, data text, like_ text)
    LEFT JOIN said ON said.name = n.like_
), replaced AS (
  INSERT INTO metadata_files (vehicle, name, data) SELECT held.vehicle, said.name, said.data FROM held, said
  ON CONFLICT (vehicle, name) DO UPDATE SET data = excluded.data
)
SELECT CASE WHEN %(tell)s::boolean THEN pg_notify('{CHANNEL}', revision || ' ' || vehicle) IS NULL END FROM held
""",  # noqa: S608 - of constants
    vehicle=Format.BINARY,
    revision=Format.TEXT,
    counter=Format.TEXT,
    manifest=Format.BINARY,
    received=Format.TEXT,
    reports=Format.BINARY,
    changed=Format.BINARY,
    may=Format.BINARY,
    mutable=Format.BINARY,
    files=Format.BINARY,
    tell=Format.TEXT,
)

_REASSIGNED = Statement.of(
    "read_assignments",
    """
SELECT number, ecu, path, image, install_order, encrypted
FROM unnest(%(vehicles)s::text[], %(revisions)s::bigint[]) WITH ORDINALITY AS asked (vehicle, revision, number)
JOIN vehicles USING (vehicle, revision) LEFT JOIN assignments USING (vehicle)
WHERE vehicles.vehicle = ANY (%(vehicles)s::text[])
""",
    vehicles=Format.BINARY,
    revisions=Format.BINARY,
)


class PostgresqlFleet(SqlFleet):
    """A `SqlFleet` with connections of its own, which `open` gives and takes back.

    Args:
        engine: from `open_engine`, of a PostgreSQL database.
        wait_seconds: how long a statement waits for a connection, and for others that hold the vehicle.
    """

    def __init__(self, engine: AsyncEngine, *, wait_seconds: float = WAIT_SECONDS) -> None:
        super().__init__(engine)
        self._connections = ConnectionsAtHand(
            connection_url(engine),
            {**VANISHED, "autocommit": True, "options": f"-c lock_timeout={round(wait_seconds * 1000)}"},
            wait_seconds=wait_seconds,
        )
        text = str(reading(postgresql=True).compile(dialect=engine.dialect))
        self._read = Statement.of("read_vehicle", text, vehicle=Format.BINARY, names=Format.BINARY)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["PostgresqlFleet"]:
        """Usable within the context."""
        async with self._connections.open():
            yield self

    async def read(
        self, vehicle: VehicleIdentifier, names: Collection[str], last: VehicleState | None = None
    ) -> VehicleState | None:
        """See `FleetStore.read`."""
        found = await self._rows(self._read, (vehicle.encode(), text_array(names)))
        return self._state(vehicle, found, last)

    async def reassigned(self, asked: Sequence[tuple[VehicleState, int]]) -> Sequence[VehicleState]:
        """See `FleetStore.reassigned`."""
        vehicles = text_array([last.record.vehicle for last, _ in asked])
        found: defaultdict[int, list[Sequence[Any]]] = defaultdict(list)
        for number, *row in await self._rows(_REASSIGNED, (vehicles, number_array([each for _, each in asked]))):
            found[number].append(row)
        states = []
        for number, rows in found.items():
            with suppress(StorageError):
                states.append(self._reassigned(*asked[number - 1], rows))
        return states

    async def commit(self, vehicle: VehicleIdentifier, revision: int, changes: Changes) -> bool:
        """See `FleetStore.commit`."""
        try:
            return bool(await self._rows(_COMMIT, (vehicle.encode(), b"%d" % revision, *_values(changes))))
        except StorageError as error:
            if isinstance(error.__cause__, psycopg.IntegrityError):
                return await super().commit(vehicle, revision, changes)  # which says what is wrong
            raise

    async def _rows(self, statement: Statement, values: Sequence[bytes | None]) -> list[tuple[Any, ...]]:
        """Runs one statement, which is a transaction of its own, and does no harm when it is run twice."""
        try:
            return await self._connections.rows(statement, values)
        except (psycopg.Error, PoolTimeout) as error:
            raise StorageError(
                f"the inventory {self._database} failed: {str(error).rstrip('.') or type(error).__name__}",
                next_step="Try again.",
                database=self._database,
                reason=type(error).__name__,
            ) from error


def connection_url(engine: AsyncEngine) -> str:
    """The address of an engine's database, as the driver takes it, with its password."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


_json = msgspec.json.Encoder(enc_hook=str).encode


def _values(changes: Changes) -> tuple[bytes | None, ...]:
    """The parameters from the counter on: rows of each kind as one JSON text, as arrays take longer. Bytes are base64.

    What is published under two names stands in it once, and what it replaces as its SHA-256.
    """
    record, publication = changes.record, changes.publication
    for _, stored in changes.reports:
        rules.check_report(stored)
    reports = [
        {
            "ecu": str(ecu.ecu),
            "counter": stored.counter,
            "report": stored.report,
            "received": stored.received,
            "attacks": stored.attacks_detected,
        }
        for ecu, stored in changes.reports
    ]
    may = [
        {"ecu": str(each.ecu), "number": each.number, "path": str(each.path), "image": each.image}
        for images in changes.directed.values()
        for each in images
    ]
    mutable, files = list[dict[str, Any]](), list[dict[str, Any]]()
    if publication is not None:
        replaced = {name: hashlib.sha256(data).digest() for name, data in publication.replaced.items()}
        names = {data: name for name, data in publication.mutable.items()}
        mutable = [
            {"name": name, "data": data, "old": replaced.get(name)} for name, data in publication.mutable.items()
        ]
        files = [
            {"name": name, "like_": names[data]} if data in names else {"name": name, "data": data}
            for name, data in publication.files
        ]
    return (
        None if record is None else b"%d" % record.manifest_counter,
        None if record is None else record.manifest,
        None if record is None or record.manifest_received is None else record.manifest_received.isoformat().encode(),
        *map(_json, (reports, [str(ecu) for ecu in changes.directed], may, mutable, files)),
        b"f" if publication is None else b"t",
    )
