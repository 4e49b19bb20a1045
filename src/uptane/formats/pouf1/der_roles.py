"""Role metadata in the archived DER: the four bodies and what they share."""

from collections.abc import Mapping
from typing import NamedTuple

from uptane.formats.der_fields import check_order, read_key_id, write_key_id
from uptane.formats.pouf1.der_fields import (
    ED25519,
    check_integer,
    check_limit,
    check_number,
    enumerated,
    read_enumerated,
    read_hashes,
    read_text,
    read_time,
    write_hashes,
    write_text,
    write_time,
)
from uptane.formats.pouf1.der_schema import (
    WireCustom,
    WireKey,
    WireListedFile,
    WireRole,
    WireRoleType,
    WireRoot,
    WireSnapshot,
    WireTarget,
    WireTargetAndCustom,
    WireTargetRoleFile,
    WireTargets,
    WireTopLevelRole,
)
from uptane.formats.pouf1.keys import check_key, ed25519_key
from uptane.formats.pouf1.rules import (
    LIMITS,
    assigned_ecu,
    cannot_carry,
    check_common,
    length_and_hash,
    read_path,
    root_entry,
    write_path,
)
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import NO_CUSTOM, Custom, EcuAssignment, Image, ImageFile, Targets
from uptane.metadata.timestamp import Timestamp

RolePayload = Root | Timestamp | Snapshot | Targets

FILE_ENDING = ".der"
"""What names of metadata files end in; the rest is the name of the role."""

_ROOT_FILE = f"{Role.ROOT}{FILE_ENDING}"
_SNAPSHOT_FILE = f"{Role.SNAPSHOT}{FILE_ENDING}"

KEY_ORDER = (Role.ROOT, Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS)
"""The order of the keys in Root, of which each role has one of its own."""

ROLE_ORDER = (Role.ROOT, Role.SNAPSHOT, Role.TARGETS, Role.TIMESTAMP)
"""The order of the roles in Root."""

_TYPES: Mapping[type, WireRoleType] = {
    Root: WireRoleType.ROOT,
    Timestamp: WireRoleType.TIMESTAMP,
    Snapshot: WireRoleType.SNAPSHOT,
    Targets: WireRoleType.TARGETS,
}


def write_role(payload: RolePayload) -> WireRole:
    """The payload of a role."""
    check_common(payload)
    return WireRole(
        type=_TYPES[type(payload)],
        expires=write_time(payload.expires, "expires"),
        version=payload.version,
        body=_write_body(payload),
    )


def _write_body(payload: RolePayload) -> WireRoot | WireTargets | WireSnapshot | WireListedFile:
    match payload:
        case Root():
            return _write_root(payload)
        case Timestamp():
            return _write_listed(_SNAPSHOT_FILE, payload.snapshot)
        case Snapshot():
            return _write_snapshot(payload)
        case Targets():
            images = sorted(payload.images.items(), key=lambda item: item[0])
            entries = [_write_image(path, image) for path, image in check_limit(images, LIMITS.images, "images")]
            return WireTargets(number_of_targets=len(entries), targets=entries)


def read_role(entry: WireRole) -> RolePayload:
    """The inverse of `write_role`."""
    expires, body = read_time(entry.expires, "expires"), entry.body
    payload: RolePayload
    match body:
        case WireRoot():
            keys = _read_root(body)
            payload = Root(
                version=entry.version,
                expires=expires,
                keys={key.key_id: key for key in keys.values()},
                roles={role: RoleKeys(key_ids=(key.key_id,), threshold=1) for role, key in keys.items()},
                consistent_snapshot=False,
            )
        case WireListedFile():
            snapshot = _read_listed(_SNAPSHOT_FILE, body)
            payload = Timestamp(version=entry.version, expires=expires, snapshot=snapshot)
        case WireSnapshot():
            files, root = _read_snapshot(body)
            payload = Snapshot(version=entry.version, expires=expires, files=files, root=root)
        case WireTargets():
            payload = Targets(version=entry.version, expires=expires, images=_read_images(body))
    if entry.type is not _TYPES[type(payload)]:
        raise FormatError(f"a {type(payload).__name__} that calls itself {entry.type.name.lower()}", field="role type")
    return payload


def _write_root(root: Root) -> WireRoot:
    """Four keys, one for each role; how many each role has and needs is written as the constant 1."""
    keys: dict[Role, PublicKey] = {}
    for role in KEY_ORDER:
        named = root.roles[role]
        if len(named.key_ids) != 1:
            raise cannot_carry(f"{len(named.key_ids)} keys of the role {role} in DER, only one", "roles")
        key = root.keys[named.key_ids[0]]
        key.require_id(named.key_ids[0])
        keys[role] = check_key(key)
    if len({key.key_id for key in keys.values()}) != len(KEY_ORDER):
        raise cannot_carry("a key that two roles share in DER", "roles")
    if len(root.keys) != len(KEY_ORDER):
        raise cannot_carry("a key of no role in DER", "keys")
    return WireRoot(
        number_of_keys=len(KEY_ORDER),
        keys=[
            WireKey(keyid=write_key_id(keys[role].key_id), key_type=enumerated(ED25519), value=keys[role].material)
            for role in KEY_ORDER
        ],
        number_of_roles=len(ROLE_ORDER),
        roles=[
            WireTopLevelRole(
                role=WireRoleType[role.name],
                number_of_keyids=1,
                keyids=[write_key_id(keys[role].key_id)],
                threshold=1,
            )
            for role in ROLE_ORDER
        ],
    )


