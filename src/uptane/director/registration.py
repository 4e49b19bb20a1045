"""Vehicles and ECUs enter the inventory: each identity and each key once."""

from uptane.director.ports import EcuRecord, InventoryDatabase, VehicleRecord
from uptane.metadata.errors import SpoofingError, UnknownVehicleError, UptaneError
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
            or the vehicle has another Primary. Nothing was changed.
        UptaneError: the vehicle has MAX_ECUS already.
    """
    async with inventory.transaction() as transaction:
        if await transaction.vehicle(vehicle) is None:
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        known = await transaction.ecu(ecu)
        if known is not None:
            same_hardware = hardware_id is None or hardware_id == known.hardware_id
            if same_hardware and (known.vehicle, known.key, known.is_primary) == (vehicle, key, is_primary):
                return False
            raise SpoofingError(
                f"ECU {ecu} is registered already, with another key, vehicle, hardware or part",
                next_step="Choose another serial, or have the OEM replace the ECU in the inventory.",
                ecu=ecu,
                expected=known.key.key_id,
                offered=key.key_id,
            )
        owner = None if unsafe_shared_key else await transaction.ecu_of_key(key)
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
            if is_primary and other.is_primary:
                raise SpoofingError(
                    f"vehicle {vehicle} has the Primary {other.ecu} already; {ecu} cannot be one too",
                    ecu=ecu,
                    expected=other.ecu,
                )
        await transaction.add_ecu(
            EcuRecord(
                vehicle=vehicle,
                ecu=ecu,
                key=key,
                is_primary=is_primary,
                hardware_id=hardware_id,
                shares_key=unsafe_shared_key,
            )
        )
        return True
