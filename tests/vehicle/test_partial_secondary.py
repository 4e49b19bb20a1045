"""A Secondary with partial verification in a vehicle: what its Primary gives it, and what it refuses of another."""

import io
import zipfile
from collections.abc import Callable
from datetime import timedelta

import pytest
from fleet import Fleet, Vehicle
from links import wait
from partial import FOLLOWS, PINNED, partial_vehicle
from signed import EVIL, FACTORY, FRESH, PATH, custom
from world import DIRECTOR, IMAGES, NOW, TCU, VIN, image, new_signer

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    BadHashError,
    BadSignatureError,
    EndlessDataError,
    ExpiredMetadataError,
    FormatError,
    HardwareMismatchError,
    ImageRollbackError,
    LengthMismatchError,
    ReplayedMetadataError,
    RepositoryMismatchError,
    UnreachableError,
    UptaneError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.services.primary_app import primary_methods
from uptane.timeserver.timeserver import Timeserver
from uptane.vehicle.distribution import pack
from uptane.vehicle.memory import VerificationKind
from uptane.vehicle.secondary import Outcome

OTHER = EcuIdentifier("BCUdemocar")


@pytest.fixture
def car(profile: Profile, kind: VerificationKind) -> Vehicle:
    return partial_vehicle(profile, kind)


def unpacked(car: Vehicle) -> dict[str, bytes]:
    """The files that the Primary offers for partial verification."""
    with zipfile.ZipFile(io.BytesIO(car.primary.secondaries.get_partial_metadata(TCU))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def place(car: Vehicle, role: str, version: int | None = None) -> str:
    """Where a file of the Director stands in the bundle."""
    return f"{DIRECTOR}/{car.fleet.profile.metadata_name(role, version)}"


@pytest.mark.standard("STD-5.4.4.1-3")
@pytest.mark.standard("STD-5.4.2.6-3")
def test_the_directors_roots_and_targets_bring_the_update(car: Vehicle) -> None:
    assert set(unpacked(car)) == {place(car, Role.ROOT, 1), place(car, Role.TARGETS)}
    car.link.calls.clear()
    result = car.secondary.update_cycle()
    assert result.outcome is Outcome.UPDATED
    assert "by the Director alone" in result.reason
    assert car.link.calls == ["time", "partial metadata", "update?", "image", "report"]
    assert car.running() == FRESH
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE_NEEDED
    car.primary.update_cycle()
    assert car.fleet.reports(TCU)[0].attacks_detected == ""


@pytest.mark.standard("STD-3.2.2.1-2")
@pytest.mark.standard("STD-5-8")
@pytest.mark.standard("STD-5.4-9")
@pytest.mark.standard("STD-5.4-10")
def test_full_and_partial_secondaries_live_in_one_vehicle(car: Vehicle, kind: VerificationKind) -> None:
    full = car.add_secondary(OTHER)
    car.fleet.direct(car.fleet.add_image(PATH, FRESH), OTHER)
    car.cycle()
    assert (car.running(), full.device.running()) == (FRESH, FRESH)
    assert full.secondary.memory.verification is VerificationKind.FULL
    assert car.secondary.memory.verification is kind


def test_after_a_restart_both_ecus_are_what_they_were(car: Vehicle, kind: VerificationKind) -> None:
    before = car.primary.secondaries.get_partial_metadata(TCU)
    car.restart_primary()
    assert car.primary.secondaries.get_partial_metadata(TCU) == before
    assert car.tcu.start().memory.verification is kind
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED


def test_an_old_bundle_is_refused_by_a_partial_secondary(car: Vehicle) -> None:
    old = car.primary.secondaries.get_partial_metadata(TCU)
    car.secondary.update_cycle()
    car.fleet.release(PATH, FRESH + b" 2")
    car.cycle()
    with car.secondary_refuses(ReplayedMetadataError):
        car.link.swapped_bundle = old


@pytest.mark.standard("STD-5.2.3.1-6")
def test_the_targets_of_another_vehicle_are_refused(car: Vehicle) -> None:
    other = Vehicle(car.fleet, VehicleIdentifier("112"), primary=EcuIdentifier("P112"), secondary=EcuIdentifier("S112"))
    for _ in range(3):
        wait(car.fleet.director.publish(other.vin, car.fleet.now))
    other.primary.update_cycle()
    with car.secondary_refuses(WrongVehicleError) as errors:
        targets = car.fleet.file(DIRECTOR, Role.TARGETS, other.vin)
        car.link.swapped_bundle = pack(unpacked(car) | {place(car, Role.TARGETS): targets})
    assert errors[0].facts["offered"] == "112"


def test_targets_that_a_stranger_signed_are_refused(car: Vehicle) -> None:
    stranger = Fleet(car.fleet.profile)
    stranger.add_vehicle(car.vin)
    with car.secondary_refuses(BadSignatureError):
        car.link.swapped_bundle = pack(
            unpacked(car) | {place(car, Role.TARGETS): stranger.file(DIRECTOR, Role.TARGETS)}
        )
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.4.4.6-6")
def test_expired_targets_are_refused_although_they_are_newer(car: Vehicle) -> None:
    old = car.primary.secondaries.get_partial_metadata(TCU)
    car.fleet.later(days=92)
    car.fleet.release(PATH, FRESH + b" 2")
    car.primary.update_cycle()
    with car.secondary_refuses(ExpiredMetadataError) as errors:
        car.link.swapped_bundle = old
    assert errors[0].facts["role"] == Role.TARGETS


def test_targets_of_the_image_repository_are_not_taken_for_the_directors(car: Vehicle) -> None:
    with car.secondary_refuses(BadSignatureError):
        mixed = {place(car, Role.TARGETS): car.fleet.file(IMAGES, Role.TARGETS)}
        car.link.swapped_bundle = pack(unpacked(car) | mixed)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda car: b"", FormatError),
        (lambda car: car.fleet.file(DIRECTOR, Role.TARGETS), FormatError),
        (lambda car: pack({}), UnreachableError),
        (lambda car: car.primary.secondaries.get_metadata(TCU), UnreachableError),
        (lambda car: pack({place(car, Role.TARGETS): b""}), FormatError),
        (lambda car: pack({place(car, Role.TARGETS): bytes(5_000_001)}), EndlessDataError),
    ],
    ids=["empty", "Targets alone", "no files", "the full bundle", "an empty file", "endless"],
)
def test_what_is_no_partial_bundle_is_refused(
    car: Vehicle, make: Callable[[Vehicle], bytes], error: type[UptaneError]
) -> None:
    with car.secondary_refuses(error):
        car.link.swapped_bundle = make(car)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("other.img", FRESH[::-1], RepositoryMismatchError),
        (PATH, b"x" * len(FRESH), BadHashError),
        (PATH, FRESH + b"!", EndlessDataError),
        (PATH, FRESH[:-1], LengthMismatchError),
    ],
)
@pytest.mark.standard("STD-5.4.3.4-9")
@pytest.mark.standard("STD-5.4.3.4-11")
def test_an_image_that_differs_is_not_installed_by_a_partial_secondary(
    car: Vehicle, name: str, data: bytes, error: type[UptaneError]
) -> None:
    car.secondary.update_cycle()
    car.fleet.release(PATH, FRESH[::-1])
    car.primary.update_cycle()
    car.link.swapped_image = (name, data)
    with pytest.raises(error) as caught:
        car.secondary.update_cycle()
    assert type(caught.value) is error
    assert car.running() == FRESH
    car.primary.update_cycle()
    assert f"{caught.value.code} {caught.value.attack}" in car.fleet.reports(TCU)[0].attacks_detected
    car.link.restore()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH[::-1]


