"""Downloads that are cut off go on where they were, and no mirror can make use of that."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest
from fleet import Fleet, Vehicle
from raw_sockets import HEAD, RawServer
from signed import PATH
from stage import Stage
from world import PRIMARY, image

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadHashError,
    EndlessDataError,
    FormatError,
    LengthMismatchError,
    SecurityError,
    SlowRetrievalError,
    StorageError,
    UnreachableError,
    UptaneError,
)
from uptane.storage.memory import MemoryImageSlots
from uptane.transport.http_client import RepositoryClient
from uptane.transport.limits import TransferLimits
from uptane.transport.links import ImagesOverHttp
from uptane.vehicle.downloads import download
from uptane.vehicle.installation import slot_of
from uptane.vehicle.ports import ImageSlots

IMAGE = bytes(range(256)) * 4
HALF = len(IMAGE) // 2
EVIL = IMAGE[::-1]


@dataclass
class Body:
    """An answer of a `Host`."""

    host: "Host"
    start: int

    def __iter__(self) -> Iterator[bytes]:
        end = len(self.host.data) if self.host.cut_at is None else self.host.cut_at
        for position in range(self.start, end, 100):
            yield self.host.data[position : min(position + 100, end)]
        if self.host.error is not None:
            raise self.host.error


@dataclass
class Host:
    """A mirror that has `data`, ends with an error where it is cut, and remembers from which byte on it was asked."""

    data: bytes = IMAGE
    cut_at: int | None = None
    error: UptaneError | None = None
    knows_ranges: bool = True
    refusal: SecurityError | None = None
    asked: list[int] = field(default_factory=list)

    @contextmanager
    def stream(self, name: str, limit: int, start: int = 0) -> Iterator[Body | None]:
        self.asked.append(start)
        if start and self.refusal is not None:
            raise self.refusal
        yield Body(self, start if self.knows_ranges else 0)


def cut(at: int = HALF, data: bytes = IMAGE) -> Host:
    """A mirror whose connection breaks."""
    return Host(data, cut_at=at, error=UnreachableError("the connection broke"))


class Car:
    """An ECU that downloads IMAGE."""

    def __init__(self) -> None:
        self.slots: ImageSlots = MemoryImageSlots()
        self.image = image(PATH, IMAGE)
        self.said: list[str] = []
        self.noted: list[SecurityError] = []

    def download(self, *hosts: Host) -> None:
        download(
            self.image.file,
            hosts,
            self.slots,
            PROFILES["der"],
            say=self.said.append,
            note=self.noted.append,
        )

    @property
    def stored(self) -> bytes | None:
        chunks = self.slots.chunks(slot_of(self.image))
        return None if chunks is None else b"".join(chunks)

    @property
    def partial(self) -> bytes:
        with self.slots.resume(slot_of(self.image)) as partial:
            return b"".join(partial.chunks())


@pytest.fixture
def car() -> Car:
    return Car()


def test_what_came_before_a_cut_is_not_fetched_again(car: Car) -> None:
    with pytest.raises(UnreachableError):
        car.download(cut())
    assert (car.stored, car.partial) == (None, IMAGE[:HALF])
    host = Host()
    car.download(host)
    assert host.asked == [HALF]
    assert (car.stored, car.noted) == (IMAGE, [])
    assert car.partial == b""


def test_the_next_mirror_goes_on_where_the_one_before_broke_off(car: Car) -> None:
    hosts = cut(100), cut(300), Host()
    car.download(*hosts)
    assert [host.asked for host in hosts] == [[0], [100], [300]]
    assert car.stored == IMAGE


def test_a_mirror_that_cannot_continue_begins_again(car: Car) -> None:
    host = Host(knows_ranges=False)
    car.download(cut(), host)
    assert host.asked == [HALF]
    assert car.stored == IMAGE


def test_a_mirror_that_cannot_continue_and_breaks_off_leaves_what_it_sent(car: Car) -> None:
    shorter = cut(200)
    shorter.knows_ranges = False
    with pytest.raises(UnreachableError):
        car.download(cut(), shorter)
    assert car.partial == IMAGE[:200]


def test_an_image_that_was_whole_when_the_power_failed_is_not_asked_for(car: Car) -> None:
    with car.slots.resume(slot_of(car.image)) as partial:
        partial.write(IMAGE)
    host = Host()
    car.download(host)
    assert host.asked == []
    assert car.stored == IMAGE


@pytest.mark.standard("STD-5.4.2.4-2")
@pytest.mark.parametrize("came", [EVIL[:HALF], EVIL, IMAGE[:HALF] + b"\0" * 100])
def test_a_wrong_beginning_is_thrown_away_and_the_image_fetched_once_more_whole(car: Car, came: bytes) -> None:
    with car.slots.resume(slot_of(car.image)) as partial:
        partial.write(came)
    host = Host()
    car.download(host)
    assert host.asked == ([0] if len(came) == len(IMAGE) else [len(came), 0])
    assert [type(error) for error in car.noted] == [BadHashError]
    assert car.stored == IMAGE


def test_a_beginning_that_is_longer_than_the_image_is_thrown_away_at_once(car: Car) -> None:
    with car.slots.resume(slot_of(car.image)) as partial:
        partial.write(IMAGE + b"x")
    host = Host()
    car.download(host)
    assert (host.asked, car.stored, car.noted) == ([0], IMAGE, [])


@pytest.mark.standard("STD-5.4.2.4-2")
def test_a_mirror_that_sends_a_wrong_beginning_and_breaks_off_stops_nobody(car: Car) -> None:
    """Whoever poisons the beginning makes the next mirror look guilty, but only once in each cycle."""
    for _ in range(3):
        evil, good = cut(data=EVIL), Host()
        car.slots.keep_only(frozenset())
        car.download(evil, good)
        assert good.asked == [HALF, 0]
        assert car.stored == IMAGE


@pytest.mark.standard("STD-5.4.2.4-2")
def test_a_mirror_that_sends_a_wrong_rest_is_asked_once_more_and_then_no_more(car: Car) -> None:
    evil = Host(EVIL)
    with pytest.raises(BadHashError):
        car.download(cut(), evil)
    assert evil.asked == [HALF, 0]
    assert len(car.noted) == 2
    assert (car.stored, car.partial) == (None, b"")


def test_a_whole_image_that_is_wrong_is_not_fetched_twice_from_the_same_mirror(car: Car) -> None:
    evil = Host(EVIL, knows_ranges=False)
    with pytest.raises(BadHashError):
        car.download(cut(), evil)
    assert evil.asked == [HALF]
    with pytest.raises(BadHashError):
        car.download(evil)
    assert evil.asked == [HALF, 0]
    assert car.partial == b""


@pytest.mark.parametrize(
    "refusal",
    [FormatError("another range"), LengthMismatchError("it ends before"), EndlessDataError("more than listed")],
    ids=lambda error: type(error).__name__,
)
def test_a_mirror_that_answers_with_another_part_is_refused_by_name_and_asked_for_all_of_it(
    car: Car, refusal: SecurityError
) -> None:
    host = Host(refusal=refusal)
    car.download(cut(), host)
    assert host.asked == [HALF, 0]
    assert car.noted == [refusal]
    assert car.stored == IMAGE


@pytest.mark.standard("STD-5.4.3.3-7")
def test_a_body_with_more_than_the_listed_bytes_never_grows_the_file_beyond_them(car: Car) -> None:
    for data in (IMAGE + b"x", IMAGE * 3):
        with pytest.raises(EndlessDataError):
            car.download(cut(), Host(data))
        assert (car.stored, car.partial) == (None, b"")
    with pytest.raises(EndlessDataError):
        car.download(cut(), Host(IMAGE + b"x" * 300, cut_at=len(IMAGE) + 200, error=UnreachableError("broke")))
    assert len(car.partial) <= len(IMAGE)


def test_a_slow_mirror_leaves_what_it_sent_to_the_next_one(car: Car) -> None:
    slow, host = Host(cut_at=HALF, error=SlowRetrievalError("1 byte per second")), Host()
    car.download(slow, host)
    assert host.asked == [HALF]
    assert [type(error) for error in car.noted] == [SlowRetrievalError]
    assert car.stored == IMAGE


def test_a_disk_that_is_full_keeps_no_part_of_the_image(car: Car) -> None:
    with pytest.raises(StorageError):
        car.download(Host(cut_at=HALF, error=StorageError("the disk is full")))
    assert car.partial == b""


def test_another_image_than_the_one_that_was_cut_off_begins_at_its_first_byte(car: Car) -> None:
    with pytest.raises(UnreachableError):
        car.download(cut())
    car.image = image(PATH, EVIL)
    host = Host(EVIL)
    car.download(host)
    assert host.asked == [0]
    assert car.stored == EVIL


# In a whole vehicle.


@pytest.mark.standard("STD-5.4.2.4-2", "STD-5.4.2.4-3")
def test_a_poisoned_beginning_and_evil_mirrors_are_refused_and_told(profile: Profile) -> None:
    stage = Stage(profile)
    listed, links = stage.release(), stage.car.links
    links.down |= {mirror.name for mirror in links.mirrors}
    with pytest.raises(UnreachableError):  # the metadata stands already: images are judged after it was committed
        stage.car.primary.update_cycle()
    links.restore()
    with stage.refuses(BadHashError, Attack.ARBITRARY_SOFTWARE):
        with stage.car.device.slots.resume(slot_of(listed)) as partial:
            partial.write(b"evil")
        for mirror in links.mirrors:
            mirror.altered["abs.img"] = b"x" * listed.file.length


def test_an_image_that_is_no_longer_directed_is_forgotten(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    listed = car.fleet.release(PATH, IMAGE)
    with suppress(UnreachableError), car.device.slots.resume(slot_of(listed)) as partial:
        partial.write(IMAGE[:HALF])
        raise UnreachableError("the connection broke")
    car.fleet.clear()
    car.cycle()
    with car.device.slots.resume(slot_of(listed)) as partial:
        assert list(partial.chunks()) == []


@pytest.mark.standard("STD-5.4-3", "STD-5.4-4")
def test_a_download_that_is_abandoned_as_slow_is_told_in_the_next_report_and_then_goes_on(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    honest = list(car.links.mirrors)
    listed = car.fleet.release(PATH, IMAGE)
    limits = TransferLimits(slow_start_seconds=0.1, min_bytes_per_second=50_000.0)

    def drip(connection: socket.socket, end: threading.Event) -> None:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE[:HALF])
        for byte in IMAGE[HALF:]:
            if end.wait(0.01):
                return
            connection.sendall(bytes([byte]))

    with RawServer(drip) as slow:
        car.links.mirrors[:] = [ImagesOverHttp(RepositoryClient([slow.url], limits=limits, name="slow"))]  # type: ignore[list-item]
        car.restart_primary()
        with pytest.raises(SlowRetrievalError):
            car.primary.update_cycle()
    car.links.mirrors[:] = honest
    car.restart_primary()
    with car.device.slots.resume(slot_of(listed)) as partial:
        came = b"".join(partial.chunks())
    assert HALF <= len(came) < len(IMAGE)
    assert IMAGE.startswith(came)
    car.cycle()
    told = car.fleet.reports(PRIMARY)[0].attacks_detected
    assert told.startswith("E-SLOW slow retrieval: ")
    assert "bytes per second" in told
    car.cycle()
    assert car.running() == IMAGE
    assert car.fleet.reports(PRIMARY)[0].attacks_detected == ""
