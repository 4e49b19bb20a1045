"""The Director's inventory in an SQL database: SQLite in one file, or PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from msgspec import structs
from sqlalchemy import CursorResult, Executable, Select, Update, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from uptane.director.ports import (
    MAX_ALERTS,
    Alert,
    Assignment,
    Directed,
    EcuRecord,
    StoredReport,
    VehicleRecord,
)
from uptane.encryption.keys import EncryptionKey
from uptane.metadata.errors import StorageError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.storage import inventory_rules as rules
from uptane.storage.sql import rows
from uptane.storage.sql.engine import (
    WAIT_SECONDS,
    damaged_rows,
    database_name,
    open_engine,
    require_existing,
    storage_errors,
)
from uptane.storage.sql.revision import check_schema, create_schema
from uptane.storage.sql.schema import alerts, assignments, directed, ecus, reports, vehicles
from uptane.storage.sql.vehicle_revisions import raise_revision

T = TypeVar("T")


async def open_inventory(url_or_path: str | Path, *, wait_seconds: float = WAIT_SECONDS) -> "SqlInventory":
    """Opens an inventory, and makes its tables where there are none.

    Args:
        url_or_path: a file for SQLite, or a database URL such as `postgresql://user:password@host/name`.
        wait_seconds: how long a transaction waits for others before it fails.

    Raises:
        StorageError: it cannot be opened, is damaged, or is of another revision.
    """
    return await _opened(open_engine(url_or_path, wait_seconds=wait_seconds), create_schema)


async def open_existing_inventory(url_or_path: str | Path, *, wait_seconds: float = WAIT_SECONDS) -> "SqlInventory":
    """Opens an inventory that is there already; makes nothing.

    Args:
        url_or_path, wait_seconds: as `open_inventory` takes them.

    Raises:
        StorageError: it is not there, cannot be opened, is damaged, or is of another revision.
    """
    require_existing(url_or_path)
    return await _opened(open_engine(url_or_path, wait_seconds=wait_seconds), check_schema)


async def _opened(engine: AsyncEngine, prepare: Callable[[AsyncEngine], Awaitable[None]]) -> "SqlInventory":
    try:
        await prepare(engine)
    except BaseException:
        await engine.dispose()
        raise
    return SqlInventory(engine)


class SqlInventory:
    """An `InventoryDatabase` (STD-5.3.2.2-1); its tables exist already. Use it from one event loop.

    Args:
        engine: from `open_engine`, which sets up SQLite as this class needs it.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._database = database_name(engine)

    @asynccontextmanager
    async def transaction(self) -> "AsyncIterator[SqlTransaction]":
        """Commits at the end of the context, durably; rolls back on an error.

        Raises:
            StorageError: the database fails or is in use for too long; nothing of the transaction is kept.
        """
        with storage_errors(self._database):
            async with self._engine.begin() as connection:
                transaction = SqlTransaction(connection, self._database)
                try:
                    yield transaction
                    transaction.require_open()
                finally:
                    transaction.end()

    @property
    def engine(self) -> AsyncEngine:
        """What it stands on."""
        return self._engine

    async def answers(self) -> bool:
        """Whether the database answers a question about its tables, however large they are."""
        try:
            with storage_errors(self._database):
                async with self._engine.connect() as connection:
                    await connection.execute(select(vehicles.c.vehicle).limit(1))
        except StorageError:
            return False
        return True

    async def dispose(self) -> None:
        """Closes the connections."""
        await self._engine.dispose()


