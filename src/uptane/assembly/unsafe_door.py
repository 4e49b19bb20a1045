"""The XML-RPC door of the walkthrough beside the device API, for settings that ask for it: it asks nobody who he is."""

import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.routing import Mount

from uptane.assembly.logs import server_log
from uptane.assembly.production import System, Systems, utc_now
from uptane.assembly.settings import Settings
from uptane.assembly.tls_server import TlsServer
from uptane.services.asgi import LOOPBACK_NAMES
from uptane.services.director_app import MAX_MANIFEST_BYTES, director_methods
from uptane.services.metrics_page import RouteNames
from uptane.services.observed import Observed
from uptane.services.xmlrpc_door import XmlRpcDoor
from uptane.storage.sql.enrolment import SqlEnrolment

PATH = "/RPC2"

_log = logging.getLogger(__name__)


def door_address(settings: Settings, which: frozenset[System]) -> str:
    """Where the door is opened by a process of these systems: the one that has the Director; empty for none."""
    return settings.listen.unsafe_xmlrpc if System.DIRECTOR in which else ""


def warning(address: str) -> str:
    """What the door means, for those who have it."""
    return (
        f"listen.unsafe_xmlrpc opens an XML-RPC door at {address} that asks nobody who he is: whoever can connect to "
        "it on this machine registers ECUs and hands in manifests for any vehicle"
    )


def warn_of_door(listener: socket.socket | None, say: Callable[[str], None]) -> None:
    """Tells of an open door, in the log and where a server tells that it answers."""
    if listener is not None:
        host, port = listener.getsockname()[:2]
        said = warning(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        _log.warning("%s", said)
        say(f"UNSAFE: {said}")


@asynccontextmanager
async def open_door(systems: Systems, listener: socket.socket | None) -> AsyncIterator[None]:
    """Answers `register_ecu_serial` and `submit_vehicle_manifest` while the context is; nothing without a socket.

    They reach the Director that the device API has. A vehicle that was taken out of service is refused as it is there.

    Args:
        systems: over their stores.
        listener: of a loopback address.

    Raises:
        UptaneError: other machines reach that address.
    """
    if listener is None:
        yield
        return
    admit = SqlEnrolment(systems.engine).require_in_service
    methods = director_methods(systems.director, systems.settings.profile, utc_now, admit=admit)
    hosts = LOOPBACK_NAMES | {listener.getsockname()[0]}
    door = XmlRpcDoor(methods, path=PATH, max_body=MAX_MANIFEST_BYTES, allowed_hosts=hosts)
    observed = Observed(door, RouteNames([Mount(PATH, door)]), server_log(), lambda scope: False)
    server = TlsServer(observed, listener, tls=None)
    await server.start()
    try:
        yield
    finally:
        await server.stop()
