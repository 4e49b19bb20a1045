"""How to check Root metadata (5.4.4.3): every version in turn, signed by the old and the new keys."""

from collections.abc import Mapping

from uptane.formats.profile import KINDS
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import BadSignatureError, ReplayedMetadataError
from uptane.metadata.root import Role, RoleKeys, Root
from uptane.verification.steps import Fetch, Keep, Procedure
from uptane.verification.threshold import check_threshold
from uptane.verification.trusted import Context, Trusted

NO_FILES: Mapping[str, bytes] = {}


def load_root(context: Context, raw: bytes) -> Trusted[Root]:
    """The Root that was provisioned or kept before; its expiry does not matter yet (STD-5.4.4.3-1).

    Raises:
        FormatError: damaged. It is never replaced by one from the network.
        BadSignatureError: it does not carry a threshold of its own keys.
        WrongVehicleError: a Director's Root for another vehicle.
    """
    envelope = context.profile.format.decode(Root, raw)
    _check_signed_by(context, envelope, envelope.payload)
    context.check_vehicle(envelope.payload, Role.ROOT)
    return Trusted(envelope.payload, envelope)


def check_root(context: Context, trusted: Trusted[Root], raw: bytes) -> Trusted[Root]:
    """The next Root after `trusted` (STD-5.4.4.3-3 to -5, AMB-2).

    Raises:
        BadSignatureError: not signed by a threshold of the old and a threshold of the new keys.
        ReplayedMetadataError: its version is not the next one.
        WrongVehicleError: a Director's Root for another vehicle.
    """
    envelope = context.profile.format.decode(Root, raw)
    new = envelope.payload
    _check_signed_by(context, envelope, trusted.value)
    _check_signed_by(context, envelope, new)
    expected = trusted.value.version + 1
    if new.version != expected:
        raise ReplayedMetadataError(
            f"Root of {context.repository} under the name of version {expected} has version {new.version}",
            repository=context.repository,
            role=Role.ROOT,
            expected=expected,
            offered=new.version,
        )
    context.check_vehicle(new, Role.ROOT)
    return Trusted(new, envelope)


def update_root(
    context: Context, trusted: Trusted[Root], files: Mapping[str, bytes] = NO_FILES
) -> Procedure[tuple[Trusted[Root], frozenset[str]]]:
    """Follows the chain of Roots to the newest, keeping each one, and checks that it has not expired.

    Args:
        context: the repository, time and limits.
        trusted: the Root to go on from.
        files: what is held of the other roles.

    Returns:
        The newest Root, and the roles whose held files are forgotten because their keys changed on the way.

    Raises:
        ExpiredMetadataError: the newest Root has expired (STD-5.4.4.3-8).
    """
    dropped: frozenset[str] = frozenset()
    for _ in range(context.limits.root_updates):
        version = trusted.value.version + 1
        name = context.profile.requested_metadata(Role.ROOT, version)
        raw = yield Fetch(context.repository, name, context.limits.root_bytes)
        if raw is None:
            break
        newer = check_root(context, trusted, raw)
        drop = (
            ()
            if context.profile.unsafe_tuf_role_by_role
            else dropped_by(trusted.value, newer.value, orphaned(context, newer.value, files))
        )
        yield Keep(context.repository, version, raw, drop)
        dropped |= set(drop)
        trusted = newer
    context.check_expiry(trusted.value, Role.ROOT)
    return trusted, dropped


def orphaned(context: Context, root: Root, files: Mapping[str, bytes]) -> frozenset[Role]:
    """The roles whose held file nobody signed whose key is still good: one after the other, they were all replaced."""
    found = set()
    for role in (Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS):
        if role not in files:
            continue
        envelope = context.profile.format.decode(KINDS[role], files[role])  # type: ignore[type-var]
        anyone = RoleKeys(key_ids=root.roles[role].key_ids, threshold=1)
        try:
            check_threshold(envelope, root.keys, anyone, repository=context.repository, role=role)
        except BadSignatureError:
            found.add(role)
    return frozenset(found)


def dropped_by(old: Root, new: Root, orphans: frozenset[Role] = frozenset()) -> tuple[str, ...]:
    """The roles whose held files a change of keys makes worthless (STD-5.4.4.3-9, AMB-7).

    A thief of the keys that were taken away may have raised version numbers out of reach; forgetting the files
    recovers from that. Where those keys could not have signed on their own, as when a key is only added, the
    files stay: forgetting them would open the way for a rollback. `orphans` go as well: the keys that signed them were
    taken away over several Roots.
    """
    changed = orphans | {
        role for role in Role if len(old.keys_of(role) - new.keys_of(role)) >= old.roles[role].threshold
    }
    drop: set[str] = set()
    if changed & {Role.TIMESTAMP, Role.SNAPSHOT}:
        drop |= {Role.TIMESTAMP, Role.SNAPSHOT}
    if Role.TARGETS in changed:
        drop |= {Role.SNAPSHOT, Role.TARGETS}
    return tuple(sorted(drop))


def _check_signed_by(context: Context, envelope: Envelope[Root], root: Root) -> None:
    check_threshold(envelope, root.keys, root.roles[Role.ROOT], repository=context.repository, role=Role.ROOT)
