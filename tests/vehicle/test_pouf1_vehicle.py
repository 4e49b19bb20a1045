"""A whole vehicle on the wire of the archived implementation: what it takes, and what it still refuses."""

import io
import zipfile
from dataclasses import replace

import pytest
from device import SecondaryEcu, new_device
from fleet import Fleet, Vehicle
from links import wait
from signed import EVIL, FACTORY, FRESH, PATH, custom, signed_report
from world import DIRECTOR, IMAGES, PRIMARY, TCU, VIN, delegation

from uptane.formats.profiles import PROFILES
from uptane.metadata.delegations import DelegatedRole
from uptane.metadata.errors import (
    BadHashError,
    BadSignatureError,
    FormatError,
    ProvisioningError,
    ReplayedMetadataError,
    RepositoryMismatchError,
    SpoofingError,
)
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, VehicleIdentifier
from uptane.metadata.keys import KeyIdRule
from uptane.metadata.root import Role
from uptane.metadata.version_report import EcuVersionReport
from uptane.vehicle.provisioning import provision
from uptane.vehicle.secondary import Outcome

OTHER = EcuIdentifier("BCUdemocar")


@pytest.fixture(params=["pouf1", "pouf1-json"])
def car(request: pytest.FixtureRequest) -> Vehicle:
    """A vehicle that runs a first release."""
    car = Vehicle(Fleet(PROFILES[request.param]))
    car.fleet.release(PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH
    return car


def test_an_ecu_begins_with_root_alone(car: Vehicle) -> None:
    fresh = new_device()
    what = car.fleet.provisioning(VIN, OTHER, 1)
    memory = provision(fresh.store, car.fleet.profile, what)
    assert {name for name in memory.names("repository/") if "/role/" in name} == {
        f"repository/{repository}/role/root" for repository in (DIRECTOR, IMAGES)
    }
    what = car.fleet.provisioning(VIN, OTHER, 1)
    object.__setattr__(what, "roles", {DIRECTOR: {}, IMAGES: {}})
    with pytest.raises(ProvisioningError):
        provision(new_device().store, car.fleet.profile, what)


def test_reports_reach_the_director_without_counters(car: Vehicle) -> None:
    car.fleet.later(seconds=5)
    car.cycle()
    car.primary.update_cycle()
    newest = car.fleet.profile.format.decode(EcuVersionReport, car.fleet.reports(TCU)[0].report).payload
    assert (newest.counter, newest.nonce) == (None, None)
    assert newest.installed.path == PATH
    assert [stored.counter for stored in car.fleet.reports(TCU)] == sorted(
        (stored.counter for stored in car.fleet.reports(TCU)), reverse=True
    )


def test_the_nonce_of_a_secondary_travels_beside_its_report(car: Vehicle) -> None:
    nonce = car.secondary.memory.state.nonce
    car.secondary.send_report()
    car.primary.update_cycle()
    assert nonce in car.links.nonces
    car.fleet.later(seconds=5)
    car.primary.update_cycle()
    car.secondary.update_cycle()
    assert car.secondary.memory.state.time == car.fleet.now


def test_a_secondary_gets_the_files_under_the_names_of_the_servers(car: Vehicle) -> None:
    with zipfile.ZipFile(io.BytesIO(car.link.metadata(TCU))) as archive:
        extension = car.fleet.profile.format.extension
        assert set(archive.namelist()) == {
            f"{repository}/metadata/{name}.{extension}"
            for repository in (DIRECTOR, IMAGES)
            for name in (*Role, "1.root")
        }


def test_ecus_of_one_key_are_registered(car: Vehicle) -> None:
    key = car.tcu.device.signer.key
    assert wait(car.fleet.director.register_ecu(vehicle=VIN, ecu=OTHER, key=key, is_primary=False))
    with pytest.raises(SpoofingError):
        wait(car.fleet.director.register_ecu(vehicle=VIN, ecu=TCU, key=car.device.signer.key, is_primary=False))


def test_a_secondary_without_a_key_at_its_primary_reports(car: Vehicle) -> None:
    other = SecondaryEcu(car, OTHER, new_device(car.fleet.profile.format.key_id_rule))
    key = car.fleet.profile.format.encode_key(other.device.signer.key)
    car.links.register_ecu(VIN, OTHER, key, is_primary=False)
    car.primary.secondaries.register_new_secondary(OTHER)
    other.secondary.send_report()
    car.primary.update_cycle()
    assert len(car.fleet.reports(OTHER)) == 1
    with pytest.raises(SpoofingError):
        car.link.submit_report(VIN, OTHER, 1, car.secondary.make_report().raw)


def test_a_forged_report_in_a_vehicle_does_not_silence_it(car: Vehicle) -> None:
    """Its Primary cannot verify it, and the Director sets it aside."""
    car.primary.secondaries.register_new_secondary(OTHER)
    wait(
        car.fleet.director.register_ecu(
            vehicle=VIN, ecu=OTHER, key=new_device(car.fleet.profile.format.key_id_rule).signer.key, is_primary=False
        )
    )
    thief = SecondaryEcu(car, OTHER, new_device(car.fleet.profile.format.key_id_rule))
    thief.secondary.send_report()
    car.fleet.later(seconds=5)
    car.cycle()
    car.primary.update_cycle()
    assert car.fleet.reports(OTHER) == []
    assert len(car.fleet.reports(TCU)) >= 2


def test_a_captured_report_in_a_vehicle_does_not_silence_it(car: Vehicle) -> None:
    captured = car.secondary.make_report().raw
    car.fleet.later(seconds=5)
    for _ in range(2):
        car.cycle()
    told = len(car.fleet.reports(PRIMARY))
    for _ in range(2):
        car.fleet.later(seconds=5)
        car.primary.secondaries.register_ecu_manifest(VIN, TCU, 1, captured)
        car.primary.update_cycle()
    assert len(car.fleet.reports(PRIMARY)) == told + 2


def test_a_strangers_key_silences_no_secondary(car: Vehicle) -> None:
    codec = car.fleet.profile.format
    car.primary.secondaries.register_new_secondary(TCU, codec.encode_key(car.fleet.new_key().key))
    car.fleet.later(seconds=5)
    car.cycle()
    told = len(car.fleet.reports(TCU))
    car.primary.update_cycle()
    assert len(car.fleet.reports(TCU)) == told + 1


def test_what_a_stranger_says_is_not_signed_by_the_primary(car: Vehicle) -> None:
    thief = car.fleet.new_key()
    for attacks in ("BRAKES FAILED", ""):
        forged = signed_report(car.fleet.profile, thief, TCU, counter=1, attacks=attacks)
        car.primary.secondaries.register_ecu_manifest(VIN, TCU, 1, forged)
    assert car.primary.memory.state.attacks == ()


def test_a_secondary_that_slept_through_new_roots_follows(car: Vehicle) -> None:
    for _ in range(3):
        car.fleet.rotate_images(Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS)
        car.fleet.rotate_director(Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS)
        car.fleet.release(PATH, b"another release")
        car.primary.update_cycle()
    car.secondary.update_cycle()
    assert car.running() == b"another release"


def test_a_key_that_was_shared_once_is_taken_for_every_other_profile(car: Vehicle) -> None:
    strict = Fleet(PROFILES["der"], inventory=car.fleet.inventory)
    key = replace(car.tcu.device.signer.key, id_rule=KeyIdRule.TUF)
    with pytest.raises(SpoofingError):
        wait(strict.director.register_ecu(vehicle=VIN, ecu=OTHER, key=key, is_primary=False))


def test_stolen_director_keys_alone_install_nothing(car: Vehicle) -> None:
    with car.primary_refuses(RepositoryMismatchError, undo=lambda: car.fleet.direct(genuine)):
        genuine = car.fleet.add_image(PATH, FRESH)
        car.fleet.direct(wait(Fleet(car.fleet.profile).images.add_image(ImagePath(PATH), EVIL)))


def test_an_altered_image_is_refused(car: Vehicle) -> None:
    car.refetch_images = True
    car.restart_primary()
    with car.primary_refuses(BadHashError):
        car.links.alter_image(PATH, b"X" * len(FRESH))


def test_an_older_timestamp_is_refused(car: Vehicle) -> None:
    name = car.fleet.profile.metadata_name(Role.TIMESTAMP)
    old = car.fleet.file(DIRECTOR, Role.TIMESTAMP)
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    car.cycle()
    with car.primary_refuses(ReplayedMetadataError):
        car.links.altered[DIRECTOR, name] = old


def test_an_attack_is_reported_whatever_characters_it_holds(car: Vehicle) -> None:
    car.secondary.memory.note_attack("E-HASH: image \u2018caf\u00e9\u2019")
    car.secondary.send_report()
    car.primary.update_cycle()
    told = car.fleet.reports(TCU)[0].attacks_detected
    assert told == (
        "E-HASH: image ?caf??" if car.fleet.profile.name == "pouf1" else "E-HASH: image \u2018caf\u00e9\u2019"
    )


def test_revoked_keys_are_out_of_use_for_both_ecus(car: Vehicle) -> None:
    name = car.fleet.profile.metadata_name(Role.TIMESTAMP)
    old = car.fleet.file(DIRECTOR, Role.TIMESTAMP)
    for rotate in (car.fleet.rotate_images, car.fleet.rotate_director):
        rotate(Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS)
    car.fleet.release(PATH, b"second release")
    car.cycle()
    assert car.running() == b"second release"
    with car.primary_refuses(BadSignatureError):
        car.links.altered[DIRECTOR, name] = old


def test_metadata_of_another_vehicle_is_told_by_its_images_alone(car: Vehicle) -> None:
    """`unsafe_no_vehicle_id`: the wire does not name the vehicle. `der` and `json` refuse this (weakness 7)."""
    other = VehicleIdentifier("112")
    car.fleet.add_vehicle(other)
    wait(car.fleet.director.register_ecu(vehicle=other, ecu=OTHER, key=car.fleet.new_key().key, is_primary=False))
    car.fleet.direct(car.fleet.add_image(PATH, FRESH), OTHER, other)
    car.fleet.clear(other)
    for role in Role:
        name = car.fleet.profile.metadata_name(role)
        car.links.altered[DIRECTOR, name] = car.fleet.file(DIRECTOR, role, other)
    assert car.primary.update_cycle().images == {}


def test_what_the_wire_cannot_carry_is_refused_before_it_is_listed(car: Vehicle) -> None:
    fleet, before = car.fleet, dict(car.fleet.targets().images)
    with pytest.raises(FormatError):
        wait(fleet.images.add_image(ImagePath("a.img"), FRESH, custom=custom(1)))
    if fleet.profile.name == "pouf1":
        with pytest.raises(FormatError):
            wait(fleet.images.add_image(ImagePath("a-name-of-more-than-thirty-two-characters.img"), FRESH))
    signer = fleet.new_key()
    granted = delegation("supplier", [signer], paths=["supplier/*"])
    assert isinstance(granted.roles[0], DelegatedRole)
    with pytest.raises(FormatError) as refusal:
        wait(fleet.images.delegate(granted, [signer.key]))
    assert "der or json" in refusal.value.next_step
    wait(fleet.images.publish(fleet.now))
    assert dict(fleet.targets().images) == before


def test_one_image_cannot_be_directed_to_two_ecus(car: Vehicle) -> None:
    """The archived wire names one ECU for each path: weakness 8. `der` and `json` name several."""
    car.add_secondary(OTHER)
    image = car.fleet.add_image(PATH, FRESH)
    with pytest.raises(FormatError):
        wait(car.fleet.director.assign(VIN, OTHER, image))
    car.fleet.direct(image)
    car.cycle()
    assert car.running() == FRESH


def test_no_update_is_no_update(car: Vehicle) -> None:
    other = Vehicle(Fleet(car.fleet.profile))
    other.primary.update_cycle()
    assert other.secondary.update_cycle().outcome is Outcome.NO_UPDATE
    assert other.running() == FACTORY
    key = other.fleet.new_key().key
    with pytest.raises(SpoofingError):
        wait(other.fleet.director.register_ecu(vehicle=VIN, ecu=PRIMARY, key=key, is_primary=True))
