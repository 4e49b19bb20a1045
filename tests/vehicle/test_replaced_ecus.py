"""A workshop replaces an ECU: the operator says so, the new part is updated in one cycle, and the old one stays out."""

from collections.abc import Iterator

import pytest
from device import SecondaryEcu, new_device
from fleet import Fleet, Vehicle
from links import wait
from partial import FOLLOWS
from signed import EVIL, FRESH, PATH
from world import PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    ForeignEcuError,
    SpoofingError,
    UnknownEcuError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.vehicle.memory import VerificationKind
from uptane.vehicle.primary import Primary
from uptane.vehicle.secondary import Outcome

NEW_TCU, NEW_PRIMARY = EcuIdentifier("TCU-spare-part"), EcuIdentifier("INFO-spare-part")
NEWER = b"what is released after the repair"


@pytest.fixture(params=[VerificationKind.FULL, FOLLOWS], ids=["full", "partial"])
def car(profile: Profile, request: pytest.FixtureRequest) -> Vehicle:
    """A vehicle whose Secondary has its update, and whose Primary has reported that."""
    car = Vehicle(Fleet(profile), verification=request.param)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    car.primary.update_cycle()
    return car


def replace_at_director(car: Vehicle, old: EcuIdentifier, part: SecondaryEcu) -> bool:
    key = part.device.signer.key
    return wait(car.fleet.director.replace_ecu(car.vin, old, ecu=part.ecu, key=key, now=car.fleet.now))


def build_in(car: Vehicle) -> SecondaryEcu:
    """A new Secondary that nobody was told of yet; it was made before it came to the workshop."""
    kind = car.secondary.memory.verification
    return SecondaryEcu(car, NEW_TCU, new_device(car.fleet.profile.format.key_id_rule), verification=kind)


def repair(car: Vehicle) -> tuple[SecondaryEcu, SecondaryEcu]:
    """The whole repair of the Secondary; gives the old and the new part."""
    old, new = car.tcu, build_in(car)
    assert replace_at_director(car, TCU, new)
    car.primary.secondaries.retire_secondary(TCU)
    car.secondaries, car.tcu = [new], new
    new.register()
    return old, new


def alerts(car: Vehicle) -> str:
    return "\n".join(alert.text for alert in wait(car.fleet.director.alerts(car.vin)))


def test_a_new_secondary_gets_what_the_old_one_was_assigned_in_one_cycle(car: Vehicle) -> None:
    repair(car)
    car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH
    car.primary.update_cycle()
    assert wait(car.fleet.director.outstanding(car.vin)) == ()
    assert set(wait(car.fleet.director.installed(car.vin))) == {PRIMARY, NEW_TCU}
    assert alerts(car) == ""
    car.fleet.release(PATH, NEWER, NEW_TCU)
    car.cycle()
    assert car.running() == NEWER


def test_the_old_ecu_is_missed_no_more_and_its_history_stays(car: Vehicle) -> None:
    told = car.fleet.reports(TCU)
    repair(car)
    car.cycle()
    manifest = car.fleet.profile.format.decode(VehicleVersionManifest, car.links.manifests[-1]).payload
    assert {report.payload.ecu for report in manifest.reports} == {PRIMARY, NEW_TCU}
    assert car.fleet.reports(TCU) == told != []
    assert alerts(car) == ""


def test_an_old_ecu_that_comes_back_is_refused_by_name_everywhere(car: Vehicle) -> None:
    old, _ = repair(car)
    key = car.fleet.profile.format.encode_key(old.device.signer.key)
    for ecu in (TCU, EcuIdentifier("another name")):
        with pytest.raises(SpoofingError, match=TCU) as refusal:
            car.links.register_ecu(car.vin, ecu, key, is_primary=False)
        assert refusal.value.attack is Attack.SPOOFING
        with pytest.raises(SpoofingError, match=f"{TCU}.* does not come back"):
            car.primary.secondaries.register_new_secondary(ecu, key)
    with pytest.raises(UptaneError):
        old.secondary.update_cycle()
    with pytest.raises(UnknownEcuError, match=TCU):
        old.secondary.send_report()
    car.restart_primary()
    with pytest.raises(SpoofingError, match="does not come back"):
        car.primary.secondaries.register_new_secondary(TCU, key)
    car.fleet.restart_director()
    with pytest.raises(SpoofingError, match="does not come back"):
        car.links.register_ecu(car.vin, TCU, key, is_primary=False)
    with pytest.raises(UnknownEcuError, match=TCU):
        car.fleet.release("other.img", EVIL, TCU)
    car.cycle()
    assert car.running() == FRESH


def test_a_primary_that_goes_on_reporting_the_old_ecu_is_told_on_and_not_believed(car: Vehicle) -> None:
    """A hostile workshop leaves the stolen part in the car's network."""
    new = build_in(car)
    replace_at_director(car, TCU, new)
    told = len(car.fleet.reports(TCU))
    with pytest.raises(ForeignEcuError):
        car.primary.update_cycle()
    assert "reports ECUs that are not registered: TCUdemocar" in alerts(car)
    assert len(car.fleet.reports(TCU)) == told


