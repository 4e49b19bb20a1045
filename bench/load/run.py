"""The load itself: one fleet, one Director on PostgreSQL, and the figures of what its workers need."""

import asyncio
import json
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import text

from bench.figure import Figure
from bench.load.fleet import Bare, assign_release, make_fleet, publish_images
from bench.load.processes import Stopwatch, director, postgresql, resident_bytes
from uptane.assembly.production import Systems, initialise, open_systems
from uptane.assembly.serving import certificates_of
from uptane.assembly.settings import Settings, load_settings, write_settings

RUNS = (0, 1, 2, 2, 3)
"""The release that the ECUs run in each manifest: two passes of updates after a first one, with a report each."""

SIGNATURES = 3
"""Targets, Snapshot and Timestamp."""

SIGNED_BYTES = 2_000
"""What a signature is made over: Targets of ten images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much load.

    Args:
        vehicles: of the fleet.
        polls: of a vehicle without a change, in each of the two passes that count.
        batch: vehicles that have a connection at the same time.
        statistics: seconds after which PostgreSQL's count of transactions is complete.
    """

    vehicles: int = 1_000
    polls: int = 22
    batch: int = 250
    statistics: float = 1.2


@dataclass(slots=True)
class Seen:
    """What was measured so far.

    Args:
        cpu: seconds of CPU of a part of the load, by part and process.
        count: how many vehicles, or requests, that part had.
        milliseconds: the times of all answers, by method.
        resident: bytes of the workers after each pass.
        transactions: those that PostgreSQL saw while nothing was new.
    """

    cpu: dict[tuple[str, str], float] = field(default_factory=dict)
    count: dict[str, int] = field(default_factory=dict)
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    resident: list[int] = field(default_factory=list)
    transactions: int = 0

    def each(self, part: str, process: str) -> float:
        """Milliseconds of CPU for one vehicle."""
        return self.cpu[part, process] / self.count[part] * 1000


def measure(folder: Path, size: Size, format_name: str = "der") -> list[Figure]:
    """Runs the load in a folder of its own; the figures.

    Raises:
        RuntimeError: the Director answered otherwise than it should have.
    """
    with postgresql(folder / "postgresql") as (database, server):
        port, servers = _free_port(), folder / "servers"
        names = ("localhost", "127.0.0.1")
        write_settings(
            servers, form=format_name, database=database, storage="data/image-repository", names=names, port=port
        )
        settings = load_settings(servers)
        return asyncio.run(_measure(folder, settings, size, server))


async def _measure(folder: Path, settings: Settings, size: Size, postgresql_pid: int) -> list[Figure]:
    await initialise(settings)
    async with open_systems(settings) as systems:
        images = await publish_images(systems, max(RUNS))
        cars, bare = await make_fleet(systems, size.vehicles, RUNS, folder)
        (folder / "cars.pickle").write_bytes(pickle.dumps(cars))
        await assign_release(systems, size.vehicles, images, 1)
        seen, costs = Seen(), [_bare_cost(bare)]
        with director(settings.folder, settings.listen.port) as worker, _generator(folder, settings) as generator:
            load = _Load(systems, generator, {"workers": worker, "PostgreSQL": postgresql_pid}, size, seen)
            await load.passed("first", polls=1)
            for release in (2, 3):
                costs.append(_bare_cost(bare))
                await assign_release(systems, size.vehicles, images, release)
                await load.passed("update", polls=size.polls)
        return _figures(seen, statistics.median(costs))


class _Load:
    def __init__(self, systems: Systems, generator: "_Generator", pids: dict[str, int], size: Size, seen: Seen) -> None:
        self._systems, self._generator, self._pids, self._size, self._seen = systems, generator, pids, size, seen

    async def passed(self, kind: str, *, polls: int) -> None:
        """Every vehicle is told of its new images once, and then asks in vain."""
        for first in range(0, self._size.vehicles, self._size.batch):
            last = min(first + self._size.batch, self._size.vehicles)
            await self._part("handshake", f"connect {first} {last}", last - first)
            await self._part(kind, "update 1", last - first)
            if kind != "first":
                await self._part("report", "report 1", last - first)
            before = await self._transactions()
            await self._part("unchanged" if kind != "first" else "warming", f"poll {polls}", (last - first) * polls)
            self._seen.transactions += await self._transactions() - before if kind != "first" else 0
            await self._generator.tell("close")
        self._seen.resident.append(resident_bytes(self._pids["workers"]))

    async def _part(self, name: str, command: str, count: int) -> None:
        watch, seen = Stopwatch(self._pids), self._seen
        times = await self._generator.tell(command)
        for process in self._pids:
            seen.cpu[name, process] = seen.cpu.get((name, process), 0.0) + watch.cpu(process)
        seen.count[name] = seen.count.get(name, 0) + count
        for method, values in times.items():
            seen.milliseconds.setdefault(method, []).extend(values)

    async def _transactions(self) -> int:
        """What PostgreSQL has committed; sessions tell it within a second."""
        await asyncio.sleep(self._size.statistics)
        async with self._systems.engine.connect() as connection:
            asked = text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
            return int((await connection.execute(asked)).scalar_one())


