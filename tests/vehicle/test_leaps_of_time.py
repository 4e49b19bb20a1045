"""BP-TIME-13: a time far ahead is kept only with metadata that is good by it, so that nobody is locked out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fleet import Fleet, Vehicle
from links import wait
from partial import FOLLOWS
from signed import FRESH, PATH
from time_keys import TimeThief
from world import NOW, PRIMARY, TCU, VIN

from uptane.formats.profile import Profile
from uptane.metadata.errors import ExpiredMetadataError, ProvisioningError, UptaneError
from uptane.storage.memory import MemoryEcuStore
from uptane.vehicle.memory import LONGEST_LEAP_DAYS, VerificationKind
from uptane.vehicle.provisioning import MAX_LEAP_DAYS, provision

FAR = datetime(9999, 12, 31, tzinfo=UTC)
NEWER = b"what was released while the car stood still"


@pytest.fixture(params=[VerificationKind.FULL, FOLLOWS], ids=["full", "partial"])
def car(profile: Profile, request: pytest.FixtureRequest) -> Vehicle:
    """A vehicle whose Secondary verifies in either way, and that has its update."""
    car = Vehicle(Fleet(profile), verification=request.param)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    car.primary.update_cycle()
    return car


def stand_still(car: Vehicle, **delta: float) -> None:
    """The car is away, and both repositories go on without it."""
    car.fleet.later(**delta)
    wait(car.fleet.images.renew())
    wait(car.fleet.images.publish(car.fleet.now))
    car.fleet.rotate_images()
    car.fleet.rotate_director()


@pytest.mark.standard("STD-5.4-12", "STD-5.4.2.2-1")
def test_amb_05_a_far_future_is_not_kept_and_told_and_gone_with_the_thief(car: Vehicle) -> None:
    thief = TimeThief(car, car.fleet.time_key, FAR)
    attestation = car.primary.memory.read("attestation")
    with car.primary_refuses(ExpiredMetadataError, undo=thief.leave):
        pass
    assert car.primary.memory.read("attestation") != attestation
    assert car.primary.memory.state.time == car.fleet.now
    (told,) = {report.attacks_detected for report in car.fleet.reports(PRIMARY)} - {""}
    assert "E-FREEZE" in told and "E-TIME" in told and "no metadata vouches for it" in told


@pytest.mark.standard("STD-5.4.3.1-1")
def test_amb_05_a_hostile_primary_with_the_stolen_key_brings_no_secondary_to_a_far_future(car: Vehicle) -> None:
    state = car.secondary.memory.state
    with car.secondary_refuses(ExpiredMetadataError):
        car.link.swapped_attestation = car.fleet.timeserver.attest([state.nonce], FAR)
    told = "".join(report.attacks_detected for report in car.fleet.reports(TCU))
    assert "E-FREEZE" in told and "E-TIME" in told
    assert car.secondary.memory.state.time == car.fleet.now


@pytest.mark.parametrize("years", [1, 3, 40])
def test_amb_05_a_car_that_was_in_a_container_for_years_is_updated_at_once(car: Vehicle, years: int) -> None:
    for _ in range(car.secondary.memory.cycles_without_time + 1):
        car.secondary.memory.miss_time()  # and had no time long before
    stand_still(car, days=366 * years)
    car.fleet.release(PATH, NEWER)
    car.cycle()
    car.cycle()
    assert car.running() == NEWER
    assert car.primary.memory.state.time == car.secondary.memory.state.time == car.fleet.now
    assert car.primary.memory.state.cycles_without_time == car.secondary.memory.state.cycles_without_time == 0
    car.primary.update_cycle()
    assert {report.attacks_detected for ecu in (PRIMARY, TCU) for report in car.fleet.reports(ecu)} == {""}


def test_amb_05_a_car_that_comes_home_to_expired_repositories_waits_for_them_and_no_longer(car: Vehicle) -> None:
    car.fleet.later(days=400)
    for _ in range(3):
        with pytest.raises(ExpiredMetadataError):
            car.primary.update_cycle()
    car.restart_primary()
    stand_still(car)
    car.fleet.release(PATH, NEWER)
    car.cycle()
    assert car.running() == NEWER


def test_a_thief_at_every_cycle_walks_no_further_than_the_bound(car: Vehicle) -> None:
    """What counts is the last time at which metadata was good, and not the last time."""
    good = car.primary.memory.state.time
    thief = TimeThief(car, car.fleet.time_key, car.fleet.now)
    for _ in range(5):
        thief.time += timedelta(days=25)
        with pytest.raises(UptaneError):
            car.primary.update_cycle()
        car.restart_primary()
    assert car.primary.memory.state.time == good + timedelta(days=25)
    thief.leave()
    stand_still(car, days=26)
    car.cycle()
    assert car.primary.memory.state.time == car.fleet.now


def test_a_leap_is_counted_from_the_last_good_cycle(car: Vehicle) -> None:
    """Cycles in which nothing is new count as well."""
    for _ in range(4):
        stand_still(car, days=LONGEST_LEAP_DAYS - 1)
        car.cycle()
    car.primary.update_cycle()
    state = car.primary.memory.state
    assert (state.time, state.judged_time) == (car.fleet.now, car.fleet.now)
    assert car.fleet.now == NOW + timedelta(days=4 * (LONGEST_LEAP_DAYS - 1))


def test_a_good_cycle_without_news_carries_the_bound_on(car: Vehicle) -> None:
    """Counted from the cycle before it, the last step would be a leap, and its time not kept."""
    stand_still(car, days=20)
    car.cycle()
    car.fleet.later(days=20)
    with pytest.raises(ExpiredMetadataError):
        car.primary.update_cycle()
    assert car.primary.memory.state.time == car.fleet.now
    assert "vouches" not in "".join(car.primary.memory.state.attacks)


def test_an_ecu_that_starts_anew_for_each_cycle_counts_from_its_last_good_ones(car: Vehicle) -> None:
    """Counted from when it was made, the last step would be a leap, and its time not kept."""
    for _ in range(5):
        car.restart_primary()
        stand_still(car, days=5)
        car.primary.update_cycle()
    car.restart_primary()
    car.fleet.later(days=LONGEST_LEAP_DAYS - 11)
    with pytest.raises(ExpiredMetadataError):
        car.primary.update_cycle()
    assert car.primary.memory.state.time == car.fleet.now
    assert "vouches" not in "".join(car.primary.memory.state.attacks)


def test_the_bound_can_be_tight_and_the_car_is_none_the_worse(profile: Profile) -> None:
    car = Vehicle(Fleet(profile), longest_leap_days=0)
    car.primary.memory.longest_leap = timedelta(0)
    for content in (FRESH, NEWER):
        stand_still(car, hours=1)
        car.fleet.release(PATH, content)
        car.cycle()
        car.cycle()
        assert car.running() == content
        assert car.primary.memory.state.time == car.secondary.memory.state.time == car.fleet.now


@pytest.mark.parametrize("days", [-1, MAX_LEAP_DAYS + 1])
def test_an_ecu_is_made_with_a_bound_that_is_one(profile: Profile, days: int) -> None:
    fleet = Fleet(profile)
    fleet.add_vehicle(VIN)
    what = replace(fleet.provisioning(VIN, TCU, 1), longest_leap_days=days)
    store = MemoryEcuStore()
    with pytest.raises(ProvisioningError, match="leaps of time"):
        provision(store, profile, what)
    assert store.names("") == ()
    assert provision(store, profile, replace(what, longest_leap_days=7)).longest_leap == timedelta(days=7)
