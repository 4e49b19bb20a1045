"""Encrypted images on production servers: an operator directs them, and a vehicle over the device API installs them."""

import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from uptane.assembly.device import Device, open_device
from uptane.assembly.device_package import load_device, load_secondary
from uptane.assembly.http_server import ServerThread
from uptane.assembly.production import System
from uptane.assembly.secondary_device import open_secondary
from uptane.assembly.serving import serving
from uptane.assembly.settings import load_settings
from uptane.assembly.tls_server import listening
from uptane.cli.main import main
from uptane.vehicle.secondary import Outcome

SECRET = b"".join(b"confidential line %04d\n" % number for number in range(200))
"""An image of which no 16 bytes come by chance."""

HOSTED = b"an image that everybody may download, and that one ECU gets encrypted all the same\n"

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command of an operator, which ends with this code; gives what it prints, or what it says of a failure."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")

    def command(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        ended, told = main(list(words)), capsys.readouterr()
        assert ended == code, (words, told.err)
        return told.err if code else told.out

    return command


@pytest.fixture(params=["der", "json"])
def car(request: pytest.FixtureRequest, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Device]:
    """A Primary on servers that listen; it and its Secondary were added as ECUs for encrypted images."""
    monkeypatch.setattr("uptane.assembly.tls_server.CLOSE_SECONDS", 0.1)  # our clients' idle connections say no goodbye
    run("init", "fleet", "--port", "0", "--format", request.param)
    with ServerThread() as thread, ExitStack() as ecus:
        context = serving(load_settings(tmp_path / "fleet"), frozenset(System), listening("127.0.0.1", 0))
        opened = AsyncExitStack()
        port = thread.serve(thread.run(opened.enter_async_context(context)))
        try:
            said = run(
                *("vehicle", "add", "VIN1", "--package", "car", "--server", f"https://localhost:{port}"),
                *("--ecu", "gateway", "--secondary", "brakes", "--door-port", "0"),
                *("--encrypted-images", "gateway", "--encrypted-images", "brakes"),
            )
            assert "uptane vehicle encryption-key VIN1 gateway car/keys/decryption.pub" in said
            device = ecus.enter_context(open_device(load_device(tmp_path / "car")))
            device.cycle()
            yield device
        finally:
            ecus.close()
            thread.stop(port)
            thread.run(opened.aclose())


def holds(folder: Path, content: bytes) -> bool:
    """Whether any file below a folder is just that."""
    return any(file.read_bytes() == content for file in folder.rglob("*") if file.is_file())


def leaks(folder: Path, content: bytes) -> set[Path]:
    """The files below a folder in which any 16 bytes of it stand."""
    pieces = {content[at : at + 16] for at in range(0, len(content) - 15, 8)}
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file for file in files if any(piece in file.read_bytes() for piece in pieces)}


@pytest.mark.standard("STD-5.3.2.1-15")
@pytest.mark.standard("STD-5.4.1-8")
def test_an_image_that_nobody_hosts_in_plain_is_directed_encrypted_and_installed(
    car: Device, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "secret.img").write_bytes(SECRET)
    (tmp_path / "other.img").write_bytes(SECRET[::-1])
    assert "is listed, and not stored" in run("image", "add", "secret.img", "--list-only")
    wanted = ("assignment", "set", "VIN1", "gateway", "secret.img", "--encrypted")

    told = run(*wanted, "--file", "secret.img", code=5)
    assert "no encryption key on record" in told and "uptane vehicle encryption-key" in told
    run("vehicle", "encryption-key", "VIN1", "gateway", "car/keys/decryption.pub")
    assert "does not host it" in run(*wanted, code=4)
    assert "(E-HASH)" in run(*wanted, "--file", "other.img", code=1)
    assert "cannot be read" in run(*wanted, "--file", "none.img", code=4)
    assert json.loads(run("assignment", "list", "--json")) == {"assignments": []}, "what failed assigned nothing"

    assert "secret.img, encrypted" in run(*wanted, "--file", "secret.img")
    car.cycle()
    assert car.primary.memory.state.installed.path == "secret.img"
    assert holds(tmp_path / "car" / "ecu" / "images", SECRET)
    assert leaks(tmp_path / "fleet", SECRET) == set()
    car.cycle()
    shown = json.loads(run("vehicle", "show", "VIN1", "--json"))["ecus"]
    assert [(ecu["ecu"], ecu["runs"], ecu["encryption_key"]) for ecu in shown] == [("gateway", "secret.img", True)]


