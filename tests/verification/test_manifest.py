"""Which manifests and reports a Director believes (5.3.2.1)."""

from collections.abc import Mapping

import pytest
from msgspec import structs
from world import NOW, PRIMARY, TCU, VIN, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.digests import Digests
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import (
    BadSignatureError,
    FormatError,
    ReplayedReportError,
    SpoofingError,
    UnknownEcuError,
    UptaneError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.targets import ImageFile
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.verification.check_manifest import CheckedManifest, KnownEcu, check_manifest, check_report

OTHER, STRANGER = EcuIdentifier("brakes"), EcuIdentifier("stranger")
FILE = ImageFile(path=ImagePath("a.img"), length=1, digests=Digests.of(b"a"))


class Vehicle:
    """Three ECUs with their keys, and what the Director has on record of them."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.signers = {ecu: new_signer() for ecu in (PRIMARY, TCU, OTHER, STRANGER)}
        self.known = {
            ecu: KnownEcu(key=self.signers[ecu].key, is_primary=ecu == PRIMARY) for ecu in (PRIMARY, TCU, OTHER)
        }
        self.counter = 0

    def report(
        self, ecu: EcuIdentifier, counter: int, *, signer: KeySigner | None = None, attacks: str = ""
    ) -> Envelope[EcuVersionReport]:
        report = EcuVersionReport(
            ecu=ecu,
            installed=FILE,
            attacks_detected=attacks,
            time=NOW,
            previous_time=NOW,
            counter=counter,
            nonce=1,
        )
        raw = sign(self.profile, report, [signer or self.signers[ecu]])
        return self.profile.format.decode(EcuVersionReport, raw)

    def manifest(
        self,
        *reports: Envelope[EcuVersionReport],
        counter: int = 1,
        vehicle: str = VIN,
        primary: EcuIdentifier = PRIMARY,
        signer: KeySigner | None = None,
    ) -> Envelope[VehicleVersionManifest]:
        manifest = VehicleVersionManifest(
            vehicle=VehicleIdentifier(vehicle), primary=primary, reports=reports, counter=counter
        )
        raw = sign(self.profile, manifest, [signer or self.signers[PRIMARY]])
        return self.profile.format.decode(VehicleVersionManifest, raw)

    def check(self, manifest: Envelope[VehicleVersionManifest], primary: EcuIdentifier = PRIMARY) -> CheckedManifest:
        return check_manifest(
            manifest, profile=self.profile, vehicle=VIN, primary=primary, known=self.known, counter=self.counter
        )

    def accept(self, manifest: Envelope[VehicleVersionManifest]) -> CheckedManifest:
        """Checks it and keeps the record as a Director does."""
        checked = self.check(manifest)
        self.counter = checked.counter
        for fresh in checked.fresh:
            ecu = fresh.envelope.payload.ecu
            self.known[ecu] = structs.replace(self.known[ecu], counter=fresh.counter, report=fresh.envelope.raw)
        return checked

    def refuses(
        self, manifest: Envelope[VehicleVersionManifest], error: type[UptaneError], primary: EcuIdentifier = PRIMARY
    ) -> Mapping[str, object]:
        """The Director refuses; its record stays as it was and a clean manifest is accepted afterwards."""
        before = (dict(self.known), self.counter)
        with pytest.raises(UptaneError) as refusal:
            self.check(manifest, primary)
        assert type(refusal.value) is error
        assert (self.known, self.counter) == before
        self.check(self.manifest(self.report(PRIMARY, 1000), self.report(TCU, 1000), counter=1000))
        return refusal.value.facts


@pytest.fixture
def vehicle(profile: Profile) -> Vehicle:
    return Vehicle(profile)


@pytest.mark.standard("STD-5.3.2.1-5")
def test_a_good_manifest_says_which_reports_are_new_and_which_are_missing(vehicle: Vehicle) -> None:
    primary, tcu = vehicle.report(PRIMARY, 5), vehicle.report(TCU, 9, attacks="freeze")
    checked = vehicle.accept(vehicle.manifest(tcu, primary))
    assert {report.envelope.payload.ecu for report in checked.fresh} == {PRIMARY, TCU}
    assert (checked.repeated, checked.missing) == ((), (OTHER,))


@pytest.mark.standard("STD-5.3.2.1-10")
def test_the_latest_report_again_is_accepted_but_no_new_evidence(vehicle: Vehicle) -> None:
    tcu = vehicle.report(TCU, 9)
    vehicle.accept(vehicle.manifest(vehicle.report(PRIMARY, 5), tcu, counter=1))
    checked = vehicle.accept(vehicle.manifest(vehicle.report(PRIMARY, 6), tcu, counter=2))
    assert checked.repeated == (TCU,)
    assert [report.envelope.payload.ecu for report in checked.fresh] == [PRIMARY]


@pytest.mark.standard("STD-5.3.2.1-10")
@pytest.mark.parametrize(("counter", "attacks"), [(9, "changed"), (8, ""), (1, "")])
def test_an_older_report_or_the_same_counter_with_other_bytes_is_a_replay(
    vehicle: Vehicle, counter: int, attacks: str
) -> None:
    vehicle.accept(vehicle.manifest(vehicle.report(PRIMARY, 5), vehicle.report(TCU, 9)))
    replayed = vehicle.report(TCU, counter, attacks=attacks)
    facts = vehicle.refuses(vehicle.manifest(vehicle.report(PRIMARY, 6), replayed, counter=2), ReplayedReportError)
    assert (facts["ecu"], facts["expected"], facts["offered"]) == (TCU, 10, counter)


@pytest.mark.standard("STD-5.3.2.1-10")
def test_the_primarys_own_report_must_rise(vehicle: Vehicle) -> None:
    own = vehicle.report(PRIMARY, 5)
    vehicle.accept(vehicle.manifest(own))
    facts = vehicle.refuses(vehicle.manifest(own, counter=2), ReplayedReportError)
    assert facts["ecu"] == PRIMARY


@pytest.mark.standard("STD-5.3.2.1-10")
@pytest.mark.parametrize("counter", [1, 4, 5])
def test_the_counter_of_the_manifest_must_rise(vehicle: Vehicle, counter: int) -> None:
    vehicle.accept(vehicle.manifest(vehicle.report(PRIMARY, 5), counter=5))
    facts = vehicle.refuses(vehicle.manifest(vehicle.report(PRIMARY, 6), counter=counter), ReplayedReportError)
    assert (facts["expected"], facts["offered"]) == (6, counter)
    assert ReplayedReportError("x").attack is Attack.REPLAY


@pytest.mark.standard("STD-5.3.2.1-6", "STD-5.3.2.1-1", "STD-5.4.2.1.1-6")
def test_a_manifest_of_another_vehicle_is_refused(vehicle: Vehicle) -> None:
    manifest = vehicle.manifest(vehicle.report(PRIMARY, 5), vehicle="othercar")
    facts = vehicle.refuses(manifest, WrongVehicleError)
    assert (facts["expected"], facts["offered"]) == (VIN, "othercar")


@pytest.mark.standard("STD-5.4.2.1.1-9")
def test_a_manifest_without_the_primarys_own_report_is_refused(vehicle: Vehicle) -> None:
    facts = vehicle.refuses(vehicle.manifest(vehicle.report(TCU, 9)), FormatError)
    assert facts["field"] == "reports"


@pytest.mark.standard("STD-5.3.2.1-6", "STD-5.4.2.1.1-7")
def test_a_manifest_in_the_name_of_another_primary_is_spoofing(vehicle: Vehicle) -> None:
    manifest = vehicle.manifest(vehicle.report(PRIMARY, 5))
    vehicle.refuses(manifest, SpoofingError, primary=OTHER)


@pytest.mark.standard("STD-5.4.2.1.1-7", "STD-5.3.2.1-6")
def test_a_primary_that_names_another_ecu_as_the_primary_is_spoofing(vehicle: Vehicle) -> None:
    """Its signature is genuine; what it signed is not what it is."""
    for other in (TCU, STRANGER):
        facts = vehicle.refuses(vehicle.manifest(vehicle.report(PRIMARY, 5), primary=other), SpoofingError)
        assert (facts["expected"], facts["offered"]) == (PRIMARY, other)


@pytest.mark.standard("STD-5.3.2.1-6")
def test_a_secondary_cannot_play_the_primary(vehicle: Vehicle) -> None:
    manifest = vehicle.manifest(vehicle.report(TCU, 5), primary=TCU, signer=vehicle.signers[TCU])
    vehicle.refuses(manifest, SpoofingError, primary=TCU)


@pytest.mark.standard("STD-5.3.2.1-2", "STD-5.3.2.1-6")
def test_an_unregistered_primary_is_refused(vehicle: Vehicle) -> None:
    manifest = vehicle.manifest(primary=STRANGER, signer=vehicle.signers[STRANGER])
    vehicle.refuses(manifest, UnknownEcuError, primary=STRANGER)


@pytest.mark.standard("STD-5.3.2.1-7", "STD-5.3.2.1-6")
@pytest.mark.parametrize("signer", [TCU, STRANGER])
def test_a_manifest_that_the_primary_did_not_sign_is_refused(vehicle: Vehicle, signer: EcuIdentifier) -> None:
    manifest = vehicle.manifest(vehicle.report(PRIMARY, 5), signer=vehicle.signers[signer])
    facts = vehicle.refuses(manifest, BadSignatureError)
    assert facts["expected"] == vehicle.signers[PRIMARY].key.key_id
    assert facts["offered"] == [vehicle.signers[signer].key.key_id]


@pytest.mark.standard("STD-5.3.2.1-4")
@pytest.mark.standard("STD-5.3.2.1-7")
@pytest.mark.parametrize("signer", [PRIMARY, OTHER, STRANGER])
def test_one_report_that_its_ecu_did_not_sign_drops_the_whole_manifest(vehicle: Vehicle, signer: EcuIdentifier) -> None:
    """A compromised Primary cannot make up what a Secondary reports."""
    forged = vehicle.report(TCU, 9, signer=vehicle.signers[signer])
    manifest = vehicle.manifest(vehicle.report(PRIMARY, 5), vehicle.report(OTHER, 3), forged)
    facts = vehicle.refuses(manifest, BadSignatureError)
    assert facts["signer"] == f"ECU {TCU}"


@pytest.mark.standard("STD-5.3.2.1-5")
def test_a_report_of_an_ecu_that_is_not_in_the_vehicle_is_set_aside(vehicle: Vehicle) -> None:
    checked = vehicle.check(vehicle.manifest(vehicle.report(PRIMARY, 9), vehicle.report(STRANGER, 9)))
    assert checked.strangers == (STRANGER,)
    assert [report.envelope.payload.ecu for report in checked.fresh] == [PRIMARY]


@pytest.mark.standard("STD-5.4.2.1.2-6")
def test_a_primary_refuses_a_report_in_the_name_of_another_ecu(vehicle: Vehicle) -> None:
    with pytest.raises(SpoofingError) as refusal:
        check_report(vehicle.report(OTHER, 5), TCU, vehicle.known[TCU], profile=vehicle.profile, may_repeat=True)
    assert (refusal.value.facts["expected"], refusal.value.facts["offered"]) == (TCU, OTHER)


@pytest.mark.standard("STD-5.4.2.1.1-8")
def test_a_report_taken_out_of_a_manifest_is_the_report_that_went_in(vehicle: Vehicle) -> None:
    """Byte for byte: otherwise its repetition would look like a forgery."""
    tcu = vehicle.report(TCU, 9)
    manifest = vehicle.manifest(vehicle.report(PRIMARY, 5), tcu)
    inside = {report.payload.ecu: report for report in manifest.payload.reports}
    assert inside[TCU] == tcu
