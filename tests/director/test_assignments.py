"""What a Director publishes: each vehicle's assignments, in versions that only rise, each role naming the vehicle."""

import asyncio

import pytest
from fleet import Fleet, Vehicle
from links import wait
from signed import FACTORY, FRESH, PATH, custom
from world import DIRECTOR, PRIMARY, TCU, VIN, image, new_signer

from uptane.director.planning import assignment_of, plan_targets
from uptane.formats.profile import KINDS, Profile
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import BadSignatureError, UnknownEcuError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, VehicleIdentifier
from uptane.metadata.root import Common, Role, Root
from uptane.metadata.targets import Image, Targets
from uptane.signing.publish import Published, new_root
from uptane.storage.memory import MemoryPublished
from uptane.vehicle.secondary import Outcome

BCU = EcuIdentifier("BCUdemocar")


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle with two Secondaries."""
    car = Vehicle(Fleet(profile))
    car.add_secondary(BCU)
    car.cycle()
    return car


class SlowPublished(MemoryPublished):
    """A store that lets others go on while it works."""

    async def read(self, name: str) -> bytes | None:
        await asyncio.sleep(0)
        return await super().read(name)


def payload(fleet: Fleet, role: Role, vin: VehicleIdentifier = VIN) -> Common:
    """What the Director has published for a vehicle."""
    kind = KINDS[role]
    return fleet.profile.format.decode(kind, fleet.file(DIRECTOR, role, vin)).payload  # type: ignore[type-var]


def versions(fleet: Fleet) -> dict[Role, int]:
    """The version of each role."""
    return {role: payload(fleet, role).version for role in Role}


def directed(fleet: Fleet) -> dict[str, set[str]]:
    """The ECUs of each image."""
    targets = payload(fleet, Role.TARGETS)
    assert isinstance(targets, Targets)
    return {path: set(entry.custom.ecus) for path, entry in targets.images.items()}


@pytest.mark.standard("STD-5.2.3.1.1-9")
def test_amb_19_two_ecus_get_one_image(car: Vehicle) -> None:
    one = car.fleet.release(PATH, FRESH)
    car.fleet.direct(one, BCU)
    assert directed(car.fleet) == {PATH: {TCU, BCU}}
    car.cycle()
    assert {each.device.running() for each in car.secondaries} == {FRESH}


def test_a_path_moves_from_one_ecu_to_another(car: Vehicle) -> None:
    one = car.fleet.release(PATH, FRESH)
    two = car.fleet.add_image("other.img", b"other")
    car.fleet.direct(two)
    car.fleet.direct(one, BCU)
    assert directed(car.fleet) == {PATH: {BCU}, "other.img": {TCU}}
    car.cycle()
    assert [each.device.running() for each in car.secondaries] == [b"other", FRESH]


def test_an_ecu_has_one_image_the_one_that_was_assigned_last(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    car.fleet.release("other.img", b"other")
    assert directed(car.fleet) == {"other.img": {TCU}}
    car.fleet.clear()
    assert directed(car.fleet) == {}


@pytest.mark.parametrize(
    "second", [image(PATH, b"other"), image(PATH, FRESH, counter=1), image(PATH, FRESH, hashes=("sha256",))]
)
def test_another_image_of_the_same_name_replaces_it_for_every_ecu_of_the_vehicle(car: Vehicle, second: Image) -> None:
    car.fleet.release(PATH, FRESH)
    car.fleet.direct(second, BCU)
    assert directed(car.fleet) == {PATH: {TCU, BCU}}
    published = wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert published.targets[TARGETS_ROLE].payload.images[PATH].file == second.file


def test_a_plan_with_two_different_images_of_one_name_is_no_plan() -> None:
    one, two = image(PATH, FRESH), image(PATH, b"other")
    with pytest.raises(UptaneError) as caught:
        plan_targets([assignment_of(VIN, TCU, one), assignment_of(VIN, BCU, two)], [])
    assert caught.value.facts["image"] == PATH


def test_an_ecu_of_another_vehicle_is_assigned_nothing(car: Vehicle) -> None:
    other = car.fleet.add_vehicle("112")
    with pytest.raises(UnknownEcuError):
        wait(car.fleet.director.assign(other, TCU, image(PATH, FRESH)))
    with pytest.raises(UnknownEcuError):
        wait(car.fleet.director.assign(VIN, EcuIdentifier("stranger"), image(PATH, FRESH)))
    assert directed(car.fleet) == {}


def test_the_assignments_of_vehicles_do_not_mix(car: Vehicle) -> None:
    other = Vehicle(car.fleet, VehicleIdentifier("112"), EcuIdentifier("P112"), EcuIdentifier("S112"))
    car.fleet.release(PATH, FRESH)
    other.cycle()
    assert other.running() == FACTORY
    image_ = car.fleet.add_image("other.img", b"other")
    car.fleet.direct(image_, other.tcu.ecu, other.vin)
    other.cycle()
    car.cycle()
    assert (other.running(), car.running()) == (b"other", FRESH)


@pytest.mark.standard("STD-5.2.1-8", "STD-5.3.2.1-16")
@pytest.mark.standard("STD-5.1.4-1")
def test_timestamp_and_snapshot_rise_without_a_change_and_targets_stays(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    before = versions(car.fleet)
    targets = car.fleet.file(DIRECTOR, Role.TARGETS)
    for n in (1, 2):
        car.fleet.later(hours=1)
        wait(car.fleet.director.publish(VIN, car.fleet.now))
        assert versions(car.fleet) == before | {
            Role.SNAPSHOT: before[Role.SNAPSHOT] + n,
            Role.TIMESTAMP: before[Role.TIMESTAMP] + n,
        }
    assert car.fleet.file(DIRECTOR, Role.TARGETS) == targets
    car.cycle()
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.2.3.1-6", "STD-5.2.3.2-1")
@pytest.mark.standard("STD-5.1.2.1-9")
def test_every_role_names_the_vehicle_and_targets_delegates_to_nobody(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    for role in Role:
        assert payload(car.fleet, role).vehicle == VIN
    targets = payload(car.fleet, Role.TARGETS)
    assert isinstance(targets, Targets)
    assert not targets.delegations


@pytest.mark.standard("STD-5.2.3.1.1-5", "STD-5.2.3.1.1-3", "STD-5.3.2.2-11")
def test_what_the_inventory_knows_of_hardware_stands_beside_the_ecu(car: Vehicle) -> None:
    key, ecu, hardware = new_signer().key, EcuIdentifier("ECU9"), HardwareIdentifier("brake-3")
    wait(car.fleet.director.register_ecu(vehicle=VIN, ecu=ecu, key=key, is_primary=False, hardware_id=hardware))
    car.fleet.release(PATH, FRESH, ecu, custom=custom(3, ("brake-3",)))
    targets = payload(car.fleet, Role.TARGETS)
    assert isinstance(targets, Targets)
    entry = next(iter(targets.images.values()))
    assert entry.custom.ecus[ecu].hardware_id == hardware
    assert entry.custom.must_match.release_counter == 3


@pytest.mark.standard("STD-5.2.2-4")
def test_new_keys_reach_every_vehicle_and_old_ones_are_worth_nothing(car: Vehicle) -> None:
    other = Vehicle(car.fleet, VehicleIdentifier("112"), EcuIdentifier("P112"), EcuIdentifier("S112"))
    car.fleet.release(PATH, FRESH)
    old = car.fleet.file(DIRECTOR, Role.TIMESTAMP)
    car.fleet.rotate_director(Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
    for each in (car, other):
        root = payload(car.fleet, Role.ROOT, each.vin)
        assert (root.version, root.vehicle) == (2, each.vin)
        each.cycle()
    with car.primary_refuses(BadSignatureError):
        car.links.altered[DIRECTOR, car.fleet.profile.metadata_name(Role.TIMESTAMP)] = old
    third = car.fleet.add_vehicle("113")
    root = payload(car.fleet, Role.ROOT, third)
    assert isinstance(root, Root)
    assert root.version == 1
    assert root.roles == new_root(car.fleet.director_keys, car.fleet.thresholds).roles


@pytest.mark.standard("STD-5.3.2-4", "STD-5.3.2.1-16")
def test_publications_of_one_vehicle_at_the_same_time_get_versions_of_their_own(car: Vehicle) -> None:
    slow = SlowPublished()
    slow._files = car.fleet.metadata[VIN]._files
    car.fleet.metadata[VIN] = slow
    director, now = car.fleet.director, car.fleet.now
    before = versions(car.fleet)

    async def together() -> list[Published]:
        return await asyncio.gather(*(director.publish(VIN, now) for _ in range(8)))

    published = wait(together())
    for kind in ("timestamp", "snapshot"):
        got = sorted(getattr(each, f"{kind}_version") for each in published)
        assert got == list(range(before[Role(kind)] + 1, before[Role(kind)] + 9))
    car.cycle()


def test_manifests_of_one_vehicle_at_the_same_time_are_accepted_once(car: Vehicle) -> None:
    manifest, fleet = car.primary.make_manifest(), car.fleet
    told = len(fleet.reports(PRIMARY))

    async def together() -> list[object]:
        sends = (fleet.director.receive_manifest(VIN, PRIMARY, manifest, fleet.now) for _ in range(5))
        return await asyncio.gather(*sends, return_exceptions=True)

    answers = wait(together())
    assert sum(isinstance(answer, Exception) for answer in answers) == 4
    assert len(fleet.reports(PRIMARY)) == told + 1


@pytest.mark.standard("STD-5.2.1-8")
def test_a_director_that_restarts_goes_on_where_it_was(car: Vehicle) -> None:
    car.fleet.release(PATH, FRESH)
    before = versions(car.fleet)
    car.fleet.director = car.fleet.open_director()
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert versions(car.fleet)[Role.TARGETS] == before[Role.TARGETS]
    assert versions(car.fleet)[Role.TIMESTAMP] == before[Role.TIMESTAMP] + 1
    car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
