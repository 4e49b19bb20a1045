"""The vehicles of the load, in a process of their own: told on its standard input what to do, a line each.

They send bytes that were signed beforehand and read answers as far as it takes to ask for the next file, so that what
the load costs is the server's. Connections are kept, as TLS handshakes are a figure of their own.
"""

import asyncio
import json
import pickle
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench.load.fleet import Car
from uptane.formats.profiles import PROFILES
from uptane.metadata.root import Role
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.timestamp import Timestamp
from uptane.transport.tls import client_tls

AT_ONCE = 8
"""Vehicles that talk at the same time."""

ROOT = 1
"""The version of the Root that every vehicle has."""


class Vehicle:
    """One vehicle with its connection."""

    def __init__(self, car: Car, format_name: str) -> None:
        self._car = car
        self._profile = PROFILES[format_name]
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._sent = 0
        self._tag = ""
        self.milliseconds: dict[str, list[float]] = {}

    async def connect(self, port: int, authority: Path) -> None:
        """The handshake, with its certificate."""
        tls = client_tls(authorities=authority, credentials=self._car.credentials)
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)

    async def close(self) -> None:
        """Hangs up."""
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()

    async def report(self) -> None:
        """The next manifest."""
        body = self._car.manifests[self._sent]
        self._sent += 1
        await self._ask("PUT", "manifest", 204, body=body)

    async def update(self) -> None:
        """The next manifest, and all metadata that is new then."""
        await self.report()
        name = self._profile.metadata_name
        await self._ask("GET", name(Role.ROOT, ROOT + 1), 404)
        raw = await self._ask("GET", name(Role.TIMESTAMP), 200)
        version = self._profile.format.decode(Timestamp, raw).payload.snapshot.version
        raw = await self._ask("GET", name(Role.SNAPSHOT, version), 200)
        listed = self._profile.format.decode(Snapshot, raw).payload.files
        await self._ask("GET", name(Role.TARGETS, next(iter(listed.values())).version), 200)

    async def poll(self) -> None:
        """Asks whether there is anything new, which there is not."""
        await self._ask("GET", self._profile.metadata_name(Role.ROOT, ROOT + 1), 404)
        await self._ask("GET", self._profile.metadata_name(Role.TIMESTAMP), 304)

    async def look(self) -> None:
        """Fetches the Timestamp, to know its tag."""
        await self._ask("GET", self._profile.metadata_name(Role.TIMESTAMP), 200)

    async def _ask(self, method: str, name: str, expected: int, body: bytes = b"") -> bytes:
        assert self._reader is not None and self._writer is not None
        lines = [f"{method} /director/{name} HTTP/1.1", "Host: localhost", "Accept: */*", "User-Agent: load"]
        if expected == 304:
            lines.append(f"If-None-Match: {self._tag}")
        if body:
            lines += ["Content-Type: application/octet-stream", f"Content-Length: {len(body)}"]
        started = time.perf_counter()
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        answer = await self._reader.readexactly(int(headers.get("content-length", 0)) if expected != 304 else 0)
        self.milliseconds.setdefault(method, []).append((time.perf_counter() - started) * 1000)
        if int(head[0].split()[1]) != expected:
            raise RuntimeError(f"{method} {name}: {head[0]} {answer[:300]!r}, and {expected} was expected")
        if expected == 200 and name == self._profile.metadata_name(Role.TIMESTAMP):
            self._tag = headers["etag"]
        return answer


async def _all(vehicles: list[Vehicle], what: Callable[[Vehicle], Coroutine[Any, Any, None]]) -> None:
    waiting = iter(vehicles)

    async def one_after_the_other() -> None:
        for vehicle in waiting:
            await what(vehicle)

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


async def _serve(folder: Path, authority: Path, format_name: str, port: int) -> None:
    vehicles = [Vehicle(car, format_name) for car in pickle.loads((folder / "cars.pickle").read_bytes())]  # noqa: S301 - the load's own
    here: list[Vehicle] = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        command, *numbers = line.split()
        if command == "connect":
            here = vehicles[int(numbers[0]) : int(numbers[1])]
            await _all(here, lambda each: each.connect(port, authority))
        elif command == "close":
            await _all(here, Vehicle.close)
        else:
            for _ in range(int(numbers[0])):
                await _all(here, {"update": Vehicle.update, "report": Vehicle.report, "poll": Vehicle.poll}[command])
        times: dict[str, list[float]] = {}
        for each in vehicles:
            for method, values in each.milliseconds.items():
                times.setdefault(method, []).extend(values)
            each.milliseconds.clear()
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
