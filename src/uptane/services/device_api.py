"""The HTTP API for vehicles: paths that existing Uptane clients use. `Identified` stands before it."""

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router

from uptane.director.director import Director
from uptane.director.vehicle_cache import AtHand
from uptane.formats.canonical_json import Json, decode_strict
from uptane.formats.json_fields import Fields
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import FormatError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.services.asgi import FIXED_HEADERS, Application, Receive, Scope, Send
from uptane.services.identity import IDENTITY, Identity, identity_of
from uptane.services.problems import problem, refusal
from uptane.services.request_body import CLOSE, BodyRefused, read_body
from uptane.timeserver.timeserver import Timeserver
from uptane.vehicle.polling import DEFAULT_POLL_SECONDS, POLL_HEADER

MAX_MANIFEST_BYTES = 2_000_000
"""Bytes of a vehicle version manifest: one of 1,000 ECUs."""

MAX_SMALL_BODY = 64_000
"""Bytes of any other request: 1,024 nonces, or the keys of 100 ECUs."""

BODY_SECONDS = 30.0
"""Seconds in which a body must be here."""

BODIES_OF_A_VEHICLE = 4
"""Requests with a body that one vehicle may have open at once. It has no use for more, and they lie in memory."""

METADATA = "/director/"
"""Where a vehicle's own metadata is."""

MANIFEST = "/director/manifest"

NO_SUCH_METADATA = "There is no such metadata."

METADATA_TYPE = {"der": "application/octet-stream", "json": "application/json"}


class Reader(Protocol):
    """Published files."""

    async def read(self, name: str) -> bytes | None:
        """A file, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every route needs.

    Args:
        profile: the format of everything.
        clock: the server's time, UTC.
        poll_seconds: how long a vehicle shall wait before its next cycle, on average.
        open_bodies: how many requests with a body each vehicle has open.
    """

    profile: Profile
    clock: Callable[[], datetime]
    poll_seconds: int = DEFAULT_POLL_SECONDS
    open_bodies: Counter[VehicleIdentifier] = field(default_factory=Counter)

    @property
    def media_type(self) -> str:
        """Of metadata and attestations."""
        return METADATA_TYPE[self.profile.format.extension]

    @contextmanager
    def sender(self, scope: Scope) -> Iterator[VehicleIdentifier]:
        """Which vehicle sends a request with a body, until that is answered.

        Raises:
            NoIdentityError: no vehicle does.
            BodyRefused: it has BODIES_OF_A_VEHICLE open already; nothing of this one was read.
        """
        vehicle, bodies = identity_of(scope).vehicle, self.open_bodies
        if bodies[vehicle] >= BODIES_OF_A_VEHICLE:
            why = "This vehicle has several requests open already: try again when they have ended."
            raise BodyRefused(refusal(HTTPStatus.SERVICE_UNAVAILABLE, why, headers=CLOSE))
        bodies[vehicle] += 1
        try:
            yield vehicle
        finally:
            bodies[vehicle] -= 1
            if not bodies[vehicle]:
                del bodies[vehicle]


def director_routes(common: Common, director: Director) -> list[Route]:
    """Registration, manifests, and each vehicle's own metadata."""

    async def file(request: Request) -> Response:
        vehicle, name, now = identity_of(request.scope).vehicle, request.path_params["name"], common.clock()
        raw = director.metadata_at_hand(vehicle, name, now)
        if raw is AtHand.UNKNOWN:
            raw = await director.metadata_file(vehicle, name, now)
        return _answer_of(common, request, raw)

    async def manifest(request: Request) -> Response:
        await _take_in(common, director, request.scope, request.receive)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=_fixed() | {POLL_HEADER: str(common.poll_seconds)})

    async def register(request: Request) -> Response:
        with common.sender(request.scope) as vehicle:
            for ecu in _registrations(decode_strict(await _body(request, MAX_SMALL_BODY))):
                await director.register_ecu(
                    vehicle=vehicle, ecu=ecu.ecu, key=ecu.key, is_primary=ecu.is_primary, hardware_id=ecu.hardware_id
                )
        return Response(status_code=HTTPStatus.CREATED, headers=_fixed())

    return [
        Route("/director/ecus", register, methods=["POST"]),
        Route(MANIFEST, manifest, methods=["PUT"]),
        Route("/director/{name}", file, methods=["GET"]),
    ]


