"""Role metadata as JSON: TUF 1.0 objects with the fields that Uptane adds."""

from collections.abc import Mapping

from uptane.formats.canonical_json import Json
from uptane.formats.json_delegations import read_delegations, read_keys, write_delegations, write_keys
from uptane.formats.json_fields import Fields, add_extensions, read_digests, write_digests, write_time
from uptane.formats.json_images import read_images, write_images
from uptane.metadata.delegations import Delegations
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import ImagePath, KeyId, RoleName, VehicleIdentifier
from uptane.metadata.root import Common, Role, RoleKeys, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Image, Targets
from uptane.metadata.timestamp import Timestamp

SPEC_VERSION = "1.0.0"
"""The version of the TUF specification whose format the files have."""


def write_role(payload: Common) -> dict[str, Json]:
    """The `signed` object of a role."""
    members: dict[str, Json] = {
        "spec_version": SPEC_VERSION,
        "version": payload.version,
        "expires": write_time(payload.expires),
    }
    if payload.vehicle is not None:
        members["vin"] = str(payload.vehicle)
    match payload:
        case Root():
            members |= _write_root(payload)
        case Targets():
            members |= _write_targets(payload)
        case Snapshot():
            members["_type"] = "snapshot"
            members["meta"] = {f"{name}.json": _write_file(file) for name, file in payload.files.items()}
        case Timestamp():
            members["_type"] = "timestamp"
            members["meta"] = {"snapshot.json": _write_file(payload.snapshot)}
    return add_extensions(members, payload.extensions) if payload.extensions.items else members


def _write_root(root: Root) -> dict[str, Json]:
    roles = {
        str(role): {"keyids": [str(key_id) for key_id in keys.key_ids], "threshold": keys.threshold}
        for role, keys in root.roles.items()
    }
    return {
        "_type": "root",
        "consistent_snapshot": root.consistent_snapshot,
        "keys": write_keys(root.keys),
        "roles": roles,
    }


def _write_targets(targets: Targets) -> dict[str, Json]:
    members: dict[str, Json] = {
        "_type": "targets",
        "targets": write_images(targets.images),
    }
    if targets.delegations or targets.delegations.extensions:
        members["delegations"] = write_delegations(targets.delegations)
    return members


def _write_file(file: MetadataFile) -> dict[str, Json]:
    members: dict[str, Json] = {"version": file.version}
    if file.length is not None:
        members["length"] = file.length
    if file.digests is not None:
        members["hashes"] = write_digests(file.digests)
    return members


def begin(value: Json, role: Role) -> Fields:
    """The members of a role's `signed` object, after its type and the version of TUF, which were checked."""
    fields = Fields(value, role.capitalize())
    fields.literal("_type", role)
    spec_version = fields.optional("spec_version", str)
    if spec_version is not None and not spec_version.startswith("1."):
        raise FormatError(f"metadata of TUF {spec_version[:20]}, not of 1.x", field="spec_version")
    return fields


def _vehicle(fields: Fields) -> VehicleIdentifier | None:
    vin = fields.optional("vin", str)
    return None if vin is None else VehicleIdentifier(vin)


def read_root(value: Json) -> Root:
    """Root from its `signed` object."""
    fields = begin(value, Role.ROOT)
    keys = read_keys(fields.take("keys", dict))
    roles: dict[Role, RoleKeys] = {}
    named = Fields(fields.take("roles", dict), "roles of Root")
    for role in Role:
        entry = Fields(named.take(role, dict), f"role {role}")
        roles[role] = RoleKeys(key_ids=entry.texts("keyids", KeyId), threshold=entry.take("threshold", int))
    return Root(
        version=fields.take("version", int),
        expires=fields.time("expires"),
        vehicle=_vehicle(fields),
        keys=keys,
        roles=roles,
        consistent_snapshot=bool(fields.optional("consistent_snapshot", bool)),
        extensions=fields.rest(),
    )


def read_targets(value: Json, images: Mapping[ImagePath, Image] | None = None) -> Targets:
    """Targets, top-level or delegated, from its `signed` object.

    Args:
        value: the object.
        images: its images where they were read before; they are not in the object then.
    """
    fields = begin(value, Role.TARGETS)
    delegations = fields.optional("delegations", dict)
    if images is None:
        images = read_images(fields.take("targets", dict))
    return Targets(
        version=fields.take("version", int),
        expires=fields.time("expires"),
        vehicle=_vehicle(fields),
        images=images,
        delegations=Delegations() if delegations is None else read_delegations(delegations),
        extensions=fields.rest(),
    )


def read_snapshot(value: Json) -> Snapshot:
    """Snapshot from its `signed` object; a `root.json` entry has no effect (STD-5.2.4-2)."""
    fields = begin(value, Role.SNAPSHOT)
    listed = fields.take("meta", dict)
    listed.pop("root.json", None)
    files: dict[RoleName, MetadataFile] = {}
    for name, entry in listed.items():
        if not name.endswith(".json"):
            raise FormatError(f"Snapshot lists {name[:40]!r}, which is no metadata file", field="meta")
        files[RoleName(name.removesuffix(".json"))] = read_listed_file(entry)
    return Snapshot(
        version=fields.take("version", int),
        expires=fields.time("expires"),
        vehicle=_vehicle(fields),
        files=files,
        extensions=fields.rest(),
    )


def read_timestamp(value: Json) -> Timestamp:
    """Timestamp from its `signed` object; it lists the Snapshot and nothing else (STD-5.2.5-1)."""
    fields = begin(value, Role.TIMESTAMP)
    listed: Mapping[str, Json] = fields.take("meta", dict)
    if set(listed) != {"snapshot.json"}:
        raise FormatError("Timestamp must list snapshot.json and nothing else", field="meta")
    return Timestamp(
        version=fields.take("version", int),
        expires=fields.time("expires"),
        vehicle=_vehicle(fields),
        snapshot=read_listed_file(listed["snapshot.json"]),
        extensions=fields.rest(),
    )


def read_listed_file(value: Json) -> MetadataFile:
    """What a Snapshot or Timestamp says of a file."""
    fields = Fields(value, "entry of a metadata file")
    hashes = fields.optional("hashes", dict)
    return MetadataFile(
        version=fields.take("version", int),
        length=fields.optional("length", int),
        digests=None if hashes is None else read_digests(hashes),
    )
