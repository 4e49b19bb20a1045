"""What all DER objects share: lists in order, times, hashes, keys and extensions."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import TracebackType
from typing import TypeVar

from cryptography.hazmat import asn1

from uptane.formats.der_objects import FORMAT_VERSION
from uptane.formats.der_schema import (
    WireDigest,
    WireExtension,
    WireHash,
    WireKey,
    WireKeyType,
    WireRoleKeys,
    WireScheme,
)
from uptane.metadata.digests import Digests
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.identifiers import KeyId
from uptane.metadata.keys import KeyType, PublicKey, Scheme
from uptane.metadata.root import MAX_KEYS, RoleKeys

T = TypeVar("T")

_HASHES = dict(WireHash.__members__)
HASH_NAMES = {member: name for name, member in _HASHES.items()}
"""The hash functions; asking a member for its name takes longer."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


FOREIGN = (ValueError, OverflowError, RecursionError)
"""What the codec and conversions raise."""


class refusing:
    """Foreign errors of the codec and of conversions leave as FormatError, with their cause."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None and isinstance(error, FOREIGN):
            raise not_well_formed(self._what, error) from error


def not_well_formed(what: str, error: BaseException) -> FormatError:
    """The error for something that is not what it should be in DER."""
    return FormatError(
        f"not a well-formed {what} in DER: {error}",
        field="der",
        next_step="Check that sender and receiver use the same format.",
    )


def read(kind: type[T], raw: bytes, what: str) -> T:
    """A structure of the schema that fills `raw` exactly; what is not strict DER raises FormatError."""
    with refusing(what):
        return asn1.decode_der(kind, raw)


def check_format_version(version: int) -> None:
    """Raises FormatError for a version of the format that is not ours."""
    if version != FORMAT_VERSION:
        raise FormatError(f"not version {FORMAT_VERSION} of the DER format", field="format version")


def check_order(names: Sequence[str], field: str) -> None:
    """Raises FormatError unless the names rise strictly, so that each map has one encoding and no name twice."""
    for former, latter in pairwise(names):
        if former >= latter:
            raise FormatError(
                f"{field} must be in ascending order, each once: {latter[:80]!r} after {former[:80]!r}", field=field
            )


def optional_list(values: Sequence[T]) -> list[T] | None:
    """The list, or None for an empty one: what is empty is absent."""
    return list(values) or None


def read_optional_list(values: list[T] | None, field: str) -> list[T]:
    """The list, empty where it is absent; FormatError for an empty one that is there."""
    if values is None:
        return []
    if not values:
        raise FormatError(f"an empty list of {field} must be absent", field=field)
    return values


def write_time(time: datetime) -> int:
    """Seconds since 1970, UTC."""
    return (time - _EPOCH) // _SECOND


def read_time(seconds: int) -> datetime:
    """The inverse of `write_time`; OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(seconds=seconds)


def write_extensions(extensions: Extensions) -> list[WireExtension] | None:
    """The extensions, absent when there are none."""
    if not extensions.items:
        return None
    return [WireExtension(name=name, value=value) for name, value in extensions]


def read_extensions(entries: list[WireExtension] | None) -> Extensions:
    """The inverse of `write_extensions`."""
    if entries is None:
        return NO_EXTENSIONS
    read_optional_list(entries, "extensions")
    check_order([entry.name for entry in entries], "extensions")
    return Extensions(tuple((entry.name, entry.value) for entry in entries))


def write_digests(digests: Digests) -> list[WireDigest]:
    """The hashes, in the order of their functions."""
    return [WireDigest(function=_HASHES[name], value=value) for name, value in digests.items]


def read_digests(entries: list[WireDigest]) -> Digests:
    """The inverse of `write_digests`."""
    items = tuple([(HASH_NAMES[entry.function], entry.value) for entry in entries])
    if len(items) > 1:
        check_order([name for name, _ in items], "hashes")
    return Digests(items)


def write_key_id(key_id: KeyId) -> bytes:
    """The 32 bytes of a key identifier."""
    return bytes.fromhex(key_id)


def read_key_id(keyid: bytes) -> KeyId:
    """The inverse of `write_key_id`; FormatError for another length."""
    return KeyId(keyid.hex())


def write_key(key: PublicKey) -> WireKey:
    """A public key under its identifier."""
    return WireKey(
        keyid=write_key_id(key.key_id),
        key_type=WireKeyType[key.key_type.name],
        scheme=WireScheme[key.scheme.name],
        value=key.material,
    )


def read_key(entry: WireKey) -> PublicKey:
    """The inverse of `write_key`; FormatError for an identifier that is not the key's own."""
    key = PublicKey(key_type=KeyType[entry.key_type.name], scheme=Scheme[entry.scheme.name], material=entry.value)
    key.require_id(read_key_id(entry.keyid))
    return key


def write_keys(keys: Mapping[KeyId, PublicKey]) -> list[WireKey]:
    """Keys in the order of their identifiers."""
    for key_id, key in keys.items():
        key.require_id(key_id)
    return [write_key(keys[key_id]) for key_id in sorted(keys)]


def read_keys(entries: list[WireKey]) -> dict[KeyId, PublicKey]:
    """The inverse of `write_keys`."""
    if len(entries) > MAX_KEYS:
        raise FormatError(f"more than {MAX_KEYS} keys", field="keys")
    check_order([entry.keyid.hex() for entry in entries], "keys")
    keys = [read_key(entry) for entry in entries]
    return {key.key_id: key for key in keys}


def write_role_keys(keys: RoleKeys) -> WireRoleKeys:
    """Key identifiers and threshold of a role."""
    return WireRoleKeys(keyids=[write_key_id(key_id) for key_id in keys.key_ids], threshold=keys.threshold)


def read_role_keys(entry: WireRoleKeys) -> RoleKeys:
    """The inverse of `write_role_keys`."""
    return RoleKeys(key_ids=tuple(read_key_id(keyid) for keyid in entry.keyids), threshold=entry.threshold)
