"""What servers log and count: one line for each request, its name everywhere, no secret and no line of an intruder."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from certificates import House, der_of
from msgspec import structs
from production import IMAGE, MINE, contacts_of, made, routes_of, whole_api
from prometheus_client import REGISTRY
from world import new_signer

from uptane.assembly.admin import figures, loopback_listening
from uptane.assembly.logs import start_logging
from uptane.assembly.production import open_systems, utc_now
from uptane.assembly.serving import certificates_of
from uptane.assembly.settings import load_settings
from uptane.metadata.errors import SettingsError
from uptane.metadata.root import Role, Root
from uptane.metadata.timestamp import Timestamp
from uptane.services.asgi import Receive, Scope, Send
from uptane.services.device_api import DeviceApi
from uptane.services.identity import PEER_CERTIFICATE, Identification, Identified, RevokedSerials
from uptane.services.metrics import METHODS, OTHER
from uptane.services.metrics_page import RouteNames
from uptane.services.observed import Observed
from uptane.signing.sign import sign

FRONT, ELSEWHERE = "10.1.0.7", "203.0.113.9"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged, as JSON at level debug; the logging of pytest is put back."""
    root = logging.getLogger()
    before, level, ours = root.handlers[:], root.level, logging.getLogger("uptane").level
    stream = io.StringIO()
    start_logging("json", "debug", stream, waiting_seconds=0)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    logging.getLogger("uptane").setLevel(ours)
    structlog.reset_defaults()


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


class Stack:
    """The whole application in this process, with the log and the counts before it."""

    def __init__(self, api: DeviceApi, certificate: bytes | None, client: str = ELSEWHERE) -> None:
        fronts = Identification(revocations=RevokedSerials(), now=utc_now, fronts=[FRONT])
        log = structlog.get_logger()
        self._app = Observed(Identified(api, fronts), RouteNames(api.routes), log, fronts.is_front)
        self._certificate = certificate
        self._client = client

    async def _asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"] = {"tls": {PEER_CERTIFICATE: self._certificate}}
        await self._app(scope, receive, send)

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> httpx2.Response:
        """One request."""
        transport = httpx2.ASGITransport(app=self._asgi, client=(self._client, 4711))
        async with httpx2.AsyncClient(transport=transport, base_url="https://localhost") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, content=body, headers=named)


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("first line\nuptane: a forged line")


def api_that_breaks() -> DeviceApi:
    api = DeviceApi([])
    api._router = broken  # type: ignore[assignment]
    return api


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    asyncio.run(made(folder))
    return folder


def run(home: Path, scenario: Any) -> None:
    """Runs a scenario with a stack as MINE and one without a certificate."""
    settings = load_settings(home / "servers")
    der = der_of(House(home, authority=certificates_of(settings)).forged([f"urn:uptane:vehicle:{MINE}"]))

    async def inside() -> None:
        async with open_systems(settings) as systems:
            api = whole_api(systems)
            await scenario(Stack(api, der), Stack(api, None), systems)

    asyncio.run(inside())


def test_each_request_is_one_line_with_its_name_vehicle_route_and_cost(home: Path, log: io.StringIO) -> None:
    async def scenario(mine: Stack, nobody: Stack, systems: Any) -> None:
        answer = await mine.ask("GET", f"/repo/targets/{IMAGE}?token=in-the-query")
        (line,) = lines(log)
        assert line["event"] == "request" and line["level"] == "info" and line["time"].endswith("Z")
        assert line["request"] == answer.headers["x-request-id"] and len(line["request"]) == 32
        assert (line["vehicle"], line["method"], line["route"]) == (MINE, "GET", "/repo/targets")
        assert (line["path"], line["status"], line["bytes"]) == (f"/repo/targets/{IMAGE}", 200, 10)
        assert line["seconds"] >= 0 and line["pid"]
        refused = await nobody.ask("PUT", "/director/manifest", b"x")
        line = lines(log)[-1]
        assert (line["level"], line["vehicle"], line["code"]) == ("warning", None, "E-NO-IDENTITY")
        assert refused.json()["instance"] == f"urn:uptane:request:{line['request']}"

    run(home, scenario)


