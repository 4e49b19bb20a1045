"""What a Director believes of a vehicle version manifest: every check, and that a refusal stores nothing."""

import hashlib
from datetime import timedelta

import pytest
from links import wait
from msgspec import structs
from signed import signed_report
from two_cars import OTHER, OTHER_PRIMARY, OTHER_TCU, TwoCars
from world import PRIMARY, TCU, VIN, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    BadSignatureError,
    FormatError,
    ReplayedReportError,
    SpoofingError,
    UnknownEcuError,
    UnknownVehicleError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport

BCU = EcuIdentifier("BCUdemocar")


@pytest.fixture
def bench(profile: Profile) -> TwoCars:
    """Two cars that have reported before."""
    return TwoCars(profile)


@pytest.mark.standard("STD-5.3.2.1-3")
def test_a_good_manifest_and_its_reports_are_stored(bench: TwoCars) -> None:
    mine, its = bench.report(PRIMARY), bench.report(TCU, attacks="some attack detected")
    raw = bench.manifest(mine, its)
    checked = bench.send(raw)
    assert [report.envelope.payload.ecu for report in checked.fresh] == [PRIMARY, TCU]
    assert (checked.repeated, checked.missing) == ((), ())
    record = wait(bench.fleet.director.vehicle(VIN))
    assert (record.manifest, record.manifest_counter) == (raw, checked.manifest.counter)
    assert record.manifest_received == bench.fleet.now
    stored = bench.fleet.reports(TCU)[0]
    assert (stored.report, stored.attacks_detected) == (its, "some attack detected")
    assert bench.last(TCU) == its


@pytest.mark.standard("STD-5.3.2.1-5")
def test_a_manifest_that_says_nothing_of_an_ecu_tells_which(bench: TwoCars) -> None:
    checked = bench.send(bench.manifest(bench.report(PRIMARY)))
    assert checked.missing == (TCU,)


@pytest.mark.standard("STD-5.3.2.1-10")
@pytest.mark.standard("STD-5.3.2.1-11")
def test_a_replayed_manifest_is_refused(bench: TwoCars) -> None:
    raw = bench.car.primary.make_manifest()
    bench.send(raw)
    bench.refuses(ReplayedReportError, raw)


@pytest.mark.standard("STD-5.3.2.1-10")
def test_a_replayed_manifest_is_refused_by_a_director_that_restarted(bench: TwoCars) -> None:
    raw = bench.car.primary.make_manifest()
    bench.send(raw)
    bench.fleet.director = bench.fleet.open_director()
    bench.refuses(ReplayedReportError, raw)


def test_a_vehicle_that_proves_who_it_is_may_send_its_last_manifest_again(bench: TwoCars) -> None:
    """It may not have heard that it was accepted."""
    older, raw = (bench.car.primary.make_manifest() for _ in range(2))
    bench.send(older, primary=None)
    bench.send(raw, primary=None)
    before = bench.stored()
    bench.fleet.later(hours=1)
    checked = bench.send(raw, primary=None)
    assert (checked.fresh, checked.repeated, checked.counter) == ((), (PRIMARY, TCU), bench.manifest_counter)
    assert bench.stored() == before
    assert not wait(bench.fleet.director.alerts(VIN))
    bench.refuses(ReplayedReportError, older, primary=None)


@pytest.mark.standard("STD-5.3.2.1-10")
def test_nothing_but_the_last_manifest_itself_may_come_again(bench: TwoCars) -> None:
    own, its = bench.report(PRIMARY), bench.report(TCU)
    raw = bench.manifest(own, its)
    counter = bench.send(raw, primary=None).counter
    with pytest.raises(WrongVehicleError):
        bench.send(raw, vin=OTHER, primary=None)
    for other in (
        bench.manifest(own, counter=counter),
        bench.manifest(own, its, counter=counter + 1),
        bench.manifest(own, bench.report(TCU), counter=counter),
        bench.manifest(bench.report(PRIMARY), its, counter=counter),
    ):
        before = bench.stored()
        with pytest.raises(ReplayedReportError):
            bench.send(other, primary=None)
        assert bench.stored() == before
    assert bench.send(raw, primary=None).fresh == ()


def test_what_was_set_aside_the_first_time_is_not_believed_when_the_manifest_comes_again(bench: TwoCars) -> None:
    early = bench.report(TCU, time=bench.fleet.now + timedelta(hours=2))
    raw, counter = bench.manifest(bench.report(PRIMARY), early), bench.counter(TCU)
    assert bench.send(raw, primary=None).refused == (TCU,)
    for hours in (0, 2):
        bench.fleet.later(hours=hours)
        checked = bench.send(raw, primary=None)
        assert (checked.fresh, checked.repeated, checked.refused) == ((), (PRIMARY,), (TCU,))
        assert bench.counter(TCU) == counter
    assert len(wait(bench.fleet.director.alerts(VIN))) == 1, "the one of the first time"


