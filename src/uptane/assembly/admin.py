"""What operators ask of running servers: figures and health, in plain HTTP on a loopback address."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
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

    async def expiries() -> Mapping[tuple[Role, str], datetime]:
        profile, found = systems.settings.profile, dict[tuple[Role, str], datetime]()
        first = systems.cache.first_root_expiry()
        if first is not None:
            found[Role.ROOT, DIRECTOR] = first
        for role in (Role.ROOT, Role.TIMESTAMP) if publishes else ():
            try:
                raw = await systems.image_metadata.read(profile.metadata_name(role))
                if raw is not None:
                    payload = profile.format.decode(KINDS[role], raw).payload  # type: ignore[type-var]
                    found[role, IMAGE_REPOSITORY] = payload.expires
            except UptaneError:
                continue  # the figure of the last time stays
        return found

    server = TlsServer(DeviceApi([*health_routes(ready), *metrics_routes(expiries)]), listener, tls=None)
    await server.start()
    try:
        yield
    finally:
        await server.stop()


@contextmanager
def shared_figures() -> Iterator[None]:
    """Gives worker processes that start in the context a private folder for their figures."""
    with TemporaryDirectory(prefix="uptane-figures-") as folder:
        os.environ[MULTIPROCESS] = folder
        try:
            yield
        finally:
            del os.environ[MULTIPROCESS]
