"""Signatures are counted in one place: by distinct keys, each with its own scheme."""

import hashlib
from datetime import UTC, datetime

import pytest
from msgspec import structs
from world import FAR, IMAGES, NOW, TCU, World, keys_of, new_signer, targets

from uptane.formats.profile import Profile
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.errors import BadSignatureError, FormatError
from uptane.metadata.identifiers import ImagePath, KeyId
from uptane.metadata.keys import KeyType
from uptane.metadata.targets import ImageFile, Targets
from uptane.metadata.version_report import EcuVersionReport
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.verification.threshold import check_report_signature, check_threshold

KINDS = list(KeyType)
REPORT = EcuVersionReport(
    ecu=TCU,
    installed=ImageFile(path=ImagePath("a.img"), length=1, digests=Digests.of(b"a")),
    attacks_detected="",
    time=NOW,
    previous_time=datetime(2026, 1, 1, tzinfo=UTC),
    counter=7,
    nonce=5,
)


def signed(profile: Profile, signers: list[KeySigner]) -> Envelope[Targets]:
    return profile.format.decode(Targets, sign(profile, targets(), signers))


def check(envelope: Envelope[Targets], signers: list[KeySigner], threshold: int) -> None:
    keys = {signer.key.key_id: signer.key for signer in signers}
    check_threshold(envelope, keys, keys_of(signers, threshold), repository=IMAGES, role="targets")


@pytest.mark.standard("STD-5.2.2-2", "STD-5.2.1-4")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("signing", "threshold", "good"),
    [
        ((0,), 1, True),
        ((), 1, False),
        ((0,), 2, False),
        ((0, 1), 2, True),
        ((1, 2), 2, True),
        ((0, 1), 3, False),
        ((0, 1, 2), 3, True),
        ((3,), 1, False),
        ((0, 3), 2, False),
        ((3, 0, 1), 2, True),
    ],
)
def test_a_threshold_of_distinct_trusted_keys(
    profile: Profile, kind: KeyType, signing: tuple[int, ...], threshold: int, good: bool
) -> None:
    """Three keys are trusted, the fourth is a stranger's."""
    signers = [new_signer(kind) for _ in range(4)]
    envelope = signed(profile, [signers[index] for index in signing])
    if good:
        check(envelope, signers[:3], threshold)
    else:
        with pytest.raises(BadSignatureError) as refusal:
            check(envelope, signers[:3], threshold)
        assert refusal.value.facts["offered"] == len(set(signing) - {3})


@pytest.mark.standard("STD-3.2.1-1")
def test_keys_of_three_kinds_sign_together(profile: Profile) -> None:
    signers = [new_signer(kind) for kind in KINDS]
    check(signed(profile, signers), signers, 3)


@pytest.mark.standard("STD-5.4.4.3-3")
@pytest.mark.parametrize("kind", KINDS)
def test_one_signature_repeated_never_counts_twice(profile: Profile, kind: KeyType) -> None:
    """CVE-2020-6174: copies of one signature met any threshold; no format even carries them."""
    signers = [new_signer(kind), new_signer(kind)]
    one = signed(profile, signers[:1])
    twice = structs.replace(one, signatures=one.signatures * 2)
    with pytest.raises(BadSignatureError):
        check(twice, signers, 2)
    with pytest.raises(FormatError):
        sign(profile, targets(), signers[:1] * 2)


@pytest.mark.standard("STD-5.2.2-2", "STD-5.4.4.3-3")
def test_amb_21_one_key_under_two_identifiers_counts_once(profile: Profile) -> None:
    """CVE-2020-15093, should such a list of keys ever come this far."""
    signer, other = new_signer(), new_signer()
    one = signed(profile, [signer])
    copy = structs.replace(one.signatures[0], key_id=other.key.key_id)
    keys = {signer.key.key_id: signer.key, other.key.key_id: signer.key}
    envelope = structs.replace(one, signatures=(*one.signatures, copy))
    with pytest.raises(BadSignatureError) as refusal:
        check_threshold(envelope, keys, keys_of([signer, other], 2), repository=IMAGES, role="targets")
    assert refusal.value.facts["offered"] == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_signature_by_another_kind_of_key_in_this_keys_name_does_not_count(
    profile: Profile, kind: KeyType, other: KeyType
) -> None:
    """CVE-2015-9258: the algorithm came from the signature, not from the key."""
    trusted, thief = new_signer(kind), new_signer(other)
    while thief.key == trusted.key:
        thief = new_signer(other)
    envelope = signed(profile, [thief])
    forged = structs.replace(envelope.signatures[0], key_id=trusted.key.key_id, method=trusted.key.scheme)
    with pytest.raises(BadSignatureError):
        check(structs.replace(envelope, signatures=(forged,)), [trusted], 1)


