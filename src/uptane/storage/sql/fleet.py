"""Inventory and published metadata in one database: one statement reads a vehicle, one transaction changes it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    CompoundSelect,
    Integer,
    LargeBinary,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    literal_column,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import TypeEngine

from uptane.director.ports import Assignment, Changes, Directed, EcuRecord, FleetStore, VehicleRecord, VehicleState
from uptane.metadata.errors import FormatError, StorageError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.storage.sql import rows
from uptane.storage.sql.engine import database_name, storage_errors
from uptane.storage.sql.inventory import SqlTransaction
from uptane.storage.sql.metadata import SqlPublished
from uptane.storage.sql.revisions import raised_revision
from uptane.storage.sql.schema import UtcTime, assignments, directed, ecus, metadata_files, vehicles

_PLACES: dict[str, TypeEngine[Any]] = {
    "ecu": Text(),
    "text": Text(),
    "key_id": Text(),
    "key_type": Text(),
    "key_scheme": Text(),
    "encryption_type": Text(),
    "data": LargeBinary(),
    "material": LargeBinary(),
    "more": LargeBinary(),
    "number": BigInteger(),
    "second": BigInteger(),
    "flag": Boolean(),
    "shared": Boolean(),
    "time": UtcTime(),
}
"""The columns of the one statement; each table puts what it has into some of them."""

VEHICLE, ECU, ASSIGNMENT, DIRECTED, FILE = range(5)
"""What a row is."""


class SqlFleet(FleetStore):
    """A `FleetStore`; the tables exist already.

    Args:
        engine: from `open_engine`.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._database = database_name(engine)
        self._reading = reading(postgresql=engine.dialect.name == "postgresql")

    async def read(self, vehicle: VehicleIdentifier, names: Collection[str]) -> VehicleState | None:
        """See `FleetStore.read`."""
        asked = {"vehicle": str(vehicle), "names": list(names)}
        with storage_errors(self._database):
            async with self._engine.connect() as connection:
                found = (await connection.execute(self._reading, asked)).all()
        return self._state(vehicle, found)

    async def commit(self, vehicle: VehicleIdentifier, revision: int, changes: Changes) -> bool:
        """See `FleetStore.commit`."""
        with storage_errors(self._database):
            async with self._engine.connect() as connection, connection.begin() as whole:
                raised = (await connection.execute(raised_revision(connection, str(vehicle)))).first()
                if raised is None or raised[0] != revision + 1:
                    await whole.rollback()
                    return False
                transaction = SqlTransaction(connection, self._database, {str(vehicle)})
                if changes.record is not None:
                    await transaction.update_vehicle(changes.record)
                for record, stored in changes.reports:
                    await transaction.add_report(record, stored)
                for ecu, images in changes.directed.items():
                    await transaction.set_directed(vehicle, ecu, images)
                if changes.publication is not None:
                    publication, published = changes.publication, SqlPublished(self._engine, vehicle)
                    for name in publication.mutable:
                        if await published.present(connection, name) != publication.replaced.get(name):
                            await whole.rollback()
                            return False
                    await published.write(connection, publication.files, publication.mutable)
                return True

    def _state(self, vehicle: VehicleIdentifier, found: Iterable[Sequence[Any]]) -> VehicleState | None:
        try:
            return state_of(vehicle, found)
        except FormatError as error:
            raise StorageError(
                f"the inventory {self._database} is damaged: {error.what}",
                next_step="Restore it from a backup.",
                database=self._database,
            ) from error


