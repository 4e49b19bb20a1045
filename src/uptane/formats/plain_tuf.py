"""The format and the profile of a plain TUF client: metadata of any TUF 1.0 repository, read as TUF clients read it.

It differs from `json`, which is TUF 1.0 with names, keys and custom data as Uptane wants them, in what it lets pass:

- names of roles and targets, path patterns and key identifiers are any text (`UnsafeRoleName` and its neighbours);
- keys of other kinds, or whose value is damaged, are as good as absent, as are key identifiers without a key;
- a signature that is empty, malformed or oversize does not count; there may be any number of them;
- one key may have several identifiers, and a threshold may be higher than the number of keys;
- custom data and unknown members are kept in the file and not interpreted, those that Uptane adds among them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from uptane.formats.canonical_json import Json, canonical, decode_strict
from uptane.formats.json_fields import Fields
from uptane.formats.json_format import JsonFormat, lenient_hex
from uptane.formats.json_roles import begin, read_listed_file
from uptane.formats.plain_tuf_values import (
    SuccinctDelegations,
    UnsafeDelegatedRole,
    UnsafeDelegation,
    UnsafeDelegations,
    UnsafeKeyId,
    UnsafePath,
    UnsafePattern,
    UnsafeRoleKeys,
    UnsafeRoleName,
    UnsafeRoot,
    UnsafeSnapshot,
)
from uptane.formats.profile import PayloadT, Profile
from uptane.metadata.delegations import Delegation, Delegations
from uptane.metadata.envelope import MAX_SIGNATURE_BYTES, Envelope, Signature
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import ImagePath, KeyId, RoleName
from uptane.metadata.keys import KeyType, PublicKey, Scheme
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Image, ImageFile, Targets, check_length
from uptane.metadata.timestamp import Timestamp

_KEY_TYPES = {Scheme.ECDSA_P256: KeyType.ECDSA}
"""Older repositories give the name of the scheme as the type of the key."""


class PlainTufFormat(JsonFormat):
    """JSON of plain TUF; it is read and never written."""

    name = "tuf"

    def decode(self, kind: type[PayloadT], raw: bytes) -> Envelope[PayloadT]:
        """The metadata of one role; see `Format.decode`."""
        read = _READERS.get(kind)
        if read is None:
            raise FormatError(f"plain TUF has no {kind.__name__}", field="signed object")
        fields = Fields(decode_strict(raw), "signed object")
        signed = fields.take("signed", dict)
        signatures = _read_signatures(fields.take("signatures", list))
        message = canonical(signed)
        return Envelope(payload=cast("PayloadT", read(signed)), message=message, signatures=signatures, raw=raw)


class OpaqueImages(Mapping[ImagePath, Image]):
    """Targets by name; an entry becomes a value when it is looked up, and its custom data never does.

    Looking up raises FormatError for an entry that cannot be used, such as one with a hash of an unknown function.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, Json]) -> None:
        self._entries = entries

    def __getitem__(self, path: ImagePath) -> Image:
        fields = Fields(self._entries[path], "target")
        length = fields.take("length", int)
        return Image(file=ImageFile(path=UnsafePath(path), length=length, digests=fields.digests()))

    def __iter__(self) -> Iterator[ImagePath]:
        return map(UnsafePath, self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _read_root(value: Json) -> Root:
    fields = begin(value, Role.ROOT)
    keys = _read_keys(fields.take("keys", dict))
    named = Fields(fields.take("roles", dict), "roles of Root")
    return UnsafeRoot(
        version=fields.take("version", int),
        expires=fields.time("expires"),
        keys=keys,
        roles={role: _read_role_keys(Fields(named.take(role, dict), f"role {role}"), keys) for role in Role},
        consistent_snapshot=bool(fields.optional("consistent_snapshot", bool)),
    )


def _read_timestamp(value: Json) -> Timestamp:
    fields = begin(value, Role.TIMESTAMP)
    listed = Fields(fields.take("meta", dict), "meta of Timestamp").take("snapshot.json", dict)
    return Timestamp(
        version=fields.take("version", int), expires=fields.time("expires"), snapshot=read_listed_file(listed)
    )


def _read_snapshot(value: Json) -> Snapshot:
    fields = begin(value, Role.SNAPSHOT)
    listed: dict[str, Json] = fields.take("meta", dict)
    files: dict[RoleName, MetadataFile] = {
        UnsafeRoleName(name.removesuffix(".json")): read_listed_file(entry) for name, entry in listed.items()
    }
    if len(files) != len(listed):
        raise FormatError("Snapshot lists a file both with and without its extension", field="meta")
    return UnsafeSnapshot(version=fields.take("version", int), expires=fields.time("expires"), files=files)


def _read_targets(value: Json) -> Targets:
    fields = begin(value, Role.TARGETS)
    delegations = fields.optional("delegations", dict)
    entries: dict[str, Json] = fields.take("targets", dict)
    for entry in entries.values():
        target = Fields(entry, "target")
        check_length(target.take("length", int))
        hashes: dict[str, Json] = target.take("hashes", dict)
        if not hashes or any(type(digest) is not str for digest in hashes.values()):
            raise FormatError("hashes must be an object of one or more texts", field="hashes")
    return Targets(
        version=fields.take("version", int),
        expires=fields.time("expires"),
        images=OpaqueImages(entries),
        delegations=Delegations() if delegations is None else _read_delegations(delegations),
    )


_READERS: dict[type, Callable[[Json], Any]] = {
    Root: _read_root,
    Timestamp: _read_timestamp,
    Snapshot: _read_snapshot,
    Targets: _read_targets,
}


def _read_signatures(entries: list[Json]) -> tuple[Signature, ...]:
    signatures: dict[KeyId, Signature] = {}
    for entry in entries:
        fields = Fields(entry, "signature")
        key_id = UnsafeKeyId(fields.take("keyid", str))
        # A signature that is no text counts as little as one that verifies nothing, but there has to be one.
        text = fields.members.get("sig")
        value = lenient_hex(fields.take("sig", str)) if isinstance(text, str) or "sig" not in fields.members else b""
        if key_id in signatures:
            raise FormatError("two signatures by the same key", field="signatures")
        signatures[key_id] = Signature(key_id=key_id, value=value if len(value) <= MAX_SIGNATURE_BYTES else b"")
    return tuple(signatures.values())


def _read_keys(value: Mapping[str, Json]) -> dict[KeyId, PublicKey]:
    """The keys that can verify something, under the identifiers that the file gives them."""
    read = {UnsafeKeyId(name): _read_key(key) for name, key in value.items()}
    return {name: key for name, key in read.items() if key is not None}


def _read_key(value: Json) -> PublicKey | None:
    fields = Fields(value, "key")
    try:
        text = Fields(fields.take("keyval", dict), "keyval").take("public", str)
        key_type, scheme = fields.take("keytype", str), fields.take("scheme", str)
        return PublicKey.from_text(_KEY_TYPES.get(key_type, key_type), scheme, text)  # type: ignore[call-overload]
    except FormatError:
        return None


def _read_role_keys(fields: Fields, keys: Mapping[KeyId, PublicKey]) -> UnsafeRoleKeys:
    key_ids = fields.texts("keyids", UnsafeKeyId)
    if len(set(key_ids)) != len(key_ids):
        raise FormatError("a role names one key twice", field="key ids")
    return UnsafeRoleKeys(
        key_ids=tuple(key_id for key_id in key_ids if key_id in keys), threshold=fields.take("threshold", int)
    )


def _read_delegations(value: Json) -> Delegations:
    fields = Fields(value, "delegations")
    keys = _read_keys(fields.take("keys", dict))
    roles, bins = fields.optional("roles", list), fields.optional("succinct_roles", dict)
    if bins is None:
        return UnsafeDelegations(keys=keys, delegations=tuple(_read_delegation(role, keys) for role in roles or ()))
    if roles is not None:
        raise FormatError("delegations have either roles or succinct_roles", field="delegations")
    described = Fields(bins, "succinct_roles")
    return SuccinctDelegations(
        keys=keys,
        bin_keys=_read_role_keys(described, keys),
        bits=described.take("bit_length", int),
        prefix=described.take("name_prefix", str),
    )


def _read_delegation(value: Json, keys: Mapping[KeyId, PublicKey]) -> Delegation:
    fields = Fields(value, "delegated role")
    name = UnsafeRoleName(fields.take("name", str))
    by_prefix = "path_hash_prefixes" in fields.members
    if by_prefix == ("paths" in fields.members):
        raise FormatError(f"role {name[:40]!r} needs either paths or path_hash_prefixes", field="paths")
    return UnsafeDelegation(
        roles=(UnsafeDelegatedRole(name=name, keys=_read_role_keys(fields, keys)),),
        paths=() if by_prefix else fields.texts("paths", UnsafePattern),
        path_hash_prefixes=fields.texts("path_hash_prefixes", str) if by_prefix else (),
        terminating=bool(fields.optional("terminating", bool)),
    )


PLAIN_TUF = Profile(
    format=PlainTufFormat(),
    unsafe_tuf_role_by_role=True,
    unsafe_tuf_listed_versions=True,
    unsafe_tuf_same_timestamp=True,
    unsafe_tuf_no_snapshot_hash=True,
)
"""The profile of a plain TUF client. No vehicle is offered it: it is not among the profiles that have a name."""
