"""A Secondary with room for one image, over its Primary's real door, on a real disk."""

from pathlib import Path

import pytest
from fleet import Fleet, Vehicle
from signed import FACTORY, PATH

from uptane.assembly.http_server import ServerThread
from uptane.assembly.vehicle import EcuFolder, connect_secondary
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import FormatError
from uptane.services.primary_app import MAX_REQUEST_BYTES, primary_methods
from uptane.services.xmlrpc_door import XmlRpcDoor
from uptane.storage.image_slots import CHUNK
from uptane.vehicle.installation_states import RUNNING
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.secondary import Outcome


@pytest.fixture(params=["der", "json"])
def profile(request: pytest.FixtureRequest) -> Profile:
    """Each wire format in turn."""
    return PROFILES[request.param]


@pytest.mark.standard("STD-5.4.3.3-1", "STD-5.4.2.7-2")
def test_amb_14_images_of_many_blocks_are_streamed_backed_up_and_restored_over_the_wire(
    profile: Profile, tmp_path: Path
) -> None:
    car = Vehicle(Fleet(profile), storage_limited=True)
    folder, signer = EcuFolder(path=tmp_path), car.tcu.device.signer
    first, second = bytes(range(256)) * 1000, bytes(range(255, -1, -1)) * 1001
    assert len(first) > 3 * CHUNK
    confirmed = True
    with ServerThread() as servers, folder.state() as state, folder.slots() as slots:
        with slots.receive(RUNNING.active) as writer:
            writer.write(FACTORY)
            writer.keep()
        for name in car.tcu.device.store.names(""):
            state.write({name: car.tcu.device.store.read(name)})
        door = XmlRpcDoor(primary_methods(car.primary.secondaries, profile), max_body=MAX_REQUEST_BYTES)
        secondary = connect_secondary(
            EcuMemory(state, profile),
            signer,
            slots,
            primary_url=f"http://127.0.0.1:{servers.start(door, 0)}",
            confirms=lambda file: confirmed,
        )

        def running() -> bytes:
            return b"".join(slots.chunks(RUNNING.active) or ())

        car.fleet.release(PATH, first)
        car.primary.update_cycle()
        assert secondary.update_cycle().outcome is Outcome.UPDATED
        assert running() == first
        car.fleet.release("second.img", second)
        car.primary.update_cycle()
        confirmed = False
        assert secondary.update_cycle().outcome is Outcome.ROLLED_BACK
        assert running() == first
        confirmed = True
        assert secondary.update_cycle().outcome is Outcome.UPDATED
        assert running() == second


def test_a_place_before_the_first_byte_is_none(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    with pytest.raises(FormatError):
        primary_methods(car.primary.secondaries, profile)["get_image_block"]("TCUdemocar", "sha256-00", -1)


def test_an_ecu_remembers_that_it_has_room_for_one_image(profile: Profile) -> None:
    car = Vehicle(Fleet(profile), storage_limited=True)
    assert car.secondary.memory.storage_limited
    assert not car.primary.memory.storage_limited
