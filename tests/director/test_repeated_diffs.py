"""A diff of a manifest that comes again from its vehicle, which may not have heard that it was accepted."""

from datetime import timedelta

import pytest
from links import wait
from signed import signed_report
from two_cars import OTHER, TwoCars
from world import PRIMARY, TCU, VIN, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    BadSignatureError,
    ReplayedReportError,
    SpoofingError,
    UnknownBaseError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.vehicle_manifest import VehicleVersionManifest


@pytest.fixture
def bench(profile: Profile) -> TwoCars:
    """Two cars; the last whole manifest of one was accepted, and both its ECUs have reported again in a diff of it."""
    bench = TwoCars(profile)
    bench.send(bench.manifest(bench.report(PRIMARY), bench.report(TCU)), primary=None)
    bench.send(diff(bench, bench.report(PRIMARY), bench.report(TCU)), primary=None)
    return bench


def diff(bench: TwoCars, *reports: bytes, **changes: object) -> bytes:
    """The car's next manifest as a diff of the last whole one, but for what is changed."""
    last = wait(bench.fleet.director.vehicle(VIN)).manifest
    assert last is not None
    base = bench.profile.format.decode(VehicleVersionManifest, last).payload.counter
    return bench.manifest(*reports, **({"diff_of": base} | changes))


def refuses(bench: TwoCars, error: type[UptaneError], raw: bytes, vin: VehicleIdentifier = VIN) -> None:
    """The manifest is refused with that error, and nothing is stored."""
    before = bench.stored()
    with pytest.raises(error):
        bench.send(raw, vin, primary=None)
    assert bench.stored() == before


@pytest.mark.standard("STD-5.4.2.1-3")
def test_a_vehicle_that_proves_who_it_is_may_send_its_last_diff_again(bench: TwoCars) -> None:
    older = diff(bench, bench.report(PRIMARY), bench.report(TCU))
    bench.send(older, primary=None)
    raw = diff(bench, bench.report(PRIMARY), bench.last(TCU))
    bench.send(raw, primary=None)
    before = bench.stored()
    for hours in (0, 1):
        bench.fleet.later(hours=hours)
        checked = bench.send(raw, primary=None)
        assert (checked.fresh, checked.repeated, checked.counter) == ((), (PRIMARY, TCU), bench.manifest_counter)
        assert bench.stored() == before
    assert not wait(bench.fleet.director.alerts(VIN))
    refuses(bench, ReplayedReportError, older)
    assert bench.send(diff(bench, bench.report(PRIMARY), bench.last(TCU)), primary=None).fresh
    refuses(bench, ReplayedReportError, raw)


@pytest.mark.standard("STD-5.4.2.1-3")
def test_what_a_diff_leaves_out_counts_when_it_comes_again(bench: TwoCars) -> None:
    bench.send(bench.manifest(bench.report(PRIMARY), bench.last(TCU)), primary=None)
    raw = diff(bench, bench.report(PRIMARY))
    for fresh in (1, 0):
        checked = bench.send(raw, primary=None)
        assert (len(checked.fresh), checked.missing) == (fresh, ())


@pytest.mark.standard("STD-5.3.2.1-10")
def test_a_diff_does_not_come_again_from_anybody_else(bench: TwoCars) -> None:
    raw = diff(bench, bench.report(PRIMARY), bench.last(TCU))
    counter = bench.send(raw, primary=None).counter
    with pytest.raises(ReplayedReportError):
        bench.send(raw)
    refuses(bench, UnknownBaseError, raw, vin=OTHER)
    thief = diff(bench, bench.last(PRIMARY), bench.last(TCU), counter=counter, signer=bench.car.tcu.device.signer)
    refuses(bench, BadSignatureError, thief)
    assert bench.send(raw, primary=None).fresh == ()


@pytest.mark.standard("STD-5.3.2.1-10")
def test_no_other_diff_comes_in_the_place_of_the_last_one(bench: TwoCars) -> None:
    """It would be acknowledged, and nothing of it kept."""
    own, its, older = bench.report(PRIMARY), bench.report(TCU), bench.last(TCU)
    raw = diff(bench, own, its)
    counter = bench.send(raw, primary=None).counter
    for other in (
        diff(bench, own, its),
        diff(bench, own, its, counter=counter - 1),
        diff(bench, own, counter=counter),
        diff(bench, own, older, counter=counter),
        diff(bench, own, bench.report(TCU), counter=counter),
        diff(bench, bench.report(PRIMARY), its, counter=counter),
        bench.manifest(own, its, counter=counter),
    ):
        refuses(bench, ReplayedReportError, other)
    refuses(bench, UnknownBaseError, diff(bench, own, its, counter=counter, diff_of=counter))
    assert bench.send(raw, primary=None).fresh == ()


@pytest.mark.standard("STD-5.3.2.1-10")
def test_a_diff_of_a_manifest_is_not_that_manifest_again(bench: TwoCars) -> None:
    """Nobody has accepted it: it has the counter of the whole one, whose reports all are on record."""
    own, its = bench.report(PRIMARY), bench.report(TCU)
    counter = bench.send(bench.manifest(own, its), primary=None).counter
    refuses(bench, ReplayedReportError, diff(bench, own, its, counter=counter, diff_of=counter))


def test_a_diff_of_which_a_report_was_set_aside_does_not_come_again(bench: TwoCars) -> None:
    """The vehicle sends the whole manifest then, and hears of it."""
    early = bench.report(TCU, time=bench.fleet.now + timedelta(hours=2))
    raw = diff(bench, bench.report(PRIMARY), early)
    assert bench.send(raw, primary=None).refused == (TCU,)
    refuses(bench, ReplayedReportError, raw)


def test_a_diff_with_the_report_of_a_stranger_may_come_again(bench: TwoCars) -> None:
    name, signer = EcuIdentifier("late"), new_signer()
    stranger = signed_report(bench.profile, ecu=name, signer=signer, counter=1)
    raw = diff(bench, bench.report(PRIMARY), bench.last(TCU), stranger)
    for fresh in (1, 0):
        checked = bench.send(raw, primary=None)
        assert (len(checked.fresh), checked.strangers) == (fresh, (name,))
    register = bench.fleet.director.register_ecu
    wait(register(vehicle=VIN, ecu=name, key=signer.key, is_primary=False))
    refuses(bench, ReplayedReportError, raw)
    assert wait(bench.fleet.director.ecu(name)).report is None


def test_the_last_diff_of_a_primary_that_was_taken_out_does_not_come_again(bench: TwoCars) -> None:
    raw = diff(bench, bench.report(PRIMARY), bench.last(TCU))
    bench.send(raw, primary=None)
    key, now = new_signer().key, bench.fleet.now
    wait(bench.fleet.director.replace_ecu(VIN, PRIMARY, ecu=EcuIdentifier("new"), key=key, now=now))
    refuses(bench, SpoofingError, raw)
