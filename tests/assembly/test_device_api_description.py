"""The device API is what docs/device-api.yaml says, and answers nothing that schemathesis makes of it with a 500."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from certificates import House, der_of
from hypothesis import HealthCheck, settings
from production import MINE, made, routes_of, whole_api
from schemathesis.core.failures import FailureGroup
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import positive_data_acceptance

from uptane.assembly.production import open_systems, utc_now
from uptane.assembly.serving import certificates_of
from uptane.assembly.settings import Settings
from uptane.services.asgi import Application, Receive, Scope, Send
from uptane.services.identity import PEER_CERTIFICATE, Identification, Identified, RevokedSerials

DESCRIPTION = Path(__file__).resolve().parents[2] / "docs" / "device-api.yaml"
EXAMPLES = 15


class InProcess:
    """The application as a vehicle with a certificate meets it; the stores are open from startup to shutdown."""

    settings: Settings
    certificate: bytes
    _app: Application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with open_systems(self.settings) as systems:
                identification = Identification(revocations=RevokedSerials(), now=utc_now)
                self._app = Identified(whole_api(systems), identification)
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        scope["extensions"] = {"tls": {PEER_CERTIFICATE: self.certificate}}
        await self._app(scope, receive, send)


described = schemathesis.openapi.from_path(DESCRIPTION)
described.app = in_process = InProcess()


@pytest.fixture(scope="module", autouse=True)
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("described")
    in_process.settings = asyncio.run(made(folder))
    house = House(folder, authority=certificates_of(in_process.settings))
    in_process.certificate = der_of(house.forged([f"urn:uptane:vehicle:{MINE}"]))
    yield
    shutdown_lifespans()


@described.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_comes_the_answer_is_the_described_one_and_no_500(case: Any) -> None:
    case.call_and_validate(base_url="http://localhost", excluded_checks=[positive_data_acceptance])


def answering(status: int, kind: str, body: bytes) -> Application:
    """An application that answers everything alike."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


PROBLEM = "application/problem+json"
REFUSED = b'{"type": "about:blank", "title": "T", "status": 403, "detail": "D.", "code": "E-SPOOF"}'


@pytest.mark.parametrize(
    ("status", "kind", "body", "fault"),
    [
        (201, "application/json", b'{"certificate": "PEM"}', None),
        (201, "application/json", b'{"certificate": 7}', "7 is not of type"),
        (201, "application/json", b"{}", "is a required property"),
        (201, "application/json", b'{"certificate"', "JSON"),
        (201, "text/html", b"<p>", "Undocumented Content-Type"),
        (403, PROBLEM, REFUSED, None),
        (403, PROBLEM, REFUSED.replace(b"403", b'"403"'), "is not of type"),
        (403, PROBLEM, REFUSED.replace(b'"code"', b'"kode"'), "is a required property"),
        (500, PROBLEM, REFUSED, "Server error"),
    ],
)
def test_an_answer_that_is_not_the_described_one_is_found(
    status: int, kind: str, body: bytes, fault: str | None
) -> None:
    """What finds it belongs to others, and may change."""
    first_contact = schemathesis.openapi.from_path(DESCRIPTION)
    first_contact.app = answering(status, kind, body)
    case = first_contact["/devices"]["POST"].Case(
        body={"deviceId": MINE, "token": "t", "csr": "c"}, media_type="application/json"
    )
    with nullcontext() if fault is None else pytest.raises(FailureGroup) as found:
        case.call_and_validate(base_url="http://localhost", excluded_checks=[positive_data_acceptance])
    if fault is not None:
        assert fault in str(found.value.exceptions)


def test_the_description_has_every_route_and_no_other(tmp_path: Path) -> None:
    paths = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))["paths"]

    async def routes() -> set[tuple[str, str]]:
        async with open_systems(await made(tmp_path)) as systems:
            return routes_of(whole_api(systems).routes)

    assert {(method.upper(), path) for path, ways in paths.items() for method in ways} == asyncio.run(routes())
