"""Rows to records and back."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping

from uptane.director.ports import Alert, Assignment, Directed, EcuRecord, StoredReport, VehicleRecord
from uptane.encryption.keys import EncryptionKey, EncryptionKeyType
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, KeyId, VehicleIdentifier
from uptane.metadata.keys import KeyType, PublicKey

Row = dict[str, Any]
"""Column names and values, as the database takes and gives them."""


def vehicle_row(record: VehicleRecord) -> Row:
    """The row of a vehicle."""
    return {
        "vehicle": str(record.vehicle),
        "manifest_counter": record.manifest_counter,
        "manifest": record.manifest,
        "manifest_received": record.manifest_received,
    }


def vehicle_record(row: RowMapping) -> VehicleRecord:
    """The vehicle of a row; raises FormatError for a damaged one."""
    return VehicleRecord(
        vehicle=VehicleIdentifier(row["vehicle"]),
        manifest_counter=row["manifest_counter"],
        manifest=row["manifest"],
        manifest_received=row["manifest_received"],
    )


def ecu_row(record: EcuRecord) -> Row:
    """The row of an ECU: of its signing key the public part, which is all there is of it."""
    return {
        "vehicle": str(record.vehicle),
        "ecu": str(record.ecu),
        "key_id": str(record.key.key_id),
        "key_type": record.key.key_type.value,
        "key_scheme": record.key.scheme.value,
        "key_material": record.key.material,
        "sole_key": None if record.shares_key else record.key.material,
        "is_primary": record.is_primary,
        "hardware_id": None if record.hardware_id is None else str(record.hardware_id),
        "report_counter": record.report_counter,
        "report": record.report,
        "report_received": record.report_received,
        "retired": record.retired,
        **encryption_row(record.encryption_key),
    }


def encryption_row(key: EncryptionKey | None) -> Row:
    """The part of an ECU's row that holds what images are encrypted for: a secret, where that is a symmetric key."""
    return {
        "encryption_type": None if key is None else key.key_type.value,
        "encryption_material": None if key is None else key.material,
    }


def _encryption_key(row: Mapping[str, Any]) -> EncryptionKey | None:
    kind = row["encryption_type"]
    if kind is None:
        return None
    if kind not in set(EncryptionKeyType):
        raise FormatError(f"unknown type of a key for encryption: {kind!r}", field="encryption key")
    return EncryptionKey(key_type=EncryptionKeyType(kind), material=row["encryption_material"])


def ecu_record(row: Mapping[str, Any]) -> EcuRecord:
    """The ECU of a row; raises FormatError for a damaged one, such as a key that has not its identifier."""
    try:
        key_type = KeyType(row["key_type"])
    except ValueError as error:
        raise FormatError(f"unknown key type: {error}", field="key type") from error
    key = PublicKey.with_id(key_type, row["key_material"], KeyId(row["key_id"]))
    if key.scheme != row["key_scheme"]:
        raise FormatError(f"scheme {row['key_scheme']!r} is not for a key of type {key_type}", field="scheme")
    return EcuRecord(
        vehicle=VehicleIdentifier(row["vehicle"]),
        ecu=EcuIdentifier(row["ecu"]),
        key=key,
        is_primary=row["is_primary"],
        hardware_id=None if row["hardware_id"] is None else HardwareIdentifier(row["hardware_id"]),
        report_counter=row["report_counter"],
        report=row["report"],
        report_received=row["report_received"],
        shares_key=row["sole_key"] is None,
        retired=row["retired"],
        encryption_key=_encryption_key(row),
    )


def report_row(record: EcuRecord, stored: StoredReport) -> Row:
    """The row of a report in an ECU's history."""
    return {
        "vehicle": str(record.vehicle),
        "ecu": str(record.ecu),
        "counter": stored.counter,
        "report": stored.report,
        "received": stored.received,
        "attacks_detected": stored.attacks_detected,
    }


def stored_report(row: RowMapping) -> StoredReport:
    """The report of a row."""
    return StoredReport(
        counter=row["counter"],
        report=row["report"],
        received=row["received"],
        attacks_detected=row["attacks_detected"],
    )


def assignment_row(assignment: Assignment) -> Row:
    """The row of an assignment."""
    return {
        "vehicle": str(assignment.vehicle),
        "ecu": str(assignment.ecu),
        "path": str(assignment.path),
        "image": assignment.image,
        "install_order": assignment.install_order,
        "encrypted": assignment.encrypted,
    }


def assignment_of(row: RowMapping) -> Assignment:
    """The assignment of a row; raises FormatError for a damaged one."""
    return Assignment(
        vehicle=VehicleIdentifier(row["vehicle"]),
        ecu=EcuIdentifier(row["ecu"]),
        path=ImagePath(row["path"]),
        image=row["image"],
        install_order=row["install_order"],
        encrypted=row["encrypted"],
    )


def directed_row(directed: Directed) -> Row:
    """The row of an image that an ECU may have."""
    return {
        "vehicle": str(directed.vehicle),
        "ecu": str(directed.ecu),
        "number": directed.number,
        "path": str(directed.path),
        "image": directed.image,
    }


def directed_of(row: RowMapping) -> Directed:
    """The inverse of `directed_row`; raises FormatError for a damaged one."""
    return Directed(
        vehicle=VehicleIdentifier(row["vehicle"]),
        ecu=EcuIdentifier(row["ecu"]),
        number=row["number"],
        path=ImagePath(row["path"]),
        image=row["image"],
    )


def alert_row(alert: Alert) -> Row:
    """The row of an alert, but for its number."""
    return {"vehicle": str(alert.vehicle), "time": alert.time, "code": alert.code, "text": alert.text}


def alert_of(row: RowMapping) -> Alert:
    """The alert of a row."""
    return Alert(vehicle=VehicleIdentifier(row["vehicle"]), time=row["time"], code=row["code"], text=row["text"])
