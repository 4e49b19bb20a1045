"""The one place where signatures are counted: by distinct key material, with the scheme of the key."""

from collections.abc import Iterable, Iterator, Mapping
from hmac import compare_digest

from uptane.formats.profile import Payload, Profile
from uptane.metadata.digests import digest_of
from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.errors import BadSignatureError
from uptane.metadata.identifiers import KeyId
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import RoleKeys

REPORT_HASHES = ("sha256", "sha512")
"""Hash functions accepted in the signatures of version reports and manifests."""


def check_threshold(
    envelope: Envelope[Payload], keys: Mapping[KeyId, PublicKey], role_keys: RoleKeys, *, repository: str, role: str
) -> None:
    """Raises BadSignatureError unless a threshold of the role's distinct keys signed (STD-5.4.4.3-3, AMB-21).

    The loop is over the role's keys, never over the signatures, so a file full of signatures costs nothing.

    Args:
        envelope: what is signed.
        keys: keys by identifier, which hold all of the role's.
        role_keys: the keys that may sign, and how many must.
        repository, role: for the error.
    """
    good = 0
    for _ in valid_signatures(envelope, keys, role_keys):
        good += 1
        if good >= role_keys.threshold:
            return
    raise BadSignatureError(
        f"{role} of {repository} has {good} valid signature(s) by trusted keys and needs {role_keys.threshold}",
        repository=repository,
        role=role,
        expected=role_keys.threshold,
        offered=good,
    )


def valid_signatures(
    envelope: Envelope[Payload], keys: Mapping[KeyId, PublicKey], role_keys: RoleKeys
) -> Iterator[Signature]:
    """The valid signatures by the role's keys, one for each distinct key material; see `check_threshold`."""
    offered = {signature.key_id: signature for signature in envelope.signatures}
    good: set[bytes] = set()
    for key_id in role_keys.key_ids:
        key = keys[key_id]
        if key_id in offered and key.material not in good and key.verify(offered[key_id].value, envelope.message):
            good.add(key.material)
            yield offered[key_id]


def signed_by_all(envelope: Envelope[Payload], keys: Iterable[PublicKey]) -> bool:
    """Whether every one of these keys has signed."""
    offered = {signature.key_id: signature.value for signature in envelope.signatures}
    return all(key.key_id in offered and key.verify(offered[key.key_id], envelope.message) for key in keys)


def check_report_signature(
    envelope: Envelope[Payload], key: PublicKey, *, profile: Profile, signer: str, what: str
) -> None:
    """Raises BadSignatureError unless a version report or manifest is signed by `key` (STD-5.4.2.1.1-1 to -5).

    The signature is over the hash of the payload. The entry's hash, hash function and method are compared with
    the payload and the key, never trusted (AMB-20). With `unsafe_no_hash_in_signatures` there is nothing to compare.
    """
    for entry in envelope.signatures:
        if profile.unsafe_no_hash_in_signatures:
            if entry.key_id == key.key_id and key.verify(entry.value, envelope.message):
                return
            continue
        if entry.key_id != key.key_id or entry.method != key.scheme or entry.hash_function not in REPORT_HASHES:
            continue
        digest = digest_of(entry.hash_function, envelope.message)
        if entry.digest is not None and compare_digest(digest, entry.digest) and key.verify(entry.value, digest):
            return
    raise BadSignatureError(
        f"{what} is not signed by the registered key of {signer}",
        next_step="Somebody else made it, or it was changed on the way.",
        role=what,
        signer=signer,
        expected=key.key_id,
        offered=[entry.key_id for entry in envelope.signatures],
    )