def repository_routes(common: Common, metadata: Reader, images: Application) -> list[Route | Mount]:
    """The Image repository's metadata and images, to every vehicle.

    Args:
        common: see there.
        metadata: of the repository.
        images: an application that serves images under their names as paths.
    """

    async def file(request: Request) -> Response:
        identity_of(request.scope)
        return await _file(common, request, metadata)

    async def image(scope: Scope, receive: Receive, send: Send) -> None:
        identity_of(scope)
        await images(scope, receive, send)

    return [
        Mount("/repo/targets", image),
        Route("/repo/delegations/{name}", file, methods=["GET"]),
        Route("/repo/{name}", file, methods=["GET"]),
    ]


def timeserver_routes(common: Common, timeserver: Timeserver) -> list[Route]:
    """Signed times."""

    async def attest(request: Request) -> Response:
        with common.sender(request.scope):
            body = await _body(request, MAX_SMALL_BODY)
        fields = Fields(decode_strict(body), "request for a time")
        nonces = [_integer(value) for value in fields.take("nonces", list)]
        fields.nothing_else()
        return Response(timeserver.attest(nonces, common.clock()), headers=_fixed(), media_type=common.media_type)

    return [Route("/timeserver/attestation", attest, methods=["POST"])]


def first_contact_routes(answer: Callable[[str, str, str], Awaitable[str]]) -> list[Route]:
    """First contact, for vehicles without a certificate.

    Args:
        answer: gives a certificate chain, PEM, for a vehicle's identifier, its token and a request to sign, PEM.
    """

    async def devices(request: Request) -> Response:
        fields = Fields(decode_strict(await _body(request, MAX_SMALL_BODY)), "first contact")
        vehicle, token, csr = (fields.take(name, str) for name in ("deviceId", "token", "csr"))
        fields.nothing_else()
        body = json.dumps({"certificate": await answer(vehicle, token, csr)}).encode()
        return Response(body, HTTPStatus.CREATED, headers=_fixed(), media_type="application/json")

    return [Route("/devices", devices, methods=["POST"])]


