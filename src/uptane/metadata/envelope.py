"""A signed object: the decoded payload beside the exact bytes that were signed and received."""

from typing import Generic, TypeVar

from msgspec import Struct

from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import KeyId

MAX_SIGNATURES = 64
"""Signatures in one file: far above any threshold in use, far below what stalls a client (CVE-2020-6173)."""

MAX_SIGNATURE_BYTES = 2048
"""Bytes in one signature: RSA with 8192 bits has 1024."""

PayloadT = TypeVar("PayloadT", covariant=True)


class Signature(Struct, frozen=True, kw_only=True, gc=False):
    """One entry of the signatures attribute (STD-5.2.1-4).

    Args:
        key_id: the key that signed.
        value: the signature.
        method, hash_function, digest: in version reports and vehicle manifests only (STD-5.4.2.1.1-2 to -4): the
            scheme, the name of the hash function and the hash of the payload; the signature is over that hash.
    """

    key_id: KeyId
    value: bytes
    method: str | None = None
    hash_function: str | None = None
    digest: bytes | None = None


def check_signatures(signatures: tuple[Signature, ...]) -> tuple[Signature, ...]:
    """Returns `signatures` unless there are too many or one key id stands twice.

    Raises:
        FormatError: more than MAX_SIGNATURES, an oversize one, or the same key id twice.
    """
    if len(signatures) == 1 and len(signatures[0].value) <= MAX_SIGNATURE_BYTES:
        return signatures
    if len(signatures) > MAX_SIGNATURES:
        raise FormatError(f"{len(signatures)} signatures, more than {MAX_SIGNATURES}", field="signatures")
    if len(signatures) > 1 and len({signature.key_id for signature in signatures}) != len(signatures):
        raise FormatError("two signatures by the same key", field="signatures")
    for signature in signatures:
        if len(signature.value) > MAX_SIGNATURE_BYTES:
            raise FormatError(f"a signature of more than {MAX_SIGNATURE_BYTES} bytes", field="signatures")
    return signatures


class Envelope(Struct, Generic[PayloadT], frozen=True, kw_only=True, gc=False):
    """A signed object as it was received; nothing about it is trusted yet.

    Args:
        payload: the decoded value.
        message: the bytes that the signatures are over (for a report or manifest: the bytes that are hashed).
        signatures: the entries, at most one for each key id.
        raw: the whole file or object, byte for byte.
    """

    payload: PayloadT
    message: bytes
    signatures: tuple[Signature, ...]
    raw: bytes
