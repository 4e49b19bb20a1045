"""Secondaries and their Primary: whose key counts, whose report is believed, and what outlives a restart."""

import pytest
from fleet import Fleet, Vehicle
from msgspec import structs
from signed import FACTORY, FRESH, PATH, factory_file, signed_report
from world import PRIMARY, TCU, VIN, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    BadSignatureError,
    FormatError,
    ReplayedReportError,
    SpoofingError,
    UnknownEcuError,
    UnknownVehicleError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.version_report import EcuVersionReport
from uptane.vehicle.secondaries import Secondaries
from uptane.vehicle.secondary import Outcome

BCU = EcuIdentifier("BCUdemocar")


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle after its first cycle."""
    car = Vehicle(Fleet(profile))
    car.cycle()
    return car


@pytest.fixture
def door(car: Vehicle) -> Secondaries:
    """The Primary's door for Secondaries."""
    return car.primary.secondaries


def key_of(car: Vehicle, signer: object = None) -> bytes:
    """An encoded public key; a new one when none is given."""
    return car.fleet.profile.format.encode_key((signer or new_signer()).key)  # type: ignore[attr-defined]


def test_the_first_key_of_a_secondary_wins(car: Vehicle, door: Secondaries) -> None:
    key = key_of(car)
    door.register_new_secondary(BCU)
    door.register_new_secondary(BCU)
    door.register_new_secondary(BCU, key)
    door.register_new_secondary(BCU, key)
    door.register_new_secondary(BCU)
    with pytest.raises(SpoofingError):
        door.register_new_secondary(BCU, key_of(car))
    assert door.known() == (BCU, TCU)


@pytest.mark.standard("STD-5.4.2.1.2-1")
def test_a_secondary_without_a_key_gets_metadata_but_its_reports_are_not_believed(
    car: Vehicle, door: Secondaries
) -> None:
    door.register_new_secondary(BCU)
    assert door.get_metadata(BCU) == door.get_metadata(TCU)
    with pytest.raises(UnknownEcuError):
        door.register_ecu_manifest(VIN, BCU, 0, signed_report(car.fleet.profile, new_signer(), BCU, counter=1))


def test_nobody_registers_as_the_primary_itself(car: Vehicle, door: Secondaries) -> None:
    with pytest.raises(SpoofingError):
        door.register_new_secondary(PRIMARY, key_of(car))


@pytest.mark.standard("STD-5.4.1-6")
def test_two_secondaries_cannot_share_a_key(car: Vehicle, door: Secondaries) -> None:
    with pytest.raises(SpoofingError) as caught:
        door.register_new_secondary(BCU, key_of(car, car.tcu.device.signer))
    assert caught.value.facts["owner"] == TCU
    assert door.known() == (TCU,)


def test_what_is_no_key_is_refused(door: Secondaries) -> None:
    with pytest.raises(FormatError):
        door.register_new_secondary(BCU, b"no key")
    assert door.known() == (TCU,)


class Reports:
    """Reports of the vehicle's Secondary, genuine and not."""

    def __init__(self, car: Vehicle) -> None:
        self.profile, self.device = car.fleet.profile, car.tcu.device
        self.counter = car.secondary.memory.state.counter

    def make(self, **changes: object) -> bytes:
        """A report that would be accepted, but for what is changed."""
        facts: dict[str, object] = {"signer": self.device.signer, "ecu": TCU, "counter": self.counter + 1, "nonce": 5}
        return signed_report(self.profile, **(facts | changes))  # type: ignore[arg-type]

    def with_lie(self) -> bytes:
        """A genuine report whose attack indicator was changed after it was signed."""
        genuine = self.profile.format.decode(EcuVersionReport, self.make())
        lie = structs.replace(genuine.payload, attacks_detected="Everything is great, I PROMISE!")
        return self.profile.format.assemble(self.profile.format.encode(lie), genuine.signatures)


