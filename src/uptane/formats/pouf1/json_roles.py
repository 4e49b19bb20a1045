"""Role metadata as the JSON of the archived implementation."""

from collections.abc import Mapping

from uptane.formats.canonical_json import Json
from uptane.formats.json_fields import Fields, read_digests, write_digests, write_time
from uptane.formats.pouf1.keys import read_keys, write_keys
from uptane.formats.pouf1.rules import (
    assigned_ecu,
    check_common,
    check_hashes,
    length_and_hash,
    read_path,
    root_entry,
    write_path,
)
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, KeyId, RoleName
from uptane.metadata.root import Common, Role, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import NO_CUSTOM, Custom, EcuAssignment, Image, ImageFile, Targets
from uptane.metadata.timestamp import Timestamp

FILE_ENDING = ".json"
"""What names of metadata files end in; the rest is the name of the role."""

COMPRESSION_ALGORITHMS = ["gz"]
"""A member of every Root that nothing uses."""

NO_DELEGATIONS: Json = {"keys": {}, "roles": []}
"""A member of every Targets file."""

_ROOT_FILE = f"{Role.ROOT}{FILE_ENDING}"
_SNAPSHOT_FILE = f"{Role.SNAPSHOT}{FILE_ENDING}"


def write_role(payload: Common) -> dict[str, Json]:
    """The `signed` object of a role."""
    check_common(payload)
    members: dict[str, Json] = {"version": payload.version, "expires": write_time(payload.expires)}
    match payload:
        case Root():
            members |= {
                "_type": "Root",
                "compression_algorithms": COMPRESSION_ALGORITHMS,
                "consistent_snapshot": False,
                "keys": write_keys(payload.keys),
                "roles": {
                    str(role): {"keyids": [str(key_id) for key_id in keys.key_ids], "threshold": keys.threshold}
                    for role, keys in payload.roles.items()
                },
            }
        case Timestamp():
            members |= {"_type": "Timestamp", "meta": {_SNAPSHOT_FILE: _write_listed(payload.snapshot)}}
        case Snapshot():
            files: dict[str, Json] = {_ROOT_FILE: _write_listed(root_entry(payload))}
            files |= {f"{name}{FILE_ENDING}": {"version": file.version} for name, file in payload.files.items()}
            members |= {"_type": "Snapshot", "meta": files}
        case Targets():
            images = {write_path(path): _write_image(path, image) for path, image in payload.images.items()}
            members |= {"_type": "Targets", "delegations": NO_DELEGATIONS, "targets": images}
    return members


def _write_listed(file: MetadataFile) -> dict[str, Json]:
    length, digests = length_and_hash(file)
    return {"version": file.version, "length": length, "hashes": write_digests(digests)}


def write_file(file: ImageFile) -> dict[str, Json]:
    """Length and hashes of an image."""
    return {"length": file.length, "hashes": write_digests(check_hashes(file.digests))}


def _write_image(path: ImagePath, image: Image) -> dict[str, Json]:
    ecu = assigned_ecu(path, image)
    members = write_file(image.file)
    return members if ecu is None else members | {"custom": {"ecu_serial": str(ecu)}}


def read_root(value: Json) -> Root:
    """Root from its `signed` object."""
    fields = _begin(value, Role.ROOT)
    if fields.take("compression_algorithms", list) != COMPRESSION_ALGORITHMS:
        raise FormatError(f"compression_algorithms must be {COMPRESSION_ALGORITHMS}", field="compression_algorithms")
    if fields.take("consistent_snapshot", bool):
        raise FormatError("consistent_snapshot must be false", field="consistent_snapshot")
    named = Fields(fields.take("roles", dict), "roles of Root")
    roles: dict[Role, RoleKeys] = {}
    for role in Role:
        entry = Fields(named.take(role, dict), f"role {role}")
        roles[role] = RoleKeys(key_ids=entry.texts("keyids", KeyId), threshold=entry.take("threshold", int))
        entry.nothing_else()
    named.nothing_else()
    root = Root(
        version=fields.take("version", int),
        expires=fields.time("expires"),
        keys=read_keys(fields.take("keys", dict)),
        roles=roles,
        consistent_snapshot=False,
    )
    fields.nothing_else()
    return root


