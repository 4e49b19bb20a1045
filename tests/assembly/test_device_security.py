"""Every route of the device API, tried by everybody who may not use it; the routes come from the application."""

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import DAY, NOW, House, ask, der_of
from production import IMAGE, MINE, OTHER, RunningServers, made, routes_of, running_servers, whole_api
from raw_sockets import status_of
from signed import signed_manifest, signed_report

from uptane.assembly.made_ecus import ECU_KEY
from uptane.assembly.production import open_systems, utc_now
from uptane.formats.profiles import PROFILES
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.services import device_api
from uptane.services.device_api import MAX_MANIFEST_BYTES, MAX_SMALL_BODY
from uptane.services.identity import IDENTITY, Identity
from uptane.services.problems import CONTENT_TYPE
from uptane.signing.signer import KeySigner
from uptane.storage.key_files import KeyFolder
from uptane.storage.sql.enrolment import SqlEnrolment
from uptane.storage.tls_credentials import VehicleCredentials


@dataclass(frozen=True)
class Way:
    """How a route is used.

    Args:
        path: one that leads to something.
        body_limit: bytes that it takes; 0 for none.
        open: whether it is for clients without a certificate too.
    """

    path: str
    body_limit: int = 0
    open: bool = False


WAYS: Mapping[tuple[str, str], Way] = {
    ("GET", "/healthz"): Way("/healthz", open=True),
    ("GET", "/readyz"): Way("/readyz", open=True),
    ("POST", "/devices"): Way("/devices", MAX_SMALL_BODY, open=True),
    ("POST", "/director/ecus"): Way("/director/ecus", MAX_SMALL_BODY),
    ("PUT", "/director/manifest"): Way("/director/manifest", MAX_MANIFEST_BYTES),
    ("GET", "/director/{name}"): Way("/director/targets.der"),
    ("GET", "/director/targets/{path}"): Way(f"/director/targets/{IMAGE}"),
    ("GET", "/repo/{name}"): Way("/repo/timestamp.der"),
    ("GET", "/repo/delegations/{name}"): Way("/repo/delegations/supplier.der"),
    ("GET", "/repo/targets/{path}"): Way(f"/repo/targets/{IMAGE}"),
    ("POST", "/timeserver/attestation"): Way("/timeserver/attestation", MAX_SMALL_BODY),
}

EVERY = pytest.mark.parametrize("route", WAYS, ids=" ".join)
TAKING = pytest.mark.parametrize("route", [route for route, way in WAYS.items() if way.body_limit], ids=" ".join)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServers]:
    with running_servers(tmp_path_factory.mktemp("security")) as running:
        yield running


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> House:
    """An authority that has the same name as ours."""
    return House(tmp_path_factory.mktemp("foreign"))


def test_no_route_is_forgotten_here(tmp_path: Path) -> None:
    async def routes() -> set[tuple[str, str]]:
        async with open_systems(await made(tmp_path)) as systems:
            return routes_of(whole_api(systems).routes)

    assert asyncio.run(routes()) == set(WAYS)


Forged = Callable[[RunningServers, House], ssl.SSLContext]

IN_THE_HANDSHAKE: Mapping[str, Forged] = {
    "foreign authority": lambda here, foreign: _shown(here, foreign.credentials(MINE).file),
    "expired": lambda here, _: here.house.with_pem(here.house.forged(begins=NOW - 2 * DAY, ends=NOW - DAY)),
    "not valid yet": lambda here, _: here.house.with_pem(here.house.forged(begins=NOW + DAY, ends=NOW + 2 * DAY)),
}

AT_THE_DOOR: Mapping[str, Forged] = {
    "revoked": lambda here, _: here.revoked(),
    "without a vehicle": lambda here, _: here.house.with_pem(here.house.forged([], common_name=MINE)),
    "of two vehicles": lambda here, _: here.house.with_pem(
        here.house.forged([f"urn:uptane:vehicle:{MINE}", f"urn:uptane:vehicle:{OTHER}"])
    ),
}


def _shown(here: RunningServers, file: Path) -> ssl.SSLContext:
    tls = here.house.stranger()
    tls.load_cert_chain(file)
    return tls


@pytest.mark.standard("STD-5.3.2.1-1")
@EVERY
def test_a_certificate_that_is_no_good_opens_no_route(
    servers: RunningServers, foreign: House, route: tuple[str, str]
) -> None:
    way = WAYS[route]
    for which, forged in IN_THE_HANDSHAKE.items():
        with pytest.raises((ssl.SSLError, ConnectionError)):
            assert servers.ask(forged(servers, foreign), route[0], way.path, b"{}").status == 0, which
            raise ConnectionError("the server hung up")
    for which, forged in AT_THE_DOOR.items():
        answer = servers.ask(forged(servers, foreign), route[0], way.path, b"{}")
        assert (answer.status, answer.code) == (403, "E-IDENTITY"), which


