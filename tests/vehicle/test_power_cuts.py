"""The power fails at every single write of a cycle: an ECU comes up again, lies about nothing and gets its update."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest
from device import Device, new_device
from fleet import Fleet, Vehicle
from signed import FACTORY, FRESH, PATH, custom
from world import PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.metadata.errors import StorageError, UptaneError
from uptane.metadata.root import Role
from uptane.storage.memory import MemoryEcuStore, MemoryImageSlots
from uptane.vehicle.memory import VerificationKind
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
    """A vehicle whose two ECUs each have a fuse, with an update for both, new Director keys, and an attack to tell."""

    def __init__(self, profile: Profile, verification: VerificationKind = VerificationKind.FULL) -> None:
        self.fuses: list[Fuse] = []
        self.car = Vehicle(Fleet(profile), device=self.device, verification=verification)
        self.car.cycle()
        self.counters: dict[str, list[int]] = {PRIMARY: [], TCU: []}
        for ecu in (PRIMARY, TCU):
            self.seen(ecu)
        fleet = self.car.fleet
        fleet.rotate_director(Role.TARGETS, Role.TIMESTAMP)
        fleet.release(PATH, FRESH, custom=custom(5))
        fleet.release("head unit.img", NEWER, PRIMARY, custom=custom(7))
        fleet.later(minutes=1)
        self.car.primary.memory.note_attack("E-HASH: one")

    def device(self) -> Device:
        """An ECU behind a fuse."""
        fuse = Fuse()
        self.fuses.append(fuse)
        return Device(FusedStore(fuse), FusedSlots(fuse), new_device().signer)

    def seen(self, ecu: str) -> None:
        """Remembers the newest report counter that the Director accepted."""
        newest = self.car.fleet.reports(ecu)[0].counter  # type: ignore[arg-type]
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
            assert device.running() in (FACTORY, content)
            assert (state.installed.path == "factory.img") == (device.running() == FACTORY)
            assert (state.release_counter is None) == (device.running() == FACTORY)
            assert state.installing is None

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


WHO = pytest.mark.parametrize(
    ("who", "verification"),
    [(0, VerificationKind.FULL), (1, VerificationKind.FULL), (1, VerificationKind.PARTIAL)],
    ids=["Primary", "Secondary", "partial Secondary"],
)
"""The ECU whose power fails, and how the Secondary verifies."""


@WHO
@pytest.mark.standard("STD-5.4.4-5")
@pytest.mark.standard("STD-5.4.2.6-5")
@pytest.mark.standard("STD-5.4.2.1.2-11")
def test_whenever_the_power_fails_the_next_cycles_bring_the_update(
    profile: Profile, who: int, verification: VerificationKind
) -> None:
    cuts = 0
    while True:
        bench = Bench(profile, verification)
        fuse = bench.fuses[who]
        fuse.arm(cuts + 1)
        with suppress(PowerCut):
            bench.car.cycle()
        if not fuse.blown:
            break
        cuts += 1
        bench.car.restart_primary()
        bench.car.tcu.start()
        bench.check()
        bench.finish()
    assert cuts > 8


@WHO
@pytest.mark.standard("STD-5.4.4-4")
def test_whenever_the_disk_is_full_the_next_cycles_bring_the_update(
    profile: Profile, who: int, verification: VerificationKind
) -> None:
    cuts = 0
    while True:
        bench = Bench(profile, verification)
        fuse = bench.fuses[who]
        fuse.arm(cuts + 1, error=StorageError)
        with suppress(UptaneError):
            bench.car.cycle()
        if not fuse.blown:
            break
        cuts += 1
        bench.finish()
    assert cuts > 8


def test_a_power_cut_during_provisioning_leaves_an_empty_device(profile: Profile) -> None:
    fleet = Fleet(profile)
    fuse = Fuse()
    fuse.arm(2)
    with pytest.raises(PowerCut):
        Vehicle(fleet, device=lambda: Device(FusedStore(fuse), FusedSlots(fuse), new_device().signer))
    car = Vehicle(fleet)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH


def test_the_primary_does_not_blame_the_director_when_its_own_disk_is_full(profile: Profile) -> None:
    bench = Bench(profile)
    bench.fuses[0].arm(1, error=StorageError)
    with pytest.raises(StorageError):
        bench.car.primary.update_cycle()
    assert not any("Director refused" in line for line in bench.car.said)


def test_a_primary_whose_keys_changed_while_the_power_failed_serves_nothing_until_it_verified_again(
    profile: Profile,
) -> None:
    bench = Bench(profile)
    car = bench.car
    car.links.down.add("imagerepo")
    with pytest.raises(UptaneError):
        car.primary.update_cycle()
    car.restart_primary()
    assert f"repository/director/role/{Role.TIMESTAMP}" not in car.device.trusted()
    with pytest.raises(UptaneError) as caught:
        car.secondary.update_cycle()
    assert caught.value.code == "E-NET"
    car.links.restore()
    bench.finish()
