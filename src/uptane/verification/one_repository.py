"""Root, Timestamp, Snapshot and top-level Targets of one repository, in the Standard's order."""

from dataclasses import dataclass

from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import UnreachableError
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.timestamp import Timestamp
from uptane.verification.check_root import load_root, update_root
from uptane.verification.check_snapshot import check_snapshot, load_held_snapshot
from uptane.verification.check_targets import check_targets, listed_file, load_held_targets
from uptane.verification.check_timestamp import check_timestamp, load_held_timestamp
from uptane.verification.steps import Fetch, Procedure
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
    root, dropped = yield from update_root(context, load_root(context, held.root))
    files = {role: raw for role, raw in held.files.items() if role not in dropped}

    raw = yield from _required(context, Role.TIMESTAMP, None, context.limits.timestamp_bytes)
    held_timestamp = load_held_timestamp(context, files.get(Role.TIMESTAMP))
    timestamp = check_timestamp(context, root, raw, held_timestamp)

    held_snapshot = load_held_snapshot(context, files.get(Role.SNAPSHOT))
    raw = yield from _listed(context, Role.SNAPSHOT, timestamp.value.snapshot, context.limits.snapshot_bytes, files)
    snapshot = check_snapshot(context, root, timestamp, raw, held_snapshot)

    held_targets = load_held_targets(context, files.get(Role.TARGETS))
    listed = listed_file(context, TARGETS_ROLE, snapshot)
    same = held_targets is not None and held_targets.value.version == listed.version
    raw = yield from _listed(context, Role.TARGETS, listed, context.limits.targets_bytes, files if same else {})
    targets = check_targets(
        context,
        name=TARGETS_ROLE,
        keys=root.value.keys,
        role_keys=root.value.roles[Role.TARGETS],
        snapshot=snapshot,
        raw=raw,
        held=held_targets,
    )
    return VerifiedRepository(root=root, timestamp=timestamp, snapshot=snapshot, targets=targets)


def _listed(context: Context, role: Role, listed: MetadataFile, limit: int, held: dict[str, bytes]) -> Procedure[bytes]:
    """The file that the parent role lists: the held one where it is that file, else a fetched one."""
    raw = held.get(role)
    if raw is not None and (listed.digests.matches(raw) if listed.digests else role is Role.TARGETS):
        return raw
    return (yield from _required(context, role, listed.version, min(listed.length or limit, limit)))


def _required(context: Context, role: Role, version: int | None, limit: int) -> Procedure[bytes]:
    name = context.profile.metadata_name(role, version)
    raw = yield Fetch(context.repository, name, limit)
    if raw is None:
        raise UnreachableError(
            f"{name} of {context.repository} is missing",
            next_step="Has the repository been published, in this format?",
            repository=context.repository,
            role=role,
        )
    return raw
