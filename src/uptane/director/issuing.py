"""Writes a vehicle's Targets, Snapshot and Timestamp, Timestamp last."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from msgspec import Struct

from uptane.director.alerts import tell
from uptane.director.check_images import check_images
from uptane.director.deciding import Decision, PlanRules, VehicleView, decide
from uptane.director.ports import Alert, InventoryDatabase
from uptane.formats.timeserver_keys import keeping_timeserver_keys
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import ProvisioningError, StorageError, UnknownVehicleError, UptaneError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Role, Root
from uptane.metadata.targets import DirectedImages, Targets
from uptane.signing.publish import Draft, Lifetimes, Published, Publisher, at_hand, due_at, is_due
from uptane.verification.own_metadata import OwnMetadata, verify_own_metadata
from uptane.verification.threshold import signed_by_all


class Occasion(Enum):
    """Why metadata is issued."""

    PUBLICATION = "somebody wants it: Snapshot and Timestamp rise in any case, and a plan that is refused is an error"
    RESTORED = "an older backup was restored: versions that the vehicle may have seen are left out, and no plan is made"
    NEW_ROOT = "Root names other keys: they reach the vehicle even where the plan is refused"
    OLD_ROOT = "somebody wants the next Root, with the keys of the present one; no plan is made"
    MANIFEST = "a manifest came: metadata rises where it says something new or expires soon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What became of it.

    Args:
        published: what is published now.
        is_new: whether it is new.
        withheld: why the assigned images are not directed; the vehicle is directed what it was before.
    """

    published: Published
    is_new: bool = True
    withheld: UptaneError | None = None


async def issue(
    inventory: InventoryDatabase,
    publisher: Publisher,
    vehicle: VehicleIdentifier,
    now: datetime,
    *,
    rules: PlanRules,
    first_root: Root | None,
    root: Root | None = None,
    occasion: Occasion = Occasion.PUBLICATION,
    skipped: int = 0,
) -> Issued:
    """Publishes what the vehicle's ECUs are assigned (STD-5.3.2.1-16).

    Targets gets a new version when what it says has changed, with a new Root, and when less than a third of its life is
    left, and so does Root, with the same keys, where these are at hand. Snapshot and Timestamp rise with every
    publication.

    Args:
        inventory: knows the vehicle and what its ECUs are assigned.
        publisher: signs for the vehicle.
        vehicle: the vehicle.
        now: UTC; expiry times are counted from it.
        rules: what the plan has to keep to.
        first_root: the Root of a vehicle that has none yet, where it can be signed.
        root: a new Root; it names the Timeserver's keys of the one before it where it names none.
        occasion: why.
        skipped: how many versions are left out, as `Draft` says.

    Raises:
        UnknownVehicleError: no such vehicle.
        UnsatisfiableError, UndecidedError: see `decide`; nothing is published.
        SecurityError, UnreachableError: see `check_images`; nothing is published.
        ProvisioningError: a private key is not at hand.
        StorageError: what is published was altered, or a file could not be written; the vehicle sees what was
            published before.
    """
    own = await verify_own_metadata(publisher.store, publisher.profile, vehicle)
    async with inventory.transaction() as transaction:
        if await transaction.vehicle(vehicle) is None:
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        view = await VehicleView.read(transaction, vehicle)
    plan = await plan_issue(
        own, view, publisher, now, rules=rules, first_root=first_root, root=root, occasion=occasion, skipped=skipped
    )
    if plan.withheld is not None:
        async with inventory.transaction() as transaction:
            await tell(transaction, vehicle, [withholding(vehicle, plan.withheld, now)])
    elif plan.decision.directed:
        async with inventory.transaction() as transaction:
            await plan.decision.record(transaction, vehicle)
    if plan.before is not None and not plan.needed:
        return Issued(published=plan.before, is_new=False, withheld=plan.withheld)
    return Issued(published=await publisher.publish(plan.before, plan.draft, now), withheld=plan.withheld)


class Plan(Struct, frozen=True, kw_only=True):  # an error leads to those who hold it
    """What is to be issued.

    Args:
        before: what is published.
        decision: what the vehicle is to be directed.
        draft: what would be published.
        needed: whether it has to be; what is published already does otherwise.
        withheld: why the assigned images are not directed.
    """

    before: Published | None
    decision: Decision
    draft: Draft
    needed: bool
    withheld: UptaneError | None = None