@EVERY
def test_without_a_certificate_closed_routes_stay_closed(servers: RunningServers, route: tuple[str, str]) -> None:
    way = WAYS[route]
    answer = servers.ask(servers.house.stranger(), route[0], way.path, b"{}" if way.body_limit else b"")
    if way.open:
        assert answer.status == (400 if way.body_limit else 200)
    else:
        assert (answer.status, answer.code) == (401, "E-NO-IDENTITY")


@EVERY
def test_the_header_of_a_front_that_is_none_opens_no_route(servers: RunningServers, route: tuple[str, str]) -> None:
    """Even a true certificate, and even where the sender's own would have opened the route."""
    der = ssl.DER_cert_to_PEM_cert(der_of(servers.house.forged([f"urn:uptane:vehicle:{MINE}"])))
    header = "Client-Cert: :" + "".join(der.splitlines()[1:-1]) + ":"
    for tls in (servers.house.stranger(), servers.house.vehicle(OTHER)):
        answer = servers.ask(tls, route[0], WAYS[route].path, b"", header)
        assert (answer.status, answer.code) == (403, "E-IDENTITY")


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: chunked, identity",
        "Content-Length: +5",
        "Content-Length : 5",
    ],
)
def test_a_request_that_a_front_could_read_in_another_way_is_refused(servers: RunningServers, framing: str) -> None:
    """Or a second request, in another vehicle's name, could hide in the body of the first (request smuggling)."""
    hidden = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    request = f"POST /timeserver/attestation HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n0\r\n\r\n{hidden}"
    answer = ask(servers.port, servers.house.vehicle(MINE), request.encode())
    assert status_of(answer) in (0, 400) and b"alive" not in answer


def test_a_vehicle_is_shown_its_own_directions_whatever_it_asks_for(servers: RunningServers) -> None:
    own = {str(name): raw for _, name, raw, *_ in servers.records(MINE)["metadata_files"]}
    others = {str(name): raw for _, name, raw, *_ in servers.records(OTHER)["metadata_files"]}
    tls = servers.house.vehicle(OTHER)
    shared = {name for name, raw in own.items() if others.get(name) == raw}
    assert set(own) - shared, "each has something that the other has not"
    for name, raw in own.items():
        answer = servers.ask(tls, "GET", f"/director/{name}")
        assert answer.status == (200 if name in others else 404)
        assert name in shared or answer.body != raw
    for path in (f"/director/{MINE}/targets.der", f"/director/..%2f{MINE}%2ftargets.der", f"/{MINE}/director/root.der"):
        assert servers.ask(tls, "GET", path).status == 404


def genuine(servers: RunningServers, counter: int) -> bytes:
    """A manifest as the Primary of MINE signs it, and the registration of its key."""
    profile, ecu = servers.settings.profile, EcuIdentifier(f"{MINE}-primary")
    signer = KeySigner(KeyFolder(servers.folder / "ecu-of-mine").load_or_generate(ECU_KEY), profile.format.key_id_rule)
    key = json.loads(PROFILES["json"].format.encode_key(signer.key))
    body = {"primary_ecu_serial": ecu, "ecus": [{"ecu_serial": ecu, "clientKey": key}]}
    assert servers.ask(servers.house.vehicle(MINE), "POST", "/director/ecus", json.dumps(body).encode()).status == 201
    report = signed_report(profile, signer, ecu, counter=counter, time=utc_now().replace(microsecond=0))
    return signed_manifest(profile, signer, report, counter=counter, vin=MINE, primary=ecu)


@pytest.mark.standard("STD-5.3.2.1-1")
def test_a_vehicle_writes_nothing_of_another_not_even_with_what_that_one_has_signed(servers: RunningServers) -> None:
    manifest = genuine(servers, 1)
    ecu = f"{MINE}-primary"
    key = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "11" * 32}}
    taken = {"primary_ecu_serial": ecu, "ecus": [{"ecu_serial": ecu, "clientKey": key}]}
    before = servers.records(MINE)
    tls = servers.house.vehicle(OTHER)
    bodies = {"/director/manifest": manifest, "/director/ecus": json.dumps(taken).encode()}
    for method, template in WAYS:
        path = WAYS[method, template].path
        if method in ("PUT", "POST") and template.startswith("/director/"):
            answer = servers.ask(tls, method, path, bodies[path])
            assert (answer.status, answer.code) in ((403, "E-WRONG-VEHICLE"), (403, "E-SPOOF")), path
    assert servers.records(MINE) == before
    accepted = servers.ask(servers.house.vehicle(MINE), "PUT", "/director/manifest", manifest)
    assert accepted.status == 204, "from its own vehicle it is good"
    assert servers.records(MINE) != before


@dataclass
class Client:
    """A client that sends what it likes, in its own time; counts what is read of it."""

    pieces: Iterator[bytes]
    stalls: bool = False
    leaves: bool = False
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    read: int = 0
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self) -> dict[str, Any]:
        piece = next(self.pieces, None)
        if piece is None:
            if self.stalls:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"} if self.leaves else {"type": "http.request", "body": b""}
        self.read += len(piece)
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def problem(self) -> tuple[int, str]:
        assert dict(self.sent[0]["headers"])[b"content-type"] == CONTENT_TYPE.encode()
        assert dict(self.sent[0]["headers"])[b"connection"] == b"close", "or the rest of it would be read as a request"
        return self.sent[0]["status"], json.loads(self.sent[1]["body"])["code"]


