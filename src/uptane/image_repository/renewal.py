"""When the roles of an Image repository are signed again: before they expire, and at once after a long stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from uptane.image_repository.authority import delegations_by_role
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.root import Role
from uptane.signing.publish import Draft, Keyring, Lifetimes, Published, Publisher, due_at
from uptane.verification.own_metadata import OwnMetadata, verify_own_metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How long what is published lasts, seen from one moment.

    Args:
        expires: when clients stop to believe the repository: Timestamp or Snapshot expires.
        due: the roles that are to be signed again now; `timestamp` stands for Snapshot too.
        next_due: when the next role falls due, unless somebody publishes before; not later than that moment where
            one is due already.
        elsewhere: roles that are due too, but whose keys are not at hand, with their expiry.
    """

    expires: datetime
    due: frozenset[str]
    next_due: datetime
    elsewhere: Mapping[str, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What became of a renewal.

    Args:
        outlook: how long what is published lasts now.
        renewed: the roles that were signed again because they were due.
    """

    outlook: Outlook
    renewed: frozenset[str] = frozenset()


def outlook_of(own: OwnMetadata, lifetimes: Lifetimes, keyring: Keyring, now: datetime) -> Outlook:
    """Which roles are due; Root always is for people, who keep its keys elsewhere.

    Raises:
        ProvisioningError: nothing is published yet.
    """
    if own.expires is None:
        raise ProvisioningError("the Image repository is empty", next_step="Create it with a Root first.")
    # Snapshot is signed with every Timestamp, so whichever lives shorter counts for both.
    here: dict[str, tuple[datetime, timedelta]] = {
        Role.TIMESTAMP: (own.expires, min(lifetimes.timestamp, lifetimes.snapshot))
    }
    elsewhere: dict[str, tuple[datetime, timedelta]] = {Role.ROOT: (own.root.payload.expires, lifetimes.root)}
    published = Published.of(own)
    reached = delegations_by_role({name: envelope.payload for name, envelope in own.targets.items()})
    for name, envelope in own.targets.items():
        keys = published.keys_for(name)
        if keys is not None and name in reached:  # nobody asks for what stands below a revoked role
            at_hand = sum(key_id in keyring for key_id in keys.key_ids) >= keys.threshold
            (here if at_hand else elsewhere)[name] = envelope.payload.expires, lifetimes.targets
    return Outlook(
        expires=own.expires,
        due=frozenset(name for name, role in here.items() if due_at(*role) < now),
        next_due=min(due_at(*role) for role in here.values()),
        elsewhere={name: role[0] for name, role in elsewhere.items() if due_at(*role) < now},
    )


async def look(publisher: Publisher, now: datetime) -> Outlook:
    """The outlook of what is published; raises what `verify_own_metadata` and `outlook_of` do."""
    return outlook_of(await _own(publisher), publisher.lifetimes, publisher.keyring, now)


async def renew(publisher: Publisher, now: datetime) -> Renewal:
    """Signs again what is due and nothing else; Snapshot and Timestamp rise with it. The caller keeps others away.

    A new Timestamp always has a new Snapshot, though an old one may be good: the Snapshot's file keeps its version
    number taken, and so tells where somebody puts an older Timestamp back (docs/decisions/0022).

    Raises:
        ProvisioningError: nothing is published yet, or a key is not at hand.
        StorageError: what is published was altered, or a file could not be written; readers see what was published
            before.
    """
    own = await _own(publisher)
    due = outlook_of(own, publisher.lifetimes, publisher.keyring, now).due
    if due:
        again = {name: envelope.payload for name, envelope in own.targets.items() if name in due}
        await publisher.publish(Published.of(own), Draft(targets=again), now)
    return Renewal(outlook=await look(publisher, now), renewed=due)


async def _own(publisher: Publisher) -> OwnMetadata:
    own = await verify_own_metadata(publisher.store, publisher.profile)
    if own is None:
        raise ProvisioningError("the Image repository is empty", next_step="Create it with a Root first.")
    return own
