"""Inventory and published metadata in one database: one statement reads a vehicle, one transaction changes it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from msgspec import structs
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
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.storage.sql import rows
from uptane.storage.sql.engine import damaged_rows, database_name, storage_errors
from uptane.storage.sql.inventory import SqlTransaction
from uptane.storage.sql.metadata import SqlPublished
from uptane.storage.sql.schema import UtcTime, assignments, directed, ecus, metadata_files, vehicles
from uptane.storage.sql.vehicle_revisions import raise_revision, revision_of

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
"""The columns of the one statement, after the kind of row; each table puts what it has into some of them."""

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

    async def read(
        self, vehicle: VehicleIdentifier, names: Collection[str], last: VehicleState | None = None
    ) -> VehicleState | None:
        """See `FleetStore.read`."""
        asked = {"vehicle": str(vehicle), "names": list(names)}
        with storage_errors(self._database):
            async with self._engine.connect() as connection:
                found = (await connection.execute(self._reading, asked)).all()
        return self._state(vehicle, found, last)

    async def reassigned(self, asked: Sequence[tuple[VehicleState, int]]) -> Sequence[VehicleState]:
        """See `FleetStore.reassigned`: nobody is told of revisions where this class is used alone."""
        return ()

    async def commit(self, vehicle: VehicleIdentifier, revision: int, changes: Changes) -> bool:
        """See `FleetStore.commit`."""
        with storage_errors(self._database):
            async with self._engine.connect() as connection, connection.begin() as whole:
                if await revision_of(connection, str(vehicle)) != revision:
                    await whole.rollback()
                    return False
                await raise_revision(connection, str(vehicle))
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

    def _reassigned(self, last: VehicleState, revision: int, found: Iterable[Sequence[Any]]) -> VehicleState:
        """The vehicle with the assignments of rows that have ECU, path, image, install order and encrypted form."""
        before = {each.ecu: each for each in last.assignments}
        with damaged_rows(self._database):
            assigned = [
                _assignment(last.record.vehicle, row, before.get(row[0])) for row in found if row[0] is not None
            ]
        assigned.sort(key=attrgetter("ecu"))
        return structs.replace(last, revision=revision, assignments=assigned)

    def _state(
        self, vehicle: VehicleIdentifier, found: Iterable[Sequence[Any]], last: VehicleState | None
    ) -> VehicleState | None:
        with damaged_rows(self._database):
            return state_of(vehicle, found, last)


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


def state_of(
    vehicle: VehicleIdentifier, found: Iterable[Sequence[Any]], last: VehicleState | None = None
) -> VehicleState | None:
    """The vehicle of the rows of `reading`; None for no vehicle.

    Args:
        vehicle: which one.
        found: the rows.
        last: what was known of it before; what a row says again is taken from there, and not checked again.

    Raises:
        FormatError: a damaged row.
    """
    before: dict[str, EcuRecord] = {}
    assigned_before: dict[str, Assignment] = {}
    directed_before: dict[tuple[str, int], Directed] = {}
    if last is not None:
        before = {ecu.ecu: ecu for ecu in last.ecus}
        assigned_before = {each.ecu: each for each in last.assignments}
        directed_before = {(each.ecu, each.number): each for each in last.directed}
    record, revision, files = None, 0, dict[str, bytes]()
    ecus_, assigned, may = list[EcuRecord](), list[Assignment](), list[Directed]()
    for row in found:
        kind = row[0]
        if kind == ECU:
            ecus_.append(_ecu(vehicle, row, before.get(row[1])))
        elif kind == ASSIGNMENT:
            said = (row[1], row[2], row[7], row[10], row[9])
            assigned.append(_assignment(vehicle, said, assigned_before.get(row[1])))
        elif kind == DIRECTED:
            may.append(_directed(vehicle, row, directed_before.get((row[1], row[10]))))
        elif kind == FILE:
            files[row[2]] = row[7]
        else:
            revision = row[11]
            record = VehicleRecord(
                vehicle=vehicle, manifest_counter=row[10], manifest=row[7], manifest_received=_utc(row[14])
            )
    if record is None:
        return None
    ecus_.sort(key=attrgetter("ecu"))
    assigned.sort(key=attrgetter("ecu"))
    may.sort(key=attrgetter("ecu", "number"))
    return VehicleState(record=record, revision=revision, ecus=ecus_, assignments=assigned, directed=may, files=files)


def _ecu(vehicle: VehicleIdentifier, row: Sequence[Any], before: EcuRecord | None) -> EcuRecord:
    if before is not None and _made_of(before) == (*row[2:7], row[8], row[9], row[12], row[13]):
        received = _utc(row[14])
        if (before.report, before.report_counter, before.report_received) == (row[7], row[10], received):
            return before
        return structs.replace(before, report=row[7], report_counter=row[10], report_received=received)
    named = dict(zip(_PLACES, row[1:], strict=True)) | {
        "vehicle": vehicle,
        "hardware_id": row[2],
        "report": row[7],
        "key_material": row[8],
        "encryption_material": row[9],
        "report_counter": row[10],
        "is_primary": row[12],
        "sole_key": None if row[13] else row[8],
        "report_received": _utc(row[14]),
        "retired": None,
    }
    return rows.ecu_record(named)


def _assignment(vehicle: VehicleIdentifier, row: Sequence[Any], before: Assignment | None) -> Assignment:
    ecu, path, image, order, encrypted = row
    if before is not None:
        if (before.path, before.image, before.install_order, before.encrypted) == (path, image, order, encrypted):
            return before
        ecu = before.ecu
    return Assignment(
        vehicle=vehicle,
        ecu=EcuIdentifier(ecu),
        path=ImagePath(path),
        image=image,
        install_order=order,
        encrypted=encrypted,
    )


def _directed(vehicle: VehicleIdentifier, row: Sequence[Any], before: Directed | None) -> Directed:
    if before is not None and (before.path, before.image) == (row[2], row[7]):
        return before
    return Directed(vehicle=vehicle, ecu=EcuIdentifier(row[1]), number=row[10], path=ImagePath(row[2]), image=row[7])


def _made_of(ecu: EcuRecord) -> tuple[Any, ...]:
    """What a row says of an ECU beside its reports, in the order of the columns."""
    key, encryption = ecu.key, ecu.encryption_key
    return (
        ecu.hardware_id,
        key.key_id,
        key.key_type,
        key.scheme,
        None if encryption is None else encryption.key_type,
        key.material,
        None if encryption is None else encryption.material,
        ecu.is_primary,
        ecu.shares_key,
    )


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC)
