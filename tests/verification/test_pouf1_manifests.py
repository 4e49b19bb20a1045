"""POUF-1: manifests and reports without counters, of several reports or of none, and what is still refused."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from msgspec import structs
from signed import factory_file
from world import NOW, PRIMARY, TCU, VIN, new_signer

from uptane.formats.profile import Format, PayloadT, Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.errors import BadSignatureError, FormatError, ReplayedReportError, SpoofingError, WrongVehicleError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.keys import KeyIdRule
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.verification.check_manifest import CheckedManifest, KnownEcu, check_manifest


@dataclass
class Director:
    """What a Director has on record of one vehicle, and the keys of its ECUs."""

    profile: Profile
    signers: dict[EcuIdentifier, KeySigner] = field(default_factory=dict)
    known: dict[EcuIdentifier, KnownEcu] = field(default_factory=dict)
    counter: int = 0
    last: bytes | None = None

    def __post_init__(self) -> None:
        for ecu in (PRIMARY, TCU):
            self.signers[ecu] = new_signer(id_rule=KeyIdRule.POUF1)
            self.known[ecu] = KnownEcu(key=self.signers[ecu].key, is_primary=ecu == PRIMARY)

    def report(
        self,
        ecu: EcuIdentifier = TCU,
        time: datetime = NOW,
        attacks: str = "",
        signer: KeySigner | None = None,
    ) -> Envelope[EcuVersionReport]:
        """A signed report."""
        payload = EcuVersionReport(
            ecu=ecu,
            installed=factory_file(),
            attacks_detected=attacks,
            time=time,
            previous_time=NOW,
            counter=None,
            nonce=None,
        )
        raw = sign(self.profile, payload, [signer or self.signers[ecu]])
        return self.profile.format.decode(EcuVersionReport, raw)

    def manifest(
        self, *reports: Envelope[EcuVersionReport], vehicle: str = VIN, signer: KeySigner | None = None
    ) -> Envelope[VehicleVersionManifest]:
        """A signed manifest."""
        payload = VehicleVersionManifest(
            vehicle=VehicleIdentifier(vehicle), primary=PRIMARY, reports=reports, counter=None
        )
        raw = sign(self.profile, payload, [signer or self.signers[PRIMARY]])
        return self.profile.format.decode(VehicleVersionManifest, raw)

    def take(self, manifest: Envelope[VehicleVersionManifest]) -> CheckedManifest:
        """Checks it, and keeps what a Director keeps."""
        checked = check_manifest(
            manifest,
            profile=self.profile,
            vehicle=VIN,
            primary=PRIMARY,
            known=self.known,
            counter=self.counter,
            last=self.last,
        )
        if checked.counter != self.counter:
            self.counter, self.last = checked.counter, manifest.raw
        for fresh in checked.fresh:
            ecu = fresh.envelope.payload.ecu
            known = self.known[ecu]
            earlier = known.earlier if known.report is None else (known.report, *known.earlier)
            self.known[ecu] = structs.replace(known, counter=fresh.counter, report=fresh.envelope.raw, earlier=earlier)
        return checked


@pytest.fixture(params=["pouf1", "pouf1-json"])
def director(request: pytest.FixtureRequest) -> Director:
    """A Director that knows a Primary and a Secondary."""
    return Director(PROFILES[request.param])


def test_a_first_manifest_may_be_empty(director: Director) -> None:
    checked = director.take(director.manifest())
    assert (checked.fresh, set(checked.missing)) == ((), {PRIMARY, TCU})


def test_several_reports_of_one_ecu_are_counted_in_their_order(director: Director) -> None:
    later = NOW + timedelta(seconds=9)
    checked = director.take(director.manifest(director.report(), director.report(time=later)))
    assert [fresh.counter for fresh in checked.fresh] == [1, 2]
    assert director.known[TCU].report == checked.fresh[1].envelope.raw
    assert checked.fresh[1].envelope.payload.time == later


def test_an_identical_manifest_has_no_effect(director: Director) -> None:
    manifest = director.manifest(director.report(), director.report(time=NOW + timedelta(seconds=9)))
    director.take(manifest)
    before = (dict(director.known), director.counter, director.last)
    checked = director.take(manifest)
    assert (checked.fresh, checked.repeated) == ((), (TCU,))
    assert (director.known, director.counter, director.last) == before


def test_a_report_of_an_older_time_is_a_replay(director: Director) -> None:
    old = director.report()
    director.take(director.manifest(old))
    director.take(director.manifest(director.report(time=NOW + timedelta(seconds=1))))
    before = dict(director.known)
    with pytest.raises(ReplayedReportError) as refusal:
        director.take(director.manifest(old))
    assert refusal.value.facts["offered"] == NOW
    assert director.known == before


def test_the_latest_report_again_is_no_new_evidence(director: Director) -> None:
    report = director.report()
    director.take(director.manifest(report))
    checked = director.take(director.manifest(report, director.report(PRIMARY)))
    assert checked.repeated == (TCU,)
    assert [fresh.envelope.payload.ecu for fresh in checked.fresh] == [PRIMARY]


def test_a_report_with_a_bad_signature_is_set_aside_and_the_rest_is_believed(director: Director) -> None:
    """A Primary cannot tell such a report: whoever reaches its door could silence the vehicle otherwise."""
    forged = director.report(signer=new_signer(id_rule=KeyIdRule.POUF1))
    checked = director.take(director.manifest(forged, director.report(PRIMARY)))
    assert checked.refused == (TCU,)
    assert [fresh.envelope.payload.ecu for fresh in checked.fresh] == [PRIMARY]
    assert director.known[TCU].report is None


def test_a_manifest_by_another_key_is_refused(director: Director) -> None:
    with pytest.raises(BadSignatureError):
        director.take(director.manifest(signer=new_signer(id_rule=KeyIdRule.POUF1)))
    assert director.counter == 0


def test_a_manifest_of_another_vehicle_is_refused(director: Director) -> None:
    """The archived Director stored it: weakness 3."""
    with pytest.raises(WrongVehicleError):
        director.take(director.manifest(vehicle="112"))


def test_a_manifest_by_an_ecu_that_is_not_the_primary_is_refused(director: Director) -> None:
    """The archived Director took any ECU for a Primary: weakness 4."""
    director.known[PRIMARY] = structs.replace(director.known[PRIMARY], is_primary=False)
    with pytest.raises(SpoofingError):
        director.take(director.manifest())


def with_junk(codec: Format, envelope: Envelope[PayloadT], signers: int = 2) -> Envelope[PayloadT]:
    """The same with signatures of strangers beside it, which anybody can add."""
    junk = tuple(
        Signature(key_id=new_signer(id_rule=KeyIdRule.POUF1).key.key_id, value=bytes(64)) for _ in range(signers)
    )
    raw = codec.assemble(codec.encode(envelope.payload), (*envelope.signatures, *junk))
    return codec.decode(type(envelope.payload), raw)


def test_a_strangers_signature_beside_a_manifest_makes_it_no_news(director: Director) -> None:
    manifest = director.manifest(director.report())
    director.take(manifest)
    before = (dict(director.known), director.counter, director.last)
    again = with_junk(director.profile.format, manifest)
    assert again.raw != manifest.raw
    assert director.take(again).fresh == ()
    assert (director.known, director.counter, director.last) == before


def test_a_strangers_signature_beside_a_report_makes_it_no_news(director: Director) -> None:
    report = director.report()
    director.take(director.manifest(report))
    checked = director.take(director.manifest(with_junk(director.profile.format, report)))
    assert (checked.fresh, checked.repeated) == ((), (TCU,))


def test_a_manifest_that_says_nothing_new_does_not_replace_the_last_one(director: Director) -> None:
    first, second = director.manifest(), director.manifest(director.report())
    director.take(first)
    director.take(second)
    director.take(first)
    assert director.last == second.raw


def test_reports_of_one_second_are_each_taken_once(director: Director) -> None:
    one, two = director.report(), director.report(attacks="seen")
    for _ in range(3):
        for report in (one, two):
            director.take(director.manifest(report))
    assert director.known[TCU].counter == 2


def test_an_old_report_beside_a_new_one_is_set_aside(director: Director) -> None:
    """Whoever reaches a Primary's door can hand in an old one, which the Primary cannot tell."""
    old = director.report()
    director.take(director.manifest(old))
    director.take(director.manifest(director.report(time=NOW + timedelta(seconds=1))))
    checked = director.take(director.manifest(old, director.report(PRIMARY, NOW + timedelta(seconds=2))))
    assert checked.refused == (TCU,)
    assert [fresh.envelope.payload.ecu for fresh in checked.fresh] == [PRIMARY]


@pytest.mark.standard("STD-5.2-2")
def test_where_line_ends_are_not_allowed_the_director_refuses_them(director: Director) -> None:
    director.profile = replace(director.profile, unsafe_newlines_in_attacks=False)
    with pytest.raises(FormatError):
        director.take(director.manifest(director.report(attacks="one\ntwo")))


def test_attacks_may_be_several_lines(director: Director) -> None:
    report = director.report(attacks="one\ntwo\n")
    (fresh,) = director.take(director.manifest(report)).fresh
    assert fresh.envelope.payload.attacks_detected == "one\ntwo\n"
