"""Production servers in this process, on a real TLS port, with two vehicles and everybody who is not one of them."""

import asyncio
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from certificates import House, ask
from raw_sockets import status_of
from sqlalchemy import select
from starlette.routing import BaseRoute, Mount, Route

from uptane.assembly.fleet import add_image, add_vehicle
from uptane.assembly.http_server import ServerThread
from uptane.assembly.production import System, Systems, initialise, open_systems, utc_now
from uptane.assembly.serving import FirstContacts, application, certificates_of, serving
from uptane.assembly.settings import Settings, load_settings, write_settings
from uptane.assembly.tls_server import listening
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.services.device_api import DeviceApi
from uptane.storage.certificate_authority import CertificateAuthority
from uptane.storage.sql.enrolment import SqlEnrolment
from uptane.storage.sql.schema import contacts, tables
from uptane.storage.tls_credentials import VehicleCredentials

MINE, OTHER, REVOKED = VehicleIdentifier("VIN-MINE"), VehicleIdentifier("VIN-OTHER"), VehicleIdentifier("VIN-REVOKED")
IMAGE = "dir/firmware.img"


def settings_in(folder: Path) -> Settings:
    """Fresh settings on SQLite and a folder."""
    write_settings(
        folder, form="der", database="data/inventory.sqlite", storage="data/images", names=("localhost",), port=0
    )
    return load_settings(folder)


async def made(folder: Path) -> Settings:
    """Servers with three vehicles and an image; the credentials of one were revoked."""
    settings = settings_in(folder / "servers")
    await initialise(settings)
    async with open_systems(settings) as systems:
        for vin in (MINE, OTHER, REVOKED):
            await add_vehicle(systems, vin, folder / vin, f"{vin}-primary", "", "")
        (folder / "image").write_bytes(b"0123456789")
        await add_image(systems, folder / "image", IMAGE, 1, ())
        credentials = VehicleCredentials(folder / "credentials" / REVOKED, REVOKED)
        token = (folder / REVOKED / "factory" / "token").read_text()
        chain = await contacts_of(systems).answer(REVOKED, token, credentials.request().decode())
        credentials.keep(chain.encode())
        await SqlEnrolment(systems.engine).revoke(REVOKED)
    return settings


def contacts_of(systems: Systems) -> FirstContacts:
    """What answers first contacts."""
    authority = CertificateAuthority.in_folder(certificates_of(systems.settings), now=utc_now())
    return FirstContacts(authority, SqlEnrolment(systems.engine), timedelta(days=1))


def whole_api(systems: Systems) -> DeviceApi:
    """The application with every system in it."""

    async def ready() -> bool:
        return True

    return application(systems, frozenset(System), contacts_of(systems), ready)


def routes_of(routes: tuple[BaseRoute, ...]) -> set[tuple[str, str]]:
    """Method and path of each route, as the application has them."""
    found = set()
    for route in routes:
        if isinstance(route, Mount):
            found.add(("GET", f"{route.path}/{{path}}"))
        else:
            assert isinstance(route, Route) and route.methods
            found |= {(method, route.path) for method in route.methods if method != "HEAD"}
    return found


@dataclass(frozen=True)
class Answered:
    """An answer over a raw socket."""

    status: int
    body: bytes

    @property
    def code(self) -> str:
        """Of a problem."""
        return str(json.loads(self.body)["code"])


class RunningServers:
    """Servers on a port of their own; `house` forges certificates of their authority."""

    def __init__(self, folder: Path, settings: Settings, thread: ServerThread, port: int) -> None:
        self.folder, self.settings, self.port = folder, settings, port
        self._thread = thread
        self.house = House(folder, authority=certificates_of(settings))

    def revoked(self) -> ssl.SSLContext:
        """TLS of the vehicle whose certificate was revoked."""
        tls = self.house.stranger()
        tls.load_cert_chain(VehicleCredentials(self.folder / "credentials" / REVOKED, REVOKED).file)
        return tls

    def ask(self, tls: ssl.SSLContext, method: str, path: str, body: bytes = b"", *headers: str) -> Answered:
        """One request over a connection of its own; status 0 where the server hung up without an answer."""
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", "Connection: close"]
        answer = ask(self.port, tls, "\r\n".join([*head, *headers, "", ""]).encode() + body)
        return Answered(status_of(answer), answer.partition(b"\r\n\r\n")[2])

    def records(self, vehicle: VehicleIdentifier) -> Mapping[str, list[tuple[object, ...]]]:
        """Every row that belongs to a vehicle, but for when it was last heard of, which is written later."""

        async def read() -> Mapping[str, list[tuple[object, ...]]]:
            async with open_systems(self.settings) as systems, systems.engine.connect() as connection:
                found = {}
                for table in tables.sorted_tables:
                    if "vehicle" in table.c and table is not contacts:
                        rows = await connection.execute(select(table).where(table.c.vehicle == str(vehicle)))
                        found[table.name] = sorted((tuple(row) for row in rows), key=repr)
                return found

        return asyncio.run(read())


@contextmanager
def running_servers(folder: Path) -> Iterator[RunningServers]:
    """All three systems as `uptane serve` assembles them."""
    settings = asyncio.run(made(folder))
    with ServerThread() as thread:
        listener = listening("127.0.0.1", 0)
        context = serving(settings, frozenset(System), listener)
        server = thread.run(context.__aenter__())
        try:
            yield RunningServers(folder, settings, thread, thread.serve(server))
        finally:
            thread.stop(server.port)
            thread.run(context.__aexit__(None, None, None))
