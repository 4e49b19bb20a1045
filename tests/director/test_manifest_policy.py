"""Manifests that are genuine and not as they should be: what a Director drops, sets aside, or takes in and tells of."""

from datetime import timedelta

import pytest
from links import wait
from signed import signed_report
from two_cars import TwoCars
from world import PRIMARY, TCU, VIN, new_signer

from uptane.director import alerts as alerts_module
from uptane.director.alerts import MAX_TEXT, OF_ONE_CODE
from uptane.director.manifest_policy import DEFAULT_POLICY, STRICT_POLICY, Consequence, ManifestPolicy
from uptane.director.ports import Alert
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import (
    BadTimeAttestationError,
    FormatError,
    MissingReportError,
    SecurityError,
    StorageError,
    UnknownVehicleError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier

LATER, EARLIER = timedelta(hours=2), timedelta(days=400)


@pytest.fixture
def cars(profile: Profile) -> TwoCars:
    """Two cars that have reported before."""
    return TwoCars(profile)


def choose(cars: TwoCars, policy: ManifestPolicy) -> None:
    """The Director restarts with this policy."""
    cars.fleet.restart_director(policy=policy)


def alerts(cars: TwoCars) -> list[Alert]:
    """What the Director tells of the car, newest first."""
    return list(wait(cars.fleet.director.alerts(VIN)))


@pytest.mark.standard("STD-5.3.2.1-5")
def test_a_manifest_that_lacks_an_ecu_is_taken_in_and_told_once(cars: TwoCars) -> None:
    for _ in range(3):
        checked = cars.send(cars.manifest(cars.report(PRIMARY)))
        assert checked.missing == (TCU,)
    (alert,) = alerts(cars)
    assert (alert.vehicle, alert.code, alert.time) == (VIN, "E-MISSING", cars.fleet.now)
    assert TCU in alert.text
    cars.fleet.later(days=1)
    cars.send(cars.manifest(cars.report(PRIMARY)))
    assert len(alerts(cars)) == 2


@pytest.mark.standard("STD-5.3.2.1-4")
@pytest.mark.standard("STD-5.3.2.1-5")
def test_a_strict_director_drops_a_manifest_that_lacks_an_ecu(cars: TwoCars) -> None:
    """A Primary that was taken over keeps quiet about the ECU that it attacks."""
    choose(cars, STRICT_POLICY)
    error = cars.refuses(MissingReportError, cars.manifest(cars.report(PRIMARY)))
    assert error.facts["missing"] == (TCU,)
    assert [alert.code for alert in alerts(cars)] == ["E-MISSING"]
    assert cars.send(cars.manifest(cars.report(PRIMARY), cars.last(TCU))).missing == ()


def test_a_vehicle_whose_secondary_has_not_reported_yet_gets_its_first_update(cars: TwoCars) -> None:
    ecu, key = EcuIdentifier("newcomer"), new_signer().key
    wait(cars.fleet.director.register_ecu(vehicle=VIN, ecu=ecu, key=key, is_primary=False))
    cars.car.cycle()
    assert [alert.code for alert in alerts(cars)] == ["E-MISSING"]


@pytest.mark.standard("STD-5.3.2.1-5")
def test_a_thousand_strangers_make_one_short_alert(cars: TwoCars) -> None:
    """Whoever reaches a Primary's door can add ECUs there, and must not be able to fill the Director's records."""
    stranger = new_signer()
    added = [signed_report(cars.profile, stranger, EcuIdentifier(f"S{n:04}"), counter=1) for n in range(100)]
    cars.send(cars.manifest(cars.report(PRIMARY), cars.report(TCU), *added))
    (alert,) = alerts(cars)
    assert alert.text.endswith("S0007 and 92 more")


@pytest.mark.standard("STD-5.3.2.1-5")
def test_strangers_under_ever_new_names_make_a_few_alerts_a_day(cars: TwoCars) -> None:
    stranger = new_signer()
    for number in range(3 * OF_ONE_CODE):
        added = signed_report(cars.profile, stranger, EcuIdentifier(f"S{number}"), counter=1)
        cars.send(cars.manifest(cars.report(PRIMARY), added))
    codes = [alert.code for alert in alerts(cars)]
    assert sorted(codes) == ["E-MISSING", *["E-SPOOF"] * OF_ONE_CODE]
    cars.fleet.later(days=1)
    cars.send(cars.manifest(cars.report(PRIMARY), cars.report(TCU), added))
    assert len(alerts(cars)) == len(codes) + 1


@pytest.mark.standard("STD-5.3.2.1-4", "STD-5.3.2.1-11")
def test_manifests_that_are_dropped_leave_one_alert_of_a_kind_and_no_record(cars: TwoCars) -> None:
    again = cars.manifest(cars.report(PRIMARY), cars.report(TCU))
    cars.send(again)
    before = cars.stored()
    hostile = [again[:-1], b"\0\xff" * 1000, cars.manifest(cars.report(PRIMARY), counter=1)]
    for _ in range(5):
        for raw in hostile:
            with pytest.raises(SecurityError):
                cars.send(raw)
    assert cars.stored() == before
    told = alerts(cars)
    assert {alert.code for alert in told} == {"E-FORMAT", "E-REPLAY"} and len(told) == len(hostile)
    assert all(alert.text.isprintable() and len(alert.text) <= MAX_TEXT for alert in told)
    nobody = VehicleIdentifier("nobody")
    with pytest.raises(SecurityError):
        cars.send(hostile[0], vin=nobody)
    with pytest.raises(UnknownVehicleError):
        wait(cars.fleet.director.alerts(nobody))


def test_a_database_that_takes_no_alert_does_not_hide_why_a_manifest_was_dropped(
    cars: TwoCars, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*arguments: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(alerts_module, "tell", full)
    with pytest.raises(FormatError):
        cars.send(b"")
    assert alerts(cars) == []


@pytest.mark.standard("STD-5.3.2.1-8")
def test_a_secondary_that_lies_about_the_time_is_not_believed_and_cannot_silence_the_vehicle(cars: TwoCars) -> None:
    before = cars.fleet.reports(TCU)
    ahead = cars.report(TCU, time=cars.fleet.now + LATER)
    checked = cars.send(cars.manifest(cars.report(PRIMARY), ahead))
    assert [report.envelope.payload.ecu for report in checked.fresh] == [PRIMARY]
    assert checked.refused == (TCU,)
    assert cars.fleet.reports(TCU) == before
    assert [alert.code for alert in alerts(cars)] == ["E-TIME"]


@pytest.mark.standard("STD-5.3.2.1-4")
@pytest.mark.standard("STD-5.3.2.1-8")
def test_a_primary_whose_time_has_not_come_yet_is_not_believed_at_all(cars: TwoCars) -> None:
    ahead = cars.report(PRIMARY, time=cars.fleet.now + LATER)
    error = cars.refuses(BadTimeAttestationError, cars.manifest(ahead, cars.report(TCU)))
    assert error.facts["ecu"] == PRIMARY


@pytest.mark.standard("STD-5.3.2.1-8")
def test_clocks_may_differ_by_the_tolerance(cars: TwoCars) -> None:
    soon = cars.fleet.now + DEFAULT_POLICY.tolerance
    checked = cars.send(cars.manifest(cars.report(PRIMARY, time=soon), cars.report(TCU, time=soon)))
    assert len(checked.fresh) == 2
    assert alerts(cars) == []


@pytest.mark.standard("STD-5.3.2.1-8")
def test_the_report_of_a_vehicle_that_was_parked_for_long_is_taken_in_and_told(cars: TwoCars) -> None:
    cars.fleet.later(days=400)
    cars.send(cars.manifest(cars.report(PRIMARY), cars.last(TCU)))
    assert {alert.code for alert in alerts(cars)} == {"E-TIME"}
    assert {ecu for ecu in (PRIMARY, TCU) for alert in alerts(cars) if ecu in alert.text} == {PRIMARY, TCU}


@pytest.mark.standard("STD-5.3.2.1-8")
@pytest.mark.parametrize("by", [LATER, -EARLIER], ids=["ahead", "outdated"])
@pytest.mark.parametrize("ecu", [PRIMARY, TCU])
def test_a_strict_director_drops_a_manifest_with_a_wrong_time(cars: TwoCars, by: timedelta, ecu: EcuIdentifier) -> None:
    choose(cars, STRICT_POLICY)
    wrong = cars.report(ecu, time=cars.fleet.now + by)
    other = cars.report(TCU if ecu == PRIMARY else PRIMARY)
    cars.refuses(BadTimeAttestationError, cars.manifest(wrong, other))


def test_where_manifests_may_lack_ecus_no_policy_drops_them() -> None:
    assert STRICT_POLICY.under(PROFILES["pouf1"]).missing is Consequence.FLAG
    assert STRICT_POLICY.under(PROFILES["json"]) == STRICT_POLICY
