"""A new Root where Root has no version in its name (POUF-1): found through the Snapshot, or looked for.

Whatever led to it, it must be the next version and carry a threshold of the old and of the new keys.
"""

from uptane.metadata.errors import MixAndMatchError, ReplayedMetadataError, UnreachableError
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.verification.check_root import check_root
from uptane.verification.check_snapshot import check_listed_file, check_listed_version
from uptane.verification.steps import Fetch, Procedure
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
        BadSignatureError, ReplayedMetadataError: see `check_root`; a client that missed a version cannot follow.
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
    newer = _next(context, root, raw)
    check_listed_version(context, Role.ROOT, newer.value.version, listed)
    return newer


def look_for_root(context: Context, root: Trusted[Root]) -> Procedure[Trusted[Root] | None]:
    """A newer Root, where something was signed with keys that the trusted one does not name; None for none.

    Raises:
        BadSignatureError, ReplayedMetadataError: see `check_root`.
    """
    raw = yield Fetch(context.repository, context.profile.metadata_name(Role.ROOT), context.limits.root_bytes)
    if raw is None or raw == root.raw:
        return None
    if context.profile.format.decode(Root, raw).payload.version <= root.value.version:
        return None
    return _next(context, root, raw)


def _next(context: Context, root: Trusted[Root], raw: bytes) -> Trusted[Root]:
    offered = context.profile.format.decode(Root, raw).payload.version
    if offered > root.value.version + 1:
        raise ReplayedMetadataError(
            f"Root of {context.repository} is version {offered}, and this client trusts version {root.value.version}: "
            "it missed one, and POUF-1 offers no way to fetch it",
            next_step="Provision the ECU again, with the present Root.",
            repository=context.repository,
            role=Role.ROOT,
            expected=root.value.version + 1,
            offered=offered,
        )
    return check_root(context, root, raw)


def _entry(context: Context, snapshot: Trusted[Snapshot]) -> MetadataFile:
    if snapshot.value.root is None:
        raise MixAndMatchError(
            f"Snapshot of {context.repository} does not list Root", repository=context.repository, role=Role.ROOT
        )
    return snapshot.value.root