def test_an_image_of_a_newer_cycle_is_no_attack_in_the_eyes_of_a_partial_secondary(car: Vehicle) -> None:
    offered = car.secondary.verify_metadata()
    assert offered is not None
    car.fleet.release(PATH, FRESH + b" 2")
    car.primary.update_cycle()
    with pytest.raises(UnreachableError):
        car.secondary.receive_image(offered)
    assert car.secondary.memory.state.attacks == ()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED


@pytest.mark.standard("STD-5.4.3.4-5")
def test_an_older_release_that_both_repositories_list_is_refused(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH + b" 5", custom=custom(5))
    car.cycle()
    assert car.secondary.memory.state.release_counter == 5
    with car.secondary_refuses(
        ImageRollbackError, undo=lambda: car.fleet.release(PATH, FRESH + b" 6", custom=custom(6))
    ):
        car.fleet.release(PATH, FRESH + b" 4", custom=custom(4))
        car.primary.update_cycle()
    assert car.running() == FRESH + b" 6"


@pytest.mark.standard("STD-5.4.3.4-3")
def test_an_image_for_other_hardware_is_refused_by_a_partial_secondary(
    profile: Profile, kind: VerificationKind
) -> None:
    car = partial_vehicle(profile, kind, hardware=HardwareIdentifier("tcu-7"))
    good = car.fleet.add_image("good.img", FRESH, custom(hardware=("tcu-7",)))
    with car.secondary_refuses(HardwareMismatchError, undo=lambda: car.fleet.direct(good)):
        car.fleet.release("wrong.img", EVIL, custom=custom(hardware=("tcu-8",)))
        car.primary.update_cycle()
    assert car.secondary.memory.state.installed.path == "good.img"


@pytest.mark.standard("STD-5.4.4.1-2")
@pytest.mark.standard("STD-5.4.4.1-1")
def test_a_forged_time_is_refused_by_a_partial_secondary(car: Vehicle) -> None:
    thief = Timeserver(car.fleet.profile, new_signer())
    with car.secondary_refuses(BadSignatureError):
        nonce = car.secondary.memory.state.nonce
        car.link.swapped_attestation = thief.attest([nonce], NOW - timedelta(days=300))
    assert car.secondary.memory.state.time == NOW


