"""A Secondary believes nothing of its Primary: bundles, images and times of a hostile one are refused."""

import io
import random
import zipfile
from collections.abc import Callable
from datetime import timedelta

import pytest
from fleet import Fleet, Vehicle
from signed import EVIL, FACTORY, FRESH, PATH
from world import DIRECTOR, IMAGES, NOW, TCU, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    BadHashError,
    BadSignatureError,
    EndlessDataError,
    FormatError,
    LengthMismatchError,
    ReplayedMetadataError,
    RepositoryMismatchError,
    SecurityError,
    UnreachableError,
    UptaneError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.timeserver.timeserver import Timeserver
from uptane.vehicle import distribution
from uptane.vehicle.distribution import Bundle, pack
from uptane.vehicle.secondary import Outcome


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle whose Primary has verified an update that its Secondary has not asked for yet."""
    car = Vehicle(Fleet(profile))
    car.primary.update_cycle()
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    return car


def unpacked(car: Vehicle) -> dict[str, bytes]:
    """The files of the bundle that the Primary offers."""
    with zipfile.ZipFile(io.BytesIO(car.primary.secondaries.get_metadata(TCU))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive as anybody can make one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return buffer.getvalue()


@pytest.mark.standard("STD-5.4.3.3-2", "STD-5.4.3-1", "STD-5.4.3.2-1", "STD-5.4.4-2", "STD-5.4.4-3", "STD-3.2.2.1-2")
@pytest.mark.standard("STD-5.4.4.2-2")
@pytest.mark.standard("STD-5.4.2.6-1", "STD-5-8", "STD-5.4-6", "STD-5.4-9", "STD-5.4-10", "STD-5.4.2.7-1")
@pytest.mark.standard("STD-5.4.4.2-3")
def test_the_bundle_is_all_that_a_secondary_needs(car: Vehicle) -> None:
    name = car.fleet.profile.metadata_name
    files = set(unpacked(car))
    for repository in (DIRECTOR, IMAGES):
        assert {f"{repository}/{name(Role.ROOT, 1)}", f"{repository}/{name(Role.TIMESTAMP)}"} <= files
    car.link.calls.clear()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.link.calls == ["time", "metadata", "update?", "image", "report"]
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.4-6", "STD-5.4-9", "STD-5.4.4-2", "STD-5.4.4-3", "STD-5.4-10", "STD-5.4.3.2-1")
@pytest.mark.standard("STD-3.2.2.1-2", "STD-5.4.4.2-2")
def test_an_altered_bundle_is_refused(car: Vehicle) -> None:
    files = unpacked(car)
    name = f"{DIRECTOR}/{car.fleet.profile.metadata_name(Role.TIMESTAMP)}"
    with car.secondary_refuses(BadSignatureError):
        stranger = Fleet(car.fleet.profile)
        stranger.add_vehicle(car.vin)
        car.link.swapped_bundle = pack(files | {name: stranger.file(DIRECTOR, Role.TIMESTAMP)})
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.4.4.4-3")
def test_an_old_bundle_is_refused(car: Vehicle) -> None:
    old = car.primary.secondaries.get_metadata(TCU)
    car.secondary.update_cycle()
    car.fleet.release(PATH, FRESH + b" 2")
    car.primary.update_cycle()
    car.secondary.update_cycle()
    with car.secondary_refuses(ReplayedMetadataError):
        car.link.swapped_bundle = old


@pytest.mark.standard("STD-5.2.3.1-6")
def test_the_bundle_of_another_vehicle_is_refused(car: Vehicle) -> None:
    other = Vehicle(car.fleet, VehicleIdentifier("112"), primary=EcuIdentifier("P112"), secondary=EcuIdentifier("S112"))
    other.primary.update_cycle()
    with car.secondary_refuses(WrongVehicleError) as errors:
        car.link.swapped_bundle = other.primary.secondaries.get_metadata(other.tcu.ecu)
    assert errors[0].facts["offered"] == "112"


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: b"", FormatError),
        (lambda: b"garbage", FormatError),
        (lambda: zipped([("a", b"1"), ("a", b"2")]), FormatError),
        (lambda: zipped([("a", bytes(10_000_000))], zipfile.ZIP_DEFLATED), FormatError),
        (lambda: zipped([("a", bytes(100))], zipfile.ZIP_BZIP2), FormatError),
        (lambda: zipped([(str(i), b"") for i in range(distribution.MAX_BUNDLE_FILES + 1)]), EndlessDataError),
        (lambda: zipped([("a", bytes(distribution.MAX_BUNDLE_BYTES + 1))], zipfile.ZIP_DEFLATED), EndlessDataError),
    ],
    ids=["empty", "garbage", "one name twice", "compressed", "other method", "many files", "zip bomb"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_no_bundle_is_refused_before_anything_is_unpacked(
    car: Vehicle, make: Callable[[], bytes], error: type[UptaneError]
) -> None:
    with car.secondary_refuses(error):
        car.link.swapped_bundle = make()


def test_whatever_happens_to_a_bundle_on_its_way_is_an_error_of_ours(car: Vehicle) -> None:
    genuine = car.primary.secondaries.get_metadata(TCU)
    chance = random.Random(1)
    for _ in range(300):
        damaged = bytearray(genuine)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.choice([chance.randrange(len(damaged)), -chance.randint(1, 400)])] = chance.randrange(256)
        try:
            Bundle(bytes(damaged[: chance.choice([len(damaged), chance.randrange(len(damaged))])]), car.fleet.profile)
        except SecurityError as error:
            assert type(error) in (FormatError, EndlessDataError)


def test_a_file_of_the_bundle_that_is_too_long_is_endless_data(car: Vehicle) -> None:
    files = unpacked(car)
    name = f"{DIRECTOR}/{car.fleet.profile.metadata_name(Role.TIMESTAMP)}"
    with car.secondary_refuses(EndlessDataError):
        car.link.swapped_bundle = pack(files | {name: bytes(20_000)})


@pytest.mark.standard("STD-5.4.2.6-2")
def test_a_file_that_the_primary_withholds_is_missed(car: Vehicle) -> None:
    files = unpacked(car)
    del files[f"{IMAGES}/{car.fleet.profile.metadata_name(Role.TIMESTAMP)}"]
    with car.secondary_refuses(UnreachableError):
        car.link.swapped_bundle = pack(files)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("other.img", FRESH, RepositoryMismatchError),
        ("../../" + PATH, FRESH, RepositoryMismatchError),
        (PATH, b"x" * len(FRESH), BadHashError),
        (PATH, FRESH + b"!", EndlessDataError),
        (PATH, FRESH[:-1], LengthMismatchError),
        (PATH, EVIL, LengthMismatchError),
    ],
)
@pytest.mark.standard("STD-5.4.3.4-9", "STD-5.4-1")
@pytest.mark.standard("STD-5.4.3.4-11")
@pytest.mark.standard("STD-5.4.3.4-12")
def test_an_image_that_is_not_the_listed_one_is_not_installed(
    car: Vehicle, name: str, data: bytes, error: type[UptaneError]
) -> None:
    car.secondary.update_cycle()
    car.fleet.release(PATH, FRESH)
    newer = car.fleet.release(PATH, FRESH[::-1])
    assert newer.file.length == len(FRESH)
    car.primary.update_cycle()
    car.link.swapped_image = (name, data)
    with pytest.raises(error) as caught:
        car.secondary.update_cycle()
    assert type(caught.value) is error
    assert car.running() == FRESH
    assert car.secondary.memory.state.attacks == ()
    car.primary.update_cycle()
    report = car.fleet.reports(TCU)[0]
    assert caught.value.code in report.attacks_detected
    assert str(caught.value.attack) in report.attacks_detected
    car.link.restore()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH[::-1]


@pytest.mark.standard("STD-5.4.3.3-5")
def test_an_image_that_was_promised_and_does_not_come_ends_the_cycle(car: Vehicle) -> None:
    car.link.no_image = True
    with pytest.raises(UnreachableError):
        car.secondary.update_cycle()
    assert car.running() == FACTORY
    car.link.restore()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED


@pytest.mark.standard("STD-5.4.3.2-2", "STD-5.4.3.3-9", "STD-5.4.3.6-1")
def test_the_report_is_sent_whatever_happens(car: Vehicle) -> None:
    car.link.no_image = True
    car.link.calls.clear()
    with pytest.raises(UnreachableError):
        car.secondary.update_cycle()
    assert car.link.calls[-1] == "report"
    car.link.down = True
    with pytest.raises(UnreachableError):
        car.secondary.update_cycle()
    assert "The version report was not delivered: the Primary does not answer." in car.said[-1]


@pytest.mark.standard("STD-5.4.3.1-1")
def test_a_forged_time_is_refused(car: Vehicle) -> None:
    thief = Timeserver(car.fleet.profile, new_signer())
    with car.secondary_refuses(BadSignatureError):
        nonce = car.secondary.memory.state.nonce
        car.link.swapped_attestation = thief.attest([nonce], NOW + timedelta(days=300))
    assert car.secondary.memory.state.time == NOW


@pytest.mark.standard("STD-5.4.3.1-1")
def test_a_time_that_does_not_answer_our_nonce_is_not_taken_over(car: Vehicle) -> None:
    unasked = car.fleet.timeserver.attest([999_999], NOW + timedelta(days=2))
    car.link.swapped_attestation = unasked
    before = car.secondary.memory.state
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    after = car.secondary.memory.state
    assert (after.time, after.nonce, after.attacks) == (before.time, before.nonce, ())


@pytest.mark.standard("STD-5.4.2.1.2-8", "STD-5.4.3.1-1")
def test_time_never_goes_backwards_and_the_attempt_is_reported(car: Vehicle) -> None:
    nonce = car.secondary.memory.state.nonce
    car.link.swapped_attestation = car.fleet.timeserver.attest([nonce], NOW - timedelta(hours=1))
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.secondary.memory.state.time == NOW
    car.primary.update_cycle()
    assert "E-TIME freeze" in car.fleet.reports(TCU)[0].attacks_detected


@pytest.mark.standard("STD-5.4.2.5-1", "STD-5.4.3.1-1", "STD-5.4.2.1.2-9")
def test_the_secondary_takes_over_the_attested_time_and_asks_with_a_new_nonce(car: Vehicle) -> None:
    car.secondary.update_cycle()
    car.fleet.later(hours=3)
    car.primary.update_cycle()
    before = car.secondary.memory.state
    assert before.nonce in car.links.nonces
    car.secondary.update_cycle()
    after = car.secondary.memory.state
    assert after.time == car.fleet.now
    assert after.previous_time == before.time
    assert after.nonce != before.nonce


def test_before_the_first_cycle_of_its_primary_a_secondary_is_told_to_wait(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    with pytest.raises(UnreachableError):
        car.secondary.update_cycle()
    with pytest.raises(UnreachableError):
        car.primary.secondaries.get_metadata(TCU)
    assert not car.primary.secondaries.update_exists_for_ecu(TCU)
    car.cycle()
    assert car.secondary.primary is car.link
