"""The XML-RPC door of production servers: shut unless somebody asks for it, and loud where it is open."""

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from load_fleet import CAR, workers
from running_servers import VEHICLE, new_servers, running

from bench.load.fleet import ecu_name
from uptane.assembly.admin import loopback_listening
from uptane.assembly.doctor import examine
from uptane.assembly.fleet import retire_vehicle
from uptane.assembly.production import System, open_systems
from uptane.assembly.serving import check_workers
from uptane.assembly.settings import load_settings
from uptane.assembly.tls_server import listening
from uptane.assembly.unsafe_door import door_address, open_door
from uptane.assembly.vehicle import connect_director
from uptane.metadata.errors import (
    ReplayedReportError,
    RetiredVehicleError,
    SettingsError,
    UnknownVehicleError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role

ADDRESS = "127.0.0.1:0"
KEY = PublicKey.of(Ed25519PrivateKey.generate().public_key())


def test_what_comes_through_the_door_reaches_the_director_that_vehicles_ask(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with workers(tmp_path / "fleet", "data/inventory.sqlite", 2) as fleet:
            systems = fleet.systems[0]
            profile = systems.settings.profile
            assert await fleet.version(Role.TARGETS) == 1
            await fleet.assign(1, worker=0)
            with loopback_listening(ADDRESS) as listener:
                assert listener is not None
                async with open_door(systems, listener):
                    port = listener.getsockname()[1]
                    director = connect_director(f"http://127.0.0.1:{port}", profile)
                    manifest = fleet.cars[0].manifests[0]
                    await asyncio.to_thread(director.submit_manifest, CAR, ecu_name(0, 0), manifest)
                    assert await fleet.version(Role.TARGETS) == 2, "it was answered with what is assigned since"
                    with pytest.raises(ReplayedReportError):
                        await asyncio.to_thread(director.submit_manifest, CAR, ecu_name(0, 0), manifest)
                    key = profile.format.encode_key(KEY)
                    more = EcuIdentifier("one more")
                    await asyncio.to_thread(director.register_ecu, CAR, more, key, is_primary=False)
                    assert (await systems.director.ecu(more)).key.material == KEY.material
                    with pytest.raises(UnknownVehicleError):
                        await asyncio.to_thread(director.register_ecu, VEHICLE, more, key, is_primary=False)

                    await retire_vehicle(systems, CAR)
                    other = EcuIdentifier("another one")
                    with pytest.raises(RetiredVehicleError):
                        await asyncio.to_thread(director.register_ecu, CAR, other, key, is_primary=False)
                    with pytest.raises(RetiredVehicleError):
                        await asyncio.to_thread(
                            director.submit_manifest, CAR, ecu_name(0, 0), fleet.cars[0].manifests[1]
                        )
                    assert (await systems.director.vehicle(CAR)).manifest_counter == 1

    asyncio.run(scenario())


def test_the_door_is_open_where_the_settings_say_so_and_told_of_loudly(tmp_path: Path) -> None:
    settings = new_servers(tmp_path / "fleet")
    log, variables = tmp_path / "log", {"UPTANE_LISTEN__UNSAFE_XMLRPC": ADDRESS, "UPTANE_LOG__FORMAT": "json"}
    with log.open("w") as errors, running(settings.folder, variables=variables, errors=errors) as server:
        told = server.until("UNSAFE")
        url = told.partition(" at ")[2].partition(" ")[0]
        assert "asks nobody who he is" in told
        with pytest.raises(UnknownVehicleError):
            connect_director(url, settings.profile).register_ecu(
                VEHICLE, EcuIdentifier("any"), settings.profile.format.encode_key(KEY), is_primary=True
            )
    assert server.process.returncode == 0
    warned = [line for line in log.read_text().splitlines() if "asks nobody who he is" in line]
    assert len(warned) == 1 and '"warning"' in warned[0]
    assert '"route":"/RPC2"' in log.read_text().replace('": "', '":"')


def test_it_is_shut_unless_somebody_asks_and_the_director_runs_here(tmp_path: Path) -> None:
    settings = new_servers(tmp_path / "fleet")
    assert door_address(settings, frozenset(System)) == ""
    asked = settings.model_copy(update={"listen": settings.listen.model_copy(update={"unsafe_xmlrpc": ADDRESS})})
    assert door_address(asked, frozenset({System.DIRECTOR})) == ADDRESS
    assert door_address(asked, frozenset({System.IMAGE_REPOSITORY, System.TIMESERVER})) == ""

    async def nothing_opens() -> None:
        async with open_systems(settings) as systems, open_door(systems, None):
            pass

    with loopback_listening("") as listener:
        assert listener is None
    asyncio.run(nothing_opens())


@pytest.mark.parametrize("address", ["0.0.0.0:30501", "192.0.2.7:30501", "[::]:30501", "localhost:30501", "30501"])
def test_an_address_that_other_machines_reach_is_no_address_of_the_door(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uptane.toml").write_text("")
    monkeypatch.setenv("UPTANE_LISTEN__UNSAFE_XMLRPC", address)
    with pytest.raises(SettingsError) as refusal:
        load_settings(tmp_path)
    assert refusal.value.facts["field"] == "listen.unsafe_xmlrpc"


def test_a_socket_that_other_machines_reach_is_never_a_door(tmp_path: Path) -> None:
    settings = new_servers(tmp_path / "fleet")

    async def scenario() -> None:
        async with open_systems(settings) as systems:
            with listening("0.0.0.0", 0) as listener, pytest.raises(UptaneError) as refusal:  # noqa: S104 - refused
                async with open_door(systems, listener):
                    pass
        assert refusal.value.facts["address"] == "0.0.0.0"  # noqa: S104 - refused

    asyncio.run(scenario())


def test_several_workers_have_no_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uptane.toml").write_text("")
    monkeypatch.setenv("UPTANE_LISTEN__UNSAFE_XMLRPC", ADDRESS)
    monkeypatch.setenv("UPTANE_DATABASE__URL", "postgresql://me@127.0.0.1/none")
    settings = load_settings(tmp_path)
    check_workers(settings, frozenset(System))
    with pytest.raises(SettingsError) as refusal:
        check_workers(settings.with_workers(2), frozenset({System.DIRECTOR}))
    assert refusal.value.facts["field"] == "listen.unsafe_xmlrpc"
    check_workers(settings.with_workers(2), frozenset({System.IMAGE_REPOSITORY, System.TIMESERVER}))


def test_the_doctor_does_not_call_servers_with_a_door_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = new_servers(tmp_path / "fleet")
    monkeypatch.setenv("UPTANE_LISTEN__UNSAFE_XMLRPC", ADDRESS)
    (found,) = [each for each in asyncio.run(examine(settings.folder)) if not each.well]
    assert found.check == "settings" and "asks nobody who he is" in found.said and "unsafe_xmlrpc" in found.next_step
