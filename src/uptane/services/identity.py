"""Which vehicle sends a request: from the certificate of its connection, or from the word of a trusted front.

A front, such as Caddy or nginx, ends TLS before this server and passes the client's certificate on in the header
`Client-Cert`: `:BASE64:` of its DER (RFC 9440), or its PEM percent-encoded. That header counts from the addresses of
fronts alone, and there nothing else counts. From anybody else it is an attempt to be another vehicle, and is refused.
"""

import base64
import binascii
import ipaddress
import ssl
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Protocol
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from uptane.metadata.errors import FormatError, IdentityError, NoIdentityError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.vehicle_certificate import read_vehicle_certificate
from uptane.services.asgi import Application, Receive, Scope, Send
from uptane.services.problems import problem

CLIENT_CERT = b"client-cert"
"""The header in which a front passes a client's certificate on (RFC 9440)."""

PEER_CERTIFICATE = "peer_certificate"
"""What `scope["extensions"]["tls"]` calls the DER of the certificate that was verified in the handshake, or None."""

IDENTITY = "uptane.identity"
"""What the ASGI scope calls the `Identity`, or None, once `Identified` has seen the request."""

_CHECK_FRONT = "Check what the front sets in Client-Cert; deploy/ has templates."

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Identity(Struct, frozen=True, kw_only=True, gc=False):
    """Who sends a request.

    Args:
        vehicle: the vehicle that holds the certificate's key.
        fingerprint: of the certificate; see `VehicleCertificate`.
        serial: the serial number of the certificate.
    """

    vehicle: VehicleIdentifier
    fingerprint: str
    serial: int


class Revocations(Protocol):
    """Which certificates were taken out of use before they expired."""

    async def is_revoked(self, identity: Identity) -> bool:
        """Whether this certificate was; asked once for each request that carries one."""
        ...


class RevokedSerials:
    """A fixed list of revoked serial numbers, for one authority.

    Args:
        serials: the numbers; none means that nothing was revoked.
    """

    def __init__(self, serials: Iterable[int] = ()) -> None:
        self._serials = frozenset(serials)

    async def is_revoked(self, identity: Identity) -> bool:
        """Whether the serial number is on the list."""
        return identity.serial in self._serials


class Identification:
    """Finds out who sends a request.

    Args:
        revocations: answers whether a certificate was revoked.
        now: the time, in UTC. Certificates are judged by it at every request, as connections may outlive them.
        fronts: addresses or networks (`10.1.0.0/24`) whose header `Client-Cert` is believed. Whoever can send from
            there can be any vehicle.

    Raises:
        FormatError: one of the fronts is no network.
    """

    def __init__(self, *, revocations: Revocations, now: Callable[[], datetime], fronts: Collection[str] = ()) -> None:
        self._revocations = revocations
        self._now = now
        self._fronts = tuple(map(_network, fronts))

    async def identify(self, scope: Scope) -> Identity | None:
        """Who sends this request; None for a client without a certificate.

        Raises:
            IdentityError: a certificate that names no vehicle, has expired, is not valid yet or was revoked, or a
                header from somebody who is no front.
        """
        der = self._presented(scope)
        if der is None:
            return None
        certificate = read_vehicle_certificate(der)
        certificate.check_valid_at(self._now())
        identity = Identity(vehicle=certificate.vehicle, fingerprint=certificate.fingerprint, serial=certificate.serial)
        if await self._revocations.is_revoked(identity):
            raise IdentityError(
                f"the client certificate of vehicle {identity.vehicle} was revoked",
                next_step="Give the vehicle a new certificate.",
                vehicle=identity.vehicle,
                fingerprint=identity.fingerprint,
            )
        return identity

    def _presented(self, scope: Scope) -> bytes | None:
        headers = [value for name, value in scope["headers"] if name == CLIENT_CERT]
        if self.is_front(scope):
            return _from_header(headers)
        if headers:
            raise IdentityError(
                "the header Client-Cert comes from an address that is no front of this server",
                next_step="Leave it out, or add that address to the fronts in the server's settings.",
            )
        tls = (scope.get("extensions") or {}).get("tls") or {}
        certificate = tls.get(PEER_CERTIFICATE)
        return certificate if isinstance(certificate, bytes) else None

    def is_front(self, scope: Scope) -> bool:
        """Whether a request comes from the address of a front."""
        client = scope.get("client")
        if client is None or not self._fronts:
            return False
        try:
            address = ipaddress.ip_address(client[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._fronts)


class Identified:
    """Identifies the sender of every request before an application sees it; `identity_of` then tells who it is.

    Args:
        app: the application.
        identification: finds out who it is.
    """

    def __init__(self, app: Application, identification: Identification) -> None:
        self._app = app
        self._identification = identification

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; a bad certificate or header is answered with a problem, whatever the path."""
        if scope["type"] == "http":
            try:
                scope[IDENTITY] = await self._identification.identify(scope)
            except IdentityError as error:
                await problem(error).send(send)
                return
        await self._app(scope, receive, send)


def identity_of(scope: Scope) -> Identity:
    """Who sends a request, on a route that is for vehicles only; raises NoIdentityError for a client without one."""
    identity = scope.get(IDENTITY)
    if not isinstance(identity, Identity):
        raise NoIdentityError("this is for vehicles, and the client showed no certificate")
    return identity


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise FormatError(
            f"{text!r} is not an address or a network", next_step="Write it as 10.1.0.0/24.", field="fronts"
        ) from error


def _from_header(headers: list[bytes]) -> bytes | None:
    if len(headers) > 1:
        raise IdentityError("the front sent Client-Cert more than once", next_step=_CHECK_FRONT)
    value = headers[0].strip() if headers else b""
    if value in (b"", b"::"):  # a front's way to say that the client has none
        return None
    try:
        if value.startswith(b":") and value.endswith(b":"):
            return base64.b64decode(value[1:-1], validate=True)
        return ssl.PEM_cert_to_DER_cert(unquote_to_bytes(value).decode("ascii"))
    except (binascii.Error, ValueError) as error:
        raise IdentityError("the header Client-Cert holds no certificate", next_step=_CHECK_FRONT) from error
