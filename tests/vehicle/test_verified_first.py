"""Verification comes before everything else: nothing is asked for, passed on or installed that was not verified."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from device import Device, new_device
from fleet import Fleet, Vehicle
from msgspec import structs
from signed import FACTORY, FRESH, PATH, custom
from world import DIRECTOR, IMAGES, NOW, TCU, image

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadHashError,
    BadSignatureError,
    ExpiredMetadataError,
    HardwareMismatchError,
    ImageRollbackError,
    RepositoryMismatchError,
    SlowRetrievalError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier
from uptane.metadata.targets import Custom
from uptane.metadata.version_report import EcuVersionReport
from uptane.storage.memory import MemoryImageSlots
from uptane.vehicle.installation import Installer
from uptane.vehicle.installation_states import SLOTS, Phase
from uptane.vehicle.ports import ImageWriter
from uptane.vehicle.secondary import Outcome, SecondaryWorld

BCU = EcuIdentifier("BCUdemocar")


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle whose Primary has verified an update that its Secondary has not asked for yet."""
    car = Vehicle(Fleet(profile))
    car.cycle()
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    return car


def report(car: Vehicle, ecu: EcuIdentifier = TCU) -> EcuVersionReport:
    """What the Director accepted last of an ECU."""
    return car.fleet.profile.format.decode(EcuVersionReport, car.fleet.reports(ecu)[0].report).payload


@pytest.mark.standard("STD-5.4-7", "STD-5.4.2.6-1")
def test_a_primary_whose_verification_fails_offers_its_secondaries_what_it_offered_before(car: Vehicle) -> None:
    door = car.primary.secondaries
    genuine = car.fleet.add_image(PATH, FRESH)
    bundle, offered = door.get_metadata(TCU), door.get_image(TCU)
    with car.primary_refuses(RepositoryMismatchError, undo=lambda: unchanged() and car.fleet.direct(genuine)):
        car.fleet.direct(image(PATH, b"what the Director alone says"))

        def unchanged() -> bool:
            assert (door.get_metadata(TCU), door.get_image(TCU)) == (bundle, offered)
            return True


@pytest.mark.standard("STD-5.4.2.7-3", "STD-5.4.3.4-1", "STD-5.4-1", "STD-5.4.3-1")
def test_a_secondary_asks_for_no_image_before_it_has_verified_metadata(car: Vehicle) -> None:
    stranger = Vehicle(Fleet(car.fleet.profile))
    stranger.fleet.release(PATH, b"what a stranger signed")
    stranger.primary.update_cycle()
    car.link.calls.clear()
    with car.secondary_refuses(BadSignatureError):
        car.link.swapped_bundle = stranger.primary.secondaries.get_metadata(TCU)
        car.link.swapped_image = (PATH, b"what a stranger signed")
    refused = car.link.calls[: car.link.calls.index("report") + 1]
    assert refused == ["time", "metadata", "report"]
    assert car.running() == FRESH


