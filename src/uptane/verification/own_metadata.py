"""What a repository published itself is verified before it is built on: an intruder may have written to the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from uptane.formats.profile import Profile
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import OvertakenError, SecurityError, StorageError, UnreachableError
from uptane.metadata.identifiers import RepositoryName, RoleName, VehicleIdentifier
from uptane.metadata.root import Role, Root
from uptane.metadata.targets import Targets
from uptane.verification.check_root import load_root, update_root
from uptane.verification.check_snapshot import check_listed_file
from uptane.verification.check_targets import check_targets, listed_file
from uptane.verification.one_repository import VerifiedRepository, verify_repository
from uptane.verification.steps import Commit, Fetch, Keep, Procedure, run_async
from uptane.verification.trusted import Context, Held, Trusted

_BEFORE_EVERY_EXPIRY = datetime(1970, 1, 1, tzinfo=UTC)
"""A repository may build on metadata of its own that has expired: renewing it is what it does."""

_OURSELVES = RepositoryName("published")


class Reader(Protocol):
    """A store of published metadata."""

    async def read(self, name: str) -> bytes | None:
        """A file, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMetadata:
    """Verified metadata of one's own.

    Args:
        root: the newest Root.
        targets: every Targets role, `targets` among them; empty before the first.
        snapshot_version, timestamp_version: 0 before the first.
        expires: when Snapshot or Timestamp expires, whichever is first; None before the first.
        snapshot, timestamp: the files of these roles; empty before the first.
    """

    root: Envelope[Root]
    targets: Mapping[RoleName, Envelope[Targets]]
    snapshot_version: int = 0
    timestamp_version: int = 0
    expires: datetime | None = None
    snapshot: bytes = b""
    timestamp: bytes = b""


async def verify_own_metadata(
    store: Reader, profile: Profile, vehicle: VehicleIdentifier | None = None
) -> OwnMetadata | None:
    """Reads back what was published, from the first Root on, and verifies it as a client would, but for expiry.

    Args:
        store: the published metadata.
        profile: its format and names.
        vehicle: on a Director, the vehicle that every role must be for.

    Returns:
        The metadata, or None for an empty store.

    Raises:
        StorageError: it is not what was published: a signature, version or hash is wrong, a file is missing, or a
            newer Snapshot than the Timestamp's is there.
        OvertakenError: somebody published while it was read.
    """
    timestamp = profile.metadata_name(Role.TIMESTAMP)
    before = await store.read(timestamp)
    try:
        return await _verified(store, profile.stored(), vehicle)
    except StorageError:
        if await store.read(timestamp) == before:
            raise
        raise OvertakenError(
            "somebody else published while the published metadata was read", next_step="Try again."
        ) from None


async def _verified(store: Reader, profile: Profile, vehicle: VehicleIdentifier | None) -> OwnMetadata | None:
    first = await store.read(profile.metadata_name(Role.ROOT, 1))
    if first is None:
        return None
    context = Context(repository=_OURSELVES, profile=profile, now=_BEFORE_EVERY_EXPIRY, vehicle=vehicle)
    published = await store.read(profile.metadata_name(Role.TIMESTAMP)) is not None
    if not published and await store.read(profile.metadata_name(Role.SNAPSHOT, 1)) is not None:
        raise StorageError(
            "the published Timestamp is missing", next_step="Restore the published files from a backup.", code="E-NET"
        )
    procedure = _everything(context, first) if published else _root_only(context, first)
    try:
        own = await run_async(procedure, _FromStore(store), _Nowhere())
    except (SecurityError, UnreachableError) as error:
        raise StorageError(
            f"the published metadata was altered, and is not built on: {error.what}",
            next_step="Undo the attack, or restore the published files from a backup.",
            code=error.code,
        ) from error
    newer = profile.metadata_name(Role.SNAPSHOT, own.snapshot_version + 1)
    if await store.read(newer) is not None:
        raise StorageError(
            f"an older Timestamp was put back: it does not lead to {newer}, which was published after it",
            next_step="Undo the attack, or restore the published files from a backup.",
            code="E-ROLLBACK-META",
        )
    return own


def _root_only(context: Context, first: bytes) -> Procedure[OwnMetadata]:
    root, _ = yield from update_root(context, load_root(context, first))
    return OwnMetadata(root=root.envelope, targets={})


def _everything(context: Context, first: bytes) -> Procedure[OwnMetadata]:
    verified = yield from verify_repository(context, Held(root=first))
    targets = yield from _delegated(context, verified)
    return OwnMetadata(
        root=verified.root.envelope,
        targets=targets,
        snapshot_version=verified.snapshot.value.version,
        timestamp_version=verified.timestamp.value.version,
        expires=min(verified.snapshot.value.expires, verified.timestamp.value.expires),
        snapshot=verified.snapshot.raw,
        timestamp=verified.timestamp.raw,
    )


def _delegated(context: Context, verified: VerifiedRepository) -> Procedure[dict[RoleName, Envelope[Targets]]]:
    found: dict[RoleName, Envelope[Targets]] = {TARGETS_ROLE: verified.targets.envelope}
    waiting: list[Trusted[Targets]] = [verified.targets]
    while waiting:
        delegator = waiting.pop(0)
        for role in delegator.value.delegations.roles:
            if role.name in found or role.name not in verified.snapshot.value.files:
                continue
            checked = check_targets(
                context,
                name=role.name,
                keys=delegator.value.delegations.keys,
                role_keys=role.keys,
                snapshot=verified.snapshot,
                raw=(yield from _file(context, role.name, verified)),
                held=None,
            )
            found[role.name] = checked.envelope
            waiting.append(checked)
    for name in verified.snapshot.value.files:
        if name not in found:  # nobody delegates to it any more, but a Snapshot may never forget it (STD-5.4.4.5-6)
            raw = yield from _file(context, name, verified)
            check_listed_file(context, name, raw, listed_file(context, name, verified.snapshot))
            found[name] = context.profile.format.decode(Targets, raw)
    return found


def _file(context: Context, name: RoleName, verified: VerifiedRepository) -> Procedure[bytes]:
    file = context.profile.metadata_name(name, listed_file(context, name, verified.snapshot).version)
    raw = yield Fetch(context.repository, file, context.limits.targets_bytes)
    if raw is None:
        raise UnreachableError(f"{file} is missing")
    return raw


class _FromStore:
    """Files of the store, whatever their size: what we published is ours to bound."""

    def __init__(self, store: Reader) -> None:
        self._store = store

    async def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """A file of the store."""
        return await self._store.read(name)


class _Nowhere:
    """Nothing is kept: the store is where it is."""

    def keep(self, step: Keep) -> None:
        """Keeps nothing."""

    def commit(self, step: Commit) -> None:
        """Commits nothing."""
