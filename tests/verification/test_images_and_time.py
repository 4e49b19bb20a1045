"""Images as they stream in (5.4.2.4), and the time of the Timeserver."""

from datetime import timedelta

import pytest
from world import NOW, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.digests import HASH_FUNCTIONS, Digests
from uptane.metadata.errors import (
    BadHashError,
    BadSignatureError,
    BadTimeAttestationError,
    EndlessDataError,
    FormatError,
    LengthMismatchError,
)
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.snapshot import MetadataFile
from uptane.metadata.targets import ImageFile
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.timestamp import Timestamp
from uptane.signing.sign import sign
from uptane.verification.verify_image import ImageCheck
from uptane.verification.verify_time import verify_time

IMAGE = bytes(range(256)) * 40


def listed(content: bytes = IMAGE) -> ImageFile:
    return ImageFile(path=ImagePath("a.img"), length=len(content), digests=Digests.of(content, HASH_FUNCTIONS))


def receive(file: ImageFile, content: bytes, chunk: int = 1000) -> None:
    check = ImageCheck(file)
    for start in range(0, len(content), chunk):
        check.update(content[start : start + chunk])
    check.finish()


@pytest.mark.standard("STD-5.4.2.4-3")
@pytest.mark.parametrize("chunk", [1, 1000, len(IMAGE)])
def test_the_listed_image_passes_in_any_pieces(chunk: int) -> None:
    receive(listed(), IMAGE, chunk)
    receive(listed(b""), b"")


@pytest.mark.standard("STD-5.4.2.4-3", "STD-5.4.3.4-11")
@pytest.mark.parametrize("content", [b"", IMAGE[:-1], IMAGE[:1]])
def test_a_shorter_image_is_refused(content: bytes) -> None:
    with pytest.raises(LengthMismatchError) as refusal:
        receive(listed(), content)
    assert (refusal.value.facts["expected"], refusal.value.facts["offered"]) == (len(IMAGE), len(content))
    assert refusal.value.attack is Attack.ARBITRARY_SOFTWARE


@pytest.mark.standard("STD-5.4.3.3-7")
def test_a_longer_image_is_refused_at_the_first_byte_too_many() -> None:
    check = ImageCheck(listed())
    check.update(IMAGE)
    with pytest.raises(EndlessDataError) as refusal:
        check.update(b"\0")
    assert refusal.value.facts == {"image": "a.img", "expected": len(IMAGE)}


@pytest.mark.standard("STD-5.4.3.3-7")
def test_an_endless_image_is_refused_within_one_piece() -> None:
    check = ImageCheck(listed(b"x" * 10))
    taken = 0
    with pytest.raises(EndlessDataError) as refusal:
        while True:
            check.update(b"x" * 4)
            taken += 4
    assert taken == 8 and refusal.value.attack is Attack.ENDLESS_DATA


@pytest.mark.standard("STD-5.4.2.4-3")
@pytest.mark.parametrize("position", [0, len(IMAGE) // 2, len(IMAGE) - 1])
def test_one_changed_byte_is_refused(position: int) -> None:
    content = bytearray(IMAGE)
    content[position] ^= 1
    with pytest.raises(BadHashError) as refusal:
        receive(listed(), bytes(content))
    assert refusal.value.attack is Attack.ARBITRARY_SOFTWARE


@pytest.mark.standard("STD-5.4.2.4-3", "STD-5.4.3.4-9")
@pytest.mark.parametrize("wrong", HASH_FUNCTIONS)
def test_every_listed_hash_is_compared(wrong: str) -> None:
    digests = Digests(
        tuple(
            (name, bytes([digest[0] ^ 1]) + digest[1:] if name == wrong else digest)
            for name, digest in Digests.of(IMAGE, HASH_FUNCTIONS)
        )
    )
    with pytest.raises(BadHashError) as refusal:
        receive(ImageFile(path=ImagePath("a.img"), length=len(IMAGE), digests=digests), IMAGE)
    assert refusal.value.facts["expected"] == digests[wrong].hex()


TIMESERVER = new_signer()


def attest(profile: Profile, *nonces: int, seconds: int = 0) -> bytes:
    time = NOW + timedelta(seconds=seconds)
    return sign(profile, TimeAttestation(time=time, nonces=nonces), [TIMESERVER])


def verify(profile: Profile, raw: bytes, *nonces: int) -> TimeAttestation:
    return verify_time(profile, raw, keys=[TIMESERVER.key], nonces=nonces, not_before=NOW).attestation.value


def test_a_time_that_answers_all_nonces_is_believed(profile: Profile) -> None:
    raw = attest(profile, 1, 2, 3, seconds=60)
    assert verify(profile, raw, 3, 1).time == NOW + timedelta(seconds=60)
    verified = verify_time(profile, raw, keys=[TIMESERVER.key], nonces={2}, not_before=NOW)
    assert (verified.attestation.raw, verified.key) == (raw, TIMESERVER.key)


def test_the_same_time_again_is_believed(profile: Profile) -> None:
    assert verify(profile, attest(profile, 1), 1).time == NOW


@pytest.mark.standard("STD-5.4.2.2-1")
@pytest.mark.parametrize("sent", [(4,), (1, 4)])
def test_a_time_that_answers_other_nonces_is_an_old_one(profile: Profile, sent: tuple[int, ...]) -> None:
    with pytest.raises(BadTimeAttestationError) as refusal:
        verify(profile, attest(profile, 1, 2), *sent)
    assert refusal.value.facts == {"expected": sorted(sent), "offered": [1, 2]}
    assert refusal.value.attack is Attack.FREEZE


@pytest.mark.standard("STD-5.4.2.2-1")
def test_who_sent_no_nonce_believes_no_time(profile: Profile) -> None:
    with pytest.raises(BadTimeAttestationError):
        verify(profile, attest(profile, 1))


@pytest.mark.standard("STD-5.4-12", "STD-5.4.2.2-1")
def test_time_never_goes_backwards(profile: Profile) -> None:
    with pytest.raises(BadTimeAttestationError) as refusal:
        verify(profile, attest(profile, 1, seconds=-1), 1)
    assert refusal.value.facts == {"expected": NOW, "offered": NOW - timedelta(seconds=1)}


@pytest.mark.standard("STD-5.4.2.2-1")
def test_any_of_several_keys_attests_and_is_named_by_what_it_signed(profile: Profile) -> None:
    others = [new_signer().key, new_signer().key]
    raw = attest(profile, 1)
    for keys in ([*others, TIMESERVER.key], [TIMESERVER.key, *others]):
        assert verify_time(profile, raw, keys=keys, nonces=[1], not_before=NOW).key == TIMESERVER.key
    with pytest.raises(BadSignatureError):
        verify_time(profile, raw, keys=others, nonces=[1], not_before=NOW)


@pytest.mark.standard("STD-5.4-12", "STD-5-4", "STD-5.3-2", "STD-5.4.2.2-1")
def test_a_time_by_somebody_else_is_forged(profile: Profile) -> None:
    for signers in ([new_signer()], []):
        raw = sign(profile, TimeAttestation(time=NOW, nonces=(1,)), signers)
        with pytest.raises(BadSignatureError):
            verify(profile, raw, 1)


def test_what_is_no_attestation_is_refused(profile: Profile) -> None:
    role = Timestamp(version=1, expires=NOW, snapshot=MetadataFile(version=1))
    for raw in (b"", attest(profile, 1)[:-1], attest(profile, 1) + b"\0", sign(profile, role, [TIMESERVER])):
        with pytest.raises(FormatError):
            verify(profile, raw, 1)
