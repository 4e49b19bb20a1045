"""A Secondary that knows the pages and none of our code is registered, updated and believed, over the real doors."""

import ast
import sys
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path

import pytest
import stranger as stranger_module
from cryptography.hazmat.primitives.asymmetric import ed25519
from fleet import Fleet, Vehicle
from links import wait
from signed import FRESH
from stranger import DerWire, JsonWire, Stranger
from world import DIRECTOR, IMAGES, NOW, VIN

from uptane.assembly.http_server import ServerThread
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.root import Role
from uptane.services.director_app import director_methods
from uptane.services.primary_app import MAX_REQUEST_BYTES, primary_methods
from uptane.services.xmlrpc_door import XmlRpcDoor

ECU = EcuIdentifier("STRANGER-1")


@pytest.fixture(params=["der", "json"])
def profile(request: pytest.FixtureRequest) -> Profile:
    """Each wire format in turn."""
    return PROFILES[request.param]


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle of our own, into which the stranger comes."""
    return Vehicle(Fleet(profile))


@pytest.fixture
def stranger(car: Vehicle, profile: Profile) -> Iterator[Stranger]:
    """It is provisioned and registered, and has sent its first report."""
    fleet = car.fleet
    made = Stranger(
        wire=DerWire() if profile.name == "der" else JsonWire(),
        vin=str(VIN),
        ecu=str(ECU),
        key=ed25519.Ed25519PrivateKey.generate(),
        roots={str(name): fleet.file(name, Role.ROOT) for name in (DIRECTOR, IMAGES)},
        director=str(DIRECTOR),
        time_key=fleet.time_key.key.material,
        time=NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        counter=1_764_000_000_000_000,
        nonce=4711,
        installed=("factory.img", b"as it was made"),
    )
    with ServerThread() as servers:
        director = XmlRpcDoor(director_methods(fleet.director, profile, lambda: fleet.now))
        primary = XmlRpcDoor(primary_methods(car.primary.secondaries, profile), max_body=MAX_REQUEST_BYTES)
        ports = [servers.start(door, 0) for door in (director, primary)]
        made.register(*(f"http://127.0.0.1:{port}" for port in ports))
        made.send(made.report())
        with made.primary:
            yield made


def test_a_stranger_is_updated_and_its_report_reaches_the_director(car: Vehicle, stranger: Stranger) -> None:
    car.fleet.later(minutes=5)
    car.fleet.release("stranger.img", FRESH * 100, ECU)
    car.cycle()
    assert stranger.load_time()
    assert not stranger.load_time()
    found = stranger.verify()
    assert found is not None
    stranger.fetch(*found)
    assert stranger.installed == ("stranger.img", FRESH * 100)
    stranger.send(stranger.report())
    stranger.back_up()
    car.primary.update_cycle()
    installed = wait(car.fleet.director.installed(VIN))[ECU]
    assert (installed.path, installed.length) == ("stranger.img", len(FRESH) * 100)
    assert stranger.load_time()


def test_a_stranger_follows_new_roots_of_both_repositories(car: Vehicle, stranger: Stranger) -> None:
    car.fleet.rotate_director(Role.TARGETS, Role.TIMESTAMP)
    car.fleet.rotate_images(Role.ROOT, Role.SNAPSHOT)
    car.cycle()
    assert stranger.verify() is None
    assert [stranger.versions[str(name), "root"] for name in (DIRECTOR, IMAGES)] == [2, 2]


def test_a_stranger_is_told_by_code_why_a_report_is_refused(stranger: Stranger) -> None:
    old = stranger.report()
    stranger.send(stranger.report())
    said = refusal_of(stranger, old)
    assert said.startswith("E-REPLAY: the version report of STRANGER-1 has counter ")
    assert said.endswith(". [replay attack]")
    stranger.key = ed25519.Ed25519PrivateKey.generate()
    assert refusal_of(stranger, stranger.report()).startswith("E-SIG: ")


def refusal_of(stranger: Stranger, report: bytes) -> str:
    with pytest.raises(xmlrpc.client.Fault) as refusal:
        stranger.send(report)
    assert refusal.value.faultCode == 1
    return str(refusal.value.faultString)


def test_the_stranger_imports_nothing_of_ours() -> None:
    tree = ast.parse(Path(stranger_module.__file__).read_text(encoding="utf-8"))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names]
    assert {name.partition(".")[0] for name in names} <= {"asn1tools", "cryptography", *sys.stdlib_module_names}