def test_the_last_manifest_of_a_primary_that_was_taken_out_does_not_come_again(bench: TwoCars) -> None:
    raw = bench.car.primary.make_manifest()
    bench.send(raw, primary=None)
    key, now = new_signer().key, bench.fleet.now
    wait(bench.fleet.director.replace_ecu(VIN, PRIMARY, ecu=EcuIdentifier("new"), key=key, now=now))
    with pytest.raises(SpoofingError):
        bench.send(raw, primary=None)


@pytest.mark.standard("STD-5.3.2.1-10")
def test_an_old_report_in_a_fresh_manifest_is_refused(bench: TwoCars) -> None:
    old = bench.fleet.reports(TCU)[1].report
    bench.refuses(ReplayedReportError, bench.manifest(bench.report(PRIMARY), old))


def test_the_latest_report_again_is_accepted_and_is_no_new_evidence(bench: TwoCars) -> None:
    before = bench.fleet.reports(TCU)
    received = wait(bench.fleet.director.ecu(TCU)).report_received
    bench.fleet.later(hours=1)
    checked = bench.send(bench.manifest(bench.report(PRIMARY), bench.last(TCU)))
    assert checked.repeated == (TCU,)
    assert bench.fleet.reports(TCU) == before
    assert wait(bench.fleet.director.ecu(TCU)).report_received == received


def test_the_primary_may_not_repeat_its_own_report(bench: TwoCars) -> None:
    bench.refuses(ReplayedReportError, bench.manifest(bench.last(PRIMARY), bench.last(TCU)))


@pytest.mark.standard("STD-5.3.2.1-10", "STD-5.3.2.1-11")
@pytest.mark.parametrize("step", [0, -1], ids=["equal counter, other bytes", "lower counter"])
@pytest.mark.parametrize("ecu", [PRIMARY, TCU])
def test_a_report_whose_counter_does_not_rise_is_refused(bench: TwoCars, ecu: EcuIdentifier, step: int) -> None:
    stale = bench.report(ecu, counter=bench.counter(ecu) + step, attacks="other bytes")
    others = [] if ecu == PRIMARY else [bench.report(PRIMARY)]
    bench.refuses(ReplayedReportError, bench.manifest(stale, *others))


@pytest.mark.parametrize("step", [0, -1])
def test_a_manifest_whose_counter_does_not_rise_is_refused(bench: TwoCars, step: int) -> None:
    last = bench.manifest_counter
    error = bench.refuses(ReplayedReportError, bench.manifest(bench.report(PRIMARY), counter=last + step))
    assert error.facts["offered"] == last + step


@pytest.mark.standard("STD-5.3.2.1-1", "STD-5.3.2.1-4")
@pytest.mark.standard("STD-5.4.2.1.1-6")
def test_the_manifest_of_one_car_is_refused_under_the_name_of_another(bench: TwoCars) -> None:
    raw = bench.manifest(bench.report(PRIMARY))
    bench.refuses(WrongVehicleError, raw, OTHER, OTHER_PRIMARY)
    bench.refuses(WrongVehicleError, raw, OTHER, PRIMARY)


@pytest.mark.standard("STD-5.3.2.1-6")
@pytest.mark.standard("STD-5.4.2.1.1-7")
def test_a_secondary_cannot_speak_for_the_vehicle(bench: TwoCars) -> None:
    raw = bench.manifest(bench.report(TCU), signer=bench.signer(TCU), primary=TCU)
    bench.refuses(SpoofingError, raw, VIN, TCU)
    bench.refuses(BadSignatureError, bench.manifest(bench.report(PRIMARY), signer=bench.signer(TCU)))
    bench.refuses(SpoofingError, bench.manifest(bench.report(PRIMARY)), VIN, TCU)


def test_the_primary_of_another_car_cannot_speak_for_this_one(bench: TwoCars) -> None:
    raw = bench.manifest(signer=bench.signer(OTHER_PRIMARY), primary=OTHER_PRIMARY)
    bench.refuses(UnknownEcuError, raw, VIN, OTHER_PRIMARY)
    bench.refuses(BadSignatureError, bench.manifest(signer=bench.signer(OTHER_PRIMARY)))


@pytest.mark.standard("STD-5.3.2.1-7", "STD-5.3.2.1-2")
def test_an_ecu_of_another_car_cannot_be_brought_in(bench: TwoCars) -> None:
    foreign = bench.report(OTHER_TCU)
    checked = bench.send(bench.manifest(bench.report(PRIMARY), foreign))
    assert checked.strangers == (OTHER_TCU,)
    assert [report.envelope.payload.ecu for report in checked.fresh] == [PRIMARY]


