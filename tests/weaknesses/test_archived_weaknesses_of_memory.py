"""The weakness of the archived implementation that it forgets everything: a test that it fails."""

from collections.abc import Callable
from pathlib import Path

import pytest
from device import Device, new_device
from fleet import Fleet, Vehicle
from links import wait
from signed import EVIL, FRESH, PATH, custom
from world import TCU

from uptane.formats.profile import Profile
from uptane.metadata.errors import (
    ReplayedReportError,
    UptaneError,
)
from uptane.storage.ecu_state import EcuStateFolder
from uptane.storage.image_slots import ImageSlotFolder
from uptane.storage.sql.inventory import open_inventory
from uptane.vehicle.secondary import Outcome


@pytest.fixture
def on_disk(profile: Profile, tmp_path: Path) -> Callable[[], Device]:
    """Makes ECUs whose memory is a folder; each is opened once."""
    numbers = iter(range(10))

    def device() -> Device:
        folder = tmp_path / f"ecu{next(numbers)}"
        folder.mkdir()
        signer = new_device(profile.format.key_id_rule).signer
        return Device(EcuStateFolder(folder / "state"), ImageSlotFolder(folder / "images"), signer)

    return device


def reopened(device: Device, folder: Path) -> Device:
    """The same ECU after its process was ended: everything it knows comes from its folder."""
    assert isinstance(device.store, EcuStateFolder)
    assert isinstance(device.slots, ImageSlotFolder)
    device.store.close()
    device.slots.close()
    return Device(EcuStateFolder(folder / "state"), ImageSlotFolder(folder / "images"), device.signer)


@pytest.mark.lies_in_the_wire("pouf1", "pouf1-json")
def test_weakness_20_inventory_nonces_times_manifests_and_images_outlive_their_processes(
    profile: Profile, tmp_path: Path, on_disk: Callable[[], Device]
) -> None:
    database = tmp_path / "inventory.sqlite"
    fleet = Fleet(profile, inventory=wait(open_inventory(database)))
    car = Vehicle(fleet, device=on_disk)
    fleet.release(PATH, FRESH, custom=custom(5))
    car.cycle()
    car.primary.update_cycle()
    replayed, told = car.links.manifests[-1], fleet.reports(TCU)
    states = car.primary.memory.state, car.secondary.memory.state

    wait(fleet.inventory.dispose())  # type: ignore[attr-defined]
    fleet.inventory = wait(open_inventory(database))
    fleet.director, fleet.images = fleet.open_director(), fleet.open_images()
    car.device = reopened(car.device, tmp_path / "ecu0")
    car.tcu.device = reopened(car.tcu.device, tmp_path / "ecu1")
    car.restart_primary()
    car.tcu.start()

    assert (car.primary.memory.state, car.secondary.memory.state) == states
    assert fleet.reports(TCU) == told
    assert car.running() == FRESH
    with pytest.raises(ReplayedReportError):
        car.primary.send_manifest(replayed)
    fleet.release(PATH, EVIL, custom=custom(4))
    with pytest.raises(UptaneError, match="release counter"):
        car.cycle()
    fleet.release(PATH, b"newer", custom=custom(6))
    car.primary.update_cycle()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    for device in (car.device, car.tcu.device):
        device.store.close()  # type: ignore[attr-defined]
        device.slots.close()  # type: ignore[attr-defined]
    wait(fleet.inventory.dispose())  # type: ignore[attr-defined]
