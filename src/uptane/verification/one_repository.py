"""Root, Timestamp, Snapshot and top-level Targets of one repository, in the Standard's order."""

from collections.abc import Mapping
from dataclasses import dataclass

from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import BadSignatureError, EndlessDataError, ExpiredMetadataError, UnreachableError
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.timestamp import Timestamp
from uptane.verification.check_root import dropped_by, load_root, update_root
from uptane.verification.check_snapshot import check_snapshot, load_held_snapshot
from uptane.verification.check_targets import check_targets, listed_file, load_held_targets
from uptane.verification.check_timestamp import check_timestamp, load_held_timestamp
from uptane.verification.plain_root import fetch_listed_root, is_listed_root, look_for_root
from uptane.verification.steps import Fetch, Keep, Procedure
from uptane.verification.trusted import Context, Held, Trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRepository:
    """The four top-level roles of a repository, checked under one time."""

    root: Trusted[Root]
    timestamp: Trusted[Timestamp]
    snapshot: Trusted[Snapshot]
    targets: Trusted[Targets]

    def files(self) -> dict[str, bytes]:
        """Timestamp, Snapshot and Targets by role, byte for byte: what is committed together."""
        return {
            Role.TIMESTAMP: self.timestamp.raw,
            Role.SNAPSHOT: self.snapshot.raw,
            Role.TARGETS: self.targets.raw,
        }


def verify_repository(context: Context, held: Held) -> Procedure[VerifiedRepository]:
    """Steps 2 to 5, or 6b to 9, of full verification (STD-5.4.4.2-6 to -9, -12 to -15).

    A Snapshot or Targets file that is listed unchanged is not fetched again, but it is checked again under the
    current keys and time, so an unfinished earlier cycle cannot hide behind it (AMB-3, AMB-4). Nothing but Roots
    is kept here: the caller commits the rest when all its own checks have passed.
    """
    if context.profile.unsafe_root_through_snapshot:
        return (yield from _with_root_through_snapshot(context, held))
    root, dropped = yield from update_root(context, load_root(context, held.root), held.files)
    files = {role: raw for role, raw in held.files.items() if role not in dropped}
    timestamp = yield from _timestamp(context, root, files)
    snapshot = yield from _snapshot(context, root, timestamp, files)
    targets = yield from _targets(context, root, snapshot, files)
    return VerifiedRepository(root=root, timestamp=timestamp, snapshot=snapshot, targets=targets)


def _with_root_through_snapshot(context: Context, held: Held) -> Procedure[VerifiedRepository]:
    """The same where a new Root has no name of its own (POUF-1).

    It is looked for when Root has expired, when a signature does not verify, and when the Snapshot lists another one.
    Each Root that is accepted is the next version, so this ends.
    """
    root, files = load_root(context, held.root), dict(held.files)
    for _ in range(context.limits.root_updates):
        try:
            context.check_expiry(root.value, Role.ROOT)
            timestamp = yield from _timestamp(context, root, files)
            snapshot = yield from _snapshot(context, root, timestamp, files)
            if is_listed_root(context, root, snapshot):
                targets = yield from _targets(context, root, snapshot, files)
                return VerifiedRepository(root=root, timestamp=timestamp, snapshot=snapshot, targets=targets)
            newer = yield from fetch_listed_root(context, root, snapshot)
        except (BadSignatureError, ExpiredMetadataError) as refusal:
            found = yield from look_for_root(context, root)
            if found is None:
                raise refusal
            newer = found
        drop = dropped_by(root.value, newer.value)
        yield Keep(context.repository, newer.value.version, newer.raw, drop)
        files = {role: raw for role, raw in files.items() if role not in drop}
        root = newer
    raise EndlessDataError(
        f"{context.repository} gave more than {context.limits.root_updates} new Roots in one cycle",
        repository=context.repository,
        role=Role.ROOT,
    )


def _timestamp(context: Context, root: Trusted[Root], files: Mapping[str, bytes]) -> Procedure[Trusted[Timestamp]]:
    raw = yield from required(context, Role.TIMESTAMP, None, context.limits.timestamp_bytes)
    held_timestamp = load_held_timestamp(context, files.get(Role.TIMESTAMP))
    return check_timestamp(context, root, raw, held_timestamp)


def _snapshot(
    context: Context, root: Trusted[Root], timestamp: Trusted[Timestamp], files: Mapping[str, bytes]
) -> Procedure[Trusted[Snapshot]]:
    held_snapshot = load_held_snapshot(context, files.get(Role.SNAPSHOT))
    raw = yield from _listed(context, Role.SNAPSHOT, timestamp.value.snapshot, context.limits.snapshot_bytes, files)
    return check_snapshot(context, root, timestamp, raw, held_snapshot)


def _targets(
    context: Context, root: Trusted[Root], snapshot: Trusted[Snapshot], files: Mapping[str, bytes]
) -> Procedure[Trusted[Targets]]:
    held_targets = load_held_targets(context, files.get(Role.TARGETS))
    listed = listed_file(context, TARGETS_ROLE, snapshot)
    same = held_targets is not None and held_targets.value.version == listed.version
    raw = yield from _listed(context, Role.TARGETS, listed, context.limits.targets_bytes, files if same else {})
    return check_targets(
        context,
        name=TARGETS_ROLE,
        keys=root.value.keys,
        role_keys=root.value.roles[Role.TARGETS],
        snapshot=snapshot,
        raw=raw,
        held=held_targets,
    )


def _listed(
    context: Context, role: Role, listed: MetadataFile, limit: int, held: Mapping[str, bytes]
) -> Procedure[bytes]:
    """The file that the parent role lists: the held one where it is that file, else a fetched one."""
    raw = held.get(role)
    if raw is not None and (listed.digests.matches(raw) if listed.digests else role is Role.TARGETS):
        return raw
    return (yield from required(context, role, listed.version, min(listed.length or limit, limit)))


def required(context: Context, role: str, version: int | None, limit: int) -> Procedure[bytes]:
    """A file that must be there; UnreachableError where it is missing."""
    name = context.profile.requested_metadata(role, version)
    raw = yield Fetch(context.repository, name, limit)
    if raw is None:
        raise UnreachableError(
            f"{name} of {context.repository} is missing",
            next_step="Has the repository been published, in this format?",
            repository=context.repository,
            role=role,
        )
    return raw
