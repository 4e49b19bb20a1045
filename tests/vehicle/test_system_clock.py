"""A system clock in the place of the Timeserver: only where somebody chose it by its loud name, and told in reports."""

from datetime import timedelta

import pytest
from device import SecondaryEcu
from fleet import Fleet, Vehicle
from signed import FRESH, PATH
from world import NOW, PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import BadTimeAttestationError, ExpiredMetadataError, ProvisioningError, UnreachableError
from uptane.metadata.version_report import EcuVersionReport
from uptane.vehicle.attested_time import UnsafeSystemClock
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.primary import Primary
from uptane.vehicle.primary import World as PrimaryWorld
from uptane.vehicle.secondary import Outcome, Secondary, SecondaryWorld


def with_clock(car: Vehicle) -> None:
    """The Primary comes up with the clock of the vehicle, which shows the right time."""
    world = PrimaryWorld(
        repositories=car.links,
        mirrors=car.links.mirrors,
        director=car.links,
        timeserver=UnsafeSystemClock(lambda: car.fleet.now),
        slots=car.device.slots,
        new_nonce=car.new_nonce,
    )
    car.primary = Primary(EcuMemory(car.device.store, car.fleet.profile), car.device.signer, world)
    car.link.secondaries = car.primary.secondaries


def secondary_with_clock(car: Vehicle, ecu: SecondaryEcu) -> Secondary:
    """A Secondary that has the same choice made for it."""
    world = SecondaryWorld(
        primary=ecu.link,
        slots=ecu.device.slots,
        new_nonce=car.new_nonce,
        unsafe_clock=UnsafeSystemClock(lambda: car.fleet.now),
    )
    return Secondary(EcuMemory(ecu.device.store, car.fleet.profile), ecu.device.signer, world)


def sources(car: Vehicle, ecu: object) -> list[bytes | None]:
    reports = [
        car.fleet.profile.format.decode(EcuVersionReport, stored.report).payload
        for stored in car.fleet.reports(ecu)  # type: ignore[arg-type]
    ]
    return [report.extensions.as_dict().get("time_source") for report in reports]


def test_a_clock_takes_the_place_of_the_timeserver_and_the_reports_say_so(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    car.links.down.add("Timeserver")
    with pytest.raises(UnreachableError):
        car.primary.update_cycle()
    with_clock(car)
    secondary = secondary_with_clock(car, car.tcu)
    car.fleet.later(hours=1)
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    assert secondary.update_cycle().outcome is Outcome.UPDATED
    car.primary.update_cycle()
    assert car.primary.memory.state.time == car.fleet.now
    for ecu in (PRIMARY, TCU):
        assert sources(car, ecu)[0] == b'"unsafe system clock"'
        assert sources(car, ecu)[-1] is None
    assert "time" not in car.links.calls[car.links.calls.index("manifest", 3) :]


def test_secondaries_without_a_clock_get_no_attestation_from_such_a_primary(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    with_clock(car)
    car.primary.update_cycle()
    with pytest.raises(UnreachableError, match="time attestation"):
        car.secondary.update_cycle()


@pytest.mark.standard("STD-5.4-12", "STD-5.4.2.2-1")
def test_a_clock_that_goes_backwards_is_refused_also_where_the_timeserver_was_asked_before(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    car.fleet.later(hours=1)
    car.cycle()
    with_clock(car)
    car.fleet.now = NOW
    with pytest.raises(BadTimeAttestationError, match="system clock"):
        car.primary.update_cycle()
    with pytest.raises(BadTimeAttestationError, match="system clock"):
        secondary_with_clock(car, car.tcu).update_cycle()
    assert car.primary.memory.state.time == NOW + timedelta(hours=1)
    car.fleet.later(hours=1)
    car.primary.update_cycle()
    car.restart_primary()
    car.fleet.now = NOW
    with pytest.raises(BadTimeAttestationError, match="earlier"):
        car.primary.update_cycle()


def test_a_clock_that_leaps_is_bounded_as_an_attestation_is(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    with_clock(car)
    car.primary.update_cycle()
    car.fleet.later(days=5000)
    with pytest.raises(ExpiredMetadataError):
        car.primary.update_cycle()
    assert car.primary.memory.state.time == NOW


@pytest.mark.parametrize("name", ["pouf1", "pouf1-json"])
def test_where_reports_cannot_tell_it_no_clock_is_used(name: str) -> None:
    car = Vehicle(Fleet(PROFILES[name]))
    with pytest.raises(ProvisioningError, match="system clock"):
        with_clock(car)
    with pytest.raises(ProvisioningError, match="system clock"):
        secondary_with_clock(car, car.tcu)