def _read_root(entry: WireRoot) -> dict[Role, PublicKey]:
    """The key of each role."""
    if entry.number_of_keys != len(KEY_ORDER) or len(entry.keys) != len(KEY_ORDER):
        raise FormatError(f"Root must have {len(KEY_ORDER)} keys", field="keys")
    if entry.number_of_roles != len(ROLE_ORDER) or len(entry.roles) != len(ROLE_ORDER):
        raise FormatError(f"Root must have {len(ROLE_ORDER)} roles", field="roles")
    keys = dict(zip(KEY_ORDER, map(_read_key, entry.keys), strict=True))
    if len({key.key_id for key in keys.values()}) != len(KEY_ORDER):
        raise FormatError("two roles share a key", field="keys")
    for role, named in zip(ROLE_ORDER, entry.roles, strict=True):
        if named.role is not WireRoleType[role.name]:
            raise FormatError(f"the roles of Root must be {', '.join(ROLE_ORDER)}, in this order", field="roles")
        if (named.number_of_keyids, len(named.keyids), named.threshold) != (1, 1, 1):
            raise FormatError(f"the role {role} must have one key and the threshold 1", field="threshold", role=role)
        if named.keyids[0] != write_key_id(keys[role].key_id):
            raise FormatError(f"the keys of Root must be those of {', '.join(KEY_ORDER)}, in this order", field="keys")
    return keys


def _read_key(entry: WireKey) -> PublicKey:
    if read_enumerated(entry.key_type, "key type") != ED25519:
        raise FormatError("the type of a key must be ed25519 (1)", field="key type")
    key = ed25519_key(entry.value)
    key.require_id(read_key_id(entry.keyid))
    return key


def _write_listed(filename: str, file: MetadataFile) -> WireListedFile:
    length, digests = length_and_hash(file)
    hashes = write_hashes(digests)
    return WireListedFile(
        filename=filename,
        version=file.version,
        length=check_integer(length, "a length"),
        number_of_hashes=len(hashes),
        hashes=hashes,
    )


def _read_listed(filename: str, entry: WireListedFile) -> MetadataFile:
    if entry.filename != filename:
        raise FormatError(f"{filename} must be listed here, not {entry.filename[:40]!r}", field="filename")
    digests = read_hashes(entry.number_of_hashes, entry.hashes)
    file = MetadataFile(version=entry.version, length=entry.length, digests=digests)
    length_and_hash(file)
    return file


def _write_snapshot(snapshot: Snapshot) -> WireSnapshot:
    root = root_entry(snapshot)
    names = sorted(f"{name}{FILE_ENDING}" for name in snapshot.files)
    files = [
        WireTargetRoleFile(
            filename=write_text(filename, "the file name", LIMITS.name),
            version=snapshot.files[RoleName(filename.removesuffix(FILE_ENDING))].version,
        )
        for filename in check_limit(names, LIMITS.files, "Targets files")
    ]
    return WireSnapshot(number_of_files=len(files), files=files, root=_write_listed(_ROOT_FILE, root))


class _Listed(NamedTuple):
    files: dict[RoleName, MetadataFile]
    root: MetadataFile


def _read_snapshot(entry: WireSnapshot) -> _Listed:
    check_number(entry.number_of_files, entry.files, "Targets files")
    check_order([file.filename for file in entry.files], "Targets files")
    files: dict[RoleName, MetadataFile] = {}
    for file in entry.files:
        filename = read_text(file.filename, "file name")
        if not filename.endswith(FILE_ENDING) or filename == _ROOT_FILE:
            raise FormatError(f"{filename[:40]!r} is no Targets file", field="meta")
        files[RoleName(filename.removesuffix(FILE_ENDING))] = MetadataFile(version=file.version)
    return _Listed(files, _read_listed(_ROOT_FILE, entry.root))


def _write_image(path: ImagePath, image: Image) -> WireTargetAndCustom:
    ecu = assigned_ecu(path, image)
    hashes = write_hashes(image.file.digests)
    return WireTargetAndCustom(
        target=WireTarget(
            filename=write_text(write_path(path), "the image name", LIMITS.name),
            length=check_integer(image.file.length, "a length"),
            number_of_hashes=len(hashes),
            hashes=hashes,
        ),
        custom=None if ecu is None else WireCustom(ecu=write_text(ecu, "the ECU identifier", LIMITS.name)),
    )


def _read_images(entry: WireTargets) -> dict[ImagePath, Image]:
    check_number(entry.number_of_targets, entry.targets, "images")
    check_order([each.target.filename for each in entry.targets], "images")
    images = map(_read_image, entry.targets)
    return {image.file.path: image for image in images}


def _read_image(entry: WireTargetAndCustom) -> Image:
    target, custom = entry.target, NO_CUSTOM
    digests = read_hashes(target.number_of_hashes, target.hashes)
    path = read_path(read_text(target.filename, "image name"))
    if entry.custom is not None:
        custom = Custom(ecus={EcuIdentifier(read_text(entry.custom.ecu, "ECU identifier")): EcuAssignment()})
    return Image(file=ImageFile(path=path, length=target.length, digests=digests), custom=custom)
