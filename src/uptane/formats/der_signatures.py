"""The signatures of signed objects in DER: over the payload, or over its hash."""

from uptane.formats.der_fields import HASH_NAMES, read_key_id, write_key_id
from uptane.formats.der_schema import WireHash, WireHashSignature, WireScheme, WireSignature
from uptane.metadata.digests import check_digest
from uptane.metadata.envelope import MAX_SIGNATURES, Signature, check_signatures
from uptane.metadata.errors import FormatError
from uptane.metadata.keys import Scheme

_METHODS = {member: Scheme[name].value for name, member in WireScheme.__members__.items()}


def write_signature(signature: Signature) -> WireSignature:
    """A signature of a role or a time attestation; FormatError where it is one over a hash."""
    if (signature.method, signature.hash_function, signature.digest) != (None, None, None):
        raise FormatError("only reports and manifests are signed over a hash", field="signatures")
    return WireSignature(keyid=write_key_id(signature.key_id), value=signature.value)


def write_hash_signature(signature: Signature) -> WireHashSignature:
    """A signature of a report or manifest; FormatError where it is not one over a hash (STD-5.4.2.1.1-5)."""
    method, function, digest = signature.method, signature.hash_function, signature.digest
    if method is None or method not in set(Scheme) or function is None or digest is None:
        raise FormatError(
            "a signature of a report or manifest needs a known method, a hash function and the hash",
            field="signatures",
        )
    check_digest(function, digest)
    return WireHashSignature(
        keyid=write_key_id(signature.key_id),
        value=signature.value,
        method=WireScheme[Scheme(method).name],
        function=WireHash[function],
        digest=digest,
    )


def read_signatures(entries: list[WireSignature] | list[WireHashSignature]) -> tuple[Signature, ...]:
    """The inverse of both."""
    if len(entries) > MAX_SIGNATURES:
        raise FormatError(f"{len(entries)} signatures, more than {MAX_SIGNATURES}", field="signatures")
    return check_signatures(tuple([_read_signature(entry) for entry in entries]))


def _read_signature(entry: WireSignature | WireHashSignature) -> Signature:
    key_id = read_key_id(entry.keyid)
    if isinstance(entry, WireSignature):
        return Signature(key_id=key_id, value=entry.value)
    function = HASH_NAMES[entry.function]
    check_digest(function, entry.digest)
    return Signature(
        key_id=key_id,
        value=entry.value,
        method=_METHODS[entry.method],
        hash_function=function,
        digest=entry.digest,
    )
