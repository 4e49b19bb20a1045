"""Vehicles and ECUs enter the inventory: each identity and each key once."""

from datetime import datetime

from msgspec import structs

from uptane.director.alerts import tell
from uptane.director.check_images import check_fits
from uptane.director.planning import image_of
from uptane.director.ports import Alert, EcuRecord, InventoryDatabase, InventoryTransaction, VehicleRecord
from uptane.metadata.errors import (
    DecryptionError,
    HardwareMismatchError,
    SpoofingError,
    UnknownEcuError,
    UnknownVehicleError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, VehicleIdentifier
from uptane.metadata.keys import PublicKey

MAX_ECUS = 256
"""ECUs of one vehicle: a Primary and as many Secondaries as it takes; vehicles have some 150."""


async def register_vehicle(inventory: InventoryDatabase, vehicle: VehicleIdentifier) -> None:
    """Adds a vehicle; AlreadyRegisteredError when it exists (STD-5.3.2.2-3)."""
    async with inventory.transaction() as transaction:
        await transaction.add_vehicle(VehicleRecord(vehicle=vehicle))


async def register_ecu(
    inventory: InventoryDatabase,
    *,
    vehicle: VehicleIdentifier,
    ecu: EcuIdentifier,
    key: PublicKey,
    is_primary: bool,
    hardware_id: HardwareIdentifier | None = None,
    unsafe_shared_key: bool = False,
) -> bool:
    """Adds an ECU to a vehicle (STD-5.3.2.2-4 to -11).

    Args:
        inventory: where it is added.
        vehicle, ecu, key, is_primary, hardware_id: what is recorded of it.
        unsafe_shared_key: whether other ECUs may have the same key.

    Returns:
        True when it was added, False when exactly this ECU was registered before.

    Raises:
        UnknownVehicleError: no such vehicle.
        SpoofingError: the identifier is in use with another key, vehicle or hardware, the key is in use by another ECU,
            the vehicle has another Primary, or the ECU or its key was retired. Nothing was changed.
        UptaneError: the vehicle has MAX_ECUS already.
    """
    asked = EcuRecord(
        vehicle=vehicle,
        ecu=ecu,
        key=key,
        is_primary=is_primary,
        hardware_id=hardware_id,
        shares_key=unsafe_shared_key,
    )
    async with inventory.transaction() as transaction:
        if await transaction.vehicle(vehicle) is None:
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        return await _add(transaction, asked)


async def _add(transaction: InventoryTransaction, asked: EcuRecord) -> bool:
    ecu, vehicle = asked.ecu, asked.vehicle
    known = await transaction.ecu(ecu)
    if known is not None:
        refuse_retired(known)
        same_hardware = asked.hardware_id is None or asked.hardware_id == known.hardware_id
        if same_hardware and (known.vehicle, known.key, known.is_primary) == (vehicle, asked.key, asked.is_primary):
            return False
        raise SpoofingError(
            f"ECU {ecu} is registered already, with another key, vehicle, hardware or part",
            next_step="Choose another serial, or have the OEM replace the ECU in the inventory.",
            ecu=ecu,
            expected=known.key.key_id,
            offered=asked.key.key_id,
        )
    owner = None if asked.shares_key else await transaction.ecu_of_key(asked.key)
    if owner is not None:
        raise SpoofingError(f"the key of ECU {ecu} is that of ECU {owner.ecu}", ecu=ecu, owner=owner.ecu)
    others = await transaction.ecus(vehicle)
    if len(others) >= MAX_ECUS:
        raise UptaneError(
            f"vehicle {vehicle} has {MAX_ECUS} ECUs already, and cannot take {ecu}",
            next_step="Look at its alerts and records: somebody may be registering ECUs that it does not have.",
            vehicle=vehicle,
            ecu=ecu,
        )
    for other in others:
        if asked.is_primary and other.is_primary:
            raise SpoofingError(
                f"vehicle {vehicle} has the Primary {other.ecu} already; {ecu} cannot be one too",
                ecu=ecu,
                expected=other.ecu,
            )
    await transaction.add_ecu(asked)
    return True


def refuse_retired(known: EcuRecord) -> None:
    """Raises SpoofingError for an ECU that was taken out of its vehicle, whatever it has come back for."""
    if known.retired is not None:
        raise SpoofingError(
            f"ECU {known.ecu} was taken out of vehicle {known.vehicle} at {known.retired:%Y-%m-%dT%H:%M:%SZ}, and does "
            "not come back",
            next_step="Give a part that is built in again a new identifier and a new key.",
            ecu=known.ecu,
            vehicle=known.vehicle,
        )


async def replace_ecu(
    inventory: InventoryDatabase,
    *,
    vehicle: VehicleIdentifier,
    old: EcuIdentifier,
    ecu: EcuIdentifier,
    key: PublicKey,
    now: datetime,
    hardware_id: HardwareIdentifier | None = None,
    unsafe_shared_key: bool = False,
) -> bool:
    """Takes an ECU out of a vehicle and registers another one as the same part of it, in one transaction.

    The new ECU shall have the image that the old one was assigned, unless that is for other hardware, or was encrypted
    for the old one, whose keys go with it. Where it is the
    Primary, the manifests of the vehicle are counted anew: only those that the new one signs are accepted.

    Args:
        inventory: where that is done.
        vehicle, old: what is taken out.
        ecu, key, hardware_id: what takes its place.
        now: UTC.
        unsafe_shared_key: see `register_ecu`.

    Returns:
        Whether the new ECU is assigned what the old one was; False where that is for other hardware or was encrypted,
        which an alert tells, and where the old one was assigned nothing.

    Raises:
        UnknownVehicleError, UnknownEcuError: the old ECU is not part of the vehicle.
        SpoofingError: as `register_ecu`, also where the new identifier or key is the old one's. Nothing was changed.
    """
    async with inventory.transaction() as transaction:
        record = await transaction.vehicle(vehicle)
        if record is None:
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        known = await transaction.ecu(old)
        if known is None or known.vehicle != vehicle or known.retired is not None:
            raise UnknownEcuError(f"ECU {old} is not part of vehicle {vehicle}", ecu=old, vehicle=vehicle)
        assigned = [each for each in await transaction.assignments(vehicle) if each.ecu == old]
        await transaction.retire_ecu(vehicle, old, now)
        asked = EcuRecord(
            vehicle=vehicle,
            ecu=ecu,
            key=key,
            is_primary=known.is_primary,
            hardware_id=hardware_id,
            shares_key=unsafe_shared_key,
        )
        if not await _add(transaction, asked):
            raise SpoofingError(f"ECU {ecu} is part of vehicle {vehicle} already", ecu=ecu, vehicle=vehicle)
        if known.is_primary:
            await transaction.update_vehicle(
                structs.replace(record, manifest_counter=0, manifest=None, manifest_received=None)
            )
        for each in assigned:
            try:
                check_fits(image_of(each.path, each.image), [asked])
                if each.encrypted is not None:
                    raise DecryptionError(f"{each.path} was encrypted for the old one, and is to be encrypted anew")
            except (HardwareMismatchError, DecryptionError) as error:
                text = f"ECU {ecu}, which replaces {old}, is not assigned what that one was: {error.what}"
                await tell(transaction, vehicle, [Alert(vehicle=vehicle, time=now, code=error.code, text=text)])
                return False
            await transaction.assign(structs.replace(each, ecu=ecu))
        return bool(assigned)