@pytest.mark.parametrize("car", ["der"], indirect=True)
def test_a_secondary_gets_what_the_image_repository_hosts_encrypted(car: Device, run: Run, tmp_path: Path) -> None:
    (tmp_path / "hosted.img").write_bytes(HOSTED)
    run("image", "add", "hosted.img")
    settings = load_secondary(tmp_path / "car" / "secondaries" / "brakes")
    with open_secondary(replace(settings, primary=f"http://127.0.0.1:{car.port}")) as brakes:
        brakes.cycle()
        car.cycle()
        key = tmp_path / "car" / "secondaries" / "brakes" / "keys" / "decryption.pub"
        said = json.loads(run("vehicle", "encryption-key", "VIN1", "brakes", str(key), "--json"))
        assert len(bytes.fromhex(said["encryption_key"])) == 32
        run("assignment", "set", "VIN1", "brakes", "hosted.img", "--encrypted")
        car.cycle()
        assert brakes.cycle().outcome is Outcome.UPDATED
    assert holds(tmp_path / "car" / "secondaries" / "brakes" / "ecu" / "images", HOSTED)
    assert not holds(tmp_path / "car" / "ecu", HOSTED), "its Primary cannot read it"


def test_keys_of_another_use_are_refused_and_nothing_is_put_on_record(run: Run, tmp_path: Path) -> None:
    run("init", "fleet", "--port", "0")
    keys = tmp_path / "fleet" / "keys"
    run(
        "vehicle",
        "add",
        "VIN1",
        "--package",
        "car",
        "--ecu",
        "gateway",
        "--ecu-key",
        f"gateway={keys / 'timeserver.pub'}",
    )
    put = ("vehicle", "encryption-key", "VIN1", "gateway")
    for file, named in ((keys / "timeserver.pub", "no key that images"), (keys / "timeserver", "private key")):
        assert named in run(*put, str(file), code=4)
    assert "does not exist" in run(*put, "nowhere.pub", code=4)
    (shown,) = json.loads(run("vehicle", "show", "VIN1", "--json"))["ecus"]
    assert shown["encryption_key"] is False


def test_an_ecu_that_the_vehicle_does_not_have_gets_no_key_and_no_vehicle_is_added(run: Run, tmp_path: Path) -> None:
    run("init", "fleet", "--port", "0")
    told = run("vehicle", "add", "VIN1", "--package", "car", "--encrypted-images", "somebody", code=1)
    assert "do not belong together" in told
    assert json.loads(run("vehicle", "list", "--json"))["vehicles"] == []


def test_a_file_is_named_for_what_is_encrypted_only(run: Run) -> None:
    run("init", "fleet", "--port", "0")
    assert "--encrypted" in run("assignment", "set", "VIN1", "gateway", "secret.img", "--file", "secret.img", code=1)


def test_a_retired_vehicle_gets_no_encrypted_image_and_no_key(run: Run, tmp_path: Path) -> None:
    run("init", "fleet", "--port", "0")
    public = tmp_path / "fleet" / "keys" / "timeserver.pub"
    run("vehicle", "add", "VIN1", "--package", "car", "--ecu", "gateway", "--ecu-key", f"gateway={public}")
    run("vehicle", "retire", "VIN1")
    assert "(E-RETIRED)" in run("assignment", "set", "VIN1", "gateway", "secret.img", "--encrypted", code=5)
