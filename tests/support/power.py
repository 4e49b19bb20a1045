"""A vehicle whose power can be cut at any change of its flash and memory, and what must hold when it comes back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from device import Device, new_device
from fleet import Fleet, Vehicle
from signed import FACTORY, FRESH, PATH, custom, factory_file
from world import PRIMARY, TCU

from uptane.formats.profile import KINDS, Profile
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.root import Role, Root
from uptane.storage.memory import MemoryEcuStore, MemoryImageSlots
from uptane.vehicle.installation import stored_as
from uptane.vehicle.installation_states import Phase
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.ports import ImageWriter, PartialImage

NEWER = b"newer head unit"


class PowerCut(BaseException):
    """Ends the process: nothing catches it."""


class Fuse:
    """Blows before the n-th change of flash or memory, which is the same as right after the one before."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.error: type[BaseException] = PowerCut

    def arm(self, at: int, *, error: type[BaseException] = PowerCut) -> None:
        """Blows once, at the `at`-th change from 1."""
        self.left, self.error = at, error

    @property
    def blown(self) -> bool:
        """Whether it has."""
        return self.left == 0

    def passes(self, change: Callable[[], None]) -> None:
        """Makes a change, or does not."""
        if self.left:
            self.left -= 1
            if self.left == 0:
                raise self.error("cut")
        change()


class FusedStore(MemoryEcuStore):
    """A memory behind a fuse."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self.fuse = fuse

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        self.fuse.passes(lambda: super(FusedStore, self).write(changes))


class FusedSlots(MemoryImageSlots):
    """A flash behind a fuse."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self.fuse = fuse

    @contextmanager
    def receive(self, name: str) -> Iterator[ImageWriter]:
        with super().receive(name) as writer:
            yield FusedWriter(self.fuse, writer)

    @contextmanager
    def resume(self, name: str) -> Iterator[PartialImage]:
        with super().resume(name) as partial:
            yield FusedPartial(self.fuse, partial)

    def keep_only(self, names: frozenset[str]) -> None:
        self.fuse.passes(lambda: super(FusedSlots, self).keep_only(names))


class FusedWriter(ImageWriter):
    """An image that becomes durable only where the fuse holds."""

    def __init__(self, fuse: Fuse, writer: ImageWriter) -> None:
        self.fuse, self.writer = fuse, writer

    def write(self, chunk: bytes) -> None:
        self.writer.write(chunk)

    def keep(self) -> None:
        self.fuse.passes(self.writer.keep)


class FusedPartial(FusedWriter, PartialImage):
    """An image that grows only where the fuse holds."""

    def __init__(self, fuse: Fuse, partial: PartialImage) -> None:
        super().__init__(fuse, partial)
        self.partial = partial

    def chunks(self) -> Iterator[bytes]:
        return self.partial.chunks()

    def write(self, chunk: bytes) -> None:
        self.fuse.passes(lambda: self.partial.write(chunk))

    def restart(self) -> None:
        self.fuse.passes(self.partial.restart)


class Bench:
    """A vehicle on its way, with an update for both ECUs, new Director keys, and an attack to tell.

    Args:
        profile: the wire format.
        device: makes the parts of each ECU; each has a fuse of its own in `fuses` without it.
        made: of the Secondary, as for `provision`.
    """

    def __init__(self, profile: Profile, device: Callable[[], Device] | None = None, **made: object) -> None:
        self.fuses: list[Fuse] = []
        self.car = Vehicle(Fleet(profile), device=device or self.device, **made)
        self.car.cycle()
        self.floors: dict[str, dict[str, int]] = {}
        self.counters: dict[EcuIdentifier, list[int]] = {PRIMARY: [], TCU: []}
        for ecu in (PRIMARY, TCU):
            self.seen(ecu)
        fleet = self.car.fleet
        fleet.rotate_director(Role.TARGETS, Role.TIMESTAMP)
        fleet.release(PATH, FRESH, custom=custom(5))
        fleet.release("head unit.img", NEWER, PRIMARY, custom=custom(7))
        fleet.later(minutes=1)
        self.car.primary.memory.note_attack("E-HASH: one")
        self.check()

    def device(self) -> Device:
        """An ECU behind a fuse."""
        fuse = Fuse()
        self.fuses.append(fuse)
        return Device(FusedStore(fuse), FusedSlots(fuse), new_device().signer)

    def seen(self, ecu: EcuIdentifier) -> None:
        """Remembers the newest report counter that the Director accepted."""
        newest = self.car.fleet.reports(ecu)[0].counter
        if newest not in self.counters[ecu]:
            self.counters[ecu].append(newest)

    def check(self) -> None:
        """What holds whenever the power came back."""
        car = self.car
        for memory, device, content in (
            (car.primary.memory, car.device, NEWER),
            (car.secondary.memory, car.tcu.device, FRESH),
        ):
            state = memory.state
            self._check_versions(memory)
            if state.installation.phase is Phase.RESTORING:
                assert memory.storage_limited
                assert self.copy() == FACTORY
                continue
            assert device.running() in (FACTORY, content)
            assert (state.installed.path == "factory.img") == (device.running() == FACTORY)
            assert (state.release_counter is None) == (device.running() == FACTORY)
            assert state.installation.phase in (Phase.RUNNING, Phase.WRITTEN)

    def copy(self) -> bytes:
        """What the Primary keeps of the image that a storage-limited Secondary runs."""
        chunks = self.car.device.slots.chunks(f"backup-{stored_as(factory_file())}")
        return b"".join(chunks or ())

    def _versions(self, memory: EcuMemory) -> dict[str, int]:
        versions = {}
        for name in memory.names("repository/"):
            kind = KINDS[Role(name.rpartition("/")[2])] if "/role/" in name else Root
            versions[name] = memory.profile.format.decode(kind, memory.require(name)).payload.version
        return versions

    def _check_versions(self, memory: EcuMemory) -> None:
        """No version that is trusted ever falls; what new keys made worthless is forgotten instead."""
        now = self._versions(memory)
        floors = self.floors.setdefault(memory.ecu, now)
        assert all(now[name] >= version for name, version in floors.items() if name in now)
        assert all("/role/" in name and not name.endswith("/root") for name in floors.keys() - now.keys())
        self.floors[memory.ecu] = now

    def finish(self) -> None:
        """The next clean cycles bring everything, and every report told the truth under a counter of its own."""
        self.car.cycle()
        self.car.cycle()
        assert self.car.device.running() == NEWER
        assert self.car.running() == FRESH
        self.check()
        for ecu in (PRIMARY, TCU):
            self.seen(ecu)
            assert self.counters[ecu] == sorted(set(self.counters[ecu]))
            history = [stored.counter for stored in self.car.fleet.reports(ecu)]
            assert history == sorted(set(history), reverse=True)
        told = [stored.attacks_detected for stored in self.car.fleet.reports(PRIMARY)]
        assert "E-HASH: one" in told
