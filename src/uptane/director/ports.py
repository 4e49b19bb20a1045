"""What a Director needs from the world."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from uptane.encryption.keys import EncryptionKey
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.targets import Image, ImageFile


class VehicleRecord(Struct, frozen=True, kw_only=True, gc=False):
    """A vehicle in the inventory (STD-5.3.2.2-3).

    Args:
        vehicle: its identifier.
        manifest_counter: the counter of the last accepted manifest, 0 before the first.
        manifest: the last accepted manifest, byte for byte; None before the first.
        manifest_received: when it was accepted, UTC.
    """

    vehicle: VehicleIdentifier
    manifest_counter: int = 0
    manifest: bytes | None = None
    manifest_received: datetime | None = None


class EcuRecord(Struct, frozen=True, kw_only=True, gc=False):
    """An ECU in the inventory (STD-5.3.2.2-4 to -11).

    Args:
        vehicle, ecu: the vehicle, and the ECU's identifier, which is unique across all vehicles.
        key: the public key that verifies its reports.
        is_primary: whether it is the vehicle's Primary.
        hardware_id: its hardware, where known.
        report_counter: the counter of the last accepted report, 0 before the first.
        report: the last accepted report, byte for byte; None before the first.
        report_received: when it was accepted first, UTC.
        shares_key: whether other ECUs may register the same key (`unsafe_shared_keys`).
        retired: since when it is not part of the vehicle any more, UTC; None while it is. Its identifier and its key
            stay on record, so that neither comes back, and so does its history.
        encryption_key: what images are encrypted for, where it has such a key; other ECUs may have the same.
    """

    vehicle: VehicleIdentifier
    ecu: EcuIdentifier
    key: PublicKey
    is_primary: bool
    hardware_id: HardwareIdentifier | None = None
    report_counter: int = 0
    report: bytes | None = None
    report_received: datetime | None = None
    shares_key: bool = False
    retired: datetime | None = None
    encryption_key: EncryptionKey | None = None


class Assignment(Struct, frozen=True, kw_only=True, gc=False):
    """The image that an ECU shall have.

    Args:
        vehicle, ecu: the ECU.
        path: the image.
        image: the entry of Targets metadata for it, as its JSON text without the ECU map: opaque here.
        install_order: when the ECU shall install it, see `metadata.install_order`; None where nobody said.
        encrypted: the encrypted form that this ECU gets, as its JSON text; None where it gets the image in plain.
    """

    vehicle: VehicleIdentifier
    ecu: EcuIdentifier
    path: ImagePath
    image: bytes
    install_order: int | None = None
    encrypted: bytes | None = None


class Directed(Struct, frozen=True, kw_only=True, gc=False):
    """An image that was directed to an ECU, and that no later report rules out: the ECU may have it (BP-SEC-13).

    Args:
        vehicle, ecu: the ECU.
        number: rises with every image that the ECU is directed; 0 for one that it reported and nobody directed.
        path, image: as in `Assignment`.
    """

    vehicle: VehicleIdentifier
    ecu: EcuIdentifier
    number: int
    path: ImagePath
    image: bytes


class StoredReport(Struct, frozen=True, kw_only=True, gc=False):
    """A version report in the history of an ECU.

    Args:
        counter: the report's counter.
        report: the signed report, byte for byte.
        received: when it was accepted, UTC.
        attacks_detected: what the ECU said it saw, empty for nothing.
    """

    counter: int
    report: bytes
    received: datetime
    attacks_detected: str


MAX_ALERTS = 1000
"""Alerts that are kept of a vehicle, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that an operator should know of a vehicle.

    Args:
        vehicle: the vehicle.
        time: when it was noticed, UTC.
        code: the stable code of the error that it is, or would be.
        text: one sentence.
    """

    vehicle: VehicleIdentifier
    time: datetime
    code: str
    text: str


class InventoryTransaction(Protocol):
    """Reads and writes that happen together or not at all. Every record belongs to a vehicle."""

    async def vehicle(self, vehicle: VehicleIdentifier) -> VehicleRecord | None:
        """The vehicle, locked against other writers until the transaction ends where the database can do so."""
        ...

    async def vehicles(self) -> Sequence[VehicleIdentifier]:
        """All vehicles, sorted."""
        ...

    async def add_vehicle(self, record: VehicleRecord) -> None:
        """Raises AlreadyRegisteredError when the vehicle exists."""
        ...

    async def update_vehicle(self, record: VehicleRecord) -> None:
        """Replaces the record of an existing vehicle; raises UnknownVehicleError."""
        ...

    async def ecus(self, vehicle: VehicleIdentifier) -> Sequence[EcuRecord]:
        """The vehicle's ECUs that are not retired, sorted by identifier."""
        ...

    async def ecu(self, ecu: EcuIdentifier) -> EcuRecord | None:
        """An ECU of any vehicle, also a retired one."""
        ...

    async def ecu_of_key(self, key: PublicKey) -> EcuRecord | None:
        """An ECU that registered this key material, if any, also a retired one."""
        ...

    async def add_ecu(self, record: EcuRecord) -> None:
        """Raises AlreadyRegisteredError when the ECU, or its key, or a Primary of the vehicle, exists."""
        ...

    async def retire_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, now: datetime) -> None:
        """Takes an ECU out of its vehicle, with its assignment and what it was directed.

        Raises:
            UnknownVehicleError, UnknownEcuError: no such ECU is part of that vehicle.
        """
        ...

    async def set_encryption_key(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: EncryptionKey) -> None:
        """Sets what images are encrypted for; raises UnknownVehicleError or UnknownEcuError."""
        ...

    async def add_report(self, record: EcuRecord, stored: StoredReport) -> None:
        """Replaces the ECU's record and appends to its history."""
        ...

    async def reports(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, limit: int) -> Sequence[StoredReport]:
        """The newest reports of an ECU, newest first."""
        ...

    async def assignments(self, vehicle: VehicleIdentifier) -> Sequence[Assignment]:
        """What the vehicle's ECUs shall have, sorted by ECU."""
        ...

    async def assign(self, assignment: Assignment) -> None:
        """Sets the one image of an ECU, replacing an earlier one."""
        ...

    async def clear_assignments(self, vehicle: VehicleIdentifier) -> None:
        """Removes every assignment of the vehicle."""
        ...

    async def directed(self, vehicle: VehicleIdentifier) -> Sequence[Directed]:
        """What the vehicle's ECUs may have of what they were directed, sorted by ECU and number."""
        ...

    async def set_directed(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, images: Sequence[Directed]) -> None:
        """Replaces all of an ECU; raises UnknownVehicleError or UnknownEcuError."""
        ...

    async def add_alert(self, alert: Alert) -> None:
        """Appends to what is known of a vehicle, and forgets all but the newest MAX_ALERTS; UnknownVehicleError."""
        ...

    async def alerts(self, vehicle: VehicleIdentifier, limit: int) -> Sequence[Alert]:
        """The newest alerts of a vehicle, newest first."""
        ...


