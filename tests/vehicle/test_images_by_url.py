"""An image at a URL that the Director gives: from hosts that the vehicle was told, and always the listed bytes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from fleet import Fleet, Vehicle
from msgspec import structs
from raw_sockets import RawServer, closed_port, endless, saying, serving
from signed import PATH
from world import PRIMARY

from uptane.formats.profile import Profile
from uptane.metadata.targets import Custom
from uptane.transport.limits import TransferLimits
from uptane.transport.third_hosts import HostPolicy, ThirdHostsOverHttp

IMAGE = b"an image on a third host" * 10
LIMITS = TransferLimits(connect_seconds=1.0, read_seconds=0.5, slow_start_seconds=0.3)


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    return Vehicle(Fleet(profile))


def direct(car: Vehicle, url: str) -> None:
    """Both repositories sign for the image; the Director says where it can be had as well."""
    image = car.fleet.add_image(PATH, IMAGE)
    car.fleet.direct(structs.replace(image, custom=structs.replace(image.custom, url=url)))


def allow(car: Vehicle, *hosts: str) -> None:
    """The vehicle is told that it may fetch from these hosts."""
    policy = HostPolicy(hosts=frozenset(hosts), unsafe_plain_http=True)
    third_hosts = ThirdHostsOverHttp(policy, limits=LIMITS, on_event=car.said.append)
    car.primary._world = replace(car.primary._world, third_hosts=third_hosts)


def asked(car: Vehicle) -> list[str]:
    """The requests for images that reached the mirrors."""
    return [call for call in car.links.calls if call.startswith("image ")]


def told(car: Vehicle) -> str:
    """What the next report of the Primary tells the Director."""
    car.primary.update_cycle()
    return car.fleet.reports(PRIMARY)[0].attacks_detected


@pytest.mark.standard("STD-5.4.3.3-4")
def test_an_image_comes_from_the_directors_url_and_nothing_else_does(car: Vehicle) -> None:
    with RawServer(serving(IMAGE)) as third:
        direct(car, f"{third.url}/bucket/some.img")
        allow(car, third.url)
        car.cycle()
        assert [request.split(b"\r\n")[0] for request in third.requests] == [b"GET /bucket/some.img HTTP/1.1"]
    assert car.running() == IMAGE
    assert asked(car) == []
    assert told(car) == ""


@pytest.mark.standard("STD-5.4.3.3-4")
def test_a_vehicle_that_was_told_no_host_asks_the_mirrors(car: Vehicle) -> None:
    with RawServer(serving(IMAGE)) as third:
        direct(car, f"{third.url}/some.img")
        car.cycle()
        assert third.requests == []
    assert car.running() == IMAGE
    assert any("is not followed" in line and third.url in line for line in car.said)
    assert told(car) == ""


@pytest.mark.standard("STD-5.4.3.3-4")
def test_a_url_outside_the_policy_is_told_in_words_and_not_followed(car: Vehicle) -> None:
    with RawServer(serving(IMAGE)) as third:
        port = third.url.rpartition(":")[2]
        for url in (third.url, f"http://good.example@127.0.0.1:{port}", f"http://127.0.0.1.:{port}"):
            direct(car, f"{url}/some.img")
            allow(car, "https://good.example")
            car.cycle()
            assert car.running() == IMAGE
            assert any(f"'{url}/some.img' is not followed" in line for line in car.said)
            report = told(car)
            assert report.startswith("E-HOST: ")
            assert url in report
            car.fleet.clear()
            car.cycle()
        assert third.requests == []


@pytest.mark.standard("STD-5.4.2.4-2")
def test_other_bytes_from_the_third_host_are_refused_and_told_and_the_mirror_has_the_image(car: Vehicle) -> None:
    for answer, refusal in (
        (serving(IMAGE[::-1]), "E-HASH arbitrary software"),
        (serving(IMAGE[:-1]), "E-LENGTH arbitrary software"),
        (serving(IMAGE + b"x"), "E-ENDLESS endless data"),
        (endless, "E-ENDLESS endless data"),
    ):
        with RawServer(answer) as third:
            direct(car, f"{third.url}/some.img")
            allow(car, third.url)
            car.cycle()
            assert len(third.requests) == 1
        assert car.running() == IMAGE
        assert told(car).startswith(refusal)
        car.fleet.clear()
        car.cycle()


def test_a_third_host_that_fails_costs_nothing_but_time(car: Vehicle) -> None:
    moved = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: "
    other = f"http://127.0.0.1:{closed_port()}"
    with RawServer(saying(moved + other.encode() + b"/some.img\r\n\r\n")) as third:
        direct(car, f"{third.url}/some.img")
        allow(car, third.url, other)
        car.cycle()
        assert len(third.requests) == 1
    assert not any(f"Downloading: {other}" in line for line in car.said)
    assert car.running() == IMAGE
    car.fleet.clear()
    car.cycle()
    direct(car, f"{other}/some.img")
    allow(car, other)
    car.cycle()
    assert any(f"Downloading: {other}" in line for line in car.said)
    assert car.running() == IMAGE
    assert told(car) == ""


def test_a_mirror_goes_on_where_the_third_host_broke_off(car: Vehicle) -> None:
    with RawServer(saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE[:100])) as third:
        direct(car, f"{third.url}/some.img")
        allow(car, third.url)
        starts: list[int] = []
        for mirror in car.links.mirrors:
            mirror.stream = _remembering(mirror.stream, starts)  # type: ignore[method-assign]
        car.cycle()
    assert starts == [100]
    assert car.running() == IMAGE


def _remembering(stream: Callable[..., object], starts: list[int]) -> Callable[..., object]:
    def remembered(name: str, limit: int, start: int = 0) -> object:
        starts.append(start)
        return stream(name, limit, start)

    return remembered


def test_a_url_that_only_the_image_repository_gives_is_not_followed(car: Vehicle) -> None:
    with RawServer(serving(IMAGE)) as third:
        allow(car, third.url)
        image = car.fleet.add_image(PATH, IMAGE, Custom(url=f"{third.url}/some.img"))
        car.fleet.direct(structs.replace(image, custom=structs.replace(image.custom, url=None)))
        car.cycle()
        assert third.requests == []
    assert car.running() == IMAGE
