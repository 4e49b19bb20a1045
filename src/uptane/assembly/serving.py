"""The application of production servers: the device API over the systems that run in this process."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from starlette.routing import BaseRoute

from uptane.assembly.production import Systems, open_systems, utc_now
from uptane.assembly.settings import Settings
from uptane.assembly.tls_server import TlsServer, listening, server_tls
from uptane.metadata.errors import SpoofingError, UptaneError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.vehicle_certificate import read_vehicle_certificate
from uptane.services.asgi import Application
from uptane.services.device_api import (
    AtOnce,
    Common,
    DeviceApi,
    director_routes,
    first_contact_routes,
    repository_routes,
    timeserver_routes,
)
from uptane.services.health import health_routes
from uptane.services.identity import Identification, Identified, Identity
from uptane.services.object_files import ObjectFiles
from uptane.services.static_files import Place, StaticFiles
from uptane.storage.atomic_files import Folder
from uptane.storage.certificate_authority import CertificateAuthority
from uptane.storage.object_images import ImageObjects
from uptane.storage.sql.changes import keep_telling
from uptane.storage.sql.enrolment import SqlEnrolment

REVOCATION_SECONDS = 10.0
"""How often the list of revoked certificates is read again: so long may a stolen one still be used."""

SERVER_CERTIFICATE_LIFETIME = timedelta(days=90)
"""Made anew at every start."""

Ready = Callable[[], Awaitable[bool]]

_log = logging.getLogger(__name__)


class System(StrEnum):
    """The systems, each of which can run in a process of its own."""

    DIRECTOR = "director"
    IMAGE_REPOSITORY = "image-repository"
    TIMESERVER = "timeserver"


class RevokedCertificates:
    """The revoked certificates, in memory, and read again in the background.

    Args:
        enrolment: where they are on record.
    """

    def __init__(self, enrolment: SqlEnrolment) -> None:
        self._enrolment = enrolment
        self._revoked: frozenset[str] = frozenset()

    async def is_revoked(self, identity: Identity) -> bool:
        """Whether the certificate is revoked, as of the last reading."""
        return identity.fingerprint in self._revoked

    async def read(self) -> None:
        """Reads them again."""
        self._revoked = await self._enrolment.revoked()

    async def keep_reading(self, seconds: float = REVOCATION_SECONDS) -> None:
        """Reads them again and again; a database that is away leaves the last list."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.read()
            except UptaneError:
                _log.exception("the list of revoked certificates could not be read; the last one stays in force")


class FirstContacts:
    """Answers first contacts: a certificate for a one-time token.

    Args:
        authority: issues it.
        enrolment: knows the tokens.
        lifetime: of a certificate.
    """

    def __init__(self, authority: CertificateAuthority, enrolment: SqlEnrolment, lifetime: timedelta) -> None:
        self._authority = authority
        self._enrolment = enrolment
        self._lifetime = lifetime

    async def answer(self, vehicle: str, token: str, csr: str) -> str:
        """The certificate, PEM.

        Raises:
            SpoofingError: no such token for this vehicle, used up or expired; or the request is not signed by its key.
            FormatError: no certificate request.
        """
        whose, now = VehicleIdentifier(vehicle), utc_now()
        certificate = self._authority.certify_vehicle(csr.encode(), whose, now=now, lifetime=self._lifetime)
        said = read_vehicle_certificate(ssl.PEM_cert_to_DER_cert(certificate.decode()))
        if not await self._enrolment.redeem(whose, token, now, said.fingerprint, said.not_after):
            raise SpoofingError(
                f"this token does not let vehicle {whose} in: it is unknown, was used, or has expired",
                next_step="Make a new one with: uptane vehicle token VIN.",
                vehicle=whose,
            )
        return certificate.decode()


def application(systems: Systems, which: frozenset[System], contacts: FirstContacts, ready: Ready) -> DeviceApi:
    """The device API of some of the systems, with `/healthz` and `/readyz`; `Identified` goes before it.

    Args:
        systems: over their stores.
        which: those that run here.
        contacts: issues certificates.
        ready: whether requests can be answered.
    """
    common = Common(profile=systems.settings.profile, clock=utc_now)
    routes: list[BaseRoute] = list[BaseRoute](health_routes(ready))
    at_once: AtOnce | None = None
    if System.DIRECTOR in which:
        at_once = AtOnce(common, systems.director)
        routes += director_routes(common, systems.director)
        routes += first_contact_routes(contacts.answer)
    if System.IMAGE_REPOSITORY in which:
        routes += repository_routes(common, systems.image_metadata, _images(systems))
    if System.TIMESERVER in which:
        routes += timeserver_routes(common, systems.timeserver)
    return DeviceApi(routes, at_once, lambda vehicle: systems.contacts.saw(vehicle, utc_now()))


def _images(systems: Systems) -> Application:
    prefix, images = "repo/targets/", systems.images
    if isinstance(images, ImageObjects):
        return ObjectFiles(prefix, images.open)

    def place(path: str) -> Place | None:
        return (images, path.removeprefix(prefix)) if path.startswith(prefix) else None

    return StaticFiles(place, allowed_hosts=systems.settings.listen.names)


@asynccontextmanager
async def serving(settings: Settings, which: frozenset[System], listener: socket.socket) -> AsyncIterator[TlsServer]:
    """A server that is ready to start, over stores that are open while the context is.

    Args:
        settings: what it is made from.
        which: the systems that run in this process.
        listener: where vehicles connect.
    """
    async with open_systems(settings) as systems:
        enrolment = SqlEnrolment(systems.engine)
        revoked = RevokedCertificates(enrolment)
        await revoked.read()
        authority = CertificateAuthority.in_folder(certificates_of(settings), now=utc_now())
        files = authority.server_files(
            certificates_of(settings), settings.listen.names, now=utc_now(), lifetime=SERVER_CERTIFICATE_LIFETIME
        )
        contacts = FirstContacts(authority, enrolment, timedelta(days=settings.certificates.vehicle_days))

        async def ready() -> bool:
            try:
                await systems.director.vehicles_exist()
            except UptaneError:
                return False
            return True

        identification = Identification(revocations=revoked, now=utc_now, fronts=settings.listen.trusted_fronts)
        app = Identified(application(systems, which, contacts, ready), identification)
        tls = server_tls(certificate=files.certificate, key=files.key, client_authorities=authority.certificate)
        reading = asyncio.create_task(revoked.keep_reading())
        told = asyncio.create_task(keep_telling(systems.engine, systems.cache))
        flushing = asyncio.create_task(systems.contacts.keep_flushing())
        try:
            yield TlsServer(app, listener, tls=tls)
        finally:
            reading.cancel()
            told.cancel()
            flushing.cancel()
            try:
                await systems.contacts.flush()
            except UptaneError:
                _log.exception("the last contacts of vehicles could not be written")


def certificates_of(settings: Settings) -> Path:
    """The folder of the certificate authority."""
    return settings.place(settings.certificates.folder)


async def serve(settings: Settings, which: frozenset[System], say: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        UptaneError: the port is in use, another process serves this folder, or a store cannot be opened.
    """
    with alone(settings), listening(settings.listen.host, settings.listen.port) as listener:
        async with serving(settings, which, listener) as server:
            say(f"{', '.join(sorted(which))}: https://{settings.listen.host}:{server.port}")
            await server.run()


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Holds the folder of an SQLite inventory for this process; with another database, any number may serve.

    Raises:
        StorageError: another process serves it.
    """
    if "://" in settings.database_url:
        yield
        return
    with Folder.made(settings.folder / "data" / "serving", 0o700) as folder:
        folder.lock_at_once()
        yield