class InventoryDatabase(Protocol):
    """The private inventory of vehicles and ECUs (STD-5.3.2.2-1)."""

    def transaction(self) -> AbstractAsyncContextManager[InventoryTransaction]:
        """Commits at the end of the context, rolls back on an error."""
        ...


class VehicleState(Struct, frozen=True, kw_only=True, gc=False):
    """All that is on record of a vehicle at one moment.

    Args:
        record: the vehicle.
        revision: rises with every change of what is on record of the vehicle, and of what is published for it.
        ecus, assignments, directed: as an `InventoryTransaction` gives them.
        files: published files by name, as far as they were asked for and exist.
    """

    record: VehicleRecord
    revision: int
    ecus: Sequence[EcuRecord]
    assignments: Sequence[Assignment]
    directed: Sequence[Directed]
    files: Mapping[str, bytes] = msgspec.field(default_factory=dict)


class Publication(Struct, frozen=True, kw_only=True, gc=False):
    """Files to be published, as `MetadataStore.publish` takes them.

    Args:
        files: new files, which never change afterwards.
        mutable: files that replace earlier ones of their name.
        replaced: what each mutable file is expected to hold before, as far as it was published.
    """

    files: Sequence[tuple[str, bytes]]
    mutable: Mapping[str, bytes]
    replaced: Mapping[str, bytes] = msgspec.field(default_factory=dict)


class Changes(Struct, frozen=True, kw_only=True, gc=False):
    """What happens to the records of a vehicle, all of it or nothing.

    Args:
        record: the vehicle's new record; None where it stays.
        reports: new records of ECUs, each with the report that joins its history.
        directed: by ECU, all that it may have of what it was directed.
        publication: what is published; None where that stays.
    """

    record: VehicleRecord | None = None
    reports: Sequence[tuple[EcuRecord, StoredReport]] = ()
    directed: Mapping[EcuIdentifier, Sequence[Directed]] = msgspec.field(default_factory=dict)
    publication: Publication | None = None


class FleetStore(Protocol):
    """Inventory and published metadata in one place, a vehicle at a time: one read, and one write that may lose."""

    async def read(
        self, vehicle: VehicleIdentifier, names: Collection[str], last: VehicleState | None = None
    ) -> VehicleState | None:
        """A vehicle with these of its published files; None for no such vehicle.

        Args:
            vehicle, names: what is asked for.
            last: what was known of the vehicle before: whatever is still so may be taken from there.
        """
        ...

    async def reassigned(self, asked: Sequence[tuple[VehicleState, int]]) -> Sequence[VehicleState]:
        """Vehicles with the assignments that they have at a revision, without files, in any order.

        One that has another revision is left out, and one whose rows are damaged, and where this store leaves it at
        `read` all are.

        Args:
            asked: what was known of each vehicle before, and the revision for which, from that on, nothing was changed
                but assignments.
        """
        ...

    async def commit(self, vehicle: VehicleIdentifier, revision: int, changes: Changes) -> bool:
        """Writes changes durably, unless the vehicle has another revision by now: False, and nothing is changed.

        The revision rises by one. False too where a mutable file is not what it was expected to be.

        Raises:
            StorageError: a new file's name is taken, or the database fails; nothing is changed, as far as can be known.
        """
        ...


class HostedImages(Protocol):
    """The images that a Director hosts for one vehicle."""

    async def add(self, path: ImagePath, data: bytes) -> ImageFile:
        """Makes an image available under its name and its hashes, whole or not at all; raises StorageError."""
        ...


class ImageCatalog(Protocol):
    """What the Image repository lists, as far as it verifies (TH-40)."""

    async def look_up(
        self, asked: Mapping[ImagePath, frozenset[HardwareIdentifier] | None], now: datetime
    ) -> Mapping[ImagePath, Image]:
        """The entries for some images; one that is not listed is not among them.

        Args:
            asked: the images, each with the hardware of the ECUs that shall have it, as far as it is known.
            now: UTC.

        Raises:
            SecurityError: what is published does not verify.
            UnreachableError: it is not there.
        """
        ...
