"""What a Secondary with partial verification is made with, and what the archived formats leave of it."""

from dataclasses import replace

import pytest
from device import new_device
from fleet import Fleet, Vehicle
from partial import FOLLOWS, PINNED, partial_vehicle
from signed import FRESH, PATH
from world import DIRECTOR, IMAGES, TCU, VIN

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import (
    BadSignatureError,
    EndlessDataError,
    FormatError,
    ProvisioningError,
    ReplayedMetadataError,
)
from uptane.metadata.root import Role
from uptane.vehicle.memory import EcuMemory, VerificationKind, role_name
from uptane.vehicle.provisioning import Provisioning, provision
from uptane.vehicle.secondary import Outcome


@pytest.fixture
def what(profile: Profile, kind: VerificationKind) -> Provisioning:
    """The least that a partial Secondary needs from its factory."""
    fleet = Fleet(profile)
    fleet.add_vehicle(VIN)
    roles = {role: fleet.file(DIRECTOR, role) for role in (Role.ROOT, Role.TARGETS)}
    return replace(fleet.provisioning(VIN, TCU, 1), roles={DIRECTOR: roles}, verification=kind)


@pytest.mark.standard("STD-5.4.1-2")
def test_the_directors_root_and_targets_are_all_that_a_partial_ecu_is_made_with(
    profile: Profile, what: Provisioning
) -> None:
    device = new_device()
    memory = provision(device.store, profile, what)
    assert memory.held(DIRECTOR).files == {Role.TARGETS: what.roles[DIRECTOR][Role.TARGETS]}
    assert memory.repositories == (DIRECTOR,)
    assert device.store.names(f"repository/{IMAGES}/") == ()


@pytest.mark.parametrize("role", [Role.ROOT, Role.TARGETS])
@pytest.mark.standard("STD-5.4.1-2")
def test_a_partial_ecu_is_not_made_without_them(profile: Profile, what: Provisioning, role: Role) -> None:
    device = new_device()
    roles = {name: raw for name, raw in what.roles[DIRECTOR].items() if name != role}
    for offered in ({DIRECTOR: roles}, {IMAGES: what.roles[DIRECTOR]}, {}):
        with pytest.raises(ProvisioningError):
            provision(device.store, profile, replace(what, roles=offered))
    assert device.store.names("") == ()


@pytest.mark.standard("STD-5.4.1-3")
def test_what_a_partial_ecu_gets_beside_them_is_not_used(profile: Profile, kind: VerificationKind) -> None:
    car = partial_vehicle(profile, kind)
    assert set(car.tcu.device.trusted()) == {
        role_name(DIRECTOR, Role.ROOT),
        role_name(DIRECTOR, Role.TARGETS),
        f"repository/{DIRECTOR}/root/0000000001",
    }


@pytest.mark.standard("STD-5.4.1-1")
def test_a_partial_ecu_without_its_root_does_not_start(profile: Profile, kind: VerificationKind) -> None:
    car = partial_vehicle(profile, kind)
    car.tcu.device.store.write({role_name(DIRECTOR, Role.ROOT): None})
    with pytest.raises(ProvisioningError):
        car.tcu.start()


def test_a_kind_of_verification_that_nobody_knows_is_refused(profile: Profile, what: Provisioning) -> None:
    store = new_device().store
    provision(store, profile, what)
    identity = store.read("identity")
    assert identity is not None
    store.write({"identity": identity.replace(b'"partial', b'"no')})
    with pytest.raises(ProvisioningError):
        EcuMemory(store, profile)


@pytest.mark.standard("STD-3.2.2.1-1")
def test_a_primary_is_never_partial(profile: Profile, kind: VerificationKind) -> None:
    car = partial_vehicle(profile, kind)
    car.device.store.write({"identity": car.tcu.device.store.read("identity")})
    with pytest.raises(ProvisioningError) as caught:
        car.restart_primary()
    assert caught.value.facts["ecu"] == TCU


@pytest.mark.parametrize("name", ["pouf1", "pouf1-json"])
def test_an_archived_primary_hands_over_the_targets_file_itself(name: str) -> None:
    car = partial_vehicle(PROFILES[name], PINNED)
    targets = car.fleet.file(DIRECTOR, Role.TARGETS)
    assert car.primary.secondaries.get_partial_metadata(TCU) == targets
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH
    car.fleet.release(PATH, FRESH + b" 2")
    car.cycle()
    for offered, error in (
        (targets, ReplayedMetadataError),
        (car.fleet.file(IMAGES, Role.TARGETS), BadSignatureError),
        (car.fleet.file(DIRECTOR, Role.ROOT), FormatError),
        (bytes(5_000_001), EndlessDataError),
    ):
        car.fleet.later(seconds=5)
        car.link.swapped_bundle = offered
        with pytest.raises(error):
            car.secondary.update_cycle()
        car.link.restore()
        car.cycle()
    assert car.running() == FRESH + b" 2"


@pytest.mark.parametrize("name", ["pouf1", "pouf1-json"])
def test_amb_17_where_no_root_travels_keys_can_only_be_pinned(name: str) -> None:
    with pytest.raises(ProvisioningError) as caught:
        Vehicle(Fleet(PROFILES[name]), verification=FOLLOWS)
    assert "Pin" in caught.value.next_step