async def plan_issue(
    own: OwnMetadata | None,
    view: VehicleView,
    publisher: Publisher,
    now: datetime,
    *,
    rules: PlanRules,
    first_root: Root | None,
    root: Root | None = None,
    occasion: Occasion = Occasion.PUBLICATION,
    skipped: int = 0,
) -> Plan:
    """What `issue` would do, from what is on record and published; see there.

    Args:
        own: what is published, verified.
        view: what is on record.
        publisher: signs for the vehicle.
        now, rules, first_root, root, occasion, skipped: as in `issue`.
    """
    before = None if own is None else Published.of(own)
    if before is None:
        root = first_root if root is None else root
    elif root is not None:
        # What a vehicle's ECUs were told stays true although this Director may have been restarted without knowing it.
        root = keeping_timeserver_keys(root, before.root.payload)
    elif occasion is Occasion.OLD_ROOT:
        _require_signed_here(before.root, publisher)
        root = before.root.payload
    elif due_at(before.root.payload.expires, publisher.lifetimes.root) < now and _signs_again(before.root, publisher):
        root = before.root.payload
    withheld: UptaneError | None = None
    standing = None if before is None else before.targets.get(TARGETS_ROLE)
    if occasion in (Occasion.NEW_ROOT, Occasion.OLD_ROOT, Occasion.RESTORED) and standing is not None:
        # New keys wait for nobody: no plan is made, and the Image repository is not asked.
        decision = Decision(targets=standing.payload)
    else:
        try:
            told = None if standing is None else standing.payload
            decision = await decide(view, rules, publisher.profile, now, told)
            if not _same(before, decision.targets):
                await check_images(rules.catalog, decision.targets, view.ecus, now)
        except UptaneError as error:
            if occasion is Occasion.PUBLICATION or standing is None:
                raise
            withheld = error
            decision = Decision(targets=standing.payload)
    changed = (
        root is not None
        or skipped > 0
        or not _same(before, decision.targets)
        or _ages(before, publisher.lifetimes, now)
    )
    needed = changed or occasion is not Occasion.MANIFEST or not _lasts(own, publisher.lifetimes, now)
    draft = Draft(root=root, targets={TARGETS_ROLE: decision.targets} if changed else {}, skipped=skipped)
    return Plan(before=before, decision=decision, withheld=withheld, draft=draft, needed=needed or before is None)


def withholding(vehicle: VehicleIdentifier, why: UptaneError, now: datetime) -> Alert:
    """The alert that assigned images are not directed."""
    text = f"vehicle {vehicle} is directed what it was before: {why.what}"
    return Alert(vehicle=vehicle, time=now, code=why.code, text=text)


def lasts_until(own: OwnMetadata, publisher: Publisher) -> datetime | None:
    """Until when a request for metadata finds nothing to renew; None before the first publication."""
    targets, lifetimes = own.targets.get(TARGETS_ROLE), publisher.lifetimes
    if own.expires is None or targets is None:
        return None
    due = min(due_at(own.expires, lifetimes.timestamp), due_at(targets.payload.expires, lifetimes.targets))
    root_due = due_at(own.root.payload.expires, lifetimes.root)
    return root_due if root_due < due and _signs_again(own.root, publisher) else due


def root_at_hand(root: Root | None) -> Root:
    """The first Root of vehicles; ProvisioningError where its key is kept elsewhere."""
    if root is None:
        raise ProvisioningError(
            "the Root key of the Director is kept elsewhere: no vehicle can be added, and no key be changed",
            next_step="Put it back among the keys for that one command, and take it away again.",
        )
    return root


def _signs_again(root: Envelope[Root], publisher: Publisher) -> bool:
    """Whether the next Root can be signed here: by keys that have signed this one.

    Whoever can write to the store can put a history of his own there, whose first Root names the genuine keys too.
    """
    signers = at_hand(root.payload.roles[Role.ROOT], publisher.keyring)
    return bool(signers) and signed_by_all(root, signers)


def _require_signed_here(root: Envelope[Root], publisher: Publisher) -> None:
    publisher.require_keys(root.payload, Role.ROOT)
    if not _signs_again(root, publisher):
        raise StorageError(
            f"the Root of vehicle {publisher.vehicle} is not signed again, as its keys have not signed the present one",
            next_step="Undo the attack, or restore it from a backup.",
            vehicle=publisher.vehicle,
        )


def _ages(before: Published | None, lifetimes: Lifetimes, now: datetime) -> bool:
    """Whether Targets is due."""
    published = None if before is None else before.targets.get(TARGETS_ROLE)
    return published is not None and is_due(published.payload.expires, lifetimes.targets, now)


def _lasts(own: OwnMetadata | None, lifetimes: Lifetimes, now: datetime) -> bool:
    """Whether neither Snapshot nor Timestamp is due."""
    return own is not None and own.expires is not None and not is_due(own.expires, lifetimes.timestamp, now)


def _same(before: Published | None, planned: Targets) -> bool:
    """Whether that is published already; not so where an earlier publication was cut off after its Root."""
    published = None if before is None else before.targets.get(TARGETS_ROLE)
    if published is None:
        return False
    ours, theirs = published.payload.images, planned.images
    if isinstance(ours, DirectedImages) and isinstance(theirs, DirectedImages):
        return ours.parts == theirs.parts
    return dict(ours) == dict(theirs)
