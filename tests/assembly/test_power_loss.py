"""A Primary whose power fails at any moment of its cycles, on real disks, sockets and processes."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shells import free_ports

from uptane.assembly.vehicle import EcuFolder
from uptane.demonstration.desk import Desk
from uptane.demonstration.director_console import DirectorConsole
from uptane.demonstration.factory import make_ecu
from uptane.demonstration.image_repository_console import ImageRepositoryConsole
from uptane.demonstration.settings import DEFAULT_PRIMARY, DEFAULT_VEHICLE, environment_of, load_settings
from uptane.demonstration.timeserver_console import TimeserverConsole
from uptane.metadata.root import Role, Root

KILLS = 12
PROGRAM = Path(__file__).with_name("endless_primary.py")


@pytest.fixture(params=["der", "json"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    variables = free_ports() | {"UPTANE_DEMO__FORMAT": str(request.param), "UPTANE_DEMO__FOLDER": str(tmp_path)}
    opened = Desk(load_settings(variables))
    yield opened
    ports = opened.settings.ports
    for port in (ports.image_repository, ports.director, ports.director_calls, ports.timeserver):
        opened.servers.stop(port)


@pytest.mark.standard("STD-5.4.4-5", "STD-5.4.4-4")
def test_a_primary_that_is_killed_at_any_moment_comes_up_again_and_completes_its_next_cycle(
    desk: Desk, count_power_cuts: Callable[[int], None]
) -> None:
    settings = desk.settings
    images, director, timeserver = ImageRepositoryConsole(desk), DirectorConsole(desk), TimeserverConsole(desk)
    images.clean_slate()
    director.clean_slate()
    timeserver.listen()
    folder = EcuFolder(path=settings.folder / "primary")
    folder.path.mkdir()
    made = make_ecu(settings, folder, vehicle=DEFAULT_VEHICLE, ecu=DEFAULT_PRIMARY, image_name="primary_firmware.txt")
    made.close()
    signer = desk.signer("primary")
    desk.run(
        director.director.register_ecu(vehicle=DEFAULT_VEHICLE, ecu=DEFAULT_PRIMARY, key=signer.key, is_primary=True)
    )
    moments = random.Random(2026)
    environment = {**os.environ, **environment_of(settings)}
    manifests: list[int] = []
    for turn in range(KILLS):
        images.add_target_and_write_to_live(f"firmware{turn}.img", f"release {turn}")
        director.add_target_and_write_to_live(f"firmware{turn}.img", f"release {turn}", "democar", DEFAULT_PRIMARY)
        if turn % 7 == 3:
            images.revoke_compromised_keys()
            director.revoke_compromised_keys()
        with subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder.path), "1000"], env=environment, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(moments.uniform(0, 0.08))
            process.kill()
        assert process.returncode == -9, "it ended by itself: a cycle failed"
        manifests.append(desk.run(director.director.vehicle(DEFAULT_VEHICLE)).manifest_counter)
    assert manifests == sorted(set(manifests)), "the Director accepted manifests with rising counters only"
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder.path), "2"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == [f"firmware{KILLS - 1}.img"] * 2
    director.close()
    with folder.state() as reopened:
        raw = reopened.read("repository/director/role/root")
        assert raw is not None
        assert settings.profile.format.decode(Root, raw).payload.version == 1 + sum(t % 7 == 3 for t in range(KILLS))
        assert {name.split("/")[-1] for name in reopened.names("repository/director/role/")} == set(Role)
    count_power_cuts(KILLS)