class SqlTransaction:
    """An `InventoryTransaction`. A refused write changes nothing and leaves the transaction usable.

    After a failure of the database it is over, as some databases roll back by themselves and would
    keep only what follows.

    Args:
        connection: that has begun a transaction.
        database: its name, for errors.
        changed: the vehicles whose revision has been raised in it, for changes of any kind.
    """

    def __init__(self, connection: AsyncConnection, database: str, changed: Iterable[str] = ()) -> None:
        self._connection = connection
        self._database = database
        self._open = True
        self._changed = dict.fromkeys(changed, True)

    def require_open(self) -> None:
        """Raises StorageError once the transaction has ended or failed."""
        if not self._open:
            raise rules.transaction_over()

    def end(self) -> None:
        """Makes every later use fail."""
        self._open = False

    async def vehicle(self, vehicle: VehicleIdentifier) -> VehicleRecord | None:
        """The vehicle, locked against other writers until the transaction ends."""
        query = select(vehicles).where(vehicles.c.vehicle == str(vehicle)).with_for_update()
        return await self._one(query, rows.vehicle_record)

    async def vehicles(self) -> Sequence[VehicleIdentifier]:
        """All vehicles, sorted."""
        query = select(vehicles.c.vehicle).order_by(vehicles.c.vehicle)
        return await self._all(query, lambda row: VehicleIdentifier(row["vehicle"]))

    async def add_vehicle(self, record: VehicleRecord) -> None:
        """Raises AlreadyRegisteredError when the vehicle exists."""
        record = rules.storable_vehicle(record)
        if await self._write(insert(vehicles).values(rows.vehicle_row(record))) is None:
            raise rules.vehicle_exists(record.vehicle)

    async def update_vehicle(self, record: VehicleRecord) -> None:
        """Replaces the record of an existing vehicle; raises UnknownVehicleError."""
        await self._changes(record.vehicle)
        row = rows.vehicle_row(rules.storable_vehicle(record))
        if not await self._write(update(vehicles).where(vehicles.c.vehicle == row["vehicle"]).values(row)):
            raise rules.unknown_vehicle(record.vehicle)

    async def ecus(self, vehicle: VehicleIdentifier) -> Sequence[EcuRecord]:
        """The vehicle's ECUs that are not retired, sorted by identifier."""
        query = select(ecus).where(ecus.c.vehicle == str(vehicle), ecus.c.retired.is_(None))
        return await self._all(query.order_by(ecus.c.ecu), rows.ecu_record)

    async def ecu(self, ecu: EcuIdentifier) -> EcuRecord | None:
        """An ECU of any vehicle, also a retired one."""
        return await self._one(select(ecus).where(ecus.c.ecu == str(ecu)), rows.ecu_record)

    async def ecu_of_key(self, key: PublicKey) -> EcuRecord | None:
        """An ECU that registered this key material, if any, also a retired one."""
        query = select(ecus).where(ecus.c.key_material == key.material).order_by(ecus.c.ecu).limit(1)
        return await self._one(query, rows.ecu_record)

    async def add_ecu(self, record: EcuRecord) -> None:
        """Raises UnknownVehicleError, or AlreadyRegisteredError whose fact `conflict` is `ecu`, `key` or `primary`."""
        record = rules.storable_ecu(record)
        await self._changes(record.vehicle)
        if await self._write(insert(ecus).values(rows.ecu_row(record))) is None:
            await self._require_vehicle(record.vehicle)
            if holder := await self.ecu(record.ecu):
                raise rules.ecu_exists(record, holder)
            raise await self._conflict(record)

    async def retire_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, now: datetime) -> None:
        """Takes an ECU out of its vehicle; raises UnknownVehicleError or UnknownEcuError."""
        await self._changes(vehicle)
        row = rows.ecu_row(rules.storable_ecu(structs.replace(await self._require_ecu(vehicle, ecu), retired=now)))
        here = [table.c.vehicle == str(vehicle) for table in (ecus, assignments, directed)]
        of_ecu = [table.c.ecu == str(ecu) for table in (ecus, assignments, directed)]
        await self._write(
            update(ecus).where(here[0], of_ecu[0]).values(row),
            delete(assignments).where(here[1], of_ecu[1]),
            delete(directed).where(here[2], of_ecu[2]),
        )

    async def set_encryption_key(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: EncryptionKey) -> None:
        """Sets what images are encrypted for; raises UnknownVehicleError or UnknownEcuError."""
        await self._require_ecu(vehicle, ecu)
        await self._changes(vehicle)
        here = and_(ecus.c.vehicle == str(vehicle), ecus.c.ecu == str(ecu))
        await self._write(update(ecus).where(here).values(rows.encryption_row(key)))

    async def add_report(self, record: EcuRecord, stored: StoredReport) -> None:
        """Replaces the ECU's record and appends to its history.

        Raises:
            UnknownVehicleError, UnknownEcuError: no such ECU in that vehicle.
            AlreadyRegisteredError: the counter is in the history (`conflict` is `report`), or as `add_ecu` does.
        """
        record, stored = rules.storable_ecu(record), rules.storable_report(stored)
        await self._changes(record.vehicle)
        here = and_(ecus.c.vehicle == str(record.vehicle), ecus.c.ecu == str(record.ecu), ecus.c.retired.is_(None))
        replacement = update(ecus).where(here).values(rows.ecu_row(record))
        entry = insert(reports).values(rows.report_row(record, stored))
        if not await self._write(replacement, entry, needs_row=True):
            await self._require_ecu(record.vehicle, record.ecu)
            raise await self._conflict(record, stored)

    async def reports(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, limit: int) -> Sequence[StoredReport]:
        """The newest reports of an ECU, newest first."""
        query = select(reports).where(reports.c.vehicle == str(vehicle), reports.c.ecu == str(ecu))
        return await self._all(query.order_by(reports.c.counter.desc()).limit(max(limit, 0)), rows.stored_report)

    async def assignments(self, vehicle: VehicleIdentifier) -> Sequence[Assignment]:
        """What the vehicle's ECUs shall have, sorted by ECU."""
        query = select(assignments).where(assignments.c.vehicle == str(vehicle)).order_by(assignments.c.ecu)
        return await self._all(query, rows.assignment_of)

    async def assign(self, assignment: Assignment) -> None:
        """Sets the one image of an ECU; raises UnknownVehicleError or UnknownEcuError."""
        await self._changes(assignment.vehicle, only_assignments=True)
        row = rows.assignment_row(assignment)
        if await self._write(_replace_assignment(row)):
            return
        await self._require_ecu(assignment.vehicle, assignment.ecu)
        if await self._write(insert(assignments).values(row)) is None:
            # Another transaction has assigned an image since the first attempt.
            await self._write(_replace_assignment(row))

    async def clear_assignments(self, vehicle: VehicleIdentifier) -> None:
        """Removes every assignment of the vehicle."""
        await self._changes(vehicle, only_assignments=True)
        await self._write(delete(assignments).where(assignments.c.vehicle == str(vehicle)))

    async def directed(self, vehicle: VehicleIdentifier) -> Sequence[Directed]:
        """What the vehicle's ECUs may have of what they were directed, sorted by ECU and number."""
        query = select(directed).where(directed.c.vehicle == str(vehicle))
        return await self._all(query.order_by(directed.c.ecu, directed.c.number), rows.directed_of)

    async def set_directed(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, images: Sequence[Directed]) -> None:
        """Replaces all of an ECU; raises UnknownVehicleError or UnknownEcuError."""
        await self._require_ecu(vehicle, ecu)
        await self._changes(vehicle)
        rules.check_directed(vehicle, ecu, images)
        old = delete(directed).where(directed.c.vehicle == str(vehicle), directed.c.ecu == str(ecu))
        await self._write(old, *(insert(directed).values(rows.directed_row(each)) for each in images))

    async def add_alert(self, alert: Alert) -> None:
        """Appends to what is known of a vehicle, and forgets all but the newest MAX_ALERTS; UnknownVehicleError."""
        row = rows.alert_row(rules.storable_alert(alert))
        await self._require_vehicle(alert.vehicle)  # which also locks it, so that the next number is ours
        last = select(func.coalesce(func.max(alerts.c.number), 0)).where(alerts.c.vehicle == row["vehicle"])
        row["number"] = (await self._execute(last)).scalar_one() + 1
        old = delete(alerts).where(alerts.c.vehicle == row["vehicle"], alerts.c.number <= row["number"] - MAX_ALERTS)
        await self._write(insert(alerts).values(row), old)

    async def alerts(self, vehicle: VehicleIdentifier, limit: int) -> Sequence[Alert]:
        """The newest alerts of a vehicle, newest first."""
        query = select(alerts).where(alerts.c.vehicle == str(vehicle)).order_by(alerts.c.number.desc())
        return await self._all(query.limit(max(limit, 0)), rows.alert_of)

    async def _changes(self, vehicle: VehicleIdentifier, *, only_assignments: bool = False) -> None:
        """Raises the vehicle's revision, which also holds its row, so that transactions queue up.

        Once in a transaction, and once more where assignments are not all that changes.
        """
        name = str(vehicle)
        if name not in self._changed or not (self._changed[name] or only_assignments):
            self._changed[name] = not only_assignments
            with self._border():
                await raise_revision(self._connection, name, only_assignments=only_assignments)

    async def _require_vehicle(self, vehicle: VehicleIdentifier) -> None:
        if await self.vehicle(vehicle) is None:
            raise rules.unknown_vehicle(vehicle)

    async def _require_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier) -> EcuRecord:
        await self._require_vehicle(vehicle)
        known = await self.ecu(ecu)
        if known is None or known.vehicle != vehicle or known.retired is not None:
            raise rules.unknown_ecu(vehicle, ecu)
        return known

    async def _conflict(self, record: EcuRecord, stored: StoredReport | None = None) -> UptaneError:
        """Which constraint has refused `record`, asked of the records, as databases name them differently."""
        holder = None if record.shares_key else await self.ecu_of_key(record.key)
        if holder and holder.ecu != record.ecu:
            return rules.key_exists(record, holder)
        for other in await self.ecus(record.vehicle):
            if record.is_primary and other.is_primary and other.ecu != record.ecu:
                return rules.primary_exists(record, other)
        if stored is not None:
            return rules.report_exists(record, stored.counter)
        return StorageError(
            f"ECU {record.ecu} could not be written to the inventory {self._database}", next_step="Try again."
        )

    async def _one(self, query: Select[Any], record: Callable[[Any], T]) -> T | None:
        return next(iter(await self._all(query, record)), None)

    async def _all(self, query: Select[Any], record: Callable[[Any], T]) -> list[T]:
        found = (await self._execute(query)).mappings().all()
        with damaged_rows(self._database):
            return [record(row) for row in found]

    async def _write(self, *statements: Executable, needs_row: bool = False) -> int | None:
        """Runs the statements as one; the rows that the first one touched, or None when a constraint refuses.

        With `needs_row`, the others are left out where the first one finds no row.
        """
        touched: list[int] = []
        with self._border():
            try:
                async with self._connection.begin_nested():
                    for statement in statements:
                        touched.append((await self._connection.execute(statement)).rowcount)
                        if needs_row and not touched[0]:
                            break
            except IntegrityError:
                return None
            return touched[0]

    async def _execute(self, query: Select[Any]) -> CursorResult[Any]:
        with self._border():
            result: CursorResult[Any] = await self._connection.execute(query)
            return result

    @contextmanager
    def _border(self) -> Iterator[None]:
        self.require_open()
        try:
            with storage_errors(self._database):
                yield
        except BaseException:
            self._open = False
            raise


def _replace_assignment(row: rows.Row) -> Update:
    here = and_(assignments.c.vehicle == row["vehicle"], assignments.c.ecu == row["ecu"])
    return update(assignments).where(here).values(row)
