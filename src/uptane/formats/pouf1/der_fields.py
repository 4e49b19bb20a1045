"""What all objects of the archived DER share: its two universal types, counts, times, hashes and signatures."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from cryptography.hazmat import asn1

from uptane.formats import der_fields
from uptane.formats.der_fields import check_order, read_key_id, write_key_id
from uptane.formats.pouf1.der_schema import WireHash, WireSignature
from uptane.formats.pouf1.rules import LIMITS, cannot_carry, check_hashes
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import MAX_SIGNATURES, Signature, check_signatures
from uptane.metadata.errors import FormatError

T = TypeVar("T")

ED25519 = 1
"""The number of Ed25519, both as a method of signing and as a type of key."""

_HASHES = {"sha256": 1, "sha512": 3}
"""The numbers of the hash functions that the archived decoders know."""

_HASH_NAMES = {number: name for name, number in _HASHES.items()}
_OCTET_STRING, _ENUMERATED, _VISIBLE_STRING = b"\x04", b"\x0a", b"\x1a"
_VISIBLE = re.compile(r"[ -~]*")


def enumerated(number: int) -> asn1.TLV:
    """An ENUMERATED of 0 to 127."""
    return asn1.decode_der(asn1.TLV, _ENUMERATED + bytes((1, number)))


def read_enumerated(entry: asn1.TLV, field: str) -> int:
    """The inverse of `enumerated`; FormatError for anything else."""
    if entry.tag_bytes != _ENUMERATED or len(entry.data) != 1 or entry.data[0] > 127:
        raise FormatError(f"{field} must be an ENUMERATED of one byte", field=field)
    return int(entry.data[0])


def write_text(text: str, field: str, limit: int = LIMITS.integer) -> str:
    """Text that fits a VisibleString under a context tag; FormatError for another one or a longer one."""
    if not _VISIBLE.fullmatch(text):
        raise cannot_carry(f"{field} {text[:40]!r}, which is not printable ASCII", field)
    if len(text) > limit:
        raise cannot_carry(f"{field} {text[:40]!r}, which has {len(text)} characters, more than {limit}", field)
    return text


def read_text(text: str, field: str) -> str:
    """The inverse of `write_text`."""
    if not _VISIBLE.fullmatch(text):
        raise FormatError(f"{field} must be printable ASCII, not {text[:40]!r}", field=field)
    return text


def visible_string(text: str) -> asn1.TLV:
    """A VisibleString under its own tag; the text is ASCII, and was checked."""
    octets = asn1.encode_der(text.encode("ascii"))
    return asn1.decode_der(asn1.TLV, _VISIBLE_STRING + octets.removeprefix(_OCTET_STRING))


def read_visible_string(entry: asn1.TLV, field: str) -> str:
    """The text of a VisibleString; FormatError for anything else."""
    return read_text(_string(entry, field), field)


def write_lines(text: str, field: str) -> asn1.TLV:
    """A VisibleString in which lines end, as the archived implementation writes it against the rules of ASN.1."""
    write_text(text.replace("\n", " "), field)
    return visible_string(text)


def read_lines(entry: asn1.TLV, field: str) -> str:
    """The inverse of `write_lines`; FormatError also for an empty one, which must be absent."""
    text = _string(entry, field)
    if not text:
        raise FormatError(f"an empty {field} must be absent", field=field)
    read_text(text.replace("\n", " "), field)
    return text


def _string(entry: asn1.TLV, field: str) -> str:
    if entry.tag_bytes != _VISIBLE_STRING:
        raise FormatError(f"{field} must be a VisibleString", field=field)
    return bytes(entry.data).decode("latin-1")


def check_number(number: int, entries: Sequence[T], field: str) -> Sequence[T]:
    """Returns the list whose entries were counted; FormatError where the number before it is another one."""
    if number != len(entries):
        raise FormatError(f"the number of {field} is not that of the {len(entries)} in the list", field=field)
    return entries


def check_limit(entries: Sequence[T], limit: int, field: str) -> Sequence[T]:
    """Returns a list that is to be written; FormatError where it is longer than the archived encoder can write."""
    if len(entries) > limit:
        raise cannot_carry(f"{len(entries)} {field}, more than {limit}", field)
    return entries


def check_integer(number: int, field: str) -> int:
    """Returns a number that is to be written; FormatError for a greater one than the archived encoder can write."""
    if number > LIMITS.integer:
        raise cannot_carry(f"{field} of more than {LIMITS.integer}", field)
    return number


def write_time(time: datetime, field: str) -> int:
    """Seconds since 1970, UTC; FormatError before the first of them and after 2106-02-07."""
    seconds = der_fields.write_time(time)
    if not 1 <= seconds <= LIMITS.integer:
        raise cannot_carry(f"{field} {time:%Y-%m-%d}, which is not within 1970 to 2106", field)
    return seconds


def read_time(seconds: int, field: str) -> datetime:
    """The inverse of `write_time`."""
    if not 1 <= seconds <= LIMITS.integer:
        raise FormatError(f"{field} must be a time of 1970 to 2106", field=field)
    return der_fields.read_time(seconds)


def write_hashes(digests: Digests) -> list[WireHash]:
    """The hashes, in the order of the names of their functions."""
    return [WireHash(function=enumerated(_HASHES[name]), digest=digest) for name, digest in check_hashes(digests)]


def read_hashes(number: int, entries: list[WireHash]) -> Digests:
    """The inverse of `write_hashes`."""
    check_number(number, entries, "hashes")
    items = tuple((_hash_name(entry), entry.digest) for entry in entries)
    check_order([name for name, _ in items], "hashes")
    return Digests(items)


def _hash_name(entry: WireHash) -> str:
    name = _HASH_NAMES.get(read_enumerated(entry.function, "hash function"))
    if name is None:
        raise FormatError("a hash function must be sha256 (1) or sha512 (3)", field="hash function")
    return name


def write_signatures(signatures: Sequence[Signature]) -> list[WireSignature]:
    """Signatures by Ed25519 keys; FormatError for one that names its hash."""
    for signature in signatures:
        if (signature.method, signature.hash_function, signature.digest) != (None, None, None):
            raise cannot_carry("a signature that names its hash", "signatures")
    return [
        WireSignature(keyid=write_key_id(entry.key_id), method=enumerated(ED25519), value=entry.value)
        for entry in signatures
    ]


def read_signatures(number: int, entries: list[WireSignature]) -> tuple[Signature, ...]:
    """The inverse of `write_signatures`; the method is checked and not kept, since the key has it."""
    check_number(number, entries, "signatures")
    if len(entries) > MAX_SIGNATURES:
        raise FormatError(f"{len(entries)} signatures, more than {MAX_SIGNATURES}", field="signatures")
    for entry in entries:
        if read_enumerated(entry.method, "method") != ED25519:
            raise FormatError("the method of a signature must be ed25519 (1)", field="method")
    return check_signatures(tuple(Signature(key_id=read_key_id(entry.keyid), value=entry.value) for entry in entries))