def read_timestamp(value: Json) -> Timestamp:
    """Timestamp from its `signed` object; it lists the Snapshot and nothing else."""
    fields = _begin(value, Role.TIMESTAMP)
    listed = Fields(fields.take("meta", dict), "meta of Timestamp")
    snapshot = _read_listed(listed.take(_SNAPSHOT_FILE, dict))
    listed.nothing_else()
    timestamp = Timestamp(version=fields.take("version", int), expires=fields.time("expires"), snapshot=snapshot)
    fields.nothing_else()
    return timestamp


def read_snapshot(value: Json) -> Snapshot:
    """Snapshot from its `signed` object: Root with length and hash, Targets files with their versions alone."""
    fields = _begin(value, Role.SNAPSHOT)
    listed = Fields(fields.take("meta", dict), "meta of Snapshot")
    root = _read_listed(listed.take(_ROOT_FILE, dict))
    snapshot = Snapshot(
        version=fields.take("version", int),
        expires=fields.time("expires"),
        files=dict(_read_version(name, entry) for name, entry in listed.members.items()),
        root=root,
    )
    fields.nothing_else()
    return snapshot


def read_targets(value: Json) -> Targets:
    """Targets from its `signed` object, without delegations."""
    fields = _begin(value, Role.TARGETS)
    if fields.take("delegations", dict) != NO_DELEGATIONS:
        raise FormatError(
            "delegations in the archived format are not read: their meaning differs between its own DER and JSON",
            field="delegations",
        )
    entries: Mapping[str, Json] = fields.take("targets", dict)
    images = (_read_image(name, entry) for name, entry in entries.items())
    targets = Targets(
        version=fields.take("version", int),
        expires=fields.time("expires"),
        images={image.file.path: image for image in images},
    )
    fields.nothing_else()
    return targets


def _begin(value: Json, role: Role) -> Fields:
    fields = Fields(value, role.capitalize())
    fields.literal("_type", role.capitalize())
    return fields


def _read_listed(value: Json) -> MetadataFile:
    fields = Fields(value, "entry of a metadata file")
    file = MetadataFile(
        version=fields.take("version", int), length=fields.take("length", int), digests=fields.digests()
    )
    fields.nothing_else()
    length_and_hash(file)
    return file


def _read_version(name: str, value: Json) -> tuple[RoleName, MetadataFile]:
    if not name.endswith(FILE_ENDING):
        raise FormatError(f"Snapshot lists {name[:40]!r}, which is no metadata file", field="meta")
    fields = Fields(value, "entry of a Targets file")
    file = MetadataFile(version=fields.take("version", int))
    fields.nothing_else()
    return RoleName(name.removesuffix(FILE_ENDING)), file


def read_file(name: str, fields: Fields) -> ImageFile:
    """An image from its name on the wire and the members with its length and hashes, which are taken."""
    digests = check_hashes(read_digests(fields.take("hashes", dict)))
    return ImageFile(path=read_path(name), length=fields.take("length", int), digests=digests)


def _read_image(name: str, value: Json) -> Image:
    fields = Fields(value, "image")
    file = read_file(name, fields)
    custom = fields.optional("custom", dict)
    fields.nothing_else()
    return Image(file=file, custom=NO_CUSTOM if custom is None else _read_custom(custom))


def _read_custom(value: Json) -> Custom:
    fields = Fields(value, "custom")
    ecu = EcuIdentifier(fields.take("ecu_serial", str))
    fields.nothing_else()
    return Custom(ecus={ecu: EcuAssignment()})
