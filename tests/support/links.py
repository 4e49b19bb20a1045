"""The ways of one vehicle to its servers and inside it: each can be cut, and whatever passes can be altered."""

import asyncio
import atexit
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from world import DIRECTOR

from uptane.director.director import Answer
from uptane.metadata.errors import EndlessDataError, UnreachableError
from uptane.metadata.identifiers import EcuIdentifier, RepositoryName, VehicleIdentifier
from uptane.vehicle.secondaries import Secondaries

if TYPE_CHECKING:
    from fleet import Fleet

ResultT = TypeVar("ResultT")


class _Loop(threading.local):
    """One event loop for each thread: making a new one for every call would take a third of a test's time."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        atexit.register(self.runner.close)


_LOOP = _Loop()


def wait(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Runs a coroutine of the server side."""
    return _LOOP.runner.run(coroutine)


@dataclass
class Pieces:
    """The bytes of an image from `start` on, in pieces."""

    data: bytes
    start: int
    size: int = 7

    def __iter__(self) -> Iterator[bytes]:
        return (self.data[i : i + self.size] for i in range(self.start, len(self.data), self.size))


@dataclass
class Mirror:
    """A host of images; `altered` replaces files by their plain or hashed name's ending, None removes one."""

    name: str
    fleet: "Fleet"
    calls: list[str]
    names: list[str]
    down: set[str]
    altered: dict[str, bytes | None] = field(default_factory=dict)
    chunk: int = 7

    @contextmanager
    def stream(self, name: str, limit: int, start: int = 0) -> Iterator[Pieces | None]:
        self.calls.append(f"image {name.rpartition('.')[0].rpartition('.')[2]} from {self.name}")
        self.names.append(name)
        if self.name in self.down:
            raise UnreachableError(f"the mirror {self.name} does not answer")
        data = wait(self.fleet.image_store.read(name)) or wait(self.fleet.hosted.read(name))
        for ending, other in self.altered.items():
            if name.endswith(ending):
                data = other
        yield None if data is None else Pieces(data, 0, self.chunk)


@dataclass
class Links:
    """The ways of one vehicle to the servers.

    Args:
        down: servers that do not answer: `Director`, `Timeserver`, `director`, `imagerepo`, `mirror 1`, `mirror 2`.
        altered: metadata files by repository and name that are not what was published; None for a missing one.
        calls: what was asked, in order.
        names: the files that were asked for, in order.
        answers: what the Director answered to manifests; None where it only takes them in.
    """

    fleet: "Fleet"
    vehicle: VehicleIdentifier
    down: set[str] = field(default_factory=set)
    altered: dict[tuple[str, str], bytes | None] = field(default_factory=dict)
    attestation: bytes | None = None
    manifests: list[bytes] = field(default_factory=list)
    nonces: list[int] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    answers: list[Answer] | None = None

    def __post_init__(self) -> None:
        self.mirrors = [Mirror(f"mirror {n}", self.fleet, self.calls, self.names, self.down) for n in (1, 2)]

    def restore(self) -> None:
        """Every server is up again and everything passes as it was sent."""
        self.down.clear()
        self.altered.clear()
        self.attestation = None
        for mirror in self.mirrors:
            mirror.altered.clear()

    def alter_image(self, path: str, data: bytes | None) -> None:
        """Every mirror hosts this instead, as an intruder can who holds no key."""
        for mirror in self.mirrors:
            mirror.altered[path.rpartition("/")[2]] = data

    def _check(self, peer: str) -> None:
        if peer in self.down:
            raise UnreachableError(f"the {peer} does not answer")

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        self.calls.append(f"{repository} {name.rpartition('.')[0].rpartition('.')[2]}")
        self.names.append(name)
        self._check(repository)
        store = self.fleet.metadata[self.vehicle] if repository == DIRECTOR else self.fleet.image_metadata
        raw = self.altered.get((repository, name), wait(store.read(name)))
        if raw is not None and len(raw) > limit:
            raise EndlessDataError(f"{name} of {repository} has more than {limit} bytes", role=name)
        return raw

    def submit_manifest(self, vehicle: VehicleIdentifier, primary: EcuIdentifier, manifest: bytes) -> None:
        self.calls.append("manifest")
        self._check("Director")
        self.manifests.append(manifest)
        if self.answers is None:
            wait(self.fleet.director.receive_manifest(vehicle, primary, manifest, self.fleet.now))
        else:
            self.answers.append(wait(self.fleet.director.answer_manifest(vehicle, primary, manifest, self.fleet.now)))

    def register_ecu(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, key: bytes, *, is_primary: bool) -> None:
        decoded = self.fleet.profile.format.decode_key(key)
        wait(self.fleet.director.register_ecu(vehicle=vehicle, ecu=ecu, key=decoded, is_primary=is_primary))

    def attest(self, nonces: Sequence[int]) -> bytes:
        self.calls.append("time")
        self._check("Timeserver")
        self.nonces = list(nonces)
        return self.attestation or self.fleet.timeserver.attest(nonces, self.fleet.now)


@dataclass
class SecondaryLink:
    """The way from a Secondary to its Primary; a hostile Primary gives what is set here instead."""

    secondaries: Secondaries
    swapped_image: tuple[str, bytes] | None = None
    swapped_bundle: bytes | None = None
    swapped_attestation: bytes | None = None
    no_image: bool = False
    down: bool = False
    block: int = 5
    calls: list[str] = field(default_factory=list)

    def restore(self) -> None:
        """The Primary is honest again."""
        self.swapped_image = self.swapped_bundle = self.swapped_attestation = None
        self.no_image = self.down = False

    def _ask(self, what: str) -> None:
        self.calls.append(what)
        if self.down:
            raise UnreachableError("the Primary does not answer")

    def register_secondary(self, ecu: EcuIdentifier, key: bytes) -> None:
        self.secondaries.register_new_secondary(ecu, key)

    def submit_report(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, nonce: int, report: bytes) -> None:
        self._ask("report")
        self.secondaries.register_ecu_manifest(vehicle, ecu, nonce, report)

    def time_attestation(self, ecu: EcuIdentifier) -> bytes:
        self._ask("time")
        return self.swapped_attestation or self.secondaries.get_time_attestation_for_ecu(ecu)

    def metadata(self, ecu: EcuIdentifier) -> bytes:
        self._ask("metadata")
        return self.swapped_bundle if self.swapped_bundle is not None else self.secondaries.get_metadata(ecu)

    def partial_metadata(self, ecu: EcuIdentifier) -> bytes:
        self._ask("partial metadata")
        return self.swapped_bundle if self.swapped_bundle is not None else self.secondaries.get_partial_metadata(ecu)

    def update_exists(self, ecu: EcuIdentifier) -> bool:
        self._ask("update?")
        return self.secondaries.update_exists_for_ecu(ecu)

    def image(self, ecu: EcuIdentifier) -> tuple[str, bytes] | None:
        self._ask("image")
        return None if self.no_image else self.swapped_image or self.secondaries.get_image(ecu)

    def image_block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        self._ask("image block")
        if self.swapped_image is not None:
            return self.swapped_image[1][offset : offset + self.block]
        return self.secondaries.get_image_block(ecu, name, offset)[: self.block]

    def back_up(self, ecu: EcuIdentifier, name: str, offset: int, block: bytes) -> bool:
        self._ask("back up")
        return self.secondaries.back_up(ecu, name, offset, block)

    def backup_block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        self._ask("backup block")
        return self.secondaries.get_backup_block(ecu, name, offset)[: self.block]
