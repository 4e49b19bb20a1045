"""A Secondary whose power fails at any moment of its cycles, on a real disk, socket and process."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from device import Device, new_device
from fleet import Fleet, Vehicle
from signed import custom

from uptane.assembly.http_server import ServerThread
from uptane.assembly.vehicle import EcuFolder
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.services.primary_app import MAX_REQUEST_BYTES, primary_methods
from uptane.services.xmlrpc_door import XmlRpcDoor
from uptane.signing.signer import KeySigner
from uptane.storage.key_files import KeyFolder
from uptane.vehicle.installation import holds
from uptane.vehicle.installation_states import Phase
from uptane.vehicle.memory import EcuMemory

KILLS = 10
PROGRAM = Path(__file__).with_name("endless_secondary.py")


def content(release: int) -> bytes:
    """An image of many blocks."""
    return f"release {release} ".encode() * 25_000


@pytest.mark.slow
@pytest.mark.standard("STD-5.4.4-5", "STD-5.4.4-4")
@pytest.mark.parametrize(("name", "storage_limited"), [("json", False), ("der", True)], ids=["two slots", "one slot"])
def test_a_secondary_that_is_killed_at_any_moment_comes_up_again_and_completes_its_next_cycle(
    name: str, storage_limited: bool, tmp_path: Path, count_power_cuts: Callable[[int], None]
) -> None:
    profile, folder = PROFILES[name], EcuFolder(path=tmp_path)
    key = KeyFolder(tmp_path / "keys").load_or_generate("secondary")
    state, slots = folder.state(), folder.slots()
    parts = iter([new_device(), Device(state, slots, KeySigner(key))])
    car = Vehicle(Fleet(profile), device=lambda: next(parts), storage_limited=storage_limited)
    state.close()
    slots.close()
    moments = random.Random(2026)
    with ServerThread() as servers:
        door = XmlRpcDoor(primary_methods(car.primary.secondaries, profile), max_body=MAX_REQUEST_BYTES)
        command = [sys.executable, str(PROGRAM), str(tmp_path), str(servers.start(door, 0)), name]
        for turn in range(KILLS):
            car.fleet.release(f"firmware{turn}.img", content(turn), custom=custom(turn))
            car.fleet.later(minutes=1)
            car.primary.update_cycle()
            with subprocess.Popen([*command, "1000"], stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(moments.uniform(0, 0.1))
                process.kill()
            assert process.returncode == -9, "it ended by itself: a cycle failed"
            check(folder, profile)
        done = subprocess.run([*command, "2"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[2:] == ["no update needed", ""]
    with folder.state() as reopened, folder.slots() as flash:
        memory = EcuMemory(reopened, profile)
        assert memory.state.installed.path == f"firmware{KILLS - 1}.img"
        assert memory.state.release_counter == KILLS - 1
        assert b"".join(flash.chunks(memory.state.installation.active) or ()) == content(KILLS - 1)
    count_power_cuts(KILLS)


def check(folder: EcuFolder, profile: Profile) -> None:
    """What the ECU starts from is whole, or it knows that it is not."""
    with folder.state() as state, folder.slots() as slots:
        memory = EcuMemory(state, profile)
        now, running = memory.state.installation, memory.state.installed
        if now.phase is Phase.RUNNING or not memory.storage_limited:
            assert holds(slots, now.active, (now.candidate or running) if now.phase is Phase.TRIAL else running)