def endless() -> Iterator[bytes]:
    while True:
        yield b"[" * 4096


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, str], Client], Client]:
    """Calls the application in this process, as MINE where the route is for vehicles."""
    settings = asyncio.run(made(tmp_path_factory.mktemp("bodies")))

    def ask(route: tuple[str, str], client: Client) -> Client:
        async def scenario() -> None:
            async with open_systems(settings) as systems:
                path = WAYS[route].path
                scope = {"type": "http", "method": route[0], "path": path, "raw_path": path.encode(), "root_path": ""}
                scope |= {"query_string": b"", "headers": [(b"host", b"localhost"), *client.headers]}
                scope[IDENTITY] = Identity(vehicle=MINE, fingerprint="", serial=1)
                await whole_api(systems)(scope, client.receive, client.send)

        asyncio.run(scenario())
        return client

    return ask


Call = Callable[[tuple[str, str], Client], Client]


@TAKING
def test_an_endless_body_is_read_up_to_the_limit_and_no_further(call: Call, route: tuple[str, str]) -> None:
    client = call(route, Client(endless()))
    assert client.problem == (413, "E-ENDLESS")
    assert client.read <= WAYS[route].body_limit + 4096


@TAKING
def test_a_body_that_says_that_it_is_too_large_is_not_read_at_all(call: Call, route: tuple[str, str]) -> None:
    length = str(WAYS[route].body_limit + 1).encode()
    client = call(route, Client(endless(), headers=[(b"content-length", length)]))
    assert (client.problem, client.read) == ((413, "E-ENDLESS"), 0)


@TAKING
def test_a_body_that_does_not_come_is_not_waited_for(
    call: Call, route: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_api, "BODY_SECONDS", 0.02)
    assert call(route, Client(iter([b"{"]), stalls=True)).problem == (408, "E-SLOW")


@TAKING
@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"identity, gzip"])
def test_a_compressed_body_is_not_unpacked(call: Call, route: tuple[str, str], encoding: bytes) -> None:
    client = call(route, Client(endless(), headers=[(b"content-encoding", encoding)]))
    assert (client.problem, client.read) == ((415, "E-HTTP"), 0)


@TAKING
def test_a_client_that_leaves_in_the_middle_of_its_body_is_answered_with_nothing(
    call: Call, route: tuple[str, str]
) -> None:
    assert call(route, Client(iter([b"{"]), leaves=True)).sent == []


@TAKING
@pytest.mark.parametrize("length", [b"-1", b"1e9", b"0x10", b"9" * 30, "１".encode()])
def test_a_length_that_is_no_number_is_refused(call: Call, route: tuple[str, str], length: bytes) -> None:
    assert call(route, Client(endless(), headers=[(b"content-length", length)])).problem == (400, "E-HTTP")


def contact(servers: RunningServers, vehicle: str, token: str) -> tuple[int, str]:
    """A first contact: the status, and the code of a refusal."""
    csr = VehicleCredentials(servers.folder / "csr" / vehicle, VehicleIdentifier(vehicle)).request().decode()
    body = json.dumps({"deviceId": vehicle, "token": token, "csr": csr}).encode()
    answer = servers.ask(servers.house.stranger(), "POST", "/devices", body)
    assert token == "" or token not in answer.body.decode()
    return answer.status, "" if answer.status == 201 else answer.code


def new_token(servers: RunningServers, token: str, lifetime: timedelta = DAY) -> None:
    async def add() -> None:
        async with open_systems(servers.settings) as systems:
            await SqlEnrolment(systems.engine).add_token(MINE, token, utc_now() + lifetime)

    asyncio.run(add())


@pytest.mark.parametrize(
    ("which", "vehicle", "token"),
    [
        ("used", MINE, "the-token"),
        ("expired", MINE, "the-token"),
        ("of another vehicle", OTHER, "the-token"),
        ("of a vehicle that nobody knows", "VIN-NOBODY", "the-token"),
        ("unknown", MINE, "guessed"),
        ("empty", MINE, ""),
    ],
)
def test_a_token_that_is_no_good_brings_no_certificate(
    servers: RunningServers, which: str, vehicle: str, token: str
) -> None:
    new_token(servers, "the-token", -DAY if which == "expired" else DAY)
    if which == "used":
        assert contact(servers, MINE, "the-token") == (201, "")
    before = servers.records(MINE)
    assert contact(servers, vehicle, token) == (403, "E-SPOOF")
    assert servers.records(MINE) == before


def test_of_two_who_use_a_token_at_once_one_gets_a_certificate(servers: RunningServers) -> None:
    new_token(servers, "the-token")
    before = len(servers.records(MINE)["certificates"])
    with ThreadPoolExecutor(4) as pool:
        found = sorted(pool.map(lambda _: contact(servers, MINE, "the-token"), range(4)))
    assert found == [(201, ""), *[(403, "E-SPOOF")] * 3]
    assert len(servers.records(MINE)["certificates"]) == before + 1
