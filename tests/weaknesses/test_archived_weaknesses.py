"""The weaknesses of the archived implementation, 1 to 11: tests that it fails, of what ECUs and servers believe."""

import random
from datetime import timedelta

import pytest
from fleet import Fleet, Vehicle
from links import wait
from msgspec import structs
from signed import FACTORY, FRESH, PATH, signed_manifest, signed_report
from world import DIRECTOR, NOW, PRIMARY, TCU, VIN, new_signer

from uptane.assembly.vehicle import new_nonce
from uptane.formats.profile import Profile
from uptane.metadata.envelope import Signature
from uptane.metadata.errors import (
    BadSignatureError,
    BadTimeAttestationError,
    FormatError,
    ReplayedReportError,
    SpoofingError,
    UnreachableError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import Targets
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import MAX_NONCE, EcuVersionReport
from uptane.vehicle.secondary import Outcome
from uptane.verification.check_manifest import CheckedManifest

OTHER, OTHER_PRIMARY, OTHER_TCU = VehicleIdentifier("112"), EcuIdentifier("P112"), EcuIdentifier("S112")
BCU = EcuIdentifier("BCUdemocar")


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle after its first cycle."""
    car = Vehicle(Fleet(profile))
    car.cycle()
    car.primary.update_cycle()
    return car


@pytest.fixture
def other(car: Vehicle) -> Vehicle:
    """Another vehicle of the same fleet."""
    other = Vehicle(car.fleet, OTHER, OTHER_PRIMARY, OTHER_TCU)
    other.cycle()
    other.primary.update_cycle()
    return other


def counter(car: Vehicle, vin: VehicleIdentifier = VIN) -> int:
    """The next manifest counter of a vehicle."""
    return wait(car.fleet.director.vehicle(vin)).manifest_counter + 1


def next_report(car: Vehicle, ecu: EcuIdentifier) -> int:
    """The next report counter of an ECU."""
    return wait(car.fleet.director.ecu(ecu)).report_counter + 1


def own_report(car: Vehicle) -> bytes:
    """The next report of the Primary itself."""
    return signed_report(car.fleet.profile, car.device.signer, PRIMARY, counter=next_report(car, PRIMARY))


def hand_in(
    car: Vehicle, raw: bytes, vin: VehicleIdentifier = VIN, primary: EcuIdentifier = PRIMARY
) -> CheckedManifest:
    """Sends a manifest to the Director."""
    return wait(car.fleet.director.receive_manifest(vin, primary, raw, car.fleet.now))


@pytest.mark.lies_in_the_wire("pouf1")
@pytest.mark.parametrize("under", ["its own key", "its own key twice", "two keys"])
def test_weakness_01_one_signature_twice_does_not_satisfy_a_threshold_of_two(profile: Profile, under: str) -> None:
    car = Vehicle(Fleet(profile, keys=2, threshold=2))
    car.cycle()
    stolen, other = car.fleet.director_keys[Role.TIMESTAMP]
    genuine = profile.format.decode(Timestamp, car.fleet.file(DIRECTOR, Role.TIMESTAMP)).payload
    unsigned = profile.format.encode(structs.replace(genuine, version=genuine.version + 1))
    entry = Signature(key_id=stolen.key.key_id, value=stolen.sign(unsigned.message))
    entries = (entry,) if under == "its own key" else (entry, structs.replace(entry, key_id=other.key.key_id))
    raw = profile.format.assemble(unsigned, entries)
    if under == "its own key twice":
        for before, after in (
            (other.key.key_id.encode(), stolen.key.key_id.encode()),
            (bytes.fromhex(other.key.key_id), bytes.fromhex(stolen.key.key_id)),
        ):
            raw = raw.replace(before, after)
    with car.primary_refuses(FormatError if under == "its own key twice" else BadSignatureError):
        car.links.altered[DIRECTOR, profile.metadata_name(Role.TIMESTAMP)] = raw


@pytest.mark.standard("STD-5.3.2.1-10")
@pytest.mark.lies_in_the_wire("pouf1", "pouf1-json")
def test_weakness_02_a_manifest_that_was_sent_before_is_refused(car: Vehicle) -> None:
    told = car.fleet.reports(PRIMARY), car.fleet.reports(TCU)
    with pytest.raises(ReplayedReportError):
        hand_in(car, car.links.manifests[-1])
    with pytest.raises(ReplayedReportError):
        hand_in(car, car.links.manifests[0])
    assert (car.fleet.reports(PRIMARY), car.fleet.reports(TCU)) == told
    car.cycle()


@pytest.mark.standard("STD-5.3.2.1-1")
def test_weakness_03_the_manifest_of_one_car_is_not_stored_under_another(car: Vehicle, other: Vehicle) -> None:
    before = wait(car.fleet.director.vehicle(OTHER))
    for primary in (PRIMARY, OTHER_PRIMARY):
        with pytest.raises(WrongVehicleError):
            hand_in(car, car.primary.make_manifest(), OTHER, primary)
    assert wait(car.fleet.director.vehicle(OTHER)) == before
    car.cycle()
    other.cycle()


@pytest.mark.standard("STD-5.3.2.1-6")
def test_weakness_04_no_ecu_but_the_primary_signs_for_the_vehicle(car: Vehicle) -> None:
    signer = car.tcu.device.signer
    raw = signed_manifest(car.fleet.profile, signer, counter=counter(car), primary=TCU)
    with pytest.raises(SpoofingError):
        hand_in(car, raw, primary=TCU)
    with pytest.raises(BadSignatureError):
        hand_in(car, signed_manifest(car.fleet.profile, signer, counter=counter(car)))
    car.cycle()


def test_weakness_05_a_primary_cannot_report_for_the_ecu_of_another_car(car: Vehicle, other: Vehicle) -> None:
    foreign = other.secondary.make_report().raw
    told = car.fleet.reports(OTHER_TCU)
    raw = signed_manifest(car.fleet.profile, car.device.signer, own_report(car), foreign, counter=counter(car))
    checked = hand_in(car, raw)
    assert checked.strangers == (OTHER_TCU,)
    assert {*checked.repeated, *(report.envelope.payload.ecu for report in checked.fresh)} == {PRIMARY}
    assert car.fleet.reports(OTHER_TCU) == told
    other.cycle()


def test_weakness_06_a_manifest_is_judged_by_all_of_its_signatures(car: Vehicle) -> None:
    profile, codec = car.fleet.profile, car.fleet.profile.format
    genuine, forged = (
        codec.decode(VehicleVersionManifest, signed_manifest(profile, signer, own_report(car), counter=counter(car)))
        for signer in (car.device.signer, car.fleet.new_key())
    )
    unsigned = codec.encode(genuine.payload)
    for entries in ((), forged.signatures):
        with pytest.raises(BadSignatureError):
            hand_in(car, codec.assemble(unsigned, entries))
    hand_in(car, codec.assemble(unsigned, forged.signatures + genuine.signatures))


def test_weakness_06_a_report_is_judged_by_all_of_its_signatures(car: Vehicle) -> None:
    profile, codec = car.fleet.profile, car.fleet.profile.format
    genuine, forged = (
        codec.decode(EcuVersionReport, signed_report(profile, signer, TCU, counter=next_report(car, TCU)))
        for signer in (car.tcu.device.signer, car.fleet.new_key())
    )
    unsigned, key = codec.encode(genuine.payload), car.device.signer
    for entries in ((), forged.signatures):
        bad = codec.assemble(unsigned, entries)
        raw = signed_manifest(profile, key, own_report(car), bad, counter=counter(car))
        if profile.unsafe_unverified_reports:
            assert hand_in(car, raw).refused == (TCU,)
        else:
            with pytest.raises(BadSignatureError):
                hand_in(car, raw)
    both = codec.assemble(unsigned, forged.signatures + genuine.signatures)
    checked = hand_in(car, signed_manifest(profile, key, own_report(car), both, counter=counter(car)))
    assert TCU in {*checked.repeated, *(fresh.envelope.payload.ecu for fresh in checked.fresh)}
    if not profile.unsafe_no_report_counter:  # without a counter it says what the last one said
        assert car.fleet.reports(TCU)[0].report == both


@pytest.mark.standard("STD-5.2.3.1-6")
@pytest.mark.lies_in_the_wire("pouf1", "pouf1-json")
def test_weakness_07_metadata_of_one_vehicle_is_worth_nothing_for_another(car: Vehicle, other: Vehicle) -> None:
    targets = car.fleet.profile.format.decode(Targets, car.fleet.file(DIRECTOR, Role.TARGETS, OTHER)).payload
    assert dict(targets.images) == {}
    car.fleet.release(PATH, FRESH)
    with car.primary_refuses(WrongVehicleError):
        for name, raw in car.fleet.published(OTHER).items():
            car.links.altered[DIRECTOR, name] = raw
    assert car.running() == FRESH
    assert other.running() == FACTORY


@pytest.mark.lies_in_the_wire("pouf1", "pouf1-json")
def test_weakness_08_a_path_is_assigned_again_and_one_image_goes_to_two_ecus(car: Vehicle) -> None:
    bcu = car.add_secondary(BCU)
    first = car.fleet.release(PATH, FRESH)
    car.fleet.direct(first, bcu.ecu)
    car.cycle()
    assert (car.running(), bcu.device.running()) == (FRESH, FRESH)
    second = car.fleet.add_image("other.img", b"other")
    car.fleet.direct(second, TCU)
    car.cycle()
    assert (car.running(), bcu.device.running()) == (b"other", FRESH)


def test_weakness_09_an_image_is_offered_once_it_is_here_and_as_long_as_it_is_assigned(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    car.links.down |= {"mirror 1", "mirror 2"}
    with pytest.raises(UnreachableError):
        car.primary.update_cycle()
    door = car.primary.secondaries
    assert (door.update_exists_for_ecu(TCU), door.get_image(TCU)) == (False, None)
    car.links.restore()
    car.primary.update_cycle()
    assert (door.update_exists_for_ecu(TCU), door.get_image(TCU)) == (True, (PATH, FRESH))
    car.fleet.clear()
    car.primary.update_cycle()
    assert (door.update_exists_for_ecu(TCU), door.get_image(TCU)) == (False, None)
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE


@pytest.mark.standard("STD-5.4.2.1.1-9")
@pytest.mark.lies_in_the_wire("pouf1", "pouf1-json")
def test_weakness_10_a_primary_verifies_reports_reports_itself_and_installs_for_itself(car: Vehicle) -> None:
    forged = signed_report(car.fleet.profile, new_signer(), TCU, counter=next_report(car, TCU) + 1)
    with pytest.raises(BadSignatureError):
        car.primary.secondaries.register_ecu_manifest(VIN, TCU, 0, forged)
    car.fleet.release("head unit.img", FRESH, PRIMARY)
    car.primary.update_cycle()
    assert car.device.running() == FRESH
    car.primary.update_cycle()
    newest = car.fleet.profile.format.decode(EcuVersionReport, car.fleet.reports(PRIMARY)[0].report).payload
    assert newest.installed.path == "head unit.img"


def test_weakness_11_time_never_goes_backwards(car: Vehicle) -> None:
    car.fleet.later(hours=20)
    car.cycle()
    car.cycle()
    late = car.fleet.now
    car.fleet.now = NOW
    with pytest.raises(BadTimeAttestationError):
        car.primary.update_cycle()
    assert car.primary.memory.state.time == late
    nonce = car.secondary.memory.state.nonce
    car.link.swapped_attestation = car.fleet.timeserver.attest([nonce], NOW)
    car.secondary.update_cycle()
    assert car.secondary.memory.state.time == late


@pytest.mark.standard("STD-5.4.2.2-1")
def test_weakness_11_an_attestation_that_nobody_asked_for_is_believed_by_nobody(car: Vehicle) -> None:
    old = car.fleet.timeserver.attest([], NOW + timedelta(days=3))
    with car.primary_refuses(BadTimeAttestationError):
        car.links.attestation = old
    before = car.secondary.memory.state.time
    car.link.swapped_attestation = old
    car.secondary.update_cycle()
    assert car.secondary.memory.state.time == before


def test_weakness_11_a_nonce_is_used_once_and_comes_from_a_cryptographic_source(car: Vehicle) -> None:
    seen: list[int] = []
    for _ in range(4):
        car.cycle()
        seen += car.links.nonces
    assert len(set(seen)) == len(seen)
    drawn = []
    for _ in range(2):
        random.seed(1)
        drawn += [new_nonce() for _ in range(3)]
    assert len(set(drawn)) == 6
    assert all(0 <= nonce <= MAX_NONCE for nonce in drawn)
