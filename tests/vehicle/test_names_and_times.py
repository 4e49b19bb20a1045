"""What an ECU was made to accept: images of certain names only, and no new metadata without a recent time."""

from dataclasses import replace

import pytest
from fleet import Fleet, Vehicle
from signed import EVIL, FRESH, PATH
from world import PRIMARY, TCU, VIN

from uptane.formats.profile import Profile
from uptane.metadata.errors import BadTimeAttestationError, ImageNameError, ProvisioningError
from uptane.metadata.identifiers import PathPattern
from uptane.storage.memory import MemoryEcuStore
from uptane.vehicle.installation import Installer
from uptane.vehicle.memory import VerificationKind
from uptane.vehicle.provisioning import provision
from uptane.vehicle.secondary import Outcome

OTHER_LINE = "van/firmware.img"
KINDS = [VerificationKind.FULL, VerificationKind.PARTIAL]


@pytest.fixture(params=KINDS)
def car(profile: Profile, request: pytest.FixtureRequest) -> Vehicle:
    """A vehicle whose Secondary verifies in either way, and runs the update of its fleet."""
    car = Vehicle(Fleet(profile), verification=request.param)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    return car


@pytest.mark.standard("STD-5.4.3.4-4")
@pytest.mark.parametrize("kind", KINDS)
def test_amb_18_an_image_of_another_product_line_is_not_installed(profile: Profile, kind: VerificationKind) -> None:
    car = Vehicle(Fleet(profile), verification=kind, image_patterns=(PathPattern(PATH), PathPattern("car/*.img")))
    car.fleet.release(PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH

    def again() -> None:
        car.fleet.release("car/firmware.img", FRESH)
        car.primary.update_cycle()

    with car.secondary_refuses(ImageNameError, undo=again):
        car.fleet.release(OTHER_LINE, EVIL)
        car.primary.update_cycle()
    car.secondary.update_cycle()
    assert car.secondary.memory.state.installed.path == "car/firmware.img"


@pytest.mark.standard("STD-5.4.3.4-4")
def test_amb_18_a_primary_installs_images_of_its_own_names_only(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    car.primary.memory.image_patterns = (PathPattern("gateway-*.img"),)
    with car.primary_refuses(ImageNameError, undo=lambda: car.fleet.release("gateway-2.img", FRESH, PRIMARY)):
        car.fleet.release("head unit.img", EVIL, PRIMARY)


@pytest.mark.standard("STD-5.4.3.4-4")
def test_amb_18_names_are_judged_again_before_an_image_is_installed(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    car.fleet.release(OTHER_LINE, EVIL)
    car.primary.update_cycle()
    image = car.secondary.verify_metadata()
    assert image is not None
    car.secondary.memory.image_patterns = (PathPattern(PATH),)
    with pytest.raises(ImageNameError, match="may install"):
        Installer(car.secondary.memory, car.tcu.device.slots).write(image, [EVIL])


@pytest.mark.parametrize("cycles", [0, -1])
def test_amb_05_an_ecu_is_made_with_a_number_of_cycles_that_it_can_keep(profile: Profile, cycles: int) -> None:
    fleet = Fleet(profile)
    fleet.add_vehicle(VIN)
    what = replace(fleet.provisioning(VIN, TCU, 1), cycles_without_time=cycles)
    store = MemoryEcuStore()
    with pytest.raises(ProvisioningError, match="at least one"):
        provision(store, profile, what)
    assert store.names("") == ()
    assert provision(store, profile, replace(what, cycles_without_time=7)).cycles_without_time == 7


@pytest.mark.standard("STD-5.4-2", "STD-5.4.3.1-1")
def test_amb_05_without_attested_time_no_new_metadata_is_taken(car: Vehicle) -> None:
    memory = car.secondary.memory
    car.link.swapped_attestation = car.secondary.primary.time_attestation(TCU)
    for _ in range(memory.cycles_without_time):
        assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE_NEEDED
    before = memory.held(memory.director)
    car.fleet.release(PATH, b"newer firmware")
    car.primary.update_cycle()
    for _ in range(3):
        with pytest.raises(BadTimeAttestationError, match="takes no new metadata"):
            car.secondary.update_cycle()
    assert (car.running(), memory.held(memory.director)) == (FRESH, before)
    assert memory.state.cycles_without_time == memory.cycles_without_time + 1
    car.primary.update_cycle()
    assert car.fleet.reports(TCU)[0].attacks_detected.startswith("E-TIME")
    car.link.restore()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert memory.state.cycles_without_time == 0
