"""Advisories on transfers: a body that ends too soon is never a short file, and a server that drips is left."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from raw_sockets import HEAD, RawServer, dripping, saying
from stage import MAKER, PLACES, Place, Stage, every
from world import DIRECTOR, IMAGES

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import SlowRetrievalError, UnreachableError
from uptane.metadata.identifiers import RepositoryName
from uptane.transport.http_client import RepositoryClient
from uptane.transport.limits import TransferLimits
from uptane.transport.links import ImagesOverHttp, PrimaryOverXmlRpc, TimeserverOverXmlRpc
from uptane.transport.xmlrpc_client import XmlRpcClient

QUICK = TransferLimits(
    connect_seconds=10.0, read_seconds=0.3, slow_start_seconds=0.2, min_bytes_per_second=2000.0, total_seconds=10.0
)
PATIENT = TransferLimits(connect_seconds=10.0, read_seconds=10.0, slow_start_seconds=10.0)
"""For answers that end at once, so that a busy machine is not taken for a slow server."""

Answer = Callable[[socket.socket, threading.Event], None]


def cut(raw: bytes) -> dict[str, Answer]:
    """Half of a body whose end is never said, announced by its length or in chunks."""
    half = raw[: len(raw) // 2]
    return {
        "by length": saying(HEAD + b"Content-Length: %d\r\n\r\n" % len(raw) + half),
        "in chunks": saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(half) + half + b"\r\n"),
        "within a chunk": saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(raw) + half),
    }


HOW = ["by length", "in chunks", "within a chunk"]


@contextmanager
def served(
    stage: Stage, place: Place, answer: Callable[[bytes], Answer], limits: TransferLimits = PATIENT
) -> Iterator[None]:
    """One file of a repository comes over a real connection: the next one of a role that the test has shown."""
    links = stage.car.links
    plain = type(links).fetch
    attacked = next(name for name in stage.shown if name[0] == place[0] and name[1].split(".")[-2] == place[1])
    raw = stage.shown[attacked]
    assert raw is not None
    with RawServer(answer(raw)) as server:
        client = RepositoryClient([server.url], limits=limits, name=place[0])

        def fetch(repository: RepositoryName, name: str, limit: int) -> bytes | None:
            if (repository, name) == attacked:
                return client.fetch(f"metadata/{name}", limit)
            return plain(links, repository, name, limit)

        links.fetch = fetch  # type: ignore[method-assign]
        stage.deliver()
        yield
        assert server.requests


def undo(stage: Stage) -> Callable[[], object]:
    return lambda: stage.car.links.__dict__.pop("fetch", None)


@every(PLACES, ["primary"])
@pytest.mark.parametrize("how", HOW)
def test_fetcher_tuf_7_0_1_a_file_that_is_cut_off_is_no_shorter_file(
    profile: Profile, place: Place, reader: str, how: str
) -> None:
    """The half that came is dropped, whatever it would be worth."""
    stage = Stage(profile, reader)
    stage.forge(*place)
    refused = stage.refuses(UnreachableError, Attack.DROP_REQUEST, undo=undo(stage))
    with served(stage, place, lambda raw: cut(raw)[how]), refused:
        pass


SLOW = [(DIRECTOR, "root"), (IMAGES, "timestamp"), (IMAGES, str(MAKER))]


def drip(raw: bytes) -> Answer:
    """A byte, and another one, and another one."""
    return dripping(HEAD + b"Content-Length: %d\r\n\r\n" % len(raw), raw[:1])


@every(SLOW, ["primary"])
def test_fetcher_tuf_7_0_1_a_file_that_drips_is_slow_retrieval(profile: Profile, place: Place, reader: str) -> None:
    stage = Stage(profile, reader)
    stage.forge(*place)
    refused = stage.refuses(SlowRetrievalError, Attack.SLOW_RETRIEVAL, undo=undo(stage))
    with served(stage, place, drip, QUICK), refused:
        pass


@contextmanager
def images_from(stage: Stage, answer: Answer, limits: TransferLimits = PATIENT) -> Iterator[Callable[[], object]]:
    """Every mirror of images is this server."""
    with RawServer(answer) as server:
        source = ImagesOverHttp(RepositoryClient([server.url], limits=limits, name=IMAGES))
        for mirror in stage.car.links.mirrors:
            mirror.stream = source.stream  # type: ignore[method-assign,assignment]
        yield lambda: [mirror.__dict__.pop("stream") for mirror in stage.car.links.mirrors]
        assert server.requests


@pytest.mark.parametrize("how", HOW)
def test_fetcher_tuf_7_0_1_an_image_that_is_cut_off_is_neither_kept_nor_handed_on(profile: Profile, how: str) -> None:
    stage = Stage(profile)
    with images_from(stage, cut(b"release 2")[how]) as restore:
        refuse_image(stage, UnreachableError, Attack.DROP_REQUEST, restore)


def test_fetcher_tuf_7_0_1_an_image_that_drips_is_neither_kept_nor_handed_on(profile: Profile) -> None:
    stage = Stage(profile)
    with images_from(stage, dripping(HEAD + b"Content-Length: 9\r\n\r\n", b""), QUICK) as restore:
        refuse_image(stage, SlowRetrievalError, Attack.SLOW_RETRIEVAL, restore)


def refuse_image(
    stage: Stage, expected: type[UnreachableError | SlowRetrievalError], attack: Attack, restore: Callable[[], object]
) -> None:
    """Metadata of the release is verified and kept; only the image does not come."""
    before = stage.handed_on()
    running = stage.car.running()
    stage.release()
    with pytest.raises(expected) as refusal:
        stage.car.primary.update_cycle()
    assert type(refusal.value) is expected
    assert refusal.value.attack is attack
    assert stage.handed_on() == before
    stage.car.secondary.update_cycle()
    assert stage.car.running() == running
    restore()
    stage.car.cycle()
    assert stage.car.running() == stage.content
    told = stage.fleet.reports(stage.car.primary_ecu)[0].attacks_detected
    assert (refusal.value.code in told) == (expected is SlowRetrievalError)


@pytest.mark.parametrize("how", HOW)
def test_fetcher_tuf_7_0_1_what_a_primary_cuts_off_its_secondary_does_not_take(profile: Profile, how: str) -> None:
    """The metadata, the time and the image of a Secondary, over XML-RPC."""
    for method in ("time_attestation", "metadata", "image"):
        stage = Stage(profile, "secondary")
        stage.release()
        stage.car.primary.update_cycle()
        link = stage.car.link
        with RawServer(cut(b"<?xml version='1.0'?><methodResponse>")[how]) as server:
            primary = PrimaryOverXmlRpc(XmlRpcClient(server.url, peer="Primary"), profile)
            setattr(link, method, getattr(primary, method))
            before = stage.ecu.trusted(), stage.car.running()
            with pytest.raises(UnreachableError) as refusal:
                stage.car.secondary.update_cycle()
            assert type(refusal.value) is UnreachableError
            assert server.requests
        assert method == "image" or stage.ecu.trusted() == before[0]
        assert stage.car.running() == before[1]
        del link.__dict__[method]
        stage.car.cycle()
        assert stage.car.running() == stage.content


@pytest.mark.parametrize("how", HOW)
def test_fetcher_tuf_7_0_1_a_time_attestation_that_is_cut_off_moves_no_time(profile: Profile, how: str) -> None:
    stage = Stage(profile)
    links = stage.car.links
    time = stage.car.primary.memory.state.time
    stage.fleet.later(hours=1)
    with RawServer(cut(b"<?xml version='1.0'?><methodResponse>")[how]) as server:
        timeserver = TimeserverOverXmlRpc(XmlRpcClient(server.url, peer="Timeserver"), profile)

        def attest(nonces: Sequence[int]) -> bytes:
            return timeserver.attest(nonces)

        with stage.refuses(UnreachableError, Attack.DROP_REQUEST, undo=lambda: links.__dict__.pop("attest", None)):
            links.attest = attest  # type: ignore[method-assign]
        assert server.requests
    assert stage.car.primary.memory.state.time > time
