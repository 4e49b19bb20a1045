"""The Primary's seven steps: their order, what stops them, and that nothing trusted changes when they stop."""

import pytest
from fleet import Fleet, Vehicle
from msgspec import structs
from signed import FACTORY, FRESH, PATH
from world import IMAGES, PRIMARY, TCU, listed

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    BadHashError,
    EndlessDataError,
    LengthMismatchError,
    ReplayedReportError,
    UnreachableError,
)
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.timestamp import Timestamp
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.signing.sign import sign
from uptane.vehicle.installation import slot_of
from uptane.vehicle.secondary import Outcome


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle that runs its factory images."""
    return Vehicle(Fleet(profile))


@pytest.mark.standard("STD-5.4.4.2-12", "STD-5.4.4.2-13", "STD-5.4.4.2-15", "STD-5.4.3-1")
@pytest.mark.standard("STD-5.4.2-1", "STD-5.4.2.1-2", "STD-5.4.2.2-1", "STD-5.4-5", "STD-5.4.4.2-7", "STD-5.4.4.2-9")
@pytest.mark.standard("STD-5.4.4.2-6")
def test_the_seven_steps_come_in_the_order_of_the_standard(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    car.fleet.direct(car.fleet.add_image("head unit.img", FRESH + b"!"), PRIMARY)
    car.links.calls.clear()
    result = car.primary.update_cycle()
    director = [f"director {role}" for role in ("root", "timestamp", "snapshot", "targets")]
    images = [f"imagerepo {role}" for role in ("root", "timestamp", "snapshot", "targets")]
    assert car.links.calls[:10] == ["manifest", "time", *director, *images]
    assert sorted(car.links.calls[10:]) == ["image firmware from mirror 1", "image head unit from mirror 1"]
    assert set(result.images) == {PRIMARY, TCU}
    assert len(result.fetched) == 2


@pytest.mark.standard("STD-5-6", "STD-5.4-5", "STD-5.4-6", "STD-5.4.2.1-1", "STD-5.4.2.1.2-7", "STD-5.4.2.7-1")
@pytest.mark.standard("STD-5.4.3.6-1", "STD-5.4.3.5-1")
def test_an_update_reaches_the_secondary_and_is_reported_to_the_director(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH
    car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE_NEEDED
    manifest = car.fleet.profile.format.decode(VehicleVersionManifest, car.links.manifests[-1]).payload
    assert {report.payload.ecu: report.payload.installed.path for report in manifest.reports} == {
        PRIMARY: "factory.img",
        TCU: PATH,
    }
    assert car.fleet.reports(TCU)[0].attacks_detected == ""


@pytest.mark.standard("STD-5.4.2.4-1", "STD-5.4.3.5-1")
def test_the_primary_installs_for_itself(car: Vehicle) -> None:
    image = car.fleet.release("head unit.img", FRESH, PRIMARY)
    assert car.primary.update_cycle().installed == image.file
    assert car.device.running() == FRESH
    assert car.running() == FACTORY
    assert car.primary.update_cycle().installed is None
    assert car.fleet.reports(PRIMARY)[0].attacks_detected == ""


@pytest.mark.standard("STD-5.4.4-4")
@pytest.mark.parametrize("server", ["Director", "Timeserver", "director", "imagerepo"])
def test_a_server_that_is_down_in_mid_cycle_changes_nothing_that_is_trusted(car: Vehicle, server: str) -> None:
    car.cycle()
    car.fleet.release(PATH, FRESH)
    with car.primary_refuses(UnreachableError):
        car.links.down.add(server)
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.4.3.3-5")
def test_images_that_no_mirror_gives_are_asked_again_in_the_next_cycle(car: Vehicle) -> None:
    car.cycle()
    car.fleet.release(PATH, FRESH)
    car.links.down |= {"mirror 1", "mirror 2"}
    with pytest.raises(UnreachableError):
        car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE
    car.restart_primary()
    result = car.secondary.update_cycle()
    assert (result.outcome, result.reason) == (
        Outcome.NO_UPDATE,
        "Primary reports that there is no update for this ECU.",
    )
    car.links.restore()
    car.cycle()
    assert car.running() == FRESH


@pytest.mark.parametrize(
    ("bytes_sent", "error"),
    [
        (b"Evil-- firmware imag", BadHashError),
        (FRESH[:-1], LengthMismatchError),
        (b"", LengthMismatchError),
        (FRESH + b"!", EndlessDataError),
        (b"\0" * 100_000, EndlessDataError),
        (None, UnreachableError),
    ],
    ids=["other bytes", "one byte short", "nothing", "one byte more", "endless", "missing"],
)
@pytest.mark.standard("STD-5.4.2.4-2", "STD-5.4-7", "STD-5.4.2.4-1", "STD-5.4.3.4-9")
@pytest.mark.standard("STD-5.4.3.3-7")
@pytest.mark.standard("STD-5.4.3.4-11")
def test_an_image_that_is_not_the_listed_one_is_neither_kept_nor_forwarded(
    car: Vehicle, bytes_sent: bytes | None, error: type[Exception]
) -> None:
    image = car.fleet.release(PATH, FRESH)
    car.links.alter_image(PATH, bytes_sent)
    for _ in range(2):
        with pytest.raises(error) as caught:
            car.primary.update_cycle()
        assert type(caught.value) is error
        assert car.device.slots.chunks(slot_of(image)) is None
        assert not car.primary.secondaries.update_exists_for_ecu(TCU)
    car.links.restore()
    car.cycle()
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.4.3.3-7")
def test_an_endless_image_is_stopped_at_the_listed_length(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    read: list[int] = []
    car.links.alter_image(PATH, CountingBytes(read))
    with pytest.raises(EndlessDataError):
        car.primary.update_cycle()
    mirrors = car.links.mirrors
    assert sum(read) <= len(mirrors) * (len(FRESH) + mirrors[0].chunk)


class CountingBytes(bytes):
    """A million zeros that count how many of them were read."""

    def __new__(cls, read: list[int]) -> "CountingBytes":
        made = super().__new__(cls, 1_000_000)
        made.read = read
        return made

    def __getitem__(self, part: slice) -> bytes:  # type: ignore[override]
        self.read.append(part.stop - part.start)
        return super().__getitem__(part)


@pytest.mark.standard("STD-5.4.2.1.2-8")
def test_a_later_mirror_helps_and_the_first_one_is_reported(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    car.links.mirrors[0].altered[PATH] = b"x" * len(FRESH)
    car.primary.update_cycle()
    assert [call for call in car.links.calls if "mirror" in call] == [
        "image firmware from mirror 1",
        "image firmware from mirror 2",
    ]
    car.cycle()
    assert car.running() == FRESH
    assert "E-HASH arbitrary software" in car.fleet.reports(PRIMARY)[0].attacks_detected


def test_an_unreachable_first_mirror_is_no_attack(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    car.links.down.add("mirror 1")
    car.cycle()
    assert car.running() == FRESH
    assert car.primary.memory.state.attacks == ()


def test_a_known_image_is_fetched_again_only_where_that_is_asked_for(profile: Profile) -> None:
    for refetch in (False, True):
        car = Vehicle(Fleet(profile), refetch_images=refetch)
        car.fleet.release(PATH, FRESH)
        car.cycle()
        assert len(car.primary.update_cycle().fetched) == int(refetch)


@pytest.mark.standard("STD-5.4.4-5")
def test_a_stored_image_that_is_damaged_is_fetched_again(car: Vehicle) -> None:
    image = car.fleet.release(PATH, FRESH, PRIMARY)
    car.primary.update_cycle()
    for damage in (b"x" * len(FRESH), b"short", FRESH + b"longer"):
        with car.device.slots.receive(slot_of(image)) as writer:
            writer.write(damage)
            writer.keep()
        assert car.primary.update_cycle().fetched == (image.file,)
        assert b"".join(car.device.slots.chunks(slot_of(image)) or ()) == FRESH


def test_images_that_nobody_shall_have_any_more_are_removed(car: Vehicle) -> None:
    image = car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    car.fleet.clear()
    car.primary.update_cycle()
    assert car.device.slots.chunks(slot_of(image)) is None
    assert car.primary.secondaries.get_image(TCU) is None
    assert not car.primary.secondaries.update_exists_for_ecu(TCU)
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE


@pytest.mark.standard("STD-5.4.2.4-1")
def test_two_ecus_get_the_same_image_which_is_fetched_once(car: Vehicle) -> None:
    bcu = car.add_secondary(EcuIdentifier("BCUdemocar"))
    image = car.fleet.release(PATH, FRESH)
    car.fleet.direct(image, bcu.ecu)
    assert car.primary.update_cycle().fetched == (image.file,)
    for each in car.secondaries:
        assert each.secondary.update_cycle().outcome is Outcome.UPDATED
        assert each.device.running() == FRESH


def test_a_director_that_refuses_the_manifest_does_not_keep_the_vehicle_from_its_update(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    car.primary.send_manifest()
    car.primary.memory.note_attack("E-HASH: seen before")
    car.primary.memory.change(manifest_counter=1)
    with pytest.raises(ReplayedReportError):
        car.primary.update_cycle()
    assert any("refused the vehicle manifest" in line for line in car.said)
    assert car.primary.memory.state.attacks == ("E-HASH: seen before",)
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH


def test_a_director_that_says_what_it_lacks_for_a_manifest_does_not_keep_the_vehicle_from_its_update(
    car: Vehicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    car.fleet.release(PATH, FRESH)
    car.primary.memory.note_attack("E-HASH: seen before")

    def cannot_keep_it(vehicle: VehicleIdentifier, primary: EcuIdentifier, manifest: bytes) -> None:
        raise UnreachableError("the server refused (E-STORAGE): the database is full", code="E-STORAGE")

    with monkeypatch.context() as patch:
        patch.setattr(car.links, "submit_manifest", cannot_keep_it)
        with pytest.raises(UnreachableError, match="the database is full"):
            car.primary.update_cycle()
    assert car.primary.memory.state.attacks == ("E-HASH: seen before",)
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH


def test_a_manifest_is_sent_once_and_the_same_one_again_is_replay(car: Vehicle) -> None:
    manifest = car.primary.make_manifest()
    car.primary.send_manifest(manifest)
    with pytest.raises(ReplayedReportError):
        car.primary.send_manifest(manifest)
    car.primary.send_manifest()
    assert car.primary.director is car.links


@pytest.mark.standard("STD-5.4.3.3-4")
def test_an_image_below_a_folder_is_found_under_its_hashed_name(car: Vehicle) -> None:
    image = car.fleet.release("supplier/brakes/firmware.img", FRESH)
    car.cycle()
    assert image.file.path == ImagePath("supplier/brakes/firmware.img")
    assert car.running() == FRESH


def test_a_snapshot_that_lists_versions_only_is_enough_for_primary_and_secondary(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    profile, keys = car.fleet.profile, car.fleet.image_keys
    snapshot = profile.format.decode(Snapshot, car.fleet.file(IMAGES, Role.SNAPSHOT)).payload
    timestamp = profile.format.decode(Timestamp, car.fleet.file(IMAGES, Role.TIMESTAMP)).payload
    bare = {name: MetadataFile(version=file.version) for name, file in snapshot.files.items()}
    newer = structs.replace(snapshot, version=snapshot.version + 1, files=bare)
    raw = sign(profile, newer, keys[Role.SNAPSHOT])
    top = structs.replace(timestamp, version=timestamp.version + 1, snapshot=listed(raw, newer.version))
    car.links.altered[IMAGES, profile.metadata_name(Role.SNAPSHOT, newer.version)] = raw
    car.links.altered[IMAGES, profile.metadata_name(Role.TIMESTAMP)] = sign(profile, top, keys[Role.TIMESTAMP])
    car.cycle()
    assert car.running() == FRESH