@pytest.mark.parametrize(
    ("case", "error"),
    [
        ("changed attack text", BadSignatureError),
        ("signed by somebody else", BadSignatureError),
        ("of another ECU", SpoofingError),
        ("other nonce", SpoofingError),
        ("replayed", ReplayedReportError),
        ("same counter, other bytes", ReplayedReportError),
        ("other vehicle", UnknownVehicleError),
        ("unknown ECU", UnknownEcuError),
        ("garbage", FormatError),
    ],
)
@pytest.mark.standard("STD-5.4.3.6-2", "STD-5.4.2.1.2-6")
@pytest.mark.standard("STD-5.3.2.1-10")
def test_a_report_that_is_not_its_secondarys_next_one_is_refused_and_not_stored(
    car: Vehicle, door: Secondaries, case: str, error: type[UptaneError]
) -> None:
    reports = Reports(car)
    before = car.device.store.read(f"secondary/{TCU}/report")
    vin, ecu, nonce = VIN, TCU, 5
    raw = reports.make()
    match case:
        case "changed attack text":
            raw = reports.with_lie()
        case "signed by somebody else":
            raw = reports.make(signer=new_signer())
        case "of another ECU":
            door.register_new_secondary(BCU, key_of(car))
            ecu = BCU
        case "other nonce":
            nonce = 6
        case "replayed":
            raw = reports.make(counter=reports.counter - 1)
        case "same counter, other bytes":
            raw = reports.make(counter=reports.counter, attacks="none of it")
        case "other vehicle":
            vin = VehicleIdentifier("112")
        case "unknown ECU":
            ecu = BCU
        case "garbage":
            raw = b"garbage"
    with pytest.raises(error) as caught:
        door.register_ecu_manifest(vin, ecu, nonce, raw)
    assert type(caught.value) is error
    assert car.device.store.read(f"secondary/{TCU}/report") == before
    assert car.device.store.read(f"secondary/{BCU}/report") is None
    door.register_ecu_manifest(VIN, TCU, 5, reports.make())
    car.primary.update_cycle()
    assert car.fleet.reports(TCU)[0].report == reports.make()


def test_the_latest_report_may_come_twice(car: Vehicle, door: Secondaries) -> None:
    raw = Reports(car).make()
    door.register_ecu_manifest(VIN, TCU, 5, raw)
    door.register_ecu_manifest(VIN, TCU, 5, raw)
    car.primary.update_cycle()
    told = len(car.fleet.reports(TCU))
    car.primary.update_cycle()
    assert len(car.fleet.reports(TCU)) == told


@pytest.mark.standard("STD-3.2.2.1-3")
@pytest.mark.parametrize("ask", ["get_metadata", "get_image", "update_exists_for_ecu", "get_time_attestation_for_ecu"])
def test_an_ecu_that_did_not_register_gets_nothing(door: Secondaries, ask: str) -> None:
    with pytest.raises(UnknownEcuError):
        getattr(door, ask)(BCU)


@pytest.mark.standard("STD-5.4-7")
def test_nobody_gets_anything_before_the_first_good_cycle(profile: Profile) -> None:
    door = Vehicle(Fleet(profile)).primary.secondaries
    for ask in (door.get_metadata, door.get_time_attestation_for_ecu):
        with pytest.raises(UptaneError) as caught:
            ask(TCU)
        assert caught.value.code == "E-NET"
        assert "update cycle" in caught.value.next_step


@pytest.mark.standard("STD-5.4.3.6-2", "STD-5.4.2.1-5", "STD-5.4.2.5-1")
def test_a_primary_that_restarts_knows_its_secondaries_and_serves_them_again(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    before = car.primary.secondaries
    bundle, attestation = before.get_metadata(TCU), before.get_time_attestation_for_ecu(TCU)
    reports = [report.raw for report in before.reports()]
    car.restart_primary()
    after = car.primary.secondaries
    assert after is not before
    assert (after.get_metadata(TCU), after.get_time_attestation_for_ecu(TCU)) == (bundle, attestation)
    assert [report.raw for report in after.reports()] == reports
    with pytest.raises(SpoofingError):
        after.register_new_secondary(TCU, key_of(car))
    assert car.running() == FACTORY
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH


def test_the_primary_asks_for_the_time_with_every_nonce_once(car: Vehicle) -> None:
    bcu = car.add_secondary(BCU)
    car.primary.update_cycle()
    nonces = [car.secondary.memory.state.nonce, bcu.secondary.memory.state.nonce]
    assert len(car.links.nonces) == 3
    assert set(nonces) <= set(car.links.nonces)


def test_an_ecu_may_have_any_valid_name(profile: Profile) -> None:
    car = Vehicle(Fleet(profile), secondary=EcuIdentifier("Steuergerät 7 · hinten"))
    car.fleet.release(PATH, FRESH, car.tcu.ecu)
    car.cycle()
    assert car.running() == FRESH
    assert factory_file() != car.secondary.memory.state.installed