class _Generator:
    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    async def tell(self, command: str) -> dict[str, list[float]]:
        """Has the vehicles do something; the milliseconds of every answer, by method."""
        return await asyncio.to_thread(self._tell, command)

    def _tell(self, command: str) -> dict[str, list[float]]:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(f"{command}\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"the generator ended at: {command}")
        times: dict[str, list[float]] = json.loads(line)
        return times


@contextmanager
def _generator(folder: Path, settings: Settings) -> Iterator[_Generator]:
    authority = certificates_of(settings) / "authority.pem"
    command = [sys.executable, "-m", "bench.load.generator", str(folder), str(authority), settings.format]
    with subprocess.Popen(
        [*command, str(settings.listen.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        yield _Generator(child)
        assert child.stdin is not None
        child.stdin.close()


def _bare_cost(bare: Bare, runs: int = 300) -> float:
    """Milliseconds of the verifications of one manifest and of three signatures, with keys that are loaded."""
    keys = [Ed25519PublicKey.from_public_bytes(key) for key in bare.keys]
    pairs = list(zip(keys, bare.signatures, bare.messages, strict=True))
    private, message = Ed25519PrivateKey.generate(), b"x" * SIGNED_BYTES
    started = time.process_time()
    for _ in range(runs):
        for key, signature, said in pairs:
            key.verify(signature, said)
        for _ in range(SIGNATURES):
            private.sign(message)
    return (time.process_time() - started) / runs * 1000


def _figures(seen: Seen, bare: float) -> list[Figure]:
    requests = sum(map(len, seen.milliseconds.values()))
    name = "11 verifications and 3 signatures"
    flow = "PUT of a manifest of 10 ECUs, next Root, Timestamp, Snapshot, Targets"
    figures = [
        Figure(
            what=f"{flow}: CPU of the workers for a vehicle that was assigned new images",
            ours=seen.each("update", "workers"),
            other=bare,
            other_name=name,
            most_ratio=3,
        ),
        Figure(what="the same: CPU of PostgreSQL", ours=seen.each("update", "PostgreSQL")),
        Figure(
            what="the same, for a vehicle that the worker has not seen before: CPU of the workers",
            ours=seen.each("first", "workers"),
            other=bare,
            other_name=name,
        ),
        Figure(what="the same: CPU of PostgreSQL", ours=seen.each("first", "PostgreSQL")),
        Figure(
            what="PUT of a manifest that changes nothing: CPU of the workers",
            ours=seen.each("report", "workers"),
            other=bare,
            other_name=name,
        ),
        Figure(what="the same: CPU of PostgreSQL", ours=seen.each("report", "PostgreSQL")),
        Figure(
            what="unchanged vehicle (next Root 404, Timestamp 304): CPU of the workers",
            ours=seen.each("unchanged", "workers"),
            most=0.4,
        ),
        Figure(
            what="the same: transactions in PostgreSQL for one of them",
            ours=seen.transactions / seen.count["unchanged"],
            unit="",
        ),
        Figure(
            what="TLS handshake with a client certificate: CPU of the workers", ours=seen.each("handshake", "workers")
        ),
    ]
    for method, values in sorted(seen.milliseconds.items()):
        cut = statistics.quantiles(values, n=100)
        figures += [
            Figure(what=f"{method}, {len(values)} requests: median time of an answer", ours=cut[49]),
            Figure(what=f"{method}, {len(values)} requests: p99", ours=cut[98]),
        ]
    before, after = (each / 2**20 for each in seen.resident[-2:])
    figures.append(
        Figure(
            what=f"memory of the workers after {requests} requests, beside that a pass of all vehicles before",
            ours=after,
            other=before,
            other_name="before",
            unit="MiB",
            most_ratio=1.05,
        )
    )
    return figures


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
