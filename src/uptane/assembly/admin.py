"""What operators ask of running servers: figures and health, in plain HTTP on a loopback address."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from tempfile import TemporaryDirectory

from uptane.assembly.production import DIRECTOR, IMAGE_REPOSITORY, Systems
from uptane.assembly.tls_server import TlsServer, listening
from uptane.formats.profile import KINDS
from uptane.metadata.errors import UptaneError
from uptane.metadata.root import Role
from uptane.services.device_api import DeviceApi
from uptane.services.health import health_routes
from uptane.services.metrics import MULTIPROCESS
from uptane.services.metrics_page import metrics_routes

_BEFORE_EVERY_EXPIRY = datetime(1970, 1, 1, tzinfo=UTC)
"""What has expired is told as well."""


@contextmanager
def loopback_listening(address: str) -> Iterator[socket.socket | None]:
    """The socket of an address of the settings, such as `127.0.0.1:9100`; None where it is empty.

    Raises:
        UptaneError: its port is in use.
    """
    if not address:
        yield None
        return
    host, _, port = address.rpartition(":")
    with listening(host.strip("[]"), int(port)) as listener:
        yield listener


@asynccontextmanager
async def figures(
    systems: Systems, publishes: bool, ready: Callable[[], Awaitable[bool]], listener: socket.socket | None
) -> AsyncIterator[None]:
    """Answers `/metrics`, `/healthz` and `/readyz` on this socket while the context is; nothing without one.

    Args:
        systems: over their stores.
        publishes: whether the Image repository runs here.
        ready: whether requests can be answered.
        listener: of a loopback address.
    """
    if listener is None:
        yield
        return

    images = _PublishedExpiries(systems) if publishes else None

    async def expiries() -> Mapping[tuple[Role, str], datetime]:
        first = systems.cache.first_root_expiry()
        found = {} if first is None else {(Role.ROOT, DIRECTOR): first}
        if images is not None:
            with suppress(UptaneError):  # the figures of the last time stay
                found |= await images.read()
        return found

    server = TlsServer(DeviceApi([*health_routes(ready), *metrics_routes(expiries)]), listener, tls=None)
    await server.start()
    try:
        yield
    finally:
        await server.stop()


class _PublishedExpiries:
    """When the Image repository's Root and Timestamp expire: verified as vehicles do, when there is another Timestamp.

    Args:
        systems: over their stores.
    """

    def __init__(self, systems: Systems) -> None:
        self._profile = systems.settings.profile
        self._metadata, self._catalog = systems.image_metadata, systems.catalog()
        self._timestamp = b""
        self._found: dict[tuple[Role, str], datetime] = {}

    async def read(self) -> Mapping[tuple[Role, str], datetime]:
        """Their expiry; UptaneError where what is published cannot be read or does not verify."""
        if await self._metadata.read(self._profile.metadata_name(Role.TIMESTAMP)) != self._timestamp:
            await self._catalog.look_up({}, _BEFORE_EVERY_EXPIRY)
            held = self._catalog.held
            self._timestamp = held.files[Role.TIMESTAMP]
            for role, raw in ((Role.ROOT, held.root), (Role.TIMESTAMP, self._timestamp)):
                payload = self._profile.format.decode(KINDS[role], raw).payload  # type: ignore[type-var]
                self._found[role, IMAGE_REPOSITORY] = payload.expires
        return self._found


@contextmanager
def shared_figures() -> Iterator[None]:
    """Gives worker processes that start in the context a private folder for their figures."""
    with TemporaryDirectory(prefix="uptane-figures-") as folder:
        os.environ[MULTIPROCESS] = folder
        try:
            yield
        finally:
            del os.environ[MULTIPROCESS]