def test_empty_and_foreign_signatures_do_not_spoil_a_file(profile: Profile) -> None:
    signer = new_signer()
    good = signed(profile, [signer])
    others = tuple(Signature(key_id=KeyId(f"{n:064x}"), value=b"") for n in range(10))
    check(structs.replace(good, signatures=(*others, *good.signatures)), [signer], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_two_of_three_keys_in_every_role(profile: Profile, kind: KeyType) -> None:
    world = World(profile, kind=kind, keys=3, threshold=2)
    world.release("firmware.img", b"one")
    for repository in (world.director, world.images):
        for role in ("targets", "snapshot", "timestamp"):
            repository.offer(role, signers=repository.signers[role][:2], expires=FAR)  # type: ignore[index]
    assert set(world.primary.cycle().images) == {TCU}


@pytest.mark.standard("STD-5.4.2.1.1-5", "STD-5.4.2.1.2-5")
@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_signed_over_its_hash(profile: Profile, kind: KeyType) -> None:
    signer = new_signer(kind)
    envelope = profile.format.decode(EcuVersionReport, sign(profile, REPORT, [signer]))
    check_report_signature(envelope, signer.key, profile=profile, signer="ECU", what="the report")
    (entry,) = envelope.signatures
    assert (entry.method, entry.hash_function) == (signer.key.scheme, "sha256")
    assert entry.digest == hashlib.sha256(envelope.message).digest()
    assert signer.key.verify(entry.value, entry.digest)


def entry_with(signer: KeySigner, envelope: Envelope[EcuVersionReport], fault: str) -> Signature:
    (good,) = envelope.signatures
    digest = hashlib.sha256(envelope.message).digest()
    sha512 = hashlib.sha512(envelope.message).digest()
    match fault:
        case "wrong hash":
            other = hashlib.sha256(b"another report").digest()
            return structs.replace(good, digest=other, value=signer.sign(other))
        case "the hash of another report with a genuine signature":
            return structs.replace(good, digest=hashlib.sha256(b"another report").digest())
        case "another hash function than the hash":
            return structs.replace(good, hash_function="sha512")
        case "a hash function that is not in use":
            digest = hashlib.sha1(envelope.message).digest()  # noqa: S324
            return structs.replace(good, hash_function="sha1", digest=digest, value=signer.sign(digest))
        case "the method of another kind of key":
            method = "rsassa-pss-sha256" if good.method != "rsassa-pss-sha256" else "ed25519"
            return structs.replace(good, method=method)
        case "a signature over the payload":
            return structs.replace(good, value=signer.sign(envelope.message))
        case "a signature over the other hash":
            return structs.replace(good, value=signer.sign(sha512))
        case "no hash":
            return structs.replace(good, digest=None)
        case "no hash function":
            return structs.replace(good, hash_function=None)
        case "no method":
            return structs.replace(good, method=None)
        case _:
            return structs.replace(good, value=digest)


@pytest.mark.standard("STD-5.4.2.1.1-5")
@pytest.mark.standard("STD-5.4.2.1.1-2", "STD-5.4.2.1.2-2", "STD-5.4.2.1.2-3", "STD-5.4.2.1.2-4", "STD-5.4.2.1.2-5")
@pytest.mark.standard("STD-5.4.2.1.1-3")
@pytest.mark.standard("STD-5.4.2.1.1-4")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault",
    [
        "wrong hash",
        "the hash of another report with a genuine signature",
        "another hash function than the hash",
        "a hash function that is not in use",
        "the method of another kind of key",
        "a signature over the payload",
        "a signature over the other hash",
        "no hash",
        "no hash function",
        "no method",
        "no signature at all",
    ],
)
def test_amb_20_hash_function_and_method_are_compared_never_trusted(
    profile: Profile, kind: KeyType, fault: str
) -> None:
    signer = new_signer(kind)
    envelope = profile.format.decode(EcuVersionReport, sign(profile, REPORT, [signer]))
    forged = structs.replace(envelope, signatures=(entry_with(signer, envelope, fault),))
    with pytest.raises(BadSignatureError) as refusal:
        check_report_signature(forged, signer.key, profile=profile, signer="ECU", what="the report")
    assert refusal.value.facts["expected"] == signer.key.key_id


@pytest.mark.standard("STD-5.4.2.1.2-1")
def test_a_report_may_be_hashed_with_sha512_and_carry_other_signatures(profile: Profile) -> None:
    signer, stranger = new_signer(), new_signer()
    envelope = profile.format.decode(EcuVersionReport, sign(profile, REPORT, [stranger, signer]))
    check_report_signature(envelope, signer.key, profile=profile, signer="ECU", what="the report")
    digest = hashlib.sha512(envelope.message).digest()
    entry = structs.replace(envelope.signatures[1], hash_function="sha512", digest=digest, value=signer.sign(digest))
    check_report_signature(
        structs.replace(envelope, signatures=(entry,)), signer.key, profile=profile, signer="ECU", what="the report"
    )
    for none in ((), (envelope.signatures[0],)):
        with pytest.raises(BadSignatureError):
            check_report_signature(
                structs.replace(envelope, signatures=none), signer.key, profile=profile, signer="ECU", what="the report"
            )
