"""Systems that run apart: each reads and wants its own private keys, and does without those of the others."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from certificates import ask, get
from raw_sockets import status_of

from uptane.assembly.doctor import Finding, examine
from uptane.assembly.http_server import ServerThread
from uptane.assembly.production import System, open_systems
from uptane.assembly.server_certificates import server_certificate
from uptane.assembly.serving import serving
from uptane.assembly.settings import load_settings
from uptane.assembly.tls_server import listening
from uptane.cli.main import main
from uptane.metadata.errors import ProvisioningError, StorageError
from uptane.storage.certificate_authority import authority_certificate
from uptane.transport.tls import client_tls

OWN = {
    System.DIRECTOR: "/director/timestamp.der",
    System.IMAGE_REPOSITORY: "/repo/timestamp.der",
    System.TIMESERVER: "/timeserver/attestation",
}
ANY_KEY = {
    System.DIRECTOR: "director-targets",
    System.IMAGE_REPOSITORY: "image-repository-snapshot",
    System.TIMESERVER: "timeserver",
}
ALL = frozenset(System)

each_system = pytest.mark.parametrize("system", list(System))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Servers with a vehicle and an image, to be copied to several machines."""
    folder = tmp_path_factory.mktemp("made")
    fleet = folder / "fleet"
    (folder / "firmware.img").write_text("Fresh firmware image")
    assert main(["init", str(fleet), "--port", "0"]) == 0
    assert main(["vehicle", "add", "VIN123", "--package", str(folder / "car"), "--servers", str(fleet)]) == 0
    assert main(["image", "add", str(folder / "firmware.img"), "--servers", str(fleet)]) == 0
    server_certificate(fleet / "certificates", ["localhost"])
    return fleet


@pytest.fixture
def machine(made: Path, tmp_path: Path) -> Callable[[System], Path]:
    """Gives the folder of a machine where one system runs, with what `docs/operations/deploy.md` says it needs."""

    def prepare(system: System) -> Path:
        folder = tmp_path / system
        shutil.copytree(made, folder)
        for key in (folder / "keys").iterdir():
            if not key.name.startswith(system) and key.suffix not in (".pub", ".der"):
                key.unlink()
        if system is not System.DIRECTOR:
            (folder / "certificates" / "authority").unlink()
        if system is System.TIMESERVER:
            shutil.rmtree(folder / "data" / "image-repository")
        return folder

    return prepare


def answers(folder: Path, which: frozenset[System], *paths: str) -> list[int]:
    """What a server of these systems answers to clients without a certificate."""
    tls = client_tls(authorities=folder / "certificates" / "authority.pem")
    with ServerThread() as thread, listening("127.0.0.1", 0) as listener:
        context = serving(load_settings(folder), which, listener)
        port = thread.serve(thread.run(context.__aenter__()))
        try:
            return [status_of(ask(port, tls, get(path, "Connection: close"))) for path in paths]
        finally:
            thread.stop(port)
            thread.run(context.__aexit__(None, None, None))


@each_system
def test_a_system_runs_where_no_private_key_of_another_is(system: System, machine: Callable[[System], Path]) -> None:
    folder = machine(system)
    others = [path for other, path in OWN.items() if other is not system]
    ready, own, *foreign = answers(folder, frozenset({system}), "/readyz", OWN[system], *others)
    assert (ready, foreign) == (200, [404, 404])
    assert own == (405 if system is System.TIMESERVER else 401)


@each_system
def test_a_system_does_not_even_read_the_keys_of_the_others(system: System, made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "fleet")
    for name in ("director", "image-repository", "timeserver"):
        for key in (folder / "keys").glob(f"{name}*"):
            if name != system and key.suffix != ".der":
                key.write_text("read and be lost")
    assert answers(folder, frozenset({system}), "/readyz") == [200]


@each_system
def test_a_system_without_a_key_of_its_own_says_which_and_serves_nothing(system: System, made: Path) -> None:
    async def opened(folder: Path) -> None:
        async with open_systems(load_settings(folder), frozenset({system})):
            pass

    key = made / "keys" / ANY_KEY[system]
    away = key.rename(made / "away")
    try:
        with pytest.raises(ProvisioningError) as refusal:
            asyncio.run(opened(made))
    finally:
        away.rename(key)
    assert refusal.value.facts["name"] == ANY_KEY[system]


def test_where_only_the_timeserver_runs_nothing_else_can_be_made(made: Path) -> None:
    async def asked() -> None:
        async with open_systems(load_settings(made), frozenset({System.TIMESERVER})) as systems:
            assert systems.timeserver.key == systems.timeserver_key
            with pytest.raises(ProvisioningError):
                systems.catalog()

    asyncio.run(asked())


