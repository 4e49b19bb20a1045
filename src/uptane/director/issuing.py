"""Writes a vehicle's Targets, Snapshot and Timestamp, Timestamp last."""

from datetime import datetime

from uptane.director.planning import newly_directed, plan_targets
from uptane.director.ports import InventoryDatabase, InventoryTransaction
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import UnknownVehicleError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Root
from uptane.metadata.targets import Targets
from uptane.signing.publish import Draft, Published, Publisher
from uptane.verification.own_metadata import OwnMetadata, verify_own_metadata


async def issue(
    inventory: InventoryDatabase,
    publisher: Publisher,
    vehicle: VehicleIdentifier,
    now: datetime,
    *,
    first_root: Root,
    root: Root | None = None,
) -> Published:
    """Publishes what the vehicle's ECUs are assigned (STD-5.3.2.1-16).

    Targets gets a new version when what it says has changed, or with a new Root; Snapshot and Timestamp always.

    Args:
        inventory: knows the vehicle and what its ECUs are assigned.
        publisher: signs for the vehicle.
        vehicle: the vehicle.
        now: UTC; expiry times are counted from it.
        first_root: the Root of a vehicle that has none yet.
        root: a new Root.

    Raises:
        UnknownVehicleError: no such vehicle.
        ProvisioningError: a private key is not at hand.
        StorageError: what is published was altered, or a file could not be written; the vehicle sees what was
            published before.
    """
    before = _published(await verify_own_metadata(publisher.store, publisher.profile, vehicle))
    async with inventory.transaction() as transaction:
        if await transaction.vehicle(vehicle) is None:
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        targets = await _plan(transaction, vehicle)
    if before is None:
        root = first_root if root is None else root
    changed = root is not None or not _same(before, targets)
    draft = Draft(root=root, targets={TARGETS_ROLE: targets} if changed else {})
    return await publisher.publish(before, draft, now)


async def _plan(transaction: InventoryTransaction, vehicle: VehicleIdentifier) -> Targets:
    """What the vehicle's ECUs are assigned; that they may get it is on record before it is signed for."""
    assignments, directed = await transaction.assignments(vehicle), await transaction.directed(vehicle)
    targets = plan_targets(assignments, await transaction.ecus(vehicle))
    for each in newly_directed(assignments, directed):
        earlier = [other for other in directed if other.ecu == each.ecu]
        await transaction.set_directed(vehicle, each.ecu, [*earlier, each])
    return targets


def _same(before: Published | None, planned: Targets) -> bool:
    """Whether that is published already; not so where an earlier publication was cut off after its Root."""
    published = None if before is None else before.targets.get(TARGETS_ROLE)
    return published is not None and dict(published.payload.images) == dict(planned.images)


def _published(own: OwnMetadata | None) -> Published | None:
    if own is None:
        return None
    return Published(
        root=own.root,
        targets=own.targets,
        snapshot_version=own.snapshot_version,
        timestamp_version=own.timestamp_version,
    )
