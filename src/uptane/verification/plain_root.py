"""A new Root where Root has no version in its name (POUF-1): found through the Snapshot, or looked for.

Whatever led to it, it must be the next version and carry a threshold of the old and of the new keys.
"""

from uptane.metadata.errors import (
    MixAndMatchError,
    ProvisioningError,
    ReplayedMetadataError,
    SecurityError,
    UnreachableError,
)
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.verification.check_root import check_root
from uptane.verification.check_snapshot import check_listed_file, check_listed_version
from uptane.verification.steps import Fetch, Procedure
from uptane.verification.threshold import check_threshold
from uptane.verification.trusted import Context, Trusted


def is_listed_root(context: Context, root: Trusted[Root], snapshot: Trusted[Snapshot]) -> bool:
    """Whether the Snapshot lists the trusted Root; False where it lists a newer one.

    Raises:
        ReplayedMetadataError: it lists an older one.
        MixAndMatchError: it lists none, or other content under the trusted version.
    """
    listed = _entry(context, snapshot)
    if listed.version > root.value.version:
        return False
    if listed.version < root.value.version:
        raise ReplayedMetadataError(
            f"Snapshot of {context.repository} lists Root {listed.version}, older than the trusted "
            f"{root.value.version}",
            repository=context.repository,
            role=Role.ROOT,
            expected=root.value.version,
            offered=listed.version,
        )
    check_listed_file(context, Role.ROOT, root.raw, listed)
    return True


def fetch_listed_root(context: Context, root: Trusted[Root], snapshot: Trusted[Snapshot]) -> Procedure[Trusted[Root]]:
    """The newer Root that the Snapshot lists.

    Raises:
        UnreachableError: it is missing.
        MixAndMatchError, EndlessDataError: not the listed file.
        BadSignatureError: see `check_root`.
        ProvisioningError: this client missed a version, and the repository does not offer it.
    """
    listed = _entry(context, snapshot)
    raw = yield Fetch(context.repository, context.profile.metadata_name(Role.ROOT), context.limits.root_bytes)
    if raw is None:
        raise UnreachableError(
            f"Root of {context.repository} is missing although the Snapshot lists it",
            repository=context.repository,
            role=Role.ROOT,
        )
    check_listed_file(context, Role.ROOT, raw, listed)
    offered = context.profile.format.decode(Root, raw).payload
    check_listed_version(context, Role.ROOT, offered.version, listed)
    return (yield from _next(context, root, raw))


def look_for_root(context: Context, root: Trusted[Root]) -> Procedure[Trusted[Root] | None]:
    """The next Root, where something was signed with keys that the trusted one does not name, or had expired.

    Nobody has signed for what stands under that name, so a Root that is no successor says nothing: the caller knows
    better what is wrong.

    Raises:
        ProvisioningError: this client missed a version, and the repository does not offer it.
    """
    raw = yield Fetch(context.repository, context.profile.metadata_name(Role.ROOT), context.limits.root_bytes)
    if raw is None or raw == root.raw:
        return None
    try:
        if context.profile.format.decode(Root, raw).payload.version <= root.value.version:
            return None
        return (yield from _next(context, root, raw))
    except SecurityError:
        return None


def _next(context: Context, root: Trusted[Root], raw: bytes) -> Procedure[Trusted[Root]]:
    """The Root after the trusted one: that which was found, or where it is a later one, that of the next version.

    Raises:
        BadSignatureError: see `check_root`.
        ProvisioningError: a later one is genuine, and the repository does not have the next version under a name of
            its own, as archived ones do not: this client missed it.
    """
    envelope, following = context.profile.format.decode(Root, raw), root.value.version + 1
    if envelope.payload.version <= following:
        return check_root(context, root, raw)
    older = yield Fetch(
        context.repository, context.profile.metadata_name(Role.ROOT, following), context.limits.root_bytes
    )
    if older is not None:
        return check_root(context, root, older)
    keys = root.value.roles[Role.ROOT]
    check_threshold(envelope, root.value.keys, keys, repository=context.repository, role=Role.ROOT)
    raise ProvisioningError(
        f"Root of {context.repository} is version {envelope.payload.version}, and this client trusts version "
        f"{root.value.version}: it missed one that the repository does not offer any more",
        next_step="Provision the ECU again, with the present Root from its maker.",
        repository=context.repository,
        role=Role.ROOT,
        expected=following,
        offered=envelope.payload.version,
    )


def _entry(context: Context, snapshot: Trusted[Snapshot]) -> MetadataFile:
    if snapshot.value.root is None:
        raise MixAndMatchError(
            f"Snapshot of {context.repository} does not list Root", repository=context.repository, role=Role.ROOT
        )
    return snapshot.value.root
