"""What a Primary hands to each Secondary: of delegated roles those that the search for its own image goes through."""

import hashlib

import pytest
from delegating import key, role, to, to_all
from fleet import Fleet, Vehicle
from links import wait
from maps import IMAGES
from world import TCU, delegation, image

from uptane.formats.profile import Profile
from uptane.metadata.delegations import Delegation
from uptane.metadata.errors import DelegationError, UnreachableError
from uptane.metadata.identifiers import EcuIdentifier, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Targets
from uptane.signing.publish import Draft, Publisher
from uptane.vehicle.distribution import Bundle, pack

BRAKES, IDLE = EcuIdentifier("BCUdemocar"), EcuIdentifier("IDLEdemocar")
A, B = image("a.img", b"for the TCU"), image("b.img", b"for the brakes")
TOP_LEVEL = {str(each) for each in Role}


def publish(fleet: Fleet, roles: dict[str, Targets]) -> None:
    """The Image repository publishes these roles, each signed by its key."""
    signers = [signer for held in fleet.image_keys.values() for signer in held] + [key(name) for name in roles]
    publisher = Publisher(store=fleet.image_metadata, profile=fleet.profile, keyring={s.key.key_id: s for s in signers})
    draft = Draft(targets={RoleName(name): content for name, content in roles.items()})
    wait(publisher.publish(wait(fleet.images.published()), draft, fleet.now))


def store(fleet: Fleet, *contents: tuple[str, bytes]) -> None:
    """The mirrors have these images."""
    for path, content in contents:
        wait(fleet.images.store_image(image(path, content).file.path, content))


def handed(car: Vehicle, ecu: EcuIdentifier) -> set[str]:
    """The roles of the Image repository of which a Secondary gets the file."""
    files = Bundle(car.primary.secondaries.get_metadata(ecu), car.fleet.profile)._files
    return {name.split(".")[-2].rpartition("/")[2] for name in files if name.startswith(f"{IMAGES}/")}


def to_bin(name: str, path: str, *, wrong: bool = False) -> Delegation:
    """A delegation to the hashed bin that an image is in, or to another one."""
    digest = hashlib.sha256(path.encode()).hexdigest()
    first = f"{(int(digest[0], 16) + wrong) % 16:x}"
    return delegation(name, [key(name)], path_hash_prefixes=(first + digest[1:3],))


