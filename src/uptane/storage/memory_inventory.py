"""An inventory in memory: the same behaviour as the SQL one, forgotten when the process ends."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from msgspec import structs

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
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.storage import inventory_rules as rules

WAIT_SECONDS = 10.0
"""How long a transaction waits for the one before it; each takes milliseconds."""


@dataclass(slots=True)
class _State:
    vehicles: dict[VehicleIdentifier, VehicleRecord] = field(default_factory=dict)
    ecus: dict[EcuIdentifier, EcuRecord] = field(default_factory=dict)
    reports: dict[tuple[VehicleIdentifier, EcuIdentifier, int], StoredReport] = field(default_factory=dict)
    assignments: dict[tuple[VehicleIdentifier, EcuIdentifier], Assignment] = field(default_factory=dict)
    directed: dict[tuple[VehicleIdentifier, EcuIdentifier], tuple[Directed, ...]] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)

    def copy(self) -> "_State":
        return _State(
            self.vehicles.copy(),
            self.ecus.copy(),
            self.reports.copy(),
            self.assignments.copy(),
            self.directed.copy(),
            self.alerts.copy(),
        )


class MemoryInventory:
    """An `InventoryDatabase` for tests and trials; use it from one event loop.

    Args:
        wait_seconds: how long a transaction waits for the one before it, then StorageError.
    """

    def __init__(self, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._state = _State()
        self._lock = asyncio.Lock()
        self._wait_seconds = wait_seconds

    @asynccontextmanager
    async def transaction(self) -> "AsyncIterator[MemoryTransaction]":
        """Commits at the end of the context, rolls back on an error. One transaction at a time."""
        try:
            await asyncio.wait_for(self._lock.acquire(), self._wait_seconds)
        except TimeoutError as error:
            raise StorageError(
                f"the inventory was in use for {self._wait_seconds:g} seconds", next_step="Try again."
            ) from error
        try:
            transaction = MemoryTransaction(self._state.copy())
            try:
                yield transaction
                self._state = transaction.state
            finally:
                transaction.end()
        finally:
            self._lock.release()

    async def dispose(self) -> None:
        """Nothing to close; here so that it can stand in for the SQL inventory."""


class MemoryTransaction:
    """An `InventoryTransaction` over a copy of the records."""

    def __init__(self, state: _State) -> None:
        self._state: _State | None = state

    @property
    def state(self) -> _State:
        """The records as this transaction sees them; raises StorageError after its end."""
        if self._state is None:
            raise rules.transaction_over()
        return self._state

    def end(self) -> None:
        """Makes every later use fail."""
        self._state = None

    async def vehicle(self, vehicle: VehicleIdentifier) -> VehicleRecord | None:
        """The vehicle; transactions do not overlap, so it is locked."""
        return self.state.vehicles.get(vehicle)

    async def vehicles(self) -> Sequence[VehicleIdentifier]:
        """All vehicles, sorted."""
        return sorted(self.state.vehicles)

    async def add_vehicle(self, record: VehicleRecord) -> None:
        """Raises AlreadyRegisteredError when the vehicle exists."""
        record = rules.storable_vehicle(record)
        if record.vehicle in self.state.vehicles:
            raise rules.vehicle_exists(record.vehicle)
        self.state.vehicles[record.vehicle] = record

    async def update_vehicle(self, record: VehicleRecord) -> None:
        """Replaces the record of an existing vehicle; raises UnknownVehicleError."""
        record = rules.storable_vehicle(record)
        self._require_vehicle(record.vehicle)
        self.state.vehicles[record.vehicle] = record

    async def ecus(self, vehicle: VehicleIdentifier) -> Sequence[EcuRecord]:
        """The vehicle's ECUs that are not retired, sorted by identifier."""
        found = [ecu for ecu in self.state.ecus.values() if ecu.vehicle == vehicle and ecu.retired is None]
        return sorted(found, key=lambda ecu: ecu.ecu)

    async def ecu(self, ecu: EcuIdentifier) -> EcuRecord | None:
        """An ECU of any vehicle, also a retired one."""
        return self.state.ecus.get(ecu)

    async def ecu_of_key(self, key: PublicKey) -> EcuRecord | None:
        """An ECU that registered this key material, if any, also a retired one."""
        holders = sorted(ecu.ecu for ecu in self.state.ecus.values() if ecu.key.material == key.material)
        return self.state.ecus[holders[0]] if holders else None

    async def add_ecu(self, record: EcuRecord) -> None:
        """Raises UnknownVehicleError, or AlreadyRegisteredError whose fact `conflict` is `ecu`, `key` or `primary`."""
        record = rules.storable_ecu(record)
        self._require_vehicle(record.vehicle)
        if holder := self.state.ecus.get(record.ecu):
            raise rules.ecu_exists(record, holder)
        await self._require_own_key_and_role(record)
        self.state.ecus[record.ecu] = record

    async def retire_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, now: datetime) -> None:
        """Takes an ECU out of its vehicle; raises UnknownVehicleError or UnknownEcuError."""
        self._require_ecu(vehicle, ecu)
        self.state.ecus[ecu] = rules.storable_ecu(structs.replace(self.state.ecus[ecu], retired=now))
        self.state.assignments.pop((vehicle, ecu), None)
        self.state.directed.pop((vehicle, ecu), None)

    async def set_encryption_key(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: EncryptionKey) -> None:
        """Sets what images are encrypted for; raises UnknownVehicleError or UnknownEcuError."""
        self._require_ecu(vehicle, ecu)
        self.state.ecus[ecu] = structs.replace(self.state.ecus[ecu], encryption_key=key)

    async def add_report(self, record: EcuRecord, stored: StoredReport) -> None:
        """Replaces the ECU's record and appends to its history.

        Raises:
            UnknownVehicleError, UnknownEcuError: no such ECU in that vehicle.
            AlreadyRegisteredError: the counter is in the history (`conflict` is `report`), or as `add_ecu` does.
        """
        record, stored = rules.storable_ecu(record), rules.storable_report(stored)
        self._require_ecu(record.vehicle, record.ecu)
        await self._require_own_key_and_role(record)
        place = (record.vehicle, record.ecu, stored.counter)
        if place in self.state.reports:
            raise rules.report_exists(record, stored.counter)
        self.state.ecus[record.ecu] = record
        self.state.reports[place] = stored

    async def reports(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, limit: int) -> Sequence[StoredReport]:
        """The newest reports of an ECU, newest first."""
        found = [report for (v, e, _), report in self.state.reports.items() if (v, e) == (vehicle, ecu)]
        return sorted(found, key=lambda report: report.counter, reverse=True)[: max(limit, 0)]

    async def assignments(self, vehicle: VehicleIdentifier) -> Sequence[Assignment]:
        """What the vehicle's ECUs shall have, sorted by ECU."""
        return [self.state.assignments[place] for place in sorted(self.state.assignments) if place[0] == vehicle]

    async def assign(self, assignment: Assignment) -> None:
        """Sets the one image of an ECU; raises UnknownVehicleError or UnknownEcuError."""
        self._require_ecu(assignment.vehicle, assignment.ecu)
        self.state.assignments[assignment.vehicle, assignment.ecu] = assignment

    async def clear_assignments(self, vehicle: VehicleIdentifier) -> None:
        """Removes every assignment of the vehicle."""
        for place in [place for place in self.state.assignments if place[0] == vehicle]:
            del self.state.assignments[place]

    async def directed(self, vehicle: VehicleIdentifier) -> Sequence[Directed]:
        """What the vehicle's ECUs may have of what they were directed, sorted by ECU and number."""
        return [
            each for place in sorted(self.state.directed) if place[0] == vehicle for each in self.state.directed[place]
        ]

    async def set_directed(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, images: Sequence[Directed]) -> None:
        """Replaces all of an ECU; raises UnknownVehicleError or UnknownEcuError."""
        self._require_ecu(vehicle, ecu)
        rules.check_directed(vehicle, ecu, images)
        self.state.directed[vehicle, ecu] = tuple(sorted(images, key=lambda each: each.number))

    async def add_alert(self, alert: Alert) -> None:
        """Appends to what is known of a vehicle, and forgets all but the newest MAX_ALERTS; UnknownVehicleError."""
        self._require_vehicle(alert.vehicle)
        self.state.alerts.append(rules.storable_alert(alert))
        old = [each for each in self.state.alerts if each.vehicle == alert.vehicle][:-MAX_ALERTS]
        for each in old:
            self.state.alerts.remove(each)

    async def alerts(self, vehicle: VehicleIdentifier, limit: int) -> Sequence[Alert]:
        """The newest alerts of a vehicle, newest first."""
        return [alert for alert in reversed(self.state.alerts) if alert.vehicle == vehicle][: max(limit, 0)]

    def _require_vehicle(self, vehicle: VehicleIdentifier) -> None:
        if vehicle not in self.state.vehicles:
            raise rules.unknown_vehicle(vehicle)

    def _require_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier) -> None:
        self._require_vehicle(vehicle)
        known = self.state.ecus.get(ecu)
        if known is None or known.vehicle != vehicle or known.retired is not None:
            raise rules.unknown_ecu(vehicle, ecu)

    async def _require_own_key_and_role(self, record: EcuRecord) -> None:
        holder = None if record.shares_key else await self.ecu_of_key(record.key)
        if holder and holder.ecu != record.ecu:
            raise rules.key_exists(record, holder)
        for other in await self.ecus(record.vehicle):
            if record.is_primary and other.is_primary and other.ecu != record.ecu:
                raise rules.primary_exists(record, other)
