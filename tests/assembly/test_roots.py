"""`uptane root renew`: whoever has the Root keys signs the next Roots, on servers that run without these keys."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from help_examples import examples

from uptane.assembly import roots as renewing
from uptane.assembly.fleet import add_vehicle
from uptane.assembly.production import DIRECTOR, IMAGE_REPOSITORY, open_systems, utc_now
from uptane.assembly.settings import load_settings
from uptane.cli.main import main
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Role, Root
from uptane.storage.sql import roots as storing
from uptane.storage.sql.roots import roots_in_service
from uptane.verification.own_metadata import verify_own_metadata

CARS = ("VIN1", "VIN2", "VIN3")
Said = Callable[..., dict[str, dict[str, object]]]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Servers with three vehicles, one of them out of service; their Root keys are in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    assert main(["init", "fleet", "--port", "0"]) == 0

    async def add() -> None:
        async with open_systems(load_settings(tmp_path / "fleet")) as systems:
            for car in CARS:
                await add_vehicle(systems, car, tmp_path / car, f"{car}-primary")

    asyncio.run(add())
    assert main(["vehicle", "retire", CARS[2]]) == 0
    (tmp_path / "offline").mkdir()
    for system in (DIRECTOR, IMAGE_REPOSITORY):
        (tmp_path / "fleet" / "keys" / f"{system}-root").rename(tmp_path / "offline" / f"{system}-root")
    return tmp_path / "fleet"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The operator's clock is ten months on."""
    moment = utc_now().replace(microsecond=0) + timedelta(days=300)
    monkeypatch.setattr(renewing, "utc_now", lambda: moment)
    return moment


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command says as JSON."""

    def run(*words: str) -> dict[str, dict[str, object]]:
        capsys.readouterr()
        assert main([*words, "--json"]) == 0, capsys.readouterr().err
        found: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
        return found

    return run


def roots(fleet: Path) -> dict[str, Root]:
    """The newest Root of the Image repository and of each vehicle; all of the metadata is verified."""

    async def read() -> dict[str, Root]:
        async with open_systems(load_settings(fleet)) as systems:
            profile, found = systems.settings.profile, {}
            for name in (IMAGE_REPOSITORY, *CARS):
                vehicle = None if name == IMAGE_REPOSITORY else VehicleIdentifier(name)
                store = systems.image_metadata if vehicle is None else systems.director_metadata(vehicle)
                own = await verify_own_metadata(store, profile, vehicle)
                assert own is not None
                found[name] = own.root.payload
            return found

    return asyncio.run(read())


def versions(fleet: Path) -> list[int]:
    return [root.version for root in roots(fleet).values()]


def test_the_example_of_the_help_renews_what_expires_soon_and_once_is_enough(
    fleet: Path, later: datetime, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    before, (example,) = roots(fleet), examples("root renew")
    expiry = f"{later + timedelta(days=365):%Y-%m-%dT%H:%M:%SZ}"
    assert said(*example) == {DIRECTOR: {"renewed": 2, "of": 2, "first_expiry": expiry}}
    assert said(*example)[DIRECTOR]["renewed"] == 0
    both = ["root", "renew", "--key", "offline/image-repository-root"]
    assert {name: each["renewed"] for name, each in said(*both).items()} == {IMAGE_REPOSITORY: 1, DIRECTOR: 0}
    capsys.readouterr()
    assert main(["root", "renew"]) == 0, "no key is needed where nothing is due"
    assert capsys.readouterr().out.splitlines() == [
        f"image-repository: 0 of 1 Roots are new; the first expires on {expiry[:10]}.",
        f"director: 0 of 2 Roots are new; the first expires on {expiry[:10]}.",
    ]
    after = roots(fleet)
    assert [root.version for root in after.values()] == [2, 2, 2, 1], "a retired vehicle gets nothing"
    assert all(root.roles == before[name].roles for name, root in after.items())
    assert not any((fleet / "keys" / f"{system}-root").exists() for system in (DIRECTOR, IMAGE_REPOSITORY))


def test_a_root_with_much_time_left_is_renewed_only_where_somebody_says_so(fleet: Path, said: Said) -> None:
    keys = ["--key", "offline/director-root", "--key", "offline/image-repository-root"]
    assert [each["renewed"] for each in said("root", "renew", *keys).values()] == [0, 0]
    assert [each["renewed"] for each in said("root", "renew", *keys, "--days", "365").values()] == [1, 2]


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        ([IMAGE_REPOSITORY], 5, "Root of the Image repository names other Root keys"),
        ([DIRECTOR], 5, "Root of vehicle VIN1 names other Root keys"),
        ([DIRECTOR, "--key", "offline/image-repository-root"], 5, "Root of vehicle VIN1 names other Root keys"),
        ([DIRECTOR, "--key", "offline/none"], 4, "offline/none does not exist"),
        ([DIRECTOR, "--key", "fleet/keys/director-root.pub"], 4, "no private key"),
    ],
)
def test_without_the_right_key_nothing_is_signed_and_the_remedy_is_named(
    fleet: Path, later: datetime, words: list[str], code: int, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["root", "renew", *words]) == code
    told = capsys.readouterr().err
    assert named in told and len(told.splitlines()) == 1
    assert versions(fleet) == [1, 1, 1, 1]


def test_a_vehicle_whose_metadata_was_altered_keeps_nobody_else_from_a_new_root(
    fleet: Path, later: datetime, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(storing.roots_in_service, "__defaults__", (1,))
    with closing(sqlite3.connect(fleet / "data" / "inventory.sqlite")) as connection:
        altered = connection.execute(
            "UPDATE metadata_files SET data = x'00' WHERE vehicle = 'VIN1' AND name = 'root.der' RETURNING name"
        )
        assert altered.fetchall() == [("root.der",)]
        connection.commit()
    assert main(["root", "renew", DIRECTOR, "--key", "offline/director-root"]) == 4
    assert "the Root of vehicle VIN1 was altered" in capsys.readouterr().err

    async def stored() -> dict[str, bytes | None]:
        async with open_systems(load_settings(fleet)) as systems:
            return {str(car): raw async for car, raw in roots_in_service(systems.engine, "2.root.der")}

    found = asyncio.run(stored())
    assert found["VIN1"] is None and found["VIN2"] is not None and set(found) == {"VIN1", "VIN2"}


def test_without_the_directors_root_key_vehicles_are_answered_and_a_new_one_says_what_is_missing(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        async with open_systems(load_settings(fleet)) as systems:
            known, late = VehicleIdentifier(CARS[0]), utc_now() + timedelta(days=30)
            name = systems.settings.profile.metadata_name(Role.TIMESTAMP)
            before = await systems.director_metadata(known).read(name)
            assert await systems.director.metadata_file(known, name, late) not in (None, before)
            with pytest.raises(ProvisioningError, match="no vehicle can be added"):
                await add_vehicle(systems, "VIN4", fleet.parent / "VIN4", "VIN4-primary")

    asyncio.run(scenario())
    assert main(["vehicle", "add", "VIN4", "--package", "VIN4"]) == 5
    assert "Root key of the Director is kept elsewhere" in capsys.readouterr().err
    (fleet.parent / "offline" / "director-root").rename(fleet / "keys" / "director-root")
    assert main(["vehicle", "add", "VIN4", "--package", "VIN4"]) == 0, "nothing of it was left behind"
