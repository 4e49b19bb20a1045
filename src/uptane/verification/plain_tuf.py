"""The workflow of a plain TUF client: the checks of Uptane, with every role kept as soon as it has passed.

A file that is held counts as long as the present keys of its role would sign for it, so that new keys recover from
versions that a thief of the old ones raised; a damaged one is as good as none. One that passes all checks of a new one
is not fetched again.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import FormatError, SecurityError
from uptane.metadata.identifiers import KeyId, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Common, Role, RoleKeys, Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.timestamp import Timestamp
from uptane.verification.check_root import load_root, update_root
from uptane.verification.check_snapshot import check_snapshot, load_held_snapshot
from uptane.verification.check_targets import check_targets, listed_file
from uptane.verification.check_timestamp import HeldT, check_timestamp, floor, load_held_timestamp
from uptane.verification.one_repository import VerifiedRepository, required
from uptane.verification.steps import Commit, Procedure
from uptane.verification.trusted import Context, Trusted


def refresh(context: Context, root: bytes, held: Mapping[str, bytes]) -> Procedure[tuple[Context, VerifiedRepository]]:
    """Root, Timestamp, Snapshot and top-level Targets, each kept as soon as it has passed.

    Args:
        context: under a profile with `unsafe_tuf_role_by_role`.
        root: the Root that is trusted.
        held: files of earlier runs by role.

    Returns:
        The context for what follows, with names of files as Root's `consistent_snapshot` says, and the four roles.

    Raises:
        SecurityError: a role did not pass; those before it are kept.
        UnreachableError: a file is missing.
    """
    newest, _ = yield from update_root(context, load_root(context, root))
    names = replace(context.profile, unsafe_plain_names=not newest.value.consistent_snapshot)
    context = replace(context, profile=names)
    timestamp = yield from _timestamp(context, newest, held.get(Role.TIMESTAMP))
    snapshot = yield from _snapshot(context, newest, timestamp, held.get(Role.SNAPSHOT))
    keys, role_keys = newest.value.keys, newest.value.roles[Role.TARGETS]
    targets = yield from load_targets(context, TARGETS_ROLE, keys, role_keys, snapshot, held.get(Role.TARGETS))
    return context, VerifiedRepository(root=newest, timestamp=timestamp, snapshot=snapshot, targets=targets)


def load_targets(
    context: Context,
    name: RoleName,
    keys: Mapping[KeyId, PublicKey],
    role_keys: RoleKeys,
    snapshot: Trusted[Snapshot],
    held: bytes | None,
) -> Procedure[Trusted[Targets]]:
    """Targets of one role: the held file where it passes every check, else a fetched one, which is kept.

    Args:
        name: `targets`, or the delegated role.
        keys, role_keys: from Root, or from the Targets file by which this role was reached this time.
        snapshot: lists the file.
        held: the file of this role from before, if any.

    Raises:
        DelegationError: the Snapshot does not list the role; nothing is fetched.
        SecurityError: see `check_targets`.
        UnreachableError: the file is missing.
    """

    def check(raw: bytes) -> Trusted[Targets]:
        return check_targets(context, name=name, keys=keys, role_keys=role_keys, snapshot=snapshot, raw=raw, held=None)

    listed = listed_file(context, name, snapshot)
    known = _if_it_passes(check, held)
    if known is not None:
        return known
    limit = min(listed.length or context.limits.targets_bytes, context.limits.targets_bytes)
    checked = check((yield from required(context, name, listed.version, limit)))
    yield _kept(context, name, checked)
    return checked


def _timestamp(context: Context, root: Trusted[Root], raw: bytes | None) -> Procedure[Trusted[Timestamp]]:
    held = _still_signed(context, root, Role.TIMESTAMP, load_held_timestamp, raw)
    new = yield from required(context, Role.TIMESTAMP, None, context.limits.timestamp_bytes)
    checked = check_timestamp(context, root, new, held)
    if checked is not held:
        yield _kept(context, Role.TIMESTAMP, checked)
    return checked


def _snapshot(
    context: Context, root: Trusted[Root], timestamp: Trusted[Timestamp], raw: bytes | None
) -> Procedure[Trusted[Snapshot]]:
    known = _if_it_passes(lambda held: check_snapshot(context, root, timestamp, held, None), raw)
    if known is not None:
        return known
    held = _still_signed(context, root, Role.SNAPSHOT, load_held_snapshot, raw)
    listed = timestamp.value.snapshot
    limit = min(listed.length or context.limits.snapshot_bytes, context.limits.snapshot_bytes)
    new = yield from required(context, Role.SNAPSHOT, listed.version, limit)
    checked = check_snapshot(context, root, timestamp, new, held)
    yield _kept(context, Role.SNAPSHOT, checked)
    return checked


def _if_it_passes(check: Callable[[bytes], Trusted[HeldT]], held: bytes | None) -> Trusted[HeldT] | None:
    """What is held, checked like a new file; None where it would be refused, for then a new one is fetched."""
    if held is None:
        return None
    try:
        return check(held)
    except SecurityError:
        return None


def _still_signed(
    context: Context,
    root: Trusted[Root],
    role: Role,
    load: Callable[[Context, bytes | None], Trusted[HeldT] | None],
    raw: bytes | None,
) -> Trusted[HeldT] | None:
    """What is held, as a floor for versions; it may have expired."""
    try:
        return floor(context, load(context, raw), root.value.keys, root.value.roles[role], role)
    except FormatError:
        return None


def _kept(context: Context, role: str, checked: Trusted[Common]) -> Commit:
    return Commit({context.repository: {role: checked.raw}})
