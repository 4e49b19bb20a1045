"""Advisories on thresholds: one key is one key, however often and under whatever name it signs."""

from collections.abc import Callable

import pytest
from msgspec import structs
from signed import signed_manifest, signed_report
from stage import DELEGATED, PLACES, READERS, SUPPLIER, Place, Stage, every
from wire import flooded, signatures_of, with_signatures
from world import PRIMARY, TCU, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.envelope import MAX_SIGNATURES
from uptane.metadata.errors import BadSignatureError, EndlessDataError, FormatError
from uptane.metadata.keys import KeyType, PublicKey
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

ARBITRARY = Attack.ARBITRARY_SOFTWARE
MANY = 100_000
LATER = 10**18
"""A counter that no report has reached."""


def by_one_key(stage: Stage, place: Place) -> bytes:
    """The next version of a role, signed by one key of the two that must sign."""
    return stage.forged(*place, signers=stage.signers(*place)[:1])


def copied(stage: Stage, place: Place) -> bytes:
    """That one signature again and again."""
    raw = by_one_key(stage, place)
    return with_signatures(stage.profile, raw, signatures_of(stage.profile, raw, place[1]) * 7)


def renamed(stage: Stage, place: Place) -> bytes:
    """That one signature, and once more in the name of the second key."""
    raw = by_one_key(stage, place)
    (one,) = signatures_of(stage.profile, raw, place[1])
    other = stage.signers(*place)[1].key.key_id
    return with_signatures(stage.profile, raw, [one, structs.replace(one, key_id=other)])


def beside_a_stranger(stage: Stage, place: Place) -> bytes:
    """One genuine signature and one by a key that nobody trusts."""
    return stage.forged(*place, signers=[stage.signers(*place)[0], new_signer()])


def in_a_trusted_name(stage: Stage, place: Place) -> bytes:
    """Two signatures by thieves, each in the name of a trusted key."""
    raw = stage.forged(*place, signers=[new_signer(), new_signer()])
    made = signatures_of(stage.profile, raw, place[1])
    names = [signer.key.key_id for signer in stage.signers(*place)]
    return with_signatures(
        stage.profile, raw, [structs.replace(one, key_id=name) for one, name in zip(made, names, strict=True)]
    )


def by_another_role(stage: Stage, place: Place) -> bytes:
    """Signed by keys that are trusted for another role, which have the same rights in the same file."""
    other = {"timestamp": "snapshot", "root": "targets", SUPPLIER: "targets"}.get(place[1], "timestamp")
    return stage.forged(*place, signers=stage.signers(place[0], other))


def unsigned(stage: Stage, place: Place) -> bytes:
    """Nobody signs."""
    return stage.forged(*place, signers=[])


def report(stage: Stage) -> bytes:
    """A report of the Secondary that would be its next one."""
    return signed_report(stage.profile, stage.car.tcu.device.signer, TCU, counter=LATER)


def manifest(stage: Stage) -> bytes:
    """A manifest that would be the vehicle's next one."""
    own = signed_report(stage.profile, stage.car.device.signer, PRIMARY, counter=LATER)
    return signed_manifest(stage.profile, stage.car.device.signer, own, counter=LATER)


@every(PLACES)
def test_cve_2020_6174_copies_of_one_signature_meet_no_threshold(profile: Profile, place: Place, reader: str) -> None:
    stage = Stage(profile, reader, keys=2)
    with stage.refuses(FormatError, None) as errors:
        stage.show(*place, copied(stage, place))
    assert errors[0].facts["field"] == "signatures"


@pytest.mark.parametrize("reader", READERS)
def test_cve_2020_6174_copies_of_the_timeservers_signature_are_refused(profile: Profile, reader: str) -> None:
    stage = Stage(profile, reader, keys=2)
    with stage.refuses(FormatError, None):
        raw = stage.fleet.timeserver.attest([stage.nonce], stage.fleet.now)
        stage.attest(with_signatures(profile, raw, signatures_of(profile, raw, TimeAttestation) * 2))


def test_cve_2020_6174_copies_of_an_ecus_signature_are_refused(profile: Profile) -> None:
    stage = Stage(profile)
    raw = report(stage)
    twice = with_signatures(profile, raw, signatures_of(profile, raw, EcuVersionReport) * 2)
    stage.refuses_report(twice, FormatError, None)
    raw = manifest(stage)
    twice = with_signatures(profile, raw, signatures_of(profile, raw, VehicleVersionManifest) * 2)
    stage.refuses_manifest(twice, FormatError, None)


