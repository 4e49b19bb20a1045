"""Vehicles and ECUs that are newer than a restored backup come back as they are: with their keys, memory and images."""

import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from shells import free_port

from uptane.assembly.device import Device, open_device
from uptane.assembly.device_package import load_device, load_secondary
from uptane.assembly.http_server import ServerThread
from uptane.assembly.secondary_device import SecondaryDevice, open_secondary
from uptane.assembly.serving import System, serving
from uptane.assembly.settings import load_settings
from uptane.assembly.tls_server import listening
from uptane.cli.database import SKIP
from uptane.cli.main import main
from uptane.metadata.errors import UptaneError
from uptane.vehicle.secondary import Outcome

KNOWN, NEW = "VIN-KNOWN", "VIN-NEW"


def run(*words: str) -> None:
    assert main(list(words)) == 0, words


@contextmanager
def servers(port: int) -> Iterator[None]:
    """Servers on the folder `fleet`."""
    with ServerThread() as thread:
        opened = AsyncExitStack()
        listener = listening("127.0.0.1", port)
        at = thread.serve(
            thread.run(opened.enter_async_context(serving(load_settings(Path("fleet")), frozenset(System), listener)))
        )
        try:
            yield
        finally:
            thread.stop(at)
            thread.run(opened.aclose())


def add(vin: str, package: str, port: int, *words: str) -> None:
    run(
        "vehicle", "add", vin, "--package", package, "--server", f"https://localhost:{port}", "--door-port", "0",
        "--secondary", f"{vin}-brakes", "--secondary", f"{vin}-lamp::partial", *words,
    )  # fmt: skip


def secondary(opened: ExitStack, device: Device, package: str, name: str) -> SecondaryDevice:
    made = load_secondary(Path(package) / "secondaries" / name)
    return opened.enter_context(open_secondary(replace(made, primary=f"http://127.0.0.1:{device.port}")))


def refused(device: Device) -> str:
    """The code with which the Director refuses the manifest of a cycle."""
    with pytest.raises(UptaneError) as error:
        device.cycle()
    return str(error.value.facts.get("code"))


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """New servers with an image and a vehicle that has never called, and a backup of their stores."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    monkeypatch.setattr("uptane.assembly.tls_server.CLOSE_SECONDS", 0.1)  # our clients' idle connections say no goodbye
    run("init", "fleet", "--port", "0")
    for release in ("1", "2"):
        (tmp_path / f"{release}.img").write_text(f"release {release}")
        run("image", "add", f"{release}.img", "--release", release)
    return tmp_path / "backup"


def test_a_vehicle_that_was_added_after_the_backup_updates_again_with_the_same_folders(backup: Path) -> None:
    port = free_port()
    add(KNOWN, "known", port)
    shutil.copytree("fleet/data", backup)
    add(NEW, "new", port)
    with servers(port), ExitStack() as opened:
        opened.enter_context(open_device(load_device(Path("known")))).cycle()
        device = opened.enter_context(open_device(load_device(Path("new"))))
        device.cycle()
        ecus = [secondary(opened, device, "new", f"{NEW}-{name}") for name in ("brakes", "lamp")]
        for each in ecus:
            each.cycle()
        device.cycle()
        for each in ecus:
            run("assignment", "set", NEW, each.secondary.memory.ecu, "1.img")
        device.cycle()
        assert [each.cycle().outcome for each in ecus] == [Outcome.UPDATED, Outcome.UPDATED]
    shutil.rmtree("fleet/data")
    shutil.copytree(backup, "fleet/data")
    run("db", "restored")
    with servers(port), ExitStack() as opened:
        known = opened.enter_context(open_device(load_device(Path("known"))))
        assert refused(known) == "E-UNKNOWN-ECU", "it registered after the backup"
        known.cycle()
        device = opened.enter_context(open_device(load_device(Path("new"))))
        with pytest.raises(UptaneError):
            device.cycle()
        add(NEW, "again", port, "--skip", str(SKIP))
        assert refused(device) == "E-UNKNOWN-ECU"
        ecus = [secondary(opened, device, "new", f"{NEW}-{name}") for name in ("brakes", "lamp")]
        device.cycle()
        for each in ecus:
            run("assignment", "set", NEW, each.secondary.memory.ecu, "2.img")
        device.cycle()
        assert [each.cycle().outcome for each in ecus] == [Outcome.UPDATED, Outcome.UPDATED]
        device.cycle()
    with servers(port):  # it has lost its certificate as well
        shutil.rmtree("new/credentials")
        shutil.copy("again/factory/token", "new/factory/token")
        with open_device(load_device(Path("new"))) as device:
            assert device.cycle().nothing_new


def test_a_vehicle_that_is_added_again_without_leaving_out_versions_refuses_them(backup: Path) -> None:
    port = free_port()
    shutil.copytree("fleet/data", backup)
    add(NEW, "new", port)
    with servers(port), ExitStack() as opened:
        device = opened.enter_context(open_device(load_device(Path("new"))))
        device.cycle()
        run("assignment", "set", NEW, f"{NEW}-primary", "1.img")
        device.cycle()
    shutil.rmtree("fleet/data")
    shutil.copytree(backup, "fleet/data")
    run("db", "restored")
    with servers(port), ExitStack() as opened:
        add(NEW, "again", port)
        device = opened.enter_context(open_device(load_device(Path("new"))))
        with pytest.raises(UptaneError, match="older than the trusted"):
            device.cycle()
    run("db", "restored")
    with servers(port), ExitStack() as opened:
        device = opened.enter_context(open_device(load_device(Path("new"))))
        assert refused(device) == "E-UNKNOWN-ECU"
        device.cycle()