class AtOnce:
    """Answers what vehicles ask most, before anything is routed: manifests, and metadata that is in memory.

    Args:
        common: see there.
        director: what remembers vehicles.
    """

    def __init__(self, common: Common, director: Director) -> None:
        self._common = common
        self._director = director
        self._type = (b"content-type", common.media_type.encode())

    async def answers(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether it has answered; the identity is asked for as everywhere."""
        path: str = scope["path"]
        if path == MANIFEST and scope["method"] == "PUT":
            await _take_in(self._common, self._director, scope, receive)
            poll = (POLL_HEADER.lower().encode(), str(self._common.poll_seconds).encode())
            status = HTTPStatus.NO_CONTENT
            await send({"type": "http.response.start", "status": status.value, "headers": [*FIXED_HEADERS, poll]})
            await send({"type": "http.response.body", "body": b""})
            return True
        if scope["method"] != "GET" or not path.startswith(METADATA):
            return False
        vehicle = identity_of(scope).vehicle
        raw = self._director.metadata_at_hand(vehicle, path[len(METADATA) :], self._common.clock())
        if raw is AtHand.UNKNOWN:
            return False
        if raw is None:
            await refusal(HTTPStatus.NOT_FOUND, NO_SUCH_METADATA).send(send)
            return True
        tag = _tag(raw).encode()
        headers: list[tuple[bytes, bytes]] = [*FIXED_HEADERS, (b"etag", tag)]
        status = HTTPStatus.NOT_MODIFIED if (b"if-none-match", tag) in scope["headers"] else HTTPStatus.OK
        if status is HTTPStatus.OK:
            headers += [self._type, (b"content-length", str(len(raw)).encode())]
        await send({"type": "http.response.start", "status": status.value, "headers": headers})
        await send({"type": "http.response.body", "body": raw if status is HTTPStatus.OK else b""})
        return True


class DeviceApi:
    """The API as an ASGI application.

    Args:
        routes: of the systems that run here; the paths of others do not exist.
        at_once: what answers before anything is routed, where it can.
        saw: is told of each request of a vehicle.
    """

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        at_once: AtOnce | None = None,
        saw: Callable[[VehicleIdentifier], None] = lambda vehicle: None,
    ) -> None:
        self.routes = tuple(routes)
        self._router = Router(list(routes), redirect_slashes=False)
        self._at_once = at_once
        self._saw = saw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        if scope["type"] != "http":
            return
        scope["app"] = self  # so that the router raises what is not there, and does not answer it by itself
        identity = scope.get(IDENTITY)
        if isinstance(identity, Identity):
            self._saw(identity.vehicle)
        try:
            if self._at_once is None or not await self._at_once.answers(scope, receive, send):
                await self._router(scope, receive, send)
        except BodyRefused as error:
            if error.answer is not None:
                await error.answer.send(send)
        except HTTPException as error:
            status = HTTPStatus(error.status_code)
            headers = tuple((name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items())
            detail = f"{scope['method']} {scope['path'][:200]!r}: {status.phrase}."
            await refusal(status, detail, headers=headers).send(send)
        except UptaneError as error:
            await problem(error).send(send)


@dataclass(frozen=True, slots=True)
class _Registration:
    ecu: EcuIdentifier
    key: PublicKey
    is_primary: bool
    hardware_id: HardwareIdentifier | None


def _registrations(value: Json) -> list[_Registration]:
    fields = Fields(value, "registration")
    primary = EcuIdentifier(fields.take("primary_ecu_serial", str))
    entries = [Fields(each, "ECU") for each in fields.take("ecus", list)]
    fields.nothing_else()
    found = []
    for entry in entries:
        ecu, hardware = EcuIdentifier(entry.take("ecu_serial", str)), entry.optional("hardware_identifier", str)
        key = PROFILES["json"].format.decode_key(json.dumps(entry.take("clientKey", dict)).encode())
        entry.nothing_else()
        found.append(
            _Registration(ecu, key, ecu == primary, None if hardware is None else HardwareIdentifier(hardware))
        )
    return found


def _integer(value: Json) -> int:
    if type(value) is not int:
        raise FormatError("a nonce must be an integer", field="nonces")
    return value


async def _file(common: Common, request: Request, reader: Reader) -> Response:
    try:
        raw = await reader.read(request.path_params["name"])
    except FormatError:
        raw = None
    return _answer_of(common, request, raw)


def _answer_of(common: Common, request: Request, raw: bytes | None) -> Response:
    if raw is None:
        return _refused(HTTPStatus.NOT_FOUND, NO_SUCH_METADATA)
    tag = _tag(raw)
    headers = _fixed() | {"etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(raw, headers=headers, media_type=common.media_type)


async def _take_in(common: Common, director: Director, scope: Scope, receive: Receive) -> None:
    with common.sender(scope) as vehicle:
        raw = await read_body(scope, receive, max_bytes=MAX_MANIFEST_BYTES, max_seconds=BODY_SECONDS)
        await director.answer_manifest(vehicle, None, raw, common.clock())


def _tag(raw: bytes) -> str:
    return f'"{hashlib.sha256(raw).hexdigest()}"'


async def _body(request: Request, limit: int) -> bytes:
    return await read_body(request.scope, request.receive, max_bytes=limit, max_seconds=BODY_SECONDS)


def _fixed() -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in FIXED_HEADERS}


def _refused(status: HTTPStatus, detail: str) -> Response:
    answer = refusal(status, detail)
    return Response(answer.body, answer.status, headers=_fixed(), media_type=answer.content_type)