ELSEWHERE = to("stranger", "b.img")
OTHER = image("other.img", b"other")
GRAPHS: dict[str, tuple[dict[str, Targets], set[str]]] = {
    "nobody delegates for it": ({"targets": role(A, ELSEWHERE)}, set()),
    "a chain": (
        {
            "targets": role(ELSEWHERE, to("maker", "a.img")),
            "maker": role(to("beside", "other.img"), to("part", "a.img")),
            "part": role(A),
            "beside": role(OTHER),
        },
        {"maker", "part"},
    ),
    "one that lists nothing comes first": (
        {"targets": role(to("empty", "a.img"), to("maker", "a.img"), ELSEWHERE), "empty": role(), "maker": role(A)},
        {"empty", "maker"},
    ),
    "a diamond, found on the first side": (
        {
            "targets": role(to("left", "a.img"), to("right", "a.img"), ELSEWHERE),
            "left": role(to("leaf", "a.img")),
            "right": role(to("leaf", "a.img")),
            "leaf": role(A),
        },
        {"left", "leaf"},
    ),
    "a diamond, found on the second side": (
        {
            "targets": role(to("left", "a.img"), to("right", "a.img"), ELSEWHERE),
            "left": role(to("leaf", "other.img")),
            "right": role(to("leaf", "a.img")),
            "leaf": role(A),
        },
        {"left", "right", "leaf"},
    ),
    "a terminating delegation": (
        {
            "targets": role(ELSEWHERE, to("first", "a.img", terminating=True), to("after", "a.img")),
            "first": role(A),
            "after": role(A),
        },
        {"first"},
    ),
    "hashed bins": (
        {
            "targets": role(to_bin("far", "a.img", wrong=True), to_bin("near", "a.img"), ELSEWHERE),
            "far": role(OTHER),
            "near": role(A),
        },
        {"near"},
    ),
    "several roles that agree": (
        {"targets": role(ELSEWHERE, to_all("one", "two")), "one": role(A), "two": role(A)},
        {"one", "two"},
    ),
}


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle with three Secondaries that has finished a cycle."""
    car = Vehicle(Fleet(profile))
    for ecu in (BRAKES, IDLE):
        car.add_secondary(ecu)
    store(car.fleet, ("a.img", b"for the TCU"), ("b.img", b"for the brakes"))
    car.cycle()
    return car


@pytest.mark.standard("STD-5.4.2.6-4", "STD-5.4.2.6-1", "STD-5.4.2.6-2", "STD-5.4.4.2-3")
@pytest.mark.parametrize("graph", GRAPHS)
def test_each_secondary_gets_the_roles_that_it_traverses_and_verifies_with_exactly_these(
    car: Vehicle, graph: str
) -> None:
    roles, needed = GRAPHS[graph]
    publish(car.fleet, {**roles, "stranger": role(B)})
    car.fleet.direct(A, TCU)
    car.fleet.direct(B, BRAKES)
    car.primary.update_cycle()
    assert handed(car, TCU) == TOP_LEVEL | needed
    assert handed(car, BRAKES) == TOP_LEVEL | {"stranger"}
    assert handed(car, IDLE) == TOP_LEVEL
    for each in car.secondaries:
        each.secondary.update_cycle()
    assert [each.device.running() for each in car.secondaries[:2]] == [b"for the TCU", b"for the brakes"]


@pytest.mark.standard("STD-5.4.2.6-4")
@pytest.mark.parametrize("graph", GRAPHS)
def test_no_file_of_the_set_can_be_left_out(car: Vehicle, graph: str) -> None:
    """So the set is the smallest one: without any one of its newest files, the Secondary cannot verify."""
    roles, needed = GRAPHS[graph]
    publish(car.fleet, {**roles, "stranger": role(B)})
    car.fleet.direct(A, TCU)
    car.fleet.direct(B, BRAKES)
    car.primary.update_cycle()
    files = Bundle(car.primary.secondaries.get_metadata(TCU), car.fleet.profile)._files
    for name in [name for name in files if name.split(".")[-2].rpartition("/")[2] in needed | {"targets", "snapshot"}]:
        car.link.swapped_bundle = pack({other: raw for other, raw in files.items() if other != name})
        with pytest.raises((UnreachableError, DelegationError)):
            car.secondary.verify_metadata()
    car.link.restore()
    car.secondary.update_cycle()
    assert car.running() == b"for the TCU"


@pytest.mark.standard("STD-5.4.2.6-4")
def test_a_role_that_was_needed_for_an_earlier_image_is_not_handed_on_any_more(car: Vehicle) -> None:
    newer = image("a.img", b"by another supplier")
    store(car.fleet, ("a.img", b"by another supplier"))
    publish(car.fleet, {"targets": role(to("old", "a.img")), "old": role(A)})
    car.fleet.direct(A)
    car.cycle()
    assert handed(car, TCU) == TOP_LEVEL | {"old"}
    publish(car.fleet, {"targets": role(to("new", "a.img"), to("old", "a.img")), "new": role(newer)})
    car.fleet.direct(newer)
    car.cycle()
    assert handed(car, TCU) == TOP_LEVEL | {"new"}
    assert car.running() == b"by another supplier"


@pytest.mark.standard("STD-5.4.2.6-4", "STD-5.4.2.6-2")
def test_the_set_is_the_same_after_a_restart_and_a_secondary_that_slept_can_follow(car: Vehicle) -> None:
    publish(car.fleet, {"targets": role(to("maker", "a.img"), ELSEWHERE), "maker": role(A), "stranger": role(B)})
    car.fleet.direct(A, TCU)
    car.fleet.direct(B, BRAKES)
    for _ in range(2):
        car.fleet.rotate_director(*Role)
        car.primary.update_cycle()
    before = [car.primary.secondaries.get_metadata(ecu) for ecu in (TCU, BRAKES, IDLE)]
    assert [car.restart_primary().secondaries.get_metadata(ecu) for ecu in (TCU, BRAKES, IDLE)] == before
    car.secondary.update_cycle()
    assert car.running() == b"for the TCU"
