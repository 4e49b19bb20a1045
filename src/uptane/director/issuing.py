"""Writes a vehicle's Targets, Snapshot and Timestamp, Timestamp last."""

from datetime import datetime

from uptane.director.planning import plan_targets
from uptane.director.ports import InventoryDatabase
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import UnknownVehicleError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Root
from uptane.metadata.targets import Targets
from uptane.signing.publish import Draft, Published, Publisher, load_published


async def issue(
    inventory: InventoryDatabase,
    publisher: Publisher,
    vehicle: VehicleIdentifier,
    now: datetime,
    *,
    root: Root | None = None,
) -> Published:
    """Publishes what the vehicle's ECUs are assigned (STD-5.3.2.1-16).

    Targets gets a new version when what it says has changed, or with a new Root; Snapshot and Timestamp always.

    Raises:
        UnknownVehicleError: no such vehicle.
        ProvisioningError: a private key is not at hand.
        StorageError: a file could not be written; the vehicle sees what was published before.
    """
    async with inventory.transaction() as transaction:
        if await transaction.vehicle(vehicle) is None:
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        targets = plan_targets(await transaction.assignments(vehicle), await transaction.ecus(vehicle))
    before = await load_published(publisher.store, publisher.profile)
    changed = before is None or root is not None or not _same(before.targets[TARGETS_ROLE].payload, targets)
    draft = Draft(root=root, targets={TARGETS_ROLE: targets} if changed else {})
    return await publisher.publish(before, draft, now)


def _same(published: Targets, planned: Targets) -> bool:
    return dict(published.images) == dict(planned.images)
