"""How to check Snapshot metadata (5.4.4.5)."""

from uptane.metadata.errors import EndlessDataError, MixAndMatchError, ReplayedMetadataError
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.timestamp import Timestamp
from uptane.verification.check_timestamp import check_not_older
from uptane.verification.threshold import check_threshold
from uptane.verification.trusted import Context, Trusted


def check_listed_file(context: Context, role: str, raw: bytes, listed: MetadataFile) -> None:
    """Compares a file with the length and hashes that its parent role lists, where it lists them.

    Raises:
        EndlessDataError: longer than listed.
        MixAndMatchError: shorter than listed, or another hash.
    """
    facts = {"repository": context.repository, "role": role}
    if listed.length is not None and len(raw) > listed.length:
        raise EndlessDataError(
            f"{role} of {context.repository} has {len(raw)} bytes, more than the {listed.length} that are listed",
            **facts,
        )
    short = listed.length is not None and len(raw) != listed.length
    if short or (listed.digests is not None and not listed.digests.matches(raw)):
        raise MixAndMatchError(
            f"{role} of {context.repository} is not the file that its parent role lists (hash or length differ)",
            **facts,
        )


def check_listed_version(context: Context, role: str, version: int, listed: MetadataFile) -> None:
    """Raises MixAndMatchError unless the version is the one that the parent role lists."""
    if version != listed.version:
        raise MixAndMatchError(
            f"{role} of {context.repository} has version {version}; its parent role lists {listed.version}",
            repository=context.repository,
            role=role,
            expected=listed.version,
            offered=version,
        )


def check_snapshot(
    context: Context,
    root: Trusted[Root],
    timestamp: Trusted[Timestamp],
    raw: bytes,
    held: Trusted[Snapshot] | None,
) -> Trusted[Snapshot]:
    """Snapshot that the Timestamp lists.

    Raises:
        MixAndMatchError: not the listed file (STD-5.4.4.5-2).
        BadSignatureError, WrongVehicleError: as their names say.
        ReplayedMetadataError: older, or it lists an older version of a Targets file, or lacks one (-4 to -6).
        ExpiredMetadataError: expired (-7).
    """
    check_listed_file(context, Role.SNAPSHOT, raw, timestamp.value.snapshot)
    envelope = context.profile.format.decode(Snapshot, raw)
    snapshot = envelope.payload
    keys = root.value.roles[Role.SNAPSHOT]
    check_threshold(envelope, root.value.keys, keys, repository=context.repository, role=Role.SNAPSHOT)
    context.check_vehicle(snapshot, Role.SNAPSHOT)
    check_listed_version(context, Role.SNAPSHOT, snapshot.version, timestamp.value.snapshot)
    checked = Trusted(snapshot, envelope)
    if not context.profile.unsafe_tuf_listed_versions:
        check_not_older(context, Role.SNAPSHOT, checked, held)
    if held is not None:
        _check_files_not_older(context, snapshot, held.value)
    context.check_expiry(snapshot, Role.SNAPSHOT)
    return checked


def load_held_snapshot(context: Context, raw: bytes | None) -> Trusted[Snapshot] | None:
    """The Snapshot of an earlier cycle, as a floor for versions only."""
    if raw is None:
        return None
    envelope = context.profile.format.decode(Snapshot, raw)
    return Trusted(envelope.payload, envelope)


def _check_files_not_older(context: Context, new: Snapshot, held: Snapshot) -> None:
    for name, file in held.files.items():
        offered = new.files.get(name)
        if offered is not None and offered.version >= file.version:
            continue
        found = "no longer lists it" if offered is None else f"lists version {offered.version}"
        raise ReplayedMetadataError(
            f"version {file.version} of {name} of {context.repository} was trusted; the new Snapshot {found}",
            repository=context.repository,
            role=str(name),
            expected=file.version,
            offered=None if offered is None else offered.version,
        )
