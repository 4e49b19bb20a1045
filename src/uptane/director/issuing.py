"""Writes a vehicle's Targets, Snapshot and Timestamp, Timestamp last."""

import logging
from datetime import datetime

from uptane.director.check_images import check_images
from uptane.director.deciding import Decision, PlanRules, VehicleView, decide
from uptane.director.ports import InventoryDatabase
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import UnknownVehicleError, UptaneError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Root
from uptane.metadata.targets import Targets
from uptane.signing.publish import Draft, Published, Publisher
from uptane.verification.own_metadata import OwnMetadata, verify_own_metadata

log = logging.getLogger(__name__)


async def issue(
    inventory: InventoryDatabase,
    publisher: Publisher,
    vehicle: VehicleIdentifier,
    now: datetime,
    *,
    rules: PlanRules,
    first_root: Root,
    root: Root | None = None,
) -> Published:
    """Publishes what the vehicle's ECUs are assigned (STD-5.3.2.1-16).

    Targets gets a new version when what it says has changed, or with a new Root; Snapshot and Timestamp always. A new
    Root goes out even where the assigned images may not be directed; what was directed before stays then.

    Args:
        inventory: knows the vehicle and what its ECUs are assigned.
        publisher: signs for the vehicle.
        vehicle: the vehicle.
        now: UTC; expiry times are counted from it.
        rules: what the plan has to keep to.
        first_root: the Root of a vehicle that has none yet.
        root: a new Root.

    Raises:
        UnknownVehicleError: no such vehicle.
        UnsatisfiableError, UndecidedError: see `decide`; nothing is published.
        SecurityError, UnreachableError: see `check_images`; nothing is published.
        ProvisioningError: a private key is not at hand.
        StorageError: what is published was altered, or a file could not be written; the vehicle sees what was
            published before.
    """
    before = _published(await verify_own_metadata(publisher.store, publisher.profile, vehicle))
    async with inventory.transaction() as transaction:
        if await transaction.vehicle(vehicle) is None:
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        view = await VehicleView.read(transaction, vehicle)
    if before is None:
        root = first_root if root is None else root
    try:
        decision = await decide(view, rules, publisher.profile, now)
        if not _same(before, decision.targets):
            await check_images(rules.catalog, decision.targets, view.ecus, now)
    except UptaneError as error:
        if root is None or before is None or TARGETS_ROLE not in before.targets:
            raise
        log.warning("vehicle %s gets its new Root, and is directed what it was before: %s", vehicle, error)
        decision = Decision(targets=before.targets[TARGETS_ROLE].payload)
    async with inventory.transaction() as transaction:
        await decision.record(transaction, vehicle)
    changed = root is not None or not _same(before, decision.targets)
    draft = Draft(root=root, targets={TARGETS_ROLE: decision.targets} if changed else {})
    return await publisher.publish(before, draft, now)


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