@every(PLACES)
def test_cve_2020_15093_one_signature_under_two_names_meets_no_threshold(
    profile: Profile, place: Place, reader: str
) -> None:
    stage = Stage(profile, reader, keys=2)
    with stage.refuses(BadSignatureError, ARBITRARY) as errors:
        stage.show(*place, renamed(stage, place))
    assert (errors[0].facts["expected"], errors[0].facts["offered"]) == (2, 1)


@every(DELEGATED)
@pytest.mark.parametrize("forge", [by_one_key, beside_a_stranger, in_a_trusted_name, by_another_role, unsigned])
def test_cve_2026_6966_a_delegated_role_needs_its_threshold_of_its_own_keys(
    profile: Profile, place: Place, reader: str, forge: Callable[[Stage, Place], bytes]
) -> None:
    """The copies and the second names of one key are tried on delegated roles by the tests above."""
    stage = Stage(profile, reader, keys=2)
    with stage.refuses(BadSignatureError, ARBITRARY) as errors:
        stage.show(*place, forge(stage, place))
    assert errors[0].facts["role"] == place[1]


class Verifications:
    """Counts how often a signature is tried."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        verify = PublicKey.verify

        def counted(key: PublicKey, signature: bytes, message: bytes) -> bool:
            self.count += 1
            return verify(key, signature, message)

        patch.setattr(PublicKey, "verify", counted)


@every(PLACES)
def test_cve_2020_6173_a_file_full_of_signatures_costs_nothing(
    profile: Profile, place: Place, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many that the file is too large, and so few that only their number is; or that alone, in a bundle."""
    stage = Stage(profile, reader, keys=2)
    tried = Verifications(monkeypatch)
    stage.car.cycle()
    usual = tried.count
    for count, error, attack in (
        (MANY, EndlessDataError, Attack.ENDLESS_DATA),
        (MAX_SIGNATURES + 1, FormatError, None),
    )[reader == "secondary" :]:
        with stage.refuses(error, attack):
            stage.show(*place, flooded(profile, by_one_key(stage, place), count))
            tried.count = 0
        assert tried.count < 5 * usual


def test_cve_2020_6173_a_report_full_of_signatures_is_refused_untried(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(profile)
    tried = Verifications(monkeypatch)
    stage.refuses_report(flooded(profile, report(stage), MANY), EndlessDataError, Attack.ENDLESS_DATA)
    stage.refuses_manifest(flooded(profile, manifest(stage), MANY), FormatError, None)
    for stage.reader in READERS:
        with stage.refuses(FormatError, None):
            stage.attest(flooded(profile, stage.fleet.timeserver.attest([stage.nonce], stage.fleet.now), MANY))
    assert tried.count < 1000


@every(PLACES)
def test_ghsa_3633_5h82_39pq_a_key_signs_in_no_other_name_and_no_other_role(
    profile: Profile, place: Place, reader: str
) -> None:
    stage = Stage(profile, reader, keys=2)
    for forge in (in_a_trusted_name, by_another_role):
        with stage.refuses(BadSignatureError, ARBITRARY) as errors:
            stage.show(*place, forge(stage, place))
        assert errors[0].facts["offered"] == 0


@every(PLACES, READERS[:1])
def test_cve_2015_9258_the_key_says_by_which_scheme_it_is_tried_and_not_the_signature(
    profile: Profile, place: Place, reader: str
) -> None:
    """Good signatures of other kinds of keys, in the names of the role's Ed25519 keys."""
    stage = Stage(profile, reader, keys=2)
    with stage.refuses(BadSignatureError, ARBITRARY):
        thieves = [new_signer(KeyType.RSA), new_signer(KeyType.ECDSA)]
        raw = stage.forged(*place, signers=thieves)
        made = signatures_of(profile, raw, place[1])
        names = [signer.key.key_id for signer in stage.signers(*place)]
        stage.show(
            *place,
            with_signatures(
                profile, raw, [structs.replace(one, key_id=name) for one, name in zip(made, names, strict=True)]
            ),
        )


@pytest.mark.parametrize("method", ["rsassa-pss-sha256", "ecdsa-sha2-nistp256"])
def test_cve_2015_9258_the_method_in_a_report_or_manifest_is_that_of_the_key(profile: Profile, method: str) -> None:
    stage = Stage(profile)
    raw = report(stage)
    (entry,) = signatures_of(profile, raw, EcuVersionReport)
    raw = with_signatures(profile, raw, [structs.replace(entry, method=method)])
    stage.refuses_report(raw, BadSignatureError, ARBITRARY)
    raw = manifest(stage)
    (entry,) = signatures_of(profile, raw, VehicleVersionManifest)
    raw = with_signatures(profile, raw, [structs.replace(entry, method=method)])
    stage.refuses_manifest(raw, BadSignatureError, ARBITRARY)
