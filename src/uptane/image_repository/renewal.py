"""When the roles of an Image repository are signed again: before they expire, and at once after a long stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from uptane.image_repository.authority import delegations_by_role
from uptane.image_repository.newest import Newest
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import ProvisioningError, StorageError
from uptane.metadata.root import Role, RoleKeys, Root
from uptane.metadata.targets import Targets
from uptane.signing.publish import Draft, Keyring, Lifetimes, Published, Publisher, at_hand, due_at
from uptane.verification.own_metadata import OwnMetadata
from uptane.verification.threshold import signed_by_all


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
    """Which roles are due. Keys sign again only what they have signed; all else is for others, as without these keys.

    Whoever can write to the store can put a history of his own there, whose first Root names the genuine keys too: it
    verifies, and with a new signature by the genuine keys, clients would believe it.

    Raises:
        ProvisioningError: nothing is published yet.
    """
    if own.expires is None:
        raise ProvisioningError("the Image repository is empty", next_step="Create it with a Root first.")
    # Snapshot is signed with every Timestamp, so whichever lives shorter counts for both.
    here: dict[str, tuple[datetime, timedelta]] = {
        Role.TIMESTAMP: (own.expires, min(lifetimes.timestamp, lifetimes.snapshot))
    }
    elsewhere: dict[str, tuple[datetime, timedelta]] = {}
    for name, (envelope, keys) in _resigned(own).items():
        role = envelope.payload.expires, lifetimes.root if name == Role.ROOT else lifetimes.targets
        signers = at_hand(keys, keyring)
        signs_here = signers and (due_at(*role) >= now or signed_by_all(envelope, signers))
        (here if signs_here else elsewhere)[name] = role
    return Outlook(
        expires=own.expires,
        due=frozenset(name for name, role in here.items() if due_at(*role) < now),
        next_due=min(due_at(*role) for role in here.values()),
        elsewhere={name: role[0] for name, role in elsewhere.items() if due_at(*role) < now},
    )


def _resigned(own: OwnMetadata) -> dict[str, tuple[Envelope[Root] | Envelope[Targets], RoleKeys]]:
    """Root and the Targets roles that somebody asks for, with their keys; not what stands below a revoked role."""
    published = Published.of(own)
    contents = {name: envelope.payload for name, envelope in own.targets.items()}
    reached = delegations_by_role(contents, with_images=True)
    found: dict[str, tuple[Envelope[Root] | Envelope[Targets], RoleKeys]] = {
        Role.ROOT: (own.root, own.root.payload.roles[Role.ROOT])
    }
    for name, envelope in own.targets.items():
        keys = published.keys_for(name)
        if keys is not None and name in reached:
            found[name] = envelope, keys
    return found


async def look(publisher: Publisher, newest: Newest, now: datetime) -> Outlook:
    """The outlook of what is published; raises what `Newest.read` and `outlook_of` do."""
    return outlook_of(await _own(publisher, newest), publisher.lifetimes, publisher.keyring, now)


async def renew(publisher: Publisher, newest: Newest, now: datetime, also: frozenset[str] = frozenset()) -> Renewal:
    """Signs again what is due, and `also` these roles; Snapshot and Timestamp rise too. The caller keeps others away.

    The next Root names the keys of the one before it. A new Timestamp always has a new Snapshot, though an old one may
    be good: the Snapshot's file keeps its version number taken, and so tells where somebody puts an older Timestamp
    back (docs/decisions/0022).

    Raises:
        ProvisioningError: nothing is published yet, or a key is not at hand.
        StorageError: what is published was altered, keys at hand have not signed one of these roles before, or a file
            could not be written. Readers see what was published before.
    """
    own = await _own(publisher, newest)
    for name, (envelope, keys) in _resigned(own).items():
        signers = at_hand(keys, publisher.keyring)
        if name in also and signers and not signed_by_all(envelope, signers):
            raise StorageError(
                f"{name} of the Image repository is not signed again, as its keys have not signed the present one",
                next_step="Undo the attack, or restore the published files from a backup.",
                role=name,
            )
    due = outlook_of(own, publisher.lifetimes, publisher.keyring, now).due | also
    if due:
        again = {name: envelope.payload for name, envelope in own.targets.items() if name in due}
        root = own.root.payload if Role.ROOT in due else None
        await publisher.publish(Published.of(own), Draft(root=root, targets=again), now)
    return Renewal(outlook=await look(publisher, newest, now), renewed=due)


async def _own(publisher: Publisher, newest: Newest) -> OwnMetadata:
    own = await newest.read(publisher.store, publisher.profile)
    if own is None:
        raise ProvisioningError("the Image repository is empty", next_step="Create it with a Root first.")
    return own
