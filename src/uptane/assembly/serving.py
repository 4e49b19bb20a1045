"""The application of production servers: the device API over the systems that run in this process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum

from starlette.routing import BaseRoute

from uptane.assembly.production import Systems, utc_now
from uptane.services.asgi import Application
from uptane.services.device_api import (
    Common,
    DeviceApi,
    Identify,
    director_routes,
    first_contact_routes,
    repository_routes,
    timeserver_routes,
)
from uptane.services.health import health_routes
from uptane.services.static_files import Place, StaticFiles
from uptane.storage.sql.enrolment import SqlEnrolment

REVOCATION_SECONDS = 10.0
"""How often the list of revoked certificates is read again: so long may a stolen one still be used."""

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
        self._revoked: frozenset[bytes] = frozenset()

    def is_revoked(self, fingerprint: bytes) -> bool:
        """Whether the certificate with that SHA-256 is revoked, as of the last reading."""
        return fingerprint in self._revoked

    async def read(self) -> None:
        """Reads them again."""
        self._revoked = await self._enrolment.revoked()

    async def keep_reading(self, seconds: float = REVOCATION_SECONDS) -> None:
        """Reads them again and again; a database that is away leaves the last list."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.read()
            except Exception:
                _log.exception("the list of revoked certificates could not be read; the last one stays in force")


def application(
    systems: Systems,
    which: frozenset[System],
    identify: Identify,
    first_contact: Callable[[str, str, str], Awaitable[str]] | None,
    is_ready: Callable[[], Awaitable[bool]],
) -> Application:
    """The device API of some of the systems, with `/healthz` and `/readyz`.

    Args:
        systems: over their stores.
        which: those that run here.
        identify: whose request it is.
        first_contact: issues certificates; None where they come from elsewhere.
        is_ready: whether requests can be answered.
    """
    common = Common(profile=systems.settings.profile, clock=utc_now, identify=identify)
    routes: list[BaseRoute] = list[BaseRoute](health_routes(is_ready))
    if System.DIRECTOR in which:
        routes += director_routes(common, systems.director, systems.director_metadata)
        if first_contact is not None:
            routes += first_contact_routes(first_contact)
    if System.IMAGE_REPOSITORY in which:
        prefix = "repo/targets/"

        def place(path: str) -> Place | None:
            return (systems.images, path.removeprefix(prefix)) if path.startswith(prefix) else None

        images = StaticFiles(place, allowed_hosts=systems.settings.listen.names)
        routes += repository_routes(common, systems.image_metadata, images)
    if System.TIMESERVER in which:
        routes += timeserver_routes(common, systems.timeserver)
    return DeviceApi(routes)
