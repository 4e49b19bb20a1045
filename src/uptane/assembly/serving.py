"""The application of production servers: the device API over the systems that run in this process."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from starlette.routing import BaseRoute

from uptane.assembly.admin import figures, loopback_listening, shared_figures
from uptane.assembly.first_root import pin_of
from uptane.assembly.logs import server_log, start_logging
from uptane.assembly.online_roles import OnlineRoles
from uptane.assembly.production import System, Systems, is_elsewhere, open_systems, utc_now
from uptane.assembly.server_certificates import keep_loading, keep_making, server_certificate
from uptane.assembly.settings import Settings
from uptane.assembly.tls_context import server_tls
from uptane.assembly.tls_server import TlsServer, listening
from uptane.assembly.unsafe_door import door_address, open_door, warn_of_door
from uptane.assembly.workers import Workers, WorkerTask
from uptane.metadata.errors import SettingsError, SpoofingError, UptaneError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.vehicle_certificate import read_vehicle_certificate
from uptane.services.device_api import (
    AtOnce,
    Common,
    DeviceApi,
    director_routes,
    first_contact_routes,
    repository_routes,
    timeserver_routes,
)
from uptane.services.health import Remembered, health_routes
from uptane.services.hosted_images import HOSTED, hosted_image_routes
from uptane.services.identity import Identification, Identified, Identity
from uptane.services.metrics_page import RouteNames
from uptane.services.object_files import ObjectFiles
from uptane.services.observed import Observed
from uptane.storage.atomic_files import Folder
from uptane.storage.certificate_authority import CertificateAuthority, ServerFiles, authority_certificate
from uptane.storage.sql.changes import keep_telling
from uptane.storage.sql.enrolment import SqlEnrolment, retired_vehicle

REVOCATION_SECONDS = 10.0
"""How often the list of revoked certificates is read again: so long may a stolen one still be used."""

BEGUN_AGAIN_SECONDS = 5.0
"""After which a task of a server that ended begins again."""

Ready = Callable[[], Awaitable[bool]]

_log = logging.getLogger(__name__)


class RevokedCertificates:
    """The revoked certificates, in memory, and read again in the background.

    Args:
        enrolment: where they are on record.
    """

    def __init__(self, enrolment: SqlEnrolment) -> None:
        self._enrolment = enrolment
        self._revoked: frozenset[str] = frozenset()
        self._retired: Mapping[str, datetime] = {}

    async def is_revoked(self, identity: Identity) -> bool:
        """Whether the certificate is revoked, as of the last reading; RetiredVehicleError for a retired vehicle's."""
        since = self._retired.get(identity.vehicle)
        if since is not None:
            raise retired_vehicle(identity.vehicle, since)
        return identity.fingerprint in self._revoked

    async def read(self) -> None:
        """Reads them again."""
        self._revoked = await self._enrolment.revoked()
        self._retired = await self._enrolment.retired()

    async def keep_reading(self, seconds: float = REVOCATION_SECONDS) -> None:
        """Reads them again and again; whatever goes wrong leaves the last list until the next time."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.read()
            except Exception:  # noqa: BLE001 - logged, and tried again
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


def application(systems: Systems, which: frozenset[System], contacts: FirstContacts | None, ready: Ready) -> DeviceApi:
    """The device API of some of the systems, with `/healthz` and `/readyz`; `Identified` goes before it.

    Args:
        systems: over their stores.
        which: those that run here.
        contacts: issues certificates; None where the Director does not run.
        ready: whether requests can be answered.
    """
    settings = systems.settings
    common = Common(profile=settings.profile, clock=utc_now, poll_seconds=settings.listen.poll_seconds)
    routes: list[BaseRoute] = list[BaseRoute](health_routes(ready))
    at_once: AtOnce | None = None
    if System.DIRECTOR in which:
        at_once = AtOnce(common, systems.director)
        routes += hosted_image_routes(lambda vehicle: ObjectFiles(HOSTED, systems.hosted_images(vehicle).open))
        routes += director_routes(common, systems.director)
        if contacts is not None:
            routes += first_contact_routes(contacts.answer)
    if System.IMAGE_REPOSITORY in which:
        routes += repository_routes(common, systems.image_metadata, ObjectFiles("repo/targets/", systems.images.open))
    if System.TIMESERVER in which:
        routes += timeserver_routes(common, systems.timeserver)
    return DeviceApi(routes, at_once, lambda vehicle: systems.contacts.saw(vehicle, utc_now()))


@asynccontextmanager
async def serving(
    settings: Settings,
    which: frozenset[System],
    listener: socket.socket,
    files: ServerFiles | None = None,
    admin: socket.socket | None = None,
    door: socket.socket | None = None,
) -> AsyncIterator[TlsServer]:
    """A server that is ready to start, over stores that are open while the context is.

    What the Image repository has let expire is signed again before.

    Args:
        settings: what it is made from.
        which: the systems that run in this process.
        listener: where vehicles connect.
        files: the server's certificate and key; made where none are given.
        admin: where operators ask for figures, if anywhere.
        door: where ECUs of the walkthrough call the Director, if anywhere.
    """
    async with open_systems(settings, which) as systems:
        enrolment = SqlEnrolment(systems.engine)
        revoked = RevokedCertificates(enrolment)
        await revoked.read()
        folder, contacts = certificates_of(settings), None
        if System.DIRECTOR in which:
            authority = CertificateAuthority.in_folder(folder, now=utc_now())
            contacts = FirstContacts(authority, enrolment, timedelta(days=settings.certificates.vehicle_days))
        signs = System.IMAGE_REPOSITORY in which
        if System.DIRECTOR in which and is_elsewhere(settings, System.DIRECTOR, Role.ROOT):
            _log.warning(
                "the Director's Root key is not here: sign Roots again in time with: uptane root renew director"
            )
        if which != frozenset({System.TIMESERVER}) and not pin_of(settings).exists():
            _log.warning(
                "the Image repository's first Root is not in %s, so that whoever can write to its store can put "
                "another one in its place: bring it, as uptane doctor says",
                pin_of(settings),
            )
        online = OnlineRoles(systems.image_repository, utc_now) if signs else None
        if online is not None:
            await online.renew()

        database_answers = Remembered(systems.inventory.answers)

        async def ready() -> bool:
            return (online is None or online.are_fresh()) and await database_answers()

        identification = Identification(revocations=revoked, now=utc_now, fronts=settings.listen.trusted_fronts)
        api = application(systems, which, contacts, ready)
        names = RouteNames(api.routes)
        app = Observed(Identified(api, identification), names, server_log(), identification.is_front)
        tasks = [
            asyncio.create_task(unending(revoked.keep_reading)),
            asyncio.create_task(unending(partial(keep_telling, systems.engine, systems.cache))),
            asyncio.create_task(unending(systems.contacts.keep_flushing)),
        ]
        tls: ssl.SSLContext | None = None
        if not settings.listen.behind_front:
            files = files or server_certificate(folder, settings.listen.names)
            authorities = authority_certificate(folder)
            tls = server_tls(certificate=files.certificate, key=files.key, client_authorities=authorities)
            tasks.append(asyncio.create_task(unending(partial(keep_loading, tls, files))))
        if online is not None:
            tasks.append(asyncio.create_task(unending(online.keep)))
        try:
            async with figures(systems, signs, ready, admin), open_door(systems, door):
                yield TlsServer(app, listener, tls=tls)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await systems.contacts.flush()
            except UptaneError:
                _log.exception("the last contacts of vehicles could not be written")


async def unending(task: Callable[[], Awaitable[None]]) -> None:
    """Runs a task of a server until it is cancelled, and again where what nobody foresaw has ended it.

    Who is revoked, what has changed and what has to be signed again would else be heard of no more, without a word.
    """
    while True:
        try:
            await task()
        except Exception:  # noqa: BLE001 - logged, and begun again
            _log.exception("a task of this server has ended, and begins again")
        await asyncio.sleep(BEGUN_AGAIN_SECONDS)


def certificates_of(settings: Settings) -> Path:
    """The folder of the certificate authority."""
    return settings.place(settings.certificates.folder)


async def serve(settings: Settings, which: frozenset[System], say: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT, in this process or in several that it starts.

    Raises:
        SettingsError: several workers of the Director over SQLite, or with an XML-RPC door.
        WorkersError: workers end before they answer.
        UptaneError: the port is in use, another process serves this folder, or a store cannot be opened.
    """
    check_workers(settings, which)
    start_logging(settings.log.format, settings.log.level)
    with (
        alone(settings),
        listening(settings.listen.host, settings.listen.port) as listener,
        loopback_listening(settings.listen.admin) as admin,
        loopback_listening(door_address(settings, which)) as door,
    ):
        alone_here = settings.listen.workers == 1
        files = server_certificate(certificates_of(settings), settings.listen.names)
        scheme = "http" if settings.listen.behind_front else "https"
        where = f"{', '.join(sorted(which))}: {scheme}://{settings.listen.host}:{listener.getsockname()[1]}"
        made = partial(keep_making, certificates_of(settings), settings.listen.names)
        making = asyncio.create_task(unending(made))
        try:
            async with serving(settings, which, listener, files, admin if alone_here else None, door) as server:
                if alone_here:
                    say(where)
                    warn_of_door(door, say)
                    await server.run()
                    return
            # What is wrong with stores and keys was told by this process, once.
            task = WorkerTask(
                settings=settings.to_json(),
                systems=tuple(sorted(which)),
                certificate=str(files.certificate),
                key=str(files.key),
                listener=listener.fileno(),
                admin=None if admin is None else admin.fileno(),
            )
            with shared_figures():
                await Workers(settings.listen.workers, listener, task, say, where).run()
        finally:
            making.cancel()


def check_workers(settings: Settings, which: frozenset[System]) -> None:
    """Raises SettingsError where several processes cannot share what the settings ask for.

    The Director writes to its inventory, which cannot be one SQLite file then; the other systems only read it. An
    XML-RPC door belongs to one process.
    """
    workers, database = settings.listen.workers, settings.database_url
    if workers > 1 and System.DIRECTOR in which and "://" not in database:
        raise SettingsError(
            f"{workers} workers of the Director cannot share the SQLite file {database}",
            next_step="Keep the inventory in PostgreSQL (url of [database]), or let one worker serve.",
            field="listen.workers",
        )
    if workers > 1 and door_address(settings, which):
        raise SettingsError(
            f"{workers} workers of the Director cannot share the XML-RPC door of listen.unsafe_xmlrpc",
            next_step="Take unsafe_xmlrpc out of [listen], or let one worker serve.",
            field="listen.unsafe_xmlrpc",
        )


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