@pytest.mark.standard("STD-5.4.4.6-9")
def test_a_thief_that_announces_itself_as_replacement_gets_nothing_without_the_operator(car: Vehicle) -> None:
    thief = build_in(car)
    key = car.fleet.profile.format.encode_key(thief.device.signer.key)
    with pytest.raises(SpoofingError, match="another key is registered"):
        car.primary.secondaries.register_new_secondary(TCU, key)
    with pytest.raises(SpoofingError, match="registered already"):
        car.links.register_ecu(car.vin, TCU, key, is_primary=False)
    thief.link.register_secondary(NEW_TCU, key)
    thief.secondary.send_report()
    car.fleet.release(PATH, NEWER)
    car.cycle()
    car.primary.update_cycle()
    assert thief.secondary.update_cycle().outcome is Outcome.NO_UPDATE
    assert car.running() == NEWER
    assert f"reports ECUs that are not registered: {NEW_TCU}" in alerts(car)
    assert NEW_TCU not in wait(car.fleet.director.installed(car.vin))


def test_attacks_that_the_old_ecu_saw_are_still_told(car: Vehicle) -> None:
    car.secondary.send_report(car.secondary.make_report("E-SIG arbitrary software: seen before the repair"))
    repair(car)
    car.cycle()
    assert f"{TCU} reported: E-SIG" in car.fleet.reports(PRIMARY)[0].attacks_detected


def test_between_the_operator_and_the_workshop_nothing_is_installed_and_nothing_is_lost(car: Vehicle) -> None:
    """Whichever comes first, the cycles in between are refused, and the first one after both is good."""
    new = build_in(car)
    car.fleet.release(PATH, NEWER)
    car.primary.secondaries.retire_secondary(TCU)
    with pytest.raises(ForeignEcuError):
        car.primary.update_cycle()
    replace_at_director(car, TCU, new)
    with pytest.raises(ForeignEcuError):
        car.primary.update_cycle()
    car.secondaries, car.tcu = [new], new
    new.register()
    car.cycle()
    assert car.running() == NEWER


def test_only_a_known_secondary_is_retired(car: Vehicle) -> None:
    for ecu in (NEW_TCU, PRIMARY):
        with pytest.raises(UnknownEcuError):
            car.primary.secondaries.retire_secondary(ecu)
    car.primary.secondaries.retire_secondary(TCU)
    with pytest.raises(UnknownEcuError):
        car.primary.secondaries.retire_secondary(TCU)


@pytest.fixture
def repaired(car: Vehicle) -> Iterator[tuple[Vehicle, Primary]]:
    """The vehicle with a new Primary that was made two years before it was built in, and its old Primary."""
    old, device = car.primary, new_device(car.fleet.profile.format.key_id_rule)
    counter = old.memory.state.manifest_counter - 2 * 366 * 86_400 * 1_000_000
    car.provision(NEW_PRIMARY, device, counter=counter)
    replaced = car.fleet.director.replace_ecu(
        car.vin, PRIMARY, ecu=NEW_PRIMARY, key=device.signer.key, now=car.fleet.now
    )
    assert wait(replaced) is False  # it was assigned nothing
    car.device, car.primary_ecu = device, NEW_PRIMARY
    car.restart_primary()
    key = car.fleet.profile.format.encode_key(car.tcu.device.signer.key)
    car.link.register_secondary(TCU, key)
    car.secondary.send_report()
    yield car, old


@pytest.mark.standard("STD-5.3.2.2-9")
def test_a_new_primary_speaks_for_the_vehicle_and_updates_it(repaired: tuple[Vehicle, Primary]) -> None:
    car, _ = repaired
    car.fleet.release(PATH, NEWER)
    car.cycle()
    assert car.running() == NEWER
    car.primary.update_cycle()
    assert {report.attacks_detected for ecu in (NEW_PRIMARY, TCU) for report in car.fleet.reports(ecu)} == {""}
    assert wait(car.fleet.director.outstanding(car.vin)) == ()
    assert wait(car.fleet.director.ecu(NEW_PRIMARY)).is_primary


def test_the_old_primary_speaks_for_nobody_any_more(repaired: tuple[Vehicle, Primary]) -> None:
    car, old = repaired
    before = wait(car.fleet.director.vehicle(car.vin))
    with pytest.raises(SpoofingError, match=f"{PRIMARY}.* does not come back"):
        old.send_manifest()
    raw = old.make_manifest()
    with pytest.raises(SpoofingError, match=NEW_PRIMARY):
        car.links.submit_manifest(car.vin, NEW_PRIMARY, raw)
    assert wait(car.fleet.director.vehicle(car.vin)) == before
    key = car.fleet.profile.format.encode_key(old._signer.key)
    for is_primary in (True, False):
        with pytest.raises(SpoofingError, match="does not come back"):
            car.links.register_ecu(car.vin, PRIMARY, key, is_primary=is_primary)
    car.cycle()
    car.primary.update_cycle()