def test_vehicles_are_added_and_directed_where_the_director_runs_alone(
    machine: Callable[[System], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = machine(System.DIRECTOR)
    servers = ["--servers", str(folder)]
    add = ["vehicle", "add", "VIN456", "--package", str(tmp_path / "van"), *servers]
    public = folder / "keys" / "timeserver.pub"
    away = public.rename(tmp_path / "away")
    assert main(add) == 5
    assert "timeserver.pub" in capsys.readouterr().err
    assert main(["vehicle", "show", "VIN456", *servers]) == 5, "nothing was registered"
    away.rename(public)
    assert main(add) == 0
    capsys.readouterr()
    assert main(["assignment", "set", "VIN456", "VIN456-primary", "firmware.img", *servers]) == 5
    assert "is not registered" in capsys.readouterr().err, "it was looked up, and only the ECU is missing"


def test_a_command_that_needs_a_key_that_is_elsewhere_names_it(
    machine: Callable[[System], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.img").write_text("new")
    add = ["image", "add", str(tmp_path / "new.img"), "--servers"]
    assert main([*add, str(machine(System.DIRECTOR))]) == 5
    told = capsys.readouterr().err
    assert "image-repository-timestamp" in told and "(E-PROVISIONING)" in told and len(told.splitlines()) == 1
    assert main([*add, str(machine(System.IMAGE_REPOSITORY))]) == 0


def test_a_restored_backup_is_not_begun_with_half_of_the_keys(machine: Callable[[System], Path]) -> None:
    folder = machine(System.DIRECTOR)
    timestamp = folder / "data" / "image-repository" / "metadata" / "timestamp.der"
    before = timestamp.read_bytes()
    assert main(["db", "restored", "--servers", str(folder)]) == 5
    assert timestamp.read_bytes() == before


def look(folder: Path, *which: System) -> dict[str, Finding]:
    found = asyncio.run(examine(folder, which=frozenset(which or System)))
    return {finding.check: finding for finding in found}


def unwell(folder: Path, *which: System) -> set[str]:
    return {name for name, finding in look(folder, *which).items() if not finding.well}


@each_system
def test_the_doctor_of_one_system_wants_its_keys_and_no_others(
    system: System, machine: Callable[[System], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = machine(system)
    assert main(["doctor", system, "--servers", str(folder)]) == 0, capsys.readouterr().out
    assert "keys" in unwell(folder), "of all three, keys are missing"
    (folder / "keys" / ANY_KEY[system]).unlink()
    assert "keys" in unwell(folder, system)


def test_the_doctor_finds_keys_where_their_system_does_not_run(made: Path) -> None:
    found = look(made, System.DIRECTOR)["keys"]
    assert not found.well and "image-repository and timeserver" in found.said and ".pub" in found.next_step
    assert "keys" not in unwell(made)


def test_the_doctor_of_a_director_wants_what_new_vehicles_are_told(machine: Callable[[System], Path]) -> None:
    folder = machine(System.DIRECTOR)
    (folder / "keys" / "timeserver.pub").unlink()
    assert unwell(folder, System.DIRECTOR) == {"keys"}


def test_keys_of_the_image_repository_that_may_be_moved_away_are_not_missed(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "fleet")
    for role in ("root", "targets"):
        (folder / "keys" / f"image-repository-{role}").unlink()
    assert unwell(folder) == set()


def test_the_doctor_tells_of_a_certificate_that_nobody_brought(machine: Callable[[System], Path]) -> None:
    folder = machine(System.TIMESERVER)
    (folder / "certificates" / "server.pem").unlink()
    assert unwell(folder, System.TIMESERVER) == {"certificates"}


def test_behind_a_front_a_system_needs_no_certificate_and_no_key_of_the_authority(
    machine: Callable[[System], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = machine(System.TIMESERVER)
    for file in (folder / "certificates").iterdir():
        if file.name != "authority.pem":
            file.unlink()
    monkeypatch.setenv("UPTANE_LISTEN__BEHIND_FRONT", "true")
    monkeypatch.setenv("UPTANE_LISTEN__TRUSTED_FRONTS", '["127.0.0.1/32"]')

    async def opens() -> None:
        with listening("127.0.0.1", 0) as listener:
            async with serving(load_settings(folder), frozenset({System.TIMESERVER}), listener):
                pass

    asyncio.run(opens())
    assert [file.name for file in (folder / "certificates").iterdir()] == ["authority.pem"], (
        "nothing is made by the way"
    )
    assert unwell(folder, System.TIMESERVER) == set()


def test_without_the_authoritys_key_no_certificate_is_made_and_none_is_harmed(
    machine: Callable[[System], Path],
) -> None:
    folder = machine(System.TIMESERVER) / "certificates"
    before = {file: file.read_bytes() for file in folder.iterdir()}
    files = server_certificate(folder, ["localhost"])
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    files.certificate.unlink()
    with pytest.raises(StorageError) as refusal:
        answers(folder.parent, frozenset({System.TIMESERVER}))
    assert "server.pem" in refusal.value.what
    assert not (folder / "authority").exists()


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_text("none")])
def test_an_authority_that_is_missing_or_damaged_is_named(
    harm: Callable[[Path], object], machine: Callable[[System], Path]
) -> None:
    folder = machine(System.TIMESERVER) / "certificates"
    harm(folder / "authority.pem")
    with pytest.raises(StorageError) as refusal:
        authority_certificate(folder)
    assert refusal.value.facts["path"] == str(folder / "authority.pem")
    with suppress(FileNotFoundError):
        (folder / "authority.pem").unlink()
    with pytest.raises(StorageError):
        authority_certificate(folder / "nowhere")
