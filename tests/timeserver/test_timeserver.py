"""The Timeserver signs the time over exactly the nonces it was asked with."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from world import NOW, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.errors import BadSignatureError, BadTimeAttestationError, FormatError
from uptane.metadata.time_attestation import MAX_NONCES, TimeAttestation
from uptane.metadata.version_report import MAX_NONCE
from uptane.signing.signer import KeySigner
from uptane.timeserver.timeserver import Timeserver
from uptane.verification.verify_time import verify_time


@pytest.fixture
def signer() -> KeySigner:
    """The Timeserver's key."""
    return new_signer()


@pytest.fixture
def timeserver(profile: Profile, signer: KeySigner) -> Timeserver:
    """A Timeserver."""
    return Timeserver(profile, signer)


@pytest.fixture
def attest(profile: Profile, timeserver: Timeserver) -> Callable[..., TimeAttestation]:
    """What the Timeserver attests over nonces, decoded."""

    def attest(nonces: list[int], now: datetime = NOW) -> TimeAttestation:
        return profile.format.decode(TimeAttestation, timeserver.attest(nonces, now)).payload

    return attest


@pytest.mark.parametrize(
    "nonces",
    [[], [1], [3, 1, 2], [7, 7, 7], [0, MAX_NONCE], list(range(MAX_NONCES))],
    ids=["none", "one", "in order", "the same three times", "least and greatest", "as many as allowed"],
)
def test_nonces_come_back_in_their_order(attest: Callable[..., TimeAttestation], nonces: list[int]) -> None:
    assert attest(nonces).nonces == tuple(nonces)


def test_the_time_is_told_in_whole_seconds_of_utc(attest: Callable[..., TimeAttestation]) -> None:
    local = (NOW + timedelta(microseconds=999_999)).astimezone(timezone(timedelta(hours=-8)))
    assert attest([1], local).time == NOW


@pytest.mark.parametrize("nonce", [-1, MAX_NONCE + 1, 10**30, True, "1", 1.0, None])
def test_a_nonce_that_is_no_integer_of_31_bits_is_refused(timeserver: Timeserver, nonce: object) -> None:
    with pytest.raises(FormatError):
        timeserver.attest([1, nonce], NOW)  # type: ignore[list-item]


def test_too_many_nonces_are_refused(timeserver: Timeserver) -> None:
    with pytest.raises(FormatError):
        timeserver.attest(range(MAX_NONCES + 1), NOW)


def test_a_clock_without_a_zone_is_refused(timeserver: Timeserver) -> None:
    with pytest.raises(FormatError):
        timeserver.attest([1], NOW.replace(tzinfo=None))


@pytest.mark.standard("STD-5.4.2.2-1")
@pytest.mark.standard("STD-5.4-12")
def test_an_attestation_is_believed_by_who_asked_and_knows_the_key(
    profile: Profile, timeserver: Timeserver, signer: KeySigner
) -> None:
    raw = timeserver.attest([4, 5], NOW)
    checked = verify_time(profile, raw, keys=[signer.key], nonces=[5], not_before=NOW)
    assert checked.attestation.value.time == NOW
    with pytest.raises(BadTimeAttestationError):
        verify_time(profile, raw, keys=[signer.key], nonces=[6], not_before=NOW)
    with pytest.raises(BadSignatureError):
        verify_time(profile, raw, keys=[new_signer().key], nonces=[5], not_before=NOW)
