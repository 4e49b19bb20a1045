"""What every inventory refuses, and how it says so, whatever keeps the records."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from msgspec import structs

from uptane.director.ports import Alert, Directed, EcuRecord, StoredReport, VehicleRecord
from uptane.metadata.errors import AlreadyRegisteredError, StorageError, UnknownEcuError, UnknownVehicleError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.version_report import MAX_COUNTER


def storable_vehicle(record: VehicleRecord) -> VehicleRecord:
    """The record with its time in UTC; raises StorageError for what no database can keep."""
    _check_counter("manifest counter", record.manifest_counter)
    return structs.replace(record, manifest_received=_utc(record.manifest_received))


def storable_ecu(record: EcuRecord) -> EcuRecord:
    """The record with its time in UTC; raises StorageError for what no database can keep."""
    _check_counter("report counter", record.report_counter)
    return structs.replace(record, report_received=_utc(record.report_received), retired=_utc(record.retired))


def storable_report(stored: StoredReport) -> StoredReport:
    """The report with its time in UTC; raises StorageError for what no database can keep."""
    check_report(stored)
    return structs.replace(stored, received=_utc(stored.received) or stored.received)


def check_report(stored: StoredReport) -> None:
    """Raises StorageError for what no database can keep."""
    _check_counter("report counter", stored.counter)
    _check_text("attack description", "attacks detected", stored.attacks_detected)
    _check_zone(stored.received)


def storable_alert(alert: Alert) -> Alert:
    """The alert with its time in UTC; raises StorageError for what no database can keep."""
    _check_text("alert", "alert", alert.text)
    return replace(alert, time=_utc(alert.time) or alert.time)


def check_directed(vehicle: VehicleIdentifier, ecu: EcuIdentifier, directed: Sequence[Directed]) -> None:
    """Raises StorageError for records of another ECU, or two of one number."""
    numbers = {each.number for each in directed}
    if len(numbers) != len(directed) or any((each.vehicle, each.ecu) != (vehicle, ecu) for each in directed):
        raise StorageError(f"what is directed to ECU {ecu} holds two of one number, or another ECU's", field="directed")


def unknown_vehicle(vehicle: VehicleIdentifier) -> UnknownVehicleError:
    """The error for a write to a vehicle that is not there."""
    return UnknownVehicleError(f"vehicle {vehicle} is not in the inventory", vehicle=vehicle)


def unknown_ecu(vehicle: VehicleIdentifier, ecu: EcuIdentifier) -> UnknownEcuError:
    """The error for a write to an ECU that is not there, or not in this vehicle."""
    return UnknownEcuError(f"ECU {ecu} is not registered in vehicle {vehicle}", vehicle=vehicle, ecu=ecu)


def vehicle_exists(vehicle: VehicleIdentifier) -> AlreadyRegisteredError:
    """The error for a second vehicle of one identifier."""
    return AlreadyRegisteredError(
        f"vehicle {vehicle} is in the inventory already",
        next_step="Use the vehicle as it is, or another identifier.",
        conflict="vehicle",
        vehicle=vehicle,
    )


def ecu_exists(record: EcuRecord, holder: EcuRecord) -> AlreadyRegisteredError:
    """The error for a second ECU of one identifier, in this vehicle or in another."""
    return AlreadyRegisteredError(
        f"ECU {record.ecu} is registered already, in vehicle {holder.vehicle}",
        next_step="Keep that registration, or use another ECU identifier.",
        conflict="ecu",
        **_parties(record, holder),
    )


def key_exists(record: EcuRecord, holder: EcuRecord) -> AlreadyRegisteredError:
    """The error for a key that belongs to another ECU."""
    return AlreadyRegisteredError(
        f"the key of ECU {record.ecu} is registered already, by ECU {holder.ecu} of vehicle {holder.vehicle}",
        next_step="Make a key for this ECU alone.",
        conflict="key",
        **_parties(record, holder),
    )


def primary_exists(record: EcuRecord, holder: EcuRecord) -> AlreadyRegisteredError:
    """The error for a second Primary in a vehicle."""
    return AlreadyRegisteredError(
        f"vehicle {record.vehicle} has a Primary already, {holder.ecu}, so {record.ecu} cannot be one",
        next_step="Register the ECU as a Secondary, or in a vehicle of its own.",
        conflict="primary",
        **_parties(record, holder),
    )


def report_exists(record: EcuRecord, counter: int) -> AlreadyRegisteredError:
    """The error for a second report of one counter: the history only grows."""
    return AlreadyRegisteredError(
        f"a report of ECU {record.ecu} with counter {counter} is in its history already",
        next_step="Send a report with a higher counter.",
        conflict="report",
        vehicle=record.vehicle,
        ecu=record.ecu,
        counter=counter,
    )


def transaction_over() -> StorageError:
    """The error for a use of a transaction after its end, or after its database failed."""
    return StorageError("the inventory transaction has ended, nothing more can be read or written in it")


def _parties(record: EcuRecord, holder: EcuRecord) -> dict[str, object]:
    return {
        "vehicle": record.vehicle,
        "ecu": record.ecu,
        "holder_vehicle": holder.vehicle,
        "holder_ecu": holder.ecu,
    }


def _check_counter(field: str, counter: int) -> None:
    if not 0 <= counter <= MAX_COUNTER:
        raise StorageError(f"a {field} of 0 to {MAX_COUNTER} can be stored, this one is outside", field=field)


def _check_text(what: str, field: str, text: str) -> None:
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise StorageError(f"an {what} holds characters that cannot be stored", field=field)


def _utc(time: datetime | None) -> datetime | None:
    if time is None:
        return None
    _check_zone(time)
    return time.astimezone(UTC)


def _check_zone(time: datetime) -> None:
    if time.tzinfo is None:
        raise StorageError(f"a time without a time zone cannot be stored: {time.isoformat()}", field="time")
