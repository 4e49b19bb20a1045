"""What the Director knows, for operators: vehicles, ECUs, reports and alerts. Nothing here changes anything."""

from collections.abc import Mapping, Sequence

from uptane.director.installed import installed_files, outstanding
from uptane.director.ports import (
    Alert,
    EcuRecord,
    InventoryDatabase,
    InventoryTransaction,
    StoredReport,
    VehicleRecord,
)
from uptane.formats.profile import Profile
from uptane.metadata.errors import UnknownEcuError, UnknownVehicleError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.targets import ImageFile


class Inquiries:
    """Reads the inventory.

    Args:
        inventory: the inventory database.
        profile: the format of reports.
    """

    def __init__(self, inventory: InventoryDatabase, profile: Profile) -> None:
        self._inventory = inventory
        self._profile = profile

    async def require_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier) -> None:
        """Raises UnknownVehicleError or UnknownEcuError unless the ECU is registered for that vehicle."""
        async with self._inventory.transaction() as transaction:
            await require_ecu(transaction, vehicle, ecu)

    async def vehicles(self) -> Sequence[VehicleIdentifier]:
        """Every vehicle, sorted."""
        async with self._inventory.transaction() as transaction:
            return await transaction.vehicles()

    async def vehicle(self, vehicle: VehicleIdentifier) -> VehicleRecord:
        """The record of a vehicle; UnknownVehicleError."""
        async with self._inventory.transaction() as transaction:
            record = await transaction.vehicle(vehicle)
        if record is None:
            raise unknown_vehicle(vehicle)
        return record

    async def ecus(self, vehicle: VehicleIdentifier) -> Sequence[EcuRecord]:
        """The ECUs that are part of a vehicle, by identifier; UnknownVehicleError."""
        async with self._inventory.transaction() as transaction:
            if await transaction.vehicle(vehicle) is None:
                raise unknown_vehicle(vehicle)
            return [record for record in await transaction.ecus(vehicle) if record.retired is None]

    async def assigned(self, vehicle: VehicleIdentifier) -> Mapping[EcuIdentifier, str]:
        """The name of the image that each ECU shall have; UnknownVehicleError."""
        async with self._inventory.transaction() as transaction:
            if await transaction.vehicle(vehicle) is None:
                raise unknown_vehicle(vehicle)
            return {each.ecu: str(each.path) for each in await transaction.assignments(vehicle)}

    async def ecu(self, ecu: EcuIdentifier) -> EcuRecord:
        """The record of an ECU; UnknownEcuError."""
        async with self._inventory.transaction() as transaction:
            record = await transaction.ecu(ecu)
        if record is None:
            raise UnknownEcuError(f"ECU {ecu} is not known to the Director", ecu=ecu)
        return record

    async def installed(self, vehicle: VehicleIdentifier) -> Mapping[EcuIdentifier, ImageFile]:
        """What each ECU runs, as far as it has reported; UnknownVehicleError."""
        async with self._inventory.transaction() as transaction:
            if await transaction.vehicle(vehicle) is None:
                raise unknown_vehicle(vehicle)
            return installed_files(self._profile, await transaction.ecus(vehicle))

    async def outstanding(self, vehicle: VehicleIdentifier) -> Sequence[EcuIdentifier]:
        """The ECUs that are not known to have their assigned image; UnknownVehicleError."""
        async with self._inventory.transaction() as transaction:
            if await transaction.vehicle(vehicle) is None:
                raise unknown_vehicle(vehicle)
            installed = installed_files(self._profile, await transaction.ecus(vehicle))
            return outstanding(await transaction.assignments(vehicle), installed)

    async def reports(self, ecu: EcuIdentifier, limit: int = 100) -> Sequence[StoredReport]:
        """The newest accepted reports of an ECU, newest first; UnknownEcuError."""
        record = await self.ecu(ecu)
        async with self._inventory.transaction() as transaction:
            return await transaction.reports(record.vehicle, ecu, limit)

    async def alerts(self, vehicle: VehicleIdentifier, limit: int = 100) -> Sequence[Alert]:
        """What an operator should know of a vehicle, newest first; UnknownVehicleError."""
        await self.vehicle(vehicle)
        async with self._inventory.transaction() as transaction:
            return await transaction.alerts(vehicle, limit)


async def require_ecu(transaction: InventoryTransaction, vehicle: VehicleIdentifier, ecu: EcuIdentifier) -> EcuRecord:
    """The record of an ECU of that vehicle; raises UnknownVehicleError or UnknownEcuError."""
    if await transaction.vehicle(vehicle) is None:
        raise unknown_vehicle(vehicle)
    record = await transaction.ecu(ecu)
    if record is None or record.vehicle != vehicle or record.retired is not None:
        raise UnknownEcuError(
            f"ECU {ecu} is not registered for vehicle {vehicle}",
            next_step="Start it first, which registers it (in the demonstration with ds.clean_slate); "
            f"uptane vehicle show {vehicle} lists those that are.",
            ecu=ecu,
            vehicle=vehicle,
        )
    return record


def unknown_vehicle(vehicle: VehicleIdentifier) -> UnknownVehicleError:
    """The error for a vehicle that is not in the inventory."""
    return UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
