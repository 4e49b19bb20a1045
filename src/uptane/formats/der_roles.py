"""Role metadata in DER: the four bodies and what they share."""

from datetime import datetime
from typing import TypedDict

from uptane.formats.der_delegations import read_delegations, write_delegations
from uptane.formats.der_fields import (
    check_order,
    read_digests,
    read_extensions,
    read_keys,
    read_role_keys,
    read_time,
    write_digests,
    write_extensions,
    write_keys,
    write_role_keys,
    write_time,
)
from uptane.formats.der_images import read_images, write_directed_images, write_images
from uptane.formats.der_schema import (
    EncodedRole,
    EncodedTargets,
    WireMetadataFile,
    WireRole,
    WireRoot,
    WireSnapshot,
    WireTargets,
    WireTimestamp,
    WireTopLevelRoles,
)
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import RoleName, VehicleIdentifier
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.timestamp import Timestamp

RolePayload = Root | Timestamp | Snapshot | Targets

FILE_ENDING = ".der"
"""What names of metadata files end in; the rest is the name of the role."""


class _Shared(TypedDict):
    version: int
    expires: datetime
    vehicle: VehicleIdentifier | None
    extensions: Extensions


def write_role(payload: RolePayload) -> WireRole | EncodedRole:
    """The payload of a role."""
    if isinstance(payload, Targets) and payload.vehicle is not None and write_delegations(payload.delegations) is None:
        return EncodedRole(
            version=payload.version,
            expires=write_time(payload.expires),
            vehicle=payload.vehicle,
            body=EncodedTargets(
                images=write_directed_images(payload.images), extensions=write_extensions(payload.extensions)
            ),
        )
    return WireRole(
        version=payload.version,
        expires=write_time(payload.expires),
        vehicle=payload.vehicle,
        body=_write_body(payload),
    )


def _write_body(payload: RolePayload) -> WireRoot | WireTimestamp | WireSnapshot | WireTargets:
    extensions = write_extensions(payload.extensions)
    match payload:
        case Root():
            roles = {role.value: write_role_keys(payload.roles[role]) for role in Role}
            return WireRoot(
                keys=write_keys(payload.keys),
                roles=WireTopLevelRoles(**roles),
                consistent_snapshot=payload.consistent_snapshot,
                extensions=extensions,
            )
        case Timestamp():
            return WireTimestamp(snapshot=_write_file(Role.SNAPSHOT, payload.snapshot), extensions=extensions)
        case Snapshot():
            files = [_write_file(name, file) for name, file in payload.files.items()]
            return WireSnapshot(files=sorted(files, key=lambda file: file.name), extensions=extensions)
        case Targets():
            return WireTargets(
                images=write_images(payload.images),
                delegations=write_delegations(payload.delegations),
                extensions=extensions,
            )


def read_role(entry: WireRole) -> RolePayload:
    """The inverse of `write_role`; which role it is, the tag of its body says."""
    body = entry.body
    shared = _Shared(
        version=entry.version,
        expires=read_time(entry.expires),
        vehicle=None if entry.vehicle is None else VehicleIdentifier(entry.vehicle),
        extensions=read_extensions(body.extensions),
    )
    match body:
        case WireRoot():
            roles = {role: read_role_keys(getattr(body.roles, role.value)) for role in Role}
            return Root(keys=read_keys(body.keys), roles=roles, consistent_snapshot=body.consistent_snapshot, **shared)
        case WireTimestamp():
            if body.snapshot.name != f"{Role.SNAPSHOT}{FILE_ENDING}":
                raise FormatError(f"Timestamp must list snapshot{FILE_ENDING}, and nothing else", field="meta")
            return Timestamp(snapshot=_read_file(body.snapshot), **shared)
        case WireSnapshot():
            return Snapshot(files=_read_files(body.files), **shared)
        case WireTargets():
            return Targets(images=read_images(body.images), delegations=read_delegations(body.delegations), **shared)


def _write_file(role: str, file: MetadataFile) -> WireMetadataFile:
    return WireMetadataFile(
        name=f"{role}{FILE_ENDING}",
        version=file.version,
        length=file.length,
        hashes=None if file.digests is None else write_digests(file.digests),
    )


def _read_file(entry: WireMetadataFile) -> MetadataFile:
    digests = None if entry.hashes is None else read_digests(entry.hashes)
    return MetadataFile(version=entry.version, length=entry.length, digests=digests)


def _read_files(entries: list[WireMetadataFile]) -> dict[RoleName, MetadataFile]:
    """The files of a Snapshot; an entry for Root has no effect (STD-5.2.4-2)."""
    check_order([entry.name for entry in entries], "files")
    files = {_role_of(entry.name): _read_file(entry) for entry in entries}
    files.pop(RoleName(Role.ROOT), None)
    return files


def _role_of(name: str) -> RoleName:
    if not name.endswith(FILE_ENDING):
        raise FormatError(f"the name of a metadata file ends in {FILE_ENDING}, not as {name[:80]!r}", field="files")
    return RoleName(name.removesuffix(FILE_ENDING))
