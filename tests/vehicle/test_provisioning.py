"""What an ECU must have before its first cycle, and what it never takes from the network."""

from dataclasses import replace

import pytest
from device import new_device
from fleet import Fleet, Vehicle
from maps import FLEET, PARTS, map_of, mapping
from signed import FRESH, PATH
from world import DIRECTOR, IMAGES, NOW, PRIMARY, TCU, VIN

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import (
    BadSignatureError,
    FormatError,
    ProvisioningError,
    ReplayedMetadataError,
    StorageError,
)
from uptane.metadata.identifiers import HardwareIdentifier, RepositoryName
from uptane.metadata.repository_map import RepositoryMap
from uptane.metadata.root import Role, Root
from uptane.storage.memory import MemoryEcuStore
from uptane.vehicle.ecu_state import EcuState
from uptane.vehicle.installation import Installer
from uptane.vehicle.installation_states import RUNNING, Installation, Phase
from uptane.vehicle.memory import EcuMemory, VerificationKind, role_name
from uptane.vehicle.provisioning import Provisioning, provision


@pytest.fixture
def what(profile: Profile) -> Provisioning:
    """What the vehicle's Primary gets in the factory."""
    fleet = Fleet(profile)
    fleet.add_vehicle(VIN)
    return fleet.provisioning(VIN, PRIMARY, 1, HardwareIdentifier("head-unit"))


@pytest.mark.standard("STD-5.4.1-4")
def test_an_ecu_holds_all_four_roles_of_both_repositories_and_the_map(profile: Profile, what: Provisioning) -> None:
    memory = provision(MemoryEcuStore(), profile, what)
    for repository in (DIRECTOR, IMAGES):
        assert memory.held(repository).root == what.roles[repository][Role.ROOT]
        assert set(memory.held(repository).files) == set(Role) - {Role.ROOT}
    assert (memory.vehicle, memory.ecu, memory.hardware_id) == (VIN, PRIMARY, "head-unit")
    assert memory.map == what.repository_map
    assert memory.state.counter == int(NOW.timestamp() * 1_000_000)
    assert memory.facts.hardware_id == "head-unit"


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("repository", [DIRECTOR, IMAGES])
@pytest.mark.standard("STD-5.4.1-1")
def test_provisioning_without_one_role_is_refused_and_leaves_nothing(
    profile: Profile, what: Provisioning, repository: RepositoryName, role: Role
) -> None:
    roles = {name: dict(files) for name, files in what.roles.items()}
    del roles[repository][role]
    store = MemoryEcuStore()
    with pytest.raises(ProvisioningError) as caught:
        provision(store, profile, replace(what, roles=roles))
    assert caught.value.facts["role"] == role
    assert store.names("") == ()
    provision(store, profile, what)


def test_provisioning_without_a_repository_is_refused(profile: Profile, what: Provisioning) -> None:
    with pytest.raises(ProvisioningError):
        provision(MemoryEcuStore(), profile, replace(what, roles={DIRECTOR: what.roles[DIRECTOR]}))


@pytest.mark.standard("STD-5.4.4.2-1")
@pytest.mark.standard("STD-5.2.6-5")
@pytest.mark.parametrize(
    "asked",
    [
        map_of(mapping("*", DIRECTOR)),
        map_of(mapping("*", IMAGES)),
        map_of(mapping("*", DIRECTOR, FLEET)),
        map_of(mapping("a/*", DIRECTOR, IMAGES), mapping("*", IMAGES, PARTS)),
        map_of(mapping("a/*", DIRECTOR, IMAGES), mapping("*", FLEET, IMAGES)),
        map_of(mapping("a/*", FLEET, DIRECTOR, IMAGES), mapping("*", DIRECTOR, IMAGES)),
    ],
    ids=["Director alone", "no Director", "two Directors alone", "later no Director", "later another", "other first"],
)
def test_an_ecu_is_not_made_with_a_map_by_which_one_party_could_decide_alone(
    profile: Profile, what: Provisioning, asked: RepositoryMap
) -> None:
    roles = dict(what.roles) | {FLEET: what.roles[DIRECTOR], PARTS: what.roles[IMAGES]}
    store = MemoryEcuStore()
    with pytest.raises(ProvisioningError, match="does not name both the Director and an Image repository"):
        provision(store, profile, replace(what, repository_map=asked, roles=roles))
    assert store.names("") == ()
    provision(store, profile, what)
    store.write({"map": profile.format.encode_map(asked)})
    with pytest.raises(ProvisioningError, match="does not name both"):
        EcuMemory(store, profile)


SEVERAL = map_of(mapping("parts/*", DIRECTOR, PARTS), mapping("*", DIRECTOR, FLEET, IMAGES))


@pytest.mark.standard("STD-5.4.1-4", "STD-5.2.6-1")
@pytest.mark.parametrize("repository", [PARTS, FLEET])
def test_an_ecu_is_made_with_every_repository_of_its_map(
    profile: Profile, what: Provisioning, repository: RepositoryName
) -> None:
    roles = dict(what.roles) | {FLEET: what.roles[DIRECTOR], PARTS: what.roles[IMAGES]}
    asked, store = replace(what, repository_map=SEVERAL, roles=roles), MemoryEcuStore()
    lacking = {name: files for name, files in roles.items() if name != repository}
    with pytest.raises(ProvisioningError, match=f"of {repository} is missing"):
        provision(store, profile, replace(asked, roles=lacking))
    assert store.names("") == ()
    memory = provision(store, profile, asked)
    assert memory.repositories == (DIRECTOR, FLEET, IMAGES, PARTS)
    for name in memory.repositories:
        assert set(memory.held(name).files) == set(Role) - {Role.ROOT}
    assert [memory.context(name, NOW).vehicle for name in memory.repositories] == [VIN, VIN, None, None]