def reading(*, postgresql: bool) -> CompoundSelect[Any]:
    """The statement that reads a vehicle and some of its files, by the parameters `vehicle` and `names`."""
    asked = bindparam("vehicle", type_=Text())
    if postgresql:
        named = metadata_files.c.name == any_(bindparam("names", type_=ARRAY(Text())))
    else:
        named = metadata_files.c.name.in_(bindparam("names", expanding=True))
    v, e, a, d, f = vehicles.c, ecus.c, assignments.c, directed.c, metadata_files.c

    def row(kind: int, **given: ColumnElement[Any]) -> Select[Any]:
        # Of an empty place PostgreSQL has to be told the type; SQLite would convert what is there.
        typed = cast if postgresql else type_coerce
        filled = [given[name] if name in given else typed(null(), type_) for name, type_ in _PLACES.items()]
        return select(literal_column(str(kind), Integer()), *filled)

    return union_all(
        row(VEHICLE, data=v.manifest, number=v.manifest_counter, second=v.revision, time=v.manifest_received).where(
            v.vehicle == asked
        ),
        row(
            ECU,
            ecu=e.ecu,
            text=e.hardware_id,
            key_id=e.key_id,
            key_type=e.key_type,
            key_scheme=e.key_scheme,
            encryption_type=e.encryption_type,
            data=e.report,
            material=e.key_material,
            more=e.encryption_material,
            number=e.report_counter,
            flag=e.is_primary,
            shared=e.sole_key.is_(None),
            time=e.report_received,
        ).where(e.vehicle == asked, e.retired.is_(None)),
        row(ASSIGNMENT, ecu=a.ecu, text=a.path, data=a.image, more=a.encrypted, number=a.install_order).where(
            a.vehicle == asked
        ),
        row(DIRECTED, ecu=d.ecu, text=d.path, data=d.image, number=d.number).where(d.vehicle == asked),
        row(FILE, text=f.name, data=f.data).where(f.vehicle == asked, named),
    )


def state_of(vehicle: VehicleIdentifier, found: Iterable[Sequence[Any]]) -> VehicleState | None:
    """The vehicle of the rows of `reading`; None for no vehicle. Raises FormatError for a damaged row."""
    by_kind: dict[int, list[dict[str, Any]]] = {kind: [] for kind in range(5)}
    for kind, *values in found:
        by_kind[kind].append(dict(zip(_PLACES, values, strict=True)))
    if not by_kind[VEHICLE]:
        return None
    (row,) = by_kind[VEHICLE]
    return VehicleState(
        record=VehicleRecord(
            vehicle=vehicle, manifest_counter=row["number"], manifest=row["data"], manifest_received=_utc(row["time"])
        ),
        revision=row["second"],
        ecus=sorted((_ecu(vehicle, row) for row in by_kind[ECU]), key=attrgetter("ecu")),
        assignments=sorted((_assignment(vehicle, row) for row in by_kind[ASSIGNMENT]), key=attrgetter("ecu")),
        directed=sorted((_directed(vehicle, row) for row in by_kind[DIRECTED]), key=attrgetter("ecu", "number")),
        files={row["text"]: row["data"] for row in by_kind[FILE]},
    )


def _ecu(vehicle: VehicleIdentifier, row: rows.Row) -> EcuRecord:
    named = {
        "vehicle": vehicle,
        "hardware_id": row["text"],
        "report": row["data"],
        "key_material": row["material"],
        "encryption_material": row["more"],
        "report_counter": row["number"],
        "is_primary": row["flag"],
        "sole_key": None if row["shared"] else row["material"],
        "report_received": _utc(row["time"]),
        "retired": None,
    }
    return rows.ecu_record({**row, **named})


def _assignment(vehicle: VehicleIdentifier, row: rows.Row) -> Assignment:
    return Assignment(
        vehicle=vehicle,
        ecu=EcuIdentifier(row["ecu"]),
        path=ImagePath(row["text"]),
        image=row["data"],
        install_order=row["number"],
        encrypted=row["more"],
    )


def _directed(vehicle: VehicleIdentifier, row: rows.Row) -> Directed:
    return Directed(
        vehicle=vehicle,
        ecu=EcuIdentifier(row["ecu"]),
        number=row["number"],
        path=ImagePath(row["text"]),
        image=row["data"],
    )


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC)