class ListeningSlots(MemoryImageSlots):
    """Images in memory, and what happens to them in its order; `swapped` is read in place of what was stored."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.swapped: dict[str, bytes] = {}

    @contextmanager
    def receive(self, name: str) -> Iterator[ImageWriter]:
        with super().receive(name) as writer:
            self.events.append(f"open {name}")
            yield writer
        self.events.append(f"close {name}")

    def chunks(self, name: str) -> Iterator[bytes] | None:
        self.events.append(f"read {name}")
        return iter([self.swapped[name]]) if name in self.swapped else super().chunks(name)


@pytest.fixture
def listened(profile: Profile) -> tuple[Vehicle, ListeningSlots]:
    """The same, with a Secondary whose flash is listened to."""
    flash: list[ListeningSlots] = []

    def device() -> Device:
        made = new_device()
        flash.append(ListeningSlots())
        return Device(made.store, flash[-1], made.signer)

    car = Vehicle(Fleet(profile), device=device)
    car.fleet.release(PATH, FRESH)
    car.primary.update_cycle()
    flash[1].events.clear()
    return car, flash[1]


@pytest.mark.standard("STD-5.4.3.4-10", "STD-5.4.3.3-2", "STD-5.4.3.5-1")
def test_an_image_is_verified_where_it_waits_before_the_ecu_starts_from_it(
    listened: tuple[Vehicle, ListeningSlots],
) -> None:
    car, flash = listened
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert flash.events == [f"open {SLOTS[1]}", f"close {SLOTS[1]}", f"read {SLOTS[1]}"]
    assert car.link.calls.count("image") == 1
    car.link.swapped_image = (PATH, FRESH[::-1])
    car.fleet.release(PATH, FRESH + b" 2")
    car.primary.update_cycle()
    flash.events.clear()
    with pytest.raises(BadHashError):
        car.link.swapped_image = (PATH, b"x" * len(FRESH + b" 2"))
        car.secondary.update_cycle()
    assert flash.events == [f"open {SLOTS[0]}"], "what is refused is dropped, in the slot that does not run"
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.4.3.5-1", "STD-5.4.3.4-9", "STD-5.4.2.1.2-7")
def test_bytes_that_change_after_they_were_verified_are_not_installed(listened: tuple[Vehicle, ListeningSlots]) -> None:
    """The flash gives back other bytes than it took; what is judged last is what the ECU would start from."""
    car, flash = listened
    flash.swapped[SLOTS[1]] = b"x" * len(FRESH)
    with pytest.raises(BadHashError):
        car.secondary.update_cycle()
    assert car.running() == FACTORY
    car.primary.update_cycle()
    assert report(car).installed.path == "factory.img"
    assert "E-HASH arbitrary software" in report(car).attacks_detected
    flash.swapped.clear()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    car.primary.update_cycle()
    assert (report(car).installed.path, car.running()) == (PATH, FRESH)


@pytest.mark.standard("STD-5.4.3.4-3", "STD-5.4.3.4-5", "STD-5.4.3.5-1")
@pytest.mark.parametrize(
    ("offered", "error"), [(custom(4), ImageRollbackError), (custom(6, ("tcu-8",)), HardwareMismatchError)]
)
def test_hardware_and_release_are_judged_again_by_whoever_installs(
    profile: Profile, offered: Custom, error: type[UptaneError]
) -> None:
    """Should an image ever come this far that verification did not see."""
    car = Vehicle(Fleet(profile), hardware_id=HardwareIdentifier("tcu-7"))
    car.fleet.release(PATH, FRESH, custom=custom(5))
    car.cycle()
    memory, slots = car.secondary.memory, car.tcu.device.slots
    other = car.fleet.add_image("other.img", b"other", offered)
    before = memory.state
    with pytest.raises(UptaneError) as caught:
        Installer(memory, slots).write(other, [b"other"])
    assert type(caught.value) is error
    assert (memory.state, car.running()) == (before, FRESH)
    installer, fitting = Installer(memory, slots), structs.replace(other, custom=custom(5, ("tcu-7",)))
    installer.write(fitting, [b"other"])
    assert memory.state.installation.phase is Phase.WRITTEN
    with pytest.raises(error):
        installer.activate(other)
    assert installer.activate(fitting)
    assert car.running() == b"other"


@pytest.mark.standard("STD-5.4.2.1.2-9", "STD-5.4.2.1.2-10", "STD-5.4.2.1.2-11")
def test_a_report_tells_the_attested_time_and_carries_what_tells_it_from_every_other(car: Vehicle) -> None:
    seen = set()
    for hours in range(1, 6):
        car.fleet.later(hours=1)
        car.cycle()
        car.cycle()
        car.primary.update_cycle()
        told = report(car)
        assert told.time == car.secondary.memory.state.time == NOW.replace(hour=NOW.hour + hours)
        seen.add(told.require_freshness())
    assert len({counter for counter, _ in seen}) == len(seen) == 5


@pytest.mark.standard("STD-5.4.1-5", "STD-5.4.4.4-4")
def test_an_ecu_judges_expiry_by_the_time_that_it_was_made_with_until_it_knows_a_later_one(car: Vehicle) -> None:
    """Nobody has attested a time to the new Secondary; what its Primary holds was good two days ago."""
    car.fleet.later(days=2)
    bcu = car.add_secondary(BCU)
    assert bcu.secondary.memory.state.time == car.fleet.now
    with pytest.raises(ExpiredMetadataError):
        bcu.secondary.update_cycle()
    assert bcu.device.running() == FACTORY
    car.fleet.add_image("other.img", b"other")
    car.fleet.clear()
    car.primary.update_cycle()
    bcu.secondary.update_cycle()


class Slowly:
    """A server whose answers come too slowly."""

    def __init__(self, ways: object, *slow: str) -> None:
        self._ways, self._slow = ways, slow

    def fetch(self, repository: str, name: str, limit: int) -> bytes | None:
        if repository in self._slow:
            raise SlowRetrievalError(f"{name} of {repository} came at 1 byte per second", repository=repository)
        found: bytes | None = self._ways.fetch(repository, name, limit)  # type: ignore[attr-defined]
        return found

    @contextmanager
    def stream(self, name: str, limit: int, start: int = 0) -> Iterator[None]:
        raise SlowRetrievalError(f"{name} came at 1 byte per second")
        yield


@pytest.mark.standard("STD-5.4-4", "STD-5.4.2.1.2-8")
@pytest.mark.parametrize("slow", [DIRECTOR, IMAGES, "mirrors"])
def test_slow_retrieval_is_told_to_the_director(car: Vehicle, slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    car.fleet.release(PATH, FRESH + b" 2")
    fetch, stream, honest = Slowly(car.links, slow).fetch, Slowly(car.links).stream, car.links.fetch
    if slow == "mirrors":  # images are judged after the metadata was committed, so that stands already
        car.links.down |= {mirror.name for mirror in car.links.mirrors}
        with pytest.raises(UnreachableError):
            car.primary.update_cycle()
        car.links.restore()
    with car.primary_refuses(SlowRetrievalError, undo=monkeypatch.undo) as errors:
        if slow == "mirrors":
            for mirror in car.links.mirrors:
                monkeypatch.setattr(mirror, "stream", stream)
        else:
            monkeypatch.setattr(
                car.links, "fetch", lambda *asked: fetch(*asked) if asked[0] == slow else honest(*asked)
            )
    assert errors[0].attack is Attack.SLOW_RETRIEVAL


@pytest.mark.standard("STD-5.4.2-4")
def test_a_secondary_is_not_made_without_a_primary(car: Vehicle) -> None:
    with pytest.raises(TypeError):
        SecondaryWorld(slots=car.tcu.device.slots, new_nonce=car.new_nonce)  # type: ignore[call-arg]
    assert car.secondary.primary is car.link


@pytest.mark.standard("STD-5.4.4.2-5", "STD-5.4.2.2-1")
def test_amb_23_the_time_is_asked_for_once_and_holds_for_the_whole_cycle(car: Vehicle) -> None:
    """The Timestamp of the Image repository expires while the cycle runs."""
    honest = car.links.fetch

    def later(*asked: object) -> bytes | None:
        car.fleet.later(days=30)
        return honest(*asked)  # type: ignore[arg-type]

    car.links.fetch = later  # type: ignore[method-assign]
    car.links.calls.clear()
    car.primary.update_cycle()
    assert car.links.calls.count("time") == 1
    assert car.primary.memory.state.time == NOW
    with pytest.raises(ExpiredMetadataError):
        car.primary.update_cycle()