def test_what_is_new_to_nobody_is_logged_at_level_debug_only(home: Path, log: io.StringIO) -> None:
    async def scenario(mine: Stack, nobody: Stack, systems: Any) -> None:
        etag = (await mine.ask("GET", "/director/timestamp.der")).headers["etag"]
        await mine.ask("GET", "/director/timestamp.der", if_none_match=etag)
        before = value("uptane_refusals_total", route="/director/{name}", code="E-HTTP")
        await mine.ask("GET", "/director/99.root.der")
        await mine.ask("GET", "/director/99.snapshot.der")
        assert value("uptane_refusals_total", route="/director/{name}", code="E-HTTP") == before + 1
        assert [line["level"] for line in lines(log)] == ["info", "debug", "debug", "warning"]

    run(home, scenario)


def test_the_name_of_a_request_is_taken_from_fronts_only(log: io.StringIO) -> None:
    async def scenario() -> None:
        api = DeviceApi([])
        for client, given, taken in [
            (FRONT, "a-name-of-the-front", True),
            (ELSEWHERE, "a-name-of-the-front", False),
            (FRONT, "short", False),
            (FRONT, "x" * 65, False),
            (FRONT, "with blanks in it", False),
        ]:
            answer = await Stack(api, None, client).ask("GET", "/nowhere", x_request_id=given)
            assert (answer.headers["x-request-id"] == given) is taken
            assert lines(log)[-1]["request"] == answer.headers["x-request-id"]

    asyncio.run(scenario())


def test_what_nobody_foresaw_is_a_problem_with_the_name_that_the_log_has(log: io.StringIO) -> None:
    async def scenario() -> None:
        answer = await Stack(api_that_breaks(), None).ask("GET", "/healthz")
        assert (answer.status_code, answer.json()["code"]) == (500, "E-ERROR")
        assert "RuntimeError" not in answer.text
        failure, request = lines(log)
        assert failure["request"] == request["request"] == answer.headers["x-request-id"]
        assert answer.json()["instance"].endswith(failure["request"])
        assert "RuntimeError" in failure["exception"] and request["level"] == "error"

    asyncio.run(scenario())


