"""A Primary that sends only the reports that have changed: the Director knows as much as from whole manifests."""

import pytest
from fleet import EVERY_CYCLE, Fleet, Vehicle
from links import wait
from signed import FRESH, PATH
from world import PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import BadSignatureError, FormatError, ReplayedReportError, UnknownBaseError
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.manifest_diff import DIFF_OF, applied, as_diff, diff_of
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.signing.sign import sign

DIFFS = {**EVERY_CYCLE, "send_diffs": True}
QUIET = [EcuIdentifier(f"quiet-{number}") for number in range(3)]


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle that sends diffs, with three more Secondaries, whose whole manifest was accepted."""
    car = Vehicle(Fleet(profile), rules=DIFFS)
    for ecu in QUIET:
        car.add_secondary(ecu)
    car.primary.send_manifest()
    return car


def sent(car: Vehicle, at: int = -1) -> VehicleVersionManifest:
    """A manifest that went to the Director."""
    return car.fleet.profile.format.decode(VehicleVersionManifest, car.links.manifests[at]).payload


def on_record(car: Vehicle) -> dict[str, bytes | None]:
    """The latest report of each ECU at the Director."""
    return {ecu: wait(car.fleet.director.ecu(ecu)).report for ecu in (PRIMARY, TCU, *QUIET)}


@pytest.mark.standard("STD-5.4.2.1-3")
def test_a_diff_tells_the_director_what_the_whole_manifest_would(car: Vehicle) -> None:
    assert diff_of(sent(car)) is None and len(sent(car).reports) == 5
    whole = sent(car)
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    car.secondary.update_cycle()
    car.primary.send_manifest()
    diff = sent(car)
    assert diff_of(diff) == whole.counter
    assert [report.payload.ecu for report in diff.reports] == sorted([PRIMARY, TCU])
    told = {report.payload.ecu: report.raw for report in applied(diff, whole).reports}
    assert told == on_record(car)
    assert len(car.links.manifests[-1]) < len(car.links.manifests[0])
    assert not wait(car.fleet.director.alerts(car.vin)), "no ECU counts as missing"


@pytest.mark.standard("STD-5.4.2.1-4")
def test_a_director_that_lost_the_base_gets_the_whole_manifest_in_the_same_cycle(car: Vehicle) -> None:
    async def lose() -> None:
        async with car.fleet.inventory.transaction() as transaction:
            record = await transaction.vehicle(car.vin)
            assert record is not None
            older = car.links.manifests[0]
            await transaction.update_vehicle(type(record)(**{**fields(record), "manifest": older}))

    def fields(record: object) -> dict[str, object]:
        return {name: getattr(record, name) for name in record.__slots__}  # type: ignore[attr-defined]

    car.primary.send_manifest()
    car.restart_primary()
    car.primary.send_manifest()
    wait(lose())
    count = len(car.links.manifests)
    car.primary.update_cycle()
    attempts = [diff_of(sent(car, at)) is not None for at in range(count, len(car.links.manifests))]
    assert attempts == [True, False]
    assert wait(car.fleet.director.vehicle(car.vin)).manifest_counter == sent(car).counter


def test_after_a_restart_and_without_an_ecu_the_manifest_is_whole(car: Vehicle) -> None:
    car.restart_primary()
    car.primary.send_manifest()
    assert diff_of(sent(car)) is None
    car.primary.secondaries.retire_secondary(QUIET[0])
    car.primary.send_manifest()
    assert diff_of(sent(car)) is None
    assert QUIET[0] not in {report.payload.ecu for report in sent(car).reports}


@pytest.mark.standard("STD-5.3.2.1-4")
def test_a_diff_is_checked_like_any_manifest(car: Vehicle) -> None:
    profile, director, now = car.fleet.profile, car.fleet.director, car.fleet.now
    whole = sent(car)
    car.primary.send_manifest()
    raw = car.links.manifests[-1]

    def offer(manifest: bytes) -> None:
        wait(director.receive_manifest(car.vin, PRIMARY, manifest, now))

    before = on_record(car)
    with pytest.raises(ReplayedReportError):
        offer(raw)
    lie = sent(car)
    forged = VehicleVersionManifest(
        vehicle=lie.vehicle,
        primary=lie.primary,
        reports=lie.reports,
        counter=lie.require_counter() + 1,
        extensions=Extensions(((DIFF_OF, b"%d" % whole.require_counter()),)),
    )
    with pytest.raises(BadSignatureError):
        offer(sign(profile, forged, [car.tcu.device.signer]))
    for text, error in (
        (b"7", UnknownBaseError),
        (b"07", FormatError),
        (b'"x"', FormatError),
        (b"9" * 20, FormatError),
    ):
        extensions = Extensions(((DIFF_OF, text),))
        other = VehicleVersionManifest(
            vehicle=lie.vehicle,
            primary=lie.primary,
            reports=lie.reports,
            counter=lie.require_counter() + 1,
            extensions=extensions,
        )
        with pytest.raises(error):
            offer(sign(profile, other, [car.device.signer]))
    assert on_record(car) == before


@pytest.mark.standard("STD-5.4.2.1-3")
def test_a_diff_that_hides_a_newer_report_behind_an_older_base_is_a_replay(car: Vehicle) -> None:
    """A Primary that leaves out what it told before would put the older report back in its place."""
    whole = sent(car)
    car.secondary.send_report()
    car.primary.send_manifest()
    newer = on_record(car)[TCU]
    full = car.fleet.profile.format.decode(VehicleVersionManifest, car.primary.make_manifest()).payload
    hiding = VehicleVersionManifest(
        vehicle=full.vehicle,
        primary=full.primary,
        reports=tuple(report for report in full.reports if report.payload.ecu == PRIMARY),
        counter=full.counter,
        extensions=Extensions(((DIFF_OF, b"%d" % whole.require_counter()),)),
    )
    with pytest.raises(ReplayedReportError):
        wait(
            car.fleet.director.receive_manifest(
                car.vin, PRIMARY, sign(car.fleet.profile, hiding, [car.device.signer]), car.fleet.now
            )
        )
    assert on_record(car)[TCU] == newer


def test_a_diff_of_a_manifest_with_more_ecus_cannot_be_made(car: Vehicle) -> None:
    whole = sent(car)
    fewer = VehicleVersionManifest(
        vehicle=whole.vehicle, primary=whole.primary, reports=whole.reports[:-1], counter=whole.counter
    )
    assert as_diff(fewer, whole) is None


def test_the_archived_formats_send_whole_manifests() -> None:
    old = Vehicle(Fleet(PROFILES["pouf1"]), rules=DIFFS)
    for _ in range(2):
        old.primary.send_manifest()
    assert {diff_of(sent(old, at)) for at in (-1, -2)} == {None}