@pytest.mark.standard("STD-5.3.2.1-5", "STD-5.3.2.1-2")
def test_an_ecu_that_nobody_registered_is_flagged_and_cannot_silence_the_vehicle(bench: TwoCars) -> None:
    unknown = signed_report(bench.profile, new_signer(), BCU, counter=1)
    checked = bench.send(bench.manifest(bench.report(PRIMARY), bench.report(TCU), unknown))
    assert checked.strangers == (BCU,)
    assert {report.envelope.payload.ecu for report in checked.fresh} == {PRIMARY, TCU}


@pytest.mark.standard("STD-5.4.2.1.1-9")
def test_a_manifest_without_the_primarys_own_report_is_refused(bench: TwoCars) -> None:
    bench.refuses(FormatError, bench.manifest(bench.report(TCU)))
    bench.refuses(FormatError, bench.manifest())


@pytest.mark.standard("STD-5.3.2.1-7", "STD-5.3.2.1-4", "STD-5.3.2.1-3")
@pytest.mark.standard("STD-5.4.2.1.2-1")
def test_a_report_that_another_key_signed_drops_the_whole_manifest(bench: TwoCars) -> None:
    for thief in (bench.signer(PRIMARY), new_signer()):
        forged = bench.report(TCU, signer=thief)
        bench.refuses(BadSignatureError, bench.manifest(bench.report(PRIMARY), forged))


@pytest.mark.standard("STD-5.4.2.1.2-3")
def test_a_report_that_was_changed_after_it_was_signed_drops_the_whole_manifest(bench: TwoCars) -> None:
    codec = bench.profile.format
    genuine = codec.decode(EcuVersionReport, bench.report(TCU, attacks="some attack detected"))
    lie = codec.assemble(codec.encode(structs.replace(genuine.payload, attacks_detected="")), genuine.signatures)
    bench.refuses(BadSignatureError, bench.manifest(bench.report(PRIMARY), lie))


@pytest.mark.standard("STD-5.4.2.1.1-2", "STD-5.3.2.1-6")
@pytest.mark.standard("STD-5.4.2.1.1-3")
@pytest.mark.standard("STD-5.4.2.1.1-4")
@pytest.mark.standard("STD-5.4.2.1.1-5")
@pytest.mark.parametrize("part", ["signature", "digest", "hash_function", "none"])
def test_a_manifest_whose_signature_entry_is_not_true_in_every_part_is_refused(bench: TwoCars, part: str) -> None:
    codec = bench.profile.format
    genuine = codec.decode(VehicleVersionManifest, bench.manifest(bench.report(PRIMARY)))
    entry = genuine.signatures[0]
    assert entry.digest is not None
    wrong = {
        "signature": (structs.replace(entry, value=entry.value[::-1]),),
        "digest": (structs.replace(entry, digest=entry.digest[::-1]),),
        "hash_function": (
            structs.replace(entry, hash_function="sha512", digest=hashlib.sha512(genuine.message).digest()),
        ),
        "none": (),
    }[part]
    raw = codec.assemble(codec.encode(genuine.payload), wrong)
    bench.refuses(BadSignatureError, raw)


def test_what_is_no_manifest_is_refused(bench: TwoCars) -> None:
    for raw in (b"", b"garbage", bench.report(PRIMARY), bench.manifest(bench.report(PRIMARY))[:-1]):
        bench.refuses(FormatError, raw)


@pytest.mark.standard("STD-5.3.2.1-1")
def test_a_manifest_of_an_unknown_vehicle_or_primary_is_refused(bench: TwoCars) -> None:
    nobody = VehicleIdentifier("113")
    raw = bench.manifest(vin=nobody)
    bench.refuses(UnknownVehicleError, raw, nobody, PRIMARY)
    bench.refuses(UnknownEcuError, bench.manifest(primary=BCU), VIN, BCU)


def test_a_secondarys_report_reaches_the_history_once_each(bench: TwoCars) -> None:
    told = len(bench.fleet.reports(TCU))
    for _ in range(3):
        bench.car.cycle()
    bench.car.primary.update_cycle()
    counters = [stored.counter for stored in bench.fleet.reports(TCU)]
    assert len(counters) == told + 3
    assert counters == sorted(set(counters), reverse=True)
    assert len(wait(bench.fleet.director.reports(TCU, limit=2))) == 2


def test_a_manifest_sent_in_the_name_of_another_ecu_of_the_car_is_refused(bench: TwoCars) -> None:
    bench.refuses(SpoofingError, bench.manifest(bench.report(PRIMARY)), VIN, TCU)
