"""The vehicle side on its own: the package without its server extras runs a Primary."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from shells import REPOSITORY, free_ports

from uptane.assembly.vehicle import EcuFolder
from uptane.demonstration.desk import Desk
from uptane.demonstration.director_console import DirectorConsole
from uptane.demonstration.factory import make_ecu
from uptane.demonstration.image_repository_console import ImageRepositoryConsole
from uptane.demonstration.settings import DEFAULT_PRIMARY, DEFAULT_VEHICLE, environment_of, load_settings
from uptane.demonstration.timeserver_console import TimeserverConsole

PROGRAM = Path(__file__).with_name("endless_primary.py")
SERVER_LIBRARIES = ("sqlalchemy", "aiosqlite", "starlette", "httptools")


def python_without_extras(folder: Path) -> Path:
    """A new environment in which the package was installed without extras."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-c", "constraints.txt", "."]
    subprocess.run(install, cwd=REPOSITORY, check=True, timeout=300)
    return python


@pytest.mark.slow
def test_a_primary_runs_where_no_server_library_is_installed(tmp_path: Path) -> None:
    python = python_without_extras(tmp_path / "environment")
    for library in SERVER_LIBRARIES:
        found = subprocess.run([str(python), "-c", f"import {library}"], capture_output=True, check=False)
        assert b"ModuleNotFoundError" in found.stderr, f"{library} is installed"
    desk = Desk(load_settings(free_ports() | {"UPTANE_DEMO__FOLDER": str(tmp_path)}))
    settings = desk.settings
    images, director, timeserver = ImageRepositoryConsole(desk), DirectorConsole(desk), TimeserverConsole(desk)
    images.clean_slate()
    director.clean_slate()
    timeserver.listen()
    folder = EcuFolder(path=tmp_path / "primary")
    folder.path.mkdir()
    make_ecu(settings, folder, vehicle=DEFAULT_VEHICLE, ecu=DEFAULT_PRIMARY, image_name="first.txt").close()
    registration = director.director.register_ecu(
        vehicle=DEFAULT_VEHICLE, ecu=DEFAULT_PRIMARY, key=desk.signer("primary").key, is_primary=True
    )
    desk.run(registration)
    images.add_target_and_write_to_live("firmware.img", "Fresh firmware image")
    director.add_target_and_write_to_live("firmware.img", "Fresh firmware image", "democar", DEFAULT_PRIMARY)
    environment = {**os.environ, **environment_of(settings)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(python), str(PROGRAM), str(folder.path), "1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["firmware.img"], done.stderr
    director.close()
    for port in (settings.ports.image_repository, settings.ports.director, settings.ports.timeserver):
        desk.servers.stop(port)
