"""Signed objects that no encoder of ours writes: their signatures and members changed on the wire, and signed again."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from cryptography.hazmat import asn1
from der_bytes import tlv

from uptane.formats.der_format import _kind_of
from uptane.formats.der_objects import Assembled, AssembledOverHash, Outline, SignedManifest, SignedReport
from uptane.formats.der_schema import WireHash, WireHashSignature, WireScheme, WireSignature
from uptane.formats.profile import KINDS, Profile
from uptane.metadata.envelope import Signature
from uptane.metadata.keys import Scheme
from uptane.metadata.root import Role
from uptane.metadata.targets import Targets
from uptane.signing.signer import Signer

HUGE = "@a million digits@"
"""Stands in JSON for a number that Python would not write."""


def signatures_of(profile: Profile, raw: bytes, kind: type | str) -> tuple[Signature, ...]:
    """The signatures of a well-formed object of a kind, or of a role of that name."""
    if isinstance(kind, str):
        kind = KINDS[Role(kind)] if kind in set(Role) else Targets
    return profile.format.decode(kind, raw).signatures  # type: ignore[type-var]


def with_signatures(profile: Profile, raw: bytes, signatures: Sequence[Signature]) -> bytes:
    """The object with these signatures instead, however many and however often."""
    if profile.format.name == "json":
        entries = [_json_entry(signature) for signature in signatures]
        return _text({"signatures": entries, "signed": json.loads(raw)["signed"]})
    outline = asn1.decode_der(Outline, raw)
    return _assembled(outline.signed, signatures)


def flooded(profile: Profile, raw: bytes, count: int) -> bytes:
    """The object with so many signatures behind it, each a copy of its first but for the name of the key."""
    if profile.format.name == "json":
        value = json.loads(raw)
        entry = _text(value["signatures"][0])
        before, after = entry.split(value["signatures"][0]["keyid"].encode())
        entries = b",".join(before + b"%064x" % number + after for number in range(count))
        return b'{"signatures":[%b],"signed":%b}' % (entries, _text(value["signed"]))
    version, signed, signatures = elements(_content(raw))
    first = elements(_content(signatures))[0]
    key_id = _content(elements(_content(first))[0])
    entries = b"".join(first.replace(key_id, number.to_bytes(32, "big")) for number in range(count))
    return tlv(0x30, version, signed, tlv(0x30, entries))


def signed_again(
    profile: Profile,
    raw: bytes,
    signers: Sequence[Signer],
    *,
    text: Callable[[Any], object] = bool,
    der: Callable[[Any], object] = bool,
    swapped: tuple[bytes, bytes] | None = None,
) -> bytes:
    """The object with its payload changed, and genuinely signed by `signers`.

    Args:
        profile: its format.
        raw: a well-formed object.
        signers: who signs the changed payload.
        text: changes the members of `signed` where the format is JSON.
        der: changes the structure of the whole object where it is DER; see `der_changes`.
        swapped: bytes of one element of DER and what stands in its place, after `der`.
    """
    if profile.format.name == "json":
        signed = json.loads(raw)["signed"]
        text(signed)
        message = _text(signed)
        hashed = "attacks_detected" in signed or "reports" in signed
        entries = [_json_entry(_signature(signer, message, hashed=hashed)) for signer in signers]
        return b'{"signatures":%b,"signed":%b}' % (_text(entries), message)
    kind = _kind_of(asn1.decode_der(Outline, raw).signed)
    wire = asn1.decode_der(kind, raw)
    der(wire)
    whole = asn1.encode_der(wire)
    if swapped is not None:
        assert swapped[0] in whole
        whole = replaced(whole, *swapped)
    part = asn1.decode_der(Outline, whole).signed
    hashed = kind in (SignedReport, SignedManifest)
    message = asn1.encode_der(part)
    return _assembled(part, [_signature(signer, message, hashed=hashed) for signer in signers])


def replaced(raw: bytes, old: bytes, new: bytes) -> bytes:
    """DER in which one element stands in the place of every other that has these bytes; lengths are put right."""
    if raw == old:
        return new
    if not raw or not raw[0] & 0x20:
        return raw
    return tlv(raw[0], *(replaced(part, old, new) for part in elements(_content(raw))))


def elements(raw: bytes) -> list[bytes]:
    """The elements of DER that stand one after another."""
    found = []
    while raw:
        whole = len(raw) - len(_content(raw, whole=False)) + _length(raw)
        found.append(raw[:whole])
        raw = raw[whole:]
    return found


def _length(raw: bytes) -> int:
    return raw[1] if raw[1] < 128 else int.from_bytes(raw[2 : 2 + raw[1] - 128], "big")


def _content(raw: bytes, *, whole: bool = True) -> bytes:
    start = 2 if raw[1] < 128 else 2 + raw[1] - 128
    return raw[start : start + _length(raw)] if whole else raw[start:]


def _signature(signer: Signer, message: bytes, *, hashed: bool) -> Signature:
    if not hashed:
        return Signature(key_id=signer.key.key_id, value=signer.sign(message))
    digest = hashlib.sha256(message).digest()
    return Signature(
        key_id=signer.key.key_id,
        value=signer.sign(digest),
        method=signer.key.scheme,
        hash_function="sha256",
        digest=digest,
    )


def _json_entry(signature: Signature) -> dict[str, object]:
    entry: dict[str, object] = {"keyid": str(signature.key_id), "sig": signature.value.hex()}
    if signature.digest is not None:
        entry |= {
            "method": signature.method,
            "hash_function": signature.hash_function,
            "hash": signature.digest.hex(),
        }
    return entry


def _text(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return text.replace(f'"{HUGE}"'.encode(), b"9" * 1_000_000)


def _assembled(signed: asn1.TLV, signatures: Sequence[Signature]) -> bytes:
    if any(signature.digest is not None for signature in signatures):
        over_hash = [
            WireHashSignature(
                keyid=bytes.fromhex(signature.key_id),
                value=signature.value,
                method=WireScheme[Scheme(signature.method).name],
                function=WireHash[signature.hash_function or "sha256"],
                digest=signature.digest or b"",
            )
            for signature in signatures
        ]
        return asn1.encode_der(AssembledOverHash(format_version=1, signed=signed, signatures=over_hash))
    plain = [WireSignature(keyid=bytes.fromhex(signature.key_id), value=signature.value) for signature in signatures]
    return asn1.encode_der(Assembled(format_version=1, signed=signed, signatures=plain))