@pytest.mark.standard("STD-5.4.4.1-4")
@pytest.mark.standard("STD-5.4-11")
def test_amb_17_new_director_keys_reach_a_secondary_that_follows_root(profile: Profile) -> None:
    car = partial_vehicle(profile, FOLLOWS)
    stolen = unpacked(car)
    for n in range(3):
        car.fleet.rotate_director(Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
        car.fleet.release(PATH, FRESH + b" %d" % n)
        car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH + b" 2"
    with car.secondary_refuses(BadSignatureError):
        car.link.swapped_bundle = pack(unpacked(car) | {place(car, Role.TARGETS): stolen[place(car, Role.TARGETS)]})


@pytest.mark.standard("STD-5.4.4.1-4")
def test_amb_17_new_director_keys_never_reach_a_secondary_with_pinned_ones(profile: Profile) -> None:
    car = partial_vehicle(profile, PINNED)
    car.secondary.update_cycle()
    trusted = car.tcu.device.trusted()
    car.fleet.rotate_director(Role.TARGETS)
    car.fleet.release(PATH, FRESH + b" 2")
    car.primary.update_cycle()
    for _ in range(2):
        with pytest.raises(BadSignatureError):
            car.secondary.update_cycle()
        car.primary.update_cycle()
        assert "E-SIG" in car.fleet.reports(TCU)[0].attacks_detected
    assert (car.running(), car.tcu.device.trusted()) == (FRESH, trusted)


def test_roots_of_a_stranger_are_refused_and_none_of_them_is_kept(profile: Profile) -> None:
    car = partial_vehicle(profile, FOLLOWS)
    stranger = Fleet(profile)
    stranger.add_vehicle(car.vin)
    stranger.rotate_director(Role.TARGETS)
    with car.secondary_refuses(BadSignatureError) as errors:
        files = {place(car, role): stranger.file(DIRECTOR, role) for role in (Role.ROOT, Role.TARGETS)}
        files[place(car, Role.ROOT, 2)] = files[place(car, Role.ROOT)]
        car.link.swapped_bundle = pack(unpacked(car) | files)
    assert errors[0].facts["role"] == Role.ROOT


def test_stolen_director_keys_do_not_pass_an_honest_primary(car: Vehicle) -> None:
    """TH-18: nothing of it reaches the partial Secondary."""
    car.secondary.update_cycle()
    genuine = car.fleet.add_image(PATH, FRESH)
    with car.primary_refuses(RepositoryMismatchError, undo=lambda: car.fleet.direct(genuine)):
        car.fleet.direct(image(PATH, EVIL))
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.4.4.1-3")
def test_stolen_director_keys_and_a_hostile_primary_together_fool_a_partial_secondary(car: Vehicle) -> None:
    """TH-18 and KC-2: the documented limit of partial verification; a full Secondary refuses the same."""
    full = car.add_secondary(OTHER)
    car.cycle()
    for ecu in (TCU, OTHER):
        car.fleet.direct(image(PATH, EVIL), ecu)
    car.link.swapped_bundle = pack(unpacked(car) | {place(car, Role.TARGETS): car.fleet.file(DIRECTOR, Role.TARGETS)})
    car.link.swapped_image = (PATH, EVIL)
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == EVIL
    name = car.fleet.profile.metadata_name
    store = {f"{DIRECTOR}/{file}": raw for file, raw in car.fleet.published(VIN).items()}
    store |= {f"{IMAGES}/{file}": raw for file, raw in car.fleet.published().items()}
    assert f"{DIRECTOR}/{name(Role.TIMESTAMP)}" in store
    full.link.swapped_bundle = pack(store)
    with pytest.raises(RepositoryMismatchError):
        full.secondary.update_cycle()
    assert full.device.running() == FACTORY


def test_the_door_gives_either_bundle_and_takes_no_other_flag(car: Vehicle) -> None:
    door = primary_methods(car.primary.secondaries, car.fleet.profile)["get_metadata"]
    assert door(TCU) == door(TCU, False) == car.primary.secondaries.get_metadata(TCU)
    assert door(TCU, True) == car.primary.secondaries.get_partial_metadata(TCU)
    for flag in (1, "true", None):
        with pytest.raises(FormatError):
            door(TCU, flag)
    with pytest.raises(UptaneError):
        door("nobody", True)


def test_before_the_first_cycle_of_its_primary_a_partial_secondary_is_told_to_wait(
    profile: Profile, kind: VerificationKind
) -> None:
    car = Vehicle(Fleet(profile), verification=kind)
    with pytest.raises(UnreachableError):
        car.secondary.update_cycle()
    with pytest.raises(UnreachableError):
        car.primary.secondaries.get_partial_metadata(TCU)
