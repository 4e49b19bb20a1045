"""The attacks of the walkthrough, 3.1 to 3.7, on the systems themselves."""

import pytest
from fleet import Fleet, Vehicle
from links import wait
from signed import EVIL, FRESH, PATH
from world import DIRECTOR, TCU, image

from uptane.formats.profile import KINDS, Profile
from uptane.metadata.errors import BadHashError, BadSignatureError, ReplayedMetadataError, RepositoryMismatchError
from uptane.metadata.root import Role
from uptane.metadata.timestamp import Timestamp
from uptane.signing.sign import sign
from uptane.vehicle.secondary import Outcome


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle that got its update, whose Primary fetches every image in every cycle."""
    car = Vehicle(Fleet(profile), refetch_images=True)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH
    return car


@pytest.mark.standard("STD-5.4.2.4-2")
@pytest.mark.parametrize("section", ["3.1", "3.2"])
def test_3_1_and_3_2_an_altered_image_on_either_mirror_is_refused_for_its_hash(car: Vehicle, section: str) -> None:
    evil, other = car.links.mirrors if section == "3.1" else car.links.mirrors[::-1]
    with car.primary_refuses(BadHashError) as errors:
        evil.altered[PATH] = b"x" * len(FRESH)
        other.altered[PATH] = None
    assert errors[0].facts["image"] == PATH
    assert any("BadHashError" in line and "from all mirrors" in line for line in car.said)


@pytest.mark.standard("STD-5.4.4.4-3")
def test_3_3_a_replayed_timestamp_is_refused(car: Vehicle) -> None:
    old = car.fleet.file(DIRECTOR, Role.TIMESTAMP)
    wait(car.fleet.director.publish(car.vin, car.fleet.now))
    car.primary.update_cycle()
    with car.primary_refuses(ReplayedMetadataError) as errors:
        car.links.altered[DIRECTOR, car.fleet.profile.metadata_name(Role.TIMESTAMP)] = old
    assert errors[0].facts["role"] == Role.TIMESTAMP


@pytest.mark.standard("STD-5.4.4.2-1", "STD-5.4-8", "STD-5.4.4-1", "STD-3.2.2.1-1", "STD-5.4.2.3-1", "STD-5.4.4.2-2")
def test_3_4_a_stolen_director_key_alone_brings_in_no_image(car: Vehicle) -> None:
    genuine = car.fleet.add_image(PATH, FRESH)
    with car.primary_refuses(RepositoryMismatchError, undo=lambda: car.fleet.direct(genuine)) as errors:
        car.fleet.direct(image(PATH, EVIL))
    assert errors[0].facts["image"] == PATH
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE_NEEDED


@pytest.mark.standard("STD-5.2.2-4")
def test_3_5_to_3_7_with_all_keys_stolen_evil_arrives_until_the_keys_are_revoked(car: Vehicle) -> None:
    car.fleet.release(PATH, EVIL)
    car.cycle()
    assert car.running() == EVIL

    stolen = dict(car.fleet.director_keys)
    online = (Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
    car.fleet.rotate_images(*online)
    car.fleet.rotate_director(*online)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH

    codec = car.fleet.profile.format
    with car.primary_refuses(BadSignatureError) as errors:
        for role in online:
            payload = codec.decode(KINDS[role], car.fleet.file(DIRECTOR, role)).payload  # type: ignore[type-var]
            raw = sign(car.fleet.profile, payload, stolen[role])
            car.links.altered[DIRECTOR, car.fleet.profile.metadata_name(role)] = raw
    assert errors[0].facts["role"] == Role.TIMESTAMP
    result = car.primary.update_cycle()
    assert result.images[TCU].file.path == PATH
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE_NEEDED


@pytest.mark.standard("STD-5.4.4.3-9")
def test_a_thief_who_ran_the_versions_up_is_undone_by_new_keys(car: Vehicle) -> None:
    codec, name = car.fleet.profile.format, car.fleet.profile.metadata_name(Role.TIMESTAMP)
    genuine = codec.decode(Timestamp, car.fleet.file(DIRECTOR, Role.TIMESTAMP)).payload
    forward = Timestamp(version=2**31 - 1, expires=genuine.expires, vehicle=genuine.vehicle, snapshot=genuine.snapshot)
    car.links.altered[DIRECTOR, name] = sign(car.fleet.profile, forward, car.fleet.director_keys[Role.TIMESTAMP])
    car.primary.update_cycle()
    car.links.restore()
    with pytest.raises(ReplayedMetadataError):
        car.primary.update_cycle()
    car.fleet.rotate_director(Role.TIMESTAMP)
    car.cycle()
    assert car.running() == FRESH