HOSTILE = ["/%0auptane:%20forged", "/%1b[2J", "/x%0d%0a{}", "/" + "a" * 5000, "/%e2%80%a8", "/%7f%c2%85"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_path_and_no_error_begins_a_line_of_its_own(form: Any, log: io.StringIO) -> None:
    stream = io.StringIO()
    start_logging(form, "debug", stream, waiting_seconds=0)

    async def scenario() -> None:
        for path in HOSTILE:
            await Stack(DeviceApi([]), None).ask("GET", path)
        await Stack(api_that_breaks(), None).ask("GET", "/x")
        logging.getLogger("uptane.test").warning("text of a library\n\x1b[2J\u2028 forged \ud800")
        structlog.get_logger().info("event\nforged", vehicle="VIN\nforged")

    asyncio.run(scenario())
    text = stream.getvalue()
    assert not [c for c in text if not (c.isprintable() or c == "\n")]
    begun = [line for line in text.split("\n") if line and not line.startswith(" ")]
    if form == "json":
        decoded = [json.loads(line) for line in begun]
        assert len(decoded) == len(HOSTILE) + 4
        shown = "".join(str(value).replace("\n    ", "") for event in decoded for value in event.values())
        assert shown.isprintable(), "nor does it where somebody shows what he has decoded"
    else:
        assert not [line for line in begun if line.startswith(("uptane:", "forged", "{"))]
    assert max(map(len, begun)) < 4000, "lines of several processes are written whole"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_requests_manifests_certificates_images_and_signatures_are_counted(home: Path, log: io.StringIO) -> None:
    async def scenario(mine: Stack, nobody: Stack, systems: Any) -> None:
        names: list[tuple[str, dict[str, str]]] = [
            ("uptane_requests_total", {"method": "GET", "route": "/repo/targets", "status": "206"}),
            ("uptane_image_bytes_total", {}),
            ("uptane_manifests_total", {"outcome": "E-FORMAT"}),
            ("uptane_refusals_total", {"route": "/director/manifest", "code": "E-FORMAT"}),
            ("uptane_refusals_total", {"route": "/devices", "code": "E-SPOOF"}),
            ("uptane_request_seconds_count", {"route": "/director/{name}"}),
            ("uptane_signatures_total", {"key": "timeserver"}),
        ]
        before = [value(name, **labels) for name, labels in names]
        await mine.ask("GET", f"/repo/targets/{IMAGE}", range="bytes=4-5")
        await mine.ask("PUT", "/director/manifest", b"\x30\x00")
        csr = House(home, authority=certificates_of(systems.settings)).credentials(MINE).request().decode()
        body = json.dumps({"deviceId": MINE, "token": "guessed", "csr": csr}).encode()
        assert (await nobody.ask("POST", "/devices", body)).status_code == 403
        await mine.ask("GET", "/director/root.der")
        await mine.ask("POST", "/timeserver/attestation", b'{"nonces": [1]}')
        after = [value(name, **labels) for name, labels in names]
        assert [b - a for a, b in zip(before, after, strict=True)] == [1, 2, 1, 1, 1, 1, 1]

    run(home, scenario)


def test_labels_are_routes_and_never_what_came_in(home: Path) -> None:
    async def scenario(mine: Stack, nobody: Stack, systems: Any) -> None:
        names = RouteNames(whole_api(systems).routes)
        for _, path in routes_of(whole_api(systems).routes):
            shown = path.removesuffix("/{path}")
            assert names.name(path.replace("{name}", "1.root.der").replace("{path}", "a/b")) == shown
        for strange in ("/", "//", "/director", "/elsewhere/x", "/devices/"):
            assert names.name(strange) in (OTHER, "/repo/{name}")
        await mine.ask("BREW", "/director/root.der")
        assert value("uptane_requests_total", method="BREW", route="/director/{name}", status="405") == 0
        assert value("uptane_requests_total", method=OTHER, route="/director/{name}", status="405") >= 1
        assert "BREW" not in METHODS

    run(home, scenario)


@pytest.mark.parametrize("admin", ["9100", "0.0.0.0:9100", "10.0.0.1:9100", "127.0.0.1:70000", "127.0.0.1:x", "host:1"])
def test_figures_are_never_shown_to_other_machines(home: Path, admin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPTANE_LISTEN__ADMIN", admin)
    with pytest.raises(SettingsError, match=r"listen\.admin"):
        load_settings(home / "servers")


def test_figures_are_shown_though_somebody_has_written_over_what_is_published(home: Path) -> None:
    """Just then an operator needs them, and nobody without a key tells him that there is time."""

    async def ready() -> bool:
        return True

    async def scenario(mine: Stack, nobody: Stack, systems: Any) -> None:
        form = systems.settings.profile.format
        metadata = next((home / "servers").rglob("metadata/timestamp.*")).parent
        files = [metadata / f"{role}.{form.extension}" for role in (Role.ROOT, Role.TIMESTAMP)]
        genuine = [file.read_bytes() for file in files]
        payloads = [form.decode(kind, raw).payload for kind, raw in zip((Root, Timestamp), genuine, strict=True)]
        later = [
            structs.replace(each, version=each.version + 1, expires=each.expires + timedelta(days=999))
            for each in payloads
        ]
        forged = [sign(systems.settings.profile, each, [new_signer(id_rule=form.key_id_rule)]) for each in later]

        async def shown() -> list[float]:
            page = await client.get(address)
            assert page.status_code == 200
            found = re.findall(
                r'^uptane_(?:root|timestamp)_expiry\S+{repository="image-.*} (.*)', page.text, re.MULTILINE
            )
            return sorted(map(float, found))

        with loopback_listening("127.0.0.1:0") as listener:
            assert listener is not None
            async with figures(systems, True, ready, listener), httpx2.AsyncClient() as client:
                address = f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
                before = await shown()
                assert before == sorted(each.expires.timestamp() for each in payloads)
                for written in (forged, [b"no metadata"] * 2):
                    for file, raw in zip(files, written, strict=True):
                        file.write_bytes(raw)
                    assert await shown() == before
                for file, raw in zip(files, genuine, strict=True):
                    file.write_bytes(raw)
                published = await systems.image_repository.publish(utc_now() + timedelta(hours=1))
                assert (await shown())[0] == published.expires.timestamp() > before[0]

    run(home, scenario)


def test_a_certificate_that_is_given_is_counted(home: Path, log: io.StringIO) -> None:
    async def scenario(mine: Stack, nobody: Stack, systems: Any) -> None:
        before = value("uptane_certificates_issued_total")
        token = (home / MINE / "factory" / "token").read_text()
        csr = House(home, authority=certificates_of(systems.settings)).credentials(MINE).request().decode()
        body = json.dumps({"deviceId": MINE, "token": token, "csr": csr}).encode()
        assert (await nobody.ask("POST", "/devices", body)).status_code == 201
        assert value("uptane_certificates_issued_total") == before + 1
        assert contacts_of(systems) and token not in log.getvalue() and "BEGIN" not in log.getvalue()

    run(home, scenario)