def test_a_partial_secondary_needs_the_director_alone_whatever_its_map_says(
    profile: Profile, what: Provisioning
) -> None:
    roles = {DIRECTOR: {role: what.roles[DIRECTOR][role] for role in (Role.ROOT, Role.TARGETS)}}
    asked = replace(what, repository_map=SEVERAL, roles=roles, verification=VerificationKind.PARTIAL)
    memory = provision(MemoryEcuStore(), profile, asked)
    assert memory.repositories == (DIRECTOR,)
    assert memory.names(f"repository/{PARTS}") == memory.names(f"repository/{FLEET}") == ()


def test_an_ecu_is_provisioned_once(profile: Profile, what: Provisioning) -> None:
    store = MemoryEcuStore()
    provision(store, profile, what)
    before = {name: store.read(name) for name in store.names("")}
    with pytest.raises(ProvisioningError):
        provision(store, profile, replace(what, ecu=TCU))
    assert {name: store.read(name) for name in store.names("")} == before


@pytest.mark.parametrize("role", list(Role))
def test_a_role_in_another_format_is_noticed_in_the_factory(profile: Profile, what: Provisioning, role: Role) -> None:
    other = Fleet(PROFILES["json" if profile.name == "der" else "der"])
    other.add_vehicle(VIN)
    roles = {name: dict(files) for name, files in what.roles.items()}
    roles[IMAGES][role] = other.file(IMAGES, role)
    store = MemoryEcuStore()
    with pytest.raises(FormatError):
        provision(store, profile, replace(what, roles=roles))
    assert store.names("") == ()


@pytest.mark.parametrize(
    "missing", ["identity", "map", "key/timeserver", role_name(DIRECTOR, Role.ROOT), role_name(IMAGES, Role.ROOT)]
)
@pytest.mark.standard("STD-3.2.1-2")
@pytest.mark.standard("STD-5.2.6-2")
def test_an_ecu_that_lacks_what_it_must_have_does_not_start(profile: Profile, what: Provisioning, missing: str) -> None:
    store = MemoryEcuStore()
    provision(store, profile, what)
    store.write({missing: None})
    with pytest.raises(ProvisioningError) as caught:
        EcuMemory(store, profile)
    assert caught.value.facts["name"] == missing


@pytest.mark.standard("STD-5.4.4.3-1")
def test_a_root_that_is_not_signed_by_its_own_keys_is_never_replaced_from_the_network(profile: Profile) -> None:
    car, stranger = Vehicle(Fleet(profile)), Fleet(profile)
    stranger.add_vehicle(VIN)
    codec = profile.format
    mine = codec.decode(Root, car.fleet.file(DIRECTOR, Role.ROOT))
    theirs = codec.decode(Root, stranger.file(DIRECTOR, Role.ROOT))
    forged = codec.assemble(codec.encode(theirs.payload), mine.signatures)
    genuine = car.device.store.read(role_name(DIRECTOR, Role.ROOT))
    car.device.store.write({role_name(DIRECTOR, Role.ROOT): forged})
    with pytest.raises(BadSignatureError):
        car.primary.update_cycle()
    car.device.store.write({role_name(DIRECTOR, Role.ROOT): genuine})
    car.cycle()


@pytest.mark.standard("STD-5.4.1-4")
def test_metadata_older_than_what_an_ecu_was_provisioned_with_is_refused(profile: Profile) -> None:
    fleet = Fleet(profile)
    fleet.add_vehicle(VIN)
    name = profile.metadata_name(Role.TIMESTAMP)
    old = fleet.file(IMAGES, Role.TIMESTAMP)
    fleet.add_image(PATH, FRESH)
    car = Vehicle(fleet)
    car.links.altered[IMAGES, name] = old
    with pytest.raises(ReplayedMetadataError):
        car.primary.update_cycle()
    car.links.restore()
    car.cycle()


def test_the_state_survives_its_encoding(what: Provisioning) -> None:
    full = EcuState(
        counter=2,
        manifest_counter=3,
        time=NOW,
        previous_time=NOW,
        nonce=4,
        installed=what.installed,
        release_counter=0,
        attacks=("E-HASH: é",),
        installation=Installation(
            phase=Phase.TRIAL,
            active="slot-b",
            candidate=what.installed,
            counter=7,
            failed=what.installed,
            failures=2,
        ),
    )
    for state in (full, replace(full, release_counter=None, attacks=(), installation=RUNNING)):
        assert EcuState.decode(state.encode()) == state


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b"{}", b'{"counter":true}'], ids=["nothing", "list", "empty", "boolean counter"]
)
def test_a_state_that_is_none_is_a_format_error(damage: bytes) -> None:
    with pytest.raises(FormatError):
        EcuState.decode(damage)


def test_an_image_that_is_not_stored_cannot_be_installed(profile: Profile, what: Provisioning) -> None:
    fleet = Fleet(profile)
    image = fleet.add_image(PATH, FRESH)
    device = new_device()
    memory = provision(device.store, profile, what)
    with pytest.raises(StorageError):
        Installer(memory, device.slots).activate(image)
    assert memory.state.installed == what.installed
